package carousel.spark;

import carousel.engine.EngineException;
import carousel.tensor.OutOfTensorMemoryException;

/** What went wrong in a task, out of what Spark makes of it on the driver. */
final class TaskFailures {
    private static final int DEEPEST = 50;

    private TaskFailures() {}

    /**
     * What is to be thrown instead of an exception of Spark's: the task's own that says in a sentence what people should do, where there
     * is one among the causes; otherwise the first sentence of Spark's.
     */
    static RuntimeException of(Exception failure) {
        Throwable cause = failure;
        for (int depth = 0; cause != null && depth < DEEPEST; depth++) {
            if (cause instanceof ClusterException
                    || cause instanceof EngineException
                    || cause instanceof OutOfTensorMemoryException) {
                return (RuntimeException) cause;
            }
            cause = cause.getCause();
        }
        String said =
                String.valueOf(failure.getMessage()).strip().lines().findFirst().orElse("");
        return new ClusterException("Spark could not do it: " + (said.isEmpty() ? failure : said), failure);
    }
}
