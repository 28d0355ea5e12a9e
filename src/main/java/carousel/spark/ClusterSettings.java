package carousel.spark;

/**
 * How a training is divided among machines. All of it changes the results, so that a run goes on with what it began with; the number of
 * executors does not, and is not here.
 *
 * @param partitions of the data, 1 or more: each computes its share of every batch
 * @param localSteps steps that each partition takes by itself before the parameters are averaged, 1 or more; with 1 the partitions'
 *     gradients are added up instead and one optimizer takes the step, as on a single machine
 * @param outerRate what the way from the old parameters to the average is multiplied by; 1 takes the average
 * @param outerMomentum of Nesterov's momentum on these ways, in [0, 1); 0 for none
 */
public record ClusterSettings(int partitions, int localSteps, double outerRate, double outerMomentum) {
    public ClusterSettings {
        require("partitions", partitions, partitions >= 1, "1 or more");
        require("local steps", localSteps, localSteps >= 1, "1 or more");
        require("outer rate", outerRate, outerRate > 0 && Double.isFinite(outerRate), "a positive finite number");
        require("outer momentum", outerMomentum, outerMomentum >= 0 && outerMomentum < 1, "in the [0, 1) range");
        if (localSteps == 1 && (outerRate != 1 || outerMomentum != 0)) {
            throw new IllegalArgumentException(
                    "the outer rate and momentum act on averages after local steps but got " + outerRate + " and "
                            + outerMomentum + " with one local step: raise the local steps, or leave them out");
        }
    }

    private static void require(String what, Number value, boolean fits, String range) {
        if (!fits) {
            throw new IllegalArgumentException("the " + what + " should be " + range + " but got " + value);
        }
    }

    /** Every step is that of a single machine. */
    public static ClusterSettings exact(int partitions) {
        return new ClusterSettings(partitions, 1, 1, 0);
    }

    /** Plain averages after so many local steps (Stich 2019, Local SGD converges fast and communicates little). */
    public static ClusterSettings averaging(int partitions, int localSteps) {
        return new ClusterSettings(partitions, localSteps, 1, 0);
    }

    /** With an outer step of Nesterov's momentum (Douillard et al. 2023, DiLoCo). */
    public ClusterSettings withOuter(double rate, double momentum) {
        return new ClusterSettings(partitions, localSteps, rate, momentum);
    }
}
