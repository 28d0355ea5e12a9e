package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

class LinesTest {
    @Test
    void eachIsKeptOnceAndTheFirstIsForgotten() {
        Lines lines = new Lines();
        assertTrue(lines.add("one"));
        assertTrue(lines.add("two"));
        assertFalse(lines.add("one"));
        assertEquals(List.of("one", "two"), lines.all());
        for (int k = 2; k <= Lines.MOST; k++) {
            assertTrue(lines.add("line " + k));
        }
        assertEquals(Lines.MOST, lines.all().size());
        assertEquals("two", lines.all().get(0));
        assertTrue(lines.add("one"));
    }
}
