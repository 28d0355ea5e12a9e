package carousel.cli;

import carousel.engine.EngineException;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.format.Charts;
import carousel.tensor.OutOfTensorMemoryException;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code carousel doctor}. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description =
                "Looks at this machine: Java, processors, GPUs and libraries, and checks every available engine against "
                        + "the reference. Exit code 1 when one computes wrongly.")
final class DoctorCommand implements Callable<Integer> {
    private static final String WRONG = "WRONG";

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(names = "--json", description = "Print one JSON object instead of text.")
    private boolean json;

    /**
     * All that is said.
     *
     * @param auto the engine that auto takes; null when none is available
     * @param chartsUnavailable why charts can't be drawn; null when they can
     * @param healthy whether no available engine computes wrongly
     */
    private record Findings(
            String version,
            Machine machine,
            NvidiaSoftware nvidia,
            List<EngineFindings> engines,
            String auto,
            String chartsUnavailable,
            boolean healthy) {}

    /**
     * One engine.
     *
     * @param notes what it chose for its self-check
     * @param unavailable why it can't be used and what to install; null when it can
     * @param failure what its self-check ended with; null when it ran to its end
     * @param difference its largest relative difference from the reference; null for one that can't be used, or where it is no
     *     number
     * @param allowed what that may be
     * @param verdict {@code ok}, {@code WRONG} or null
     */
    private record EngineFindings(
            String name,
            String description,
            List<String> notes,
            String unavailable,
            String failure,
            Double difference,
            Double allowed,
            String verdict) {}

    @Override
    public Integer call() {
        return report(Engines.providers());
    }

    /** Examines these engines. */
    int report(List<EngineProvider> providers) {
        List<EngineFindings> engines =
                providers.stream().map(DoctorCommand::examine).toList();
        Findings findings = new Findings(
                Version.number(),
                Machine.inspect(),
                NvidiaSoftware.find(),
                engines,
                engines.stream()
                        .filter(engine -> engine.unavailable() == null)
                        .map(EngineFindings::name)
                        .findFirst()
                        .orElse(null),
                charts(),
                engines.stream().noneMatch(engine -> WRONG.equals(engine.verdict())));
        PrintWriter screen = spec.commandLine().getOut();
        if (json) {
            screen.println(new GsonBuilder()
                    .setPrettyPrinting()
                    .serializeNulls()
                    .disableHtmlEscaping()
                    .create()
                    .toJson(findings));
        } else {
            print(screen, findings);
        }
        screen.flush();
        return findings.healthy() ? 0 : Main.FAILURE;
    }

    private static EngineFindings examine(EngineProvider provider) {
        Optional<Throwable> reason = provider.unavailable();
        if (reason.isPresent()) {
            return unavailable(provider, reason.get());
        }
        try {
            EngineCheck.Result check = EngineCheck.run(provider);
            return new EngineFindings(
                    provider.name(),
                    check.description(),
                    check.notes(),
                    null,
                    null,
                    Double.isFinite(check.difference()) ? check.difference() : null,
                    check.allowed(),
                    check.passed() ? "ok" : WRONG);
        } catch (EngineException | OutOfTensorMemoryException e) {
            // A GPU that another program fills computes nothing wrongly.
            return unavailable(provider, e);
        } catch (RuntimeException | LinkageError e) {
            // To find this out is what the command is for.
            return new EngineFindings(
                    provider.name(), provider.description(), List.of(), null, e.toString(), null, null, WRONG);
        }
    }

    private static EngineFindings unavailable(EngineProvider provider, Throwable reason) {
        return new EngineFindings(
                provider.name(),
                provider.description(),
                List.of(),
                Objects.toString(reason.getMessage(), reason.toString()),
                null,
                null,
                null,
                null);
    }

    /** Why charts can't be drawn, found out by drawing one; null when they can. */
    private static String charts() {
        try {
            Path file = Files.createTempFile("carousel", ".png");
            try {
                Charts.Chart chart = new Charts.Chart(
                        "doctor", "x", "y", false, List.of(new Charts.Curve("curve", new double[] {0, 1}, new double[] {
                            0, 1
                        })));
                return Charts.write(file, List.of(chart)).orElse(null);
            } finally {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            return "nothing can be written to the folder for temporary files: " + e.getMessage();
        }
    }

    private static void print(PrintWriter screen, Findings findings) {
        Machine machine = findings.machine();
        line(screen, "Carousel", findings.version());
        line(screen, "Java", machine.java());
        line(screen, "JVM options", machine.options().isEmpty() ? "none" : String.join(" ", machine.options()));
        line(screen, "System", machine.system());
        line(
                screen,
                "Processors",
                machine.processors() + (machine.processorModel() == null ? "" : " x " + machine.processorModel()));
        line(screen, "SIMD", simd(machine));
        line(
                screen,
                "Memory",
                gibibytes(machine.heapBytes()) + " of Java heap (-Xmx)"
                        + (machine.memoryBytes() == null
                                ? ""
                                : ", " + gibibytes(machine.memoryBytes()) + " in the machine"));
        NvidiaSoftware nvidia = findings.nvidia();
        line(screen, "NVIDIA driver", Objects.requireNonNullElse(nvidia.driver(), "none"));
        line(screen, "GPUs", nvidia.gpus().isEmpty() ? "none" : String.join(", ", nvidia.gpus()));
        for (NvidiaSoftware.Library library : nvidia.libraries()) {
            line(
                    screen,
                    library.name(),
                    library.file() == null
                            ? "not found on the loader's path"
                            : library.version() + " (" + library.file() + ")");
        }
        line(screen, "Charts", findings.chartsUnavailable() == null ? "can be drawn" : findings.chartsUnavailable());
        screen.println();
        for (EngineFindings engine : findings.engines()) {
            line(screen, "Engine " + engine.name(), verdict(engine));
            engine.notes().forEach(note -> line(screen, "", note));
        }
        line(screen, "Engine auto", findings.auto() == null ? "none is available" : "takes " + findings.auto());
    }

    private static String simd(Machine machine) {
        List<String> parts = new ArrayList<>();
        parts.add(
                machine.vectorBits() == null
                        ? "width unknown: this virtual machine does not tell"
                        : machine.vectorBits() + " bits");
        if (!machine.vectorExtensions().isEmpty()) {
            parts.add("the processor has " + String.join(", ", machine.vectorExtensions()));
        }
        return String.join("; ", parts);
    }

    private static String verdict(EngineFindings engine) {
        if (engine.unavailable() != null) {
            return "unavailable: " + engine.unavailable();
        }
        if (engine.failure() != null) {
            return engine.description() + ": self-check " + engine.verdict() + ", it ended with " + engine.failure();
        }
        return String.format(
                Locale.ROOT,
                "%s: self-check %s, largest difference from the reference %s of %.1e allowed",
                engine.description(),
                engine.verdict(),
                engine.difference() == null ? "is no number" : String.format(Locale.ROOT, "%.1e", engine.difference()),
                engine.allowed());
    }

    private static String gibibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f GiB", bytes / 0x1p30);
    }

    private static void line(PrintWriter screen, String what, String value) {
        screen.println(
                String.format(Locale.ROOT, "%-16s %s", what, value).lines().collect(Collectors.joining(" ")));
    }
}
