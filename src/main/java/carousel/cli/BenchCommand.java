package carousel.cli;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.Gate;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel bench}. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Times an LSTM stack on every available engine: inference, gradient (forward and backward) and training step (the "
                        + "same and Adam), with the upload of a batch, in ms and GFLOP/s. Without options: the tutorial's LSTM(128) on rows of MNIST.")
final class BenchCommand implements Callable<Integer> {
    private static final int LARGEST = 1 << 16;
    /** Timings of one mode; their median and range are shown. */
    private static final int TIMINGS = 9;
    /** What one timing takes at least: a call's own jitter is small beside it. */
    private static final double LEAST_SECONDS = 0.02;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec commandSpec;

    @Option(
            names = "--engine",
            paramLabel = "NAME,...",
            split = ",",
            description = "Engines to time. Default: all that are available, but the reference.")
    private List<String> engines;

    @Option(
            names = "--shape",
            paramLabel = "NAME,...",
            split = ",",
            description = "Sizes by name: ${COMPLETION-CANDIDATES}; the options below change them. Default: mnist.")
    private List<Sizes> shapes = List.of(Sizes.MNIST);

    @Option(names = "--batch", paramLabel = "N", description = "Sequences. Default: the shape's.")
    private Integer givenBatch;

    @Option(names = "--time-steps", paramLabel = "N", description = "Time steps. Default: the shape's.")
    private Integer givenTimeSteps;

    @Option(names = "--input", paramLabel = "N", description = "Input size. Default: the shape's.")
    private Integer givenInputSize;

    @Option(names = "--hidden", paramLabel = "N", description = "Hidden size. Default: the shape's.")
    private Integer givenHidden;

    @Option(names = "--layers", paramLabel = "N", description = "Stacked layers. Default: the shape's.")
    private Integer givenLayers;

    @Option(names = "--bidirectional", description = "Read in both directions.")
    private boolean bidirectional;

    @Mixin
    private CellOptions cell;

