package carousel.spark;

/** A row is no sequence as it should be; the message says which and why, in one sentence. */
final class BadRecordException extends Exception {
    private static final long serialVersionUID = 1;

    BadRecordException(String message) {
        // Without a stack trace: there may be one a row, and the message says all.
        super(message, null, false, false);
    }
}
