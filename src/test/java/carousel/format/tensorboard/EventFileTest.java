package carousel.format.tensorboard;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.tensorflow.proto.DataClass;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

class EventFileTest {
    /** What the Python package tensorboard_logger writes, by its own tests, for the calls below at the time 256.5. */
    private static final String ANOTHER_WRITERS = "1800000000000000a37f4b2209000000000008704"
            + "01a0d627261696e2e4576656e743a32bc98212b"
            + "19000000000000008bf108280900000000000870401001"
            + "2a0c0a0a0a03762f31150000c03f2cecc087"
            + "1a00000000000000129bd82d0900000000000870401002"
            + "2a0d0a0b0a04762f323215000080418fa3b688";

    /** A record of TensorBoard's own tests, of the time 1440183447. */
    private static final String TENSORBOARDS =
            "1800000000000000a37f4b22090000c025dd75d5411a0d627261696e2e4576656e743a31ecf3328d";

    @TempDir
    private Path folder;

    private static byte[] png(int width, int height) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ImageIO.write(new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB), "png", out);
        return out.toByteArray();
    }

    @Test
    void theReaderOfTheseTestsReadsTensorBoardsOwnRecord() throws IOException {
        assertEquals(0xe3069283, EventReader.crc32c("123456789".getBytes(StandardCharsets.US_ASCII)));
        byte[] record = HexFormat.of().parseHex(TENSORBOARDS);
        Event event = EventReader.read(record).get(0);
        assertEquals("brain.Event:1", event.getFileVersion());
        assertEquals(1440183447, event.getWallTime());
        for (int place = 0; place < record.length; place++) {
            byte[] damaged = record.clone();
            damaged[place] ^= 4;
            assertThrows(IOException.class, () -> EventReader.read(damaged), "byte " + place);
        }
    }

    @Test
    void theBytesAreThoseOfAnotherWriter() throws IOException {
        try (EventFile file = EventFile.create(folder, () -> Instant.ofEpochMilli(256_500))) {
            file.scalar("v/1", 1, 1.5);
            file.scalar("v/22", 2, 16);
            assertEquals(ANOTHER_WRITERS, HexFormat.of().formatHex(Files.readAllBytes(file.path())));
        }
    }

    @Test
    void everyScalarTextAndPictureArrives() throws IOException {
        double[] values = {0, -0.0, 1e-45, 0.1, -3.5e38, Double.NaN, Double.POSITIVE_INFINITY};
        String markdown = "| Größe | ✓ |\n| --- | --- |\n| \ud83c\udfa0 | ||\n";
        byte[] picture = png(7, 3);
        double before = System.currentTimeMillis() / 1e3;
        Path path;
        try (EventFile file = EventFile.create(folder.resolve("a/b"))) {
            path = file.path();
            file.start(1);
            for (int k = 0; k < values.length; k++) {
                file.scalar("some/loss", k, values[k]);
            }
            file.text("settings", 0, markdown);
            file.text("settings", Long.MAX_VALUE, "");
            file.image("curves", 12, picture);
            file.flush();
        }
        double after = System.currentTimeMillis() / 1e3;
        assertTrue(
                path.getFileName()
                        .toString()
                        .matches("events\\.out\\.tfevents\\.\\d{10}\\.[A-Za-z0-9_-]+\\."
                                + ProcessHandle.current().pid() + "\\.\\d+"),
                path::toString);
        List<Event> events = EventReader.read(path);
        assertEquals(2 + values.length + 3, events.size());
        assertEquals("brain.Event:2", events.get(0).getFileVersion());
        assertEquals(0, events.get(0).getStep());
        assertEquals(
                SessionLog.SessionStatus.START, events.get(1).getSessionLog().getStatus());
        assertEquals(1, events.get(1).getStep());
        for (Event event : events) {
            assertTrue(event.getWallTime() >= before && event.getWallTime() <= after, event::toString);
            assertTrue(event.getUnknownFields().asMap().isEmpty(), event::toString);
        }
        for (int k = 0; k < values.length; k++) {
            Event event = events.get(2 + k);
            assertEquals(k, event.getStep());
            assertEquals(1, event.getSummary().getValueCount());
            Summary.Value value = event.getSummary().getValue(0);
            assertEquals("some/loss", value.getTag());
            assertEquals(Summary.Value.ValueCase.SIMPLE_VALUE, value.getValueCase(), "also of a zero");
            assertEquals((float) values[k], value.getSimpleValue());
        }
        Summary.Value text = events.get(2 + values.length).getSummary().getValue(0);
        assertEquals("settings", text.getTag());
        assertEquals("text", text.getMetadata().getPluginData().getPluginName());
        assertEquals(DataClass.DATA_CLASS_TENSOR, text.getMetadata().getDataClass());
        assertEquals(DataType.DT_STRING, text.getTensor().getDtype());
        assertTrue(text.getTensor().hasTensorShape());
        assertEquals(0, text.getTensor().getTensorShape().getDimCount());
        assertEquals(1, text.getTensor().getStringValCount());
        assertEquals(markdown, text.getTensor().getStringVal(0).toStringUtf8());
        Event empty = events.get(3 + values.length);
        assertEquals(Long.MAX_VALUE, empty.getStep());
        assertEquals(
                "", empty.getSummary().getValue(0).getTensor().getStringVal(0).toStringUtf8());
        Event image = events.get(4 + values.length);
        assertEquals(12, image.getStep());
        Summary.Value shown = image.getSummary().getValue(0);
        assertEquals("curves", shown.getTag());
        assertEquals(7, shown.getImage().getWidth());
        assertEquals(3, shown.getImage().getHeight());
        assertArrayEquals(picture, shown.getImage().getEncodedImageString().toByteArray());
    }

    @Test
    void aFileCutAtAnyByteIsReadableUpToItsLastWholeEvent() throws IOException {
        List<Long> ends = new ArrayList<>();
        Path path;
        try (EventFile file = EventFile.create(folder)) {
            path = file.path();
            ends.add(Files.size(path));
            file.start(1);
            ends.add(Files.size(path));
            for (int step = 1; step < 6; step++) {
                file.scalar("loss", step, 1.0 / step);
                ends.add(Files.size(path));
            }
            file.text("note", 6, "x".repeat(300));
            ends.add(Files.size(path));
            file.image("picture", 7, png(4, 4));
            ends.add(Files.size(path));
        }
        byte[] whole = Files.readAllBytes(path);
        assertEquals(whole.length, ends.get(ends.size() - 1), "each event is in the file when its call returns");
        List<Event> events = EventReader.read(whole);
        for (int cut = 0; cut <= whole.length; cut++) {
            int size = cut;
            long complete = ends.stream().filter(end -> end <= size).count();
            assertEquals(
                    events.subList(0, (int) complete),
                    EventReader.read(Arrays.copyOf(whole, cut)),
                    "cut after " + cut + " bytes");
        }
    }

    @Test
    void aRunThatGoesOnReplacesTheStepsThatItTakesAgain() throws IOException {
        try (EventFile file = EventFile.create(folder)) {
            file.start(1);
            for (int step = 1; step <= 30; step++) {
                file.scalar("loss", step, step);
            }
        }
        // Killed after step 30; the last checkpoint is of step 20. Once more after step 25.
        for (int checkpoint : new int[] {20, 25}) {
            try (EventFile file = EventFile.create(folder)) {
                file.start(checkpoint + 1);
                for (int step = checkpoint + 1; step <= 28; step++) {
                    file.scalar("loss", step, 1000 * checkpoint + step);
                }
            }
        }
        Map<Long, Float> expected = new TreeMap<>();
        for (int step = 1; step <= 28; step++) {
            expected.put((long) step, (float) (step <= 20 ? step : step <= 25 ? 20_000 + step : 25_000 + step));
        }
        assertEquals(expected, EventReader.scalars(EventReader.shown(folder), "loss"));
    }

    @Test
    void aNewFileIsTheLastOneWhateverTheClockSays() throws IOException {
        List<Path> made = new ArrayList<>();
        for (long seconds : new long[] {1_700_000_000, 1_700_000_000, 5, 1_700_000_009, 1_600_000_000}) {
            try (EventFile file = EventFile.create(folder, () -> Instant.ofEpochSecond(seconds))) {
                made.add(file.path());
            }
        }
        Files.writeString(folder.resolve("notes.txt"), "no event file");
        assertEquals(made, EventReader.files(folder));
    }

    @Test
    void whatCannotBeWrittenIsRefused() throws IOException {
        try (EventFile file = EventFile.create(folder)) {
            long size = Files.size(file.path());
            refused(() -> file.scalar(" ", 1, 1), "tag", "' '");
            refused(() -> file.scalar("loss", -1, 1), "step", "0 or more", "-1");
            refused(() -> file.start(-2), "step", "0 or more", "-2");
            refused(() -> file.image("curves", 1, new byte[5]), "'curves'", "PNG", "5 bytes");
            refused(() -> file.image("curves", 1, new byte[500]), "'curves'", "PNG", "500 bytes");
            assertEquals(size, Files.size(file.path()));
        }
        Path taken = Files.writeString(folder.resolve("file"), "");
        IOException failure = assertThrows(IOException.class, () -> EventFile.create(taken));
        assertTrue(failure.getMessage().contains("'" + taken + "'"), failure::getMessage);
        EventFile closed = EventFile.create(folder);
        closed.close();
        closed.close();
        failure = assertThrows(IOException.class, () -> closed.scalar("loss", 1, 1));
        assertTrue(failure.getMessage().contains("closed"), failure::getMessage);
    }

    private static void refused(Executable call, String... parts) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), () -> "'" + part + "' is not in: " + message);
        }
    }
}
