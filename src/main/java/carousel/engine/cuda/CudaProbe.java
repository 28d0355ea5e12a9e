package carousel.engine.cuda;

import carousel.engine.EngineException;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcudnn.JCudnn;

/**
 * Whether this machine can run the CUDA engines, and if not, why and what to install. Asked once: what is loaded into a process stays.
 *
 * <p>JCuda's own answer is no help: its classes throw {@link UnsatisfiedLinkError} at the first touch and {@link
 * NoClassDefFoundError}, without the reason, ever after, and they load well on a machine with a driver and no GPU.
 */
public final class CudaProbe {
    /** CUDA 12.0, in the driver's numbers: what the natives were built for. */
    private static final int OLDEST_DRIVER = 12000;

    private static final long OLDEST_CUDNN = 90000;

    private static final String DRIVER_REMEDY =
            "install NVIDIA's driver, version 525 or newer (in a container: start it with --gpus all)";
    private static final String BLAS_REMEDY =
            "install CUDA 12's cuBLAS (Debian and Ubuntu: libcublas-12-6 from NVIDIA's repository; pip: nvidia-cublas-cu12) and have its "
                    + "folder in LD_LIBRARY_PATH";
    private static final String DNN_REMEDY =
            "install cuDNN 9 for CUDA 12 (Debian and Ubuntu: libcudnn9-cuda-12 from NVIDIA's repository; pip: nvidia-cudnn-cu12) and have its "
                    + "folder in LD_LIBRARY_PATH";

    /** A library with its version, as loaders name it, and what is wrong with it. */
    private static final Pattern MISSING_LIBRARY = Pattern.compile("lib[\\w-]+\\.so\\.\\d[\\w.]*: \\V+");

    private CudaProbe() {}

    /** Nothing where kernels and cuBLAS can be used. */
    public static Optional<Throwable> unavailable() {
        return Driver.REASON.or(() -> Blas.REASON);
    }

    /** Nothing where cuDNN can be used too. */
    public static Optional<Throwable> withoutCudnn() {
        return unavailable().or(() -> Dnn.REASON);
    }

    /** Which CUDA the driver supports, in a few words; only where {@link #unavailable} is empty. */
    public static String versions() {
        return "CUDA driver " + Driver.version / 1000 + "." + Driver.version % 1000 / 10;
    }

    /** The driver's CUDA version in its own numbers, 12060 for 12.6; only where {@link #unavailable} is empty. */
    public static int driverVersion() {
        return Driver.version;
    }

    /** For instance {@code cuDNN 9.6.0}; only where {@link #withoutCudnn} is empty. */
    public static String cudnnVersion() {
        long number = JCudnn.cudnnGetVersion();
        return "cuDNN " + number / 10000 + "." + number / 100 % 100 + "." + number % 100;
    }

    /** Each library is a class of its own, so that it is touched when it is asked for and not before. */
    private static final class Driver {
        private static int version;
        private static final Optional<Throwable> REASON =
                probe(CudaNatives.DRIVER, "the CUDA driver", DRIVER_REMEDY, () -> {
                    JCudaDriver.setExceptionsEnabled(false);
                    int status = JCudaDriver.cuInit(0);
                    if (status != CUresult.CUDA_SUCCESS) {
                        throw new EngineException("the CUDA driver does not start, cuInit says "
                                + Status.driverText(status) + ": check the GPU with nvidia-smi, or " + DRIVER_REMEDY);
                    }
                    int[] number = new int[1];
                    Status.driver(JCudaDriver.cuDriverGetVersion(number), "cuDriverGetVersion", "this machine");
                    version = number[0];
                    if (version < OLDEST_DRIVER) {
                        throw new EngineException("the CUDA driver supports CUDA " + version / 1000 + "."
                                + version % 1000 / 10 + " where 12.0 or newer is needed: " + DRIVER_REMEDY);
                    }
                    int[] count = new int[1];
                    Status.driver(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount", "this machine");
                    if (count[0] < 1) {
                        throw new EngineException(
                                "the CUDA driver sees no GPU: check CUDA_VISIBLE_DEVICES and nvidia-smi (in a container: start it with --gpus all)");
                    }
                });
    }

    private static final class Blas {
        private static final Optional<Throwable> REASON = probe(CudaNatives.BLAS, "cuBLAS", BLAS_REMEDY, () -> {
            JCublas2.setExceptionsEnabled(false);
        });
    }

    private static final class Dnn {
        private static final Optional<Throwable> REASON = probe(CudaNatives.DNN, "cuDNN", DNN_REMEDY, () -> {
            JCudnn.setExceptionsEnabled(false);
            long version = JCudnn.cudnnGetVersion();
            if (version < OLDEST_CUDNN) {
                throw new EngineException(
                        "cuDNN is version " + version + " where 90000 or newer is needed: " + DNN_REMEDY);
            }
        });
    }

    private static Optional<Throwable> probe(String library, String what, String remedy, Runnable use) {
        if (!System.getProperty("os.name").startsWith("Linux")
                || !System.getProperty("os.arch").equals("amd64")) {
            return Optional.of(new EngineException("the CUDA engines run on x86-64 Linux but this is "
                    + System.getProperty("os.arch") + " " + System.getProperty("os.name")
                    + ": choose the engine 'vector' here"));
        }
        try {
            CudaNatives.loading(library, use);
            return Optional.empty();
        } catch (EngineException reason) {
            return Optional.of(reason);
        } catch (LinkageError missing) {
            if (CudaNatives.absent(library)) {
                return Optional.of(new EngineException(
                        "JCuda's native library " + library
                                + " is neither among the jars nor in java.library.path: add org.jcuda's "
                                + "natives for linux-x86_64, or use the image that is built with them",
                        missing));
            }
            return Optional.of(
                    new EngineException(what + " is not there, " + firstCause(missing) + ": " + remedy, missing));
        }
    }

    /** What the system's loader said: JCuda wraps it in pages of its own. */
    static String firstCause(LinkageError missing) {
        String said = String.valueOf(missing.getMessage());
        Matcher library = MISSING_LIBRARY.matcher(said);
        return library.find()
                ? library.group()
                : said.lines()
                        .findFirst()
                        .orElse("its library cannot be loaded")
                        .strip();
    }
}
