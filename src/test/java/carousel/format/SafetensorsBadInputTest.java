package carousel.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import carousel.tensor.Shape;
import com.sun.management.ThreadMXBean;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsBadInputTest {
    /** What reading a file may allocate: for every byte of it so many, and a fixed amount for buffers. */
    private static final int BYTES_PER_BYTE = 64;

    private static final int FIXED_BYTES = 1 << 19;

    @TempDir
    Path folder;

    @Test
    void aFileTooShortForTheHeadersLength() throws IOException {
        for (int size = 0; size < 8; size++) {
            assertRefused(new byte[size], "it has " + size + " bytes but should have 10 or more");
        }
    }

    @Test
    void aHeaderOfTwoToTheSixty() throws IOException {
        assertRefused(file(1L << 60, "{}", 0), "should be in the [2, 100000000] range but is 1152921504606846976");
    }

    @ParameterizedTest
    @CsvSource({"-1, 18446744073709551615", "0, 0", "1, 1", "100000001, 100000001", "-9223372036854775808, 92233"})
    void aHeaderLengthOutOfRange(long length, String shown) throws IOException {
        assertRefused(file(length, "{}", 0), "range but is " + shown);
    }

    @Test
    void aHeaderLongerThanTheFile() throws IOException {
        assertRefused(file(3, "{}", 0), "is cut short: its header should take 3 bytes");
        assertRefused(file(100_000_000, "{}", 1000), "is cut short: its header should take 100000000 bytes");
    }

    @Test
    void everyCutOfAGoodFile() throws IOException {
        byte[] good = good();
        for (int size = 0; size < good.length; size++) {
            assertRefused(Arrays.copyOf(good, size), "");
        }
    }

    @Test
    void trailingBytes() throws IOException {
        byte[] good = good();
        assertRefused(Arrays.copyOf(good, good.length + 1), "no tensor holds its last bytes [");
        assertRefused(file(2, "{}", 5), "no tensor holds its last bytes [0, 5)");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"a\"",
                "{]",
                "{}{}",
                "{} x",
                "{\"a\":}",
                "{,}",
                "{'a':1}",
                "{a:1}",
                "{\"a\" \"b\"}",
                "{\"\\x\":1}",
                "{\"__metadata__\":{}} null",
                "{\"__metadata__\":{\"a\":\"b\",}}",
                "{\"a\":NaN}",
                "{/**/}",
                "{#\n}",
                "{\"a\u0001\":1}",
                "{\"__metadata__\":{\"a\";\"b\"}}",
                "{\0}"
            })
    void whatIsNotJson(String header) throws IOException {
        assertRefused(file(header, 0), "its header ");
    }

    @ParameterizedTest
    @ValueSource(strings = {" {}", "[]", "\ufeff{}", "null", "\"{}\"", "12"})
    void aHeaderThatDoesNotBeginWithABrace(String header) throws IOException {
        assertRefused(file(header, 0), "should begin with '{' but begins with the byte ");
    }

    @Test
    void aHeaderThatIsNotUtf8() throws IOException {
        for (byte[] bad :
                new byte[][] {{(byte) 0xFF}, {(byte) 0xC0, (byte) 0x80}, {(byte) 0xED, (byte) 0xA0, (byte) 0x80}}) {
            byte[] file = file("{\"__metadata__\":{\"a\":\"bcd\"}}", 0);
            int at = new String(file, StandardCharsets.ISO_8859_1).indexOf("bcd");
            System.arraycopy(bad, 0, file, at, bad.length);
            assertRefused(file, "not valid UTF-8");
        }
    }

    @Test
    void halfASurrogatePair() throws IOException {
        assertRefused(file("{\"__metadata__\":{\"a\":\"\\ud800\"}}", 0), "half of a surrogate pair");
        assertRefused(file("{\"\\udc00\":1}", 0), "half of a surrogate pair");
    }

    @Test
    void deepNesting() throws IOException {
        for (int depth : new int[] {20, 100_000}) {
            String arrays = "[".repeat(depth) + "]".repeat(depth);
            assertRefused(file("{\"a\":{\"x\":" + arrays + "}}", 0), "levels");
            assertRefused(file("{\"a\":{\"shape\":" + arrays + "}}", 0), "should be a number but is an array");
            assertRefused(file("{\"a\":" + arrays + "}", 0), "tensor 'a' should be an object but is an array");
        }
        String objects = "{\"a\":".repeat(100_000) + "1" + "}".repeat(100_000);
        assertRefused(file("{\"t\":{\"x\":" + objects + "}}", 0), "levels");
    }

    @Test
    void namesTwice() throws IOException {
        String tensor = "\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
        assertRefused(file("{" + tensor + "," + tensor + "}", 0), "names 'a' twice");
        assertRefused(file("{" + tensor + "," + tensor.replace("a\":{", "\\u0061\":{") + "}", 0), "names 'a' twice");
        assertRefused(file("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "names '__metadata__' twice");
        assertRefused(file("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0), "metadata name 'k' twice");
        assertRefused(file("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0), "the dtype of tensor 'a' is given twice");
        assertRefused(file("{\"a\":{\"shape\":[],\"shape\":[]}}", 0), "the shape of tensor 'a' is given twice");
        assertRefused(
                file("{\"a\":{\"data_offsets\":[0,0],\"data_offsets\":[0,0]}}", 0),
                "the data_offsets of tensor 'a' is given twice");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {"1|a number", "null|null", "true|true or false", "[]|an array", "{}|an object", "1e999|a number"})
    void metadataThatAreNotStrings(String value, String kind) throws IOException {
        assertRefused(
                file("{\"__metadata__\":{\"epoch\":" + value + "}}", 0),
                "its metadata 'epoch' should be a string but is " + kind);
    }

    @Test
    void metadataThatAreNotAnObject() throws IOException {
        assertRefused(file("{\"__metadata__\":null}", 0), "its __metadata__ should be an object but is null");
    }

    @ParameterizedTest
    @ValueSource(strings = {"F31", "f32", "", "float32", "F32 ", "torch.float32"})
    void unknownTypes(String dtype) throws IOException {
        assertRefused(tensor('"' + dtype + '"', "[1]", "[0,4]", 4), "should be one of [BOOL, ");
        assertRefused(tensor('"' + dtype + '"', "[1]", "[0,4]", 4), "but is '" + dtype + "'");
    }

    @Test
    void missingFields() throws IOException {
        assertRefused(file("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0), "tensor 'a' has no dtype");
        assertRefused(file("{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0), "tensor 'a' has no shape");
        assertRefused(file("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0), "tensor 'a' has no data_offsets");
        assertRefused(file("{\"a\":{}}", 0), "tensor 'a' has no dtype");
    }

    @ParameterizedTest
    @ValueSource(strings = {"-1", "-0", "1.0", "1e0", "0.5", "9223372036854775808", "99999999999999999999999999"})
    void numbersThatAreNotWhole(String number) throws IOException {
        assertRefused(tensor("\"F32\"", "[" + number + "]", "[0,4]", 4), "range but one is '" + number + "'");
        assertRefused(tensor("\"F32\"", "[1]", "[0," + number + "]", 4), "range but one is '" + number + "'");
    }

    @ParameterizedTest
    @ValueSource(strings = {"1", "null", "{}", "\"[1]\"", "[\"1\"]", "[null]", "[true]", "[[1]]"})
    void shapesThatAreNotListsOfNumbers(String shape) throws IOException {
        assertRefused(tensor("\"F32\"", shape, "[0,4]", 4), "shape of tensor 'a' should be a");
        assertRefused(tensor("\"F32\"", "[1]", shape, 4), "data_offsets of tensor 'a' should be a");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "[2147483647,2147483647,2147483647]",
                "[2147483647,2147483647,2]",
                "[1073741824,1073741824,8]",
                "[65536,65536,65536,65536]",
                "[2147483647,2147483647,2147483647,0]"
            })
    void shapesThatOverflow(String shape) throws IOException {
        assertRefused(tensor("\"F64\"", shape, "[0,0]", 0), "has more than 2^63 bits");
    }

    @Test
    void extentsBeyondAnInt() throws IOException {
        assertRefused(tensor("\"U8\"", "[2147483648]", "[0,4]", 4), "should be in the [0, 2147483647] range but are");
        assertRefused(tensor("\"U8\"", "[9223372036854775807,0]", "[0,0]", 0), "[9223372036854775807, 0]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[2]|[0,4]|4",
                "[1]|[0,0]|0",
                "[0]|[0,4]|4",
                "[]|[0,8]|8",
                "[3]|[0,11]|11",
            })
    void offsetsThatDisagreeWithTheShape(String shape, String offsets, int data) throws IOException {
        assertRefused(
                tensor("\"F32\"", shape, offsets, data),
                "bits as F32 but its data_offsets " + offsets.replace(",", ", "));
    }

    @Test
    void packedTypesThatDoNotFillTheirBytes() throws IOException {
        assertRefused(tensor("\"F4\"", "[3]", "[0,1]", 1), "takes 12 bits as F4 but its data_offsets [0, 1] hold 1");
        assertRefused(tensor("\"F4\"", "[3]", "[0,2]", 2), "takes 12 bits as F4 but its data_offsets [0, 2] hold 2");
    }

    @Test
    void offsetsThatEndBeforeTheyBegin() throws IOException {
        assertRefused(tensor("\"F32\"", "[1]", "[4,0]", 4), "should not end before they begin but are [4, 0]");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[]", "[0]", "[0,2,4]", "[0,1,2,3,4,5,6,7,8,9]"})
    void offsetsThatAreNoPair(String offsets) throws IOException {
        assertRefused(tensor("\"F32\"", "[1]", offsets, 4), "should be a begin and an end but are ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"[0,8]", "[4,8]", "[9223372036854775803,9223372036854775807]"})
    void offsetsBeyondTheFile(String offsets) throws IOException {
        assertRefused(tensor("\"F32\"", "[1]", offsets, 4), "should be in the [0, 4] range but are ");
    }

    @Test
    void overlapsAndHoles() throws IOException {
        assertRefused(two("[0,4]", "[2,6]", 6), "tensor 'b' at bytes [2, 6) overlaps tensor 'a', which ends at byte 4");
        assertRefused(two("[0,4]", "[0,4]", 4), "overlaps");
        assertRefused(two("[4,8]", "[2,6]", 8), "no tensor holds the bytes [0, 2) between the header and tensor 'b'");
        assertRefused(two("[0,4]", "[5,9]", 9), "no tensor holds the bytes [4, 5) between tensor 'a' and tensor 'b'");
        assertRefused(two("[0,4]", "[4,8]", 9), "no tensor holds its last bytes [8, 9)");
    }

    @Test
    void longTextOutOfTheFileDoesNotFillTheMessage() throws IOException {
        String name = "n".repeat(1_000_000);
        assertRefused(file("{\"" + name + "\":1}", 0), "nnn...' should be an object but is a number");
        assertRefused(tensor("\"F32\"", "[" + "9".repeat(900) + "]", "[0,4]", 4), "999...'");
        String ones = IntStream.range(0, 100_000).mapToObj(k -> "1").collect(Collectors.joining(","));
        assertRefused(tensor("\"F32\"", "[" + ones + "]", "[0,3]", 3), "... 100000 numbers]");
    }

    @Test
    void aHeaderOfNothingButSmallEntriesStaysWithinBounds() throws IOException {
        StringBuilder metadata = new StringBuilder("{\"__metadata__\":{");
        StringBuilder tensors = new StringBuilder("{");
        for (int k = 0; k < 100_000; k++) {
            String separator = k == 0 ? "" : ",";
            metadata.append(separator)
                    .append('"')
                    .append(Integer.toString(k, 36))
                    .append("\":\"\"");
            tensors.append(separator).append('"').append(Integer.toString(k, 36));
            tensors.append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        for (String header : new String[] {
            metadata.append("}}").toString(), tensors.append("}").toString()
        }) {
            Path path = Files.write(folder.resolve("many.safetensors"), file(header, 0));
            long before = allocated();
            SafetensorsFile.open(path).close();
            assertAllocation(Files.size(path), allocated() - before);
        }
    }

    @Test
    void twentyThousandMutationsGiveAFileOrASentence() throws IOException {
        RandomSequence random = new RandomSequence(20_000, 0, 0);
        byte[] good = good();
        Path path = folder.resolve("mutated.safetensors");
        int accepted = 0;
        for (int round = 0; round < 20_000; round++) {
            byte[] mutated = good;
            int mutations = 1 + random.nextInt(3);
            for (int k = 0; k < mutations; k++) {
                mutated = mutate(mutated, random);
            }
            overwrite(path, mutated);
            long before = allocated();
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                for (SafetensorsFile.Entry entry : file.tensors().values()) {
                    assertEquals(entry.bytes(), file.bytes(entry.name()).length);
                    if (entry.dtype() == Dtype.F32 || entry.dtype() == Dtype.F16) {
                        assertEquals(entry.shape().elements(), file.doubles(entry.name()).length);
                    }
                }
                accepted++;
            } catch (FormatException refused) {
                assertSentence(refused, path);
            }
            assertAllocation(mutated.length, allocated() - before);
        }
        // Neither is everything refused nor is nothing: changes of the data and of names are no errors.
        assertTrue(accepted > 1_000 && accepted < 19_000, "accepted " + accepted);
    }

    private static byte[] mutate(byte[] file, RandomSequence random) {
        if (file.length == 0) {
            return new byte[] {(byte) random.nextWord()};
        }
        // Most of the file is data, where a change does no harm.
        int headerEnd = Math.min(file.length, 400);
        int at = random.nextInt(random.nextInt(8) == 0 ? file.length : headerEnd);
        byte[] changed = file.clone();
        switch (random.nextInt(8)) {
            case 0 -> changed[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> changed[at] = (byte) random.nextWord();
            case 2 -> {
                String syntax = "{}[]\",:0123456789-+.eE\\ u\0\n\uffff";
                changed[at] = (byte) syntax.charAt(random.nextInt(syntax.length()));
            }
            case 3 -> changed = Arrays.copyOf(file, at);
            case 4 -> changed = Arrays.copyOf(file, file.length + 1 + random.nextInt(16));
            case 5 -> {
                String[] numbers = {"0", "-1", "9223372036854775807", "4294967296", "1e9", "null", "[[[[", "\"a\":"};
                changed = splice(
                        file, at, 1, numbers[random.nextInt(numbers.length)].getBytes(StandardCharsets.US_ASCII));
            }
            case 6 -> changed = splice(file, at, Math.min(1 + random.nextInt(20), file.length - at), new byte[0]);
            default -> {
                int length = Math.min(1 + random.nextInt(80), file.length - at);
                changed = splice(file, at, 0, Arrays.copyOfRange(file, at, at + length));
            }
        }
        if (changed.length >= 8 && random.nextInt(2) == 0) {
            // Keeps the header's length in step, so that the mutation is not always lost at the first check.
            ByteBuffer buffer = ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN);
            buffer.putLong(0, buffer.getLong(0) + changed.length - file.length);
        }
        return changed;
    }

    private static byte[] splice(byte[] file, int at, int removed, byte[] inserted) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(file, 0, at);
        out.writeBytes(inserted);
        out.write(file, at + removed, file.length - at - removed);
        return out.toByteArray();
    }

    private static byte[] good() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new SafetensorsWriter()
                .metadata("format", "pt")
                .metadata("specification", "{\"hidden\": 3}")
                .tensor("lstm.weight_ih_l0", Shape.of(12, 2), new float[24])
                .tensor("lstm.bias_ih_l0", Shape.of(12), new float[12])
                .tensor("step", Shape.of(), new long[] {7})
                .tensor("order", Shape.of(3), new int[] {2, 0, 1})
                .writeTo(out);
        return out.toByteArray();
    }

    private static byte[] tensor(String dtype, String shape, String offsets, int data) {
        return file("{\"a\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}", data);
    }

    private static byte[] two(String offsets, String otherOffsets, int data) {
        String tensor = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":";
        return file("{\"a\":" + tensor + offsets + "},\"b\":" + tensor + otherOffsets + "}}", data);
    }

    private static byte[] file(String header, int data) {
        return file(header.getBytes(StandardCharsets.UTF_8).length, header, data);
    }

    private static byte[] file(long length, String header, int data) {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + json.length + data)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(json)
                .array();
    }

    private void assertRefused(byte[] content, String expected) throws IOException {
        Path path = folder.resolve("bad.safetensors");
        overwrite(path, content);
        long before = allocated();
        FormatException failure = assertThrows(
                FormatException.class, () -> SafetensorsFile.open(path).close());
        assertAllocation(content.length, allocated() - before);
        assertSentence(failure, path);
        assertTrue(failure.getMessage().contains(expected), failure.getMessage());
    }

    /** Without emptying the file first: some file systems then wait for the disk at every close. */
    private static void overwrite(Path path, byte[] content) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(content));
            channel.truncate(content.length);
        }
    }

    private static void assertSentence(FormatException failure, Path path) {
        String message = failure.getMessage();
        assertTrue(message.contains(path.toString()), message);
        assertFalse(message.chars().anyMatch(Character::isISOControl), message);
        assertTrue(message.length() < 600 + path.toString().length(), message);
    }

    private static void assertAllocation(long fileBytes, long allocated) {
        assertTrue(
                allocated <= BYTES_PER_BYTE * fileBytes + FIXED_BYTES,
                () -> "a file of " + fileBytes + " bytes made the reader allocate " + allocated);
    }

    private static long allocated() {
        return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }
}
