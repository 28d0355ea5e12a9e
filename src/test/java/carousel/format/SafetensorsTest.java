package carousel.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import carousel.engine.RandomSequence;
import carousel.tensor.Shape;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsTest {
    @TempDir
    Path folder;

    @Test
    void everyTypeComesBackAsItWasWritten() throws IOException {
        Path path = folder.resolve("model.safetensors");
        float[] floats = {1.5f, -0f, Float.NaN, Float.MIN_VALUE, Float.NEGATIVE_INFINITY, 3};
        double[] doubles = {Math.PI, Double.MIN_VALUE};
        int[] ints = {Integer.MIN_VALUE, 7};
        long[] longs = {Long.MAX_VALUE};
        new SafetensorsWriter()
                .metadata("name", "Zürich \"\n\u0001 \ud83c\udfa0")
                .metadata("", "")
                .tensor("floats", Shape.of(2, 3), floats)
                .tensor("doubles", Shape.of(2), doubles)
                .tensor("ints", Shape.of(1, 2, 1), ints)
                .tensor("longs", Shape.of(), longs)
                .tensor("nothing", Shape.of(4, 0), new float[0])
                .writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertEquals(Map.of("name", "Zürich \"\n\u0001 \ud83c\udfa0", "", ""), file.metadata());
            assertEquals(
                    List.of("longs", "doubles", "floats", "nothing", "ints"),
                    List.copyOf(file.tensors().keySet()));
            assertEquals(Shape.of(2, 3), file.tensor("floats").shape());
            assertEquals(Shape.of(), file.tensor("longs").shape());
            assertEquals(Dtype.F64, file.tensor("doubles").dtype());
            assertArrayEquals(floats, file.floats("floats"));
            assertArrayEquals(doubles, file.doubles("doubles"));
            assertArrayEquals(ints, file.ints("ints"));
            assertArrayEquals(new long[] {Integer.MIN_VALUE, 7}, file.longs("ints"));
            assertArrayEquals(longs, file.longs("longs"));
            assertArrayEquals(new float[0], file.floats("nothing"));
            assertArrayEquals(new float[] {(float) Math.PI, 0}, file.floats("doubles"));
            assertEquals(1.5, file.doubles("floats")[0]);
            assertEquals(16, file.bytes("doubles").length);
        }
    }

    @Test
    void tensorsLargerThanOneChunkComeBackWhole() throws IOException {
        Path path = folder.resolve("large.safetensors");
        RandomSequence random = new RandomSequence(1, 0, 0);
        float[] floats = new float[100_003];
        double[] doubles = new double[50_021];
        for (int k = 0; k < floats.length; k++) {
            floats[k] = (float) random.nextGaussian();
        }
        for (int k = 0; k < doubles.length; k++) {
            doubles[k] = random.nextGaussian();
        }
        new SafetensorsWriter()
                .tensor("f", Shape.of(floats.length), floats)
                .tensor("d", Shape.of(doubles.length), doubles)
                .writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertArrayEquals(floats, file.floats("f"));
            assertArrayEquals(doubles, file.doubles("d"));
            double[] widened = file.doubles("f");
            float[] rounded = file.floats("d");
            for (int k = 0; k < floats.length; k++) {
                assertEquals(floats[k], widened[k]);
            }
            for (int k = 0; k < doubles.length; k++) {
                assertEquals((float) doubles[k], rounded[k]);
            }
        }
    }

    @Test
    void partsOfOneArrayAreWrittenAndReadInPlace() throws IOException {
        Path path = folder.resolve("parts.safetensors");
        float[] parameters = {0, 1, 2, 3, 4, 5};
        double[] moments = {6, 7, 8};
        new SafetensorsWriter()
                .tensor("w", Shape.of(2, 2), parameters, 1, 4)
                .tensor("m", Shape.of(2), moments, 1, 2)
                .writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertArrayEquals(new float[] {1, 2, 3, 4}, file.floats("w"));
            assertArrayEquals(new double[] {7, 8}, file.doubles("m"));
            float[] target = new float[6];
            file.readFloats("w", target, 2);
            assertArrayEquals(new float[] {0, 0, 1, 2, 3, 4}, target);
            assertThrows(IndexOutOfBoundsException.class, () -> file.readFloats("w", target, 3));
            double[] wide = new double[4];
            file.readDoubles("w", wide, 0);
            assertArrayEquals(new double[] {1, 2, 3, 4}, wide);
            assertThrows(IndexOutOfBoundsException.class, () -> file.readDoubles("w", wide, -1));
        }
    }

    @Test
    void theSameContentGivesTheSameBytesInAnyOrder() throws IOException {
        ByteArrayOutputStream one = new ByteArrayOutputStream();
        ByteArrayOutputStream other = new ByteArrayOutputStream();
        new SafetensorsWriter()
                .metadata("b", "2")
                .metadata("a", "1")
                .tensor("y", Shape.of(1), new float[] {1})
                .tensor("x", Shape.of(1), new double[] {2})
                .tensor("a", Shape.of(1), new float[] {3})
                .writeTo(one);
        new SafetensorsWriter()
                .tensor("a", Shape.of(1), new float[] {3})
                .metadata("a", "1")
                .tensor("x", Shape.of(1), new double[] {2})
                .metadata("b", "2")
                .tensor("y", Shape.of(1), new float[] {1})
                .writeTo(other);
        assertArrayEquals(one.toByteArray(), other.toByteArray());
    }

    @Test
    void aFilePutTogetherByHandIsWhatTheWriterWrites() throws IOException {
        String json = "{\"__metadata__\":{\"kind\":\"test\"},"
                + "\"x\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                + "\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]}}";
        String padded = json + " ".repeat((8 - json.length() % 8) % 8);
        ByteBuffer expected = ByteBuffer.allocate(8 + padded.length() + 16).order(ByteOrder.LITTLE_ENDIAN);
        expected.putLong(padded.length()).put(padded.getBytes(StandardCharsets.US_ASCII));
        expected.put(new byte[] {0, 0, 0, 0, 0, 0, (byte) 0xE0, 0x3F}); // 0.5
        expected.put(new byte[] {0, 0, (byte) 0x80, 0x3F}); // 1
        expected.put(new byte[] {0, 0, 0x20, (byte) 0xC1}); // -10
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        new SafetensorsWriter()
                .metadata("kind", "test")
                .tensor("w", Shape.of(1, 2), new float[] {1, -10})
                .tensor("x", Shape.of(1), new double[] {0.5})
                .writeTo(written);
        assertArrayEquals(expected.array(), written.toByteArray());
    }

    /** The bytes are those that the Python package safetensors 0.8.0 writes for the same content. */
    @Test
    void writesTheBytesOfTheReferenceImplementation() throws IOException {
        String expected = "80010000000000007b225f5f6d657461646174615f5f223a7b226b223a227620c3a9205c22715c22203c263e227d"
                + "2c2269223a7b226474797065223a22493634222c227368617065223a5b315d2c22646174615f6f66667365747322"
                + "3a5b302c385d7d2c227a223a7b226474797065223a22463634222c227368617065223a5b5d2c22646174615f6f66"
                + "6673657473223a5b382c31365d7d2c2262223a7b226474797065223a22463332222c227368617065223a5b325d2c"
                + "22646174615f6f666673657473223a5b31362c32345d7d2c2263223a7b226474797065223a22463332222c227368"
                + "617065223a5b322c305d2c22646174615f6f666673657473223a5b32342c32345d7d2c2261223a7b226474797065"
                + "223a22493332222c227368617065223a5b312c335d2c22646174615f6f666673657473223a5b32342c33365d7d2c"
                + "22c3a95c225c6e5c75303030312f223a7b226474797065223a22493332222c227368617065223a5b315d2c226461"
                + "74615f6f666673657473223a5b33362c34305d7d7d202020ffffffffffffffff0000000000000a400000c03f0000"
                + "00c001000000020000000300000007000000";
        ByteArrayOutputStream written = new ByteArrayOutputStream();
        new SafetensorsWriter()
                .metadata("k", "v é \"q\" <&>")
                .tensor("b", Shape.of(2), new float[] {1.5f, -2})
                .tensor("a", Shape.of(1, 3), new int[] {1, 2, 3})
                .tensor("z", Shape.of(), new double[] {3.25})
                .tensor("i", Shape.of(1), new long[] {-1})
                .tensor("c", Shape.of(2, 0), new float[0])
                .tensor("é\"\n\u0001/", Shape.of(1), new int[] {7})
                .writeTo(written);
        assertEquals(expected, HexFormat.of().formatHex(written.toByteArray()));
    }

    @Test
    void readsTypesThatItDoesNotWrite() throws IOException {
        String json = "{\"half\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,4]},"
                + "\"brain\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[4,6]},"
                + "\"u16\":{\"dtype\":\"U16\",\"shape\":[1],\"data_offsets\":[6,8]},"
                + "\"i16\":{\"dtype\":\"I16\",\"shape\":[1],\"data_offsets\":[8,10]},"
                + "\"u8\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[10,11]},"
                + "\"i8\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[11,12]},"
                + "\"bool\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[12,14]},"
                + "\"u32\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[14,18]},"
                + "\"four\":{\"dtype\":\"F4\",\"shape\":[2,3],\"data_offsets\":[18,21]},"
                + "\"c64\":{\"dtype\":\"C64\",\"shape\":[],\"data_offsets\":[21,29],\"later\":{\"a\":[1]}}}";
        byte[] data = HexFormat.of()
                .parseHex("003c00c0" + "c03f" + "ffff" + "ffff" + "ff" + "ff" + "0100" + "ffffffff" + "123456"
                        + "0000803f00000040");
        try (SafetensorsFile file = SafetensorsFile.open(write(json, data))) {
            assertArrayEquals(new float[] {1, -2}, file.floats("half"));
            assertArrayEquals(new double[] {1, -2}, file.doubles("half"));
            assertArrayEquals(new float[] {1.5f}, file.floats("brain"));
            assertArrayEquals(new int[] {65535}, file.ints("u16"));
            assertArrayEquals(new int[] {-1}, file.ints("i16"));
            assertArrayEquals(new int[] {255}, file.ints("u8"));
            assertArrayEquals(new int[] {-1}, file.ints("i8"));
            assertArrayEquals(new int[] {1, 0}, file.ints("bool"));
            assertArrayEquals(new long[] {0xFFFF_FFFFL}, file.longs("u32"));
            assertArrayEquals(new byte[] {0x12, 0x34, 0x56}, file.bytes("four"));
            assertEquals(Dtype.C64, file.tensor("c64").dtype());
        }
    }

    @Test
    void tensorsMayStandInAnyOrderInTheHeader() throws IOException {
        String json = "{\"b\":{\"data_offsets\":[2,3],\"dtype\":\"U8\",\"shape\":[1]},"
                + "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,2147483647],\"data_offsets\":[2,2]},"
                + "\"a\":{\"shape\":[2],\"dtype\":\"U8\",\"data_offsets\":[0,2]}} \t\r\n ";
        try (SafetensorsFile file = SafetensorsFile.open(write(json, new byte[] {1, 2, 3}))) {
            assertEquals(List.of("a", "empty", "b"), List.copyOf(file.tensors().keySet()));
            assertArrayEquals(new int[] {3}, file.ints("b"));
        }
    }

    /** The file is sparse: it takes hardly any space. */
    @Test
    void tensorsBeyondTwoGigabytesAreReadWhereTheyLie() throws IOException {
        long large = 3L << 30;
        String json = "{\"large\":{\"dtype\":\"F64\",\"shape\":[" + large / 8 + "],\"data_offsets\":[0," + large + "]},"
                + "\"huge\":{\"dtype\":\"U8\",\"shape\":[2,1610612736],\"data_offsets\":[" + large + "," + 2 * large
                + "]},"
                + "\"last\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" + 2 * large + "," + (2 * large + 8)
                + "]}}";
        Path path = write(json, new byte[0]);
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            ByteBuffer last = ByteBuffer.wrap(HexFormat.of().parseHex("0000803f00000040"));
            channel.write(last, channel.size() + 2 * large);
        }
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertArrayEquals(new float[] {1, 2}, file.floats("last"));
            assertEquals(
                    "tensor 'huge' of '" + path + "' has 3221225472 elements, more than an array can hold (2147483639)",
                    assertThrows(FormatException.class, () -> file.ints("huge")).getMessage());
            assertThrows(FormatException.class, () -> file.bytes("large"));
        }
    }

    @Test
    void anOpenFileOutlivesItsReplacement() throws IOException {
        Path path = folder.resolve("model.safetensors");
        new SafetensorsWriter().tensor("w", Shape.of(1), new float[] {1}).writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            new SafetensorsWriter()
                    .tensor("other", Shape.of(2), new float[] {2, 3})
                    .writeTo(path);
            assertArrayEquals(new float[] {1}, file.floats("w"));
        }
    }

    @Test
    void aMissingTensorOrAWrongTypeIsASentence() throws IOException {
        Path path = folder.resolve("model.safetensors");
        new SafetensorsWriter()
                .tensor("w", Shape.of(1), new float[] {1})
                .tensor("n", Shape.of(1), new int[] {1})
                .writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertEquals(
                    "'" + path + "' has no tensor 'v'; it has 'w', 'n'",
                    assertThrows(FormatException.class, () -> file.floats("v")).getMessage());
            assertEquals(
                    "tensor 'n' of '" + path + "' should be of type F64, F32, F16 or BF16 but is I32",
                    assertThrows(FormatException.class, () -> file.doubles("n")).getMessage());
            assertThrows(FormatException.class, () -> file.ints("w"));
            assertThrows(FormatException.class, () -> file.longs("w"));
        }
    }

    @Test
    void aFileThatShrinksWhileItIsOpenIsASentence() throws IOException {
        Path path = write("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", new byte[4]);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            byte[] bytes = Files.readAllBytes(path);
            Files.write(path, Arrays.copyOf(bytes, bytes.length - 1));
            FormatException failure = assertThrows(FormatException.class, () -> file.bytes("a"));
            assertTrue(failure.getMessage().contains("was cut short while it was read"), failure.getMessage());
        }
    }

    @Test
    void whatIsNoFileIsRefused() throws IOException {
        assertThrows(NoSuchFileException.class, () -> SafetensorsFile.open(folder.resolve("absent")));
        IOException failure = assertThrows(IOException.class, () -> SafetensorsFile.open(folder));
        assertEquals(
                "'" + folder + "' could not be opened: it is a folder and not a file", FileErrors.sentence(failure));
    }

    @Test
    void theWriterRefusesWhatCannotBeRead() {
        SafetensorsWriter writer = new SafetensorsWriter().metadata("a", "b").tensor("w", Shape.of(1), new float[1]);
        assertThrows(IllegalArgumentException.class, () -> writer.metadata("a", "c"));
        assertThrows(IllegalArgumentException.class, () -> writer.metadata("c", "\ud800"));
        assertThrows(IllegalArgumentException.class, () -> writer.metadata("\udc00\ud800", "c"));
        assertThrows(IllegalArgumentException.class, () -> writer.tensor("w", Shape.of(1), new float[1]));
        assertThrows(IllegalArgumentException.class, () -> writer.tensor("__metadata__", Shape.of(1), new float[1]));
        assertThrows(IllegalArgumentException.class, () -> writer.tensor("\ud800", Shape.of(1), new float[1]));
        assertThrows(IndexOutOfBoundsException.class, () -> writer.tensor("x", Shape.of(1), new float[1], 1, 1));
        assertEquals(
                "the tensor 'x' [2, 3] should have 6 elements but got 5",
                assertThrows(IllegalArgumentException.class, () -> writer.tensor("x", Shape.of(2, 3), new double[5]))
                        .getMessage());
    }

    @Test
    void readsThePublishedModel() throws IOException {
        Path path = published("silero_vad_16k.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            assertEquals(15, file.tensors().size());
            assertEquals(Shape.of(512, 128), file.tensor("lstm_cell.weight_ih").shape());
            assertEquals(Shape.of(512, 128), file.tensor("lstm_cell.weight_hh").shape());
            assertEquals(Shape.of(512), file.tensor("lstm_cell.bias_ih").shape());
            assertEquals(Shape.of(512), file.tensor("lstm_cell.bias_hh").shape());
            assertEquals(Shape.of(1, 128, 1), file.tensor("final_conv.weight").shape());
            assertEquals(Shape.of(1), file.tensor("final_conv.bias").shape());
            for (SafetensorsFile.Entry entry : file.tensors().values()) {
                assertEquals(Dtype.F32, entry.dtype());
                for (float value : file.floats(entry.name())) {
                    assertTrue(Math.abs(value) < 100, entry.name());
                }
            }
        }
    }

    /** The values in this file follow from each other, so that a misread tensor would show. */
    @Test
    void readsThePublishedStates() throws IOException {
        Path model = published("silero_vad_16k.safetensors");
        try (SafetensorsFile weights = SafetensorsFile.open(model);
                SafetensorsFile steps = SafetensorsFile.open(published("lstm-cell-64-steps.safetensors"))) {
            assertTrue(steps.metadata().get("note").startsWith("x: inputs of the LSTM cell"));
            float[] h = steps.floats("h");
            float[] probability = steps.floats("prob");
            float[] weight = weights.floats("final_conv.weight");
            float bias = weights.floats("final_conv.bias")[0];
            assertEquals(Shape.of(64, 128), steps.tensor("h").shape());
            for (int t = 0; t < 64; t++) {
                double logit = bias;
                for (int k = 0; k < 128; k++) {
                    logit += weight[k] * Math.max(0, (double) h[t * 128 + k]);
                }
                assertEquals(probability[t], 1 / (1 + Math.exp(-logit)), 1e-6);
            }
        }
    }

    @Test
    void aPublishedModelWrittenAgainHoldsTheSameTensors() throws IOException {
        Path copy = folder.resolve("copy.safetensors");
        try (SafetensorsFile file = SafetensorsFile.open(published("silero_vad_16k.safetensors"))) {
            SafetensorsWriter writer = new SafetensorsWriter();
            for (SafetensorsFile.Entry entry : file.tensors().values()) {
                writer.tensor(entry.name(), entry.shape(), file.floats(entry.name()));
            }
            writer.writeTo(copy);
            try (SafetensorsFile again = SafetensorsFile.open(copy)) {
                assertEquals(file.tensors().keySet(), again.tensors().keySet());
                for (String name : file.tensors().keySet()) {
                    assertArrayEquals(file.bytes(name), again.bytes(name), name);
                }
            }
        }
    }

    @Test
    void namesOutOfTheFileCannotBreakAMessage() {
        assertEquals("'a\\u000a\\u001b[31m'", FormatException.quote("a\n\u001b[31m"));
        String quoted = FormatException.quote("x".repeat(10_000));
        assertTrue(quoted.length() < 100 && quoted.endsWith("...'"), quoted);
        assertFalse(FormatException.quote("\u2028\u202e\u0085").chars().anyMatch(c -> c > 127));
    }

    private Path write(String json, byte[] data) throws IOException {
        byte[] header = json.getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(header.length).put(header).put(data);
        return Files.write(folder.resolve("test.safetensors"), bytes.array());
    }

    private static Path published(String name) {
        Path path = Path.of(System.getProperty("carousel.data", "absent"), "models", "silero-vad", name);
        assumeTrue(Files.isRegularFile(path), () -> "the published file " + name + " is not here: " + path);
        return path;
    }

    @Test
    void aMissingTensorInALargeFileNamesOnlyAFew() throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        for (int k = 0; k < 25; k++) {
            writer.tensor("t" + k, Shape.of(1), new float[1]);
        }
        Path path = folder.resolve("many.safetensors");
        writer.writeTo(path);
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            String names = file.tensors().keySet().stream()
                    .limit(10)
                    .map(name -> "'" + name + "'")
                    .collect(Collectors.joining(", "));
            assertEquals(
                    "'" + path + "' has no tensor 'w'; it has " + names + " and 15 more",
                    assertThrows(FormatException.class, () -> file.tensor("w")).getMessage());
        }
    }
}
