package carousel.numerics;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;

/**
 * Measures the error of a layer over sequences of several lengths, against the reference, and prints the table of the page on numerics
 * for the engines that are available here.
 */
final class LongSequences {
    /** Of the columns of a row. */
    static final List<String> QUANTITIES = List.of("y", "h_T", "c_T", "dW", "dx");

    static final List<Integer> LENGTHS = List.of(10, 100, 1_000, 10_000);

    /** How long the cells remember. */
    enum Memory {
        /** Weights as in the contract: what a cell holds is gone after a few steps. */
        SHORT(0),
        /** With forget gates of about 0.9975, which keep a part of a cell for hundreds of steps. */
        LONG(6);

        private final double forgetBias;

        Memory(double forgetBias) {
            this.forgetBias = forgetBias;
        }
    }

    private static final LstmSpec SPEC = LstmSpec.of(8, 32);
    private static final int BATCH = 2;

    /** Of cuDNN's algorithms, the fastest would be chosen at every length. */
    private static final String CUDNN_ALGORITHM = "carousel.cudnn.algorithm";

    /** What is computed. */
    record Case(Memory memory, int timeSteps) {
        /** In the order of the table. */
        static List<Case> all() {
            return Stream.concat(
                            LENGTHS.stream().map(timeSteps -> new Case(Memory.SHORT, timeSteps)),
                            Stream.of(new Case(Memory.LONG, 10_000)))
                    .toList();
        }
    }

    private static final Map<Case, LstmResult> REFERENCE = new ConcurrentHashMap<>();

    private LongSequences() {}

    /**
     * A line of the table.
     *
     * @param errors in the order of {@link #QUANTITIES}: the largest error of an element, as a part of the largest element
     */
    record Row(String engine, Precision precision, Case what, double[] errors) {
        /** The cells before the errors: no two lines have the same. */
        static String key(String engine, Precision precision, Case what) {
            return String.format(
                    Locale.ROOT,
                    "| %s | %s | %s | %,d | ",
                    engine,
                    precision,
                    what.memory().name().toLowerCase(Locale.ROOT),
                    what.timeSteps());
        }

        @Override
        public String toString() {
            return key(engine, precision, what)
                    + DoubleStream.of(errors)
                            .mapToObj(error -> String.format(Locale.ROOT, "%.1e", error))
                            .collect(Collectors.joining(" | "))
                    + " |";
        }
    }

    private static LstmResult run(Engine engine, Case what) {
        LstmCase lstm = LstmCase.of(SPEC, what.timeSteps(), BATCH);
        LstmData data = LstmData.of(lstm);
        ParameterView bias = LstmLayout.of(SPEC).cell(0).bias();
        int forget = Math.toIntExact(bias.offset()) + Gate.FORGET.ordinal() * SPEC.hiddenSize();
        for (int e = 0; e < SPEC.hiddenSize(); e++) {
            data.parameters()[forget + e] = (float) (data.parameters()[forget + e] + what.memory().forgetBias);
        }
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data);
        }
    }

    private static LstmResult reference(Case what) {
        try (Engine engine = Engines.open("reference")) {
            return run(engine, what);
        }
    }

    /** Runs forward and backward. */
    static Row measure(String name, Precision precision, Case what) {
        LstmResult expected = REFERENCE.computeIfAbsent(what, LongSequences::reference);
        System.setProperty(CUDNN_ALGORITHM, "standard");
        try (Engine engine = Engines.open(
                name, EngineOptions.defaults().withPrecision(precision).withGuards(false))) {
            LstmResult actual = run(engine, what);
            return new Row(name, precision, what, new double[] {
                error(expected.y(), actual.y()),
                error(expected.h(), actual.h()),
                error(expected.c(), actual.c()),
                error(expected.parameterGradients(), actual.parameterGradients()),
                error(expected.dx(), actual.dx())
            });
        } finally {
            System.clearProperty(CUDNN_ALGORITHM);
        }
    }

    private static double error(double[] expected, double[] actual) {
        double largest = 0;
        double error = 0;
        for (int e = 0; e < expected.length; e++) {
            largest = Math.max(largest, Math.abs(expected[e]));
            error = Math.max(error, Math.abs(actual[e] - expected[e]));
        }
        return error / largest;
    }

    /** All that an engine computes in. */
    static List<Precision> precisions(EngineProvider provider) {
        List<Precision> precisions = new ArrayList<>();
        for (Precision precision : Precision.values()) {
            try (Engine engine = provider.open(EngineOptions.defaults().withPrecision(precision))) {
                precisions.add(engine.precision());
            } catch (EngineException refused) {
                // It says so; the table has no line for it.
            }
        }
        return precisions;
    }

    /** Prints the table. */
    public static void main(String[] arguments) {
        System.out.println("| engine | precision | memory | T | " + String.join(" | ", QUANTITIES) + " |");
        System.out.println("|---|---|---|---" + "|---".repeat(QUANTITIES.size()) + "|");
        for (EngineProvider provider : AvailableEngines.providers()) {
            if (!provider.name().equals("reference")) {
                for (Precision precision : precisions(provider)) {
                    for (Case what : Case.all()) {
                        System.out.println(measure(provider.name(), precision, what));
                    }
                }
            }
        }
    }
}
