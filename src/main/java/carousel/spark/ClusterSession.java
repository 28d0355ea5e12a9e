package carousel.spark;

import org.apache.spark.sql.SparkSession;

/** The session that a command works in: that of the program where it has one, otherwise a new one that ends with the command. */
public final class ClusterSession implements AutoCloseable {
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
                    String.valueOf(e.getMessage()).contains("master")
                            ? "nothing says which cluster to work on: run it with spark-submit, with --master where there is no"
                                    + " other setting"
                            : TaskFailures.of(e).getMessage(),
                    e);
        }
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
