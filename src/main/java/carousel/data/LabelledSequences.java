package carousel.data;

import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeSet;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/**
 * Sequences with a class label each, out of a CSV file; of equal or different lengths. Labels are text or integers, and
 * become classes in sorted order: integers by value when all are integers, otherwise text.
 */
public final class LabelledSequences implements SequenceDataset {
    /** The most classes: more are no labels but values. */
    public static final int MAX_CLASSES = 10_000;

    /** Where the label of a row is. */
    public static final String FIRST = "first";

    /** Where the label of a row is. */
    public static final String LAST = "last";

    private final String name;
    private final int features;
    private final int timeSteps;
    private final boolean differentLengths;
    /** {@code [size][length * features]}. */
    private final float[][] values;

    private final int[] labels;
    private final List<String> classNames;

    private LabelledSequences(String name, int features, float[][] values, int[] labels, List<String> classNames) {
        this.name = name;
        this.features = features;
        this.values = values;
        this.labels = labels;
        this.classNames = classNames;
        int longest = 0;
        int shortest = Integer.MAX_VALUE;
        for (float[] sequence : values) {
            longest = Math.max(longest, sequence.length / features);
            shortest = Math.min(shortest, sequence.length / features);
        }
        this.timeSteps = longest;
        this.differentLengths = shortest < longest;
    }

    /**
     * Where the parts of a file are in which each line is one step of a sequence.
     *
     * @param id the column that says which sequence a line belongs to
     * @param time the column of numbers or dates that increase within a sequence; null for the order of the lines
     * @param features the columns of numbers; null for all that are left
     * @param label the column of the label, the same on all lines of a sequence
     */
    public record LongForm(String id, String time, List<String> features, String label) {
        public LongForm {
            Objects.requireNonNull(id);
            Objects.requireNonNull(label);
            features = features == null ? null : List.copyOf(features);
            if (features != null && features.isEmpty()) {
                throw new IllegalArgumentException("sequences should have 1 or more feature columns but got 0");
            }
        }
    }

    /**
     * Reads a file with one sequence of one feature a line. Fields that are empty at the end of a line make its sequence
     * shorter; values missing elsewhere are treated as asked.
     *
     * @param label where the label is: {@value #FIRST}, {@value #LAST}, or a column by name or by number counted from 1
     * @param classNames the classes in order, of the file that a model was trained with; null to take the file's own
     * @throws DataException if the file can't be read, a value is no number, a label is missing or of no class, a sequence
     *     is empty, or there are fewer than 2 classes or more than {@value #MAX_CLASSES}
     */
    public static LabelledSequences readRows(
            Path file, CsvOptions csv, String label, MissingValues missing, List<String> classNames)
            throws DataException {
        return rows(CsvTable.read(file, csv), name(file), label, missing, classNames);
    }

    /**
     * Reads a file with one step of a sequence a line. The lines of a sequence need not be next to each other.
     *
     * @param classNames as for {@link #readRows}
     * @throws DataException as for {@link #readRows}, and if times don't increase or labels differ within a sequence
     */
    public static LabelledSequences readLong(
            Path file, CsvOptions csv, LongForm form, MissingValues missing, List<String> classNames)
            throws DataException {
        return longForm(CsvTable.read(file, csv), name(file), form, missing, classNames);
    }

    private static String name(Path file) {
        return file.getFileName() == null ? file.toString() : file.getFileName().toString();
    }

    static LabelledSequences rows(
            CsvTable table, String name, String label, MissingValues missing, List<String> classNames)
            throws DataException {
        boolean last = label.equals(LAST);
        // With a header the last column is the same for all rows, otherwise that of each row.
        int column = label.equals(FIRST) ? 0 : last ? table.columns() - 1 : table.column(label);
        String[] labels = new String[table.rows()];
        float[][] values = new float[table.rows()][];
        for (int row = 0; row < table.rows(); row++) {
            int at = last && !table.header() ? table.width(row) - 1 : column;
            labels[row] = label(table, row, at);
            int end = table.width(row);
            while (end > 0 && (end - 1 == at || table.cell(row, end - 1).isEmpty())) {
                end--;
            }
            double[] sequence = new double[end - (at < end ? 1 : 0)];
            for (int k = 0; k < sequence.length; k++) {
                sequence[k] = table.number(row, k < at ? k : k + 1);
            }
            values[row] = new float[sequence.length];
            fill(table, row, missing, sequence, values[row], 0, 1);
        }
        return of(table, name, 1, values, labels, IntUnaryOperator.identity(), classNames);
    }

