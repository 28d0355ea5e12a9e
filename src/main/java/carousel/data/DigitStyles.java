package carousel.data;

import java.util.List;

/**
 * How people write the ten digits: for each digit several styles, each a few strokes in a box that is 1 wide and 1 high, x
 * to the right and y down.
 */
final class DigitStyles {
    /**
     * One stroke of the pen through points {@code x0, y0, x1, y1, ...}.
     *
     * @param smooth whether the stroke bends through the points or is straight between them
     */
    record Stroke(boolean smooth, double... points) {
        int pointCount() {
            return points.length / 2;
        }
    }

    /** Indexed by digit. */
    private static final List<List<List<Stroke>>> STYLES = List.of(
            List.of( // 0
                    List.of(curve(.5, 0, .15, .15, 0, .5, .15, .87, .5, 1, .87, .85, 1, .5, .85, .13, .5, 0)),
                    List.of(curve(.65, .03, .25, .12, .02, .5, .2, .92, .55, 1, .92, .8, .98, .4, .75, .06, .4, .08)),
                    List.of(curve(.5, 0, .25, .2, .2, .5, .25, .8, .5, 1, .75, .8, .8, .5, .75, .2, .5, 0))),
            List.of( // 1
                    List.of(line(.5, 0, .5, 1)),
                    List.of(line(.2, .27, .55, 0, .55, 1)),
                    List.of(line(.25, .22, .55, 0, .55, 1), line(.2, 1, .9, 1))),
            List.of( // 2
                    List.of(curve(.05, .25, .25, .03, .65, .02, .92, .22, .8, .5, .4, .8, .02, 1), line(.02, 1, 1, 1)),
                    List.of(curve(
                            .08, .22, .4, 0, .85, .12, .85, .4, .5, .75, .15, .97, .08, .82, .3, .8, .6, .95, 1, .95)),
                    List.of(curve(.1, .15, .5, 0, .9, .2, .7, .55, .05, .98), curve(.05, .98, .35, .88, .7, 1, 1, .9))),
            List.of( // 3
                    List.of(
                            curve(.08, .15, .4, 0, .85, .1, .85, .35, .4, .48),
                            curve(.4, .48, .9, .58, .98, .82, .55, 1, .05, .87)),
                    List.of(line(.05, .02, .92, .02, .42, .42), curve(.42, .42, .85, .48, .98, .74, .6, 1, .05, .9)),
                    List.of(curve(.1, .1, .55, 0, .88, .2, .7, .42, .35, .5, .8, .58, .95, .8, .6, 1, .05, .92))),
            List.of( // 4
                    List.of(line(.25, 0, .05, .6, 1, .6), line(.75, .2, .7, 1)),
                    List.of(line(.7, 1, .7, 0, 0, .68, 1, .68)),
                    List.of(curve(.12, 0, .08, .3, .2, .52, .6, .52, .85, .42), line(.9, 0, .82, 1))),
            List.of( // 5
                    List.of(line(.92, 0, .2, 0, .12, .45), curve(.12, .45, .5, .35, .95, .5, .95, .8, .55, 1, .03, .9)),
                    List.of(
                            curve(.2, .03, .15, .45, .55, .38, .95, .6, .85, .92, .4, 1, .02, .88),
                            line(.2, .03, .95, 0)),
                    List.of(
                            line(.85, .03, .3, 0, .22, .42, .55, .4),
                            curve(.55, .4, .9, .55, .85, .9, .45, 1, .08, .9))),
            List.of( // 6
                    List.of(curve(.8, .02, .35, .2, .05, .6, .2, .95, .6, 1, .95, .78, .75, .52, .35, .55, .08, .75)),
                    List.of(curve(.6, 0, .2, .35, .05, .7, .3, .98, .7, .98, .95, .75, .7, .55, .3, .6, .1, .8)),
                    List.of(line(.55, 0, .1, .6), curve(.1, .6, .1, .9, .5, 1, .9, .85, .8, .58, .45, .52, .1, .7))),
            List.of( // 7
                    List.of(line(.02, .02, .98, .02, .4, 1)),
                    List.of(line(.02, .02, .98, .02, .4, 1), line(.25, .5, .88, .5)),
                    List.of(line(.05, .2, .05, .02, .95, .02), curve(.95, .02, .6, .4, .45, .7, .42, 1))),
            List.of( // 8
                    List.of(curve(
                            .85, .12, .5, 0, .15, .15, .25, .4, .7, .58, .9, .8, .5, 1, .1, .8, .3, .58, .75, .4, .85,
                            .12)),
                    List.of(
                            curve(.5, 0, .18, .12, .2, .36, .5, .47, .8, .36, .82, .12, .5, 0),
                            curve(.5, .47, .1, .6, .08, .88, .5, 1, .92, .88, .9, .6, .5, .47))),
            List.of( // 9
                    List.of(
                            curve(.9, .25, .6, 0, .1, .12, .08, .42, .45, .55, .85, .4, .92, .2),
                            line(.92, .1, .85, 1)),
                    List.of(curve(.9, .3, .5, 0, .05, .25, .3, .55, .75, .5, .92, .2, .9, .6, .7, .92, .2, 1)),
                    List.of(curve(.85, .3, .5, .02, .1, .2, .2, .5, .6, .5, .88, .22), line(.88, .15, .5, 1))));

    private DigitStyles() {}

    /** The styles of a digit. */
    static List<List<Stroke>> of(int digit) {
        return STYLES.get(digit);
    }

    private static Stroke curve(double... points) {
        return new Stroke(true, points);
    }

    private static Stroke line(double... points) {
        return new Stroke(false, points);
    }
}
