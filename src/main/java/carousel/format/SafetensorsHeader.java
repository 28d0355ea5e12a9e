package carousel.format;

import carousel.format.SafetensorsFile.Entry;
import carousel.tensor.Shape;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonToken;
import com.google.gson.stream.MalformedJsonException;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The JSON at the head of a safetensors file, checked in full: after it, every tensor's bytes lie inside the file,
 * agree with its shape and type, and belong to no other tensor.
 */
final class SafetensorsHeader {
    /** The limit of the reference implementation, in bytes. */
    static final int MAX_BYTES = 100_000_000;

    /** The header {@code {}}. */
    static final int MIN_BYTES = 2;

    static final String METADATA = "__metadata__";

    /** A tensor of the format nests three deep; what else an entry may hold, which is skipped, needs not much more. */
    private static final int MAX_DEPTH = 16;

    private final Path path;
    private final long dataBytes;
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Entry> tensors = new LinkedHashMap<>();

    private SafetensorsHeader(Path path, long dataBytes) {
        this.path = path;
        this.dataBytes = dataBytes;
    }

    /**
     * Reads and checks a header.
     *
     * @param path for messages only
     * @param dataBytes how many bytes follow the header
     */
    static SafetensorsHeader parse(Path path, byte[] json, long dataBytes) throws FormatException {
        SafetensorsHeader header = new SafetensorsHeader(path, dataBytes);
        if (json[0] != '{') {
            throw header.invalid("its header should begin with '{' but begins with the byte " + (json[0] & 0xFF));
        }
        JsonReader reader = new JsonReader(
                new InputStreamReader(new ByteArrayInputStream(json), StandardCharsets.UTF_8.newDecoder()));
        reader.setStrictness(Strictness.STRICT);
        reader.setNestingLimit(MAX_DEPTH);
        try {
            header.readAll(reader);
        } catch (FormatException e) {
            throw e;
        } catch (CharacterCodingException e) {
            throw header.invalid("its header is not valid UTF-8 text", e);
        } catch (EOFException e) {
            throw header.invalid("its header ends in the middle of the JSON text", e);
        } catch (MalformedJsonException e) {
            throw header.invalid(
                    "its header is not JSON of at most " + MAX_DEPTH + " levels after "
                            + FormatException.quote(reader.getPath()),
                    e);
        } catch (IOException | IllegalStateException | NumberFormatException e) {
            throw header.invalid(
                    "its header does not follow the format at " + FormatException.quote(reader.getPath()), e);
        }
        header.requireTiling();
        return header;
    }

    Map<String, String> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /** In the order of their data. */
    Map<String, Entry> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    private void readAll(JsonReader reader) throws IOException {
        List<Entry> entries = new ArrayList<>();
        Set<String> names = new HashSet<>();
        reader.beginObject();
        while (reader.hasNext()) {
            String name = text(reader.nextName());
            if (!names.add(name)) {
                throw invalid("its header names " + FormatException.quote(name) + " twice");
            }
            if (name.equals(METADATA)) {
                readMetadata(reader);
            } else {
                entries.add(readEntry(reader, name));
            }
        }
        reader.endObject();
        if (reader.peek() != JsonToken.END_DOCUMENT) {
            throw invalid("its header goes on after the JSON object");
        }
        entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
        entries.forEach(entry -> tensors.put(entry.name(), entry));
    }

    private void readMetadata(JsonReader reader) throws IOException {
        require(reader, JsonToken.BEGIN_OBJECT, "its " + METADATA);
        reader.beginObject();
        while (reader.hasNext()) {
            String key = text(reader.nextName());
            require(reader, JsonToken.STRING, "its metadata " + FormatException.quote(key));
            if (metadata.put(key, text(reader.nextString())) != null) {
                throw invalid("its metadata name " + FormatException.quote(key) + " twice");
            }
        }
        reader.endObject();
    }

    private Entry readEntry(JsonReader reader, String name) throws IOException {
        String tensor = "tensor " + FormatException.quote(name);
        Dtype dtype = null;
        long[] extents = null;
        long[] offsets = null;
        require(reader, JsonToken.BEGIN_OBJECT, tensor);
        reader.beginObject();
        while (reader.hasNext()) {
            String field = reader.nextName();
            boolean repeated = false;
            switch (field) {
                case "dtype" -> {
                    repeated = dtype != null;
                    require(reader, JsonToken.STRING, "the dtype of " + tensor);
                    dtype = dtype(tensor, reader.nextString());
                }
                case "shape" -> {
                    repeated = extents != null;
                    extents = readNumbers(reader, "the shape of " + tensor);
                }
                case "data_offsets" -> {
                    repeated = offsets != null;
                    offsets = readNumbers(reader, "the data_offsets of " + tensor);
                }
                // The reference implementation passes over what it does not know, and so does this one.
                default -> reader.skipValue();
            }
            if (repeated) {
                throw invalid("the " + field + " of " + tensor + " is given twice");
            }
        }
        reader.endObject();
        requirePresent(dtype, "dtype", tensor);
        requirePresent(extents, "shape", tensor);
        requirePresent(offsets, "data_offsets", tensor);
        return entry(name, tensor, dtype, extents, offsets);
    }