    @Option(
            names = "--precision",
            paramLabel = "TYPE",
            description = "fp64, fp32, tf32, bf16 or fp16; engines without it are left out. Default: the engine's own.")
    private String precision;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Worker threads of a CPU engine. Default: all processors.")
    private Integer threads;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            description = "How long each mode runs before it is timed, and is timed. Default: ${DEFAULT-VALUE}.")
    private double seconds = 2;

    @Option(names = "--json", description = "Print one JSON object a line and nothing else.")
    private boolean json;

    private int batch;
    private int timeSteps;
    private int inputSize;
    private int hidden;
    private int layers;

    /** Sizes that LSTMs are used at. */
    enum Sizes {
        /** The tutorial's, on rows of MNIST. */
        MNIST(128, 28, 28, 128, 1),
        /** Frames of sound into words. */
        SPEECH(64, 100, 256, 512, 2),
        /** Zaremba et al. (2014), a medium language model. */
        LANGUAGE(32, 50, 650, 650, 2),
        /** The default of {@code train --task text}. */
        TEXT(32, 100, 64, 256, 2),
        /** One sequence by itself. */
        SINGLE(1, 100, 128, 256, 1);

        private final int batch;
        private final int timeSteps;
        private final int inputSize;
        private final int hidden;
        private final int layers;

        Sizes(int batch, int timeSteps, int inputSize, int hidden, int layers) {
            this.batch = batch;
            this.timeSteps = timeSteps;
            this.inputSize = inputSize;
            this.hidden = hidden;
            this.layers = layers;
        }

        /** As it is typed. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private enum Mode {
        INFERENCE(1),
        GRADIENT(3),
        STEP(3);

        /** Products, in those of a forward pass: each of W and R is multiplied once forward and twice backward. */
        private final int products;

        Mode(int products) {
            this.products = products;
        }
    }

    @Override
    public Integer call() {
        Check.positive("--seconds", seconds);
        EngineOptions options = EngineOptions.defaults();
        if (threads != null) {
            options = options.withThreads(Check.range("--threads", threads, 1, 1024));
        }
        if (precision != null) {
            options = options.withPrecision(Check.choice("--precision", precision, Precision.class));
        }
        List<EngineProvider> chosen = chosen();
        List<String> leftOut = new ArrayList<>();
        // All of them first: what cannot be is refused before anything is timed.
        shapes.forEach(this::spec);
        boolean any = false;
        for (Sizes shape : shapes) {
            any |= time(spec(shape), chosen, options, leftOut);
        }
        PrintWriter out = commandSpec.commandLine().getOut();
        out.flush();
        if (!any) {
            throw new EngineException("no engine was timed: " + String.join("; ", leftOut)
                    + " ('carousel doctor' says what is available here)");
        }
        if (!json) {
            leftOut.stream().distinct().forEach(reason -> out.println("left out: " + reason));
            out.flush();
        }
        return 0;
    }

    /** Takes the sizes of a shape, changed by what is given, and returns the stack of these sizes. */
    private LstmSpec spec(Sizes shape) {
        batch = size("--batch", givenBatch, shape.batch, LARGEST);
        timeSteps = size("--time-steps", givenTimeSteps, shape.timeSteps, LARGEST);
        inputSize = size("--input", givenInputSize, shape.inputSize, LARGEST);
        hidden = size("--hidden", givenHidden, shape.hidden, LARGEST);
        layers = size("--layers", givenLayers, shape.layers, LstmSpec.LARGEST_DEPTH);
        LstmSpec spec = LstmSpec.of(inputSize, hidden)
                .withLayers(layers)
                .withDirection(bidirectional ? Direction.BIDIRECTIONAL : Direction.FORWARD);
        CellOptions.Settings settings = cell.settings(hidden);
        if (settings.chronoSteps() != 0) {
            throw new IllegalArgumentException("--chrono says where a training starts and changes no time but got "
                    + settings.chronoSteps() + ": leave it out");
        }
        spec = settings.on(spec);
        requireSizes(spec);
        return spec;
    }

    private static int size(String option, Integer given, int otherwise, int most) {
        return given == null ? otherwise : Check.range(option, given, 1, most);
    }

    /** Times one stack on the engines; returns whether any of them did it. */
    private boolean time(LstmSpec spec, List<EngineProvider> chosen, EngineOptions options, List<String> leftOut) {
        PrintWriter out = commandSpec.commandLine().getOut();
        boolean any = false;
        for (EngineProvider provider : chosen) {
            Optional<Engine> opened = open(provider, options, leftOut);
            if (opened.isEmpty()) {
                continue;
            }
            try (Engine engine = opened.get()) {
                if (engine.refusal(spec).isPresent()) {
                    leftOut.add(provider.name() + ", " + engine.refusal(spec).get());
                    continue;
                }
                if (!any && !json) {
                    printHeader(out, spec);
                }
                any = true;
                for (Mode mode : Mode.values()) {
                    print(out, engine, mode, spec, time(engine, spec, mode));
                }
                if (!json) {
                    out.println("           " + engine.description());
                }
            }
        }
        return any;
    }

    private List<EngineProvider> chosen() {
        List<EngineProvider> all = Engines.providers();
        if (engines == null) {
            return all.stream()
                    .filter(provider -> !provider.name().equals("reference")
                            && provider.unavailable().isEmpty())
                    .toList();
        }
        List<EngineProvider> chosen = new ArrayList<>();
        for (String name : engines) {
            chosen.add(all.stream()
                    .filter(provider -> provider.name().equals(name))
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException("--engine should be one of "
                            + String.join(
                                    ", ", all.stream().map(EngineProvider::name).toList())
                            + " but got '" + name + "'")));
        }
        return chosen;
    }

    /** A named engine has to be there; the others are left out, with the reason, where they cannot do what is asked. */
    private Optional<Engine> open(EngineProvider provider, EngineOptions options, List<String> leftOut) {
        if (engines != null) {
            return Optional.of(Engines.open(provider.name(), options));
        }
        try {
            return Optional.of(provider.open(options));
        } catch (EngineException refused) {
            leftOut.add(provider.name() + ", " + refused.getMessage());
            return Optional.empty();
        }
    }

    private void printHeader(PrintWriter out, LstmSpec spec) {
        out.printf(
                Locale.ROOT,
                "N=%d T=%d C=%d H=%d, %d layer%s%s%s, %.2f GFLOP forward%n",
                batch,
                timeSteps,
                inputSize,
                hidden,
                layers,
                layers == 1 ? "" : "s",
                bidirectional ? ", both directions" : "",
                spec.features().stream()
                        .map(LstmFeature::label)
                        .map(", "::concat)
                        .collect(Collectors.joining()),
                flops(spec) / 1e9);
        out.println("engine     mode         median ms      least       most   GFLOP/s");
    }

    /** That no tensor has more elements than an index can count. */
    private void requireSizes(LstmSpec spec) {
        long parameters;
        long rows = (long) batch * timeSteps;
        long widest = Math.max(spec.inputSize(), Math.max(spec.sequenceWidth(), (long) Gate.COUNT * spec.hiddenSize()));
        try {
            parameters = LstmLayout.of(spec).elements();
        } catch (ArithmeticException | IllegalArgumentException tooLarge) {
            parameters = Long.MAX_VALUE;
        }
        if (parameters > Integer.MAX_VALUE || rows * widest > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "the parameters, and the numbers of a batch over all time steps, should be at most "
                            + Integer.MAX_VALUE + " each: lower --hidden, --batch, --time-steps, --input or --layers");
        }
    }

    /** Multiplications and additions of a forward pass. */
    private double flops(LstmSpec spec) {
        double weights = 0;
        for (int layer = 0; layer < spec.layers(); layer++) {
            weights += (double) Gate.COUNT * spec.hiddenSize() * (spec.layerInputSize(layer) + spec.outputSize());
            weights += (double) spec.projectionSize() * spec.hiddenSize();
        }
        return 2 * weights * spec.direction().cells() * batch * timeSteps;
    }

    /** Sorted times of one run, in seconds. */
    private double[] time(Engine engine, LstmSpec spec, Mode mode) {
        RandomSequence random = new RandomSequence(1, 0, 0);
        int elements = Math.toIntExact(LstmLayout.of(spec).elements());
        try (Scope model = engine.openScope("model")) {
            Tensor parameters = drawn(engine, model, "parameters", random, Math.sqrt(1.0 / hidden), elements);
            Tensor gradients = model.allocate("gradients", elements);
            Tensor first = model.allocate("m", elements);
            Tensor second = model.allocate("v", elements);
            engine.fill(first, 0);
            engine.fill(second, 0);
            float[] batchOfX = uniform(random, 1, timeSteps * batch * inputSize);
            Tensor dy = drawn(engine, model, "dy", random, 0.01, timeSteps, batch, spec.sequenceWidth());
            long[] steps = new long[1];
            Runnable once = () -> {
                try (Scope step = engine.openScope("step")) {
                    // As in training, a batch comes from the host each time.
                    Tensor x = step.allocate("x", timeSteps, batch, inputSize);
                    engine.write(x, batchOfX);
                    Tensor y = step.allocate("y", timeSteps, batch, spec.sequenceWidth());
                    LstmTape tape = mode == Mode.INFERENCE ? null : engine.openTape(step, spec, timeSteps, batch);
                    // In training, what is random is drawn anew at each step.
                    LstmInput input = LstmInput.of(x)
                            .withDropout(mode == Mode.INFERENCE ? null : new RandomKey(1, 0, ++steps[0]));
                    engine.lstmForward(spec, parameters, input, new LstmOutput(y, null), tape);
                    if (mode != Mode.INFERENCE) {
                        engine.fill(gradients, 0);
                        engine.lstmBackward(tape, new LstmOutput(dy, null), gradients, LstmInputGradient.NONE);
                    }
                    if (mode == Mode.STEP) {
                        engine.update(
                                new Update(
                                        new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), Math.max(1, steps[0]), 1e-6, 0, null),
                                parameters,
                                gradients,
                                first,
                                second);
                    }
                }
            };
            double each = repeat(engine, once, seconds);
            double slice = Math.max(LEAST_SECONDS, seconds / TIMINGS);
            int calls = (int) Math.max(1, Math.min(1 << 20, slice / each));
            double[] times = new double[TIMINGS];
            for (int k = 0; k < TIMINGS; k++) {
                long start = System.nanoTime();
                for (int call = 0; call < calls; call++) {
                    once.run();
                }
                engine.synchronize();
                times[k] = (System.nanoTime() - start) / 1e9 / calls;
            }
            Arrays.sort(times);
            return times;
        }
    }

    /** Runs for so long, and at least twice; returns the seconds of a call in the second half. */
    private static double repeat(Engine engine, Runnable once, double forSeconds) {
        once.run();
        engine.synchronize();
        long begin = System.nanoTime();
        int calls = 1;
        while (true) {
            long start = System.nanoTime();
            for (int call = 0; call < calls; call++) {
                once.run();
            }
            engine.synchronize();
            long end = System.nanoTime();
            if (end - begin >= forSeconds * 1e9) {
                return (end - start) / 1e9 / calls;
            }
            calls = Math.min(2 * calls, 1 << 16);
        }
    }

    private static Tensor drawn(
            Engine engine, Scope scope, String name, RandomSequence random, double limit, int... extents) {
        Tensor tensor = scope.allocate(name, extents);
        engine.write(tensor, uniform(random, limit, Math.toIntExact(tensor.elements())));
        return tensor;
    }

    private static float[] uniform(RandomSequence random, double limit, int count) {
        float[] values = new float[count];
        for (int e = 0; e < count; e++) {
            values[e] = (float) (limit * (2 * random.nextDouble() - 1));
        }
        return values;
    }

    private void print(PrintWriter out, Engine engine, Mode mode, LstmSpec spec, double[] times) {
        double median = times[TIMINGS / 2];
        double rate = flops(spec) * mode.products / median / 1e9;
        if (!json) {
            out.printf(
                    Locale.ROOT,
                    "%-10s %-10s %11.4f %10.4f %10.4f %9.1f%n",
                    engine.name(),
                    mode.name().toLowerCase(Locale.ROOT),
                    median * 1e3,
                    times[0] * 1e3,
                    times[TIMINGS - 1] * 1e3,
                    rate);
            out.flush();
            return;
        }
        JsonObject line = new JsonObject();
        line.addProperty("engine", engine.name());
        line.addProperty("description", engine.description());
        line.addProperty("precision", engine.precision().name());
        line.addProperty("version", Version.number());
        line.addProperty("java", System.getProperty("java.vm.version"));
        line.addProperty("mode", mode.name().toLowerCase(Locale.ROOT));
        line.addProperty("batch", batch);
        line.addProperty("timeSteps", timeSteps);
        line.addProperty("inputSize", inputSize);
        line.addProperty("hiddenSize", hidden);
        line.addProperty("layers", layers);
        line.addProperty("bidirectional", bidirectional);
        JsonArray features = new JsonArray();
        spec.features().forEach(feature -> features.add(feature.name().toLowerCase(Locale.ROOT)));
        line.add("features", features);
        line.addProperty("medianMs", median * 1e3);
        line.addProperty("leastMs", times[0] * 1e3);
        line.addProperty("mostMs", times[TIMINGS - 1] * 1e3);
        line.addProperty("gflops", rate);
        out.println(new Gson().toJson(line));
        out.flush();
    }
}
