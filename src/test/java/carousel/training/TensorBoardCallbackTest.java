package carousel.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.DrawnDigits;
import carousel.data.ImageDataset;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.tensorboard.EventReader;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.Summary;

class TensorBoardCallbackTest {
    private static final AddingProblem PROBLEM = new AddingProblem(6, 3);
    private static final ModelSpec SPEC = ModelSpec.of(Form.sequence(2), Lstm.of(5), Dense.of(1));

    @TempDir
    private Path folder;

    /** Seven steps an epoch. */
    private static BatchSource training() {
        return new ShuffledBatches(PROBLEM.dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static BatchSource validation() {
        return new SequentialBatches(PROBLEM.heldOut(20), 20);
    }

    private static Trainer.Builder settings(Model model) {
        return Trainer.of(model)
                .loss(Loss.MEAN_SQUARED_ERROR)
                .optimizer(Optimizer.adam(0.01).withMaxNorm(0.5))
                .seed(11);
    }

    private Map<String, TreeMap<Long, Summary.Value>> shown(String part) throws IOException {
        return EventReader.shown(folder.resolve(part));
    }

    /** What is shown, measured in another way. */
    private static final class Witness implements Callback {
        final Map<Long, Float> norms = new TreeMap<>();

        @Override
        public void onStep(Trainer trainer, Batch batch) {
            double[] gradients =
                    new double[Math.toIntExact(trainer.model().gradients().elements())];
            trainer.model().engine().read(trainer.model().gradients(), gradients);
            double square = 0;
            for (double value : gradients) {
                square += value * value;
            }
            norms.put(trainer.step(), (float) Math.sqrt(square));
        }
    }

    @Test
    void aRunIsWrittenUnderTheTagsOfKeras() throws IOException {
        Witness witness = new Witness();
        History history;
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                TensorBoardCallback board = TensorBoardCallback.create(
                        folder, Map.of("run", "{\"task\":\"a|b\",\"hidden\":5,\"data\":null}", "note", "{x"), 5);
                Trainer trainer = settings(model)
                        .reportGradientNorm()
                        .callback(board)
                        .callback(witness)
                        .open()) {
            history = trainer.fitSteps(training(), validation(), 24);
            String table = text(shown("train"), "settings", 0);
            assertEquals(
                    "| Setting | Value |\n| --- | --- |\n| note | {x |\n| task | a\\|b |\n| hidden | 5 |\n| data | null |\n",
                    table);
            String summary = text(shown("train"), "model", 0);
            assertEquals("```\n" + model.summary().strip() + "\n```", summary);
        }
        Map<String, TreeMap<Long, Summary.Value>> train = shown("train");
        assertEquals(
                Set.of(
                        "batch_loss",
                        "batch_learning_rate",
                        "batch_gradient_norm",
                        "batch_milliseconds_per_step",
                        "epoch_loss",
                        "epoch_learning_rate",
                        "settings",
                        "model",
                        "learning_curves"),
                train.keySet(),
                "no accuracy for a squared error");
        for (String tag : train.keySet()) {
            if (tag.startsWith("batch_")) {
                assertEquals(Set.of(5L, 10L, 15L, 20L), train.get(tag).keySet(), tag);
            }
        }
        assertEquals(Set.of("epoch_loss"), shown("validation").keySet());
        Map<Long, Float> losses = new TreeMap<>();
        Map<Long, Float> validationLosses = new TreeMap<>();
        for (EpochReport report : history.epochs()) {
            losses.put(report.step(), (float) report.loss());
            validationLosses.put(report.step(), (float) report.validationLoss());
        }
        assertEquals(Set.of(7L, 14L, 21L, 24L), losses.keySet(), "a partial epoch too");
        assertEquals(losses, EventReader.scalars(train, "epoch_loss"));
        assertEquals(validationLosses, EventReader.scalars(shown("validation"), "epoch_loss"));
        assertEquals(losses.keySet(), train.get("learning_curves").keySet());
        EventReader.scalars(train, "batch_gradient_norm")
                .forEach((step, norm) -> assertEquals(witness.norms.get(step), norm, "step " + step));
        EventReader.scalars(train, "batch_learning_rate").values().forEach(rate -> assertEquals(0.01f, rate));
        EventReader.scalars(train, "batch_milliseconds_per_step")
                .values()
                .forEach(time -> assertTrue(time > 0 && time < 60_000, () -> time + " ms"));
        Summary.Image image = train.get("learning_curves").get(24L).getImage();
        BufferedImage picture = ImageIO.read(
                new ByteArrayInputStream(image.getEncodedImageString().toByteArray()));
        assertEquals(picture.getWidth(), image.getWidth());
        assertEquals(picture.getHeight(), image.getHeight());
    }

    private static String text(Map<String, TreeMap<Long, Summary.Value>> shown, String tag, long step) {
        return shown.get(tag).get(step).getTensor().getStringVal(0).toStringUtf8();
    }

    @Test
    void lossesAreMeansOverTheStepsSinceTheLastPoint() throws IOException {
        Map<Long, Evaluation> recent = new TreeMap<>();
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                TensorBoardCallback board = TensorBoardCallback.create(folder, Map.of(), 5);
                Trainer trainer = settings(model)
                        // Two that ask at the same steps do not take anything from each other.
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                if (running.step() % 5 == 0) {
                                    recent.put(running.step(), running.recent());
                                }
                            }
                        })
                        .callback(board)
                        .open()) {
            trainer.fitSteps(training(), null, 15);
        }
        assertFalse(Files.exists(folder.resolve("validation")), "there is no validation data");
        Map<Long, Float> single = new TreeMap<>();
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model)
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                single.put(
                                        running.step(), (float) running.recent().loss());
                            }
                        })
                        .open()) {
            trainer.fitSteps(training(), null, 15);
        }
        Map<Long, Float> shown = EventReader.scalars(shown("train"), "batch_loss");
        assertEquals(Set.of(5L, 10L, 15L), shown.keySet());
        shown.forEach((step, loss) -> assertEquals((float) recent.get(step).loss(), loss));
        // Steps 1 to 5 are of eight sequences each; the seventh of an epoch has two.
        double mean = 0;
        for (long step = 1; step <= 5; step++) {
            mean += single.get(step) / 5;
        }
        assertEquals(mean, shown.get(5L), 1e-6);
        assertFalse(shown("train").containsKey("batch_gradient_norm"), "the trainer was not asked for it");
    }

    @Test
    void accuraciesAreWrittenWhereTheLossKnowsThem() throws IOException {
        ImageDataset digits = DrawnDigits.training(3, 60);
        BatchSource source = new ShuffledBatches(digits, 20, 5, ShuffledBatches.Mode.PER_EPOCH);
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(28), Lstm.of(8), Dense.of(10)), 2);
                TensorBoardCallback board = TensorBoardCallback.create(folder, Map.of(), 2);
                Trainer trainer = Trainer.of(model).callback(board).open()) {
            History history = trainer.fit(source, new SequentialBatches(digits, 20), 2);
            for (EpochReport report : history.epochs()) {
                assertEquals(
                        (float) report.accuracy(),
                        EventReader.scalars(shown("train"), "epoch_accuracy").get(report.step()));
                assertEquals(
                        (float) report.validationAccuracy(),
                        EventReader.scalars(shown("validation"), "epoch_accuracy")
                                .get(report.step()));
            }
            assertEquals(
                    Set.of(2L, 4L, 6L),
                    EventReader.scalars(shown("train"), "batch_accuracy").keySet());
        }
    }

    @Test
    void aRunThatIsKilledAndResumedIsShownAsOneRun() throws Exception {
        Path whole = folder.resolve("whole");
        Path parts = folder.resolve("parts");
        run(whole, null, 60, 60);
        // Killed after step 33 with the checkpoint of step 19, just before a point, and after step 48 with the
        // checkpoint of
        // step 42, an epoch's end and itself a point.
        // epoch's end.
        Path first = folder.resolve("first");
        Path second = folder.resolve("second");
        run(parts, null, 19, 33, first);
        run(parts, first, 42, 48, second);
        run(parts, second, 60, 60);
        assertEquals(3, EventReader.files(parts.resolve("train")).size());
        for (String part : List.of("train", "validation")) {
            Map<String, TreeMap<Long, Summary.Value>> expected = EventReader.shown(whole.resolve(part));
            Map<String, TreeMap<Long, Summary.Value>> shown = EventReader.shown(parts.resolve(part));
            assertEquals(expected.keySet(), shown.keySet());
            for (String tag : expected.keySet()) {
                if (tag.equals("batch_milliseconds_per_step")) {
                    assertEquals(expected.get(tag).keySet(), shown.get(tag).keySet());
                } else if (tag.equals("settings") || tag.equals("model")) {
                    assertEquals(Set.of(0L, 19L, 42L), shown.get(tag).keySet(), "also where it was resumed");
                } else {
                    assertEquals(expected.get(tag), shown.get(tag), tag);
                }
            }
        }
    }

    private static void run(Path board, Path from, long checkpointStep, long kill, Path... to) throws Exception {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                TensorBoardCallback events = TensorBoardCallback.create(board, Map.of("a", "b"), 5);
                Trainer trainer = settings(model)
                        .reportGradientNorm()
                        .callback(events)
                        .callback(new Callback() {
                            @Override
                            public void onEpoch(Trainer running, EpochReport report) {
                                save(running);
                            }

                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                if (!running.atEpochEnd()) {
                                    save(running);
                                }
                                if (running.step() == kill && kill < 60) {
                                    throw new IllegalStateException("killed");
                                }
                            }

                            private void save(Trainer running) {
                                if (running.step() == checkpointStep && to.length > 0) {
                                    try {
                                        running.checkpoint().write(to[0], Map.of());
                                    } catch (IOException e) {
                                        throw new IllegalStateException(e);
                                    }
                                }
                            }
                        })
                        .open()) {
            if (from != null) {
                trainer.restore(Checkpoint.read(from).checkpoint());
            }
            if (kill < 60) {
                assertEquals(
                        "killed",
                        assertThrows(IllegalStateException.class, () -> trainer.fitSteps(training(), validation(), 60))
                                .getMessage());
            } else {
                trainer.fitSteps(training(), validation(), 60);
            }
        }
    }

    @Test
    void manyEpochsAreDrawnFewTimes() throws IOException {
        BatchSource source = new SequentialBatches(PROBLEM.heldOut(4), 4);
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                TensorBoardCallback board = TensorBoardCallback.create(folder, Map.of(), 1000);
                Trainer trainer = settings(model).callback(board).open()) {
            trainer.fit(source, null, 123);
        }
        Set<Long> expected = new TreeSet<>(Set.of(100L, 123L));
        for (long epoch = 1; epoch < 10; epoch++) {
            expected.add(epoch);
            expected.add(10 * epoch);
        }
        assertEquals(expected, shown("train").get("learning_curves").keySet());
        assertEquals(123, shown("train").get("epoch_loss").size());
    }

    @Test
    void whatCannotBeWrittenEndsTheTrainingOrIsRefused() throws IOException {
        assertThrows(IllegalArgumentException.class, () -> TensorBoardCallback.create(folder, Map.of(), 0));
        Path file = Files.writeString(folder.resolve("file"), "");
        IOException failure = assertThrows(IOException.class, () -> TensorBoardCallback.create(file, Map.of(), 1));
        assertTrue(failure.getMessage().contains("'" + file), failure::getMessage);
    }
}
