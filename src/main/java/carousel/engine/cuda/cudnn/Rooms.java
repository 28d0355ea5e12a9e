package carousel.engine.cuda.cudnn;

import carousel.tensor.ElementType;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.HashMap;
import java.util.Map;

/** Tensors by name, for one pass or for many: one is made anew only where it has become too small. */
final class Rooms {
    private static final int COLUMNS = 1 << 10;

    private final Scope scope;
    private final Map<String, Tensor> tensors = new HashMap<>();

    Rooms(Scope scope) {
        this.scope = scope;
    }

    /** A tensor of this shape and type; its contents are unspecified where it was not there before. */
    Tensor get(String name, ElementType type, Shape shape) {
        Tensor tensor = tensors.get(name);
        if (tensor == null || !tensor.shape().equals(shape) || tensor.type() != type) {
            tensor = scope.allocate(name, type, shape);
            tensors.put(name, tensor);
        }
        return tensor;
    }

    /** Room for so many elements, or more. */
    Tensor atLeast(String name, ElementType type, long elements) {
        Tensor tensor = tensors.get(name);
        if (tensor == null || tensor.elements() < elements || tensor.type() != type) {
            tensor = scope.allocate(name, type, shape(elements));
            tensors.put(name, tensor);
        }
        return tensor;
    }

    /** Of so many elements; of some more where they are more than one extent can say. */
    static Shape shape(long elements) {
        return elements <= Integer.MAX_VALUE
                ? Shape.of((int) elements)
                : Shape.of(Math.toIntExact((elements + COLUMNS - 1) / COLUMNS), COLUMNS);
    }
}
