package carousel.training;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.ModelFile;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A trainer whose steps are taken elsewhere: here by another model on this machine. */
class RemoteStepsTest {
    private static final AddingProblem PROBLEM = new AddingProblem(5, 3);
    private static final ModelSpec SPEC =
            ModelSpec.of(Form.sequence(2), Lstm.of(4).withLayers(2).withDropout(0.2), Dense.of(1));
    private static final Optimizer OPTIMIZER = Optimizer.adam(0.01).withMaxNorm(0.1);

    private static BatchSource training() {
        return new ShuffledBatches(PROBLEM.dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static BatchSource held() {
        return new SequentialBatches(PROBLEM.heldOut(20), 20);
    }

    /** Another machine. */
    private static final class Elsewhere implements RemoteSteps {
        private final Engine engine = Engines.open("reference");
        private final Model model = Model.empty(engine, SPEC);
        private final Scope scope = engine.openScope("elsewhere");
        private final Tensor report = scope.allocate("report", 3);
        private final int together;
        private final List<Integer> counts = new ArrayList<>();
        private final BatchSource data = training();
        private Model driver;
        private Optimizer optimizer;
        private double[] memory;
        private boolean broken;

        Elsewhere(int together) {
            this.together = together;
        }

        @Override
        public void begin(Model trained, Loss loss, Optimizer recipe) {
            driver = trained;
            optimizer = recipe;
        }

        @Override
        public int together() {
            return together;
        }

        @Override
        public double[] gradient(long seed, long step) {
            counts.add(1);
            model.writeParameters(driver.readParameters());
            double[] totals = compute(seed, step);
            double[] gradients = new double[(int) model.gradients().elements()];
            engine.read(model.gradients(), gradients);
            driver.engine().write(driver.gradients(), gradients);
            return totals;
        }

        private double[] compute(long seed, long step) {
            double[] totals = new double[3];
            try (Scope inner = engine.openScope("step")) {
                BatchGradient.compute(
                        model, Loss.MEAN_SQUARED_ERROR, data.batch(step), inner, seed, step, null, 1, report);
                engine.read(report, totals);
            }
            if (broken) {
                totals[0] = Double.NaN;
            }
            return totals;
        }

        @Override
        public double[][] advance(Optimizer.State moments, long seed, long step, int count, double rateFactor) {
            counts.add(count);
            memory = new double[] {step + count, 0.5};
            model.writeParameters(driver.readParameters());
            double[][] totals = new double[count][];
            try (Scope inner = engine.openScope("moments")) {
                Optimizer.State mine =
                        optimizer.open(engine, inner, model.parameters().elements());
                move(moments.firstMoment(), driver.engine(), mine.firstMoment(), engine);
                move(moments.secondMoment(), driver.engine(), mine.secondMoment(), engine);
                for (int k = 0; k < count; k++) {
                    totals[k] = compute(seed, step + k);
                    mine.step(model.parameters(), model.gradients(), step + k, rateFactor);
                }
                move(mine.firstMoment(), engine, moments.firstMoment(), driver.engine());
                move(mine.secondMoment(), engine, moments.secondMoment(), driver.engine());
            }
            driver.writeParameters(model.readParameters());
            return totals;
        }

        private static void move(Tensor from, Engine of, Tensor to, Engine by) {
            double[] values = new double[(int) from.elements()];
            of.read(from, values);
            by.write(to, values);
        }

        @Override
        public Optional<Evaluation> validate(BooleanSupplier stopped) {
            model.writeParameters(driver.readParameters());
            return Optional.of(new Evaluator(model, Loss.MEAN_SQUARED_ERROR).evaluate(held()));
        }

        @Override
        public Batch batch(long step) {
            return null;
        }

        @Override
        public double[] memory() {
            return memory;
        }

        @Override
        public void restore(double[] saved) {
            memory = saved;
        }

        @Override
        public void close() {
            scope.close();
            model.close();
            engine.close();
        }
    }

    private static Trainer.Builder settings(Model model) {
        return Trainer.of(model)
                .loss(Loss.MEAN_SQUARED_ERROR)
                .optimizer(OPTIMIZER)
                .reportGradientNorm()
                .keepBest()
                .seed(11);
    }

    /** The parameters after two epochs of seven steps, and what was reported. */
    private static List<Object> trained(RemoteSteps steps) {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model).remote(steps).open()) {
            History history = trainer.fit(training(), held(), 2);
            return List.of(
                    model.readParameters(),
                    history.epochs().stream()
                            .flatMap(epoch -> List.of(epoch.loss(), epoch.validationLoss(), epoch.step()).stream())
                            .toList(),
                    trainer.recent().count());
        }
    }

