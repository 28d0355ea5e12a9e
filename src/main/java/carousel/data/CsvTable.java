package carousel.data;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The fields of a CSV file in UTF-8, with what was found out about it: separator, header and decimal mark. Rows may have
 * different numbers of fields until {@link #requireEqualWidths} is asked for. Everything is refused that a table of numbers,
 * dates and names does not hold: control characters, fields of more than 4096 characters, lines of more than 2^20 fields.
 */
public final class CsvTable {
    /** The largest file, in bytes. */
    public static final int MAX_SIZE = 1 << 28;

    private static final Set<String> MISSING = Set.of("", "na", "nan", "null", "?", "n/a", "none");
    private static final char[] SEPARATORS = {';', '\t', ','};
    /** How much of a file its separator is judged by. */
    private static final int SAMPLE_LINES = 200;

    private static final int SAMPLE_CHARACTERS = 1 << 18;
    /** How many rows the decimal mark is judged by. */
    private static final int SAMPLE_ROWS = 1000;
    /** Data does not count so far by chance. */
    private static final int SURELY_COUNTING = 8;

    private final String source;
    private final CsvCells cells;
    /** The rows of the file before the first of data: 1 with a header, otherwise 0. */
    private final int headerRows;

    private final char separator;
    private final char decimalMark;
    private final int columns;
    private final List<String> names;

    private CsvTable(String source, CsvCells cells, char separator, CsvOptions options) throws DataException {
        this.source = source;
        this.cells = cells;
        this.separator = separator;
        this.decimalMark = options.decimalMark() != null ? options.decimalMark() : decimalMark(cells, separator);
        this.headerRows = (options.header() != null ? options.header() : hasHeader()) ? 1 : 0;
        if (cells.count() == headerRows) {
            throw new DataException(source + " should have rows of data but has "
                    + (headerRows == 0 ? "nothing" : "only a header") + ": check that it is the right file");
        }
        int widest = 0;
        for (int row = 0; row < cells.count(); row++) {
            widest = Math.max(widest, cells.width(row));
        }
        this.columns = widest;
        this.names = names();
        requirePrintable();
    }

    /**
     * Reads a file.
     *
     * @throws DataException if it can't be read, or is no CSV file with one row of data or more
     */
    public static CsvTable read(Path file, CsvOptions options) throws DataException {
        try {
            if (Files.exists(file) && !Files.isRegularFile(file)) {
                throw new DataException(file + " should be a CSV file but is a "
                        + (Files.isDirectory(file) ? "folder" : "special file") + ": put a regular file in its place");
            }
            if (Files.size(file) > MAX_SIZE) {
                throw new DataException(file + " should have at most " + MAX_SIZE + " bytes but has " + Files.size(file)
                        + ": split it");
            }
            try (InputStream in = Files.newInputStream(file)) {
                byte[] bytes = in.readNBytes(MAX_SIZE);
                return parse(file.toString(), bytes, options);
            }
        } catch (DataException e) {
            throw e;
        } catch (NoSuchFileException e) {
            throw new DataException(file + " does not exist: give the path of a CSV file", e);
        } catch (IOException e) {
            throw new DataException(file + " can't be read (" + e + "): check its permissions and its disk", e);
        }
    }

    static CsvTable parse(String source, byte[] bytes, CsvOptions options) throws DataException {
        CharBuffer text = decode(source, bytes);
        int from = text.hasRemaining() && text.get(0) == '\uFEFF' ? 1 : 0;
        char[] characters = text.array();
        char separator = options.separator() != null ? options.separator() : separator(characters, from, text.limit());
        return new CsvTable(
                source, CsvCells.read(source, characters, from, text.limit(), separator), separator, options);
    }

    private static CharBuffer decode(String source, byte[] bytes) throws DataException {
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        // UTF-8 never has more characters than bytes.
        CharBuffer text = CharBuffer.allocate(bytes.length);
        CoderResult result = decoder.decode(in, text, true);
        if (result.isError()) {
            int line = 1;
            for (int k = 0; k < in.position(); k++) {
                line += bytes[k] == '\n' ? 1 : 0;
            }
            throw new DataException(source + ", line " + line + ": the text should be in UTF-8 but has the byte 0x"
                    + Integer.toHexString(bytes[in.position()] & 255) + " out of place: save it as UTF-8");
        }
        return text.flip();
    }

    /**
     * The separator that all lines have equally often, or that all have at all, or that is there most. Between two of equal
     * standing the semicolon comes before the tab and the comma: commas may be decimal marks.
     */
    private static char separator(char[] text, int from, int end) {
        int to = Math.min(end, from + SAMPLE_CHARACTERS);
        int[] first = new int[SEPARATORS.length];
        int[] total = new int[SEPARATORS.length];
        boolean[] everywhere = {true, true, true};
        boolean[] equal = {true, true, true};
        int[] counts = new int[SEPARATORS.length];
        boolean quoted = false;
        boolean blank = true;
        int lines = 0;
        // The end of the text ends a line too.
        for (int k = from; k <= to && lines < SAMPLE_LINES; k++) {
            char c = k < to ? text[k] : '\n';
            quoted ^= c == '"';
            if (k == to && to < end && lines > 0) {
                break; // Within a line that says nothing of its end.
            }
            if (k == to || !quoted && (c == '\n' || c == '\r')) {
                for (int s = 0; s < SEPARATORS.length && !blank; s++) {
                    first[s] = lines == 0 ? counts[s] : first[s];
                    everywhere[s] &= counts[s] > 0;
                    equal[s] &= counts[s] == first[s];
                    total[s] += counts[s];
                }
                lines += blank ? 0 : 1;
                blank = true;
                counts = new int[SEPARATORS.length];
            } else {
                for (int s = 0; s < SEPARATORS.length && !quoted; s++) {
                    counts[s] += c == SEPARATORS[s] ? 1 : 0;
                }
                blank &= Character.isWhitespace(c);
            }
        }
        int best = SEPARATORS.length - 1;
        for (int s = SEPARATORS.length - 2; s >= 0; s--) {
            int standing = standing(total[s], everywhere[s], equal[s]);
            int known = standing(total[best], everywhere[best], equal[best]);
            if (total[s] > 0 && (standing > known || standing == known && (standing > 0 || total[s] > total[best]))) {
                best = s;
            }
        }
        return SEPARATORS[best];
    }

    private static int standing(int total, boolean everywhere, boolean equal) {
        return total == 0 || !everywhere ? 0 : equal ? 2 : 1;
    }

    /** Commas only where they don't separate fields and where more numbers have them than have points. */
    private static char decimalMark(CsvCells cells, char separator) {
        if (separator == ',') {
            return '.';
        }
        int lead = 0;
        for (int row = 0; row < Math.min(cells.count(), SAMPLE_ROWS); row++) {
            for (int column = 0; column < cells.width(row); column++) {
                String cell = cells.cell(row, column);
                lead += isNumber(cell, ',') ? 1 : 0;
                lead -= isNumber(cell, '.') ? 1 : 0;
            }
        }
        return lead > 0 ? ',' : '.';
    }

    /** Text and no values; or text above values beside numbers that only count the columns, as names may do. */
    private boolean hasHeader() {
        if (cells.count() == 0) {
            return false;
        }
        int texts = 0;
        int values = 0;
        boolean counting = true;
        boolean aboveNumber = false;
        double previous = Double.NaN;
        for (int column = 0; column < cells.width(0); column++) {
            String cell = cells.cell(0, column);
            if (isNumber(cell, decimalMark)) {
                values++;
                double number = parse(cell);
                counting &= Double.isNaN(previous) ? number == 0 || number == 1 : number == previous + 1;
                previous = number;
            } else if (DateStamp.looksLikeOne(cell)) {
                values++;
                counting = false;
            } else if (!isMissing(cell)) {
                texts++;
                aboveNumber |=
                        cells.count() > 1 && column < cells.width(1) && isNumber(cells.cell(1, column), decimalMark);
            }
        }
        return texts > 0 && (values == 0 || counting && (aboveNumber || values >= SURELY_COUNTING));
    }

    private List<String> names() throws DataException {
        List<String> found = new ArrayList<>(columns);
        for (int column = 0; column < columns; column++) {
            String name = headerRows == 1 && column < cells.width(0) ? cells.cell(0, column) : "";
            // Spreadsheets break long names into lines.
            name = name.replace("\r", "").replace('\n', ' ').replace('\t', ' ');
            if (name.chars().anyMatch(CsvTable::unprintable)) {
                throw new DataException(source + ", line " + cells.line(0)
                        + ": a column's name should be printable but got " + DataException.quote(name)
                        + ": check that it is a CSV file");
            }
            found.add(name.isEmpty() ? "column " + (column + 1) : name);
        }
        return List.copyOf(found);
    }

    private void requirePrintable() throws DataException {
        for (int row = headerRows; row < cells.count(); row++) {
            for (int column = 0; column < cells.width(row); column++) {
                String cell = cells.cell(row, column);
                for (int k = 0; k < cell.length(); k++) {
                    if (unprintable(cell.charAt(k))) {
                        throw new DataException(at(row - headerRows) + "a field should be one line of text but got "
                                + DataException.quote(cell)
                                + ": close its quote or check that it is a CSV file");
                    }
                }
            }
        }
    }

    private static boolean unprintable(int c) {
        int type = Character.getType(c);
        return type == Character.CONTROL
                || type == Character.LINE_SEPARATOR
                || type == Character.PARAGRAPH_SEPARATOR
                || type == Character.FORMAT && c != '\u200c' && c != '\u200d';
    }

    /** The file's name as messages give it. */
    String source() {
        return source;
    }

    /** The number of rows of data, 1 or more. */
    public int rows() {
        return cells.count() - headerRows;
    }

    /** The number of fields of the widest row. */
    public int columns() {
        return columns;
    }

    /** The columns' names; where there is no header, or none in it, "column 1" and so on. */
    public List<String> columnNames() {
        return names;
    }

    /** Whether the first line names the columns. */
    public boolean header() {
        return headerRows == 1;
    }

    /** What stands between fields. */
    public char separator() {
        return separator;
    }

    /** What stands between the whole part of a number and the rest. */
    public char decimalMark() {
        return decimalMark;
    }

    /**
     * The index of a column.
     *
     * @param nameOrNumber its name, or its number counted from 1
     * @throws DataException if there is no such column, or several have the name
     */
    public int column(String nameOrNumber) throws DataException {
        int first = names.indexOf(nameOrNumber);
        if (first != names.lastIndexOf(nameOrNumber)) {
            throw new DataException(source + " has several columns named " + DataException.quote(nameOrNumber)
                    + ": choose one by its number");
        }
        if (first >= 0) {
            return first;
        }
        if (nameOrNumber.matches("[0-9]{1,9}")) {
            int number = Integer.parseInt(nameOrNumber);
            if (number >= 1 && number <= columns) {
                return number - 1;
            }
        }
        throw new DataException(source + " should have a column " + DataException.quote(nameOrNumber) + " but has "
                + listed(names) + ": give a name, or a number in the [1, " + columns + "] range");
    }

    /** Some names for a message: the first few. */
    static String listed(List<String> names) {
        int shown = Math.min(names.size(), 8);
        StringBuilder list = new StringBuilder();
        for (int k = 0; k < shown; k++) {
            list.append(k == 0 ? "" : ", ").append(DataException.quote(names.get(k)));
        }
        return list.append(shown < names.size() ? " and " + (names.size() - shown) + " more" : "")
                .toString();
    }

    /** The number of fields of a row. */
    public int width(int row) {
        return cells.width(row + headerRows);
    }

    /** The line of the file that a row begins in, counted from 1. */
    public int line(int row) {
        return cells.line(row + headerRows);
    }

    /** A field without the blanks around it; empty past the row's end. */
    public String cell(int row, int column) {
        return column < width(row) ? cells.cell(row + headerRows, column) : "";
    }

    /** Whether a field is empty or says that there is no value: NA, N/A, NaN, null, none, ?. */
    public boolean isMissing(int row, int column) {
        return isMissing(cell(row, column));
    }

    /**
     * A field as a number; NaN where it is {@linkplain #isMissing missing}.
     *
     * @throws DataException if it is text, or out of the range of a float
     */
    public double number(int row, int column) throws DataException {
        String cell = cell(row, column);
        if (isMissing(cell)) {
            return Double.NaN;
        }
        if (!isNumber(cell, decimalMark)) {
            String mark = decimalMark == '.' ? "a point" : "a comma";
            throw new DataException(at(row) + "column " + DataException.quote(names.get(column))
                    + " should hold numbers with " + mark + " for the decimals but got " + DataException.quote(cell)
                    + ": correct it, or leave it empty for a missing value");
        }
        double number = parse(cell);
        if (!(Math.abs(number) <= Float.MAX_VALUE)) {
            throw new DataException(at(row) + "column " + DataException.quote(names.get(column))
                    + " should hold numbers in the [-3.4e38, 3.4e38] range but got " + DataException.quote(cell)
                    + ": correct it, or leave it empty for a missing value");
        }
        return number;
    }

    /** Whether the first value of a column that is not missing is a number. */
    public boolean looksNumeric(int column) {
        for (int row = 0; row < rows(); row++) {
            String cell = cell(row, column);
            if (!isMissing(cell)) {
                return isNumber(cell, decimalMark);
            }
        }
        return false;
    }

    /**
     * Requires every row to have as many fields as the widest.
     *
     * @throws DataException if one has fewer
     */
    public void requireEqualWidths() throws DataException {
        int expected = cells.width(0);
        for (int row = headerRows; row < cells.count(); row++) {
            if (cells.width(row) != expected) {
                throw new DataException(at(row - headerRows) + "a row should have " + expected
                        + " fields like the first line but has " + cells.width(row)
                        + ": correct it, and quote fields that hold the separator");
            }
        }
    }

    /** The beginning of a message about a row. */
    String at(int row) {
        return source + ", line " + line(row) + ": ";
    }

    private static boolean isMissing(String cell) {
        return cell.length() <= 4 && MISSING.contains(cell.toLowerCase(Locale.ROOT));
    }

    /** Decimal digits with an optional sign, mark and exponent: less than Java's own parser takes. */
    private static boolean isNumber(String cell, char mark) {
        int k = 0;
        int length = cell.length();
        if (k < length && (cell.charAt(k) == '-' || cell.charAt(k) == '+')) {
            k++;
        }
        int start = k;
        k = pastDigits(cell, k);
        int digits = k - start;
        if (k < length && cell.charAt(k) == mark) {
            start = ++k;
            k = pastDigits(cell, k);
            digits += k - start;
        }
        if (digits == 0) {
            return false;
        }
        if (k < length && (cell.charAt(k) == 'e' || cell.charAt(k) == 'E')) {
            k++;
            if (k < length && (cell.charAt(k) == '-' || cell.charAt(k) == '+')) {
                k++;
            }
            start = k;
            k = pastDigits(cell, k);
            if (k == start) {
                return false;
            }
        }
        return k == length;
    }

    private static int pastDigits(String cell, int from) {
        int k = from;
        while (k < cell.length() && cell.charAt(k) >= '0' && cell.charAt(k) <= '9') {
            k++;
        }
        return k;
    }

    private static double parse(String number) {
        return Double.parseDouble(number.replace(',', '.'));
    }
}
