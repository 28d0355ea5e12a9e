package carousel.format.keras;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import carousel.engine.RandomSequence;
import carousel.format.FormatException;
import com.sun.management.ThreadMXBean;
import io.jhdf.checksum.ChecksumUtils;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever is done to a file, it is read or refused with one sentence, soon, and without more memory than it is worth. */
class KerasFuzzTest {
    private static final int ROUNDS = 20_000;
    private static final long SLOW = 5_000_000_000L;
    /** What reading a file may allocate: for every byte of it so many, and a fixed amount. */
    private static final int BYTES_PER_BYTE = 64;

    private static final int FIXED_BYTES = 4 << 20;

    /** OHDR, BTHD and FRHP. */
    private static final int OBJECT_HEADER = 0x5244484f;

    private static final int TREE_HEADER = 0x44485442;
    private static final int HEAP_HEADER = 0x50485246;

    private static final Path NAME = Path.of("model");

    @TempDir
    static Path folder;

    /** Files of HDF5's own library and of jHDF: their structures differ. */
    private static byte[][] h5;

    private static List<Map<String, byte[]>> archives;

    @BeforeAll
    static void write() throws IOException {
        float[][] kernel = {{1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 6, 5, 4, 3, 2, 1}};
        KerasFiles small = KerasFiles.of("2.9.0")
                .layer("LSTM", "a", "\"units\":2,\"batch_input_shape\":[null,null,2]")
                .weights(
                        "a",
                        "a/cell/kernel:0",
                        kernel,
                        "a/cell/recurrent_kernel:0",
                        kernel,
                        "a/cell/bias:0",
                        new float[8]);
        KerasFiles zipped = KerasFiles.of("3.8.0")
                .layer("LSTM", "a", "\"units\":2")
                .dataset("layers/lstm/cell/vars/0", kernel)
                .dataset("layers/lstm/cell/vars/1", kernel)
                .dataset("layers/lstm/cell/vars/2", new float[8]);
        Path file = folder.resolve("file");
        h5 = new byte[][] {
            Files.readAllBytes(small.writeH5(file)),
            H5pyFilesTest.resource("keras-2.h5"),
            H5pyFilesTest.resource("newer-format.h5"),
            H5pyFilesTest.resource("many.h5")
        };
        archives = List.of(zipped.entries(file), entries(H5pyFilesTest.resource("keras-3.keras")));
    }

    private static Map<String, byte[]> entries(byte[] archive) {
        KerasZip zip = new KerasZip(archive);
        Map<String, byte[]> entries = new LinkedHashMap<>();
        for (String name : new String[] {"metadata.json", "config.json", "model.weights.h5"}) {
            ByteBuffer content = zip.read(name);
            byte[] bytes = new byte[content.remaining()];
            content.get(bytes);
            entries.put(name, bytes);
        }
        return entries;
    }

    @Test
    void damagedH5Files() throws IOException {
        RandomSequence random = new RandomSequence(1, 0, 0);
        read("h5", random, () -> mutateBinary(h5[random.nextInt(h5.length)], random));
    }

    @Test
    void damagedWeightsInAnArchive() throws IOException {
        RandomSequence random = new RandomSequence(2, 0, 0);
        read("weights", random, () -> with(random, "model.weights.h5", bytes -> mutateBinary(bytes, random)));
    }

    @Test
    void damagedConfigurations() throws IOException {
        RandomSequence random = new RandomSequence(3, 0, 0);
        read("config", random, () -> with(random, "config.json", bytes -> mutateText(bytes, random)));
    }

    @Test
    void damagedArchives() throws IOException {
        RandomSequence random = new RandomSequence(4, 0, 0);
        // Mostly structure: weights would take most of the hits.
        byte[][] good = new byte[2][];
        good[0] = KerasFiles.zip(archives.get(0));
        good[1] = stored(archives.get(0));
        read("archive", random, () -> {
            byte[] file = good[random.nextInt(2)];
            int structure = Math.min(file.length, 400);
            return random.nextInt(2) == 0
                    ? mutateBinary(file, random)
                    : splice(
                            file,
                            file.length - structure,
                            structure,
                            mutateBinary(Arrays.copyOfRange(file, file.length - structure, file.length), random));
        });
    }