    private static void assertSame(List<Object> expected, List<Object> actual) {
        assertArrayEquals((double[]) expected.get(0), (double[]) actual.get(0));
        assertEquals(expected.get(1), actual.get(1));
        assertEquals(expected.get(2), actual.get(2));
    }

    @Test
    void aStepElsewhereIsAStepHere() {
        List<Object> here = trained(null);
        for (int together : new int[] {1, 3, 100}) {
            try (Elsewhere steps = new Elsewhere(together)) {
                assertSame(here, trained(steps));
                // None goes over the end of an epoch.
                assertEquals(
                        switch (together) {
                            case 1 -> 14;
                            case 3 -> 6;
                            default -> 2;
                        },
                        steps.counts.size());
                assertEquals(
                        14, steps.counts.stream().mapToInt(Integer::intValue).sum());
            }
        }
    }

    @Test
    void theNormIsThatOfAStepThatWasTakenAlone() {
        double[] norms = new double[2];
        for (int k = 0; k < 2; k++) {
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, SPEC, 2);
                    Elsewhere steps = new Elsewhere(1);
                    Trainer trainer =
                            settings(model).remote(k == 0 ? null : steps).open()) {
                trainer.fitSteps(training(), null, 3);
                norms[k] = trainer.gradientNorm().orElseThrow();
            }
        }
        assertEquals(norms[0], norms[1]);
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Elsewhere steps = new Elsewhere(3);
                Trainer trainer = settings(model).remote(steps).open()) {
            trainer.fitSteps(training(), null, 3);
            assertTrue(trainer.gradientNorm().isEmpty());
        }
    }

    @Test
    void whatIsDueComesAfterStepsThatAreTakenTogether(@TempDir Path folder) throws Exception {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Elsewhere steps = new Elsewhere(3);
                RunFolder run = RunFolder.create(folder, Map.of(), 5)) {
            List<Long> due = new ArrayList<>();
            List<Long> saved = new ArrayList<>();
            try (Trainer trainer = settings(model)
                    .remote(steps)
                    .callback(run)
                    .callback(new Callback() {
                        @Override
                        public void onStep(Trainer running, Batch batch) {
                            if (running.passed(4)) {
                                due.add(running.step());
                            }
                            saved.add(run.savedStep());
                        }
                    })
                    .open()) {
                trainer.fitSteps(training(), null, 14);
            }
            assertEquals(
                    Loss.MEAN_SQUARED_ERROR.name(),
                    ModelFile.read(folder.resolve(RunFolder.MODEL)).metadata().get(ModelFile.LOSS));
            // Rounds end with the steps 3, 6, 7, 10, 13, 14.
            assertEquals(List.of(6L, 10L, 13L), due);
            assertEquals(List.of(0L, 6L, 6L, 10L, 10L, 10L), saved);
        }
    }

    @Test
    void theirMemoryIsInTheCheckpoint(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("checkpoint.safetensors");
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Elsewhere steps = new Elsewhere(3);
                Trainer trainer = settings(model).remote(steps).open()) {
            trainer.fitSteps(training(), null, 6);
            trainer.checkpoint().write(file, Map.of());
        }
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Elsewhere steps = new Elsewhere(3);
                Trainer trainer = settings(model).remote(steps).open()) {
            trainer.restore(Checkpoint.read(file).checkpoint());
            assertArrayEquals(new double[] {6, 0.5}, steps.memory);
        }
    }

    @Test
    void aLossThatIsNoNumberStopsTheRun() {
        for (int together : new int[] {1, 3}) {
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, SPEC, 2);
                    Elsewhere steps = new Elsewhere(together);
                    Trainer trainer = settings(model).remote(steps).open()) {
                steps.broken = true;
                assertEquals(
                        1,
                        assertThrows(DivergenceException.class, () -> trainer.fitSteps(training(), null, 6))
                                .step());
            }
        }
    }

    @Test
    void aLossScaleIsRefused() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Elsewhere steps = new Elsewhere(1)) {
            Trainer.Builder builder = settings(model).remote(steps).lossScale(LossScale.dynamic());
            IllegalArgumentException refused = assertThrows(IllegalArgumentException.class, builder::open);
            assertTrue(
                    refused.getMessage().startsWith("steps on other machines have no loss scale"),
                    refused.getMessage());
        }
    }
}
