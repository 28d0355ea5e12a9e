package carousel.training;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.layer.Model;
import carousel.layer.ModelState;
import carousel.optimizer.Optimizer;
import carousel.optimizer.Plateau;
import carousel.optimizer.ReduceOnPlateau;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;

/**
 * Trains a model.
 *
 * <pre>{@code
 * try (Trainer trainer = Trainer.of(model)
 *         .loss(Loss.SOFTMAX_CROSS_ENTROPY)
 *         .optimizer(Optimizer.adam(0.001))
 *         .open()) {
 *     History history = trainer.fit(training, validation, 3);
 *     Evaluation test = trainer.evaluate(testing);
 * }
 * }</pre>
 *
 * A step is a pure function of the state, the batch number and the seed, so a run that is interrupted and restored from a {@link
 * Checkpoint} ends with the same bits as one that was not, on an engine whose sums have a fixed order.
 */
public final class Trainer implements AutoCloseable {
    /** How many steps' losses stay on the engine before the host looks at them. */
    private static final int REPORT_ROWS = 64;

    /** What the loss reports of a step; where it is asked for, the square of the gradients' norm follows. */
    private static final int LOSS_REPORT = 3;

    private final Model model;
    private final Engine engine;
    private final Loss loss;
    private final Optimizer optimizer;
    private final List<Callback> callbacks;
    private final ReduceOnPlateau reduction;
    private final Plateau ratePlateau;
    private final Plateau stopPlateau;
    private final boolean keepBest;
    private final boolean reportGradientNorm;
    private final LossScaler lossScaler;
    /** Where the steps are taken; null where on this engine. */
    private final RemoteSteps remote;

    private final Evaluator evaluator;
    private final Scope scope;
    private final Optimizer.State optimizerState;
    private final Tensor reports;
    /** Where the square of the gradients' norm goes that nobody asks for afterwards; null where it is not needed. */
    private final Tensor unreportedNorm;

    private final int reportWidth;
    private final double[] reportValues;
    private final Evaluator.Totals epochTotals = new Evaluator.Totals();
    private final Evaluator.Totals recentTotals = new Evaluator.Totals();
    private final List<EpochReport> epochs = new ArrayList<>();

    private volatile boolean stopRequested;
    private long seed;
    private long step;
    private long firstUnread;
    private Evaluation recent;
    private long recentStep = -1;
    /** Of the last step that was taken; negative where it is not known. */
    private double squaredGradientNorm = -1;

    private long stepNanos;
    /** Steps taken since the callbacks were last called. */
    private long lastSteps;

    private double rateFactor = 1;
    private double bestLoss = Double.POSITIVE_INFINITY;
    private long bestStep;
    private double[] bestParameters;
    private boolean stoppedEarly;
    private long totalSteps;
    /** What contiguous batches carry; null before there is any. */
    private ModelState carried;
    /** The same as a checkpoint had it, until there is a batch to say of how many sequences it is. */
    private double[] restoredState;

