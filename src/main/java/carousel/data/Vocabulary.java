package carousel.data;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;

/**
 * What a text is made of: characters, Unicode code points in the order of their numbers, or the 256 bytes. It turns text into
 * tokens in [0, {@link #size()}) and back.
 */
public final class Vocabulary {
    /** What one token is. */
    public enum Unit {
        CHARACTER,
        BYTE;

        /** In lower case, for people. */
        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** More than this many different characters in a text of a language is a sign that it is no text. */
    static final int MOST_CHARACTERS = 1 << 16;

    private static final int BYTES = 256;

    private final Unit unit;
    private final int[] characters;

    private Vocabulary(Unit unit, int[] characters) {
        this.unit = unit;
        this.characters = characters;
    }

    /** The 256 bytes. */
    public static Vocabulary bytes() {
        return new Vocabulary(Unit.BYTE, null);
    }

    /**
     * The different characters of a text.
     *
     * @throws IllegalArgumentException when there are none, or more than 65,536
     */
    public static Vocabulary of(String text) {
        int[] characters = text.codePoints().sorted().distinct().toArray();
        if (characters.length < 1 || characters.length > MOST_CHARACTERS) {
            throw new IllegalArgumentException("a text should have in the [1, " + MOST_CHARACTERS
                    + "] range of different characters but has " + characters.length + ": read it as bytes");
        }
        return new Vocabulary(Unit.CHARACTER, characters);
    }

    public Unit unit() {
        return unit;
    }

    /** V, the number of different tokens. */
    public int size() {
        return unit == Unit.BYTE ? BYTES : characters.length;
    }

    /** All characters in the order of their tokens: {@link #of} makes the same vocabulary of it. Null for bytes. */
    public String characters() {
        return unit == Unit.BYTE ? null : new String(characters, 0, characters.length);
    }

    /**
     * The tokens of a text.
     *
     * @throws IllegalArgumentException when a character is not in the vocabulary
     */
    public int[] encode(String text) {
        if (unit == Unit.BYTE) {
            return encode(text.getBytes(StandardCharsets.UTF_8));
        }
        return text.codePoints().map(this::token).toArray();
    }

    private int token(int character) {
        int token = Arrays.binarySearch(characters, character);
        if (token < 0) {
            throw new IllegalArgumentException("the character '" + Character.toString(character) + "' (U+"
                    + String.format(Locale.ROOT, "%04X", character) + ") should be one of the " + characters.length
                    + " that the model was trained on: leave it out");
        }
        return token;
    }

    /**
     * The tokens of the bytes of a file.
     *
     * @throws CharacterCodingException when characters are wanted and the bytes are not UTF-8
     */
    public int[] encodeFile(byte[] content) throws CharacterCodingException {
        return unit == Unit.BYTE ? encode(content) : encode(decode(content));
    }

    /** The text of a file in UTF-8. */
    static String decode(byte[] content) throws CharacterCodingException {
        return StandardCharsets.UTF_8
                .newDecoder()
                .decode(ByteBuffer.wrap(content))
                .toString();
    }

    private static int[] encode(byte[] content) {
        int[] tokens = new int[content.length];
        for (int k = 0; k < tokens.length; k++) {
            tokens[k] = content[k] & 0xff;
        }
        return tokens;
    }

    /** The bytes of one token's text in UTF-8; of a byte, that byte. */
    public byte[] decode(int token) {
        return unit == Unit.BYTE
                ? new byte[] {(byte) token}
                : Character.toString(characters[token]).getBytes(StandardCharsets.UTF_8);
    }
}
