package carousel.format;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import java.io.IOException;
import java.io.StringReader;

/** JSON as the standard has it and nothing besides, nested no deeper than what is expected. */
public final class StrictJson {
    private StrictJson() {}

    /**
     * Reads one value with nothing behind it.
     *
     * @throws FormatException when the text is something else, saying after what
     */
    public static JsonElement parse(String text, int maxDepth) throws FormatException {
        JsonReader reader = new JsonReader(new StringReader(text));
        reader.setStrictness(Strictness.STRICT);
        reader.setNestingLimit(maxDepth);
        try {
            JsonElement json = JsonParser.parseReader(reader);
            // Throws where more follows.
            reader.peek();
            return json;
        } catch (JsonParseException | IOException e) {
            // The library's own messages run over several lines.
            throw new FormatException(
                    "it is not JSON of at most " + maxDepth + " levels after "
                            + FormatException.quote(reader.getPath()),
                    e);
        }
    }
}