    private interface Mutation {
        byte[] apply(byte[] bytes);
    }

    private static byte[] with(RandomSequence random, String name, Mutation mutation) {
        Map<String, byte[]> entries = new LinkedHashMap<>(archives.get(random.nextInt(archives.size())));
        entries.computeIfPresent(name, (key, bytes) -> mutation.apply(bytes));
        return stored(entries);
    }

    private static byte[] stored(Map<String, byte[]> entries) {
        ZipBytes zip = new ZipBytes();
        entries.forEach(zip::add);
        return zip.bytes();
    }

    private static void read(String what, RandomSequence random, Supplier<byte[]> next) {
        int accepted = 0;
        Map<String, Integer> reasons = new HashMap<>();
        for (int round = 0; round < ROUNDS; round++) {
            byte[] content = next.get();
            long start = System.nanoTime();
            long before = allocated();
            try {
                KerasImport.read(NAME, content);
                accepted++;
            } catch (FormatException refused) {
                assertSentence(refused);
                reasons.merge(refused.getMessage().replaceAll("'[^']*'|\\d+", "_"), 1, Integer::sum);
            } catch (RuntimeException | Error e) {
                fail(what + " round " + round + ": " + e, e);
            }
            long used = allocated() - before;
            assertTrue(
                    used <= (long) BYTES_PER_BYTE * content.length + FIXED_BYTES,
                    what + " round " + round + ": a file of " + content.length + " bytes made the reader allocate "
                            + used);
            long nanoseconds = System.nanoTime() - start;
            assertTrue(nanoseconds < SLOW, what + " round " + round + " took " + nanoseconds / 1_000_000 + " ms");
        }
        // Neither is everything refused nor is nothing, and not always for the same reason.
        assertTrue(accepted > ROUNDS / 100 && accepted < ROUNDS * 99 / 100, what + ": accepted " + accepted);
        assertTrue(reasons.size() > 5, what + ": " + reasons);
    }

