package carousel.spark;

import carousel.data.DataException;
import java.io.Serializable;
import java.lang.reflect.Array;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.NumericType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * How the rows of a table are sequences: each row is one, in an array, or each row is a step of one. Columns are found by their exact
 * names.
 *
 * <pre>{@code
 * SequenceColumns.arrays("readings").withLabel("state", 5)
 * SequenceColumns.grouped("machine", "time", "temperature", "pressure").withTargets("wear")
 * }</pre>
 */
public final class SequenceColumns implements Serializable {
    private static final long serialVersionUID = 1;

    /** So many classes at the most. */
    private static final int MAX_CLASSES = 1 << 20;

    private static final int COLUMNS_SHOWN = 20;
    private static final int VALUES_SHOWN = 4;

    /** Null where each row is a sequence. */
    private final String key;

    private final String time;
    private final List<String> features;
    /** C as it was given; 0 where it was not. */
    private final int width;
    /** Null for none. */
    private final String label;

    private final int classes;
    private final List<String> targets;

    private SequenceColumns(
            String key,
            String time,
            List<String> features,
            int width,
            String label,
            int classes,
            List<String> targets) {
        this.key = key;
        this.time = time;
        this.features = List.copyOf(features);
        this.width = width;
        this.label = label;
        this.classes = classes;
        this.targets = List.copyOf(targets);
        if (label != null && !targets.isEmpty()) {
            throw new ClusterException("a sequence has either a label or targets but was given the label '" + label
                    + "' and the targets " + targets + ": leave one of them out");
        }
    }

    /**
     * Each row is a sequence, in one column: an array of numbers, or an array of the steps, each an array of its C numbers.
     *
     * @param features the column
     */
    public static SequenceColumns arrays(String features) {
        return new SequenceColumns(null, null, List.of(features), 0, null, 0, List.of());
    }

    /**
     * Each row is a step. Those of one key are a sequence, in the order of their times, which differ.
     *
     * @param key the column that says which sequence a row belongs to
     * @param time the column that rises within a sequence
     * @param features the columns of numbers, in the order in which the model reads them; one or more
     */
    public static SequenceColumns grouped(String key, String time, String... features) {
        if (features.length == 0) {
            throw new ClusterException(
                    "the steps of a sequence should have one or more columns of features but got none");
        }
        return new SequenceColumns(
                Objects.requireNonNull(key),
                Objects.requireNonNull(time),
                List.of(features),
                features.length,
                null,
                0,
                List.of());
    }

    /**
     * The same, where a step has this many numbers: an array of numbers is then {@code [T * C]}, step after step. Otherwise such an array
     * has one number a step.
     *
     * @param value C, 1 or more
     */
    public SequenceColumns withFeatures(int value) {
        if (value < 1 || key != null && value != features.size()) {
            throw new ClusterException("the number of features should be "
                    + (key == null ? "1 or more" : features.size() + ", that of the columns " + features)
                    + ", but got " + value);
        }
        return new SequenceColumns(key, time, features, value, label, classes, targets);
    }

    /**
     * The same, where sequences have a class.
     *
     * @param column of whole numbers in {@code [0, classes)}; of grouped rows the same in all rows of a sequence
     * @param count the number of classes, 2 or more
     */
    public SequenceColumns withLabel(String column, int count) {
        if (count < 2 || count > MAX_CLASSES) {
            throw new ClusterException(
                    "the number of classes should be in the [2, " + MAX_CLASSES + "] range but got " + count);
        }
        return new SequenceColumns(key, time, features, width, Objects.requireNonNull(column), count, targets);
    }

    /**
     * The same, where sequences have real targets.
     *
     * @param columns of numbers, or one of arrays of numbers; of grouped rows the same in all rows of a sequence
     */
    public SequenceColumns withTargets(String... columns) {
        return new SequenceColumns(key, time, features, width, label, classes, List.of(columns));
    }

    /** What is read of a sequence without its answer. */
    SequenceColumns inputsOnly() {
        return new SequenceColumns(key, time, features, width, null, 0, List.of());
    }

    /** Whether sequences have a label or targets. */
    boolean isAnswered() {
        return !answers().isEmpty();
    }

    boolean isGrouped() {
        return key != null;
    }

    /** The column of the key; null where each row is a sequence. */
    String key() {
        return key;
    }

