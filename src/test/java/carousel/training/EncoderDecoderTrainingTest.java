package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.SequencePairs;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.data.TokenStreams;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.ModelFile;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.optimizer.Schedule;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The ordinary trainer trains encoders and decoders, and what they learn they say by themselves. */
class EncoderDecoderTrainingTest {
    private static ModelSpec spec(SequencePairs pairs, int hiddenSize, Direction reading, double dropout) {
        Form tokens = Form.tokens(pairs.vocabulary());
        return ModelSpec.encoderDecoder(
                ModelSpec.of(
                        tokens,
                        Embedding.of(16),
                        new Dropout(dropout),
                        Lstm.of(hiddenSize).withDirection(reading)),
                ModelSpec.of(
                        tokens,
                        Embedding.of(16),
                        new Dropout(dropout),
                        Lstm.of(hiddenSize).withReturnSequences(true),
                        Dense.of(pairs.vocabulary())));
    }

    private static Stream<Arguments> tasks() {
        return Stream.of(
                Arguments.of(SequencePairs.copy(10, 1, 5, 1), Direction.REVERSE, 64, 800),
                Arguments.of(SequencePairs.reverse(10, 1, 6, 1), Direction.FORWARD, 64, 800));
    }

    @ParameterizedTest
    @MethodSource("tasks")
    void whatIsLearnedIsSaid(SequencePairs pairs, Direction reading, int hiddenSize, int steps) {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, spec(pairs, hiddenSize, reading, 0), 1);
                Trainer trainer = Trainer.of(model)
                        .optimizer(Optimizer.adam(0.005)
                                .withSchedule(new Schedule.Cosine(0.005, 0.0005, 100, steps))
                                .withMaxNorm(1))
                        .open()) {
            BatchSource heldOut = new SequentialBatches(pairs.heldOut(500), 250);
            double before = ExactMatch.of(model, pairs.start(), pairs.end(), heldOut);
            trainer.fit(pairs.batches(64, steps), null, 1);
            double after = ExactMatch.of(model, pairs.start(), pairs.end(), heldOut);
            assertTrue(before < 0.05, "right by chance: " + before);
            assertTrue(after >= 0.99, "exact match " + after + " after " + steps + " steps");
            // The accuracy of single tokens, where the right ones before are given, can not be lower.
            assertTrue(trainer.evaluate(heldOut).accuracy() >= after);
        }
    }

    private static final SequencePairs PAIRS = SequencePairs.reverse(10, 1, 4, 2);

    private static BatchSource training() {
        return new ShuffledBatches(PAIRS.dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aRunResumedAtAnyStepEndsWithTheSameBits(String name, @TempDir Path folder) throws Exception {
        double[] whole = run(name, null, 20, folder.resolve("whole"));
        for (int stop : new int[] {0, 3, 7, 13, 19}) {
            Path file = folder.resolve("at-" + stop);
            run(name, null, stop, file);
            assertArrayEquals(whole, run(name, file, 20, folder.resolve("resumed")), "resumed after step " + stop);
            assertArrayEquals(
                    Files.readAllBytes(folder.resolve("whole-model")),
                    Files.readAllBytes(folder.resolve("resumed-model")),
                    "the saved models differ, resumed after step " + stop);
        }
    }

    private static double[] run(String name, Path from, long steps, Path to) throws Exception {
        try (Engine engine = Engines.open(name)) {
            double[] parameters;
            try (Model model = Model.create(engine, spec(PAIRS, 7, Direction.REVERSE, 0.2), 2);
                    Trainer trainer = Trainer.of(model).seed(11).keepBest().open()) {
                if (from != null) {
                    trainer.restore(Checkpoint.read(from).checkpoint());
                }
                trainer.fitSteps(training(), new SequentialBatches(PAIRS.heldOut(20), 7), steps);
                trainer.checkpoint().write(to, Map.of());
                ModelFile.write(Path.of(to + "-model"), model, Map.of());
                parameters = model.readParameters();
            }
            assertEquals(0, engine.memory().inUse());
            return parameters;
        }
    }

    /** Only what is said counts, the end token included: rows behind the end of an answer have no weight. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void rowsBehindTheEndsAreLeftOut(String name) {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, spec(PAIRS, 7, Direction.FORWARD, 0), 2)) {
            Evaluator evaluator = new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY);
            Batch batch = PAIRS.batches(30, 1).batch(0);
            int said = 0;
            for (int length : batch.lengths()) {
                said += length;
            }
            Evaluation first = evaluator.evaluate(batch);
            assertEquals(said, first.count());
            for (int n = 0; n < 30; n++) {
                for (int t = batch.lengths()[n]; t < batch.timeSteps(); t++) {
                    batch.labels()[t * 30 + n] = 3;
                    batch.tokens()[t * 30 + n] = 4;
                }
                for (int t = batch.source().lengths()[n]; t < batch.source().timeSteps(); t++) {
                    batch.source().tokens()[t * 30 + n] = 5;
                }
            }
            assertEquals(first, evaluator.evaluate(batch));
            batch.source().tokens()[0] = (batch.source().tokens()[0] + 1) % 10;
            assertTrue(first.loss() != evaluator.evaluate(batch).loss(), "the source should matter");
        }
    }

    @Test
    void dataOfTheOtherKindIsRefused() {
        ModelSpec plain = ModelSpec.of(
                Form.tokens(PAIRS.vocabulary()),
                Embedding.of(2),
                Lstm.of(3).withReturnSequences(true),
                Dense.of(PAIRS.vocabulary()));
        TokenStreams stream = new TokenStreams("tokens", new int[50], PAIRS.vocabulary(), 2, 5);
        try (Engine engine = Engines.open("vector");
                Model both = Model.create(engine, spec(PAIRS, 3, Direction.FORWARD, 0), 2);
                Model single = Model.create(engine, plain, 2);
                Trainer trainer = Trainer.of(both).open();
                Trainer other = Trainer.of(single).open()) {
            assertRefused(IllegalArgumentException.class, () -> trainer.fit(stream, null, 1), "needs a source");
            assertRefused(IllegalArgumentException.class, () -> trainer.evaluate(stream), "needs a source");
            assertRefused(IllegalArgumentException.class, () -> other.fit(training(), null, 1), "sources", "none");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> trainer.evaluate(SequencePairs.addition(2, 1).batches(3, 1)),
                    "12 tokens",
                    "13 tokens");
            assertRefused(IllegalArgumentException.class, () -> ExactMatch.of(both, 0, 1, stream), "a source");
            assertRefused(
                    IllegalArgumentException.class, () -> ExactMatch.of(single, 0, 1, training()), "with an encoder");
        }
    }
}
