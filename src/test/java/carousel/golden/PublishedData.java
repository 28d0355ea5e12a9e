package carousel.golden;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.fixture.AvailableEngines;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;

/** The published numbers, which lie outside of the project and may be absent. */
public final class PublishedData {
    /** Where they lie. */
    private static final Path ROOT = Path.of(System.getProperty("carousel.data", "data"));

    private PublishedData() {}

    static Path folder(String name) {
        return ROOT.resolve(name);
    }

    /** One file; the test that asks for it is reported as skipped when it is not there. */
    public static Path file(String folder, String name) {
        Path file = folder(folder).resolve(name);
        assumePresent(file);
        return file;
    }

    private static void assumePresent(Path file) {
        Assumptions.assumeTrue(
                Files.exists(file), () -> file + " is absent: -Dcarousel.data=DIR says where the published data lie");
    }

    /**
     * One container per available engine with one test per case: the known ones and what else is there. A case that is
     * not there is reported as skipped.
     */
    static Stream<DynamicContainer> tests(Path folder, String suffix, List<String> known, Check check) {
        TreeSet<String> names = new TreeSet<>(known);
        if (Files.isDirectory(folder)) {
            try (Stream<Path> files = Files.list(folder)) {
                files.map(file -> file.getFileName().toString())
                        .filter(name -> name.endsWith(suffix) && !name.startsWith("README"))
                        .forEach(name -> names.add(name.substring(0, name.length() - suffix.length())));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return AvailableEngines.providers().stream()
                .map(provider -> DynamicContainer.dynamicContainer(
                        provider.name(),
                        names.stream()
                                .map(name -> DynamicTest.dynamicTest(
                                        name, () -> run(provider, folder.resolve(name + suffix), check)))));
    }

    private static void run(EngineProvider provider, Path file, Check check) throws IOException {
        assumePresent(file);
        try (Engine engine = provider.open(EngineOptions.defaults())) {
            check.run(engine, file);
        }
    }

    /** What is done with one case. */
    interface Check {
        void run(Engine engine, Path file) throws IOException;
    }
}
