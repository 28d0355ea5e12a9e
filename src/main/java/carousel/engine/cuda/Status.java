package carousel.engine.cuda;

import carousel.engine.EngineException;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.cublasStatus;

/** Turns a status that is not success into an {@link EngineException} that says which call, what came back, and about what. */
public final class Status {
    private Status() {}

    /** A call of the CUDA driver. The detail is a format and its arguments. */
    public static void driver(int status, String call, String detail, Object... arguments) {
        if (status != CUresult.CUDA_SUCCESS) {
            throw failure(call, driverText(status), detail, arguments);
        }
    }

    /** A call of cuBLAS. */
    static void blas(int status, String call, String detail, Object... arguments) {
        if (status != cublasStatus.CUBLAS_STATUS_SUCCESS) {
            throw failure(call, cublasStatus.stringFor(status), detail, arguments);
        }
    }

    /** What a failed call is thrown as, in one sentence. */
    public static EngineException failure(String call, String text, String detail, Object... arguments) {
        return new EngineException(call + " failed with " + text + " for " + String.format(detail, arguments)
                + ": if it fails again, 'carousel doctor' says what works on this machine");
    }

    /** The driver's own name and text of a status. */
    static String driverText(int status) {
        String[] name = new String[1];
        String[] text = new String[1];
        JCudaDriver.cuGetErrorName(status, name);
        JCudaDriver.cuGetErrorString(status, text);
        return (name[0] == null ? "status " + status : name[0]) + (text[0] == null ? "" : " (" + text[0] + ")");
    }
}