    /** The column of arrays. */
    String array() {
        return features.get(0);
    }

    /** C as it was given, or the number of columns; 0 where nothing says it. */
    int width() {
        return width;
    }

    /** The number of classes; 0 without a label. */
    public int classes() {
        return classes;
    }

    /**
     * The table with one row a sequence and the columns in the order in which they are read, after a check of its columns. The same table
     * gives the same sequences in the same order within the same partitions, where the rows of a table of arrays lie in partitions that
     * are the same each time.
     *
     * @param partitions so many; 0 leaves arrays where they are, and the number of grouped ones to Spark
     * @throws ClusterException when a column is missing or of another type
     */
    public Dataset<Row> arranged(Dataset<Row> table, int partitions) {
        requireColumns(table.schema());
        if (key == null) {
            List<Column> read = new ArrayList<>();
            read.add(column(array()));
            answers().forEach(name -> read.add(column(name)));
            Dataset<Row> rows = table.select(read.toArray(Column[]::new));
            return partitions > 0 ? rows.repartition(partitions) : rows;
        }
        // Names of their own, for a column may be used twice.
        List<Column> step = new ArrayList<>();
        step.add(column(time).as("time"));
        features.forEach(name -> step.add(column(name).as("feature" + step.size())));
        answers().forEach(name -> step.add(column(name).as("answer" + step.size())));
        Dataset<Row> rows = table.select(
                column(key), functions.struct(step.toArray(Column[]::new)).as("step"));
        if (partitions > 0) {
            rows = rows.repartition(partitions, column(key));
        }
        // By the whole step: where times are the same the order is too.
        return rows.groupBy(column(key))
                .agg(functions
                        .sort_array(functions.collect_list(functions.col("step")))
                        .as("steps"))
                .sortWithinPartitions(column(key));
    }

    private List<String> answers() {
        return label != null ? List.of(label) : targets;
    }

    private static Column column(String name) {
        return functions.col("`" + name.replace("`", "``") + "`");
    }

    /** Throws where a column is missing or of another type. */
    void requireColumns(StructType schema) {
        if (key == null) {
            DataType type = field(schema, array()).dataType();
            if (!isArrayOfNumbers(type)
                    && !(type instanceof ArrayType steps && isArrayOfNumbers(steps.elementType()))) {
                throw wrongType(
                        array(),
                        type,
                        "an array of numbers, or of arrays of numbers (vector_to_array makes one of a vector)");
            }
        } else {
            requireOrdered(schema, key);
            requireOrdered(schema, time);
            features.forEach(name -> requireNumber(schema, name));
        }
        if (label != null) {
            requireNumber(schema, label);
        }
        for (String target : targets) {
            if (targets.size() > 1 || !isArrayOfNumbers(field(schema, target).dataType())) {
                requireNumber(schema, target);
            }
        }
    }

    private static boolean isArrayOfNumbers(DataType type) {
        return type instanceof ArrayType array && array.elementType() instanceof NumericType;
    }

    private static void requireNumber(StructType schema, String name) {
        DataType type = field(schema, name).dataType();
        if (!(type instanceof NumericType)) {
            throw wrongType(name, type, "a number");
        }
    }

    private static void requireOrdered(StructType schema, String name) {
        DataType type = field(schema, name).dataType();
        if (type instanceof ArrayType || type instanceof MapType || type instanceof StructType) {
            throw wrongType(name, type, "one value that has an order, such as a number, a text or a time");
        }
    }

    private static ClusterException wrongType(String name, DataType type, String wanted) {
        return new ClusterException(
                "the column '" + name + "' should be " + wanted + " but is of type " + type.simpleString());
    }

    /** The only column of this name. */
    static StructField field(StructType schema, String name) {
        return schema.fields()[place(schema, name)];
    }

    /** Where the only column of this name is. */
    static int place(StructType schema, String name) {
        int[] found = IntStream.range(0, schema.length())
                .filter(k -> schema.fieldNames()[k].equals(name))
                .toArray();
        if (found.length == 1) {
            return found[0];
        }
        if (found.length > 1) {
            throw new ClusterException(
                    "the table has " + found.length + " columns of the name '" + name + "': rename all but one");
        }
        String names = Arrays.stream(schema.fieldNames())
                .limit(COLUMNS_SHOWN)
                .map(each -> "'" + each + "'")
                .collect(Collectors.joining(", "));
        throw new ClusterException("there is no column '" + name + "' in the table: it has "
                + (schema.length() == 0 ? "none" : names)
                + (schema.length() > COLUMNS_SHOWN ? " and " + (schema.length() - COLUMNS_SHOWN) + " more" : ""));
    }

