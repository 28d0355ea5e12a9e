package carousel.spark;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.spark.SparkEnv;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** A cluster on this machine whose executors are processes of their own, for tests: Spark's {@code local-cluster}. */
public final class LocalCluster {
    private static final int MEGABYTES = 1024;
    private static final long MOST_SECONDS = 90;
    /** The address of the GPU that an executor which is alone is said to have. */
    static final int DEVICE = 5;

    private static SparkSession session;
    private static int running;

    private LocalCluster() {}

    /** The session of a cluster with so many executors of one core each; that of the test before where it has as many. */
    public static synchronized SparkSession open(int executors) {
        if (session != null && running == executors && !session.sparkContext().isStopped()) {
            return session;
        }
        if (session != null) {
            session.stop();
        }
        makeHome();
        running = executors;
        SparkSession.Builder builder = SparkSession.builder();
        if (executors == 1) {
            addDevice(builder);
        }
        session = builder.master("local-cluster[" + executors + ",1," + MEGABYTES + "]")
                .appName("carousel")
                .config("spark.ui.enabled", "false")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.executor.extraClassPath", classPath())
                .config(
                        "spark.executor.extraJavaOptions",
                        // Most of a short test is translation.
                        "-XX:TieredStopAtLevel=1 -Dcarousel.guard=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
                .config("spark.locality.wait", "0s")
                .config("spark.plugins", FailingTasks.class.getName())
                .config("spark.sql.shuffle.partitions", "4")
                .config("spark.sql.warehouse.dir", home().resolve("warehouse").toString())
                .getOrCreate();
        await(executors);
        return session;
    }

    /** Gives every task a GPU, by a script that says there is one. */
    private static void addDevice(SparkSession.Builder builder) {
        Path script = home().resolve("gpus.sh");
        try {
            Files.writeString(script, "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"" + DEVICE + "\"]}'\n");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        if (!script.toFile().setExecutable(true)) {
            throw new IllegalStateException("'" + script + "' cannot be made executable");
        }
        for (String who : List.of("worker", "executor")) {
            builder.config("spark." + who + ".resource.gpu.amount", "1")
                    .config("spark." + who + ".resource.gpu.discoveryScript", script.toString());
        }
        builder.config("spark.task.resource.gpu.amount", "1");
    }

    /** Waits for executors to be there, no more and no fewer. */
    static void await(int executors) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
        // Registered is also one that has just been lost; those that are there take a task each.
        while (executors().size() != executors || registered() != executors || working(executors) != executors) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("the cluster should have " + executors + " executors but has "
                        + registered() + " in " + executors().size() + " processes");
            }
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** Executors that take part where there is a task for each that takes a moment. */
    private static long working(int executors) {
        return JavaSparkContext.fromSparkContext(session.sparkContext())
                .parallelize(Collections.nCopies(executors, 0), executors)
                .map(task -> {
                    Thread.sleep(200);
                    return SparkEnv.get().executorId();
                })
                .distinct()
                .count();
    }

    /** Executors that the driver knows; itself it counts too. */
    private static int registered() {
        return session.sparkContext().statusTracker().getExecutorInfos().length - 1;
    }

    /** The class path of the tests: surefire hides its own behind a jar in some modes. */
    private static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    static Path home() {
        String home = System.getenv("SPARK_HOME");
        if (home == null) {
            throw new IllegalStateException(
                    "these tests run with SPARK_HOME, SPARK_SCALA_VERSION=2.13 and SPARK_LOCAL_IP=127.0.0.1: see pom.xml");
        }
        return Path.of(home);
    }

    /** A home with the jars of Spark, as an installation has it. */
    static void makeHome() {
        try {
            Path jars = Files.createDirectories(home().resolve("jars"));
            for (String entry : classPath().split(File.pathSeparator)) {
                Path jar = Path.of(entry).toAbsolutePath();
                Path link = jars.resolve(jar.getFileName());
                if (isSparks(jar) && !Files.exists(link)) {
                    Files.deleteIfExists(link);
                    Files.createSymbolicLink(link, jar);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Not ours, nor a library that only Carousel or its tests have: those come with the application. */
    private static boolean isSparks(Path jar) {
        String path = jar.toString().replace(File.separatorChar, '/');
        return path.endsWith(".jar")
                && List.of("jcuda", "junit", "opentest4j", "archunit", "onnx", "tensorflow", "openjdk", "picocli")
                        .stream()
                        .noneMatch(path::contains);
    }

    /** The processes of the executors: this process starts no other Java. */
    static List<ProcessHandle> executors() {
        return ProcessHandle.current()
                .descendants()
                .filter(process -> process.info()
                        .command()
                        .map(command -> command.endsWith("java"))
                        .orElse(false))
                .toList();
    }
}
