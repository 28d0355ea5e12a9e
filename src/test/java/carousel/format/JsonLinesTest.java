package carousel.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JsonLinesTest {
    @TempDir
    Path folder;

    private Path path;

    @BeforeEach
    void name() {
        path = folder.resolve("metrics.jsonl");
    }

    @Test
    void fieldsKeepTheirOrderAndNumbersWithoutAJsonFormAreNull() throws IOException {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("step", 200L);
        fields.put("loss", 0.1f);
        fields.put("accuracy", 0.30000000000000004);
        fields.put("nan", Double.NaN);
        fields.put("infinite", Float.NEGATIVE_INFINITY);
        fields.put("absent", null);
        fields.put("done", true);
        fields.put("text", "Zürich <é> \"\n\u0001\ud83c\udfa0");
        fields.put("list", List.of(1, Double.POSITIVE_INFINITY));
        fields.put("array", new double[] {0.5, Double.NaN});
        try (JsonLines lines = JsonLines.create(path)) {
            lines.write(fields);
        }
        String expected = "{\"step\":200,\"loss\":0.1,\"accuracy\":0.30000000000000004,\"nan\":null,\"infinite\":null,"
                + "\"absent\":null,\"done\":true,\"text\":\"Zürich <é> \\\"\\n\\u0001\ud83c\udfa0\",\"list\":[1,null],"
                + "\"array\":[0.5,null]}\n";
        assertEquals(expected, Files.readString(path));
        JsonObject read = JsonLines.read(path).get(0);
        assertEquals(fields.get("text"), read.get("text").getAsString());
        assertEquals(0.30000000000000004, read.get("accuracy").getAsDouble());
        assertTrue(read.get("nan").isJsonNull());
    }

    @Test
    void everyLineIsInTheFileAtOnce() throws IOException {
        try (JsonLines lines = JsonLines.create(path)) {
            assertEquals("", Files.readString(path));
            lines.write(Map.of("step", 1));
            assertEquals("{\"step\":1}\n", Files.readString(path));
            lines.write(Map.of("step", 2));
            assertEquals("{\"step\":1}\n{\"step\":2}\n", Files.readString(path));
        }
    }

    @Test
    void createStartsAnewAndAppendGoesOn() throws IOException {
        try (JsonLines lines = JsonLines.append(path)) {
            lines.write(Map.of("step", 1));
        }
        try (JsonLines lines = JsonLines.append(path)) {
            lines.write(Map.of("step", 2));
        }
        assertEquals(List.of(1, 2), steps());
        JsonLines.create(path).close();
        assertEquals(List.of(), steps());
    }

    @Test
    void aLastLineCutAnywhereIsCutOff() throws IOException {
        byte[] lines = "{\"step\":1}\n{\"step\":2,\"é\":\"x\"}\n".getBytes(StandardCharsets.UTF_8);
        int first = "{\"step\":1}\n".length();
        for (int length = 0; length <= lines.length; length++) {
            Files.write(path, Arrays.copyOf(lines, length));
            List<Integer> complete = length < first ? List.of() : length < lines.length ? List.of(1) : List.of(1, 2);
            assertEquals(complete, steps(), "read, length " + length);
            try (JsonLines appended = JsonLines.append(path)) {
                appended.write(Map.of("step", 9));
            }
            List<Integer> expected = new ArrayList<>(complete);
            expected.add(9);
            assertEquals(expected, steps(), "appended, length " + length);
        }
    }

    @Test
    void aLongPartialLineIsCutOff() throws IOException {
        for (int length : new int[] {8191, 8192, 8193, 50_000}) {
            Files.writeString(path, "{\"step\":1}\n" + "x".repeat(length));
            JsonLines.append(path).close();
            assertEquals("{\"step\":1}\n", Files.readString(path));
            Files.writeString(path, "x".repeat(length));
            JsonLines.append(path).close();
            assertEquals("", Files.readString(path));
        }
    }

    @Test
    void truncatingKeepsTheLinesUpToAStep() throws IOException {
        String kept = "{\"run\":\"a\"}\n{\"step\":1}\n{\"step\":2}\n{\"epoch\":1}\n";
        Files.writeString(path, kept + "{\"step\":3}\n{\"epoch\":2}\n{\"step\":4}\n{\"st");
        try (JsonLines lines = JsonLines.append(path)) {
            lines.truncateAfter(2);
            assertEquals(kept, Files.readString(path));
            lines.write(Map.of("step", 3));
        }
        assertEquals(kept + "{\"step\":3}\n", Files.readString(path));
        try (JsonLines lines = JsonLines.append(path)) {
            lines.truncateAfter(100);
            assertEquals(kept + "{\"step\":3}\n", Files.readString(path));
            lines.truncateAfter(-1);
            assertEquals("{\"run\":\"a\"}\n", Files.readString(path));
        }
    }

    @Test
    void aStepThatIsNoNumberDoesNotCount() throws IOException {
        String kept = "{\"step\":\"9\"}\n{\"step\":null}\n{\"step\":[9]}\n{\"step\":1e0}\n";
        Files.writeString(path, kept + "{\"step\":1e99}\n");
        try (JsonLines lines = JsonLines.append(path)) {
            lines.truncateAfter(1);
        }
        assertEquals(kept, Files.readString(path));
    }

    @Test
    void aLineThatIsNoObjectIsASentenceAndStays() throws IOException {
        for (String bad : List.of("", "1", "[]", "{\"step\":}", "{'step':1}", "{\"a\":1} x", "nul", "\u0000\u0000")) {
            String content = "{\"step\":1}\n" + bad + "\n{\"step\":2}\n";
            Files.writeString(path, content);
            FormatException failure = assertThrows(FormatException.class, () -> JsonLines.read(path), bad);
            assertEquals(
                    "line 2 of '" + path + "' should be a JSON object but is " + FormatException.quote(bad),
                    failure.getMessage());
            try (JsonLines lines = JsonLines.append(path)) {
                assertEquals(
                        failure.getMessage(),
                        assertThrows(FormatException.class, () -> lines.truncateAfter(1))
                                .getMessage());
                assertEquals(content, Files.readString(path));
                lines.write(Map.of("step", 3));
            }
            assertEquals(content + "{\"step\":3}\n", Files.readString(path));
        }
    }

    @Test
    void aLineThatIsNotUtf8IsASentence() throws IOException {
        Files.write(path, new byte[] {'{', '"', (byte) 0xFF, '"', ':', '1', '}', '\n'});
        FormatException failure = assertThrows(FormatException.class, () -> JsonLines.read(path));
        assertEquals("line 1 of '" + path + "' is not valid UTF-8 text", failure.getMessage());
    }

    @Test
    void aFileThatCannotBeOpenedIsASentence() {
        IOException failure = assertThrows(IOException.class, () -> JsonLines.append(folder));
        assertEquals(
                "cannot write '" + folder + "': it could not be opened: it is a folder and not a file",
                failure.getMessage());
    }

    private List<Integer> steps() throws IOException {
        return JsonLines.read(path).stream()
                .map(line -> line.get("step").getAsInt())
                .toList();
    }
}
