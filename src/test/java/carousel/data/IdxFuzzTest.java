package carousel.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.fixture.Mutations;
import carousel.fixture.Refusals;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The reader of IDX files on damaged ones: it reads or refuses, soon and with little memory. */
class IdxFuzzTest {
    private static final int MUTANTS = 10_000;
    /** Buffers, the inflater's state and the message of a refusal. */
    private static final long OVERHEAD = 1 << 20;

    @TempDir
    private Path folder;

    private enum Damage {
        PLAIN,
        GZIP,
        WITHIN_GZIP
    }

    @ParameterizedTest
    @EnumSource
    void readsOrRefuses(Damage damage) throws IOException {
        byte[] images = IdxBytes.images(4, 5, 6);
        byte[] labels = IdxBytes.labels(0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        Mutations mutations = new Mutations(23 + damage.ordinal());
        Path name = Path.of("mutant");
        int read = 0;
        for (int k = 0; k < MUTANTS; k++) {
            boolean pictures = k % 2 == 0;
            byte[] original = pictures ? images : labels;
            byte[] mutant = mutations.mutant(damage == Damage.GZIP ? IdxBytes.gzip(original) : original, k);
            byte[] bytes = damage == Damage.WITHIN_GZIP ? IdxBytes.gzip(mutant) : mutant;
            String refused = Refusals.readOrRefused(DataException.class, OVERHEAD, damage + " mutant " + k, () -> {
                if (pictures) {
                    IdxReader.Images result =
                            IdxReader.read(name, new ByteArrayInputStream(bytes), bytes.length, IdxReader::images);
                    assertEquals(result.count() * result.rows() * result.columns(), result.pixels().length);
                } else {
                    byte[] result = IdxReader.read(
                            name, new ByteArrayInputStream(bytes), bytes.length, reader -> reader.labels(10));
                    for (byte label : result) {
                        assertTrue(label >= 0 && label < 10);
                    }
                }
            });
            read += refused == null ? 1 : 0;
        }
        assertTrue(read > MUTANTS / 1000 && read < MUTANTS / 2, read + " of " + MUTANTS + " could be read");
    }

    /** Megabytes of zeros in some kilobytes, behind headers that ask for all, for more and for less of them. */
    @Test
    void takesNoMoreFromABombThanItsHeaderAsksFor() throws IOException {
        int zeros = 16 << 20;
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Path file = folder.resolve("bomb");
        for (int count : new int[] {1, 4, 5, 64, 1 << 30, -1}) {
            bytes.reset();
            bytes.writeBytes(IdxBytes.header(2051, count, 2048, 2048));
            bytes.writeBytes(new byte[zeros]);
            Files.write(file, IdxBytes.gzip(bytes.toByteArray()));
            long asked = Math.min(Math.max(count, 0), 5) * (4L << 20);
            // The array doubles as the data comes, so all of them together are twice the last, and that at most twice
            // the data.
            String refused = Refusals.readOrRefused(
                    DataException.class, OVERHEAD + 4 * asked, "bomb of " + count, () -> IdxReader.images(file));
            assertEquals(count != 4, refused != null, refused);
        }
        // Members one after the other, each small.
        byte[] member = IdxBytes.gzip(new byte[1 << 16]);
        bytes.reset();
        bytes.writeBytes(IdxBytes.gzip(IdxBytes.header(2051, 1, 28, 28)));
        for (int k = 0; k < 1000; k++) {
            bytes.writeBytes(member);
        }
        Files.write(file, bytes.toByteArray());
        String refused = Refusals.readOrRefused(DataException.class, OVERHEAD, "members", () -> IdxReader.images(file));
        assertTrue(refused.contains("785"), refused);
        byte[] header = Arrays.copyOf(bytes.toByteArray(), 2);
        Files.write(file, header);
        Refusals.assertRefused(DataException.class, () -> IdxReader.images(file), "ends too early");
    }
}
