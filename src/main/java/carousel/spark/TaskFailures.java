package carousel.spark;

import carousel.engine.EngineException;
import carousel.tensor.OutOfTensorMemoryException;
import java.util.concurrent.Callable;

/** What went wrong in a task, out of what Spark makes of it on the driver. */
final class TaskFailures {
    private static final int DEEPEST = 50;

    private TaskFailures() {}

    /** Does something with Spark, whose methods declare none of what they throw. */
    static <V> V unwrapped(Callable<V> work) {
        try {
            return work.call();
        } catch (Exception failure) {
            throw of(failure);
        }
    }

    /** Whether an exception that many throw is from here. */
    private static boolean isOurs(Throwable cause) {
        StackTraceElement[] trace = cause.getStackTrace();
        return trace.length > 0 && trace[0].getClassName().startsWith("carousel.");
    }

    /**
     * What is to be thrown instead of an exception of Spark's: the task's own that says in a sentence what people should do, where there
     * is one among the causes; otherwise the first sentence of Spark's.
     */
    static RuntimeException of(Exception failure) {
        Throwable cause = failure;
        for (int depth = 0; cause != null && depth < DEEPEST; depth++) {
            if (cause instanceof ClusterException
                    || cause instanceof EngineException
                    || cause instanceof OutOfTensorMemoryException
                    || cause instanceof IllegalArgumentException && isOurs(cause)) {
                return (RuntimeException) cause;
            }
            cause = cause.getCause();
        }
        String said =
                String.valueOf(failure.getMessage()).strip().lines().findFirst().orElse("");
        return new ClusterException("Spark could not do it: " + (said.isEmpty() ? failure : said), failure);
    }
}
