package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.SeriesScaling.Column;
import carousel.data.SeriesScaling.Kind;
import carousel.data.SeriesScaling.Transform;
import carousel.engine.RandomSequence;
import com.google.gson.Gson;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class SeriesScalingTest {
    @Test
    void fitsToTheTrainingValuesAlone() {
        double[] values = {900, 2, 4, 4, 4, 5, 5, 7, 9, -900};
        Column standard = SeriesScaling.fit(Kind.STANDARD, "x", Transform.NONE, values, 1, 9);
        assertEquals(5, standard.offset(), 1e-12);
        assertEquals(2, standard.scale(), 1e-12);
        assertEquals(
                new Column("x", Transform.NONE, 2, 7),
                SeriesScaling.fit(Kind.MIN_MAX, "x", Transform.NONE, values, 1, 9));
        assertEquals(
                new Column("x", Transform.NONE, 0, 1), SeriesScaling.fit(Kind.NONE, "x", Transform.NONE, values, 1, 9));
    }

    @Test
    void aConstantColumnBecomesZeros() {
        double[] values = new double[1000];
        Arrays.fill(values, 0.1);
        for (Kind kind : List.of(Kind.STANDARD, Kind.MIN_MAX)) {
            Column column = SeriesScaling.fit(kind, "c", Transform.NONE, values, 0, values.length);
            assertEquals(new Column("c", Transform.NONE, 0.1, 1), column);
            assertEquals(0, column.scaled(0.1));
        }
        // As large as values may be.
        double[] huge = {3e38, -3e38, 3e38, -3e38};
        Column column = SeriesScaling.fit(Kind.STANDARD, "h", Transform.NONE, huge, 0, 4);
        assertEquals(1, column.scaled(3e38), 1e-12);
    }

    @ParameterizedTest
    @EnumSource
    void scalingInverts(Transform transform) {
        for (int k = 0; k < 200; k++) {
            RandomSequence random = new RandomSequence(6, transform.ordinal(), k);
            double size = Math.pow(10, random.uniform(-6, 6));
            double[] values = new double[20];
            for (int t = 0; t < values.length; t++) {
                values[t] = size * (transform.logarithmic() ? random.uniform(0.01, 1) : random.uniform(-1, 1));
            }
            double[] y = transform.apply(values);
            for (Kind kind : Kind.values()) {
                Column column = SeriesScaling.fit(kind, "x", transform, y, 1, 12);
                double[] scaled = Arrays.stream(y).skip(1).map(column::scaled).toArray();
                assertArrayEquals(
                        Arrays.copyOfRange(values, 1, values.length), column.restored(scaled, values[0]), 1e-9 * size);
            }
        }
    }

    @Test
    void transformsAreWhatTheySay() {
        double[] values = {1, 2, 6};
        assertArrayEquals(new double[] {0, 1, 4}, Transform.DIFFERENCE.apply(values));
        assertArrayEquals(new double[] {0, Math.log(2), Math.log(3)}, Transform.LOG_DIFFERENCE.apply(values), 1e-12);
        assertArrayEquals(new double[] {0, Math.log(2), Math.log(6)}, Transform.LOG.apply(values), 1e-12);
        assertArrayEquals(new double[] {1, 2, 6}, values, "the argument stays");
    }

    @Test
    void comesBackOutOfJson() throws DataException {
        SeriesScaling scaling = new SeriesScaling(
                Kind.STANDARD,
                List.of(
                        new Column("naïve \"x\"", Transform.LOG_DIFFERENCE, -0.1, 1e-300),
                        new Column("y", Transform.NONE, 1 / 3.0, 1)));
        Gson gson = new Gson();
        Map<?, ?> map = gson.fromJson(gson.toJson(scaling.toMap()), Map.class);
        Map<String, Object> named = new LinkedHashMap<>();
        map.forEach((key, value) -> named.put((String) key, value));
        assertEquals(scaling, SeriesScaling.fromMap(named));
    }

    @Test
    void refusesMapsThatAreNone() {
        Map<String, Object> column = Map.of("name", "x", "transform", "none", "offset", 0, "scale", 1);
        assertRefused(DataException.class, () -> SeriesScaling.fromMap(Map.of()), "kind", "'null'");
        refused("columns", Map.of("kind", "standard"));
        refused("columns", Map.of("kind", "standard", "columns", List.of()));
        refused("columns", Map.of("kind", "standard", "columns", List.of("x")));
        refused("kind", Map.of("kind", "bigger", "columns", List.of(column)));
        for (String field : column.keySet()) {
            Map<String, Object> bad = new LinkedHashMap<>(column);
            bad.put(field, field.equals("name") ? 7 : "seven\n");
            refused(field, Map.of("kind", "none", "columns", List.of(bad)));
        }
        for (double scale : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            Map<String, Object> bad = new LinkedHashMap<>(column);
            bad.put("scale", scale);
            refused("scale", Map.of("kind", "none", "columns", List.of(bad)));
        }
        assertThrows(IllegalArgumentException.class, () -> new Column("x", Transform.NONE, 0, 0));
    }

    private static void refused(String field, Map<String, ?> map) {
        String message = assertRefused(DataException.class, () -> SeriesScaling.fromMap(map), "the " + field + " of");
        assertTrue(message.endsWith("train the model again"), message);
    }
}
