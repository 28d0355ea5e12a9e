package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import jcuda.nvptxcompiler.JNvPTXCompiler;
import jcuda.nvptxcompiler.nvPTXCompileResult;
import jcuda.nvptxcompiler.nvPTXCompilerHandle;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.slf4j.LoggerFactory;

/** The kernels as they are shipped: NVIDIA's own assembler, which JCuda brings along, takes them on any machine. */
class PtxTest {
    /** How {@code build.sh --check} ends where it cannot tell. */
    private static final int ANOTHER_NVCC = 77;

    private static final List<String> ARCHITECTURES = List.of("sm_75", "sm_80", "sm_90");
    private static final Pattern ARCHITECTURE = Pattern.compile("^// PTX for compute_(\\d+)", Pattern.MULTILINE);
    private static final Pattern ENTRY = Pattern.compile("\\.entry\\s+(\\w+)");
    private static final Pattern REPORT = Pattern.compile(
            "Compiling entry function '(\\w+)'.*?(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads.*?"
                    + "Used (\\d+) registers",
            Pattern.DOTALL);

    private static Path sources() {
        Path folder = Path.of("kernels");
        Assumptions.assumeTrue(Files.isDirectory(folder), "the kernels' sources are not here");
        return folder;
    }

    private static List<String> files() throws IOException {
        try (Stream<Path> files = Files.list(sources())) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".cu"))
                    .map(name -> name.replace(".cu", ".ptx"))
                    .sorted()
                    .toList();
        }
    }

    private static String read(String file) throws IOException {
        try (InputStream in = Kernels.class.getResourceAsStream(file)) {
            assertTrue(in != null, () -> file + " is missing: run kernels/build.sh");
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        }
    }

    @TestFactory
    Stream<DynamicTest> everyKernelAssemblesWithoutSpills() throws IOException {
        Assumptions.assumeTrue(
                System.getProperty("os.name").equals("Linux")
                        && System.getProperty("os.arch").equals("amd64"),
                "the assembler's library is for x86-64 Linux");
        List<String> files = files();
        assertFalse(files.isEmpty());
        CudaNatives.loading("JNvPTXCompiler", () -> JNvPTXCompiler.setExceptionsEnabled(false));
        // The largest take half a minute: side by side.
        ExecutorService pool = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
        List<DynamicTest> tests = new ArrayList<>();
        for (String file : files) {
            String oldest = target(file);
            ARCHITECTURES.stream()
                    .filter(target -> target.compareTo(oldest) >= 0)
                    .forEach(target -> {
                        Future<String> log = pool.submit(() -> log(read(file), target));
                        tests.add(DynamicTest.dynamicTest(file + " for " + target, () -> assembled(file, target, log)));
                    });
        }
        pool.shutdown();
        return tests.stream();
    }

    private static String log(String ptx, String target) throws IOException, InterruptedException {
        // What JCuda brings is of CUDA 12.0; for clusters it takes one of 12.1 or later, which CUDA's toolkit has.
        return ptx.contains(".version 8.0") ? byJCuda(ptx, target) : byToolkit(ptx, target);
    }

    private static void assembled(String file, String target, Future<String> task) throws Throwable {
        String ptx = read(file);
        String log;
        try {
            log = task.get();
        } catch (ExecutionException failure) {
            throw failure.getCause();
        }
        TreeSet<String> reported = new TreeSet<>();
        List<String> lines = new ArrayList<>();
        for (MatchResult kernel : REPORT.matcher(log).results().toList()) {
            reported.add(kernel.group(1));
            lines.add(kernel.group(1) + ": " + kernel.group(5) + " registers");
            assertEquals("0", kernel.group(3), kernel.group(1) + " for " + target + " spills registers");
            assertEquals("0", kernel.group(4), kernel.group(1) + " for " + target + " spills registers");
        }
        LoggerFactory.getLogger(PtxTest.class).info("{} for {}: {}", file, target, lines);
        TreeSet<String> entries = new TreeSet<>();
        ENTRY.matcher(ptx).results().forEach(entry -> entries.add(entry.group(1)));
        assertFalse(entries.isEmpty());
        assertEquals(entries, reported, () -> "kernels in the assembler's report: " + log);
    }

    private static String byJCuda(String ptx, String target) {
        nvPTXCompilerHandle compiler = new nvPTXCompilerHandle();
        byte[] text = ptx.concat("\0").getBytes(StandardCharsets.US_ASCII);
        assertEquals(
                nvPTXCompileResult.NVPTXCOMPILE_SUCCESS,
                JNvPTXCompiler.nvPTXCompilerCreate(compiler, text.length - 1L, text));
        try {
            String[] options = {"--gpu-name=" + target, "--verbose"};
            int result = JNvPTXCompiler.nvPTXCompilerCompile(compiler, options.length, options);
            assertEquals(nvPTXCompileResult.NVPTXCOMPILE_SUCCESS, result, () -> errors(compiler));
            long[] size = new long[1];
            JNvPTXCompiler.nvPTXCompilerGetInfoLogSize(compiler, size);
            byte[] info = new byte[Math.toIntExact(size[0]) + 1];
            JNvPTXCompiler.nvPTXCompilerGetInfoLog(compiler, info);
            return new String(info, StandardCharsets.US_ASCII);
        } finally {
            JNvPTXCompiler.nvPTXCompilerDestroy(compiler);
        }
    }

    private static String byToolkit(String ptx, String target) throws IOException, InterruptedException {
        Path assembler = tool("ptxas");
        Assumptions.assumeTrue(
                assembler != null,
                "there is no ptxas here, and JCuda's assembler does not know PTX 8.1, which clusters need");
        Path source = Files.createTempFile("kernels", ".ptx");
        try {
            Files.writeString(source, ptx);
            Process process = new ProcessBuilder(
                            assembler.toString(), "-arch=" + target, "-v", "-o", source + ".cubin", source.toString())
                    .redirectErrorStream(true)
                    .start();
            String log = new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
            assertEquals(0, process.waitFor(), log);
            return log;
        } finally {
            Files.deleteIfExists(source);
            Files.deleteIfExists(Path.of(source + ".cubin"));
        }
    }

    /** A program of CUDA's toolkit, null where it is not. */
    private static Path tool(String name) {
        return Stream.of("/usr/local/cuda/bin/", "/usr/bin/", "/usr/local/bin/")
                .map(folder -> Path.of(folder + name))
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
    }

    private static String errors(nvPTXCompilerHandle compiler) {
        Supplier<String> log = () -> {
            long[] size = new long[1];
            JNvPTXCompiler.nvPTXCompilerGetErrorLogSize(compiler, size);
            byte[] text = new byte[Math.toIntExact(size[0]) + 1];
            JNvPTXCompiler.nvPTXCompilerGetErrorLog(compiler, text);
            return new String(text, StandardCharsets.US_ASCII);
        };
        return log.get();
    }

    /** The oldest architecture that a file is for, which its source names where it needs tensor cores' or clusters' instructions. */
    private static String target(String file) throws IOException {
        Matcher named = ARCHITECTURE.matcher(Files.readString(sources().resolve(file.replace(".ptx", ".cu"))));
        return named.find() ? "sm_" + named.group(1) : ARCHITECTURES.get(0);
    }

    /**
     * Drivers of CUDA 12 load nothing newer than 8.0, and those of CUDA 12.1, which clusters ask for, nothing newer than 8.1; the oldest
     * GPU that is supported asks for its architecture.
     */
    @Test
    void everyKernelLoadsOnTheOldestDriver() throws IOException {
        for (String file : files()) {
            String ptx = read(file);
            String version = target(file).equals("sm_90") ? ".version 8.1" : ".version 8.0";
            assertTrue(ptx.lines().anyMatch(version::equals), file + " is not of " + version);
            assertTrue(ptx.lines().anyMatch((".target " + target(file))::equals), file + " is not for " + target(file));
        }
    }

    @Test
    void whatIsShippedIsWhatTheSourcesGive() throws IOException, InterruptedException {
        Path script = sources().resolve("build.sh");
        String named = System.getenv("NVCC");
        boolean compiler = tool("nvcc") != null || named != null && Files.isExecutable(Path.of(named));
        Assumptions.assumeTrue(compiler, "there is no nvcc here to make the kernels again");
        Process check = new ProcessBuilder("bash", script.toString(), "--check")
                .redirectErrorStream(true)
                .start();
        check.getOutputStream().close();
        String said = new String(check.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertTrue(check.waitFor(5, TimeUnit.MINUTES), "nvcc takes too long");
        Assumptions.assumeFalse(check.exitValue() == ANOTHER_NVCC, said);
        assertEquals(0, check.exitValue(), said);
    }
}