    /**
     * C: as it was given, or as the first sequence that has a step has it, which takes a short job.
     *
     * @param arranged by {@link #arranged}
     * @throws ClusterException when no sequence says it
     */
    public int features(Dataset<Row> arranged) {
        if (width > 0) {
            return width;
        }
        StructField field = arranged.schema().fields()[0];
        if (isArrayOfNumbers(field.dataType())) {
            return 1;
        }
        Column first = column(field.name()).getItem(0);
        List<Row> sizes = arranged.filter(functions.size(column(field.name())).gt(0))
                .select(functions.size(first))
                .takeAsList(1);
        if (sizes.isEmpty() || sizes.get(0).getInt(0) < 1) {
            throw new ClusterException("the column '" + field.name()
                    + "' does not say how many features a step has, for "
                    + (sizes.isEmpty() ? "no row has a step" : "the first step has none")
                    + ": give the number of features, or other data");
        }
        return sizes.get(0).getInt(0);
    }

    /**
     * The sequence in a row.
     *
     * @param row of a table that was {@link #arranged}
     * @param count C
     * @throws BadRecordException when it is none
     */
    SequenceRow read(Row row, int count) throws BadRecordException {
        return read(row, key == null ? 0 : 1, count);
    }

    /**
     * The same, of a row with other columns before.
     *
     * @param place of the array or of the steps; a label or targets follow the array
     */
    SequenceRow read(Row row, int place, int count) throws BadRecordException {
        try {
            return key == null ? readArray(row, place, count) : readSteps(row, place, count);
        } catch (BadRecordException e) {
            throw new BadRecordException(subject(row, place) + " " + e.getMessage());
        }
    }

    /** Which row it is, for people. */
    private String subject(Row row, int place) {
        if (key != null) {
            return "the sequence of '" + key + "' = " + DataException.quote(String.valueOf(row.get(place - 1)));
        }
        List<?> list = elements(row.get(place));
        if (list == null || list.isEmpty()) {
            return "a sequence in '" + array() + "'";
        }
        String first = list.stream()
                .limit(VALUES_SHOWN)
                .map(value -> String.valueOf(elements(value) == null ? value : elements(value)))
                .collect(Collectors.joining(", "));
        return "a sequence in '" + array() + "' that begins with " + first;
    }

    private SequenceRow readArray(Row row, int place, int count) throws BadRecordException {
        List<?> list = list(row.get(place), "is null where an array should be");
        if (list.isEmpty()) {
            throw new BadRecordException("has no steps but should have one or more");
        }
        boolean nested =
                elements(list.stream().filter(Objects::nonNull).findFirst().orElse(null)) != null;
        if (!nested && list.size() % count != 0) {
            throw new BadRecordException(
                    "should have " + count + " numbers for each step but has " + list.size() + " in all");
        }
        int length = nested ? list.size() : list.size() / count;
        float[] inputs = new float[requireArray(length, count)];
        int next = 0;
        if (nested) {
            for (int t = 0; t < length; t++) {
                List<?> step = list(list.get(t), "has no values in step " + (t + 1));
                if (step.size() != count) {
                    throw new BadRecordException("should have " + count + " numbers in each step but has " + step.size()
                            + " in step " + (t + 1));
                }
                for (Object value : step) {
                    inputs[next] = feature(value, next, count);
                    next++;
                }
            }
        } else {
            for (Object value : list) {
                inputs[next] = feature(value, next, count);
                next++;
            }
        }
        Object[] answers = new Object[answers().size()];
        for (int k = 0; k < answers.length; k++) {
            answers[k] = row.get(place + 1 + k);
        }
        return answered(inputs, length, answers);
    }

    private static int requireArray(int length, int count) throws BadRecordException {
        if ((long) length * count > Integer.MAX_VALUE) {
            throw new BadRecordException(
                    "should have at most " + Integer.MAX_VALUE + " numbers but has " + length + " steps of " + count);
        }
        return length * count;
    }

