package carousel.spark;

import static carousel.spark.ClusterTrainingSparkTest.DROPPING;
import static carousel.spark.ClusterTrainingSparkTest.assertSame;
import static carousel.spark.ClusterTrainingSparkTest.local;
import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.spark.ClusterTrainingSparkTest.Outcome;
import carousel.spark.ClusterTrainingSparkTest.Run;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

/** The last of the tests on a cluster, by its name: it starts another one. */
class WithOneExecutorSparkTest {
    /** So many that sums are made on the way to the driver too. */
    private static final ClusterSettings SEVEN = ClusterSettings.exact(7);

    /** One goes on from the beginning, the other from where two left it. */
    @Test
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
}
