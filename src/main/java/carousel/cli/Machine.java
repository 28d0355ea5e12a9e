package carousel.cli;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/**
 * What a CPU engine has to compute with.
 *
 * @param java version, vendor and name of the virtual machine
 * @param options those of the virtual machine's own options that were given
 * @param system name, version and architecture of the operating system
 * @param processors as many as the virtual machine may use
 * @param processorModel null where the system does not tell
 * @param vectorBits the widest vectors that the compiler makes; null where the virtual machine does not tell
 * @param vectorExtensions the processor's, as far as the system tells
 * @param heapBytes the most that the Java heap may grow to
 * @param memoryBytes of the machine or its container; null where the virtual machine does not tell
 */
record Machine(
        String java,
        List<String> options,
        String system,
        int processors,
        String processorModel,
        Integer vectorBits,
        List<String> vectorExtensions,
        long heapBytes,
        Long memoryBytes) {

    private static final List<String> EXTENSIONS =
            List.of("sse4_2", "avx", "fma", "avx2", "avx512f", "avx512bw", "avx512_bf16", "asimd", "sve", "sve2");

    static Machine inspect() {
        return inspect(Path.of("/proc/cpuinfo"));
    }

    /** @param processorFile the kernel's description of the processors; it may be missing */
    static Machine inspect(Path processorFile) {
        List<String> description = lines(processorFile);
        List<String> flags = Stream.of("flags", "Features")
                .flatMap(key -> values(description, key))
                .limit(1)
                .flatMap(line -> Arrays.stream(line.split("\\s+")))
                .toList();
        return new Machine(
                System.getProperty("java.version") + ", " + System.getProperty("java.vendor") + ", "
                        + System.getProperty("java.vm.name"),
                ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                        .filter(option -> option.startsWith("-X") || option.startsWith("--"))
                        .toList(),
                System.getProperty("os.name") + " " + System.getProperty("os.version") + " "
                        + System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors(),
                values(description, "model name").findFirst().orElse(null),
                vectorWidth(),
                EXTENSIONS.stream().filter(flags::contains).toList(),
                Runtime.getRuntime().maxMemory(),
                ManagementFactory.getOperatingSystemMXBean() instanceof com.sun.management.OperatingSystemMXBean bean
                        ? bean.getTotalMemorySize()
                        : null);
    }

    /** How wide the vectors are that the JVM's compiler makes of loops. */
    private static Integer vectorWidth() {
        try {
            String bytes = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class)
                    .getVMOption("MaxVectorSize")
                    .getValue();
            return Integer.parseInt(bytes) * Byte.SIZE;
        } catch (RuntimeException | LinkageError notHotSpot) {
            return null;
        }
    }

    private static Stream<String> values(List<String> description, String key) {
        return description.stream()
                .map(line -> line.split(":", 2))
                .filter(parts -> parts.length == 2 && parts[0].strip().equals(key))
                .map(parts -> parts[1].strip());
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException unreadable) {
            return List.of();
        }
    }
}