    private SequenceRow readSteps(Row row, int place, int count) throws BadRecordException {
        if (row.isNullAt(place - 1)) {
            throw new BadRecordException("has no key: its rows do not say which sequence they belong to");
        }
        List<?> steps = list(row.get(place), "has no steps");
        float[] inputs = new float[requireArray(steps.size(), count)];
        Object[] answers = new Object[answers().size()];
        Object before = null;
        for (int t = 0; t < steps.size(); t++) {
            Row step = (Row) steps.get(t);
            Object now = step.get(0);
            if (now == null) {
                throw new BadRecordException("has a row without a time in '" + time + "'");
            }
            if (now.equals(before)) {
                throw new BadRecordException(
                        "has two rows of the same time in '" + time + "', " + now + ", where each should have its own");
            }
            before = now;
            for (int c = 0; c < count; c++) {
                inputs[t * count + c] = feature(step.get(1 + c), t * count + c, count);
            }
            for (int k = 0; k < answers.length; k++) {
                Object answer = step.get(1 + count + k);
                if (t > 0 && !Objects.equals(answer, answers[k])) {
                    throw new BadRecordException("should have the same in '"
                            + answers().get(k) + "' in all its rows but has " + answers[k] + " and " + answer);
                }
                answers[k] = answer;
            }
        }
        return answered(inputs, steps.size(), answers);
    }

    private SequenceRow answered(float[] inputs, int length, Object... answers) throws BadRecordException {
        if (answers.length == 0) {
            return SequenceRow.of(inputs, length, 0, null);
        }
        if (label != null) {
            double value = answers[0] instanceof Number number ? number.doubleValue() : Double.NaN;
            if (!(value >= 0 && value < classes) || value != Math.rint(value)) {
                throw new BadRecordException("has the label " + answers[0] + " in '" + label
                        + "' but should have a whole number in the [0, " + classes + ") range");
            }
            return SequenceRow.of(inputs, length, (int) value, null);
        }
        List<?> array = elements(answers[0]);
        List<?> values = array != null ? array : Arrays.asList(answers);
        if (values.isEmpty()) {
            throw new BadRecordException("has no targets in '" + targets.get(0) + "'");
        }
        float[] numbers = new float[values.size()];
        for (int k = 0; k < numbers.length; k++) {
            numbers[k] = finite(values.get(k));
            if (Float.isNaN(numbers[k])) {
                throw new BadRecordException("has " + values.get(k) + " as target in '"
                        + targets.get(Math.min(k, targets.size() - 1)) + "' where a finite number should be");
            }
        }
        return SequenceRow.of(inputs, length, 0, numbers);
    }

    /**
     * The elements of an array; null where it is none. Spark has arrays as Scala's sequences; but the rows of a function before, where
     * nothing lies between, are as that one made them.
     */
    private static List<?> elements(Object value) {
        if (value instanceof Seq<?> values) {
            return CollectionConverters.asJava(values);
        }
        if (value == null || !value.getClass().isArray()) {
            return null;
        }
        return new AbstractList<>() {
            @Override
            public int size() {
                return Array.getLength(value);
            }

            @Override
            public Object get(int place) {
                return Array.get(value, place);
            }
        };
    }

    private static List<?> list(Object value, String otherwise) throws BadRecordException {
        List<?> elements = elements(value);
        if (elements == null) {
            throw new BadRecordException(otherwise);
        }
        return elements;
    }

    private float feature(Object value, int place, int count) throws BadRecordException {
        float number = finite(value);
        if (Float.isNaN(number)) {
            String which = key != null
                    ? " for '" + features.get(place % count) + "'"
                    : count > 1 ? " for feature " + (place % count + 1) : "";
            throw new BadRecordException("has " + value + which + " in step " + (place / count + 1)
                    + " where a finite number of single precision should be");
        }
        return number;
    }

    /** NaN for what is no finite number. */
    private static float finite(Object value) {
        if (!(value instanceof Number number)) {
            return Float.NaN;
        }
        float single = number.floatValue();
        return Float.isFinite(single) ? single : Float.NaN;
    }

    @Override
    public String toString() {
        String sequences = key == null
                ? "a sequence in '" + array() + "'"
                : "rows by '" + key + "' in the order of '" + time + "' with " + features;
        return sequences
                + (label != null ? ", its class in '" + label + "'" : targets.isEmpty() ? "" : ", targets " + targets);
    }
}
