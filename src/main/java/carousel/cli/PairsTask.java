package carousel.cli;

import carousel.data.SequenceDataset;
import carousel.data.SequencePairs;
import carousel.engine.Direction;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import carousel.training.ExactMatch;
import com.google.gson.JsonObject;
import java.util.List;
import java.util.Locale;

/** One sequence out of another, by an encoder and a decoder: a copy, the reverse, or the sum of two numbers; fresh ones at every step. */
final class PairsTask extends Task {
    static final PairsTask COPY = new PairsTask("copy");
    static final PairsTask REVERSE = new PairsTask("reverse");
    static final PairsTask ADDITION = new PairsTask("addition");

    private static final int EPOCH = 200;
    private static final int HELD_OUT = 1_000;
    private static final int LETTERS = 10;
    private static final int EMBEDDING = 16;

    private PairsTask(String name) {
        super(name, Loss.SOFTMAX_CROSS_ENTROPY, "--length");
    }

    @Override
    Defaults defaults(String preset) {
        return this == ADDITION
                ? new Defaults(128, 1, 0, 128, 3, 4_000, 0, "adam", 0.005, 0.1, 1, 0.85)
                : new Defaults(128, 1, 0, 64, 6, 2_000, 0, "adam", 0.005, 0.1, 1, 0.75);
    }

    /** The sequences, of which the settings' time steps say how long they are. */
    SequencePairs pairs(RunConfig config) {
        if (this == ADDITION) {
            return SequencePairs.addition(config.timeSteps(), config.seed());
        }
        return this == COPY
                ? SequencePairs.copy(LETTERS, 1, config.timeSteps(), config.seed())
                : SequencePairs.reverse(LETTERS, 1, config.timeSteps(), config.seed());
    }

    @Override
    void requireWhole(RunConfig config) {
        pairs(config);
    }

    @Override
    long outputs(RunConfig config) {
        return pairs(config).vocabulary();
    }

    /** Where the first is to be said first, or units are added first, the encoder reads from the end. */
    @Override
    Data data(RunConfig config) {
        SequencePairs pairs = pairs(config);
        Form tokens = Form.tokens(pairs.vocabulary());
        Lstm stack = lstm(config, EMBEDDING);
        ModelSpec model = ModelSpec.encoderDecoder(
                ModelSpec.of(
                        tokens,
                        Embedding.of(EMBEDDING),
                        this == REVERSE ? stack : stack.withDirection(Direction.REVERSE)),
                ModelSpec.of(
                        tokens,
                        Embedding.of(EMBEDDING),
                        stack.withReturnSequences(true),
                        Dense.of(pairs.vocabulary())));
        SequenceDataset validation = pairs.heldOut(2 * HELD_OUT).range(0, HELD_OUT);
        return new Data(config, model, pairs.batches(config.batch(), EPOCH), sequential(validation), test(config));
    }

    @Override
    Test test(RunConfig config) {
        return Test.of(examples(config));
    }

    @Override
    SequenceDataset examples(RunConfig config) {
        return pairs(config).heldOut(2 * HELD_OUT).range(HELD_OUT, 2 * HELD_OUT);
    }

    @Override
    String testLine(RunConfig config, Evaluation test) {
        return accuracyLine(test);
    }

    @Override
    Result result(RunConfig config, Test test, Evaluation evaluation, Model model) {
        SequencePairs pairs = pairs(config);
        double exact = ExactMatch.of(model, pairs.start(), pairs.end(), test.source());
        JsonObject facts = new JsonObject();
        facts.addProperty("exactMatch", exact);
        return new Result(
                List.of(testLine(config, evaluation), String.format(Locale.ROOT, "Testing Exact Match: %.4f", exact)),
                facts);
    }
}
