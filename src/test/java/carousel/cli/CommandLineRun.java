package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;

/** What a command printed and returned, run in this process. */
record CommandLineRun(int code, String out, String err) {
    static CommandLineRun of(Object... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        String[] texts = new String[arguments.length];
        for (int k = 0; k < texts.length; k++) {
            texts[k] = String.valueOf(arguments[k]);
        }
        int code = Main.run(new PrintWriter(out), new PrintWriter(err), texts);
        return new CommandLineRun(code, out.toString(), err.toString());
    }

    CommandLineRun succeeds() {
        assertEquals(0, code, this::toString);
        assertEquals("", err, this::toString);
        return this;
    }

    /** That it failed with this code and one sentence that has all these parts. */
    void failsWith(int expected, String... parts) {
        assertEquals(expected, code, this::toString);
        assertEquals(1, err.strip().lines().count(), () -> "one sentence on one line, but: " + err);
        assertTrue(err.startsWith("carousel: "), err);
        assertFalse(err.contains("internal error"), err);
        assertFalse(err.contains("Exception"), err);
        for (String part : parts) {
            assertTrue(err.contains(part), () -> "'" + part + "' is not in: " + err);
        }
    }
}
