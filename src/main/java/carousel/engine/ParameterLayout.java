package carousel.engine;

import carousel.tensor.Shape;
import java.util.ArrayList;
import java.util.List;

/**
 * Lays parameters out in one flat buffer, each starting at a multiple of {@value #ALIGNMENT} elements. The gaps hold
 * zeros: their gradient is zero and no update rule moves them.
 */
public final class ParameterLayout {
    /** In elements: 256 bytes in single precision, what a vectorised load on any device asks for. */
    public static final int ALIGNMENT = 64;

    private final List<ParameterView> views = new ArrayList<>();
    private long end;

    /** Adds a parameter behind the ones so far and returns where it lies. */
    public ParameterView add(String name, int... extents) {
        Shape shape = Shape.of(extents);
        ParameterView view = new ParameterView(name, shape, end);
        views.add(view);
        end = roundUp(end + shape.elements());
        return view;
    }

    /** All parameters, in the order of their offsets. */
    public List<ParameterView> views() {
        return List.copyOf(views);
    }

    /** Elements of the whole buffer, gaps included. */
    public long elements() {
        return end;
    }

    private static long roundUp(long elements) {
        return (elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}
