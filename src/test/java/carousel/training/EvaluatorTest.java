package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.engine.ActivationFunction;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Residual;
import carousel.optimizer.Optimizer;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class EvaluatorTest {
    private static final int SIZE = 23;
    private static final int TIME_STEPS = 5;
    private static final int FEATURES = 3;
    private static final int OUTPUTS = 4;

    /**
     * Drawn sequences of drawn lengths, none of them empty; padding holds what no model should look at.
     *
     * @param targetSize 0 for labels of {@value #OUTPUTS} classes
     */
    private record Drawn(int targetSize) implements SequenceDataset {
        @Override
        public String name() {
            return "drawn";
        }

        @Override
        public int size() {
            return SIZE;
        }

        @Override
        public int timeSteps() {
            return TIME_STEPS;
        }

        @Override
        public int features() {
            return FEATURES;
        }

        @Override
        public int classes() {
            return targetSize == 0 ? OUTPUTS : 0;
        }

        @Override
        public boolean variableLengths() {
            return true;
        }

        static int length(int index) {
            return 1 + new RandomSequence(71, 1, index).nextInt(TIME_STEPS);
        }

        @Override
        public void read(int index, Batch into, int row) {
            RandomSequence random = new RandomSequence(71, 2, index);
            into.lengths()[row] = length(index);
            for (int t = 0; t < TIME_STEPS; t++) {
                for (int c = 0; c < FEATURES; c++) {
                    float value = (float) random.uniform(-1, 1);
                    into.inputs()[(t * into.batchSize() + row) * FEATURES + c] = t < length(index) ? value : 1000;
                }
            }
            if (targetSize == 0) {
                into.labels()[row] = random.nextInt(OUTPUTS);
            }
            for (int k = 0; k < targetSize; k++) {
                into.targets()[row * targetSize + k] = (float) random.nextDouble();
            }
        }
    }

    private static ModelSpec lastOutput() {
        LstmSpec lstm = LstmSpec.of(1, 6).withDirection(Direction.BIDIRECTIONAL);
        return ModelSpec.of(Form.sequence(FEATURES), Lstm.of(lstm), new Dropout(0.5), Dense.of(OUTPUTS));
    }

    private static ModelSpec eachStep() {
        return ModelSpec.of(Form.sequence(FEATURES), Lstm.of(6).withReturnSequences(true), Dense.of(OUTPUTS));
    }

    /** Softmax and sigmoid come with their losses: twice would be another model. */
    @ParameterizedTest
    @EnumSource
    void functionsThatTheLossAppliesAreRefusedAtTheEndOfAModel(Loss loss) {
        for (ActivationFunction function : ActivationFunction.values()) {
            boolean twice = loss == Loss.SOFTMAX_CROSS_ENTROPY && function == ActivationFunction.SOFTMAX
                    || loss == Loss.SIGMOID_CROSS_ENTROPY && function == ActivationFunction.SIGMOID;
            Activation last = new Activation(function);
            ModelSpec inside = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(2), last, Dense.of(OUTPUTS));
            use("reference", inside, model -> new Evaluator(model, loss));
            use("reference", ModelSpec.of(Form.sequence(FEATURES), Lstm.of(OUTPUTS), last), model -> {
                if (!twice) {
                    new Evaluator(model, loss);
                    Trainer.of(model).loss(loss).open().close();
                    return;
                }
                String[] words = {
                    loss.name(),
                    "applies the " + function.word() + " itself",
                    last.summary(),
                    "leave the last activation out"
                };
                assertRefused(IllegalArgumentException.class, () -> new Evaluator(model, loss), words);
                assertRefused(
                        IllegalArgumentException.class,
                        () -> Trainer.of(model).loss(loss).open(),
                        words);
            });
        }
    }

    private static void use(String name, ModelSpec spec, Consumer<Model> use) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, 3)) {
                long held = engine.memory().inUse();
                use.accept(model);
                assertEquals(held, engine.memory().inUse(), "every byte of an evaluation comes back");
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "reference, SOFTMAX_CROSS_ENTROPY, false",
        "reference, MEAN_SQUARED_ERROR, false",
        "reference, SIGMOID_CROSS_ENTROPY, false",
        "reference, MEAN_SQUARED_ERROR, true",
        "reference, SIGMOID_CROSS_ENTROPY, true",
        "vector, SOFTMAX_CROSS_ENTROPY, false",
        "vector, MEAN_SQUARED_ERROR, true"
    })
    void theResultDoesNotDependOnTheBatchSize(String name, Loss loss, boolean eachStep) {
        SequenceDataset data = new Drawn(loss.labelled() ? 0 : eachStep ? TIME_STEPS * OUTPUTS : OUTPUTS);
        use(name, eachStep ? eachStep() : lastOutput(), model -> {
            Evaluator evaluator = new Evaluator(model, loss);
            Evaluation whole = evaluator.evaluate(new SequentialBatches(data, SIZE));
            double tolerance = 100 * model.engine().precision().epsilon();
            for (int batchSize : new int[] {1, 2, 7, 22, 1000}) {
                Evaluation parts = evaluator.evaluate(new SequentialBatches(data, batchSize));
                assertEquals(whole.loss(), parts.loss(), tolerance * whole.loss(), "batches of " + batchSize);
                assertEquals(whole.accuracy(), parts.accuracy(), tolerance);
                assertEquals(whole.count(), parts.count());
            }
            int steps = 0;
            for (int index = 0; index < SIZE; index++) {
                steps += Drawn.length(index);
            }
            assertEquals(eachStep ? steps : SIZE, whole.count(), "sequences, or steps that are not padding");
            assertTrue(steps > SIZE && steps < SIZE * TIME_STEPS, "lengths differ");
            assertEquals(loss == Loss.MEAN_SQUARED_ERROR, Double.isNaN(whole.accuracy()));
            assertTrue(whole.loss() > 0 && !(whole.accuracy() < 0 || whole.accuracy() > 1), whole::toString);
        });
    }

    /** From what the model predicts, by the definitions of the losses. */
    @ParameterizedTest
    @EnumSource
    void lossAndAccuracyAreThoseOfThePredictions(Loss loss) {
        SequenceDataset data = new Drawn(loss.labelled() ? 0 : OUTPUTS);
        use("reference", lastOutput(), model -> {
            Batch batch = new SequentialBatches(data, SIZE).batch(0);
            Evaluator evaluator = new Evaluator(model, loss);
            float[] predicted = evaluator.predict(batch);
            double sum = 0;
            double right = 0;
            for (int n = 0; n < SIZE; n++) {
                int first = n * OUTPUTS;
                if (loss.labelled()) {
                    int label = batch.labels()[n];
                    sum -= Math.log(predicted[first + label]);
                    int best = 0;
                    for (int k = 1; k < OUTPUTS; k++) {
                        best = predicted[first + k] > predicted[first + best] ? k : best;
                    }
                    right += best == label ? 1 : 0;
                }
                for (int k = 0; k < OUTPUTS && !loss.labelled(); k++) {
                    double p = predicted[first + k];
                    double t = batch.targets()[first + k];
                    sum += loss == Loss.MEAN_SQUARED_ERROR
                            ? (p - t) * (p - t) / OUTPUTS
                            : -(t * Math.log(p) + (1 - t) * Math.log(1 - p)) / OUTPUTS;
                    right += p > 0.5 == t > 0.5 ? 1.0 / OUTPUTS : 0;
                }
            }
            Evaluation evaluation = evaluator.evaluate(batch);
            assertEquals(sum / SIZE, evaluation.loss(), 1e-6);
            assertEquals(SIZE, evaluation.count());
            if (loss != Loss.MEAN_SQUARED_ERROR) {
                assertEquals(right / SIZE, evaluation.accuracy(), 1e-12);
                assertTrue(right > 0 && right < SIZE, "some are right and some are wrong");
            }
        });
    }

    /** A batch keeps what belongs to a sequence together; outputs come step by step. */
    @Test
    void theTargetsOfASequenceAreThoseOfItsSteps() {
        use("reference", eachStep(), model -> {
            Evaluator evaluator = new Evaluator(model, Loss.MEAN_SQUARED_ERROR);
            Batch batch = new SequentialBatches(new Drawn(TIME_STEPS * OUTPUTS), SIZE).batch(0);
            float[] predicted = evaluator.predict(batch);
            assertEquals(TIME_STEPS * SIZE * OUTPUTS, predicted.length);
            double sum = 0;
            int count = 0;
            for (int n = 0; n < SIZE; n++) {
                for (int t = 0; t < batch.lengths()[n]; t++) {
                    for (int k = 0; k < OUTPUTS; k++) {
                        double output = predicted[(t * SIZE + n) * OUTPUTS + k];
                        double target = batch.targets()[(n * TIME_STEPS + t) * OUTPUTS + k];
                        sum += (output - target) * (output - target) / OUTPUTS;
                    }
                    count++;
                }
            }
            Evaluation evaluation = evaluator.evaluate(batch);
            assertEquals(count, evaluation.count());
            assertEquals(sum / count, evaluation.loss(), 1e-6);
            // With the very outputs as targets nothing is left, whatever stands past the ends.
            for (int n = 0; n < SIZE; n++) {
                for (int t = 0; t < TIME_STEPS; t++) {
                    for (int k = 0; k < OUTPUTS; k++) {
                        batch.targets()[(n * TIME_STEPS + t) * OUTPUTS + k] =
                                t < batch.lengths()[n] ? predicted[(t * SIZE + n) * OUTPUTS + k] : 1e6f;
                    }
                }
            }
            assertEquals(0, evaluator.evaluate(batch).loss(), 1e-12);
        });
    }

    /** Training learns from the same targets that an evaluation measures with. */
    @Test
    void trainingAndEvaluationSeeTheSameTargets() {
        use("reference", eachStep(), model -> {
            Batch batch = new SequentialBatches(new Drawn(TIME_STEPS * OUTPUTS), SIZE).batch(0);
            double before = new Evaluator(model, Loss.MEAN_SQUARED_ERROR)
                    .evaluate(batch)
                    .loss();
            try (Trainer trainer = Trainer.of(model)
                    .loss(Loss.MEAN_SQUARED_ERROR)
                    .optimizer(Optimizer.sgd(1e-3))
                    .open()) {
                History history = trainer.fit(
                        new SequentialBatches(new Drawn(TIME_STEPS * OUTPUTS), SIZE),
                        new SequentialBatches(new Drawn(TIME_STEPS * OUTPUTS), SIZE),
                        1);
                assertEquals(before, history.epochs().get(0).loss(), 1e-12, "the loss of the first step");
                assertTrue(history.epochs().get(0).validationLoss() < before);
            }
        });
    }

    @ParameterizedTest
    @CsvSource({"reference", "vector"})
    void probabilitiesOfClassesSumToOne(String name) {
        use(name, lastOutput(), model -> {
            Batch batch = new SequentialBatches(new Drawn(0), SIZE).batch(0);
            float[] probabilities = new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY).predict(batch);
            assertEquals(SIZE * OUTPUTS, probabilities.length);
            for (int n = 0; n < SIZE; n++) {
                double sum = 0;
                for (int k = 0; k < OUTPUTS; k++) {
                    float probability = probabilities[n * OUTPUTS + k];
                    assertTrue(probability > 0 && probability < 1);
                    sum += probability;
                }
                assertEquals(1, sum, 1e-6);
            }
            assertArrayEquals(
                    probabilities, new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY).predict(batch), "dropout is off");
        });
    }

    /** Logits far from zero saturate: they give 0 and 1 and never what is no number. */
    @ParameterizedTest
    @CsvSource({
        "SOFTMAX_CROSS_ENTROPY, 1000 999 -1000 0, 0.7310586 0.2689414 0 0",
        "SOFTMAX_CROSS_ENTROPY, -1e30 -1e30 -1e30 -1e30, 0.25 0.25 0.25 0.25",
        "SOFTMAX_CROSS_ENTROPY, 1e38 -1e38 0 0, 1 0 0 0",
        "SIGMOID_CROSS_ENTROPY, 1000 -1000 0 1, 1 0 0.5 0.7310586",
        "SIGMOID_CROSS_ENTROPY, 1e38 -1e38 -1 -88, 1 0 0.2689414 6.0546e-39",
        "MEAN_SQUARED_ERROR, 1000 -1000 0 1.5, 1000 -1000 0 1.5"
    })
    void outputsBecomeWhatTheLossMeans(Loss loss, String logits, String expected) {
        // A dense layer of zero weights puts out its bias.
        ModelSpec spec = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(2), Dense.of(OUTPUTS));
        use("vector", spec, model -> {
            double[] parameters = new double[model.readParameters().length];
            double[] bias = numbers(logits);
            int at = (int) model.views().get(model.views().size() - 1).offset();
            System.arraycopy(bias, 0, parameters, at, OUTPUTS);
            model.writeParameters(parameters);
            Batch batch = new Batch(2, 1, FEATURES, loss.labelled() ? 0 : OUTPUTS, false);
            float[] predicted = new Evaluator(model, loss).predict(batch);
            double[] wanted = numbers(expected);
            for (int k = 0; k < OUTPUTS; k++) {
                assertEquals(wanted[k], predicted[k], 1e-6 * Math.abs(wanted[k]) + 1e-41, "output " + k);
            }
        });
    }

    private static double[] numbers(String text) {
        return Arrays.stream(text.split(" ")).mapToDouble(Double::parseDouble).toArray();
    }

    /** What stands past a sequence's end changes nothing that is counted; a sequence cut short differs from a whole one. */
    @Test
    void lengthsAreRespected() {
        use("reference", eachStep(), model -> {
            Evaluator evaluator = new Evaluator(model, Loss.SIGMOID_CROSS_ENTROPY);
            Batch batch = new SequentialBatches(new Drawn(TIME_STEPS * OUTPUTS), SIZE).batch(0);
            Evaluation evaluation = evaluator.evaluate(batch);
            for (int e = 0; e < batch.inputs().length; e++) {
                batch.inputs()[e] = batch.inputs()[e] == 1000 ? -3 : batch.inputs()[e];
            }
            assertEquals(evaluation, evaluator.evaluate(batch));
            Arrays.fill(batch.lengths(), TIME_STEPS);
            assertEquals(SIZE * TIME_STEPS, evaluator.evaluate(batch).count());
            assertNotEquals(evaluation.loss(), evaluator.evaluate(batch).loss());
            batch.lengths()[0] = 0;
            assertEquals((SIZE - 1) * TIME_STEPS, evaluator.evaluate(batch).count());
        });
    }

    @Test
    void dataThatDoesNotFitIsRefused() {
        use("reference", eachStep(), model -> {
            Batch labels = new Batch(TIME_STEPS, 2, FEATURES, 0, false);
            Batch targets = new Batch(TIME_STEPS, 2, FEATURES, OUTPUTS, false);
            Batch wider = new Batch(TIME_STEPS, 2, FEATURES + 1, 0, false);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY).evaluate(labels),
                    "need 10 labels",
                    "has 2");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY).evaluate(targets),
                    "need 10 labels",
                    "has 0");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Evaluator(model, Loss.MEAN_SQUARED_ERROR).evaluate(targets),
                    "need 40 targets",
                    "has 8");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY).predict(wider),
                    "(time, batch, 3)",
                    "4 features");
        });
        use(
                "reference",
                ModelSpec.of(Form.tokens(9), Embedding.of(FEATURES), Lstm.of(2)),
                model -> assertRefused(
                        IllegalArgumentException.class,
                        () -> new Evaluator(model, Loss.MEAN_SQUARED_ERROR)
                                .predict(new Batch(2, 1, FEATURES, 2, false)),
                        "9 tokens",
                        "3 features"));
    }

    /** Steps that are left out count in no loss at every step, by whatever they are left out, nor does what they hold. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void stepsLeftOutCountInNoLoss(String name) {
        int steps = 6;
        int sequences = 3;
        String[] kinds = {"oxxoxo", "oooooo", "xxoxx."};
        Lstm lstm = Lstm.of(4).withReturnSequences(true);
        ModelSpec given = ModelSpec.of(Form.tokens(5), Embedding.of(3), lstm, Dense.of(5));
        ModelSpec byToken = ModelSpec.of(Form.tokens(5), Embedding.of(3).withMaskZero(true), lstm, Dense.of(5));
        ModelSpec byValue = ModelSpec.of(
                Form.tokens(5), Embedding.of(3), new Dropout(0), new Masking(7), lstm, Residual.of(lstm), Dense.of(5));
        ModelSpec plain = ModelSpec.of(Form.tokens(5), Embedding.of(3), lstm, Residual.of(lstm), Dense.of(5));
        ModelSpec once = ModelSpec.of(Form.tokens(5), Embedding.of(3), Dense.of(5));
        for (ModelSpec spec : List.of(given, byToken, byValue, plain, once)) {
            Batch batch = Batch.ofTokens(steps, sequences, 5, true);
            boolean[] mask = new boolean[steps * sequences];
            RandomSequence random = new RandomSequence(5, 5, 5);
            for (int row = 0; row < mask.length; row++) {
                char kind = kinds[row % sequences].charAt(row / sequences);
                mask[row] = kind == 'x';
                // A token of 0 is masked by two of the models, and by one because of what its embedding is.
                batch.tokens()[row] = kind == 'o' ? 0 : 1 + random.nextInt(4);
                batch.labels()[row] = kind == 'o' ? -1 : random.nextInt(5);
                batch.lengths()[row % sequences] += kind == '.' ? 0 : 1;
            }
            boolean alone = spec == byToken || spec == byValue;
            use(name, spec, model -> {
                double[] parameters = model.readParameters();
                if (spec == byValue) {
                    // Masking compares in single precision.
                    Arrays.fill(parameters, 0, 3, 7);
                    model.writeParameters(parameters);
                }
                Evaluator evaluator = new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY);
                Evaluation found = evaluator.evaluate(alone ? batch : batch.withMask(mask));
                assertEquals(7, found.count());
                float[] predictions = evaluator.predict(alone ? batch : batch.withMask(mask));
                double loss = 0;
                for (int row = 0; row < mask.length; row++) {
                    loss -= mask[row] ? Math.log(predictions[row * 5 + batch.labels()[row]]) : 0;
                }
                assertEquals(loss / 7, found.loss(), 1e-6);
                try (Trainer trainer = Trainer.of(model).open()) {
                    double before = trainer.evaluate(alone ? batch : batch.withMask(mask))
                            .loss();
                    trainer.fitSteps(new OneBatch(alone ? batch : batch.withMask(mask), 30), null, 30);
                    assertTrue(trainer.evaluate(alone ? batch : batch.withMask(mask))
                                    .loss()
                            < before);
                }
            });
        }
    }

    /** What a mask leaves out may hold anything: readings that are missing, as numbers that are none. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void whatIsLeftOutMayBeNoNumber(String name) {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(2),
                Dense.of(3),
                new Activation(ActivationFunction.TANH),
                Lstm.of(4).withReturnSequences(true),
                Dense.of(2),
                Lstm.of(3),
                Dense.of(2));
        boolean[] none = new boolean[10];
        boolean[] mask = {false, true, true, false, false, true, false, false, true, true};
        for (boolean[] each : List.of(mask, none)) {
            Batch holes = new Batch(5, 2, 2, 2, false).withMask(each);
            Batch zeros = new Batch(5, 2, 2, 2, false).withMask(each);
            for (int e = 0; e < 20; e++) {
                holes.inputs()[e] = each[e / 2] ? e / 20f : Float.NaN;
                zeros.inputs()[e] = each[e / 2] ? e / 20f : 0;
            }
            Arrays.fill(holes.targets(), 1);
            Arrays.fill(zeros.targets(), 1);
            double[][] trained = new double[2][];
            for (int k = 0; k < 2; k++) {
                Batch batch = k == 0 ? holes : zeros;
                int at = k;
                use(name, spec, model -> {
                    try (Trainer trainer =
                            Trainer.of(model).loss(Loss.MEAN_SQUARED_ERROR).open()) {
                        trainer.fitSteps(new OneBatch(batch, 30), null, 3);
                        trained[at] = model.readParameters();
                    }
                });
            }
            assertArrayEquals(trained[1], trained[0]);
            assertTrue(Arrays.stream(trained[0]).allMatch(Double::isFinite));
        }
    }
}
