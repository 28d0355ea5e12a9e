package carousel.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * How columns of numbers become a network's, and back: first the {@link Transform}, then {@code (y - offset) / scale}. Fitted
 * to training values alone and kept with the model.
 *
 * @param kind what offset and scale were made for
 */
public record SeriesScaling(Kind kind, List<Column> columns) {
    /** What training values become. */
    public enum Kind {
        /** As they are. */
        NONE,
        /** Of mean 0 and deviation 1. */
        STANDARD,
        /** In [0, 1]. */
        MIN_MAX
    }

    /** What happens to the values of a target before they are scaled. */
    public enum Transform {
        NONE,
        /** The natural logarithm; needs values above 0. */
        LOG,
        /** The step from the value before; takes away a trend, and the first value. */
        DIFFERENCE,
        /** The step of the logarithm, which is growth; needs values above 0. */
        LOG_DIFFERENCE;

        /** Whether there is a first value that has none before it. */
        public boolean differences() {
            return this == DIFFERENCE || this == LOG_DIFFERENCE;
        }

        /** Whether it needs values above 0. */
        public boolean logarithmic() {
            return this == LOG || this == LOG_DIFFERENCE;
        }

        /** @return {@code [length]}; the first is 0 where the steps are taken */
        double[] apply(double[] values) {
            double[] y = values.clone();
            for (int k = 0; k < y.length && logarithmic(); k++) {
                y[k] = Math.log(y[k]);
            }
            for (int k = y.length - 1; k > 0 && differences(); k--) {
                y[k] -= y[k - 1];
            }
            if (differences()) {
                y[0] = 0;
            }
            return y;
        }

        /** Undoes {@link #apply} for values that follow one another; {@code before} is the value that they follow. */
        private void invert(double[] y, double before) {
            if (differences()) {
                double sum = logarithmic() ? Math.log(before) : before;
                for (int k = 0; k < y.length; k++) {
                    sum += y[k];
                    y[k] = sum;
                }
            }
            for (int k = 0; k < y.length && logarithmic(); k++) {
                y[k] = Math.exp(y[k]);
            }
        }
    }

    /**
     * One column.
     *
     * @param scale above 0; 1 for a column that is constant in training
     */
    public record Column(String name, Transform transform, double offset, double scale) {
        public Column {
            if (!Double.isFinite(offset) || !(scale > 0) || !Double.isFinite(scale)) {
                throw new IllegalArgumentException("the scaling of " + DataException.quote(name)
                        + " should have a finite offset and a finite scale above 0 but got " + offset + " and "
                        + scale);
            }
        }

        double scaled(double y) {
            return (y - offset) / scale;
        }

        /**
         * The original values of scaled ones.
         *
         * @param scaled values that follow one another
         * @param before the original value that they follow; ignored unless the transform takes differences
         */
        public double[] restored(double[] scaled, double before) {
            double[] y = new double[scaled.length];
            for (int k = 0; k < y.length; k++) {
                y[k] = scaled[k] * scale + offset;
            }
            transform.invert(y, before);
            return y;
        }
    }

    public SeriesScaling {
        columns = List.copyOf(columns);
    }

    /**
     * Fits one column to the transformed values {@code [from, to)}.
     *
     * @param y finite
     */
    static Column fit(Kind kind, String name, Transform transform, double[] y, int from, int to) {
        Moments moments = new Moments();
        for (int k = from; k < to; k++) {
            moments.add(y[k]);
        }
        return moments.column(kind, name, transform);
    }

    /**
     * Fits each feature to all valid steps of some sequences.
     *
     * @param training the sequences to learn from, and no others
     */
    public static SeriesScaling fit(Kind kind, SequenceDataset training) {
        Moments[] moments = new Moments[training.features()];
        Arrays.setAll(moments, feature -> new Moments());
        Batch one = training.newBatch(1);
        for (int index = 0; index < training.size(); index++) {
            training.read(index, one, 0);
            int steps = one.lengths() == null ? one.timeSteps() : one.lengths()[0];
            for (int k = 0; k < steps * moments.length; k++) {
                moments[k % moments.length].add(one.inputs()[k]);
            }
        }
        List<Column> columns = new ArrayList<>();
        for (Moments feature : moments) {
            columns.add(feature.column(kind, "feature " + (columns.size() + 1), Transform.NONE));
        }
        return new SeriesScaling(kind, columns);
    }

