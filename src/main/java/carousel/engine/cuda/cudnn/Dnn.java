package carousel.engine.cuda.cudnn;

import carousel.engine.EngineException;
import carousel.engine.cuda.CudaContext;
import carousel.engine.cuda.DevicePointer;
import carousel.engine.cuda.Release;
import carousel.engine.cuda.Status;
import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnDataType;
import jcuda.jcudnn.cudnnDropoutDescriptor;
import jcuda.jcudnn.cudnnHandle;
import jcuda.jcudnn.cudnnMathType;

/** cuDNN on an engine's stream: its handle, in which arithmetic it computes, and what all of an engine's descriptors share. */
final class Dnn implements AutoCloseable {
    /** Of cuDNN 9, which numbered its codes anew: the first digit says of which kind a failure is. */
    private static final int KINDS = 1000;

    private static final int BAD_PARAM = 2;
    private static final int NOT_SUPPORTED = 3;
    /** Of cuDNN itself, such as a kernel that could not be compiled. */
    private static final int INTERNAL_ERROR = 4;

    private final Descriptors descriptors = new Descriptors();
    private final cudnnHandle handle;
    private final cudnnDropoutDescriptor noDropout;
    /** A zero of every type, in native memory: JCuda takes no other for what fills the padding. */
    private final Pointer zero;

    private final int dataType;
    private final int mathPrecision;
    private final int mathType;
    private final ElementType elements;

    Dnn(CudaContext context, Precision precision) {
        switch (precision) {
            case FP64 -> {
                elements = ElementType.FLOAT64;
                dataType = cudnnDataType.CUDNN_DATA_DOUBLE;
                mathPrecision = cudnnDataType.CUDNN_DATA_DOUBLE;
                mathType = cudnnMathType.CUDNN_DEFAULT_MATH;
            }
            case FP16 -> {
                elements = ElementType.FLOAT16;
                dataType = cudnnDataType.CUDNN_DATA_HALF;
                mathPrecision = cudnnDataType.CUDNN_DATA_FLOAT;
                mathType = cudnnMathType.CUDNN_TENSOR_OP_MATH;
            }
            default -> {
                elements = ElementType.FLOAT32;
                dataType = cudnnDataType.CUDNN_DATA_FLOAT;
                mathPrecision = cudnnDataType.CUDNN_DATA_FLOAT;
                // The default math of floats rounds products to TF32 where the GPU can.
                mathType =
                        precision == Precision.TF32 ? cudnnMathType.CUDNN_DEFAULT_MATH : cudnnMathType.CUDNN_FMA_MATH;
            }
        }
        try {
            handle = descriptors.make("", new cudnnHandle(), JCudnn::cudnnCreate, JCudnn::cudnnDestroy);
            check(
                    JCudnn.cudnnSetStream(handle, context.runtimeStream()),
                    "cudnnSetStream",
                    "the stream of %s",
                    context.name());
            noDropout = descriptors.make(
                    "DropoutDescriptor",
                    new cudnnDropoutDescriptor(),
                    JCudnn::cudnnCreateDropoutDescriptor,
                    JCudnn::cudnnDestroyDropoutDescriptor);
            check(
                    JCudnn.cudnnSetDropoutDescriptor(noDropout, handle, 0, DevicePointer.NULL, 0, 0),
                    "cudnnSetDropoutDescriptor",
                    "a rate of 0");
            Pointer pinned = context.allocatePinned(Double.BYTES);
            descriptors.add(
                    () -> Status.driver(JCudaDriver.cuMemFreeHost(pinned), "cuMemFreeHost", "what fills the padding"));
            pinned.getByteBuffer(0, Double.BYTES).order(ByteOrder.nativeOrder()).putDouble(0, 0);
            zero = new DevicePointer(DevicePointer.address(pinned));
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    cudnnHandle handle() {
        return handle;
    }

    cudnnDropoutDescriptor noDropout() {
        return noDropout;
    }

    Pointer zero() {
        return zero;
    }

    int dataType() {
        return dataType;
    }

    int mathPrecision() {
        return mathPrecision;
    }

    int mathType() {
        return mathType;
    }

    /** The type of cuDNN's numbers: the engine's reals, but for FP16. */
    ElementType elements() {
        return elements;
    }

    /** Throws unless a call went well. The detail is a format and its arguments. */
    static void check(int status, String call, String detail, Object... arguments) {
        if (status == 0) {
            return;
        }
        EngineException failure = Status.failure(call, JCudnn.cudnnGetErrorString(status), detail, arguments);
        int kind = status / KINDS;
        throw kind == BAD_PARAM || kind == NOT_SUPPORTED || kind == INTERNAL_ERROR
                ? new EngineException(failure.getMessage(), new NotTaken(failure.getMessage()))
                : failure;
    }

    /** Whether cuDNN did not take what it was asked for or could not prepare it: nothing has failed on the device. */
    static boolean notTaken(EngineException failure) {
        return failure.getCause() instanceof NotTaken;
    }

    @Override
    public void close() {
        descriptors.close();
    }

    /** Marks a call that came to nothing before it reached the device. */
    private static final class NotTaken extends RuntimeException {
        private static final long serialVersionUID = 1;

        NotTaken(String message) {
            super(message, null, false, false);
        }
    }
}
