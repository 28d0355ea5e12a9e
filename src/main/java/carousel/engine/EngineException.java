package carousel.engine;

/** An engine cannot do what it was asked; the message is one sentence with the reason and the remedy. */
public final class EngineException extends RuntimeException {
    private static final long serialVersionUID = 1;

    public EngineException(String message) {
        super(message);
    }

    public EngineException(String message, Throwable cause) {
        super(message, cause);
    }
}
