package carousel.spark;

import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;

/** A row that knows its columns: Spark hands rows from one function to the next as they are where nothing lies between them. */
final class ScoredRow implements Row {
    private static final long serialVersionUID = 1;

    private final Object[] values;
    private final StructType schema;

    /** @param values arrays as Scala's sequences, as Spark itself has them in rows */
    ScoredRow(StructType schema, Object... values) {
        this.values = values;
        this.schema = schema;
    }

    @Override
    public int length() {
        return values.length;
    }

    @Override
    public Object get(int place) {
        return values[place];
    }

    @Override
    public StructType schema() {
        return schema;
    }

    @Override
    public int fieldIndex(String name) {
        return schema.fieldIndex(name);
    }

    @Override
    public Row copy() {
        return new ScoredRow(schema, values.clone());
    }

    @Override
    public String toString() {
        return mkString("[", ",", "]");
    }
}
