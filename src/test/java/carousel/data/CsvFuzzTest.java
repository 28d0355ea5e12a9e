package carousel.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.SeriesParts.Part;
import carousel.fixture.Mutations;
import carousel.fixture.Refusals;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The readers of CSV files on damaged ones: they read or refuse, soon and with little memory. */
class CsvFuzzTest {
    private static final int MUTANTS = 6_000;
    /** Buffers, patterns and the message of a refusal. */
    private static final long OVERHEAD = 1 << 20;
    /** For each byte of a file: its characters and numbers, and the short-lived text of each field on the way there. */
    private static final long PER_BYTE = 400;

    private static final Mutations MUTATIONS = new Mutations(
            31,
            ",",
            ";",
            "\t",
            "\n",
            "\r",
            "\r\n",
            "\"",
            "\"\"",
            ",\"",
            "\",",
            "\u0000",
            "\u00ff\u00fe",
            "\u00c0\u0080",
            "\u00ed\u00a0\u0080",
            "\u00ef\u00bb\u00bf",
            "\u00e2\u0080\u00a8",
            "1e999",
            "-1e-999",
            "3.5e38",
            "NaN",
            "-Infinity",
            "0x1p9",
            "1d",
            "?",
            ".",
            "-",
            "\u001b[2J",
            "9".repeat(400),
            "1".repeat(5000),
            ",".repeat(300),
            "2020-02-30",
            "9999-12-31",
            "0000-01-01",
            "99/99/9999",
            "12:61",
            "+99:99");

    private enum Sample {
        MONTHS(true) {
            @Override
            String text() {
                return lines(40, k -> String.format("\"%d-%02d\",%d", 1949 + k / 12, 1 + k % 12, 100 + k * k % 17));
            }

            @Override
            void read(CsvTable table) throws DataException {
                forecast(Series.of(table, "mutant", Series.Columns.DETECTED));
            }
        },
        HOURS(true) {
            @Override
            String text() {
                return lines(
                        40,
                        k -> String.format(
                                "%02d.03.2020 %02d:00;%d,5;%s;text", 1 + k / 24, k % 24, k, k % 7 == 0 ? "" : k + ""));
            }

            @Override
            void read(CsvTable table) throws DataException {
                Series.Columns columns =
                        new Series.Columns(CsvOptions.DETECTED, null, List.of("2", "3"), List.of("3", "2"));
                forecast(Series.of(table, "mutant", columns));
            }
        },
        ROWS(false) {
            @Override
            String text() {
                return lines(20, k -> (k % 3) + ",1.5,2.5".repeat(1 + k % 5) + ",".repeat(k % 4));
            }

            @Override
            void read(CsvTable table) throws DataException {
                for (String label : List.of(LabelledSequences.LAST, "2", LabelledSequences.FIRST)) {
                    // The samples have the label first; elsewhere there are often too few classes.
                    try {
                        classify(LabelledSequences.rows(table, "mutant", label, MissingValues.PREVIOUS, null));
                    } catch (DataException e) {
                        if (label.equals(LabelledSequences.FIRST)) {
                            throw e;
                        }
                    }
                }
            }
        },
        LONG(true) {
            @Override
            String text() {
                return lines(
                        40, k -> "s" + k % 6 + "\t" + k / 6 + "\t" + k * 0.5 + "\t-" + k + "\t" + "ab".charAt(k % 2));
            }

            @Override
            void read(CsvTable table) throws DataException {
                LabelledSequences.LongForm form = new LabelledSequences.LongForm("1", "2", null, "5");
                classify(LabelledSequences.longForm(table, "mutant", form, MissingValues.INTERPOLATE, null));
            }
        };

        private final boolean header;

        Sample(boolean header) {
            this.header = header;
        }

        abstract String text();

        abstract void read(CsvTable table) throws DataException;

        private interface Line {
            String at(int k);
        }