    private Entry entry(String name, String tensor, Dtype dtype, long[] extents, long[] offsets)
            throws FormatException {
        if (offsets.length != 2) {
            throw invalid("the data_offsets of " + tensor + " should be a begin and an end but are " + shown(offsets));
        }
        long begin = offsets[0];
        long end = offsets[1];
        if (begin > end) {
            throw invalid(
                    "the data_offsets of " + tensor + " should not end before they begin but are " + shown(offsets));
        }
        if (end > dataBytes) {
            throw invalid("the data_offsets of " + tensor + " should be in the [0, " + dataBytes + "] range but are "
                    + shown(offsets) + ", so the file may be cut short; copy or download it again");
        }
        int[] shape = new int[extents.length];
        long bits = dtype.bits();
        for (int k = 0; k < extents.length; k++) {
            if (extents[k] > Integer.MAX_VALUE) {
                throw invalid("the extents of " + tensor + " should be in the [0, " + Integer.MAX_VALUE
                        + "] range but are " + shown(extents));
            }
            shape[k] = (int) extents[k];
            // No honest product overflows: the data would have to be larger than any file.
            if (Math.multiplyHigh(bits, extents[k]) != 0 || bits * extents[k] < 0) {
                throw invalid("the shape " + shown(extents) + " of " + tensor + " has more than 2^63 bits");
            }
            bits *= extents[k];
        }
        if (bits % 8 != 0 || bits / 8 != end - begin) {
            throw invalid("the shape " + shown(extents) + " of " + tensor + " takes " + bits + " bits as " + dtype
                    + " but its data_offsets " + shown(offsets) + " hold " + (end - begin) + " bytes");
        }
        return new Entry(name, dtype, Shape.of(shape), begin, end);
    }

    private Dtype dtype(String tensor, String name) throws FormatException {
        for (Dtype dtype : Dtype.values()) {
            if (dtype.name().equals(name)) {
                return dtype;
            }
        }
        throw invalid("the dtype of " + tensor + " should be one of " + Arrays.toString(Dtype.values()) + " but is "
                + FormatException.quote(name));
    }

    /** Whole numbers of 0 or more, written with digits only. */
    private long[] readNumbers(JsonReader reader, String what) throws IOException {
        require(reader, JsonToken.BEGIN_ARRAY, what);
        long[] numbers = new long[4];
        int count = 0;
        String element = "an element of " + what;
        reader.beginArray();
        while (reader.hasNext()) {
            require(reader, JsonToken.NUMBER, element);
            String digits = reader.nextString();
            if (count == numbers.length) {
                numbers = Arrays.copyOf(numbers, 2 * count);
            }
            numbers[count++] = number(digits, what);
        }
        reader.endArray();
        return Arrays.copyOf(numbers, count);
    }

    private long number(String digits, String what) throws FormatException {
        try {
            // The parser would take a sign, which is not part of a whole number here.
            if (digits.charAt(0) != '-') {
                return Long.parseLong(digits);
            }
        } catch (NumberFormatException notWhole) {
            // The same sentence serves.
        }
        throw invalid("the elements of " + what + " should be whole numbers in the [0, 2^63 - 1] range but one is "
                + FormatException.quote(digits));
    }

    /** The tensors, in the order of their data, cover all of it and none of it twice. */
    private void requireTiling() throws FormatException {
        long covered = 0;
        String previous = "the header";
        for (Entry entry : tensors.values()) {
            String tensor = "tensor " + FormatException.quote(entry.name());
            if (entry.begin() < covered) {
                throw invalid(tensor + " at bytes [" + entry.begin() + ", " + entry.end() + ") overlaps " + previous
                        + ", which ends at byte " + covered);
            }
            if (entry.begin() > covered) {
                throw invalid("no tensor holds the bytes [" + covered + ", " + entry.begin() + ") between " + previous
                        + " and " + tensor);
            }
            covered = entry.end();
            previous = tensor;
        }
        if (covered != dataBytes) {
            throw invalid("no tensor holds its last bytes [" + covered + ", " + dataBytes + ")");
        }
    }

    /** JSON can spell half of a surrogate pair, which is no character and could not be written again. */
    private String text(String text) throws FormatException {
        if (!isText(text)) {
            throw invalid("the text " + FormatException.quote(text) + " in its header holds half of a surrogate pair");
        }
        return text;
    }

    static boolean isText(String text) {
        for (int k = 0; k < text.length(); k++) {
            char c = text.charAt(k);
            if (Character.isSurrogate(c)) {
                boolean pair = k + 1 < text.length() && Character.isSurrogatePair(c, text.charAt(k + 1));
                if (!pair) {
                    return false;
                }
                k++;
            }
        }
        return true;
    }

    private void require(JsonReader reader, JsonToken expected, String what) throws IOException {
        JsonToken actual = reader.peek();
        if (actual != expected) {
            throw invalid(what + " should be " + kind(expected) + " but is " + kind(actual));
        }
    }

    private void requirePresent(Object value, String field, String tensor) throws FormatException {
        if (value == null) {
            throw invalid(tensor + " has no " + field);
        }
    }

    private static String kind(JsonToken token) {
        return switch (token) {
            case BEGIN_OBJECT -> "an object";
            case BEGIN_ARRAY -> "an array";
            case STRING -> "a string";
            case NUMBER -> "a number";
            case BOOLEAN -> "true or false";
            case NULL -> "null";
            default -> "missing";
        };
    }

    private static String shown(long[] numbers) {
        int most = 8;
        if (numbers.length <= most) {
            return Arrays.toString(numbers);
        }
        String first = Arrays.toString(Arrays.copyOf(numbers, most));
        return first.substring(0, first.length() - 1) + ", ... " + numbers.length + " numbers]";
    }

    private FormatException invalid(String why) {
        return invalid(why, null);
    }

    private FormatException invalid(String why, Throwable cause) {
        return new FormatException("'" + path + "' is not a valid safetensors file: " + why, cause);
    }
}
