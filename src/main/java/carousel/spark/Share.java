package carousel.spark;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.optimizer.Optimizer;
import carousel.spark.SumTree.Vectors;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import carousel.training.BatchGradient;
import carousel.training.Evaluation;
import carousel.training.Evaluator;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** What a task does for its partition, on the executor that it runs on. */
final class Share {
    /** Sums of a step: of losses, of what is right, and of weights. */
    static final int TOTALS = 3;

    /** Sequences that are looked at together where nothing is learned. */
    private static final int EVALUATION_BATCH = 250;

    private Share() {}

    /** Adds a partition's part of a round to a sum. */
    static SumTree add(SumTree tree, Slice slice, Job job, BatchForm form, Round round) {
        int size = round.firsts()[slice.partition() + 1] - round.firsts()[slice.partition()];
        if (slice.size() != size) {
            throw new ClusterException("partition " + slice.partition() + " of the data had " + size
                    + " sequences and has " + slice.size()
                    + " when it is read again, after an executor was lost: train on a table that is the same each time, such as one"
                    + " in files");
        }
        long start = System.nanoTime();
        try (ExecutorModels.Lent lent = ExecutorModels.borrow(job)) {
            int first = round.firsts()[slice.partition()];
            int[][] mine = Arrays.stream(round.members())
                    .map(members -> slice.owned(members, first))
                    .toArray(int[][]::new);
            boolean trimmed = trimmed(lent.model(), form);
            Vectors vectors = round.optimizer() == null
                    ? gradient(lent, job, round, slice, slice.batchOf(form, trimmed, mine[0]))
                    : steps(lent, job, round, slice, form, trimmed, mine);
            lent.done();
            return tree.add(slice.partition(), vectors)
                    .computed(ExecutorModels.executor(), lent.description(), System.nanoTime() - start);
        }
    }

    /** Whether a batch may have fewer steps than others: targets that are of each step say how many there are. */
    private static boolean trimmed(Model model, BatchForm form) {
        return model.spec().output().kind() != Form.Kind.SEQUENCE || form.targetSize() == 0;
    }

    /**
     * Partitions drop different numbers, and a single partition those that a single machine drops. The golden ratio's bits tell seeds
     * apart that the random numbers' own mixing of seeds would too.
     */
    private static long seed(Round round, Slice slice) {
        return round.seed() + 0x9E3779B97F4A7C15L * slice.partition();
    }

    /** The gradient of the sum of losses over the share, not of their mean: shares have different sizes. */
    private static Vectors gradient(ExecutorModels.Lent lent, Job job, Round round, Slice slice, Batch batch) {
        if (batch == null) {
            return null;
        }
        Model model = lent.model();
        Engine engine = lent.engine();
        round.vector().write(engine, List.of(model.parameters()));
        double[] totals = compute(lent, job, batch, seed(round, slice), round.step());
        if (totals[2] == 0) {
            return null;
        }
        Vector sum = Vector.read(engine, List.of(model.gradients())).scaled(totals[2]);
        return new Vectors(sum, totals);
    }

    /** Leaves the gradient of the mean loss in the model's. */
    private static double[] compute(ExecutorModels.Lent lent, Job job, Batch batch, long seed, long step) {
        double[] totals = new double[TOTALS];
        try (Scope scope = lent.engine().openScope("step")) {
            BatchGradient.compute(lent.model(), job.loss(), batch, scope, seed, step, null, 1, lent.report());
            lent.engine().read(lent.report(), totals);
        }
        return totals;
    }

    /** Steps that the partition takes by itself: where it arrives, weighted by how many sequences it has seen on its way. */
    private static Vectors steps(
            ExecutorModels.Lent lent,
            Job job,
            Round round,
            Slice slice,
            BatchForm form,
            boolean trimmed,
            int[][] mine) {
        Model model = lent.model();
        Optimizer.State moments = lent.moments(round.optimizer());
        List<Tensor> parts = Vector.parts(model.parameters(), moments.firstMoment(), moments.secondMoment());
        round.vector().write(lent.engine(), parts);
        double[] numbers = new double[TOTALS * mine.length + 1];
        for (int k = 0; k < mine.length; k++) {
            Batch batch = slice.batchOf(form, trimmed, mine[k]);
            if (batch != null) {
                long step = round.step() + k;
                double[] totals = compute(lent, job, batch, seed(round, slice), step);
                System.arraycopy(totals, 0, numbers, TOTALS * k, TOTALS);
                if (totals[2] > 0) {
                    moments.step(model.parameters(), model.gradients(), step, round.rateFactor());
                    numbers[numbers.length - 1] += mine[k].length;
                }
            }
        }
        double weight = numbers[numbers.length - 1];
        if (weight == 0) {
            return null;
        }
        Vector sum = Vector.read(lent.engine(), parts).scaled(weight);
        return new Vectors(sum, numbers);
    }

    /** Sums of losses, of what is right and of weights over a whole slice. */
    static double[] evaluate(Slice slice, Job job, BatchForm form, Vector parameters) {
        double[] sums = new double[TOTALS];
        if (slice.size() == 0) {
            return sums;
        }
        try (ExecutorModels.Lent lent = ExecutorModels.borrow(job)) {
            Model model = lent.model();
            parameters.write(lent.engine(), List.of(model.parameters()));
            Evaluator evaluator = new Evaluator(model, job.loss());
            boolean trimmed = trimmed(model, form);
            for (int from = 0; from < slice.size(); from += EVALUATION_BATCH) {
                int[] members = IntStream.range(from, Math.min(slice.size(), from + EVALUATION_BATCH))
                        .toArray();
                Evaluation evaluation = evaluator.evaluate(slice.batchOf(form, trimmed, members));
                if (evaluation.count() > 0) {
                    sums[0] += evaluation.loss() * evaluation.count();
                    sums[1] += evaluation.accuracy() * evaluation.count();
                    sums[2] += evaluation.count();
                }
            }
            lent.done();
        }
        return sums;
    }
}
