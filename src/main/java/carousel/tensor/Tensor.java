package carousel.tensor;

/**
 * A shaped, row-major piece of engine memory. A tensor belongs to the {@link Scope} that made it, and so do all its
 * views; it has no {@code close()}. Its elements are reached through its engine only.
 */
public final class Tensor {
    private final String name;
    private final Shape shape;
    private final Scope scope;
    private final Storage storage;
    private final long offset;

    Tensor(String name, Shape shape, Scope scope, Storage storage, long offset) {
        this.name = name;
        this.shape = shape;
        this.scope = scope;
        this.storage = storage;
        this.offset = offset;
    }

    public String name() {
        return name;
    }

    public Shape shape() {
        return shape;
    }

    public Scope scope() {
        return scope;
    }

    public ElementType type() {
        return storage.type();
    }

    public long elements() {
        return shape.elements();
    }

    /**
     * Part of this tensor under another shape, sharing its memory and its scope.
     *
     * @param first index of the view's first element, counted from this tensor's first
     * @throws IllegalArgumentException when the view would reach past the end
     */
    public Tensor view(String name, long first, Shape shape) {
        if (first < 0 || first > elements() || shape.elements() > elements() - first) {
            throw new IllegalArgumentException("a view '" + name + "' " + shape + " from element " + first
                    + " reaches outside of " + this + ", which has " + elements() + " elements");
        }
        return new Tensor(name, shape, scope, storage, offset + first);
    }

    /** The same elements under another shape with as many elements. */
    public Tensor reshape(int... extents) {
        Shape other = Shape.of(extents);
        if (other.elements() != elements()) {
            throw new IllegalArgumentException(
                    this + " cannot be seen as " + other + ": the number of elements differs");
        }
        return new Tensor(name, other, scope, storage, offset);
    }

    /** For engines: the block this tensor lies in. Throws {@link IllegalStateException} once the scope is closed. */
    public Storage storage() {
        if (scope.isClosed()) {
            throw new IllegalStateException("the tensor '" + name + "' " + shape + " was used after its scope '"
                    + scope.name() + "' was closed");
        }
        return storage;
    }

    /** For engines: where the first element lies in the {@link #storage()}, in elements. */
    public long offset() {
        return offset;
    }

    /** For instance {@code 'x' [28, 128, 28]}. */
    @Override
    public String toString() {
        return "'" + name + "' " + shape;
    }
}
