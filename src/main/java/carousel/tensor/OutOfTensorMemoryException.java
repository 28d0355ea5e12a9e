package carousel.tensor;

/** An allocation did not fit: the message names the request, what was free, and the setting to lower. */
public final class OutOfTensorMemoryException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public OutOfTensorMemoryException(String message, Throwable cause) {
        super(message, cause);
    }
}
