package carousel.engine.cuda.fused;

import carousel.engine.EngineException;
import java.util.Optional;

/**
 * How the layers of a stack go through time side by side. The steps are cut into chunks, and each lane has some layers that lie on each other: while
 * a lane works on a chunk, the lane of the layers above, which read its outputs, works on the chunk before. On the way back it is the other
 * way round.
 *
 * @param layers of the stack
 * @param lanes in which work goes on at the same time, at least 2
 * @param timeSteps of all chunks together
 * @param chunk steps of each chunk but the last, which may have fewer
 */
record Wavefront(int layers, int lanes, int timeSteps, int chunk) {
    /**
     * Turns it off or says how many steps a chunk has. Left out or true, {@link #of(String, int, int, int)} takes what should be the fastest.
     */
    static final String PROPERTY = "carousel.fused.wavefront";

    private static final String ON = "true";
    private static final String OFF = "false";

    /** What it costs to begin with a chunk, as so many steps: performance.md has the arithmetic. */
    private static final int START = 24;

    /** Asks for what a layer has to do and when. */
    interface Course {
        /** What is asked for from now on goes to this lane. */
        void lane(int lane);

        /** What the lane is asked for from now on comes after all that the other was asked for so far. */
        void await(int lane, int other);

        /** A layer takes the steps {@code from} to {@code to - 1}, counted as they are processed. */
        void chunk(int layer, int from, int to);
    }

    /** What the property {@value #PROPERTY} says: a word or a number. */
    static String setting() {
        String text = System.getProperty(PROPERTY, ON).strip();
        if (!text.equals(ON) && !text.equals(OFF) && !text.matches("[1-9]\\d{0,8}")) {
            throw new EngineException("the property " + PROPERTY
                    + " should be true, false or the number of steps of a chunk in the [1, 999999999] range but got '"
                    + text + "': leave it out for the best number");
        }
        return text;
    }

    /**
     * The fastest way for a stack; nothing where it goes layer by layer. {@code K} chunks in {@code D} lanes take the time of {@code K + D - 1}
     * chunks of {@code T / K} steps and a start each: the least with {@code K = sqrt((D - 1) T / START)}.
     *
     * @param setting see {@link #setting()}
     * @param lanes that there is room for
     */
    static Optional<Wavefront> of(String setting, int layers, int timeSteps, int lanes) {
        int some = Math.min(layers, lanes);
        if (setting.equals(OFF) || some < 2) {
            return Optional.empty();
        }
        int chunk;
        if (setting.equals(ON)) {
            int chunks = (int) Math.sqrt((some - 1) * (double) timeSteps / START);
            if (chunks < 2) {
                return Optional.empty();
            }
            chunk = (timeSteps - 1) / chunks + 1;
        } else {
            chunk = Integer.parseInt(setting);
        }
        return chunk < timeSteps ? Optional.of(new Wavefront(layers, some, timeSteps, chunk)) : Optional.empty();
    }

    int chunks() {
        return (timeSteps - 1) / chunk + 1;
    }

    /** The lane of a layer. */
    int lane(int layer) {
        return (int) ((long) layer * lanes / layers);
    }

    void forward(Course course) {
        for (int wave = 0; wave < chunks() + lanes - 1; wave++) {
            // The uppermost first: it waits for what the lane below was asked for before this wave, and not for what it
            // is asked for now.
            for (int lane = lanes - 1; lane >= 0; lane--) {
                step(course, lane, lane - 1, wave - lane, true);
            }
        }
    }

    void backward(Course course) {
        for (int wave = 0; wave < chunks() + lanes - 1; wave++) {
            for (int lane = 0; lane < lanes; lane++) {
                step(course, lane, lane + 1, chunks() - 1 - wave + lanes - 1 - lane, false);
            }
        }
    }

    /** Asks for one chunk of a lane's layers, where there is such a chunk, after the same one of the lane before it. */
    private void step(Course course, int lane, int before, int number, boolean upwards) {
        if (number < 0 || number >= chunks()) {
            return;
        }
        if (before >= 0 && before < lanes) {
            course.await(lane, before);
        }
        course.lane(lane);
        int from = number * chunk;
        int to = from + Math.min(timeSteps - from, chunk);
        for (int k = 0; k < layers; k++) {
            int layer = upwards ? k : layers - 1 - k;
            if (lane(layer) == lane) {
                course.chunk(layer, from, to);
            }
        }
    }

    /** In words, for the end of a line. */
    @Override
    public String toString() {
        return layers + " layers side by side in " + lanes + " lanes, " + chunks() + " chunks of " + chunk + " steps";
    }
}
