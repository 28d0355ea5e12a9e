package carousel.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Values over time: one column or several of numbers, one row a step, some of them targets to be forecast and some of them
 * inputs to forecast from. A missing value is NaN until {@link PreparedSeries} fills it.
 */
public final class Series {
    private final String name;
    private final List<String> columnNames;
    private final double[][] values;
    private final List<Integer> targets;
    private final List<Integer> inputs;
    private final TimeAxis times;

    /**
     * Which columns of a file to read, by name or by number counted from 1; null leaves the choice to what the file looks
     * like.
     *
     * @param csv how the file is written
     * @param date the column of dates; detected, and may be absent
     * @param targets to forecast; by default the only column of numbers
     * @param inputs to forecast from; by default all columns of numbers
     */
    public record Columns(CsvOptions csv, String date, List<String> targets, List<String> inputs) {
        /** Everything as the file looks. */
        public static final Columns DETECTED = new Columns(CsvOptions.DETECTED, null, null, null);

        public Columns {
            targets = targets == null ? null : List.copyOf(targets);
            inputs = inputs == null ? null : List.copyOf(inputs);
            if (targets != null && targets.isEmpty() || inputs != null && inputs.isEmpty()) {
                throw new IllegalArgumentException("a series should have 1 or more target and input columns but got 0");
            }
        }
    }

    private Series(
            String name,
            List<String> columnNames,
            double[][] values,
            List<Integer> targets,
            List<Integer> inputs,
            TimeAxis times) {
        this.name = name;
        this.columnNames = List.copyOf(columnNames);
        this.values = values;
        this.targets = List.copyOf(targets);
        this.inputs = List.copyOf(inputs);
        this.times = times;
    }

    /**
     * One column that is both target and input.
     *
     * @param values copied; NaN where one is missing
     * @throws IllegalArgumentException if there are none, or one is outside the range of a float
     */
    public static Series of(String name, double... values) {
        if (values.length == 0) {
            throw new IllegalArgumentException("the series " + name + " should have 1 or more values but got 0");
        }
        for (int k = 0; k < values.length; k++) {
            if (Math.abs(values[k]) > Float.MAX_VALUE) {
                throw new IllegalArgumentException("value " + k + " of the series " + name
                        + " should be in the [-3.4e38, 3.4e38] range but got " + values[k]);
            }
        }
        return new Series(name, List.of(name), new double[][] {values.clone()}, List.of(0), List.of(0), null);
    }

    /**
     * Reads a CSV file of one row a step, the oldest first.
     *
     * @throws DataException if it can't be read, has rows of different widths, lacks a column, holds text where a number or
     *     a date should be, or has dates out of order
     */
    public static Series read(Path file, Columns columns) throws DataException {
        Path name = file.getFileName();
        return of(CsvTable.read(file, columns.csv()), name == null ? file.toString() : name.toString(), columns);
    }

    static Series of(CsvTable table, String name, Columns columns) throws DataException {
        table.requireEqualWidths();
        int date = dateColumn(table, columns);
        List<Integer> numeric = IntStream.range(0, table.columns())
                .filter(column -> column != date && table.looksNumeric(column))
                .boxed()
                .toList();
        List<Integer> targets = indices(table, columns.targets());
        if (targets == null) {
            if (numeric.size() != 1) {
                throw new DataException(table.source() + " should have one column of numbers to forecast but has "
                        + (numeric.isEmpty() ? "none" : CsvTable.listed(names(table, numeric)))
                        + ": say which column is the target");
            }
            targets = numeric;
        }
        List<Integer> inputs = indices(table, columns.inputs());
        if (inputs == null) {
            inputs = columns.targets() == null ? targets : union(numeric, targets);
        }
        List<Integer> used = union(targets, inputs);
        if (used.contains(date)) {
            throw new DataException(table.source() + " has dates in column "
                    + DataException.quote(table.columnNames().get(date))
                    + ", which should not be a target or an input: choose columns of numbers");
        }
        double[][] values = new double[used.size()][table.rows()];
        for (int k = 0; k < values.length; k++) {
            boolean known = false;
            for (int row = 0; row < table.rows(); row++) {
                values[k][row] = table.number(row, used.get(k));
                known |= !Double.isNaN(values[k][row]);
            }
            if (!known) {
                throw new DataException(table.source() + " should have numbers in column "
                        + DataException.quote(table.columnNames().get(used.get(k)))
                        + " but has none: choose another column");
            }
        }
        return new Series(
                name,
                names(table, used),
                values,
                targets.stream().map(used::indexOf).toList(),
                inputs.stream().map(used::indexOf).toList(),
                date < 0 ? null : TimeAxis.of(table, date));
    }

    private static int dateColumn(CsvTable table, Columns columns) throws DataException {
        if (columns.date() != null) {
            return table.column(columns.date());
        }
        return IntStream.range(0, table.columns())
                .filter(column -> TimeAxis.isIn(table, column))
                .findFirst()
                .orElse(-1);
    }

    private static List<Integer> indices(CsvTable table, List<String> columns) throws DataException {
        if (columns == null) {
            return null;
        }
        Set<Integer> indices = new LinkedHashSet<>();
        for (String column : columns) {
            indices.add(table.column(column));
        }
        return List.copyOf(indices);
    }

    private static List<Integer> union(List<Integer> first, List<Integer> second) {
        Set<Integer> all = new LinkedHashSet<>(first);
        all.addAll(second);
        return List.copyOf(all);
    }

    private static List<String> names(CsvTable table, List<Integer> columns) {
        List<String> names = new ArrayList<>();
        for (int column : columns) {
            names.add(table.columnNames().get(column));
        }
        return names;
    }

    /** What it is, for people. */
    public String name() {
        return name;
    }

    /** The number of steps, 1 or more. */
    public int length() {
        return values[0].length;
    }

    /** The columns that are targets, inputs or both. */
    public List<String> columnNames() {
        return columnNames;
    }

    /** Which columns are to be forecast. */
    public List<Integer> targets() {
        return targets;
    }

    /** Which columns are forecast from, in the order of a step's features. */
    public List<Integer> inputs() {
        return inputs;
    }

    /** A copy of a column; NaN where a value is missing. */
    public double[] values(int column) {
        return values[column].clone();
    }

    /** A value; NaN if it is missing. */
    public double value(int column, int step) {
        return values[column][step];
    }

    /** The number of missing values in all columns together. */
    public int missing() {
        int missing = 0;
        for (double[] column : values) {
            for (double value : column) {
                missing += Double.isNaN(value) ? 1 : 0;
            }
        }
        return missing;
    }

    /** The dates; null if it has none. */
    public TimeAxis times() {
        return times;
    }

    /** The date of a step as the file has it, otherwise the number of the step counted from 1. */
    public String label(int step) {
        return times == null ? Integer.toString(step + 1) : times.labels().get(step);
    }

    /** The dates, or the numbers, of the steps that follow the last. */
    public List<String> nextLabels(int count) {
        if (times != null) {
            return times.next(count);
        }
        return IntStream.rangeClosed(1, count)
                .mapToObj(k -> Integer.toString(length() + k))
                .toList();
    }
}
