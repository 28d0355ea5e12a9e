package carousel.spark;

import carousel.engine.EngineException;
import carousel.tensor.OutOfTensorMemoryException;
import java.util.concurrent.Callable;
import org.apache.spark.SparkException;

/** What failed in the cluster, as it would have failed here. */
final class Failures {
    private Failures() {}

    /** Does something with Spark; what tasks failed of is thrown in their own words, and what Spark itself says in one sentence. */
    static <V> V unwrapped(Callable<V> work) {
        try {
            return work.call();
        } catch (Exception failure) {
            for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
                if (cause instanceof ClusterException
                        || cause instanceof EngineException
                        || cause instanceof IllegalArgumentException
                        || cause instanceof OutOfTensorMemoryException) {
                    throw (RuntimeException) cause;
                }
            }
            if (failure instanceof SparkException) {
                throw new ClusterException(
                        "the cluster could not do the job: " + firstLine(failure) + "; see the executors' logs",
                        failure);
            }
            throw failure instanceof RuntimeException running ? running : new IllegalStateException(failure);
        }
    }

    private static String firstLine(Exception failure) {
        return String.valueOf(failure.getMessage()).lines().findFirst().orElse("");
    }
}
