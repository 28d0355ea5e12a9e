package carousel.format;

import carousel.data.DataException;
import java.io.IOException;

/**
 * A file does not follow its format, or lacks what was asked of it. The message is one sentence that names the file,
 * the offending value, what is allowed and, where there is one, the remedy.
 */
public final class FormatException extends IOException {
    private static final long serialVersionUID = 1;

    public FormatException(String message) {
        super(message);
    }

    public FormatException(String message, Throwable cause) {
        super(message, cause);
    }

    /** Text out of a file as a message may show it: see {@link DataException#quote}. */
    public static String quote(String text) {
        return DataException.quote(text);
    }
}
