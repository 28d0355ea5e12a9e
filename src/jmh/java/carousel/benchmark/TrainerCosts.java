package carousel.benchmark;

import carousel.data.Batch;
import carousel.data.DrawnDigits;
import carousel.data.ImageReading;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.JsonLines;
import carousel.layer.Model;
import carousel.training.Callback;
import carousel.training.Trainer;
import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;

/**
 * What the trainer adds to a step of its own: it trains the model of {@link StepBenchmark} on drawn digits, and every {@value #STEPS} steps
 * that benchmark takes as many, so that whatever else the machine does meets both alike. A round's ratio is that of the two times.
 * In the trainer's are drawing and assembling batches, loss and accuracy, and a look at them each round.
 *
 * <p>Arguments: the number of threads (2), of rounds (100), {@code record} to append to the results.
 */
public final class TrainerCosts {
    private static final int STEPS = 25;
    private static final int WARM_UP_ROUNDS = 40;

    private TrainerCosts() {}

    public static void main(String[] arguments) throws IOException, InterruptedException {
        int threads = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2;
        int rounds = arguments.length > 1 ? Integer.parseInt(arguments[1]) : 100;
        String commit = Record.commit();
        StepBenchmark steps = new StepBenchmark();
        steps.threads = threads;
        steps.open();
        InTurns turns = new InTurns(steps, rounds);
        try (Engine engine = Engines.open("vector", new EngineOptions(threads, null, false));
                Model model = Model.create(engine, StepBenchmark.MODEL, StepBenchmark.SEED);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.SOFTMAX_CROSS_ENTROPY)
                        .optimizer(StepBenchmark.OPTIMIZER)
                        .seed(StepBenchmark.SEED)
                        .callback(turns)
                        .open()) {
            ShuffledBatches batches = new ShuffledBatches(
                    DrawnDigits.training(StepBenchmark.SEED).as(ImageReading.ROWS),
                    StepBenchmark.WORKLOAD.batchSize(),
                    StepBenchmark.SEED,
                    ShuffledBatches.Mode.CONTINUOUS);
            trainer.fitSteps(batches, null, (long) (WARM_UP_ROUNDS + rounds) * STEPS);
        } finally {
            steps.close();
        }
        double[] ratios = new double[rounds];
        Arrays.setAll(ratios, k -> turns.trainer[k] / turns.bare[k]);
        for (double[] each : new double[][] {ratios, turns.trainer, turns.bare}) {
            Arrays.sort(each);
        }
        double ratio = Record.median(ratios);
        double lower = ratios[rounds / 4];
        double upper = ratios[rounds * 3 / 4];
        double milliseconds = Record.median(turns.trainer);
        double bareMilliseconds = Record.median(turns.bare);
        System.out.printf(
                Locale.ROOT,
                "%d threads  trainer %.3f ms a step, bare %.3f ms, ratio %.3f (quartiles %.3f and %.3f)%n",
                threads,
                milliseconds,
                bareMilliseconds,
                ratio,
                lower,
                upper);
        if (Arrays.asList(arguments).contains("record")) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("threads", threads);
            fields.put("ratio", ratio);
            fields.put("ratioLowerQuartile", lower);
            fields.put("ratioUpperQuartile", upper);
            fields.put("trainerMilliseconds", milliseconds);
            fields.put("bareMilliseconds", bareMilliseconds);
            fields.put("rounds", rounds);
            Record.putOrigin(fields, commit, System.getProperty("java.version"));
            try (JsonLines file = JsonLines.append(Record.RESULTS.resolve("TrainerCosts.jsonl"))) {
                file.write(fields);
            }
        }
    }

    /** Times the trainer's steps and, while it waits, the bare ones; milliseconds a step. */
    private static final class InTurns implements Callback {
        private final StepBenchmark steps;
        private final double[] trainer;
        private final double[] bare;
        private long since;

        private InTurns(StepBenchmark steps, int rounds) {
            this.steps = steps;
            trainer = new double[rounds];
            bare = new double[rounds];
        }

        @Override
        public void onStart(Trainer training) {
            since = System.nanoTime();
        }

        @Override
        public void onStep(Trainer training, Batch batch) {
            if (!training.passed(STEPS)) {
                return;
            }
            training.recent();
            long start = System.nanoTime();
            for (int k = 0; k < STEPS; k++) {
                steps.step();
            }
            long end = System.nanoTime();
            int round = (int) (training.step() / STEPS) - 1 - WARM_UP_ROUNDS;
            if (round >= 0) {
                trainer[round] = (start - since) / 1e6 / STEPS;
                bare[round] = (end - start) / 1e6 / STEPS;
            }
            since = System.nanoTime();
        }
    }
}
