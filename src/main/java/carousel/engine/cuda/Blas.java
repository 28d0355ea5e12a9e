package carousel.engine.cuda;

import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasComputeType;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.runtime.cudaStream_t;

/**
 * Products of row-major matrices by cuBLAS, which sees the transposes of all three. Each lane has a handle and scratch memory of its own: cuBLAS
 * promises the same bits in every run only where streams that are busy at the same time share neither.
 */
final class Blas implements AutoCloseable {
    private final CudaContext context;
    private final Lanes lanes;
    private final int type;
    /** Of what is multiplied. */
    private final int operandType;

    private final int compute;
    private final boolean wide;
    /** From this compute capability on cuBLAS wants more scratch memory, as its documentation says. */
    private static final int HOPPER = 90;

    /** Scratch memory of cuBLAS's own: in a graph it would otherwise allocate at every replay. */
    private final long workspaceBytes;

    /** 0 and 1, in native memory: cheaper in a call than Java arrays. */
    private final Pointer scalars;

    private final Pointer zero;
    private final Pointer one;
    /** That of the context first. */
    private final List<Handle> handles = new ArrayList<>();

    /**
     * @param precision of the results; in TF32 operands are rounded by cuBLAS and sums are not
     * @param operands the type of what is multiplied: that of the results, or 16 bits where those are floats
     */
    Blas(CudaContext context, Lanes lanes, Precision precision, ElementType operands) {
        this.context = context;
        this.lanes = lanes;
        this.workspaceBytes = context.capability() >= HOPPER ? 32 << 20 : 8 << 20;
        this.wide = precision == Precision.FP64;
        this.type = wide ? cudaDataType.CUDA_R_64F : cudaDataType.CUDA_R_32F;
        this.operandType = switch (operands) {
            case FLOAT16 -> cudaDataType.CUDA_R_16F;
            case BFLOAT16 -> cudaDataType.CUDA_R_16BF;
            default -> type;
        };
        this.compute = switch (precision) {
            case FP64 -> cublasComputeType.CUBLAS_COMPUTE_64F;
            case TF32 -> cublasComputeType.CUBLAS_COMPUTE_32F_FAST_TF32;
            default -> cublasComputeType.CUBLAS_COMPUTE_32F;
        };
        this.scalars = context.allocatePinned(2L * Double.BYTES);
        ByteBuffer buffer = scalars.getByteBuffer(0, 2L * Double.BYTES).order(ByteOrder.nativeOrder());
        if (wide) {
            buffer.putDouble(0, 0).putDouble(Double.BYTES, 1);
        } else {
            buffer.putFloat(0, 0).putFloat(Double.BYTES, 1);
        }
        this.zero = scalars;
        this.one = scalars.withByteOffset(Double.BYTES);
        try {
            open(1);
        } catch (RuntimeException failure) {
            Release.after(failure, this::freeScalars);
            throw failure;
        }
    }

    /** One lane's. */
    private final class Handle implements AutoCloseable {
        private final int lane;
        private final cublasHandle handle;
        private final CUdeviceptr workspace = new CUdeviceptr();
        private boolean created;
        private boolean allocated;

        Handle(int lane) {
            this.lane = lane;
            this.handle = lane == 0 ? context.blas() : new cublasHandle();
            try {
                if (lane > 0) {
                    Status.blas(JCublas2.cublasCreate(handle), "cublasCreate", "lane %d", lane);
                    created = true;
                    // Before the scratch memory is set: this would undo it.
                    Status.blas(
                            JCublas2.cublasSetStream(handle, new cudaStream_t(lanes.stream(lane))),
                            "cublasSetStream",
                            "lane %d",
                            lane);
                }
                Status.driver(
                        JCudaDriver.cuMemAlloc(workspace, workspaceBytes),
                        "cuMemAlloc",
                        "%d bytes for cuBLAS",
                        workspaceBytes);
                allocated = true;
                Status.blas(
                        JCublas2.cublasSetWorkspace(handle, workspace, workspaceBytes),
                        "cublasSetWorkspace",
                        "%d bytes",
                        workspaceBytes);
            } catch (RuntimeException failure) {
                Release.after(failure, this::close);
                throw failure;
            }
        }

        @Override
        public void close() {
            Release release = new Release();
            if (created) {
                release.of(() -> Status.blas(JCublas2.cublasDestroy(handle), "cublasDestroy", "lane %d", lane));
            }
            if (allocated) {
                release.of(() -> Status.driver(
                        JCudaDriver.cuMemFree(workspace), "cuMemFree", "%d bytes of cuBLAS", workspaceBytes));
            }
            release.finish();
        }
    }

    /** Makes what is needed for products in so many lanes, which are open. Not while a stream is captured. */
    void open(int count) {
        while (handles.size() < count) {
            handles.add(new Handle(handles.size()));
        }
    }

    /** Does in a lane what {@link CudaEngine#product} asked for, with its arguments in the same order. */
    void execute(int lane, long[] values) {
        int m = (int) values[2];
        int n = (int) values[3];
        int k = (int) values[4];
        int status = JCublas2.cublasGemmEx_new(
                handles.get(lane).handle,
                values[1] != 0 ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N,
                values[0] != 0 ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N,
                n,
                m,
                k,
                one,
                new DevicePointer(values[7]),
                operandType,
                (int) values[8],
                new DevicePointer(values[5]),
                operandType,
                (int) values[6],
                values[9] != 0 ? one : zero,
                new DevicePointer(values[10]),
                type,
                (int) values[11],
                compute,
                cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
        Status.blas(status, "cublasGemmEx", "[%d, %d] = [%d, %d] times [%d, %d]", m, n, m, k, k, n);
    }

    private void freeScalars() {
        Status.driver(JCudaDriver.cuMemFreeHost(scalars), "cuMemFreeHost", "the factors of products");
    }

    @Override
    public void close() {
        Release release = new Release();
        handles.forEach(handle -> release.of(handle::close));
        handles.clear();
        release.of(this::freeScalars).finish();
    }
}