    private static byte[] mutateBinary(byte[] file, RandomSequence random) {
        byte[] changed = file.clone();
        int mutations = 1 + random.nextInt(4);
        for (int k = 0; k < mutations; k++) {
            int at = random.nextInt(changed.length);
            int width = 1 << random.nextInt(4);
            // Addresses and sizes are aligned, and most of what they are in is.
            int aligned = Math.max(0, Math.min(at / width * width, changed.length - width));
            switch (random.nextInt(8)) {
                case 0 -> changed[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> changed[at] = (byte) random.nextWord();
                case 2 -> put(changed, aligned, width, -1);
                case 3 -> put(changed, aligned, width, random.nextInt(3) == 0 ? 0 : random.nextInt(file.length));
                case 4 -> put(changed, aligned, width, Integer.MAX_VALUE - random.nextInt(64));
                case 5 -> {
                    // Another structure, or its address, in the place of this one.
                    int length = Math.min(1 + random.nextInt(64), changed.length);
                    int from = random.nextInt(changed.length - length + 1) / 8 * 8;
                    int to = random.nextInt(changed.length - length + 1) / 8 * 8;
                    System.arraycopy(changed, from, changed, to, length);
                }
                case 6 -> {
                    // An address that is somewhere in the file points somewhere else, perhaps back.
                    int pointer = random.nextInt(Math.max(1, changed.length / 8)) * 8;
                    if (pointer + 8 <= changed.length) {
                        put(changed, pointer, 8, random.nextInt(Math.max(1, file.length / 8)) * 8);
                    }
                }
                default -> {
                    if (random.nextInt(20) == 0) {
                        changed = Arrays.copyOf(changed, Math.max(1, at));
                    }
                }
            }
        }
        if (random.nextInt(4) != 0) {
            repairChecksums(changed);
        }
        return changed;
    }

    /** Whoever wants to do harm writes the right checksums; without them most damage would be found at once. */
    private static void repairChecksums(byte[] file) {
        ByteBuffer bytes = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        for (int at = 0; at + 16 < file.length; at++) {
            if (file[at] == 'O' && bytes.getInt(at) == OBJECT_HEADER) {
                int flags = file[at + 5];
                int start = at + 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
                int width = 1 << (flags & 3);
                if (start + 8 <= file.length) {
                    long size = bytes.getLong(start) & (width == 8 ? -1L : (1L << 8 * width) - 1);
                    repair(bytes, at, start + width - at + size);
                }
            } else if (file[at] == 'B' && bytes.getInt(at) == TREE_HEADER) {
                repair(bytes, at, 34);
            } else if (file[at] == 'F' && bytes.getInt(at) == HEAP_HEADER) {
                repair(bytes, at, 142);
            }
        }
    }

    private static void repair(ByteBuffer bytes, int at, long length) {
        if (length > 0 && length <= bytes.limit() - 4 - at) {
            bytes.putInt(
                    at + (int) length,
                    ChecksumUtils.checksum(Arrays.copyOfRange(bytes.array(), at, at + (int) length)));
        }
    }

    private static void put(byte[] bytes, int at, int width, long value) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < width && at + k < bytes.length; k++) {
            buffer.put(at + k, (byte) (value >> 8 * k));
        }
    }

    private static byte[] mutateText(byte[] text, RandomSequence random) {
        byte[] changed = text;
        int mutations = 1 + random.nextInt(3);
        String[] pieces = {
            "0",
            "-1",
            "2147483648",
            "1e999",
            "1e-400",
            "null",
            "true",
            "[]",
            "{}",
            "[[[[[[",
            "\"",
            ",",
            ":",
            "\"lstm\"",
            "\"units\":3,",
            "\"\\u0000\"",
            "9".repeat(200),
            "[".repeat(200),
            "\"return_sequences\":true,",
            "\"Dense\"",
            "\uffff"
        };
        for (int k = 0; k < mutations; k++) {
            int at = random.nextInt(changed.length);
            switch (random.nextInt(6)) {
                case 0 -> {
                    changed = changed.clone();
                    changed[at] ^= (byte) (1 << random.nextInt(8));
                }
                case 1, 2 -> {
                    byte[] piece = pieces[random.nextInt(pieces.length)].getBytes(StandardCharsets.UTF_8);
                    changed = splice(changed, at, random.nextInt(3), piece);
                }
                case 3 -> changed = digit(changed, at, random);
                case 4 -> changed = splice(changed, at, 1 + random.nextInt(30), new byte[0]);
                default -> {
                    int length = Math.min(1 + random.nextInt(300), changed.length - at);
                    int to = random.nextInt(changed.length);
                    changed = splice(changed, to, 0, Arrays.copyOfRange(changed, at, at + length));
                }
            }
            if (changed.length == 0) {
                return new byte[] {'{'};
            }
        }
        return changed;
    }

    /** Another digit, which keeps the text JSON. */
    private static byte[] digit(byte[] text, int from, RandomSequence random) {
        for (int k = 0; k < text.length; k++) {
            int at = (from + k) % text.length;
            if (text[at] >= '0' && text[at] <= '9') {
                byte[] changed = text.clone();
                changed[at] = (byte) ('0' + random.nextInt(10));
                return changed;
            }
        }
        return text;
    }

    private static byte[] splice(byte[] file, int at, int removed, byte[] inserted) {
        int end = Math.min(file.length, at + removed);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(file, 0, at);
        out.writeBytes(inserted);
        out.write(file, end, file.length - end);
        return out.toByteArray();
    }

    private static void assertSentence(FormatException failure) {
        String message = failure.getMessage();
        assertTrue(message.startsWith("'model' is not read: "), message);
        assertFalse(message.chars().anyMatch(Character::isISOControl), message);
        assertTrue(message.length() < 600, message);
    }

    private static long allocated() {
        return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }
}
