package carousel.examples;

import carousel.data.SequencePairs;
import carousel.data.SequentialBatches;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.GreedyDecoder;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.optimizer.Schedule;
import carousel.training.ExactMatch;
import carousel.training.Trainer;

/**
 * From one sequence to another of a different length: sums such as {@code 12+345}, answered with {@code 357}. An encoder reads the
 * sum, a decoder starts from the state that it ends with and says the answer, digit by digit, reading what it has said.
 */
public final class Addition {
    private Addition() {}

    public static void main(String[] arguments) {
        System.out.println("learning 4,000 batches of sums, which takes a few minutes on two cores");
        System.out.println("right answers to new sums: " + exactMatch("auto", 3, 128, 4_000));
    }

    /** The share of sums of up to so many digits, none of them trained on, that are answered without any mistake. */
    static double exactMatch(String engineName, int digits, int batchSize, int steps) {
        SequencePairs sums = SequencePairs.addition(digits, 1);
        Form tokens = Form.tokens(sums.vocabulary());
        ModelSpec spec = ModelSpec.encoderDecoder(
                // Read from the end, as units are added first.
                ModelSpec.of(tokens, Embedding.of(16), Lstm.of(128).withDirection(Direction.REVERSE)),
                ModelSpec.of(
                        tokens, Embedding.of(16), Lstm.of(128).withReturnSequences(true), Dense.of(sums.vocabulary())));
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 1);
                Trainer trainer = Trainer.of(model)
                        .optimizer(Optimizer.adam(0.005)
                                .withSchedule(new Schedule.Cosine(0.005, 0.00025, 100, steps))
                                .withMaxNorm(1))
                        .open()) {
            trainer.fit(sums.batches(batchSize, steps / 10), null, 10);
            System.out.println("12+34=" + answer(model, sums, "12+34"));
            return ExactMatch.of(model, sums.start(), sums.end(), new SequentialBatches(sums.heldOut(1_000), 250));
        }
    }

    private static String answer(Model model, SequencePairs sums, String sum) {
        int[] source = sums.source(sum);
        GreedyDecoder decoder = new GreedyDecoder(model, sums.start(), sums.end(), sums.longestAnswer());
        return sums.text(decoder.decode(source.length, source, null)[0]);
    }
}
