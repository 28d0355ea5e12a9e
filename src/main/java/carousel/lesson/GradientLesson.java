package carousel.lesson;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Callback;
import carousel.training.Trainer;

/**
 * Trains a plain recurrent network and an LSTM alike on the adding problem and measures, before and after, how a gradient fares
 * on its way from the last step back to the first.
 *
 * <p>Both have the same hidden size, initialisers (Glorot for the inputs, orthogonal for the recurrence), output layer, data,
 * seed and optimizer (Adam, gradients clipped to a norm of 1). All biases start at 0 but the forget gate's.
 *
 * @param timeSteps T of the adding problem, 2 or more
 * @param hiddenSize H of both networks, 1 to 4096
 * @param steps of training, 0 or more
 * @param batchSize sequences a step, 1 to 65536
 * @param learningRate of Adam, in (0, 1]
 * @param forgetBias what the bias of the LSTM's forget gate starts with: see {@link Lstm#forgetBias()}, where 1 is customary. The gate
 *     starts near {@code sigmoid(1) = 0.73}, which leaves 2e-7 of a memory after 50 steps: also an LSTM has to learn to remember
 */
public record GradientLesson(
        int timeSteps, int hiddenSize, long steps, int batchSize, double learningRate, double forgetBias, long seed) {

    /** The sequences that errors are measured on; neither network is trained on them. */
    public static final int TEST_SEQUENCES = 1000;

    /** How many of them, the first ones, gradients are measured on. */
    public static final int PROBE_SEQUENCES = 64;

    /** How often a listener is called. */
    static final int STEPS_PER_REPORT = 20;

    private static final int LARGEST_HIDDEN_SIZE = 4096;
    private static final int LARGEST_BATCH_SIZE = 1 << 16;
    private static final double MAX_NORM = 1;

    public GradientLesson {
        // The adding problem knows the range of its time steps.
        new AddingProblem(timeSteps, seed);
        inRange("hidden size", hiddenSize, LARGEST_HIDDEN_SIZE);
        inRange("batch size", batchSize, LARGEST_BATCH_SIZE);
        if (steps < 0) {
            throw new IllegalArgumentException(
                    "the training steps should be 0 (measure at initialisation only) or more but got " + steps);
        }
        if (!(learningRate > 0 && learningRate <= 1)) {
            throw new IllegalArgumentException(
                    "the learning rate should be in the (0, 1] range but got " + learningRate);
        }
        if (!(Math.abs(forgetBias) <= 100)) {
            throw new IllegalArgumentException(
                    "the forget bias should be in the [-100, 100] range but got " + forgetBias);
        }
    }

    private static void inRange(String what, int value, int largest) {
        if (value < 1 || value > largest) {
            throw new IllegalArgumentException(
                    "the " + what + " should be in the [1, " + largest + "] range but got " + value);
        }
    }

    /** Told how the training goes. */
    @FunctionalInterface
    public interface Listener {
        /**
         * After every {@value GradientLesson#STEPS_PER_REPORT} steps and after the last.
         *
         * @param network {@code RNN} or {@code LSTM}
         * @param step counted from 1
         * @param loss the mean squared error of the batches since the last call
         */
        void onProgress(String network, long step, double loss);
    }

    /** Trains and measures. */
    public LessonReport run(Engine engine, Listener listener) {
        AddingProblem problem = new AddingProblem(timeSteps, seed);
        SequenceDataset test = problem.heldOut(TEST_SEQUENCES);
        Batch probe = new SequentialBatches(test, PROBE_SEQUENCES).batch(0);
        BatchSource training = problem.batches(batchSize, Math.max(1, steps));
        BatchSource testing = new SequentialBatches(test, PROBE_SEQUENCES);
        Optimizer optimizer = Optimizer.adam(learningRate).withMaxNorm(MAX_NORM);
        return new LessonReport(
                rnn(engine, optimizer, training, testing, probe, listener),
                lstm(engine, optimizer, training, testing, probe, listener),
                AddingProblem.TRIVIAL_ERROR);
    }

    private LessonReport.Network rnn(
            Engine engine,
            Optimizer optimizer,
            BatchSource training,
            BatchSource testing,
            Batch probe,
            Listener listener) {
        try (RnnLearner learner = new RnnLearner(engine, training.features(), hiddenSize, optimizer, seed)) {
            GradientNorms before = learner.norms(probe);
            long start = System.nanoTime();
            double sum = 0;
            long summed = 0;
            for (long step = 1; step <= steps; step++) {
                sum += learner.train(training.batch(step - 1));
                summed++;
                if (reports(step)) {
                    listener.onProgress("RNN", step, sum / summed);
                    sum = 0;
                    summed = 0;
                }
            }
            double seconds = (System.nanoTime() - start) / 1e9;
            GradientNorms after = steps == 0 ? null : learner.norms(probe);
            return new LessonReport.Network(learner.parameterCount(), before, after, learner.error(testing), seconds);
        }
    }

    private LessonReport.Network lstm(
            Engine engine,
            Optimizer optimizer,
            BatchSource training,
            BatchSource testing,
            Batch probe,
            Listener listener) {
        Lstm lstm = Lstm.of(hiddenSize)
                .withInitializers(new Initializer.GlorotUniform(), new Initializer.Orthogonal(), forgetBias);
        ModelSpec spec = ModelSpec.of(Form.sequence(training.features()), lstm, Dense.of(training.targetSize()));
        try (Model model = Model.create(engine, spec, seed);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(optimizer)
                        .seed(seed)
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                if (reports(running.step())) {
                                    listener.onProgress(
                                            "LSTM",
                                            running.step(),
                                            running.recent().loss());
                                }
                            }
                        })
                        .open()) {
            GradientNorms before = LstmThroughTime.norms(model, probe);
            long start = System.nanoTime();
            trainer.fitSteps(training, null, steps);
            double seconds = (System.nanoTime() - start) / 1e9;
            GradientNorms after = steps == 0 ? null : LstmThroughTime.norms(model, probe);
            double error = trainer.evaluate(testing).loss();
            return new LessonReport.Network(model.parameterCount(), before, after, error, seconds);
        }
    }

    private boolean reports(long step) {
        return step % STEPS_PER_REPORT == 0 || step == steps;
    }
}
