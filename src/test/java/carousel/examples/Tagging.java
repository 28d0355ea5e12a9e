package carousel.examples;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Trainer;
import java.util.Random;

/**
 * A tag for each token, in sequences of different lengths. Here a letter's tag says whether the letter has occurred before and
 * whether it will occur again, so that it takes both the past and the future: a model that only reads forward has to guess.
 */
public final class Tagging {
    private Tagging() {}

    public static void main(String[] arguments) {
        System.out.println("reading forward only: " + testAccuracy("auto", Direction.FORWARD, 8_000, 10));
        System.out.println("reading both ways: " + testAccuracy("auto", Direction.BIDIRECTIONAL, 8_000, 10));
    }

    static double testAccuracy(String engineName, Direction direction, int sequences, int epochs) {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(Letters.LETTERS),
                Embedding.of(16),
                Lstm.of(64).withDirection(direction).withReturnSequences(true),
                Dense.of(Letters.TAGS));
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 1);
                Trainer trainer = Trainer.of(model)
                        .optimizer(Optimizer.adam(0.005).withMaxNorm(1))
                        .open()) {
            trainer.fit(
                    new ShuffledBatches(new Letters(sequences, 1), 32, 1, ShuffledBatches.Mode.PER_EPOCH),
                    null,
                    epochs);
            // Steps behind the end of a sequence count neither here nor in the loss.
            return trainer.evaluate(new SequentialBatches(new Letters(1_000, 2), 250))
                    .accuracy();
        }
    }

    /** Random letters with their tags: data of your own goes into a class like this one. */
    record Letters(int size, long seed) implements SequenceDataset {
        static final int LETTERS = 8;
        static final int TAGS = 4;

        @Override
        public String name() {
            return "letters";
        }

        @Override
        public int timeSteps() {
            return 12;
        }

        @Override
        public int features() {
            return LETTERS;
        }

        @Override
        public int classes() {
            return TAGS;
        }

        @Override
        public int targetSize() {
            return 0;
        }

        @Override
        public boolean variableLengths() {
            return true;
        }

        @Override
        public Batch newBatch(int batchSize) {
            return Batch.ofTokens(timeSteps(), batchSize, LETTERS, true);
        }

        @Override
        public void read(int index, Batch into, int row) {
            int[] letters = new Random(seed * size + index)
                    .ints(5 + index % 8, 0, LETTERS)
                    .toArray();
            into.lengths()[row] = letters.length;
            for (int t = 0; t < timeSteps(); t++) {
                // Time-major: step t of sequence n is at t * N + n.
                int at = t * into.batchSize() + row;
                into.tokens()[at] = t < letters.length ? letters[t] : 0;
                into.labels()[at] = t < letters.length ? tag(letters, t) : 0;
            }
        }

        private static int tag(int[] letters, int position) {
            int tag = 0;
            for (int t = 0; t < letters.length; t++) {
                if (letters[t] == letters[position] && t != position) {
                    tag |= t < position ? 1 : 2;
                }
            }
            return tag;
        }
    }
}
