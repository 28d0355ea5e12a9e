package carousel.data;

import de.siegmar.fastcsv.reader.AbstractBaseCsvCallbackHandler;
import de.siegmar.fastcsv.reader.CsvParseException;
import de.siegmar.fastcsv.reader.CsvReader;
import java.io.CharArrayReader;
import java.io.IOException;
import java.util.Arrays;

/**
 * The fields of a CSV text, all in one array of characters, so that a million short fields take no million objects. Blank
 * lines are passed over, and so are lines of nothing but separators at the end.
 */
final class CsvCells {
    /** The most characters of a field; a longer one comes from a quote that is not closed. */
    static final int MAX_FIELD = 4096;

    /** The most fields of a line. */
    static final int MAX_FIELDS = 1 << 20;

    private final String source;
    private char[] characters;
    private int used;
    /** Where each field ends in the characters; it begins where the one before it ends. */
    private int[] ends = new int[64];

    private int fields;
    /** The first field of each row, and after the last row the number of fields. */
    private int[] rows = new int[16];

    private int[] lines = new int[16];
    private int count;

    private CsvCells(String source, int characters) {
        this.source = source;
        this.characters = new char[characters];
    }

    /** Splits the characters {@code [from, to)} into fields. */
    static CsvCells read(String source, char[] text, int from, int to, char separator) throws DataException {
        // Fields are together no longer than the text they are in.
        CsvCells cells = new CsvCells(source, to - from);
        Collector collector = cells.new Collector();
        try (CsvReader<Boolean> reader = CsvReader.builder()
                .fieldSeparator(separator)
                .allowExtraFields(true)
                .allowMissingFields(true)
                .trimWhitespacesAroundQuotes(true)
                .maxBufferSize(2 * MAX_FIELD)
                .build(collector, new CharArrayReader(text, from, to - from))) {
            // The collector takes the fields; what the reader gives back is of no use.
            reader.forEach(kept -> {});
        } catch (Refused e) {
            throw e.reason;
        } catch (CsvParseException e) {
            throw refusal(source, collector.line, e);
        } catch (IOException e) {
            throw new DataException(source + " can't be read (" + e + "): check its disk", e);
        }
        while (cells.count > 0 && cells.blank(cells.count - 1)) {
            cells.count--;
        }
        return cells;
    }

    private static DataException refusal(String source, long line, CsvParseException e) {
        for (Throwable cause = e; cause != null; cause = cause.getCause()) {
            if (cause instanceof Refused refused) {
                return refused.reason;
            }
            if (String.valueOf(cause.getMessage()).contains("after closing quote")) {
                return new DataException(
                        source + ", line " + line
                                + ": a quoted field should end at its closing quote but text follows it: write a quote"
                                + " within a field twice",
                        e);
            }
        }
        return tooLong(source, line);
    }

    private static DataException tooLong(String source, long line) {
        return new DataException(source + ", line " + line + ": a field should have at most " + MAX_FIELD
                + " characters but one has more: close its quote or check that it is a CSV file");
    }

    /** The number of rows. */
    int count() {
        return count;
    }

    /** The number of fields of a row. */
    int width(int row) {
        return rows[row + 1] - rows[row];
    }

    /** The line of the file that a row begins in, counted from 1. */
    int line(int row) {
        return lines[row];
    }

    /** A field without the blanks around it. */
    String cell(int row, int column) {
        int field = rows[row] + column;
        int from = field == 0 ? 0 : ends[field - 1];
        int to = ends[field];
        while (from < to && Character.isWhitespace(characters[from])) {
            from++;
        }
        while (to > from && Character.isWhitespace(characters[to - 1])) {
            to--;
        }
        return new String(characters, from, to - from);
    }

    /** Whether a row has nothing but blank fields. */
    private boolean blank(int row) {
        for (int k = rows[row] == 0 ? 0 : ends[rows[row] - 1]; k < ends[rows[row + 1] - 1]; k++) {
            if (!Character.isWhitespace(characters[k])) {
                return false;
            }
        }
        return true;
    }

    private static int[] grown(int[] array, int size) {
        return size < array.length ? array : Arrays.copyOf(array, Math.max(size + 1, array.length + array.length / 2));
    }

    /** What the parser's loop must not swallow. */
    private static final class Refused extends RuntimeException {
        private static final long serialVersionUID = 1;

        private final transient DataException reason;

        Refused(DataException reason) {
            super(reason);
            this.reason = reason;
        }
    }

    private final class Collector extends AbstractBaseCsvCallbackHandler<Boolean> {
        private long line = 1;

        @Override
        protected void handleBegin(long startingLine) {
            line = startingLine;
            rows = grown(rows, count + 1);
            lines = grown(lines, count);
            rows[count] = fields;
            lines[count] = (int) startingLine;
        }

        @Override
        protected void handleField(int index, char[] buffer, int offset, int length, boolean quoted) {
            if (length > MAX_FIELD) {
                throw new Refused(tooLong(source, line));
            }
            if (index >= MAX_FIELDS) {
                throw new Refused(new DataException(source + ", line " + line + ": a line should have at most "
                        + MAX_FIELDS + " fields but has more: check its separators"));
            }
            ends = grown(ends, fields);
            System.arraycopy(buffer, offset, characters, used, length);
            used += length;
            ends[fields++] = used;
        }

        @Override
        protected Boolean buildRecord() {
            rows[count + 1] = fields;
            boolean kept = fields > rows[count] + 1 || fields == rows[count] + 1 && !blank(count);
            if (kept) {
                count++;
            } else {
                fields = rows[count];
                used = fields == 0 ? 0 : ends[fields - 1];
            }
            return kept;
        }
    }
}
