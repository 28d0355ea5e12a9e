package carousel.engine.cuda.fused;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineException;
import carousel.fixture.Property;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class WavefrontTest {
    /** Does what it is asked for when lanes take the time that they have to: each chunk of a layer one unit. */
    private static final class Clock implements Wavefront.Course {
        private final boolean upwards;
        private final int[] done;
        private final int[] free;
        private final Map<List<Integer>, Integer> ends = new HashMap<>();
        private final List<String> order = new ArrayList<>();
        private int lane;

        Clock(Wavefront wavefront, boolean upwards) {
            this.upwards = upwards;
            this.done = new int[wavefront.layers()];
            Arrays.fill(done, upwards ? 0 : wavefront.timeSteps());
            this.free = new int[wavefront.lanes()];
        }

        @Override
        public void lane(int newLane) {
            lane = newLane;
        }

        @Override
        public void await(int waiting, int other) {
            free[waiting] = Math.max(free[waiting], free[other]);
        }

        @Override
        public void chunk(int layer, int from, int to) {
            assertEquals(done[layer], upwards ? from : to, "where layer " + layer + " goes on");
            done[layer] = upwards ? to : from;
            int begin = free[lane];
            // What it reads is there, and its lane knows so.
            Integer read = ends.get(List.of(layer + (upwards ? -1 : 1), from));
            boolean first = layer == (upwards ? 0 : done.length - 1);
            assertTrue(first || read != null && read <= begin, "layer " + layer + ", step " + from);
            ends.put(List.of(layer, from), begin + 1);
            free[lane] = begin + 1;
            order.add(layer + ":" + from + "-" + to);
        }

        int end() {
            return Arrays.stream(free).max().orElseThrow();
        }
    }

    private static Clock run(Wavefront wavefront, boolean upwards) {
        Clock clock = new Clock(wavefront, upwards);
        if (upwards) {
            wavefront.forward(clock);
        } else {
            wavefront.backward(clock);
        }
        for (int done : clock.done) {
            assertEquals(upwards ? wavefront.timeSteps() : 0, done);
        }
        return clock;
    }

    @Test
    void layersTakeTheirChunksInTurns() {
        Wavefront wavefront = new Wavefront(2, 2, 5, 2);
        assertEquals(List.of("0:0-2", "1:0-2", "0:2-4", "1:2-4", "0:4-5", "1:4-5"), run(wavefront, true).order);
        assertEquals(List.of("1:4-5", "0:4-5", "1:2-4", "0:2-4", "1:0-2", "0:0-2"), run(wavefront, false).order);
        assertEquals("2 layers side by side in 2 lanes, 3 chunks of 2 steps", wavefront.toString());
    }

    /** K chunks in D lanes take as long as K + D - 1 of those of the lane that has most layers. */
    @ParameterizedTest
    @CsvSource({"2, 2", "3, 3", "4, 4", "3, 2", "4, 2", "5, 4", "8, 3", "9, 2"})
    void noLaneWaitsLongerThanItMust(int layers, int lanes) {
        for (int steps : new int[] {2, 3, 7, 8}) {
            Wavefront wavefront = new Wavefront(layers, lanes, steps, 1);
            int most = IntStream.range(0, lanes)
                    .map(lane -> (int) IntStream.range(0, layers)
                            .filter(layer -> wavefront.lane(layer) == lane)
                            .count())
                    .max()
                    .orElseThrow();
            assertEquals((layers + lanes - 1) / lanes, most, "layers of a lane");
            assertTrue(run(wavefront, true).end() <= (steps + lanes - 1) * most);
            assertTrue(run(wavefront, false).end() <= (steps + lanes - 1) * most);
        }
    }

    @Test
    void chunksAreAsManyAsPayOff() {
        assertEquals(Optional.empty(), Wavefront.of("true", 2, 95, 4), "one chunk would be best");
        assertEquals(Optional.of(new Wavefront(2, 2, 96, 48)), Wavefront.of("true", 2, 96, 4));
        assertEquals(Optional.of(new Wavefront(2, 2, 1000, 167)), Wavefront.of("true", 2, 1000, 4));
        assertEquals(Optional.of(new Wavefront(3, 3, 1000, 112)), Wavefront.of("true", 3, 1000, 4));
        assertEquals(Optional.of(new Wavefront(3, 2, 1000, 167)), Wavefront.of("true", 3, 1000, 2));
        assertEquals(Optional.empty(), Wavefront.of("true", 1, 1000, 4), "one layer");
        assertEquals(Optional.empty(), Wavefront.of("true", 2, 1000, 1), "no room for a second lane");
        assertEquals(Optional.empty(), Wavefront.of("true", 2, 1000, 0), "no room for all blocks of one layer at once");
        assertEquals(Optional.empty(), Wavefront.of("false", 2, 1000, 4));
        assertEquals(Optional.of(new Wavefront(2, 2, 5, 4)), Wavefront.of("4", 2, 5, 4));
        assertEquals(Optional.empty(), Wavefront.of("5", 2, 5, 4), "one chunk");
        int most = Integer.MAX_VALUE;
        assertEquals(Optional.of(new Wavefront(4, 4, most, 131081)), Wavefront.of("true", 4, most, 4));
    }

    @ParameterizedTest
    @ValueSource(strings = {"yes", "0", "-1", "2.5", "1000000000", ""})
    void otherSettingsAreRefused(String text) {
        assertRefused(
                EngineException.class,
                () -> Property.with(Wavefront.PROPERTY, text, Wavefront::setting),
                Wavefront.PROPERTY,
                "'" + text + "'");
    }

    @Test
    void settingsAreWordsOrNumbers() {
        assertEquals("true", Property.with(Wavefront.PROPERTY, null, Wavefront::setting));
        assertEquals("false", Property.with(Wavefront.PROPERTY, " false ", Wavefront::setting));
        assertEquals("999999999", Property.with(Wavefront.PROPERTY, "999999999", Wavefront::setting));
    }
}
