package carousel.format.onnx;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.tensor.Shape;
import java.util.Optional;
import java.util.function.Consumer;

/** One run of a graph: its engine, and how much memory it may still take. */
final class Run implements AutoCloseable {
    private static final String REFERENCE = "reference";

    private final Engine engine;
    private final long limit;
    private final Consumer<String> notes;
    private Engine reference;
    private long held;

    /**
     * @param engine null where no LSTM is run
     * @param limit elements that the values of the graph may have at one time
     */
    Run(Engine engine, long limit, Consumer<String> notes) {
        this.engine = engine;
        this.limit = limit;
        this.notes = notes;
    }

    /** Counts a value, or with a negative number takes it back. */
    void hold(long elements) {
        held += elements;
    }

    /** Refuses what would go beyond the limit, before memory is asked for. */
    void require(Shape shape) {
        if (shape.elements() > limit - held || shape.rank() > OnnxValue.LARGEST_RANK) {
            throw new IllegalArgumentException("would put out a tensor " + shape + ", beyond the " + limit
                    + " elements in " + OnnxValue.LARGEST_RANK
                    + " dimensions that the graph's values may have at one time: give the JVM more memory (-Xmx)");
        }
    }

    double[] reals(Shape shape) {
        require(shape);
        return new double[(int) shape.elements()];
    }

    long[] integers(Shape shape) {
        require(shape);
        return new long[(int) shape.elements()];
    }

    /** A new array for a tensor of the type of {@code value}. */
    Object array(OnnxValue value, Shape shape) {
        require(shape);
        return value.newArray((int) shape.elements());
    }

    /** The engine of the run, or the reference engine where that one refuses the specification. */
    Engine engine(LstmSpec spec, String node) {
        if (engine == null) {
            throw new IllegalArgumentException("needs an engine");
        }
        Optional<String> refusal = engine.refusal(spec);
        if (refusal.isEmpty()) {
            return engine;
        }
        if (reference == null) {
            reference = Engines.open(REFERENCE);
        }
        reference.refusal(spec).ifPresent(reason -> {
            throw new IllegalArgumentException("cannot be run: " + reason);
        });
        notes.accept(node + " runs on the reference engine: " + refusal.get());
        return reference;
    }

    @Override
    public void close() {
        if (reference != null) {
            reference.close();
        }
    }
}