    /** As objects that JSON has: {@link #fromMap} gives back an equal scaling. */
    public Map<String, Object> toMap() {
        List<Map<String, Object>> list = new ArrayList<>();
        for (Column column : columns) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", column.name());
            entry.put("transform", column.transform().name().toLowerCase(Locale.ROOT));
            entry.put("offset", column.offset());
            entry.put("scale", column.scale());
            list.add(entry);
        }
        Map<String, Object> map = new LinkedHashMap<>();
        map.put("kind", kind.name().toLowerCase(Locale.ROOT));
        map.put("columns", list);
        return map;
    }

    /**
     * A scaling out of a model's metadata.
     *
     * @throws DataException if it is none
     */
    public static SeriesScaling fromMap(Map<String, ?> map) throws DataException {
        Kind kind = choice(Kind.class, map.get("kind"), "kind");
        if (!(map.get("columns") instanceof List<?> list) || list.isEmpty()) {
            throw refused("columns", "a list of 1 or more", map.get("columns"));
        }
        List<Column> columns = new ArrayList<>();
        for (Object element : list) {
            if (!(element instanceof Map<?, ?> entry)) {
                throw refused("columns", "a list of objects", element);
            }
            if (!(entry.get("name") instanceof String name)) {
                throw refused("name", "text", entry.get("name"));
            }
            Transform transform = choice(Transform.class, entry.get("transform"), "transform");
            double offset = number(entry.get("offset"), "offset");
            double scale = number(entry.get("scale"), "scale");
            if (!(scale > 0)) {
                throw refused("scale", "above 0", scale);
            }
            columns.add(new Column(name, transform, offset, scale));
        }
        return new SeriesScaling(kind, columns);
    }

    private static <E extends Enum<E>> E choice(Class<E> type, Object value, String field) throws DataException {
        for (E choice : type.getEnumConstants()) {
            if (choice.name().toLowerCase(Locale.ROOT).equals(value)) {
                return choice;
            }
        }
        throw refused(
                field, "one of " + Arrays.toString(type.getEnumConstants()).toLowerCase(Locale.ROOT), value);
    }

    private static double number(Object value, String field) throws DataException {
        if (value instanceof Number number && Double.isFinite(number.doubleValue())) {
            return number.doubleValue();
        }
        throw refused(field, "a finite number", value);
    }

    private static DataException refused(String field, String allowed, Object value) {
        return new DataException("the " + field + " of a model's scaling should be " + allowed + " but got "
                + DataException.quote(String.valueOf(value)) + ": train the model again");
    }

    /** What a column's scaling is made from, by Welford's updates. */
    private static final class Moments {
        private long count;
        private double mean;
        private double squares;
        private double least = Double.POSITIVE_INFINITY;
        private double most = Double.NEGATIVE_INFINITY;

        void add(double y) {
            count++;
            double before = y - mean;
            mean += before / count;
            squares += before * (y - mean);
            least = Math.min(least, y);
            most = Math.max(most, y);
        }

        Column column(Kind kind, String name, Transform transform) {
            if (kind == Kind.NONE || count == 0) {
                return new Column(name, transform, 0, 1);
            }
            // Rounding leaves a constant column a tiny deviation, which must not be blown up to 1.
            double spread = kind == Kind.STANDARD ? Math.sqrt(squares / count) : most - least;
            boolean constant = least == most || !(spread > 0);
            return new Column(
                    name, transform, kind == Kind.STANDARD && !constant ? mean : least, constant ? 1 : spread);
        }
    }
}
