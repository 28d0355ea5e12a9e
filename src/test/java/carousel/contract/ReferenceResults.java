package carousel.contract;

import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Workbench;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.stream.IntStream;

/** What the reference engine says, computed once for all engines that are compared with it. */
final class ReferenceResults {
    private static final int NEARBY = 6;

    private static final Map<LstmCase, LstmResult> LSTM = new ConcurrentHashMap<>();

    private static final Map<LstmCase, Dual<LstmResult>> TANGENTS = new ConcurrentHashMap<>();

    private ReferenceResults() {}

    static LstmResult of(LstmCase lstm) {
        return LSTM.computeIfAbsent(lstm, missing -> of((engine, bench) -> bench.run(missing, LstmData.of(missing))));
    }

    /** The same for some of the numbers that lie so near to the case's own. */
    static List<LstmResult> nearby(LstmCase lstm, double relative) {
        LstmData data = LstmData.of(lstm);
        return IntStream.range(0, NEARBY)
                .mapToObj(k -> of((engine, bench) -> bench.run(lstm, data.nearby(relative, k))))
                .toList();
    }

    /** With tangents, along a direction of the numbers that follow from another case. */
    static Dual<LstmResult> of(LstmCase lstm, LstmCase direction) {
        return TANGENTS.computeIfAbsent(
                lstm, missing -> of((engine, bench) -> bench.runDual(lstm, LstmData.of(lstm), LstmData.of(direction))));
    }

    /** The outcome of any use of the reference engine. */
    static <R> R of(BiFunction<Engine, Workbench, R> use) {
        try (Engine engine = Engines.open("reference");
                Workbench bench = new Workbench(engine)) {
            return use.apply(engine, bench);
        }
    }
}
