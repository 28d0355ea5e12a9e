package carousel.data;

import java.io.IOException;

/**
 * A file does not hold the data it should. The message is one sentence that names the file, the offending value, what is
 * allowed and the remedy.
 */
public final class DataException extends IOException {
    private static final long serialVersionUID = 1;

    private static final int LONGEST_QUOTE = 80;

    public DataException(String message) {
        super(message);
    }

    public DataException(String message, Throwable cause) {
        super(message, cause);
    }

    /**
     * Text out of a file as a message may show it: in quotes, cut to {@value #LONGEST_QUOTE} characters, and without
     * anything that could move the cursor or break the sentence into lines.
     */
    public static String quote(String text) {
        StringBuilder quoted = new StringBuilder("'");
        int shown = Math.min(text.length(), LONGEST_QUOTE);
        for (int k = 0; k < shown; k++) {
            char c = text.charAt(k);
            boolean printable = switch (Character.getType(c)) {
                case Character.CONTROL,
                        Character.FORMAT,
                        Character.LINE_SEPARATOR,
                        Character.PARAGRAPH_SEPARATOR,
                        Character.UNASSIGNED -> false;
                default -> true;
            };
            if (printable) {
                quoted.append(c);
            } else {
                quoted.append(String.format("\\u%04x", (int) c));
            }
        }
        return quoted.append(shown < text.length() ? "...'" : "'").toString();
    }
}
