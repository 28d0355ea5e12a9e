package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineException;
import carousel.tensor.OutOfTensorMemoryException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Races of words, the first of which is the sure way. */
class RaceTest {
    private static final String SURE = "sure";

    private final Map<String, Float> times = new HashMap<>(Map.of(SURE, 3f, "one", 2f, "two", 1f));
    private final Map<String, RuntimeException> failures = new HashMap<>();
    /** Thrown by the sure way from its second run on. */
    private RuntimeException afterwards;

    private boolean harmless;
    private final List<String> runs = new ArrayList<>();

    private Race.Result<String> race(String... ways) {
        return new Race<>(SURE, way -> way, new Race.Course<String>() {
                    @Override
                    public float milliseconds(String way) {
                        boolean again = runs.contains(way);
                        runs.add(way);
                        if (failures.containsKey(way)) {
                            throw failures.get(way);
                        }
                        if (again && afterwards != null) {
                            throw afterwards;
                        }
                        return times.get(way);
                    }

                    @Override
                    public boolean harmless(EngineException failure) {
                        return harmless;
                    }

                    @Override
                    public String reason(EngineException failure) {
                        return "fails (" + failure.getMessage() + ")";
                    }
                })
                .run(List.of(ways));
    }

    @Test
    void fastestWinsAndTheFirstOfEqualOnes() {
        Race.Result<String> result = race(SURE, "one", "two");
        assertEquals("two", result.best());
        assertEquals(", 1.000 ms against sure 3.000 ms, one 2.000 ms", result.times());
        assertTrue(result.complete());
        assertEquals(Map.of(), result.failed());
        times.replaceAll((way, time) -> 1f);
        assertEquals("one", race("one", "two").best());
        assertEquals(SURE, race(SURE, "one").best());
        assertEquals(", 1.000 ms", race("one").times());
    }

    @Test
    void whatFailsDropsOutWhereTheSureWayGoesOn() {
        failures.put("two", new EngineException("no room"));
        Race.Result<String> result = race(SURE, "one", "two");
        assertEquals("one", result.best());
        assertEquals(Map.of("two", "fails (no room)"), result.failed());
        assertEquals(", 2.000 ms against sure 3.000 ms, two fails (no room)", result.times());
        assertEquals(List.of(SURE, "one", "two", SURE), runs);
        runs.clear();
        harmless = true;
        race(SURE, "two");
        assertEquals(List.of(SURE, "two"), runs, "a failure that says nothing about the device is believed");
    }

    @Test
    void whatIsUnfitDropsOutWithoutAQuestion() {
        failures.put("two", new Race.Unfit("deviates"));
        assertEquals(Map.of("two", "deviates"), race(SURE, "two").failed());
        assertEquals(List.of(SURE, "two"), runs);
    }

    @Test
    void failureOfTheDeviceIsThrown() {
        EngineException first = new EngineException("a kernel failed");
        failures.put("two", first);
        afterwards = new EngineException("the device is gone");
        EngineException thrown = assertThrows(EngineException.class, () -> race(SURE, "two"));
        assertSame(first, thrown);
        assertSame(afterwards, thrown.getSuppressed()[0]);
        failures.put(SURE, new EngineException("it was gone before"));
        assertEquals(
                "it was gone before",
                assertThrows(EngineException.class, () -> race(SURE)).getMessage());
    }

    /** What a kernel did to the device is not to be reported as want of memory. */
    @Test
    void wantOfMemoryDoesNotHideAFailure() {
        EngineException first = new EngineException("a kernel failed");
        failures.put("two", first);
        afterwards = new OutOfTensorMemoryException("nothing is left", null);
        EngineException thrown = assertThrows(EngineException.class, () -> race(SURE, "two"));
        assertSame(first, thrown);
        assertSame(afterwards, thrown.getSuppressed()[0]);
    }

    @Test
    void wantOfMemoryLeavesARaceIncomplete() {
        failures.put("two", new OutOfTensorMemoryException("too large", null));
        Race.Result<String> result = race(SURE, "one", "two");
        assertEquals("one", result.best());
        assertFalse(result.complete());
        assertEquals(", 2.000 ms against sure 3.000 ms, two not measured for want of memory", result.times());
    }
}
