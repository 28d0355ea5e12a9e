package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.fixture.AvailableEngines;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The page {@code features.md} says what the engines answer, and nothing on it is called tested that no case tries. */
class FeaturesPageTest {
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector", "fused", "cudnn", "gpu"})
    void thePageSaysWhatTheEngineAnswers(String name) throws IOException {
        EngineProvider provider = AvailableEngines.assume(name);
        Map<String, List<String>> page = FeaturesPage.read();
        int column = page.get("").indexOf(name);
        try (Engine engine = provider.open(EngineOptions.defaults())) {
            for (FeaturesPage.Row row : FeaturesPage.rows()) {
                assertTrue(page.containsKey(row.name()), () -> "the page has no line '" + row.name() + "'");
                assertEquals(
                        row.answer(engine),
                        page.get(row.name()).get(column),
                        () -> "'" + row.name() + "' of " + name + "; write the page anew with FeaturesPage.main");
            }
        }
    }

    @Test
    void whatIsCalledTestedIsTried() throws IOException {
        Map<String, List<String>> page = FeaturesPage.read();
        List<FeaturesPage.Row> rows = FeaturesPage.rows();
        assertEquals(rows.size() + 1, page.size(), "lines of the page, with the heading");
        for (FeaturesPage.Row row : rows) {
            List<String> cells = page.get(row.name());
            assertEquals(Long.toString(row.cases()), cells.get(cells.size() - 1), () -> "cases of " + row.name());
            assertTrue(row.cases() >= 9, () -> row.cases() + " cases of " + row.name());
        }
        assertEquals(
                Engines.providers().stream().map(EngineProvider::name).sorted().toList(),
                FeaturesPage.ENGINES.stream().sorted().toList(),
                "engines, and columns of the page");
    }
}