    static LabelledSequences longForm(
            CsvTable table, String name, LongForm form, MissingValues missing, List<String> classNames)
            throws DataException {
        table.requireEqualWidths();
        int id = table.column(form.id());
        int label = table.column(form.label());
        int time = form.time() == null ? -1 : table.column(form.time());
        List<Integer> columns = new ArrayList<>();
        if (form.features() != null) {
            for (String feature : form.features()) {
                columns.add(table.column(feature));
            }
        } else {
            IntStream.range(0, table.columns())
                    .filter(column -> column != id && column != label && column != time)
                    .forEach(columns::add);
        }
        if (id == label || columns.contains(id) || columns.contains(label) || columns.isEmpty()) {
            throw new DataException(table.source()
                    + " should have different columns for id and label and one or more others for features but has "
                    + CsvTable.listed(table.columnNames()) + ": name others");
        }
        Map<String, List<Integer>> sequences = new LinkedHashMap<>();
        for (int row = 0; row < table.rows(); row++) {
            if (table.isMissing(row, id)) {
                throw new DataException(table.at(row) + "column "
                        + DataException.quote(table.columnNames().get(id))
                        + " should say which sequence the line belongs to but is empty: fill it in");
            }
            sequences
                    .computeIfAbsent(table.cell(row, id), key -> new ArrayList<>())
                    .add(row);
        }
        int[] firstRows = new int[sequences.size()];
        String[] labels = new String[firstRows.length];
        float[][] values = new float[firstRows.length][];
        int k = 0;
        for (List<Integer> rows : sequences.values()) {
            firstRows[k] = rows.get(0);
            labels[k] = label(table, rows.get(0), label);
            requireUniform(table, rows, id, time, label);
            values[k] = new float[Math.multiplyExact(rows.size(), columns.size())];
            for (int c = 0; c < columns.size(); c++) {
                double[] feature = new double[rows.size()];
                for (int t = 0; t < feature.length; t++) {
                    feature[t] = table.number(rows.get(t), columns.get(c));
                }
                fill(table, rows.get(0), missing, feature, values[k], c, columns.size());
            }
            k++;
        }
        return of(table, name, columns.size(), values, labels, sequence -> firstRows[sequence], classNames);
    }

    /** Refuses times that don't increase and labels that differ. */
    private static void requireUniform(CsvTable table, List<Integer> rows, int id, int time, int label)
            throws DataException {
        boolean numbers = time >= 0 && table.looksNumeric(time);
        String expected = table.cell(rows.get(0), label);
        double numberBefore = Double.NEGATIVE_INFINITY;
        LocalDateTime dateBefore = LocalDateTime.MIN;
        for (int row : rows) {
            String sequence = DataException.quote(table.cell(row, id));
            String found = table.cell(row, label);
            if (!found.equals(expected)) {
                throw new DataException(table.at(row) + "all lines of sequence " + sequence
                        + " should have the label " + DataException.quote(expected) + " of line "
                        + table.line(rows.get(0)) + " but got " + DataException.quote(found) + ": correct it");
            }
            if (time < 0) {
                continue;
            }
            double number = numbers ? table.number(row, time) : 0;
            DateStamp stamp = numbers ? null : DateStamp.parse(table.cell(row, time));
            LocalDateTime date = stamp == null ? null : stamp.time();
            if (numbers ? Double.isNaN(number) : date == null) {
                throw new DataException(table.at(row) + "column "
                        + DataException.quote(table.columnNames().get(time))
                        + " should hold numbers or dates such as 2020-01-31 but got "
                        + DataException.quote(table.cell(row, time)) + ": correct it");
            }
            if (numbers ? !(number > numberBefore) : !date.isAfter(dateBefore)) {
                throw new DataException(table.at(row) + "the times of sequence " + sequence
                        + " should increase but got " + DataException.quote(table.cell(row, time))
                        + ": sort its lines and leave none twice");
            }
            numberBefore = number;
            dateBefore = date;
        }
    }

