package carousel.benchmark;

import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.LstmActivations;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.format.JsonLines;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What each option of a cell costs next to the plain cell, on workload A: all of them in one JVM and in turns, so that whatever else
 * the machine does meets all alike. A round runs every option some times, and its ratio is that of its fastest call to the plain cell's
 * fastest in the same round. In training a call is a forward pass with a tape, a backward pass and a step of Adam; in inference a forward
 * pass without random numbers.
 *
 * <p>Arguments: the number of threads (2), of rounds (15), {@code record} to append to the results, {@code only=NAME} to
 * set one option beside the plain cell.
 */
public final class OptionCosts {
    private static final Workload WORKLOAD = Workload.A;
    private static final int WARM_UP_CALLS = 150;
    private static final int CALLS = 5;

    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    private OptionCosts() {}

    public static void main(String[] arguments) throws IOException, InterruptedException {
        int threads = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2;
        int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 15;
        boolean records = Arrays.asList(arguments).contains("record");
        List<String> only = Arrays.stream(arguments)
                .filter(argument -> argument.startsWith("only="))
                .map(argument -> argument.substring("only=".length()))
                .toList();
        String commit = Record.commit();
        try (Engine engine = Engines.open("vector", new EngineOptions(threads, null, false));
                Scope scope = engine.openScope("benchmark")) {
            for (boolean training : new boolean[] {true, false}) {
                List<Arm> arms = new ArrayList<>();
                specs().forEach((name, spec) -> {
                    if (only.isEmpty() || name.equals("plain") || only.contains(name)) {
                        arms.add(new Arm(engine, scope, name, spec, training, threads == 1));
                    }
                });
                measure(arms, rounds);
                for (Arm arm : arms) {
                    System.out.printf(
                            Locale.ROOT,
                            "%-9s %d threads  %-26s %7.3f ms  ratio %.2f  (%.2f to %.2f)  %d bytes%n",
                            training ? "training" : "inference",
                            threads,
                            arm.name,
                            Record.median(arm.milliseconds),
                            Record.median(arm.ratios),
                            arm.ratios[0],
                            arm.ratios[rounds - 1],
                            arm.bytes);
                }
                if (records) {
                    record(arms, training, threads, commit);
                }
            }
        }
    }

    private static Map<String, LstmSpec> specs() {
        LstmSpec plain = WORKLOAD.spec();
        LstmActivations usual = LstmActivations.STANDARD;
        Map<String, LstmSpec> specs = new LinkedHashMap<>();
        specs.put("plain", plain);
        specs.put("cell clip", plain.withCellClip(3));
        specs.put("peepholes", plain.withPeepholes(true));
        specs.put("gate clip", plain.withGateClip(3));
        specs.put("coupled gates", plain.withCoupledGates(true));
        for (Kind kind : Kind.values()) {
            CellActivation activation = new CellActivation(kind, 0.4, 0.5);
            LstmActivations all = new LstmActivations(
                    kind == Kind.SIGMOID ? CellActivation.of(Kind.HARD_SIGMOID) : usual.gates(),
                    activation,
                    activation);
            specs.put(kind.onnxName() + " for tanh", plain.withActivations(all));
        }
        specs.put("layer normalization", plain.withLayerNormalization(true));
        specs.put("recurrent dropout", plain.withRecurrentDropout(0.3));
        specs.put("candidate dropout", plain.withCandidateDropout(0.3));
        specs.put("recurrent weight dropout", plain.withRecurrentWeightDropout(0.3));
        specs.put("zoneout h", plain.withZoneout(0.3, 0));
        specs.put("zoneout c", plain.withZoneout(0, 0.3));
        specs.put("zoneout h and c", plain.withZoneout(0.3, 0.3));
        specs.put(
                "all but activations",
                plain.withPeepholes(true)
                        .withGateClip(3)
                        .withCellClip(3)
                        .withCoupledGates(true)
                        .withLayerNormalization(true)
                        .withRecurrentDropout(0.3)
                        .withCandidateDropout(0.3)
                        .withRecurrentWeightDropout(0.3)
                        .withZoneout(0.3, 0.3));
        specs.remove("Tanh for tanh");
        return specs;
    }

