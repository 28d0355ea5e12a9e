package carousel.tensor;

import java.lang.ref.Cleaner;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.slf4j.LoggerFactory;

/**
 * The lifetime of tensors. Every tensor belongs to exactly one scope and dies with it; a tensor itself cannot be closed.
 * Two lifetimes exist: a model's (parameters, gradients, moments) and a step's (activations, tapes, workspace).
 *
 * <p>{@link #close()} gives all memory back to the engine's pool, after the work that uses it or for work that comes later, and makes every later use of
 * the scope's tensors an {@link IllegalStateException} that names tensor, shape and scope. A scope that becomes
 * unreachable while open is reported, never freed behind the program's back.
 */
public final class Scope implements AutoCloseable {
    private static final Cleaner CLEANER = Cleaner.create();
    private static volatile Consumer<String> leakReporter =
            message -> LoggerFactory.getLogger(Scope.class).warn(message);

    private final String name;
    private final Allocator allocator;
    private final List<Storage> blocks = new ArrayList<>();
    private final Watch watch;
    private final Cleaner.Cleanable cleanable;
    private boolean closed;

    /**
     * Opens a scope; user code calls the engine's {@code openScope} instead.
     *
     * @param name for messages, for instance {@code step}
     */
    public Scope(String name, Allocator allocator) {
        this.name = name;
        this.allocator = allocator;
        this.watch = new Watch(name);
        this.cleanable = CLEANER.register(this, watch);
    }

    /** Where leaks are reported; by default a warning in the log. */
    public static void onLeak(Consumer<String> reporter) {
        leakReporter = reporter;
    }

    public String name() {
        return name;
    }

    public boolean isClosed() {
        return closed;
    }

    /** Bytes held by this scope. */
    public long bytes() {
        return watch.bytes.get();
    }

    /** A tensor of the engine's real type. Its contents are unspecified. */
    public Tensor allocate(String name, int... extents) {
        return allocate(name, allocator.realType(), Shape.of(extents));
    }

    /** A tensor of 32-bit integers. Its contents are unspecified. */
    public Tensor allocateIntegers(String name, int... extents) {
        return allocate(name, ElementType.INT32, Shape.of(extents));
    }

    /** A tensor with unspecified contents. Throws {@link OutOfTensorMemoryException} where it does not fit. */
    public Tensor allocate(String name, ElementType type, Shape shape) {
        if (closed) {
            throw new IllegalStateException(
                    "cannot allocate '" + name + "' " + shape + ": the scope '" + this.name + "' is closed");
        }
        Storage block = allocator.allocate(name, type, shape.elements());
        blocks.add(block);
        watch.bytes.addAndGet(block.bytes());
        return new Tensor(name, shape, this, block, 0);
    }

    /** Ends the lifetime of all tensors of this scope. Closing twice does nothing. */
    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        allocator.synchronize();
        RuntimeException failure = null;
        // The last block first: a pool that is a stack then hands the next step the same addresses in the same order.
        for (int k = blocks.size() - 1; k >= 0; k--) {
            try {
                allocator.release(blocks.get(k));
            } catch (RuntimeException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        blocks.clear();
        watch.bytes.set(0);
        watch.open = false;
        cleanable.clean();
        if (failure != null) {
            throw failure;
        }
    }

    @Override
    public String toString() {
        return "scope '" + name + "'" + (closed ? " (closed)" : ", " + bytes() + " bytes");
    }

    /** What remains when the scope itself has been collected; must not refer to it. */
    private static final class Watch implements Runnable {
        private final String name;
        private final AtomicLong bytes = new AtomicLong();
        private volatile boolean open = true;

        Watch(String name) {
            this.name = name;
        }

        @Override
        public void run() {
            if (open) {
                leakReporter.accept("the scope '" + name + "' was never closed and still holds " + bytes.get()
                        + " bytes: open scopes in try-with-resources");
            }
        }
    }
}
