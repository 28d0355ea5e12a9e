package carousel.contract;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** The page that says which engine computes what, made from what the engines answer and what the contract tries. */
final class FeaturesPage {
    /** Where it lies in a checkout. */
    static final Path PAGE = Path.of("src", "site", "markdown", "features.md");

    /** The engines, a column each. */
    static final List<String> ENGINES = List.of("reference", "vector", "fused", "cudnn", "gpu");

    private static final String START = "<!-- table: made by FeaturesPage -->\n";
    private static final String END = "<!-- end of the table -->\n";

    private FeaturesPage() {}

    /**
     * One line of the table.
     *
     * @param plain a specification with nothing else
     * @param in whether a case of the contract tries it
     */
    record Row(String name, LstmSpec plain, Predicate<LstmCase> in) {
        long cases() {
            return Stream.concat(LstmCases.all(), LstmCases.combinations(LstmCases.COMBINATIONS))
                    .filter(in)
                    .count();
        }

        /** What the page says of an engine. */
        String answer(Engine engine) {
            return engine.refusal(plain).isEmpty() ? "tested" : "refused";
        }
    }

    static List<Row> rows() {
        LstmSpec plain = LstmSpec.of(3, 5);
        List<Row> rows = new ArrayList<>();
        rows.add(new Row("the plain cell", plain, lstm -> lstm.spec().features().isEmpty()));
        rows.add(new Row(
                "stacked layers", plain.withLayers(2), lstm -> lstm.spec().layers() > 1));
        rows.add(new Row("no bias", plain.withBias(false), lstm -> !lstm.spec().bias()));
        for (Direction direction : List.of(Direction.REVERSE, Direction.BIDIRECTIONAL)) {
            String name = direction == Direction.REVERSE ? "reverse direction alone" : "both directions";
            rows.add(new Row(
                    name, plain.withDirection(direction), lstm -> lstm.spec().direction() == direction));
        }
        rows.add(new Row("lengths, also 0", plain, lstm -> lstm.lengths() != null));
        rows.add(new Row("an initial state, and its gradient", plain, LstmCase::initial));
        for (LstmFeature feature : LstmFeature.values()) {
            rows.add(new Row(
                    feature.label(),
                    LstmOptions.only(feature),
                    lstm -> lstm.spec().features().contains(feature)));
        }
        return rows;
    }

    /** The table for these engines. */
    static String table(Map<String, Engine> engines) {
        StringBuilder text = new StringBuilder("| | " + String.join(" | ", engines.keySet()) + " | cases |\n");
        text.append("|---".repeat(engines.size() + 2)).append("|\n");
        for (Row row : rows()) {
            text.append("| ").append(row.name());
            for (Engine engine : engines.values()) {
                text.append(" | ").append(row.answer(engine));
            }
            text.append(" | ").append(row.cases()).append(" |\n");
        }
        return text.toString();
    }

    /** The lines of the table on the page, by the name of the row: its cells. */
    static Map<String, List<String>> read() throws IOException {
        String page = Files.readString(PAGE);
        String table = page.substring(page.indexOf(START) + START.length(), page.indexOf(END));
        Map<String, List<String>> lines = new LinkedHashMap<>();
        table.lines().filter(line -> !line.startsWith("|---")).forEach(line -> {
            List<String> cells =
                    Stream.of(line.split("\\|")).skip(1).map(String::strip).toList();
            lines.put(cells.get(0), cells.subList(1, cells.size()));
        });
        return lines;
    }

    /** Writes the table into the page. All engines must be available, the CUDA ones on their stand-ins or on a GPU. */
    public static void main(String... none) throws IOException {
        Map<String, Engine> engines = new LinkedHashMap<>();
        try {
            for (String name : ENGINES) {
                EngineProvider provider = Engines.providers().stream()
                        .filter(candidate -> candidate.name().equals(name))
                        .findFirst()
                        .orElseThrow();
                provider.unavailable().ifPresent(reason -> {
                    throw new IllegalStateException(
                            "the table needs the engine '" + name + "', which is unavailable: " + reason.getMessage());
                });
                engines.put(name, provider.open(EngineOptions.defaults()));
            }
            String page = Files.readString(PAGE);
            Files.writeString(
                    PAGE,
                    page.substring(0, page.indexOf(START) + START.length())
                            + table(engines)
                            + page.substring(page.indexOf(END)));
        } finally {
            engines.values().forEach(Engine::close);
        }
    }
}
