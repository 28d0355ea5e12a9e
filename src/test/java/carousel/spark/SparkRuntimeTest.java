package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

class SparkRuntimeTest {
    /** Classes of the tests' class path, but for those of some jars. */
    private static URLClassLoader without(Predicate<String> jars) throws IOException {
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        URL[] urls = Arrays.stream(path.split(File.pathSeparator))
                .filter(entry -> !jars.test(Path.of(entry).getFileName().toString()))
                .map(SparkRuntimeTest::url)
                .toArray(URL[]::new);
        return new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
    }

    private static URL url(String entry) {
        try {
            return Path.of(entry).toUri().toURL();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static boolean isSparks(String jar) {
        return jar.startsWith("spark-") || jar.startsWith("scala-") || jar.startsWith("hadoop-");
    }

    private static String refusal(ClassLoader loader) {
        return assertThrows(ClusterException.class, () -> SparkRuntime.check(loader))
                .getMessage();
    }

    @Test
    void theSparkOfTheTestsWillDo() {
        SparkRuntime.check();
    }

    @Test
    void withoutSparkItSaysHowToRun() throws IOException {
        try (URLClassLoader loader = without(SparkRuntimeTest::isSparks)) {
            assertTrue(refusal(loader).startsWith("Spark is not on the class path: run it with spark-submit"));
        }
    }

    @Test
    void withoutTheMachineLearningThereIsNoSparkToUse() throws IOException {
        try (URLClassLoader loader = without(jar -> jar.startsWith("spark-mllib_"))) {
            assertTrue(refusal(loader).startsWith("Spark is not on the class path"));
        }
    }

    @Test
    void anotherScalaIsRefused() {
        SparkRuntime.requireScala("2.13.16");
        assertEquals(
                "Spark should be one for Scala 2.13 but is for Scala 2.12.18: take Spark 4, or the download of Spark 3.5"
                        + " that has scala2.13 in its name",
                assertThrows(ClusterException.class, () -> SparkRuntime.requireScala("2.12.18"))
                        .getMessage());
    }

    @Test
    void withoutTheLibraryOfScalaThereIsNoSparkToUse() throws IOException {
        try (URLClassLoader loader = without(jar -> jar.startsWith("scala-"))) {
            assertTrue(refusal(loader).contains("Scala's library is not"));
        }
    }

    /** The command line of a machine that has no Spark: one sentence, and other commands go on. */
    @Test
    void theCommandLineDoesWithoutSpark() throws ReflectiveOperationException, IOException {
        try (URLClassLoader loader = without(SparkRuntimeTest::isSparks)) {
            Method run = loader.loadClass("carousel.cli.Main")
                    .getDeclaredMethod("run", PrintWriter.class, PrintWriter.class, String[].class);
            run.setAccessible(true);
            StringWriter out = new StringWriter();
            StringWriter err = new StringWriter();
            String[] score = {"spark", "score", "--model", "m", "--input", "i.json", "--features", "x", "--output", "o"
            };
            int code = (Integer) run.invoke(null, new PrintWriter(out), new PrintWriter(err), score);
            assertEquals(1, code, err::toString);
            assertTrue(
                    err.toString().startsWith("carousel: Spark is not on the class path: run it with"), err::toString);
            assertEquals(1, err.toString().lines().count(), err::toString);
            String[] help = {"spark", "score", "--help"};
            assertEquals(0, run.invoke(null, new PrintWriter(out), new PrintWriter(err), help));
            assertTrue(out.toString().contains("--bad-records"), out::toString);
        }
    }

    /** The jar for Spark, which logs with Spark's library, started without it. */
    @Test
    void withoutALibraryToLogWithTheCommandLineSaysWhatToStart() throws ReflectiveOperationException, IOException {
        try (URLClassLoader loader = without(jar -> isSparks(jar) || jar.startsWith("slf4j-"))) {
            Method run = loader.loadClass("carousel.cli.Main")
                    .getDeclaredMethod("run", PrintWriter.class, PrintWriter.class, String[].class);
            run.setAccessible(true);
            StringWriter err = new StringWriter();
            assertEquals(1, run.invoke(null, new PrintWriter(new StringWriter()), new PrintWriter(err), new String[] {
                "doctor"
            }));
            assertEquals(
                    "carousel: a library is not on the class path (org/slf4j/LoggerFactory): start bin/carousel, which has it"
                            + " beside, or give carousel-spark.jar to spark-submit\n",
                    err.toString());
        }
    }
}
