package carousel.spark;

import static carousel.spark.ClusterTrainingSparkTest.DROPPING;
import static carousel.spark.ClusterTrainingSparkTest.assertSame;
import static carousel.spark.ClusterTrainingSparkTest.local;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.spark.ClusterTrainingSparkTest.Outcome;
import carousel.spark.ClusterTrainingSparkTest.Run;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/** The last of the tests on a cluster, by its name: it starts another one. Its executor is said to have a GPU. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class WithOneExecutorSparkTest {
    /** So many that sums are made on the way to the driver too. */
    private static final ClusterSettings SEVEN = ClusterSettings.exact(7);

    private static final String GIVEN = "device " + LocalCluster.DEVICE + " of Spark's)";

    /** One goes on from the beginning, the other from where two left it. */
    @Test
    @Order(1)
    void theNumberOfExecutorsChangesNothing() {
        SparkSession two = LocalCluster.open(2);
        Outcome exact = new Run(two, SEVEN).of(DROPPING).outcome();
        Outcome averaged = new Run(two, local()).of(DROPPING).outcome();
        Outcome half = new Run(two, local()).of(DROPPING).until(6).outcome();
        SparkSession one = LocalCluster.open(1);
        assertEquals(1, LocalCluster.executors().size());
        assertSame(exact, new Run(one, SEVEN).of(DROPPING).outcome());
        assertSame(
                averaged,
                new Run(one, local()).of(DROPPING).from(half.checkpoint()).outcome());
    }

    /** There is no GPU of this number; that the engines for GPUs open it is tested with a machine that has one. */
    @Test
    @Order(2)
    void tasksTakeTheGpuThatSparkGaveThem() {
        SparkSession one = LocalCluster.open(1);
        List<Integer> devices = JavaSparkContext.fromSparkContext(one.sparkContext())
                .parallelize(List.of(1, 2, 3), 3)
                .map(task -> Job.device(TaskContext.get()))
                .collect();
        assertEquals(List.of(LocalCluster.DEVICE, LocalCluster.DEVICE, LocalCluster.DEVICE), devices);
        for (String engine : List.of("cudnn", "fused", "gpu")) {
            EngineException refused = assertThrows(
                    EngineException.class,
                    () -> new Run(one, ClusterSettings.exact(1))
                            .onExecutors(engine)
                            .outcome());
            String message = refused.getMessage();
            assertTrue(
                    message.startsWith("the engine '" + engine + "' is unavailable: ")
                            || message.contains(String.valueOf(LocalCluster.DEVICE)),
                    message);
            assertEquals(1, message.lines().count());
        }
    }

    /** An engine for CPUs leaves the GPU alone, and people are told. */
    @Test
    @Order(3)
    void whatBecameOfTheGpuIsSaid(@TempDir Path folder) throws IOException {
        SparkSession one = LocalCluster.open(1);
        Run run = new Run(one, ClusterSettings.exact(1)).until(1);
        run.outcome();
        assertTrue(
                run.engines().get("0").endsWith(" (without " + GIVEN),
                run.engines().toString());
        Path model = ScoringFixture.classes(folder.resolve("m.safetensors"), Map.of());
        Path input = folder.resolve("in.json");
        one.range(0, 5).selectExpr("array(0.5D, 0.25D) AS x").write().json(input.toString());
        ScoringJob.Report report = new ScoringJob(
                        input.toString(), null, folder.resolve("out.json").toString(), false)
                .run(
                        ClusterSession.open("test"),
                        SequenceScorer.of(model.toString(), SequenceColumns.arrays("x"))
                                .withLoss(Loss.SOFTMAX_CROSS_ENTROPY)
                                .withEngine("vector"));
        assertEquals(5, report.sequences());
        assertEquals(1, report.engines().size());
        assertTrue(
                report.engines().get(0).endsWith(" (without " + GIVEN),
                report.engines().toString());
    }
}
