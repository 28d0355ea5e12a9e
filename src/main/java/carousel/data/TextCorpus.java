package carousel.data;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * A text file as tokens, cut into a part to judge by while learning, a part to learn from, and a part to be tested on, in this order:
 * what lies right before the test is most like it, and is learned from.
 *
 * @param name what it is, for people
 * @param vocabulary of all parts
 */
public record TextCorpus(String name, Vocabulary vocabulary, int[] training, int[] validation, int[] test) {
    /** The last tenth is for the test, the first twentieth for the validation. */
    private static final double TEST = 0.1;

    private static final double VALIDATION = 0.05;

    /** With less there is nothing to learn. */
    private static final int LEAST = 100;

    /** The longest file: a token takes an int. */
    private static final long MOST_BYTES = 1L << 28;

    /**
     * Reads a text.
     *
     * @param known the vocabulary of a model that has been trained, or null for that of the text
     * @throws DataException when the file is too short or too long, or characters are wanted and it is not UTF-8 or has others
     *     than the known ones
     */
    public static TextCorpus read(Path file, Vocabulary.Unit unit, Vocabulary known) throws IOException {
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new DataException("'" + file + "' should be a text file but is a "
                    + (Files.isDirectory(file) ? "folder" : "special file") + ": give a file");
        }
        long size = Files.size(file);
        if (size < LEAST || size > MOST_BYTES) {
            throw new DataException("'" + file + "' should have in the [" + LEAST + ", " + MOST_BYTES
                    + "] range of bytes but has " + size + ": give another text"
                    + (size > MOST_BYTES ? ", or a part of this one" : ""));
        }
        byte[] content = Files.readAllBytes(file);
        try {
            Vocabulary vocabulary = known != null
                    ? known
                    : unit == Vocabulary.Unit.BYTE ? Vocabulary.bytes() : Vocabulary.of(Vocabulary.decode(content));
            return cut(String.valueOf(file.getFileName()), vocabulary, vocabulary.encodeFile(content));
        } catch (CharacterCodingException e) {
            throw new DataException(
                    "'" + file + "' should be text in UTF-8 but is not: convert it, or read it as bytes", e);
        } catch (IllegalArgumentException e) {
            throw new DataException("'" + file + "': " + e.getMessage(), e);
        }
    }

    private static TextCorpus cut(String name, Vocabulary vocabulary, int[] tokens) throws DataException {
        if (tokens.length < LEAST) {
            throw new DataException("'" + name + "' should have " + LEAST + " characters or more but has "
                    + tokens.length + ": give a longer text");
        }
        int test = tokens.length - (int) (TEST * tokens.length);
        int validation = (int) (VALIDATION * tokens.length);
        return new TextCorpus(
                name,
                vocabulary,
                Arrays.copyOfRange(tokens, validation, test),
                Arrays.copyOfRange(tokens, 0, validation),
                Arrays.copyOfRange(tokens, test, tokens.length));
    }
}
