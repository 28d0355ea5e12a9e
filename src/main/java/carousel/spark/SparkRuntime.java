package carousel.spark;

import java.lang.reflect.InvocationTargetException;

/** Whether there is a Spark here, asked without needing one: this class is linked to none of Spark's. */
public final class SparkRuntime {
    /** The Scala whose Spark this was compiled against; those of other lines have other names for the same methods. */
    private static final String SCALA = "2.13";

    private SparkRuntime() {}

    /**
     * Goes on where Spark is on the class path.
     *
     * @throws ClusterException in one sentence where it is not, or is one for another Scala
     */
    public static void check() {
        check(SparkRuntime.class.getClassLoader());
    }

    static void check(ClassLoader loader) {
        try {
            Class.forName("org.apache.spark.sql.SparkSession", false, loader);
            Class.forName("org.apache.spark.ml.Transformer", false, loader);
        } catch (ClassNotFoundException | LinkageError absent) {
            throw new ClusterException(
                    "Spark is not on the class path: run it with spark-submit --class carousel.cli.Main and Carousel's jar,"
                            + " of Spark 3.5 or 4 for Scala " + SCALA,
                    absent);
        }
        requireScala(scala(loader));
    }

    static void requireScala(String scala) {
        if (!scala.startsWith(SCALA + ".")) {
            throw new ClusterException("Spark should be one for Scala " + SCALA + " but is for Scala " + scala
                    + ": take Spark 4, or the download of Spark 3.5 that has scala" + SCALA + " in its name");
        }
    }

    private static String scala(ClassLoader loader) {
        try {
            return String.valueOf(Class.forName("scala.util.Properties", true, loader)
                    .getMethod("versionNumberString")
                    .invoke(null));
        } catch (ClassNotFoundException
                | NoSuchMethodException
                | IllegalAccessException
                | InvocationTargetException
                | LinkageError unknown) {
            throw new ClusterException(
                    "Spark is on the class path but Scala's library is not: run it with spark-submit", unknown);
        }
    }
}
