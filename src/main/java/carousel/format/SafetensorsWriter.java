package carousel.format;

import carousel.tensor.ElementType;
import carousel.tensor.Shape;
import com.google.gson.stream.JsonWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;

/**
 * Gathers tensors and metadata and writes them as a safetensors file.
 *
 * <p>The file is canonical: the same content gives the same bytes, in whatever order it was added. As in the format's
 * reference implementation, the tensors follow each other by descending {@link Dtype} and then by name, and the
 * header is padded with spaces to a multiple of 8 bytes, so that every element is aligned; the metadata are sorted by
 * key.
 *
 * <p>Arrays are not copied: what they hold when the file is written counts.
 */
public final class SafetensorsWriter {
    private static final int CHUNK_BYTES = 1 << 16;

    private final Map<String, String> metadata = new TreeMap<>();
    private final List<Pending> tensors = new ArrayList<>();
    private final Set<String> names = new HashSet<>();

    /** Adds free-form text to the header. Throws {@link IllegalArgumentException} for a key that is there already. */
    public SafetensorsWriter metadata(String key, String value) {
        requireText("a metadata key", key);
        requireText("the metadata value of '" + key + "'", value);
        if (metadata.putIfAbsent(key, value) != null) {
            throw new IllegalArgumentException("the metadata key '" + key + "' was added twice");
        }
        return this;
    }

    /** Adds a tensor of type F32. */
    public SafetensorsWriter tensor(String name, Shape shape, float[] values) {
        return tensor(name, shape, values, 0, values.length);
    }

    /** Adds a tensor of type F64. */
    public SafetensorsWriter tensor(String name, Shape shape, double[] values) {
        return tensor(name, shape, values, 0, values.length);
    }

    /**
     * Adds a tensor of doubles in the type in which an engine stores it: F64 or F32, values read from such an engine being
     * exact in it.
     */
    public SafetensorsWriter tensor(String name, Shape shape, double[] values, ElementType type) {
        return switch (type) {
            case FLOAT64 -> tensor(name, shape, values);
            case FLOAT32, FLOAT16, BFLOAT16 -> {
                float[] narrow = new float[values.length];
                for (int e = 0; e < values.length; e++) {
                    narrow[e] = (float) values[e];
                }
                yield tensor(name, shape, narrow);
            }
            case INT32 -> throw new IllegalArgumentException("the tensor '" + name + "' holds no real numbers");
        };
    }

    /**
     * Adds a tensor of doubles in a type of real numbers, each rounded to the nearest, ties to even.
     *
     * @param dtype F64, F32, F16 or BF16
     * @throws IllegalArgumentException when a finite value has no finite one near it in the type
     */
    public SafetensorsWriter tensor(String name, Shape shape, double[] values, Dtype dtype) {
        for (double value : values) {
            double stored = rounded(dtype, value);
            if (Double.isInfinite(stored) && !Double.isInfinite(value)) {
                throw new IllegalArgumentException("the tensor '" + name + "' should hold what fits " + dtype
                        + " but holds " + value + ": choose a wider type");
            }
        }
        return switch (dtype) {
            case F64 -> tensor(name, shape, values);
            case F32 -> tensor(name, shape, values, ElementType.FLOAT32);
            default ->
                add(name, dtype, shape, 0, values.length, (chunk, start, count) -> {
                    for (int e = start; e < start + count; e++) {
                        chunk.putShort(
                                dtype == Dtype.F16
                                        ? SmallFloats.toFloat16(values[e])
                                        : SmallFloats.toBfloat16(values[e]));
                    }
                });
        };
    }

    /** What a value becomes in a type of real numbers. */
    static double rounded(Dtype dtype, double value) {
        return switch (dtype) {
            case F64 -> value;
            case F32 -> (float) value;
            case F16 -> SmallFloats.float16(SmallFloats.toFloat16(value));
            case BF16 -> SmallFloats.bfloat16(SmallFloats.toBfloat16(value));
            default ->
                throw new IllegalArgumentException(
                        "real numbers should be stored as F64, F32, F16 or BF16 but got " + dtype);
        };
    }

    /** Adds a tensor of type I32. */
    public SafetensorsWriter tensor(String name, Shape shape, int[] values) {
        return add(name, Dtype.I32, shape, 0, values.length, (chunk, start, count) -> {
            chunk.asIntBuffer().put(values, start, count);
        });
    }

    /** Adds a tensor of type I64. */
    public SafetensorsWriter tensor(String name, Shape shape, long[] values) {
        return add(name, Dtype.I64, shape, 0, values.length, (chunk, start, count) -> {
            chunk.asLongBuffer().put(values, start, count);
        });
    }