    private static String label(CsvTable table, int row, int column) throws DataException {
        if (table.isMissing(row, column)) {
            throw new DataException(table.at(row) + "a sequence should have a label but field " + (column + 1)
                    + " is empty or missing: fill it in");
        }
        return table.cell(row, column);
    }

    /** Writes one feature of a sequence, missing values filled. */
    private static void fill(
            CsvTable table, int row, MissingValues missing, double[] sequence, float[] into, int from, int stride)
            throws DataException {
        for (int t = 0; t < sequence.length && missing == MissingValues.REFUSE; t++) {
            if (Double.isNaN(sequence[t])) {
                throw new DataException(table.at(row) + "a sequence should have all its values but lacks that of step "
                        + (t + 1) + ": fill it in or allow missing values");
            }
        }
        if (!missing.fill(sequence, 0, sequence.length)) {
            throw new DataException(table.at(row)
                    + "a sequence should have 1 or more values of each feature but has none: remove it or fill it in");
        }
        for (int t = 0; t < sequence.length; t++) {
            into[from + t * stride] = (float) sequence[t];
        }
    }

    private static LabelledSequences of(
            CsvTable table,
            String name,
            int features,
            float[][] values,
            String[] labels,
            IntUnaryOperator rowOf,
            List<String> given)
            throws DataException {
        List<String> classNames = given == null ? sorted(new TreeSet<>(Arrays.asList(labels))) : List.copyOf(given);
        if (classNames.size() < 2 || classNames.size() > MAX_CLASSES) {
            throw new DataException(table.source() + " should have labels of 2 to " + MAX_CLASSES + " classes but has "
                    + classNames.size() + ": check which column holds the labels");
        }
        Map<String, Integer> classes = new HashMap<>();
        classNames.forEach(className -> classes.put(className, classes.size()));
        int[] found = new int[labels.length];
        for (int k = 0; k < labels.length; k++) {
            Integer known = classes.get(labels[k]);
            if (known == null) {
                throw new DataException(table.at(rowOf.applyAsInt(k)) + "a label should be one of "
                        + CsvTable.listed(classNames) + ", which the model was trained with, but got "
                        + DataException.quote(labels[k]) + ": correct or remove it");
            }
            found[k] = known;
        }
        return new LabelledSequences(name, features, values, found, classNames);
    }

    private static List<String> sorted(Collection<String> labels) {
        boolean integers = labels.stream().allMatch(label -> label.matches("[+-]?[0-9]{1,18}"));
        Comparator<String> order = Comparator.naturalOrder();
        Comparator<String> byValue = Comparator.comparingLong(Long::parseLong);
        return labels.stream()
                .sorted(integers ? byValue.thenComparing(order) : order)
                .toList();
    }

    /** The labels as the file has them; the class of a sequence is an index into these. */
    public List<String> classNames() {
        return classNames;
    }

    /** The class of a sequence. */
    public int label(int index) {
        return labels[index];
    }

    /** The number of steps of a sequence. */
    public int length(int index) {
        return values[index].length / features;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int size() {
        return values.length;
    }

    @Override
    public int timeSteps() {
        return timeSteps;
    }

    @Override
    public int features() {
        return features;
    }

    @Override
    public int classes() {
        return classNames.size();
    }

    @Override
    public int targetSize() {
        return 0;
    }

    @Override
    public boolean variableLengths() {
        return differentLengths;
    }

    @Override
    public void read(int index, Batch into, int row) {
        Objects.checkIndex(index, values.length);
        Objects.checkIndex(row, into.batchSize());
        float[] sequence = values[index];
        for (int t = 0; t < timeSteps; t++) {
            int x = (t * into.batchSize() + row) * features;
            for (int c = 0; c < features; c++) {
                int k = t * features + c;
                into.inputs()[x + c] = k < sequence.length ? sequence[k] : 0;
            }
        }
        if (differentLengths) {
            into.lengths()[row] = sequence.length / features;
        }
        into.labels()[row] = labels[index];
    }
}
