package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.format.JsonLines;
import carousel.format.tensorboard.EventReader;
import carousel.training.RunFolder;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.Summary;

class TensorBoardOptionTest {
    @TempDir
    private Path folder;

    private CommandLineRun train(Path out, Path board) {
        return CommandLineRun.of(
                "train",
                "--task",
                "adding",
                "--time-steps",
                8,
                "--hidden",
                5,
                "--batch",
                4,
                "--steps",
                30,
                "--display-step",
                10,
                "--out",
                out,
                "--tensorboard",
                board);
    }

    @Test
    void aRunAndItsContinuationAreShownWithTheLossesOfTheMetrics() throws IOException {
        Path out = folder.resolve("run");
        // The run folder itself may be the one: its other files do not disturb TensorBoard.
        train(out, out).succeeds();
        CommandLineRun.of("train", "--resume", out, "--steps", 50, "--display-step", 10, "--tensorboard", out)
                .succeeds();
        Map<String, TreeMap<Long, Summary.Value>> shown = EventReader.shown(out.resolve("train"));
        assertEquals(2, EventReader.files(out.resolve("train")).size());
        Map<Long, Float> losses = new TreeMap<>();
        for (JsonObject line : JsonLines.read(out.resolve(RunFolder.METRICS))) {
            if (line.get("kind").getAsString().equals(RunFolder.STEP)) {
                losses.put(line.get("step").getAsLong(), line.get("loss").getAsFloat());
            }
        }
        assertEquals(Set.of(10L, 20L, 30L, 40L, 50L), losses.keySet());
        assertEquals(losses, EventReader.scalars(shown, "batch_loss"));
        assertEquals(
                losses.keySet(),
                EventReader.scalars(shown, "batch_gradient_norm").keySet());
        assertTrue(EventReader.shown(out.resolve("validation")).containsKey("epoch_loss"));
        String settings =
                shown.get("settings").get(30L).getTensor().getStringVal(0).toStringUtf8();
        assertTrue(settings.contains("| steps | 50 |\n") && settings.contains("| task | adding |\n"), settings);
    }

    @Test
    void aFolderThatCannotBeWrittenToIsRefused() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "");
        train(folder.resolve("run"), file).failsWith(1, "'" + file);
    }
}
