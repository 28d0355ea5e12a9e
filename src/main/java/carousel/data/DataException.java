package carousel.data;

import java.io.IOException;

/**
 * A file does not hold the data it should. The message is one sentence that names the file, the offending value, what is
 * allowed and the remedy.
 */
public final class DataException extends IOException {
    private static final long serialVersionUID = 1;

    public DataException(String message) {
        super(message);
    }

    public DataException(String message, Throwable cause) {
        super(message, cause);
    }
}