    private static void measure(List<Arm> arms, int rounds) {
        for (Arm arm : arms) {
            arm.milliseconds = new double[rounds];
            arm.ratios = new double[rounds];
            for (int call = 0; call < WARM_UP_CALLS; call++) {
                arm.call();
            }
        }
        for (int round = 0; round < rounds; round++) {
            // A slow drift of the machine's speed cancels out over an even and an odd round.
            for (int k = 0; k < arms.size(); k++) {
                Arm arm = arms.get(round % 2 == 0 ? k : arms.size() - 1 - k);
                arm.milliseconds[round] = arm.fastest();
            }
            for (Arm arm : arms) {
                arm.ratios[round] = arm.milliseconds[round] / arms.get(0).milliseconds[round];
            }
        }
        for (Arm arm : arms) {
            Arrays.sort(arm.milliseconds);
            Arrays.sort(arm.ratios);
            arm.bytes = arm.allocated();
        }
    }

    private static void record(List<Arm> arms, boolean training, int threads, String commit) throws IOException {
        try (JsonLines file = JsonLines.append(Record.RESULTS.resolve("OptionCosts.jsonl"))) {
            for (Arm arm : arms) {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("option", arm.name);
                fields.put("mode", training ? "training" : "inference");
                fields.put("threads", threads);
                fields.put("ratio", Record.median(arm.ratios));
                fields.put("ratioMin", arm.ratios[0]);
                fields.put("ratioMax", arm.ratios[arm.ratios.length - 1]);
                fields.put("milliseconds", Record.median(arm.milliseconds));
                fields.put("rounds", arm.ratios.length);
                fields.put("bytes", arm.bytes);
                Record.putOrigin(fields, commit, System.getProperty("java.version"));
                file.write(fields);
            }
        }
    }

    /** One option with all that its calls need. */
    private static final class Arm {
        final String name;
        private final Engine engine;
        private final LstmSpec spec;
        private final Tensor parameters;
        private final Tensor gradients;
        private final Tensor first;
        private final Tensor second;
        private final Tensor x;
        private final LstmOutput output;
        private final LstmOutput outputGradient;
        private final LstmTape tape;
        private final boolean single;
        private long calls;
        double[] milliseconds;
        double[] ratios;
        long bytes;

        Arm(Engine engine, Scope scope, String name, LstmSpec spec, boolean training, boolean single) {
            this.single = single;
            this.engine = engine;
            this.name = name;
            this.spec = spec;
            int steps = WORKLOAD.timeSteps();
            int batch = WORKLOAD.batchSize();
            x = scope.allocate("x", steps, batch, WORKLOAD.features());
            engine.write(x, Workload.draw(x.elements(), 1, 1));
            int elements = Math.toIntExact(LstmLayout.of(spec).elements());
            parameters = scope.allocate("parameters", elements);
            engine.write(parameters, Workload.draw(elements, 1 / Math.sqrt(WORKLOAD.hidden()), 2));
            gradients = scope.allocate("gradients", elements);
            first = scope.allocate("first", elements);
            second = scope.allocate("second", elements);
            engine.fill(gradients, 0);
            engine.fill(first, 0);
            engine.fill(second, 0);
            output = new LstmOutput(scope.allocate("y", steps, batch, WORKLOAD.hidden()), null);
            Tensor dy = scope.allocate("dy", steps, batch, WORKLOAD.hidden());
            engine.write(dy, Workload.draw(dy.elements(), 1e-3, 3));
            outputGradient = new LstmOutput(dy, null);
            tape = training ? engine.openTape(scope, spec, steps, batch) : null;
        }

        void call() {
            calls++;
            LstmInput input = LstmInput.of(x);
            if (tape == null) {
                engine.lstmForward(spec, parameters, input, output, null);
                return;
            }
            engine.fill(gradients, 0);
            engine.lstmForward(spec, parameters, input.withDropout(new RandomKey(1, 2, calls)), output, tape);
            engine.lstmBackward(tape, outputGradient, gradients, LstmInputGradient.NONE);
            // A step so small that weights stay where they are: saturated cells would not be the same work.
            Update update = new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), calls, 1e-7, 0, null);
            engine.update(update, parameters, gradients, first, second);
        }

        /** A single thread's own time, which other programs' work does not lengthen; with several, that of the clock. */
        private long now() {
            return single ? THREADS.getCurrentThreadCpuTime() : System.nanoTime();
        }

        double fastest() {
            long fastest = Long.MAX_VALUE;
            for (int k = 0; k < CALLS; k++) {
                long start = now();
                call();
                fastest = Math.min(fastest, now() - start);
            }
            return fastest * 1e-6;
        }

        /** Bytes that the calling thread allocates in a call. */
        long allocated() {
            // More stacks than an engine remembers: the first call packs its weights anew.
            call();
            long before = THREADS.getCurrentThreadAllocatedBytes();
            for (int k = 0; k < CALLS; k++) {
                call();
            }
            return (THREADS.getCurrentThreadAllocatedBytes() - before) / CALLS;
        }
    }
}
