package carousel.cli;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.DataException;
import carousel.data.DatasetSplit;
import carousel.data.DrawnDigits;
import carousel.data.IdxFiles;
import carousel.data.ImageReading;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Loss;
import java.io.IOException;
import java.nio.file.Path;
import java.util.zip.CRC32;

/** What a model is trained for: its data, and how it is measured. */
enum Task {
    /** The embedded digits, drawn by the program. */
    DIGITS,
    /** A folder of IDX files. */
    MNIST,
    /** The adding problem, fresh sequences at every step. */
    ADDING;

    private static final int EVALUATION_BATCH = 250;
    private static final int ADDING_EPOCH = 200;
    private static final int ADDING_HELD_OUT = 2_000;
    /** One in so many training examples is held out for validation. */
    private static final int HELD_OUT = 12;

    Loss loss() {
        return this == ADDING ? Loss.MEAN_SQUARED_ERROR : Loss.SOFTMAX_CROSS_ENTROPY;
    }

    boolean pictures() {
        return this != ADDING;
    }

    /**
     * The data of a run.
     *
     * @param validation null when the run holds none out
     * @param outputs numbers that the model puts out: classes, or 1
     */
    record Data(BatchSource training, BatchSource validation, BatchSource test, int outputs) {
        int features() {
            return training.features();
        }

        /** Tells other training data from these: a checksum of the extents and of the first batch, which is a random sample. */
        String fingerprint() {
            Batch batch = training.batch(0);
            CRC32 sum = new CRC32();
            add(sum, Long.hashCode(training.batchesPerEpoch()), batch.timeSteps(), batch.batchSize(), batch.features());
            for (float input : batch.inputs()) {
                add(sum, Float.floatToIntBits(input));
            }
            if (batch.labels() != null) {
                add(sum, batch.labels());
            } else {
                for (float target : batch.targets()) {
                    add(sum, Float.floatToIntBits(target));
                }
            }
            return String.format("%08x", sum.getValue());
        }

        private static void add(CRC32 sum, int... words) {
            for (int word : words) {
                for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
                    sum.update(word >>> shift);
                }
            }
        }
    }

    /** Training, validation and test data. The TensorFlow recipe draws full batches across epochs and validates nothing. */
    Data data(RunConfig config) throws IOException {
        if (this == ADDING) {
            AddingProblem problem = new AddingProblem(config.timeSteps(), config.seed());
            SequenceDataset held = problem.heldOut(2 * ADDING_HELD_OUT);
            return new Data(
                    problem.batches(config.batch(), ADDING_EPOCH),
                    sequential(held.range(0, ADDING_HELD_OUT)),
                    sequential(held.range(ADDING_HELD_OUT, 2 * ADDING_HELD_OUT)),
                    1);
        }
        SequenceDataset all;
        SequenceDataset test;
        if (this == DIGITS) {
            all = DrawnDigits.training(config.seed()).as(reading(config));
            test = DrawnDigits.test(config.seed()).as(reading(config));
        } else {
            IdxFiles files = IdxFiles.read(Path.of(config.data()), reading(config));
            all = files.training();
            test = files.test();
        }
        if (all.size() < 2) {
            throw new DataException(
                    "'" + config.data() + "' should hold 2 or more training pictures, one of them to be held"
                            + " out, but holds " + all.size());
        }
        DatasetSplit split = DatasetSplit.of(all, Math.max(1, all.size() / HELD_OUT), config.seed());
        int batch = Math.min(config.batch(), split.training().size());
        boolean tensorflow = Preset.TENSORFLOW.is(config.preset());
        BatchSource training = new ShuffledBatches(
                split.training(),
                batch,
                config.seed(),
                tensorflow ? ShuffledBatches.Mode.CONTINUOUS : ShuffledBatches.Mode.PER_EPOCH);
        return new Data(training, tensorflow ? null : sequential(split.validation()), sequential(test), test.classes());
    }

    /** The test data alone. */
    SequenceDataset test(RunConfig config) throws IOException {
        return switch (this) {
            case DIGITS -> DrawnDigits.test(config.seed()).as(reading(config));
            case MNIST -> IdxFiles.read(Path.of(config.data()), reading(config)).test();
            case ADDING ->
                new AddingProblem(config.timeSteps(), config.seed())
                        .heldOut(2 * ADDING_HELD_OUT)
                        .range(ADDING_HELD_OUT, 2 * ADDING_HELD_OUT);
        };
    }

    static BatchSource sequential(SequenceDataset dataset) {
        return new SequentialBatches(dataset, Math.min(EVALUATION_BATCH, dataset.size()));
    }

    static ImageReading reading(RunConfig config) {
        return config.pixels() ? ImageReading.PIXELS : ImageReading.ROWS;
    }
}
