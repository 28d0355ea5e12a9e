package carousel.engine;

import static carousel.tensor.HostStorage.doubles;
import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.integers;
import static carousel.tensor.HostStorage.start;

import carousel.tensor.ElementType;
import carousel.tensor.HostAllocator;
import carousel.tensor.HostStorage;
import carousel.tensor.MemoryUse;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.Optional;

/** What engines have in common whose tensors lie on the Java heap, as floats or as doubles: moving data, and scopes. */
public abstract class HostEngine implements Engine {
    private final HostAllocator allocator;
    private final boolean wide;

    /**
     * @param realType {@link ElementType#FLOAT32} or {@link ElementType#FLOAT64}
     * @param guards whether allocations are surrounded by checked bands and poisoned
     */
    protected HostEngine(ElementType realType, boolean guards) {
        this.allocator = new HostAllocator(realType, guards);
        this.wide = realType == ElementType.FLOAT64;
    }

    /** Nothing: they compute whatever a specification can say. */
    @Override
    public final Optional<String> refusal(LstmSpec spec) {
        return Optional.empty();
    }

    /** The same input with its lengths in an array, wherever they were given. */
    protected static LstmInput withLengthsAtHand(LstmInput input) {
        if (input.deviceLengths() == null) {
            return input;
        }
        int first = start(input.deviceLengths());
        int count = Math.toIntExact(input.deviceLengths().elements());
        return input.withLengthsAsRead(Arrays.copyOfRange(integers(input.deviceLengths()), first, first + count));
    }

    @Override
    public MemoryUse memory() {
        return allocator.use();
    }

    @Override
    public final Scope openScope(String name) {
        return new Scope(name, allocator);
    }

    @Override
    public final void write(Tensor target, float[] source) {
        Shapes.requireElements("the target", target, source.length);
        HostStorage.changed(target);
        int first = start(target);
        if (wide) {
            double[] values = doubles(target);
            for (int e = 0; e < source.length; e++) {
                values[first + e] = source[e];
            }
        } else {
            System.arraycopy(source, 0, floats(target), first, source.length);
        }
    }

    @Override
    public final void write(Tensor target, double[] source) {
        Shapes.requireElements("the target", target, source.length);
        HostStorage.changed(target);
        int first = start(target);
        if (wide) {
            System.arraycopy(source, 0, doubles(target), first, source.length);
        } else {
            float[] values = floats(target);
            for (int e = 0; e < source.length; e++) {
                values[first + e] = (float) source[e];
            }
        }
    }

    @Override
    public final void write(Tensor target, int[] source) {
        Shapes.requireElements("the target", target, source.length);
        HostStorage.changed(target);
        System.arraycopy(source, 0, integers(target), start(target), source.length);
    }

    @Override
    public final void read(Tensor source, float[] target) {
        Shapes.requireElements("the source", source, target.length);
        int first = start(source);
        if (wide) {
            double[] values = doubles(source);
            for (int e = 0; e < target.length; e++) {
                target[e] = (float) values[first + e];
            }
        } else {
            System.arraycopy(floats(source), first, target, 0, target.length);
        }
    }

    @Override
    public final void read(Tensor source, double[] target) {
        Shapes.requireElements("the source", source, target.length);
        int first = start(source);
        if (wide) {
            System.arraycopy(doubles(source), first, target, 0, target.length);
        } else {
            float[] values = floats(source);
            for (int e = 0; e < target.length; e++) {
                target[e] = values[first + e];
            }
        }
    }

    @Override
    public final void fill(Tensor target, double value) {
        HostStorage.changed(target);
        int first = start(target);
        int end = first + Math.toIntExact(target.elements());
        if (wide) {
            Arrays.fill(doubles(target), first, end, value);
        } else {
            Arrays.fill(floats(target), first, end, (float) value);
        }
    }

    @Override
    public final void scale(Tensor x, double factor) {
        HostStorage.changed(x);
        int first = start(x);
        int end = first + Math.toIntExact(x.elements());
        if (wide) {
            double[] values = doubles(x);
            for (int e = first; e < end; e++) {
                values[e] *= factor;
            }
        } else {
            float[] values = floats(x);
            float rounded = (float) factor;
            for (int e = first; e < end; e++) {
                values[e] *= rounded;
            }
        }
    }

    @Override
    public final void copyColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns) {
        Shapes.requireColumns(source, sourceColumn, target, targetColumn, columns);
        HostStorage.changed(target);
        Object from = wide ? doubles(source) : floats(source);
        Object to = wide ? doubles(target) : floats(target);
        int sourceWidth = source.shape().extent(1);
        int targetWidth = target.shape().extent(1);
        for (int m = 0; m < source.shape().extent(0); m++) {
            System.arraycopy(
                    from,
                    start(source) + m * sourceWidth + sourceColumn,
                    to,
                    start(target) + m * targetWidth + targetColumn,
                    columns);
        }
    }

    /** The id of row {@code m}; throws {@link IllegalArgumentException} for one outside of the vocabulary. */
    protected static int id(Tensor ids, int m, int vocabulary) {
        int id = integers(ids)[start(ids) + m];
        if (id < 0 || id >= vocabulary) {
            throw Shapes.badId(m, id, vocabulary);
        }
        return id;
    }

    /** Every call has finished when it returns. */
    @Override
    public final void synchronize() {
        // Nothing to wait for.
    }

    /** Throws {@link IllegalStateException} where scopes are still open: their memory would be lost without a word. */
    @Override
    public void close() {
        long open = allocator.use().inUse();
        if (open != 0) {
            throw new IllegalStateException("the " + name() + " engine was closed while scopes still hold " + open
                    + " bytes: close every scope, the model's included, before its engine");
        }
    }
}
