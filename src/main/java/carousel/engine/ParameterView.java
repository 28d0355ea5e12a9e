package carousel.engine;

import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/**
 * One named parameter inside a flat buffer.
 *
 * @param name PyTorch's name for it, for instance {@code weight_ih_l0}
 * @param shape its shape
 * @param offset its first element's index in the buffer
 */
public record ParameterView(String name, Shape shape, long offset) {
    /** The index just past its last element. */
    public long end() {
        return offset + shape.elements();
    }

    /** This parameter in a buffer, be it of parameters, of gradients or of moments. */
    public Tensor in(Tensor buffer) {
        return buffer.view(name, offset, shape);
    }
}
