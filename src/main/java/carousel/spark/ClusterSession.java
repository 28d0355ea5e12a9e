package carousel.spark;

import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.util.ShutdownHookManager;
import org.apache.spark.sql.SparkSession;

/** The session that a command works in: that of the program where it has one, otherwise a new one that ends with the command. */
public final class ClusterSession implements AutoCloseable {
    /** Spark ends its context at 30 above the file systems; the higher comes first, and the others wait for it. */
    private static final int BEFORE_SPARK = FileSystem.SHUTDOWN_HOOK_PRIORITY + 100;

    private final SparkSession session;
    private final boolean own;

    private ClusterSession(SparkSession session, boolean own) {
        this.session = session;
        this.own = own;
    }

    /**
     * Opens it.
     *
     * @param name of the application, where it has none
     * @throws ClusterException when there is no Spark or it says no cluster to work on
     */
    public static ClusterSession open(String name) {
        SparkRuntime.check();
        boolean own = SparkSession.getActiveSession().isEmpty()
                && SparkSession.getDefaultSession().isEmpty();
        SparkSession.Builder builder = SparkSession.builder();
        if (System.getProperty("spark.app.name") == null) {
            builder.appName(name);
        }
        try {
            return new ClusterSession(builder.getOrCreate(), own);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            // Scala's methods declare none of the exceptions that they throw.
            throw new ClusterException(
                    String.valueOf(e.getMessage()).contains("A master URL must be set")
                            ? "nothing says which cluster to work on: run it with spark-submit, with --master where there is no"
                                    + " other setting"
                            : TaskFailures.of(e).getMessage(),
                    e);
        }
    }

    /** A path as it may be given to this or another session: one of this machine, or with its file system's name. */
    public String place(String path) throws IOException {
        Configuration settings = session.sparkContext().hadoopConfiguration();
        return ClusterFiles.isLocal(settings, path)
                ? ClusterFiles.local(settings, path).toString()
                : ClusterFiles.qualified(settings, path);
    }

    /** Whether {@link #place} gave a path of this machine. */
    public static boolean isLocal(String place) {
        return place.startsWith("/");
    }

    /** How many tasks the cluster runs at once, as far as it is known. */
    public int parallelism() {
        return session.sparkContext().defaultParallelism();
    }

    /**
     * Has something done when the process is told to end, while the cluster is still there, and returns what takes that back.
     *
     * @param seconds that it is waited for at the most
     * @throws IllegalStateException where the process is ending already
     */
    public Runnable beforeEnd(Runnable work, long seconds) {
        ShutdownHookManager hooks = ShutdownHookManager.get();
        hooks.addShutdownHook(work, BEFORE_SPARK, seconds, TimeUnit.SECONDS);
        return () -> hooks.removeShutdownHook(work);
    }

    SparkSession session() {
        return session;
    }

    @Override
    public void close() {
        if (own) {
            session.stop();
        }
    }
}
