package carousel.cli;

import carousel.data.CsvOptions;
import java.util.Locale;

/**
 * How a CSV file is written, in the command line's words; null leaves it to what the file looks like.
 *
 * @param separator comma, semicolon or tab
 * @param header yes or no
 * @param decimalMark point or comma
 */
record TableForm(String separator, String header, String decimalMark) {
    private enum Separator {
        COMMA(','),
        SEMICOLON(';'),
        TAB('\t');

        private final char character;

        Separator(char character) {
            this.character = character;
        }
    }

    private enum Header {
        YES,
        NO
    }

    private enum DecimalMark {
        POINT,
        COMMA
    }

    /** Throws {@link IllegalArgumentException} where a word is none of these. */
    CsvOptions options() {
        return new CsvOptions(
                separator == null ? null : Check.choice("--separator", separator, Separator.class).character,
                header == null ? null : Check.choice("--header", header, Header.class) == Header.YES,
                decimalMark == null
                        ? null
                        : Check.choice("--decimal-mark", decimalMark, DecimalMark.class) == DecimalMark.POINT
                                ? '.'
                                : ',');
    }

    /** A word as it is kept. */
    static String word(String value) {
        return value == null ? null : value.toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
