package carousel.examples;

import carousel.data.BatchSource;
import carousel.data.DatasetSplit;
import carousel.data.DrawnDigits;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.EpochReport;
import carousel.training.Trainer;

/** Which class is a sequence of? Here a picture of a digit, read row by row from both ends; guessing is right once in ten times. */
public final class Classification {
    private Classification() {}

    public static void main(String[] arguments) {
        System.out.println("test accuracy " + testAccuracy("auto", DrawnDigits.TRAINING_SIZE, 3));
    }

    static double testAccuracy(String engineName, int pictures, int epochs) {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(DrawnDigits.SIDE),
                // Without withReturnSequences it gives its last output, one vector a sequence.
                Lstm.of(64).withDirection(Direction.BIDIRECTIONAL),
                Dense.of(DrawnDigits.CLASSES));
        DatasetSplit digits = DatasetSplit.of(DrawnDigits.training(1, pictures), pictures / 10, 1);
        BatchSource training = new ShuffledBatches(digits.training(), 32, 1, ShuffledBatches.Mode.PER_EPOCH);
        BatchSource validation = new SequentialBatches(digits.validation(), 250);
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 42);
                Trainer trainer = Trainer.of(model)
                        .optimizer(Optimizer.adam(0.003).withMaxNorm(1))
                        .keepBest()
                        .open()) {
            System.out.println(model.summary());
            for (EpochReport epoch : trainer.fit(training, validation, epochs).epochs()) {
                System.out.println(epoch);
            }
            return trainer.evaluate(new SequentialBatches(DrawnDigits.test(1), 250))
                    .accuracy();
        }
    }
}
