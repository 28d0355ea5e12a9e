package carousel.engine.cuda.gpu;

import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.Lines;
import carousel.engine.cuda.Race;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Sizes;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Who runs which LSTM. Both are run, once a shape, each with the fastest it has, and the faster one stays: for the engine's life, and in a
 * {@link ChoiceMemory} for later processes. Before cuDNN is measured its results are compared with those of the fused kernels; where they
 * deviate it is not used for that shape. Sizes are {@linkplain Sizes#rounded rounded up}.
 *
 * <p>Results differ in their last bits: pin one with {@value Rival#PROPERTY} where another machine must not.
 */
final class RivalChoice {
    private static final Logger LOG = LoggerFactory.getLogger(RivalChoice.class);

    private final Optional<Rival> pinned;
    private final Precision precision;
    private final Supplier<ChoiceMemory> opening;
    private final Trial trial;
    private final Map<Shape, Rival> choices = new HashMap<>();
    private final Lines lines = new Lines();
    private ChoiceMemory memory;

    /**
     * What decides who is the faster one.
     *
     * @param spec as it is in the call
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     * @param refusal why cuDNN does not compute it; null where it does
     */
    record Shape(LstmSpec spec, Sizes sizes, boolean whole, boolean training, String refusal) {
        /** The shape that stands for this one: sizes rounded up, and one rate for all dropout. */
        Shape rounded() {
            return new Shape(
                    spec.dropout() > 0 ? spec.withDropout(0.5) : spec, sizes.rounded(), whole, training, refusal);
        }

        @Override
        public String toString() {
            return "C=" + spec.inputSize() + " H=" + spec.hiddenSize()
                    + (spec.projected() ? " P=" + spec.projectionSize() : "")
                    + (spec.layers() > 1 ? " layers=" + spec.layers() : "")
                    + (spec.direction().cells() > 1 ? " bidirectional" : "")
                    + (spec.bias() ? "" : " without bias")
                    + (spec.cellClip() > 0 ? " with clip" : "")
                    + (spec.dropout() > 0 ? " with dropout" : "") + " T<=" + sizes.timeSteps() + " N<="
                    + sizes.batchSize() + (whole ? "" : " with lengths") + (training ? " training" : " inference");
        }
    }

    /** Opens what it takes to try both. */
    interface Trial {
        Attempts<Rival> open(Shape shape);
    }

    /**
     * @param pinned who runs all that it computes; nothing for the faster one of each shape
     * @param memory opened when it is needed
     */
    RivalChoice(Optional<Rival> pinned, Precision precision, Supplier<ChoiceMemory> memory, Trial trial) {
        this.pinned = pinned;
        this.precision = precision;
        this.opening = memory;
        this.trial = trial;
    }

    /** For each shape so far, or the last {@value Lines#MOST}, who runs it and why. */
    List<String> lines() {
        return lines.all();
    }

    /** Who runs a shape; measures where it must. */
    Rival of(Shape exact) {
        Shape shape = exact.rounded();
        Rival chosen = choices.get(shape);
        if (chosen == null) {
            StringBuilder why = new StringBuilder();
            chosen = choose(shape, why);
            String line = shape + ": " + chosen.word() + why;
            lines.add(line);
            LOG.info("on the GPU, {}", line);
            choices.put(shape, chosen);
        }
        return chosen;
    }

    private Rival choose(Shape shape, StringBuilder why) {
        if (shape.refusal() != null) {
            why.append(", the only one that takes it");
            return Rival.FUSED;
        }
        if (pinned.isPresent()) {
            why.append(", as ").append(Rival.PROPERTY).append(" asks for");
            return pinned.get();
        }
        if (memory == null) {
            memory = opening.get();
        }
        String key = precision + " " + shape;
        Optional<Rival> recalled = memory.recall(key).flatMap(Rival::of);
        if (recalled.isPresent()) {
            why.append(", as remembered in ").append(memory.place());
            return recalled.get();
        }
        Race.Result<Rival> result;
        try (Attempts<Rival> attempts = trial.open(shape)) {
            LstmSpec spec = shape.spec();
            double allowed = spec.layers()
                    * Rehearsal.allowed(
                            precision,
                            spec.hiddenSize() + spec.inputSize(),
                            shape.sizes().timeSteps());
            result = new Race<>(
                            Rival.FUSED,
                            Rival::word,
                            new Attempts.CheckedCourse<>(attempts, Rival.FUSED, "the fused kernels", allowed))
                    .run(List.of(Rival.values()));
        } catch (OutOfTensorMemoryException tooLarge) {
            LOG.debug("no memory to measure {}", shape, tooLarge);
            why.append(", the other not measured for want of memory");
            return Rival.FUSED;
        }
        result.failed().forEach((rival, reason) -> LOG.warn("{} is not used for {}: {}", rival.word(), shape, reason));
        why.append(result.times());
        if (result.complete()) {
            memory.remember(key, result.best().word());
        }
        return result.best();
    }
}
