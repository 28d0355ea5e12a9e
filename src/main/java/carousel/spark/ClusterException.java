package carousel.spark;

/** What the cluster, its settings or its data lack, in one sentence for people. */
public final class ClusterException extends RuntimeException {
    public ClusterException(String message) {
        super(message);
    }

    public ClusterException(String message, Throwable cause) {
        super(message, cause);
    }
}
