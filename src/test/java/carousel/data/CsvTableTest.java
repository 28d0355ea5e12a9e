package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CsvTableTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "a,b\n1,2.5\n3,\n",
                "a;b\n1;2.5\n3;\n",
                "a\tb\n1\t2.5\n3\tNA",
                "a,b\r\n1,2.5\r\n3,?\r\n",
                "a,b\r1,2.5\r3,null",
                "\uFEFF\"a\",\"b\"\n\"1\",\"2.5\"\n\"3\",\"\"\n",
                "\n\na, b\n  1 , 2.5\n\n3,nan\n,\n , \n",
                "a; b\n1; 2,5\n3; N/A\n",
                "a,\"b\"\n1, \"2.5\" \n+3.0e0,None\n",
                "a\t\"b\"\n1\t0,25e1\n3\t"
            })
    void readsTheSameTableHoweverItIsWritten(String text) throws DataException {
        CsvTable table = table(text);
        assertTrue(table.header());
        assertEquals(List.of("a", "b"), table.columnNames());
        assertEquals(2, table.rows());
        assertEquals(1, table.number(0, 0));
        assertEquals(2.5, table.number(0, 1));
        assertEquals(3, table.number(1, 0));
        assertTrue(table.isMissing(1, 1));
        assertEquals(Double.NaN, table.number(1, 1));
        table.requireEqualWidths();
    }

    @Test
    void quotedFieldsHoldSeparatorsAndQuotes() throws DataException {
        CsvTable table = table("name,value\n\"a, \"\"b\"\"\",1\nplain \"x\",2\n");
        assertEquals("a, \"b\"", table.cell(0, 0));
        assertEquals("plain \"x\"", table.cell(1, 0));
        assertEquals("", table.cell(1, 7));
    }

    @Test
    void tellsAHeaderFromData() throws DataException {
        assertFalse(table("1,2\n3,4\n").header());
        assertFalse(table("2020-01-01,2\n2020-01-02,4\n").header());
        assertFalse(table("circle,1.5,2\nsquare,3,4\n").header());
        assertFalse(table("NA,NA\n3,4\n").header());
        assertTrue(table("when,\n2020-01-01,4\n").header());
        assertTrue(table("label,0,1,2\n3,4.5,1,2\n").header(), "numbers that count the columns are names");
        assertFalse(table("circle,1,2,3\nsquare,4.5,1,2\n").header(), "a class and its values may count too");
        assertTrue(table("label,1,2,3,4,5,6,7,8\ncircle,4.5,1,2,1,1,1,1,1\n").header());
        assertFalse(table("label,0,2,1\n3,4.5,1,2\n").header());
        assertEquals(List.of("column 1", "column 2"), table("1,2\n3,4\n").columnNames());
        CsvTable told = CsvTable.parse(
                "told.csv", "x,y\nz,w\n".getBytes(StandardCharsets.UTF_8), new CsvOptions(',', false, '.'));
        assertEquals(2, told.rows());
    }

    @Test
    void decimalCommaNeedsAnotherSeparator() throws DataException {
        assertEquals(2, table("1,5\n2,5\n").columns());
        CsvTable table = table("1,5;2\n-0,5;3\n");
        assertEquals(',', table.decimalMark());
        assertEquals(-0.5, table.number(1, 0));
        assertRefused(
                DataException.class,
                () -> table("1,5;2\n2,5;3.5\n").number(1, 1),
                "line 2",
                "a comma for the decimals but got '3.5'");
    }

    @Test
    void findsColumnsByNameAndByNumber() throws DataException {
        CsvTable table = CsvTable.parse(
                "test.csv", "a,b,b,2\n1,2,3,4\n".getBytes(StandardCharsets.UTF_8), new CsvOptions(null, true, null));
        assertEquals(0, table.column("a"));
        assertEquals(2, table.column("3"));
        assertEquals(3, table.column("2"), "a name goes before a number");
        assertRefused(DataException.class, () -> table.column("b"), "several columns named 'b'");
        assertRefused(DataException.class, () -> table.column("c"), "'c'", "'a', 'b', 'b', '2'", "[1, 4]");
        assertRefused(DataException.class, () -> table.column("0"), "[1, 4]");
        assertRefused(DataException.class, () -> table.column("99999999999"), "[1, 4]");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"x", "1 000", "1,000", "1d", "0x10", "0x1p3", "Infinity", "--1", "1e", "e5", ".", "1.2.3", "12%"
            })
    void refusesTextInAColumnOfNumbers(String text) throws DataException {
        CsvTable table = table("a;b\n1;1\n2;" + text + "\n3;2.5\n4;2.5");
        assertRefused(DataException.class, () -> table.number(1, 1), "line 3", "'b'", "'" + text + "'");
    }

    @Test
    void refusesNumbersPastTheRangeOfAFloat() throws DataException {
        CsvTable table = table("a\n3.4e38\n-3.5e38\n1e999\n" + "9".repeat(400) + "\n1e-999\n");
        assertEquals(3.4e38, table.number(0, 0));
        for (int row = 1; row < 4; row++) {
            int bad = row;
            assertRefused(DataException.class, () -> table.number(bad, 0), "line " + (row + 2), "3.4e38");
        }
        assertEquals(0, table.number(4, 0));
    }

    @Test
    void refusesWhatIsNoTable() {
        refused("", "nothing");
        refused("\n\n", "nothing");
        refused("a,b\n", "only a header");
        refused("a,b\n1,\"2\"3\n", "line 2", "closing quote");
        refused("a,b\n1,2\n\"3,4\n5,6\n", "line 3", "one line of text");
        refused("a,b\n1,2\n\"" + "x".repeat(5000), "line 3", "at most 4096 characters");
        refused("a,b\n1,2\n3," + "4".repeat(4097) + "\n", "line 3", "at most 4096 characters");
        refused("a,b\n1,\u0000\n", "line 2", "\\u0000");
        refused("a,b\n1,\u001b[2J\n", "line 2", "\\u001b");
        refused("a,b\u001b\n1,2\n", "line 1", "\\u001b");
        refused(",".repeat((1 << 20) + 10), "line 1", "1048576 fields");
        assertRefused(
                DataException.class,
                () -> CsvTable.parse(
                        "bad.csv", "a,b\n1,2\n3,\u00e9\n".getBytes(StandardCharsets.ISO_8859_1), CsvOptions.DETECTED),
                "bad.csv, line 3",
                "0xe9",
                "UTF-8");
    }

    @Test
    void refusesRowsOfDifferentWidths() throws DataException {
        CsvTable table = table("a,b,c\n1,2,3\n1,2\n");
        assertRefused(DataException.class, table::requireEqualWidths, "line 3", "3 fields", "has 2");
        CsvTable wider = table("a,b\n1,2\n1,2,3\n");
        assertRefused(DataException.class, wider::requireEqualWidths, "line 3", "2 fields", "has 3");
    }

    @Test
    void refusesWhatIsNoFile() throws IOException {
        assertRefused(
                DataException.class,
                () -> CsvTable.read(folder.resolve("none.csv"), CsvOptions.DETECTED),
                "none.csv does not exist");
        assertRefused(DataException.class, () -> CsvTable.read(folder, CsvOptions.DETECTED), "is a folder");
        Path file = Files.writeString(folder.resolve("some.csv"), "1\n2\n");
        assertEquals(2, CsvTable.read(file, CsvOptions.DETECTED).rows());
    }

    @Test
    void refusesOptionsThatAreNone() {
        assertThrows(IllegalArgumentException.class, () -> new CsvOptions('|', null, null));
        assertThrows(IllegalArgumentException.class, () -> new CsvOptions(null, null, ';'));
    }

    private static void refused(String text, String... parts) {
        assertRefused(DataException.class, () -> table(text), parts);
    }

    static CsvTable table(String text) throws DataException {
        return CsvTable.parse("test.csv", text.getBytes(StandardCharsets.UTF_8), CsvOptions.DETECTED);
    }
}
