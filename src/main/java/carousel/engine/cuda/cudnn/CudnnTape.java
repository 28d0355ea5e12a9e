package carousel.engine.cuda.cudnn;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * What a forward pass of the {@link CudnnEngine} leaves for the backward pass. How much that is depends on lengths, dropout and algorithm,
 * so memory is taken when a pass needs it, and kept for the next.
 */
final class CudnnTape extends LstmTape {
    private final Trace whole;
    private final Trace layered;

    CudnnTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        this.whole = new Trace(scope, 1);
        this.layered = new Trace(scope, spec.layers());
    }

    /** What a pass leaves that runs the stack as one, or one layer after the other. */
    Trace trace(boolean layerByLayer) {
        return layerByLayer ? layered : whole;
    }

    /** All parts of a stack. */
    static final class Trace {
        private final List<Part> parts = new ArrayList<>();
        private final Rooms rooms;

        Trace(Scope scope, int count) {
            this.rooms = new Rooms(scope);
            for (int k = 0; k < count; k++) {
                parts.add(new Part(scope));
            }
        }

        Part part(int index) {
            return parts.get(index);
        }

        /** What all parts share. */
        Rooms rooms() {
            return rooms;
        }
    }

    /** One call of cuDNN, as it was made; the backward pass passes the same. */
    static final class Part {
        private final Rooms rooms;
        private Algorithm algorithm;
        private Tensor x;
        private Tensor y;
        private Tensor hx;
        private Tensor cx;
        private Tensor reserve;

        private Part(Scope scope) {
            this.rooms = new Rooms(scope);
        }

        Rooms rooms() {
            return rooms;
        }

        /** In cuDNN's type; null for states of zeros. */
        void record(Algorithm newAlgorithm, Tensor newX, Tensor newY, Tensor newHx, Tensor newCx, Tensor newReserve) {
            algorithm = newAlgorithm;
            x = newX;
            y = newY;
            hx = newHx;
            cx = newCx;
            reserve = newReserve;
        }

        Algorithm algorithm() {
            return algorithm;
        }

        Tensor x() {
            return x;
        }

        Tensor y() {
            return y;
        }

        Tensor hx() {
            return hx;
        }

        Tensor cx() {
            return cx;
        }

        Tensor reserve() {
            return reserve;
        }
    }
}