    /**
     * Adds a tensor of type F32 that is part of an array.
     *
     * @param first the index of its first element
     * @param count how many elements it has, the product of the shape's extents
     */
    public SafetensorsWriter tensor(String name, Shape shape, float[] values, int first, int count) {
        Objects.checkFromIndexSize(first, count, values.length);
        return add(name, Dtype.F32, shape, first, count, (chunk, start, elements) -> {
            chunk.asFloatBuffer().put(values, start, elements);
        });
    }

    /** As {@link #tensor(String, Shape, float[], int, int)}, of type F64. */
    public SafetensorsWriter tensor(String name, Shape shape, double[] values, int first, int count) {
        Objects.checkFromIndexSize(first, count, values.length);
        return add(name, Dtype.F64, shape, first, count, (chunk, start, elements) -> {
            chunk.asDoubleBuffer().put(values, start, elements);
        });
    }

    /**
     * Creates or replaces a file in one step, see {@link AtomicFile}.
     *
     * @throws IOException when it cannot be written; the old file, if there was one, stays as it was
     */
    public void writeTo(Path file) throws IOException {
        AtomicFile.write(file, this::writeTo);
    }

    /** Writes the file's content to a stream. */
    public void writeTo(OutputStream out) throws IOException {
        List<Pending> ordered = new ArrayList<>(tensors);
        ordered.sort(Comparator.comparing(Pending::dtype)
                .reversed()
                .thenComparing(pending -> pending.name().getBytes(StandardCharsets.UTF_8), Arrays::compareUnsigned));
        byte[] header = header(ordered);
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        out.write(chunk.putLong(header.length).array(), 0, Long.BYTES);
        out.write(header);
        for (Pending tensor : ordered) {
            int elementBytes = tensor.dtype().bits() / 8;
            int most = CHUNK_BYTES / elementBytes;
            for (int done = 0; done < tensor.count(); ) {
                int count = Math.min(most, tensor.count() - done);
                tensor.elements().put(chunk.clear(), tensor.first() + done, count);
                out.write(chunk.array(), 0, count * elementBytes);
                done += count;
            }
        }
    }

    private byte[] header(List<Pending> ordered) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (Writer text = new OutputStreamWriter(bytes, StandardCharsets.UTF_8);
                JsonWriter json = new JsonWriter(text)) {
            json.setHtmlSafe(false);
            json.beginObject();
            if (!metadata.isEmpty()) {
                json.name(SafetensorsHeader.METADATA).beginObject();
                for (Map.Entry<String, String> entry : metadata.entrySet()) {
                    json.name(entry.getKey()).value(entry.getValue());
                }
                json.endObject();
            }
            long offset = 0;
            for (Pending tensor : ordered) {
                long end = offset + (long) tensor.count() * (tensor.dtype().bits() / 8);
                json.name(tensor.name()).beginObject();
                json.name("dtype").value(tensor.dtype().name());
                json.name("shape").beginArray();
                for (int extent : tensor.shape().toArray()) {
                    json.value(extent);
                }
                json.endArray();
                json.name("data_offsets").beginArray().value(offset).value(end).endArray();
                json.endObject();
                offset = end;
            }
            json.endObject();
        }
        while (bytes.size() % Long.BYTES != 0) {
            bytes.write(' ');
        }
        if (bytes.size() > SafetensorsHeader.MAX_BYTES) {
            throw new FormatException("the header of a safetensors file should take at most "
                    + SafetensorsHeader.MAX_BYTES + " bytes but would take " + bytes.size()
                    + "; shorten the names or the metadata");
        }
        return bytes.toByteArray();
    }

    private SafetensorsWriter add(String name, Dtype dtype, Shape shape, int first, int count, Elements elements) {
        requireText("the name of a tensor", name);
        if (name.equals(SafetensorsHeader.METADATA)) {
            throw new IllegalArgumentException("a tensor cannot be named '" + name + "': the format reserves it");
        }
        if (shape.elements() != count) {
            throw new IllegalArgumentException("the tensor '" + name + "' " + shape + " should have " + shape.elements()
                    + " elements but got " + count);
        }
        if (!names.add(name)) {
            throw new IllegalArgumentException("the tensor '" + name + "' was added twice");
        }
        tensors.add(new Pending(name, dtype, shape, first, count, elements));
        return this;
    }

    private static void requireText(String what, String text) {
        if (!SafetensorsHeader.isText(text)) {
            throw new IllegalArgumentException(
                    what + " should be text but " + FormatException.quote(text) + " holds half of a surrogate pair");
        }
    }

    private interface Elements {
        /** Puts {@code count} elements from index {@code start} on at the head of the chunk. */
        void put(ByteBuffer chunk, int start, int count);
    }

    private record Pending(String name, Dtype dtype, Shape shape, int first, int count, Elements elements) {}
}
