package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmOutput;
import carousel.tensor.OutOfTensorMemoryException;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class DoctorCommandTest {
    private final StringWriter out = new StringWriter();

    @TempDir
    private Path folder;

    /** Examines these engines and returns the exit code. */
    private int examine(EngineProvider... providers) {
        DoctorCommand doctor = new DoctorCommand();
        CommandLine line = new CommandLine(doctor);
        line.setOut(new PrintWriter(out));
        line.parseArgs("--json");
        return doctor.report(List.of(providers));
    }

    /** What {@link #examine} printed. */
    private JsonObject json() {
        return JsonParser.parseString(out.toString()).getAsJsonObject();
    }

    private JsonObject firstEngine() {
        return json().getAsJsonArray("engines").get(0).getAsJsonObject();
    }

    @Test
    void printsWhatItFinds() {
        CommandLineRun run = CommandLineRun.of("doctor").succeeds();
        for (String word :
                List.of("Java ", "Processors ", "SIMD ", "NVIDIA driver ", "libcudnn ", "Charts ", "Engine auto ")) {
            assertTrue(run.out().contains(word), run::toString);
        }
        assertTrue(run.out().contains("self-check ok"), run::toString);
        assertFalse(run.out().contains("WRONG"), run::toString);
    }

    @Test
    void jsonHasTheSameFactsAndNothingElse() {
        JsonObject facts = JsonParser.parseString(
                        CommandLineRun.of("doctor", "--json").succeeds().out())
                .getAsJsonObject();
        assertEquals(
                Runtime.getRuntime().availableProcessors(),
                facts.getAsJsonObject("machine").get("processors").getAsInt());
        assertTrue(facts.get("healthy").getAsBoolean());
        JsonArray engines = facts.getAsJsonArray("engines");
        assertEquals(Engines.providers().size(), engines.size());
        for (int k = 0; k < engines.size(); k++) {
            JsonObject engine = engines.get(k).getAsJsonObject();
            if (engine.get("unavailable").isJsonNull()) {
                assertEquals("ok", engine.get("verdict").getAsString());
            }
        }
        assertEquals(
                4, facts.getAsJsonObject("nvidia").getAsJsonArray("libraries").size());
    }

    @Test
    void anEngineThatComputesWronglyIsFound() {
        assertEquals(1, examine(provider("wrong", (engine, output) -> engine.fill(output.y(), 0.1))));
        assertEquals("WRONG", firstEngine().get("verdict").getAsString());
        assertTrue(firstEngine().get("difference").getAsDouble() > 0.01);
        assertFalse(json().get("healthy").getAsBoolean());
    }

    @Test
    void anEngineThatComputesNoNumbersIsFound() {
        assertEquals(
                1,
                examine(provider(
                        "wrong", (engine, output) -> engine.fill(output.last().c(), Double.NaN))));
        assertEquals("WRONG", firstEngine().get("verdict").getAsString());
        assertTrue(firstEngine().get("difference").isJsonNull());
    }

    @Test
    void anEngineThatFailsIsReportedWithItsReason() {
        assertEquals(1, examine(provider("failing", (engine, output) -> {
            throw new IllegalStateException("out of order");
        })));
        assertEquals("WRONG", firstEngine().get("verdict").getAsString());
        assertTrue(firstEngine().get("failure").getAsString().contains("out of order"));
    }

    @Test
    void anEngineWithoutMemoryIsUnavailableAndNotWrong() {
        assertEquals(0, examine(provider("full", (engine, output) -> {
            throw new OutOfTensorMemoryException("'y' needs 1.0 MiB and 0.5 MiB are free: close other programs", null);
        })));
        assertTrue(firstEngine().get("unavailable").getAsString().contains("0.5 MiB are free"));
        assertTrue(firstEngine().get("verdict").isJsonNull());
    }

    @Test
    void anUnavailableEngineIsNoFailureAndAutoPassesItOver() {
        EngineProvider absent = new Provider("cudnn", new EngineException("no driver: install one"), null);
        assertEquals(0, examine(absent, provider("fine", (engine, output) -> {})));
        assertEquals("no driver: install one", firstEngine().get("unavailable").getAsString());
        assertTrue(firstEngine().get("verdict").isJsonNull());
        assertEquals("fine", json().get("auto").getAsString());
    }

    @Test
    void driverGpusAndLibrariesAreReadFromTheirFiles() throws IOException {
        Path driver = Files.createDirectories(folder.resolve("driver"));
        Files.writeString(
                driver.resolve("version"),
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder)\n"
                        + "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n");
        Path gpu = Files.createDirectories(driver.resolve("gpus/0000:04:00.0"));
        Files.writeString(gpu.resolve("information"), "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 170\n");
        Path libraries = Files.createDirectories(folder.resolve("lib"));
        Files.writeString(libraries.resolve("libcudnn.so.9.24.0"), "");
        Files.createSymbolicLink(libraries.resolve("libcudnn.so.9"), Path.of("libcudnn.so.9.24.0"));
        Path elsewhere = Files.writeString(folder.resolve("libcublas.so.13"), "");

        NvidiaSoftware found = NvidiaSoftware.find(driver, List.of(libraries), List.of(elsewhere));
        assertEquals("580.95.05", found.driver());
        assertEquals(List.of("NVIDIA H100 80GB HBM3"), found.gpus());
        NvidiaSoftware.Library cudnn = library(found, "libcudnn");
        assertEquals("9.24.0", cudnn.version());
        assertEquals(libraries.resolve("libcudnn.so.9.24.0").toRealPath().toString(), cudnn.file());
        assertEquals("13", library(found, "libcublas").version());
        assertNull(library(found, "libcuda").file());
    }

    private static NvidiaSoftware.Library library(NvidiaSoftware found, String name) {
        return found.libraries().stream()
                .filter(library -> library.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    @Test
    void aMachineWithoutAnyOfTheseFilesIsDescribedWithoutThem() {
        NvidiaSoftware found = NvidiaSoftware.find(folder.resolve("none"), List.of(folder.resolve("none")), List.of());
        assertNull(found.driver());
        assertTrue(found.gpus().isEmpty());
        assertEquals(NvidiaSoftware.WANTED.size(), found.libraries().size());
        Machine machine = Machine.inspect(folder.resolve("none"));
        assertNull(machine.processorModel());
        assertTrue(machine.vectorExtensions().isEmpty());
    }

    @Test
    void processorsAreReadFromTheirFile() throws IOException {
        Path file = Files.writeString(
                folder.resolve("cpuinfo"),
                "processor\t: 0\nmodel name\t: A Processor @ 3.00GHz\nflags\t\t: fpu sse4_2 avx avx2 fma\n\n"
                        + "processor\t: 1\nmodel name\t: A Processor @ 3.00GHz\nflags\t\t: fpu sse4_2 avx avx2 fma\n");
        Machine machine = Machine.inspect(file);
        assertEquals("A Processor @ 3.00GHz", machine.processorModel());
        assertEquals(List.of("sse4_2", "avx", "fma", "avx2"), machine.vectorExtensions());
    }

    /** What is done to an engine's results behind its back. */
    @FunctionalInterface
    private interface Spoiler {
        void spoil(Engine engine, LstmOutput output);
    }

    private static EngineProvider provider(String name, Spoiler spoiler) {
        return new Provider(name, null, spoiler);
    }

    /** The reference engine under another name, its forward pass spoilt. */
    private record Provider(String name, Throwable reason, Spoiler spoiler) implements EngineProvider {
        @Override
        public String description() {
            return "for tests";
        }

        @Override
        public int preference() {
            return 1;
        }

        @Override
        public Optional<Throwable> unavailable() {
            return Optional.ofNullable(reason);
        }

        @Override
        public Engine open(EngineOptions options) {
            Engine engine = Engines.open("reference", options);
            return (Engine) Proxy.newProxyInstance(
                    Engine.class.getClassLoader(), new Class<?>[] {Engine.class}, (proxy, method, arguments) -> {
                        try {
                            Object result = method.invoke(engine, arguments);
                            if (method.getName().equals("lstmForward")) {
                                spoiler.spoil(engine, (LstmOutput) arguments[3]);
                            }
                            return result;
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                    });
        }
    }
}
