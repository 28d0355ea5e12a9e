package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.junit.jupiter.api.Test;

class CudaProbeTest {
    @Test
    void theReasonIsTheLoadersOwn() {
        assertEquals(
                "libcuda.so.1: cannot open shared object file: No such file or directory",
                CudaProbe.firstCause(
                        new UnsatisfiedLinkError(
                                "Error while loading native library \"JCudaDriver-12.6.0-linux-x86_64\"\nOperating system name: Linux\n"
                                        + "java.lang.UnsatisfiedLinkError: /tmp/libJCudaDriver-12.6.0-linux-x86_64.so: libcuda.so.1: cannot open "
                                        + "shared object file: No such file or directory\n\tat java.base/java.lang.System.load")));
        assertEquals(
                "jcuda/driver/JCudaDriver", CudaProbe.firstCause(new NoClassDefFoundError("jcuda/driver/JCudaDriver")));
        assertEquals("null", CudaProbe.firstCause(new UnsatisfiedLinkError()));
    }

    /** The first touch of a class that cannot be loaded fails in another way than the second. */
    @Test
    void theAnswerStaysTheSame() {
        Optional<Throwable> first = CudaProbe.withoutCudnn();
        Optional<Throwable> second = CudaProbe.withoutCudnn();
        assertEquals(first.isPresent(), second.isPresent());
        first.ifPresent(reason -> {
            assertSame(reason, second.orElseThrow());
            String message = reason.getMessage();
            assertTrue(message.contains(": "), message);
            assertTrue(message.contains("install") || message.contains("choose") || message.contains("check"), message);
            assertEquals(1, message.lines().count(), message);
        });
    }
}