        String lines(int count, Line line) {
            StringBuilder text = new StringBuilder();
            if (header) {
                String separator = line.at(0).contains("\t") ? "\t" : line.at(0).contains(";") ? ";" : ",";
                int fields = line.at(0).split(separator, -1).length;
                for (int k = 0; k < fields; k++) {
                    text.append(k == 0 ? "" : separator).append((char) ('a' + k));
                }
                text.append('\n');
            }
            for (int k = 0; k < count; k++) {
                text.append(line.at(k)).append('\n');
            }
            return text.toString();
        }
    }

    private static void forecast(Series series) throws DataException {
        series.nextLabels(40);
        SeriesParts parts;
        try {
            parts = SeriesParts.ofShares(series.length(), 0.1, 0.2, 2);
        } catch (IllegalArgumentException e) {
            return; // Too few rows are left to be cut.
        }
        for (SeriesScaling.Transform transform : SeriesScaling.Transform.values()) {
            PreparedSeries prepared = PreparedSeries.fit(
                    series,
                    parts,
                    new PreparedSeries.Settings(
                            3, 2, MissingValues.INTERPOLATE, SeriesScaling.Kind.STANDARD, transform));
            SeriesWindows windows = prepared.walkForward(Part.TEST);
            prepared.compare(windows, new float[windows.size() * windows.targetSize()], 0);
            SequentialBatches batches = new SequentialBatches(windows, 4);
            for (float input : batches.batch(0).inputs()) {
                assertTrue(Float.isFinite(input), "an input should be finite");
            }
        }
    }

    private static void classify(LabelledSequences sequences) {
        SequenceDataset scaled =
                ScaledSequences.alike(sequences, SeriesScaling.fit(SeriesScaling.Kind.STANDARD, sequences));
        BucketedBatches batches = BucketedBatches.sorted(scaled, 8);
        int seen = 0;
        for (long k = 0; k < batches.batchesPerEpoch(); k++) {
            seen += batches.batch(k).batchSize();
        }
        assertEquals(sequences.size(), seen);
    }

    @ParameterizedTest
    @EnumSource
    void readsOrRefuses(Sample sample) {
        byte[] original = sample.text().getBytes(StandardCharsets.UTF_8);
        assertEquals(null, refusal(sample, original, "the original"));
        int read = 0;
        for (int k = 0; k < MUTANTS; k++) {
            byte[] mutant = k % 2 == 0 ? MUTATIONS.mutant(original, k) : MUTATIONS.mutantOfLines(original, k);
            read += refusal(sample, mutant, sample + " mutant " + k) == null ? 1 : 0;
        }
        int all = read;
        assertTrue(read > MUTANTS / 100 && read < MUTANTS * 9 / 10, () -> all + " of " + MUTANTS + " could be read");
    }

    private static String refusal(Sample sample, byte[] bytes, String what) {
        return Refusals.readOrRefused(
                DataException.class,
                OVERHEAD + PER_BYTE * bytes.length,
                what,
                () -> sample.read(CsvTable.parse("mutant.csv", bytes, CsvOptions.DETECTED)));
    }

    /** Files of one thing over and over take little more memory than their own size. */
    @Test
    void monotonousFilesTakeLittleMemory() {
        for (String unit : List.of(
                ",", ";", "\t", "\n", "\r", "\"", "\"\"", "\",\"", "1,", "1\n", "a\n", "1;\n", "\u0000", " ", "-",
                "\uFEFF")) {
            byte[] bytes = unit.repeat((1 << 20) / unit.length()).getBytes(StandardCharsets.UTF_8);
            for (Sample sample : Sample.values()) {
                Refusals.readOrRefused(
                        DataException.class,
                        OVERHEAD + PER_BYTE * bytes.length,
                        sample + " of " + DataException.quote(unit),
                        () -> sample.read(CsvTable.parse("mutant.csv", bytes, CsvOptions.DETECTED)));
            }
        }
    }
}
