package carousel.cli;

import carousel.data.Batch;
import carousel.data.DrawnBatches;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.spark.ClusterException;
import carousel.spark.ClusterSession;
import carousel.spark.ClusterSettings;
import carousel.spark.ClusterSteps;
import carousel.spark.FetchedData;
import carousel.spark.MirroredFolder;
import carousel.spark.SparkRuntime;
import carousel.tensor.Precision;
import carousel.training.Callback;
import carousel.training.RemoteSteps;
import carousel.training.RunFolder;
import carousel.training.Trainer;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;

/** {@code carousel spark train}: {@link TrainCommand} whose steps are taken by a cluster. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Trains a model as carousel train does, with the options and the results of that command, on the executors of a cluster.",
            "Each partition of the data computes its share of every batch; with --local-steps it takes steps by itself, and the "
                    + "parameters are averaged after so many. --data, --out and --resume may be paths of any file system that the "
                    + "cluster knows."
        })
final class SparkTrainCommand extends TrainCommand {
    /** The engine of the driver, which takes the optimizer's step: that of CPUs, whatever the executors have. */
    private static final String ON_DRIVER = "vector";

    private static final String DOUBLE = "reference";

    /** Not what the cluster has at the moment: the results would depend on it. */
    private static final int USUAL_PARTITIONS = 8;

    /** The kind of a line of the metrics. */
    private static final String EXECUTOR = "executor";

    @Option(
            names = "--partitions",
            paramLabel = "N",
            description =
                    "Parts of the data; results depend on it, to rounding, and not on how many executors there are. "
                            + "Default: 8.")
    private Integer partitions;

    @Option(
            names = "--local-steps",
            paramLabel = "N",
            description = "Steps between two averages; with 1 every step is that of a single machine. Default: 1.")
    private Integer localSteps;

    @Option(
            names = "--outer-rate",
            paramLabel = "R",
            description = "With --local-steps: how far the parameters go towards the average. Default: 1.")
    private Double outerRate;

    @Option(
            names = "--outer-momentum",
            paramLabel = "F",
            description = "With --local-steps: Nesterov's momentum from average to average, in [0, 1). Default: 0.")
    private Double outerMomentum;

    private ClusterSession session;
    private MirroredFolder folder;
    private ClusterSteps steps;
    private Callback engines;
    /** A copy of the data; null where it lies on this machine. */
    private FetchedData fetched;

    @Override
    public Integer call() throws IOException {
        if (engineChoice.threads != null) {
            throw new IllegalArgumentException(
                    "the threads of an executor's engine are its task's cores but got --threads " + engineChoice.threads
                            + ": leave it out, and set spark.task.cpus");
        }
        engineChoice.check();
        if (typed("--resume") == null) {
            // Before a cluster is waited for.
            dividedInto(1);
        }
        SparkRuntime.check();
        try (ClusterSession opened = ClusterSession.open("carousel spark train")) {
            session = opened;
            String place = typed("--resume") != null ? typed("--resume") : typed("--out");
            try (MirroredFolder mirrored = place == null
                    ? null
                    : typed("--resume") != null
                            ? MirroredFolder.resume(session, place)
                            : MirroredFolder.create(session, place)) {
                folder = mirrored;
                if (resume != null) {
                    resume = folder.local();
                } else if (out != null) {
                    out = folder.local();
                }
                return super.call();
            } finally {
                if (steps != null) {
                    steps.close();
                }
                if (fetched != null) {
                    fetched.close();
                }
            }
        }
    }

    @Override
    String dataPlace() throws IOException {
        return session.place(typed("--data"));
    }

    @Override
    RunConfig here(RunConfig config) throws IOException {
        if (config.data() == null || ClusterSession.isLocal(config.data())) {
            return config;
        }
        fetched = FetchedData.of(session, config.data());
        return config.withData(fetched.local().toString());
    }

    @Override
    RunConfig kept(RunConfig config) {
        RunConfig asked = config.withEngine(
                engineChoice.engine == null ? Engines.AUTO : engineChoice.engine,
                engineChoice.precision == null ? null : engineChoice.precision.toLowerCase(Locale.ROOT));
        return fetched == null ? asked : asked.withData(fetched.place());
    }

    /** An option's value as it was typed: a path of this machine has no two slashes in a row. */
    private String typed(String option) {
        OptionSpec given = spec.commandLine().getParseResult().matchedOption(option);
        return given == null ? null : given.originalStringValues().get(0);
    }

    @Override
    String command() {
        return "carousel spark train";
    }

    @Override
    RunConfig divided(RunConfig config) {
        return config.withCluster(dividedInto(Math.min(USUAL_PARTITIONS, config.batch())));
    }

    /** As the options say it, with so many partitions where they do not say how many. */
    private ClusterSettings dividedInto(int otherwise) {
        return new ClusterSettings(
                partitions == null ? otherwise : Check.range("--partitions", partitions, 1, 1 << 20),
                localSteps == null ? 1 : Check.range("--local-steps", localSteps, 1, 1_000_000),
                outerRate == null ? 1 : Check.positive("--outer-rate", outerRate),
                outerMomentum == null ? 0 : Check.fraction("--outer-momentum", outerMomentum));
    }

    @Override
    void requireOwn(RunConfig config) {
        ClusterSettings saved = config.cluster();
        if (saved == null) {
            throw new IllegalArgumentException("the run of '" + runPlace()
                    + "' was trained on a single machine: go on with carousel train --resume, or start a new run");
        }
        if (config.precision() == null && engineChoice.precision != null) {
            throw new IllegalArgumentException("--precision should be left out as in the run of '" + runPlace()
                    + "' but got " + engineChoice.precision + ": leave it out, or start a new run with --out");
        }
        same("--partitions", partitions, saved.partitions());
        same("--local-steps", localSteps, saved.localSteps());
        same("--outer-rate", outerRate, saved.outerRate());
        same("--outer-momentum", outerMomentum, saved.outerMomentum());
    }

    private <V> void same(String option, V given, V saved) {
        if (given != null && !given.equals(saved)) {
            throw new IllegalArgumentException(option + " should be " + saved + " as in the run of '" + runPlace()
                    + "' but got " + given + ": leave it out, or start a new run with --out");
        }
    }

    @Override
    Engine open(String otherwise, ModelSpec model) {
        String asked = engineChoice.engine == null ? otherwise : engineChoice.engine;
        return Engines.openFor(asked.equals(DOUBLE) ? DOUBLE : ON_DRIVER, EngineOptions.defaults(), Model.lstms(model));
    }

    @Override
    void prepare(RunConfig config, Task.Data sources) {
        if (!(sources.training() instanceof DrawnBatches batches)) {
            throw new ClusterException("--task " + config.task()
                    + " makes or reads its sequences one batch after another, and a cluster trains on data that lies in it:"
                    + " choose --task digits, mnist, series or sequences, or use carousel train");
        }
        ClusterSteps.Builder builder = ClusterSteps.on(session)
                .training(batches)
                .settings(config.cluster())
                .engine(engineChoice.engine == null ? config.engine() : engineChoice.engine)
                .precision(
                        engineChoice.precision == null
                                ? null
                                : Check.choice("--precision", engineChoice.precision, Precision.class));
        if (sources.validation() instanceof DrawnBatches held) {
            builder.validation(held.dataset());
        }
        steps = builder.open();
        steps.requireEngine(sources.model());
    }

    @Override
    RemoteSteps remote(RunFolder run) {
        engines = new EngineLines(steps, run);
        return steps;
    }

    @Override
    List<Callback> callbacks() {
        return folder == null ? List.of(engines) : List.of(engines, folder);
    }

    /** What each executor computes with, in the metrics when it first has. */
    private static final class EngineLines implements Callback {
        private final ClusterSteps steps;
        private final RunFolder run;
        private Map<String, String> written = Map.of();

        EngineLines(ClusterSteps steps, RunFolder run) {
            this.steps = steps;
            this.run = run;
        }

        @Override
        public void onStep(Trainer trainer, Batch batch) {
            Map<String, String> now = steps.engines();
            now.forEach((executor, engine) -> {
                if (!engine.equals(written.get(executor))) {
                    run.record(trainer, EXECUTOR, Map.of("executor", executor, "engine", engine));
                }
            });
            written = now;
        }
    }

    /** The step under way needs the cluster. */
    @Override
    Runnable atExit(Runnable work, long seconds) {
        return session.beforeEnd(work, seconds);
    }

    @Override
    String runPlace() {
        return folder == null ? super.runPlace() : folder.place();
    }

    @Override
    String place(RunFolder run) {
        return folder == null ? super.place(run) : folder.place();
    }

    @Override
    void finished() throws IOException {
        if (folder != null) {
            folder.finish();
        }
        ClusterSettings settings = steps.settings();
        screen.println(String.format(
                Locale.ROOT,
                "%d partitions, %d executors took part: %.1f s in steps, of which the busiest computed %.1f s",
                settings.partitions(),
                steps.engines().size(),
                steps.secondsInSteps(),
                steps.secondsComputing()));
        steps.engines().forEach((executor, engine) -> screen.println("Executor " + executor + " on " + engine));
    }
}
