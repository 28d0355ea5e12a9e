package carousel.cli;

import carousel.data.AddingProblem;
import carousel.data.SequenceDataset;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import java.util.Locale;

/** The adding problem, fresh sequences at every step. */
final class AddingTask extends Task {
    private static final int EPOCH = 200;
    private static final int HELD_OUT = 2_000;

    AddingTask() {
        super("adding", Loss.MEAN_SQUARED_ERROR, "--time-steps");
    }

    @Override
    Defaults defaults(String preset) {
        return new Defaults(64, 1, 0, 64, 100, 3_000, 0, "adam", 0.005, 0.1, 1, 1);
    }

    @Override
    Data data(RunConfig config) {
        AddingProblem problem = new AddingProblem(config.timeSteps(), config.seed());
        SequenceDataset validation = problem.heldOut(2 * HELD_OUT).range(0, HELD_OUT);
        return new Data(
                config,
                ModelSpec.of(Form.sequence(validation.features()), lstm(config, validation.features()), Dense.of(1)),
                problem.batches(config.batch(), EPOCH),
                sequential(validation),
                test(config));
    }

    @Override
    Test test(RunConfig config) {
        return Test.of(examples(config));
    }

    @Override
    SequenceDataset examples(RunConfig config) {
        return new AddingProblem(config.timeSteps(), config.seed())
                .heldOut(2 * HELD_OUT)
                .range(HELD_OUT, 2 * HELD_OUT);
    }

    @Override
    String testLine(RunConfig config, Evaluation test) {
        return String.format(
                Locale.ROOT,
                "Testing Mean Squared Error: %.6f (always answering 1 has %.4f)",
                test.loss(),
                AddingProblem.TRIVIAL_ERROR);
    }
}
