package carousel.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.fixture.AvailableEngines;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GradientNormTest {
    private static final ModelSpec SPEC =
            ModelSpec.of(Form.sequence(2), Lstm.of(7).withLayers(2).withDropout(0.2), Dense.of(1));

    /** Of cuDNN's algorithms, each trainer would choose the fastest at that moment, and they round differently. */
    private static final String CUDNN_ALGORITHM = "carousel.cudnn.algorithm";

    /** More than a trainer keeps on the engine before it looks at them. */
    private static final int STEPS = 150;

    @BeforeAll
    static void pin() {
        System.setProperty(CUDNN_ALGORITHM, "standard");
    }

    @AfterAll
    static void unpin() {
        System.clearProperty(CUDNN_ALGORITHM);
    }

    private static BatchSource source() {
        return new ShuffledBatches(new AddingProblem(6, 3).dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static Trainer.Builder settings(Model model, double maxNorm) {
        return Trainer.of(model)
                .loss(Loss.MEAN_SQUARED_ERROR)
                .optimizer(Optimizer.adam(0.01).withMaxNorm(maxNorm))
                .seed(11);
    }

    @ParameterizedTest
    @CsvSource({
        "reference, 0",
        "reference, 0.05",
        "vector, 0",
        "vector, 0.05",
        "cudnn, 0",
        "cudnn, 0.05",
        "fused, 0",
        "fused, 0.05"
    })
    void itIsThatOfAllGradientsBeforeTheyAreClipped(String name, double maxNorm) {
        AvailableEngines.assume(name);
        List<String> wrong = new ArrayList<>();
        int[] clipped = {0};
        double[] parameters;
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model, maxNorm)
                        .reportGradientNorm()
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                // Not at each step, so that most stay unread for a while.
                                if (running.step() % 7 != 0 && running.step() != 64 && running.step() != 65) {
                                    return;
                                }
                                double expected = norm(running);
                                double found = running.gradientNorm().orElse(Double.NaN);
                                double tolerance = engine.precision() == Precision.FP64 ? 1e-14 : 1e-6;
                                if (!(Math.abs(found - expected) <= tolerance * expected) || expected == 0) {
                                    wrong.add("step " + running.step() + ": " + found + " and not " + expected);
                                }
                                clipped[0] += expected > maxNorm ? 1 : 0;
                            }
                        })
                        .open()) {
            assertEquals(OptionalDouble.empty(), trainer.gradientNorm(), "before the first step");
            trainer.fitSteps(source(), null, STEPS);
            assertEquals(norm(trainer), trainer.gradientNorm().orElseThrow(), 1e-6);
            parameters = model.readParameters();
            trainer.restore(trainer.checkpoint());
            assertEquals(OptionalDouble.empty(), trainer.gradientNorm(), "of a step that another trainer took");
        }
        assertEquals(List.of(), wrong);
        assertTrue(maxNorm == 0 || clipped[0] > 3, "few gradients were large enough to be clipped");
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model, maxNorm).open()) {
            trainer.fitSteps(source(), null, STEPS);
            assertArrayEquals(parameters, model.readParameters(), "reporting has changed the training");
            assertEquals(OptionalDouble.empty(), trainer.gradientNorm(), "nobody has asked for it");
        }
    }

    private static double norm(Trainer trainer) {
        double[] gradients =
                new double[Math.toIntExact(trainer.model().gradients().elements())];
        trainer.model().engine().read(trainer.model().gradients(), gradients);
        double square = 0;
        for (double value : gradients) {
            square += value * value;
        }
        return Math.sqrt(square);
    }

    @Test
    void timeInStepsLeavesOutCallbacks() {
        double[] before = new double[1];
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model, 1)
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                if (running.step() == 3) {
                                    before[0] = running.secondsInSteps();
                                    try {
                                        Thread.sleep(1500);
                                    } catch (InterruptedException e) {
                                        throw new IllegalStateException(e);
                                    }
                                }
                            }
                        })
                        .open()) {
            assertEquals(0, trainer.secondsInSteps(), 0.1);
            trainer.fitSteps(source(), null, 5);
            assertTrue(before[0] > 0);
            double rest = trainer.secondsInSteps() - before[0];
            assertTrue(rest > 0 && rest < 1.4, () -> "two steps took " + rest + " s");
        }
    }
}
