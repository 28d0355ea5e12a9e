package carousel.engine.cuda.gpu;

import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.MeasuredChoice;
import carousel.engine.cuda.Race;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Sizes;
import carousel.tensor.Precision;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Who runs which LSTM, each with the fastest it has. Sizes are {@linkplain Sizes#rounded rounded up}.
 *
 * <p>Results differ in their last bits: pin one with {@value Rival#PROPERTY} where another machine must not.
 */
final class RivalChoice extends MeasuredChoice<RivalChoice.Shape, Rival> {
    private final Optional<Rival> pinned;

    /**
     * What decides who is the faster one.
     *
     * @param spec as it is in the call
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     * @param both whether cuDNN computes it too
     */
    record Shape(LstmSpec spec, Sizes sizes, boolean whole, boolean training, boolean both) {
        /** The shape that stands for this one: sizes rounded up, and one rate for all dropout. */
        Shape rounded() {
            return new Shape(spec.dropout() > 0 ? spec.withDropout(0.5) : spec, sizes.rounded(), whole, training, both);
        }

        @Override
        public String toString() {
            return words(spec) + " T<=" + sizes.timeSteps() + " N<=" + sizes.batchSize()
                    + (whole ? "" : " with lengths") + (training ? " training" : " inference");
        }
    }

    /**
     * @param pinned who runs all that it computes; nothing for the faster one of each shape
     * @param memory opened when it is needed
     */
    RivalChoice(
            Optional<Rival> pinned,
            Precision precision,
            Supplier<ChoiceMemory> memory,
            Attempts.Trial<Shape, Rival> trial) {
        super("on the GPU,", precision, Rival.FUSED, memory, trial);
        this.pinned = pinned;
    }

    /** Who runs a shape; measures where it must. */
    Rival of(Shape exact) {
        return chosen(exact.rounded());
    }

    @Override
    protected String word(Rival rival) {
        return rival.word();
    }

    @Override
    protected Race.Course<Rival> course(Shape shape, Attempts<Rival> attempts) {
        double allowed = Rehearsal.allowed(precision(), shape.spec(), shape.sizes());
        return new Attempts.CheckedCourse<>(attempts, Rival.FUSED, "the fused kernels", allowed);
    }

    @Override
    protected Rival choose(Shape shape, StringBuilder why) {
        if (shape.both() && pinned.isPresent()) {
            why.append(", as ").append(Rival.PROPERTY).append(" asks for");
            return pinned.get();
        }
        return fastest(shape, shape.both() ? List.of(Rival.values()) : List.of(Rival.FUSED), why);
    }
}
