package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A text file, its vocabulary and its parts. */
class TextCorpusTest {
    /** Beyond ASCII, beyond 16 bits, and not in order. */
    private static final String TEXT = "zebra \u00e9t\u00e9 \ud83d\ude00 abc\n".repeat(20);

    @TempDir
    Path folder;

    private Path file(byte[] content) throws IOException {
        return Files.write(folder.resolve("text.txt"), content);
    }

    private static int[] all(TextCorpus corpus) {
        return IntStream.concat(
                        IntStream.concat(Arrays.stream(corpus.validation()), Arrays.stream(corpus.training())),
                        Arrays.stream(corpus.test()))
                .toArray();
    }

    private static String text(Vocabulary vocabulary, int[] tokens) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int token : tokens) {
            bytes.writeBytes(vocabulary.decode(token));
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Test
    void charactersAreCodePointsAndComeBack() throws IOException {
        TextCorpus corpus =
                TextCorpus.read(file(TEXT.getBytes(StandardCharsets.UTF_8)), Vocabulary.Unit.CHARACTER, null);
        Vocabulary vocabulary = corpus.vocabulary();
        assertEquals("\n abcertz\u00e9\ud83d\ude00", vocabulary.characters());
        assertEquals(11, vocabulary.size());
        assertEquals(TEXT, text(vocabulary, all(corpus)));
        Vocabulary again = Vocabulary.of(vocabulary.characters());
        assertArrayEquals(vocabulary.encode(TEXT), again.encode(TEXT));
        assertRefused(IllegalArgumentException.class, () -> vocabulary.encode("abx"), "'x' (U+0078)", "leave it out");
    }

    @Test
    void bytesAreThemselves() throws IOException {
        byte[] content = new byte[300];
        for (int k = 0; k < content.length; k++) {
            content[k] = (byte) (k * 7);
        }
        TextCorpus corpus = TextCorpus.read(file(content), Vocabulary.Unit.BYTE, null);
        assertEquals(256, corpus.vocabulary().size());
        assertNull(corpus.vocabulary().characters());
        int[] tokens = all(corpus);
        for (int k = 0; k < content.length; k++) {
            assertEquals(content[k] & 0xff, tokens[k]);
            assertArrayEquals(new byte[] {content[k]}, corpus.vocabulary().decode(tokens[k]));
        }
    }

    @Test
    void theLastTenthIsForTheTestAndTheFirstTwentiethForTheValidation() throws IOException {
        TextCorpus corpus = TextCorpus.read(file(new byte[1_000]), Vocabulary.Unit.BYTE, null);
        assertEquals(850, corpus.training().length);
        assertEquals(50, corpus.validation().length);
        assertEquals(100, corpus.test().length);
    }

    @Test
    void whatIsNoTextIsRefused() throws IOException {
        assertRefused(
                DataException.class,
                () -> TextCorpus.read(folder, Vocabulary.Unit.BYTE, null),
                "'" + folder + "' should be a text file but is a folder");
        Path few = file("abc".getBytes(StandardCharsets.UTF_8));
        assertRefused(
                DataException.class,
                () -> TextCorpus.read(few, Vocabulary.Unit.CHARACTER, null),
                "range of bytes but has 3");
        byte[] latin = "\u00e9".repeat(200).getBytes(StandardCharsets.ISO_8859_1);
        Path other = file(latin);
        assertRefused(
                DataException.class,
                () -> TextCorpus.read(other, Vocabulary.Unit.CHARACTER, null),
                "UTF-8",
                "as bytes");
        Path unknown = file("abcd".repeat(50).getBytes(StandardCharsets.UTF_8));
        assertRefused(
                DataException.class,
                () -> TextCorpus.read(unknown, Vocabulary.Unit.CHARACTER, Vocabulary.of("abc")),
                "'d' (U+0064)");
        // 100 bytes, but 34 characters.
        Path brief = file(("\u20ac".repeat(33) + "x").getBytes(StandardCharsets.UTF_8));
        assertRefused(DataException.class, () -> TextCorpus.read(brief, Vocabulary.Unit.CHARACTER, null), "but has 34");
    }
}
