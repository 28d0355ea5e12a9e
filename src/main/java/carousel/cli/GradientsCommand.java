package carousel.cli;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.AtomicFile;
import carousel.format.Charts;
import carousel.lesson.GradientLesson;
import carousel.lesson.GradientNorms;
import carousel.lesson.LessonReport;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel gradients}. */
@Command(
        name = "gradients",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Shows what becomes of a gradient on its way back through time, in a plain recurrent network and in an "
                        + "LSTM, before and after training both on the adding problem.")
final class GradientsCommand implements Callable<Integer> {
    private static final Gson JSON =
            new GsonBuilder().setPrettyPrinting().serializeNulls().create();

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--time-steps",
            paramLabel = "N",
            description = "Length of the adding problem. Default: ${DEFAULT-VALUE}.")
    private int timeSteps = 100;

    @Option(
            names = "--hidden",
            paramLabel = "N",
            description = "Hidden size of both networks. Default: ${DEFAULT-VALUE}.")
    private int hidden = 32;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description = "Training steps; 0 looks at the untrained networks only. Default: ${DEFAULT-VALUE}.")
    private long steps = 2000;

    @Option(names = "--batch", paramLabel = "N", description = "Sequences per step. Default: ${DEFAULT-VALUE}.")
    private int batch = 32;

    @Option(names = "--learning-rate", paramLabel = "R", description = "Of Adam. Default: ${DEFAULT-VALUE}.")
    private double learningRate = 0.005;

    @Option(
            names = "--forget-bias",
            paramLabel = "B",
            description = "What the bias of the LSTM's forget gate starts with: at 5 it stays open. Default: "
                    + "${DEFAULT-VALUE}.")
    private double forgetBias = 1;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of everything random. Default: ${DEFAULT-VALUE}.")
    private long seed = 1;

    @Mixin
    private EngineChoice engineChoice;

    @Option(
            names = "--out",
            paramLabel = "FILE.png",
            description = "Where the curves are drawn. Default: ${DEFAULT-VALUE}.")
    private Path out = Path.of("gradients.png");

    @Option(names = "--json", description = "Print one JSON object instead of the table.")
    private boolean json;

    @Override
    public Integer call() throws IOException {
        PrintWriter screen = spec.commandLine().getOut();
        GradientLesson lesson = new GradientLesson(timeSteps, hidden, steps, batch, learningRate, forgetBias, seed);
        AtomicFile.requireWritable(out);
        LessonReport report;
        String engineName;
        try (Engine engine = engineChoice.open(Engines.AUTO)) {
            engineName = engine.name();
            report = run(lesson, engine);
        }
        Optional<String> undrawn = Charts.write(out, List.of(chart(report)));
        if (json) {
            screen.println(JSON.toJson(facts(lesson, engineName, report, undrawn)));
        } else {
            print(screen, report);
            screen.println(undrawn.map(reason -> "No picture: " + reason + ".")
                    .orElse("The curves are drawn in '" + out + "'."));
        }
        screen.flush();
        return 0;
    }

    private LessonReport run(GradientLesson lesson, Engine engine) {
        PrintWriter lines = spec.commandLine().getErr();
        Map<String, Progress> bars = new LinkedHashMap<>();
        try {
            return lesson.run(engine, (network, step, loss) -> {
                Progress bar = bars.computeIfAbsent(network, name -> {
                    bars.values().forEach(Progress::close);
                    return new Progress(lines, name, steps);
                });
                bar.stepTo(step, String.format(Locale.ROOT, "loss: %.4f", loss));
            });
        } finally {
            bars.values().forEach(Progress::close);
        }
    }

    private void print(PrintWriter screen, LessonReport report) {
        boolean trained = report.rnn().after() != null;
        screen.println(
                "What is left of the gradient of the last step's loss, with respect to the state of earlier steps");
        screen.println();
        String columns = "%10s %12s %12s" + (trained ? "   %12s %12s" : "");
        screen.println(String.format(
                        Locale.ROOT,
                        "%-10s %-25s   %s",
                        "",
                        "as initialised",
                        trained ? "after " + steps + " steps" : "")
                .stripTrailing());
        screen.println(String.format(Locale.ROOT, columns, "steps back", "RNN", "LSTM", "RNN", "LSTM"));
        for (int back : shownSteps(timeSteps)) {
            screen.println(String.format(
                    Locale.ROOT,
                    columns,
                    back,
                    number(report.rnn().before().left(back)),
                    number(report.lstm().before().left(back)),
                    trained ? number(report.rnn().after().left(back)) : "",
                    trained ? number(report.lstm().after().left(back)) : ""));
        }
        screen.println();
        screen.println("Each number is a norm divided by that at the last step: the root mean square over "
                + GradientLesson.PROBE_SEQUENCES + " sequences of the L2");
        screen.println("norm of the gradient with respect to h, in the LSTM to h and c together.");
        screen.println();
        screen.println(sentence("RNN", report.rnn()));
        screen.println(sentence("LSTM", report.lstm()));
        screen.print(carousel(report.lstm()));
        screen.println(String.format(
                Locale.ROOT,
                "Mean squared error on %d other sequences%s: RNN %.4f, LSTM %.4f; always answering 1 has %.4f.",
                GradientLesson.TEST_SEQUENCES,
                trained ? "" : ", untrained",
                report.rnn().error(),
                report.lstm().error(),
                report.trivialError()));
        if (trained) {
            screen.println(String.format(
                    Locale.ROOT,
                    "Training took %.1f s and %.1f s.",
                    report.rnn().seconds(),
                    report.lstm().seconds()));
        }
    }

    /** 0, 1, 2, 5, 10, 20, ... and the last. */
    static int[] shownSteps(int timeSteps) {
        TreeSet<Integer> shown = new TreeSet<>(List.of(0, timeSteps));
        for (long decade = 1; decade <= timeSteps; decade *= 10) {
            for (int leading : new int[] {1, 2, 5}) {
                if (leading * decade < timeSteps) {
                    shown.add(Math.toIntExact(leading * decade));
                }
            }
        }
        return shown.stream().mapToInt(Integer::intValue).toArray();
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.1e", value);
    }

    private String sentence(String name, LessonReport.Network network) {
        String text = name + ": over " + timeSteps + " steps the gradient "
                + fate(network.before().left(timeSteps)) + " as initialised";
        return network.after() == null
                ? text + "."
                : text + " and " + fate(network.after().left(timeSteps)) + " after training.";
    }

    private static String fate(double left) {
        if (!(left > 0)) {
            return "is lost altogether";
        } else if (left < 0.1) {
            return "shrinks to " + number(left) + " of its size";
        } else if (left < 10) {
            return String.format(Locale.ROOT, "keeps %.2f of its size", left);
        }
        return "grows to " + number(left) + " times its size";
    }

    /** What keeps the LSTM's gradient, and how much of what arrives at the first step is the cell state's. */
    private String carousel(LessonReport.Network lstm) {
        GradientNorms norms = lstm.after() == null ? lstm.before() : lstm.after();
        double share = norms.cellShare(timeSteps);
        String gates = String.format(
                Locale.ROOT,
                "Its forget gates start near sigmoid(%s) = %.2f (--forget-bias).%n",
                forgetBias,
                1 / (1 + Math.exp(-forgetBias)));
        return Double.isNaN(share)
                ? gates
                : gates
                        + String.format(
                                Locale.ROOT,
                                "Of the square of what is left, %.0f %% is with respect to c, the constant error carousel.%n",
                                100 * share);
    }

    private Charts.Chart chart(LessonReport report) {
        List<Charts.Curve> curves = new ArrayList<>();
        curves.add(curve("RNN as initialised", report.rnn().before()));
        curves.add(curve("LSTM as initialised", report.lstm().before()));
        if (report.rnn().after() != null) {
            curves.add(curve("RNN trained", report.rnn().after()));
            curves.add(curve("LSTM trained", report.lstm().after()));
        }
        return new Charts.Chart(
                "What is left of a gradient on its way back through time",
                "Steps before the end",
                "Gradient norm, 1 at the end",
                true,
                curves);
    }

    private static Charts.Curve curve(String name, GradientNorms norms) {
        int[] back = IntStream.rangeClosed(0, norms.timeSteps()).toArray();
        return new Charts.Curve(
                name,
                Arrays.stream(back).asDoubleStream().toArray(),
                Arrays.stream(back).mapToDouble(norms::left).toArray());
    }

    private Map<String, Object> facts(
            GradientLesson lesson, String engine, LessonReport report, Optional<String> undrawn) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("engine", engine);
        facts.put("settings", lesson);
        facts.put("probeSequences", GradientLesson.PROBE_SEQUENCES);
        facts.put("testSequences", GradientLesson.TEST_SEQUENCES);
        facts.put("trivialError", report.trivialError());
        facts.put("rnn", facts(report.rnn()));
        facts.put("lstm", facts(report.lstm()));
        facts.put("picture", undrawn.isPresent() ? null : out.toString());
        facts.put("undrawn", undrawn.orElse(null));
        return facts;
    }

    private static Map<String, Object> facts(LessonReport.Network network) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("parameters", network.parameters());
        facts.put("error", finite(network.error()));
        facts.put("seconds", network.seconds());
        facts.put("before", facts(network.before()));
        facts.put("after", network.after() == null ? null : facts(network.after()));
        return facts;
    }

    /** Norms by steps before the end. */
    private static Map<String, Object> facts(GradientNorms norms) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("hidden", finite(norms.hidden()));
        facts.put("cell", norms.cell() == null ? null : finite(norms.cell()));
        return facts;
    }

    private static List<Double> finite(double[] values) {
        return Arrays.stream(values).mapToObj(GradientsCommand::finite).toList();
    }

    /** JSON has no infinity and no NaN. */
    private static Double finite(double value) {
        return Double.isFinite(value) ? value : null;
    }
}