    private Trainer(Builder builder) {
        this.model = builder.model;
        this.engine = model.engine();
        this.loss = builder.loss;
        this.optimizer = builder.optimizer;
        this.callbacks = List.copyOf(builder.callbacks);
        this.reduction = builder.reduction;
        this.ratePlateau = reduction == null ? null : new Plateau(reduction.patience(), 0);
        this.stopPlateau = builder.patience == 0 ? null : new Plateau(builder.patience, 0);
        this.keepBest = builder.keepBest;
        this.reportGradientNorm = builder.reportGradientNorm;
        LossScale lossScale = builder.lossScale == null ? LossScale.of(engine.precision()) : builder.lossScale;
        this.lossScaler = new LossScaler(lossScale);
        this.remote = builder.remote;
        this.reportWidth = reportGradientNorm ? LOSS_REPORT + 1 : LOSS_REPORT;
        this.reportValues = new double[REPORT_ROWS * reportWidth];
        this.seed = builder.seed;
        this.evaluator = new Evaluator(model, loss);
        if (remote != null) {
            remote.begin(model, loss, optimizer);
        }
        this.scope = engine.openScope("trainer");
        try {
            this.optimizerState =
                    optimizer.open(engine, scope, model.parameters().elements());
            this.reports = scope.allocate("reports", REPORT_ROWS, reportWidth);
            boolean needsNorm = optimizer.maxNorm() > 0 || lossScale.isDynamic();
            if (remote != null && (lossScale.isDynamic() || lossScaler.scale() != 1)) {
                throw new IllegalArgumentException("steps on other machines have no loss scale but this run has"
                        + " one: leave it out, and take bf16 or fp32 for fp16");
            }
            this.unreportedNorm = needsNorm && !reportGradientNorm || reportGradientNorm && remote != null
                    ? scope.allocate("squared gradient norm", 1)
                    : null;
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** What is trained; the rest has defaults: softmax cross-entropy, Adam at 0.001, seed 1, and a dynamic loss scale in FP16. */
    public static Builder of(Model model) {
        return new Builder(model);
    }

    /** The settings of a trainer. */
    public static final class Builder {
        private final Model model;
        private final List<Callback> callbacks = new ArrayList<>();
        private Loss loss = Loss.SOFTMAX_CROSS_ENTROPY;
        private Optimizer optimizer = Optimizer.adam(0.001);
        private ReduceOnPlateau reduction;
        private int patience;
        private boolean keepBest;
        private boolean reportGradientNorm;
        private LossScale lossScale;
        private RemoteSteps remote;
        private long seed = 1;

        private Builder(Model model) {
            this.model = model;
        }

        public Builder loss(Loss value) {
            this.loss = value;
            return this;
        }

        public Builder optimizer(Optimizer value) {
            this.optimizer = value;
            return this;
        }

        /** The seed of dropout. */
        public Builder seed(long value) {
            this.seed = value;
            return this;
        }

        /** Adds one; they are called in the order in which they were added. */
        public Builder callback(Callback value) {
            callbacks.add(value);
            return this;
        }

        /** Reduces the learning rate when the validation loss no longer falls. */
        public Builder reduceOnPlateau(ReduceOnPlateau value) {
            this.reduction = value;
            return this;
        }

        /** Ends the training when the validation loss has not fallen for so many epochs, 1 or more. */
        public Builder stopEarly(int epochs) {
            if (epochs < 1) {
                throw new IllegalArgumentException(
                        "the patience of early stopping should be 1 epoch or more but got " + epochs);
            }
            this.patience = epochs;
            return this;
        }

        /** At the end puts back the parameters of the lowest validation loss. */
        public Builder keepBest() {
            this.keepBest = true;
            return this;
        }

        /**
         * Keeps the norm of each step's gradients for {@link Trainer#gradientNorm()}. The training stays the same bit by bit; where the
         * optimizer clips, this costs nothing either.
         */
        public Builder reportGradientNorm() {
            this.reportGradientNorm = true;
            return this;
        }

        /** Instead of what {@linkplain LossScale#of the engine's precision needs}. */
        public Builder lossScale(LossScale value) {
            this.lossScale = value;
            return this;
        }

        /** Has the steps taken, and the validation done, on other machines. */
        public Builder remote(RemoteSteps value) {
            this.remote = value;
            return this;
        }

        /**
         * Allocates the optimizer's moments on the model's engine. Close the trainer before the model.
         *
         * @throws IllegalArgumentException when the model ends with the softmax or sigmoid that the loss applies itself
         */
        public Trainer open() {
            return new Trainer(this);
        }
    }

    /**
     * Trains until so many epochs are done in total, those before a restored checkpoint included.
     *
     * @param validation evaluated after each epoch; may be null
     * @throws DivergenceException when the loss is no longer a finite number, or the gradients are not even without a loss scale
     */
    public History fit(BatchSource training, BatchSource validation, int epochs) {
        return fitSteps(training, validation, Math.multiplyExact(epochs, training.batchesPerEpoch()));
    }

    /**
     * Trains until so many steps are done in total: see {@link #fit}. A last, partial epoch is reported and validated too, and its
     * parameters may be the best; but it leaves no trace in the state, so that a run extended later is as if it had been longer from
     * the start; steps that {@link RemoteSteps} take together end with a run, and a run extended later begins new ones there.
     */
    public History fitSteps(BatchSource training, BatchSource validation, long steps) {
        totalSteps = steps;
        openCarried(training);
        for (Callback callback : callbacks) {
            callback.onStart(this);
        }
        long perEpoch = training.batchesPerEpoch();
        long epochStart = System.nanoTime();
        // A stop in the middle of a validation leaves an epoch whose steps are done and whose report is not.
        boolean pending = step > 0 && step % perEpoch == 0 && !atEpochEnd();
        while ((step < steps || pending) && !stoppedEarly && !stopRequested) {
            long stepStart = System.nanoTime();
            long before = step;
            Batch batch = null;
            if (remote == null) {
                batch = training.batch(pending ? step - 1 : step);
                if (!pending) {
                    trainOn(batch, training.contiguous() ? carried : null, step % perEpoch == 0);
                }
            } else if (!pending) {
                trainRemotely(Math.min(steps - step, perEpoch - step % perEpoch));
            }
            // An epoch's report that is made up for counts as that of its last step.
            lastSteps = Math.max(1, step - before);
            stepNanos += System.nanoTime() - stepStart;
            pending = step % perEpoch == 0;
            if (pending) {
                Optional<EpochReport> report = report(validation, perEpoch, epochStart);
                if (report.isEmpty()) {
                    break;
                }
                pending = false;
                endEpoch(report.get());
                epochStart = System.nanoTime();
            }
            if (remote != null) {
                batch = remote.batch(step - 1);
            }
            for (Callback callback : callbacks) {
                callback.onStep(this, batch);
            }
            if (atEpochEnd()) {
                announce(epochs.get(epochs.size() - 1));
            }
        }
        List<EpochReport> reports = new ArrayList<>(epochs);
        boolean finished = step >= steps && !pending || stoppedEarly;
        boolean lastIsBest = false;
        if (finished && step % perEpoch != 0) {
            Optional<EpochReport> partial = report(validation, perEpoch, epochStart);
            finished = partial.isPresent();
            if (finished) {
                reports.add(partial.get());
                announce(partial.get());
                lastIsBest = partial.get().validationLoss() < bestLoss;
            }
        }
        awaitReports();
        for (Callback callback : callbacks) {
            callback.onEnd(this);
        }
        if (finished && keepBest && bestParameters != null && !lastIsBest) {
            model.writeParameters(bestParameters);
        }
        History.End end = !finished
                ? History.End.STOPPED_ON_REQUEST
                : stoppedEarly ? History.End.STOPPED_EARLY : History.End.FINISHED;
        return new History(reports, end, step);
    }

    private void announce(EpochReport report) {
        for (Callback callback : callbacks) {
            callback.onEpoch(this, report);
        }
    }

    /** The state that contiguous batches carry, where it was when the run was interrupted. */
    private void openCarried(BatchSource training) {
        if (!training.contiguous()) {
            return;
        }
        if (carried == null || carried.batchSize() != training.batchSize()) {
            carried = new ModelState(model, scope, training.batchSize());
        }
        if (restoredState != null) {
            carried.write(restoredState);
            restoredState = null;
        }
    }

    /**
     * @param state gone on from and then moved on: the gradient ends at the batch's first step. Null for none.
     * @param anew whether the state begins with this batch
     */
    private void trainOn(Batch batch, ModelState state, boolean anew) {
        if (state != null && anew) {
            state.clear();
        }
        try (Scope stepScope = engine.openScope("step")) {
            long report = step % REPORT_ROWS * reportWidth;
            BatchGradient.compute(
                    model,
                    loss,
                    batch,
                    stepScope,
                    seed,
                    step,
                    state,
                    lossScaler.scale(),
                    reports.view("report", report, Shape.of(LOSS_REPORT)));
            Tensor norm = reportGradientNorm
                    ? reports.view("squared gradient norm", report + LOSS_REPORT, Shape.of(1))
                    : unreportedNorm;
            if (norm != null) {
                engine.squaredNorm(model.gradients(), norm);
            }
            boolean finite = !lossScaler.isDynamic() || isFinite(norm);
            if (finite) {
                long updates = step - lossScaler.skippedSteps();
                optimizerState.update(model.parameters(), model.gradients(), step, updates, rateFactor, norm);
                lossScaler.took();
                step++;
            } else {
                skipStep();
            }
        }
        if (step - firstUnread == REPORT_ROWS) {
            readReports();
        }
    }

    /** @param most steps that may be taken before the end of the epoch, or of the training */
    private void trainRemotely(long most) {
        int count = (int) Math.min(remote.together(), most);
        if (remote.together() > 1) {
            double[][] totals = remote.advance(optimizerState, seed, step, count, rateFactor);
            for (double[] total : totals) {
                count(total);
            }
            squaredGradientNorm = -1;
            return;
        }
        double[] total = remote.gradient(seed, step);
        if (unreportedNorm != null) {
            engine.squaredNorm(model.gradients(), unreportedNorm);
            double[] square = new double[1];
            engine.read(unreportedNorm, square);
            squaredGradientNorm = reportGradientNorm ? square[0] : -1;
        }
        optimizerState.update(model.parameters(), model.gradients(), step, step, rateFactor, unreportedNorm);
        count(total);
    }

    /** Counts a step of which the sums are known. */
    private void count(double[] total) {
        if (!Double.isFinite(total[0])) {
            throw new DivergenceException(
                    step + 1, total[0], optimizer.schedule().rate(step) * rateFactor);
        }
        epochTotals.add(total[0], total[1], total[2]);
        recentTotals.add(total[0], total[1], total[2]);
        step++;
        firstUnread = step;
    }

    /** Whether the gradients of which this is the norm are finite, and not so large that their squares are not. */
    private boolean isFinite(Tensor norm) {
        double[] square = new double[1];
        engine.read(norm, square);
        return Double.isFinite(square[0]);
    }

    /** Counts a step whose gradients were not finite; where it was not the scale that made them so, the training ends. */
    private void skipStep() {
        boolean lowered = lossScaler.skipped();
        step++;
        // A loss that is not finite either says more.
        readReports();
        if (!lowered) {
            throw DivergenceException.ofGradients(step, learningRate());
        }
    }

    /** The same as reading them, outside of a step: the time that this waits is the steps'. */
    private void awaitReports() {
        long start = System.nanoTime();
        readReports();
        stepNanos += System.nanoTime() - start;
    }

    /** Looks at the losses that the engine has gathered since the last time; this waits for the engine. */
    private void readReports() {
        if (firstUnread == step) {
            return;
        }
        engine.read(reports, reportValues);
        for (; firstUnread < step; firstUnread++) {
            int row = (int) (firstUnread % REPORT_ROWS) * reportWidth;
            double lossSum = reportValues[row];
            if (!Double.isFinite(lossSum)) {
                throw new DivergenceException(
                        firstUnread + 1, lossSum, optimizer.schedule().rate(firstUnread) * rateFactor);
            }
            epochTotals.add(lossSum, reportValues[row + 1], reportValues[row + 2]);
            recentTotals.add(lossSum, reportValues[row + 1], reportValues[row + 2]);
            if (reportGradientNorm) {
                double square = reportValues[row + LOSS_REPORT];
                boolean skipped = lossScaler.isDynamic() && !Double.isFinite(square);
                squaredGradientNorm = skipped ? squaredGradientNorm : square;
            }
        }
    }

    /** The report of the epoch so far, or nothing when a stop is requested in the middle of its validation. */
    private Optional<EpochReport> report(BatchSource validation, long perEpoch, long start) {
        awaitReports();
        Evaluation training = epochTotals.evaluation(loss);
        Evaluation held = new Evaluation(Double.NaN, Double.NaN, 0);
        if (validation != null) {
            Optional<Evaluation> evaluation = remote != null
                    ? remote.validate(() -> stopRequested)
                    : evaluator.evaluateUnless(() -> stopRequested, validation);
            if (evaluation.isEmpty()) {
                return Optional.empty();
            }
            held = evaluation.get();
            if (!Double.isFinite(held.loss())) {
                throw new DivergenceException(step, held.loss(), learningRate());
            }
        }
        return Optional.of(new EpochReport(
                Math.toIntExact((step + perEpoch - 1) / perEpoch),
                step,
                training.loss(),
                training.accuracy(),
                held.loss(),
                held.accuracy(),
                learningRate(),
                (System.nanoTime() - start) / 1e9));
    }

    /** Takes a whole epoch into the state. */
    private void endEpoch(EpochReport report) {
        epochTotals.clear();
        epochs.add(report);
        if (!report.validated()) {
            return;
        }
        double validationLoss = report.validationLoss();
        if (validationLoss < bestLoss) {
            bestLoss = validationLoss;
            bestStep = step;
            bestParameters = keepBest ? model.readParameters() : null;
        }
        if (ratePlateau != null && ratePlateau.observe(validationLoss)) {
            rateFactor = reduction.reduce(rateFactor);
        }
        if (stopPlateau != null && stopPlateau.observe(validationLoss)) {
            stoppedEarly = true;
        }
    }

    /**
     * Ends the training after the step, or the batch of a validation, that is under way; for good, for this trainer. May be called
     * from any thread.
     */
    public void requestStop() {
        stopRequested = true;
    }

    public Model model() {
        return model;
    }

    public Loss loss() {
        return loss;
    }

    /** Steps done. */
    public long step() {
        return step;
    }

    /** Whether the steps since callbacks were last called, one unless they are taken together, reached or passed a multiple of this. */
    public boolean passed(long every) {
        return step / every != (step - lastSteps) / every;
    }

    /** Steps that the call of {@code fit} under way will have done. */
    public long totalSteps() {
        return totalSteps;
    }

    /** The rate of the last step done, or of the first before any. */
    public double learningRate() {
        return optimizer.schedule().rate(Math.max(0, step - 1)) * rateFactor;
    }

    /** The step of the lowest validation loss; 0 before there was any. */
    public long bestStep() {
        return bestStep;
    }

    /** Whether the last step ended an epoch, whose report is out. */
    public boolean atEpochEnd() {
        return !epochs.isEmpty() && epochs.get(epochs.size() - 1).step() == step;
    }

    /** The epochs done so far, those before a restored checkpoint included. */
    public List<EpochReport> epochs() {
        return List.copyOf(epochs);
    }

    /** Mean training loss and accuracy since the last step at which this was asked; all who ask at one step get the same. */
    public Evaluation recent() {
        awaitReports();
        if (recentStep != step) {
            recent = recentTotals.evaluation(loss);
            recentTotals.clear();
            recentStep = step;
        }
        return recent;
    }

    /**
     * The L2 norm of all gradients of the last step together, before clipping, without the loss scale; of steps that were skipped
     * there is none. Nothing before this trainer's first step, or where
     * {@link Builder#reportGradientNorm()} was not asked for.
     */
    public OptionalDouble gradientNorm() {
        awaitReports();
        return squaredGradientNorm < 0 ? OptionalDouble.empty() : OptionalDouble.of(Math.sqrt(squaredGradientNorm));
    }

    /** What the loss's gradient of the next step is multiplied by; 1 for no scale. */
    public double lossScale() {
        return lossScaler.scale();
    }

    /** How many of the steps done were skipped because their gradients were not finite: see {@link LossScale}. */
    public long skippedSteps() {
        return lossScaler.skippedSteps();
    }

    /** Time that this trainer has spent in its steps and on getting their data, but not in callbacks and validation. */
    public double secondsInSteps() {
        awaitReports();
        return stepNanos / 1e9;
    }

    /** Loss and accuracy over one epoch of a source. */
    public Evaluation evaluate(BatchSource source) {
        return evaluator.evaluate(source);
    }

    /** The same, or nothing when a stop is requested meanwhile. */
    public Optional<Evaluation> evaluateUnlessStopped(BatchSource source) {
        return evaluator.evaluateUnless(() -> stopRequested, source);
    }

    /** Loss and accuracy on one batch with the parameters as they are now. */
    public Evaluation evaluate(Batch batch) {
        return evaluator.evaluate(batch);
    }

    /** What the model makes of one epoch of a source: see {@link Evaluator#predict(BatchSource)}. */
    public float[] predict(BatchSource source) {
        return evaluator.predict(source);
    }

    /** What the model makes of a batch: see {@link Evaluator#predict(Batch)}. */
    public float[] predict(Batch batch) {
        return evaluator.predict(batch);
    }

    /**
     * All that is needed to go on from here.
     *
     * @throws DivergenceException rather than make a checkpoint of a run that has diverged
     */
    public Checkpoint checkpoint() {
        awaitReports();
        double[] parameters = model.readParameters();
        // A finite loss says nothing about the update that followed it.
        if (!Arrays.stream(parameters).allMatch(Double::isFinite)) {
            throw DivergenceException.ofParameters(step, learningRate());
        }
        TrainingState state = new TrainingState(
                step,
                seed,
                rateFactor,
                ratePlateau == null ? null : ratePlateau.snapshot(),
                stopPlateau == null ? null : stopPlateau.snapshot(),
                bestLoss,
                bestStep,
                epochTotals.lossSum(),
                epochTotals.rightSum(),
                epochTotals.weightSum(),
                recentTotals.lossSum(),
                recentTotals.rightSum(),
                recentTotals.weightSum(),
                List.copyOf(epochs),
                stoppedEarly,
                lossScaler.state());
        return new Checkpoint(
                model.spec(),
                optimizer.toString(),
                engine.precision(),
                state,
                parameters,
                read(optimizerState.firstMoment()),
                read(optimizerState.secondMoment()),
                bestParameters,
                restoredState == null && carried != null ? carried.read() : restoredState,
                remote == null ? null : remote.memory());
    }

    private double[] read(Tensor tensor) {
        if (tensor == null) {
            return null;
        }
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    /**
     * Goes back, or forward, to a checkpoint.
     *
     * @throws IllegalArgumentException when it is of another model, optimizer or precision
     */
    public void restore(Checkpoint checkpoint) {
        requireSame("model", checkpoint.model(), model.spec());
        requireSame("optimizer", checkpoint.optimizer(), optimizer.toString());
        requireSame("precision", checkpoint.precision(), engine.precision());
        requireElements("parameters", model.parameters(), checkpoint.parameters());
        requireElements("first moments", optimizerState.firstMoment(), checkpoint.firstMoment());
        requireElements("second moments", optimizerState.secondMoment(), checkpoint.secondMoment());
        TrainingState state = checkpoint.state();
        if (keepBest && state.bestStep() > 0) {
            requireElements("best parameters", model.parameters(), checkpoint.bestParameters());
        }
        model.writeParameters(checkpoint.parameters());
        if (optimizerState.firstMoment() != null) {
            engine.write(optimizerState.firstMoment(), checkpoint.firstMoment());
        }
        if (optimizerState.secondMoment() != null) {
            engine.write(optimizerState.secondMoment(), checkpoint.secondMoment());
        }
        step = state.step();
        firstUnread = step;
        recentStep = -1;
        squaredGradientNorm = -1;
        seed = state.seed();
        rateFactor = state.rateFactor();
        lossScaler.restore(state.lossScale());
        if (ratePlateau != null && state.ratePlateau() != null) {
            ratePlateau.restore(state.ratePlateau());
        }
        if (stopPlateau != null && state.stopPlateau() != null) {
            stopPlateau.restore(state.stopPlateau());
        }
        bestLoss = state.bestLoss();
        bestStep = state.bestStep();
        bestParameters = checkpoint.bestParameters();
        restoredState = checkpoint.carriedState();
        if (remote != null) {
            remote.restore(checkpoint.remoteMemory());
        }
        epochTotals.clear();
        epochTotals.add(state.lossSum(), state.rightSum(), state.weightSum());
        recentTotals.clear();
        recentTotals.add(state.recentLossSum(), state.recentRightSum(), state.recentWeightSum());
        epochs.clear();
        epochs.addAll(state.epochs());
        stoppedEarly = state.stoppedEarly();
    }

    private static void requireElements(String what, Tensor here, double[] saved) {
        if (here != null && (saved == null || saved.length != here.elements())) {
            throw new IllegalArgumentException("the checkpoint should hold " + here.elements() + " " + what
                    + " but holds " + (saved == null ? "none" : saved.length) + ": it is damaged");
        }
    }

    private static void requireSame(String what, Object saved, Object here) {
        if (!saved.equals(here)) {
            throw new IllegalArgumentException("the checkpoint is of another " + what + ": it has " + saved
                    + " and this run has " + here + ": resume with the settings it was made with");
        }
    }

    /** Gives the moments' memory back. */
    @Override
    public void close() {
        scope.close();
    }
}
