package carousel.spark;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;
import org.apache.spark.util.TaskCompletionListener;

/**
 * Has tasks of the test cluster fail where a test asks for it: the first attempt of partition 1 of every job throws when all of its work
 * is done, which is the worst moment for what counts anything twice. The executor stays, and Spark starts the task again.
 */
public final class FailingTasks implements SparkPlugin {
    /** Of the thread that starts jobs: the file that is made when a task that has thrown is started again. */
    private static final String AGAIN = "carousel.test.failing";

    /** For the jobs that this thread starts from now on. */
    static void start(SparkContext spark, Path again) {
        spark.setLocalProperty(AGAIN, again.toString());
    }

    static void stop(SparkContext spark) {
        spark.setLocalProperty(AGAIN, null);
    }

    @Override
    public DriverPlugin driverPlugin() {
        return null;
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return new ExecutorPlugin() {
            @Override
            public void onTaskStart() {
                TaskContext task = TaskContext.get();
                String again = task.getLocalProperty(AGAIN);
                if (again == null || task.partitionId() != 1) {
                    return;
                }
                if (task.attemptNumber() > 0) {
                    mark(Path.of(again));
                } else {
                    task.addTaskCompletionListener((TaskCompletionListener) ended -> {
                        throw new IllegalStateException("a task that a test has fail");
                    });
                }
            }
        };
    }

    private static void mark(Path again) {
        try {
            Files.writeString(again, "");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
