package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.golden.PublishedData;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SeriesTest {
    private static final String WEATHER =
            "day,rain,temp,wind\n2020-01-30,0,5,calm\n2020-01-31,2,,calm\n2020-02-01,1,7,storm\n";

    @Test
    void readsChosenColumns() throws DataException {
        Series series = read(WEATHER, List.of("temp"), null);
        assertEquals(List.of("temp", "rain"), series.columnNames());
        assertEquals(List.of(0), series.targets());
        assertEquals(List.of(1, 0), series.inputs(), "features are in the file's order");
        assertArrayEquals(new double[] {5, Double.NaN, 7}, series.values(0));
        assertEquals(1, series.missing());
        assertEquals("2020-01-31", series.label(1));
        assertEquals(List.of("2020-02-02", "2020-02-03"), series.nextLabels(2));
        assertEquals("daily", series.times().stepName());

        Series both = read(WEATHER, List.of("2", "temp"), List.of("2"));
        assertEquals(List.of(0, 1), both.targets());
        assertEquals(List.of(0), both.inputs());
    }

    @Test
    void theOnlyColumnOfNumbersIsTheTarget() throws DataException {
        Series series = read("value\n3\n4\n", null, null);
        assertEquals(List.of(0), series.targets());
        assertEquals(series.targets(), series.inputs());
        assertNull(series.times());
        assertEquals("2", series.label(1));
        assertEquals(List.of("3", "4"), series.nextLabels(2));
        assertRefused(DataException.class, () -> read(WEATHER, null, null), "one column of numbers", "'rain', 'temp'");
        assertRefused(DataException.class, () -> read("a,b\nx,y\n", null, null), "has none");
    }

    @Test
    void refusesColumnsThatCannotBeForecast() {
        assertRefused(DataException.class, () -> read(WEATHER, List.of("day"), null), "has dates in column 'day'");
        assertRefused(DataException.class, () -> read(WEATHER, List.of("wind"), null), "line 2", "'wind'", "'calm'");
        assertRefused(DataException.class, () -> read("a,b\n1,\n2,NA\n", List.of("b"), null), "numbers in column 'b'");
        assertRefused(DataException.class, () -> read("a,b\n1,2\n2\n", List.of("b"), null), "line 3", "has 1");
        assertThrows(IllegalArgumentException.class, () -> read(WEATHER, List.of(), null));
        assertThrows(IllegalArgumentException.class, () -> Series.of("empty"));
        assertThrows(IllegalArgumentException.class, () -> Series.of("huge", 1, 1e300));
    }

    @ParameterizedTest
    @CsvSource({
        "2020-11, 2020-12, monthly, 2021-01 2021-02",
        "2019-07, 2020-01, every 6 months, 2020-07 2021-01",
        "1999, 2000, yearly, 2001 2002",
        "2020Q3, 2020Q4, quarterly, 2021Q1 2021Q2",
        "2020-02-28, 2020-02-29, daily, 2020-03-01 2020-03-02",
        "2020-02-22, 2020-02-29, weekly, 2020-03-07 2020-03-14",
        "2020-01-31, 2020-02-29, monthly, 2020-03-31 2020-04-30",
        "2020/1/30, 2020/1/31, daily, 2020/2/1 2020/2/2",
        "30.12.2020, 31.12.2020, daily, 01.01.2021 02.01.2021",
        "12/30/2020, 12/31/2020, daily, 01/01/2021 01/02/2021",
        "30/12/2020, 31/12/2020, daily, 01/01/2021 02/01/2021",
        "2020-12-31 22:00, 2020-12-31 23:00, hourly, 2021-01-01 00:00|2021-01-01 01:00",
        "2020-12-31T23:30:00Z, 2020-12-31T23:45:00Z, every 15 minutes, 2021-01-01T00:00:00Z 2021-01-01T00:15:00Z",
        "2020-12-31T23:30:00+01:00, 2021-01-01T00:30:00+01:00, hourly, 2021-01-01T01:30:00+01:00 2021-01-01T02:30:00+01:00",
        "2020-01-01 00:00:00.25, 2020-01-01 00:00:00.50, every 250000 microseconds, "
                + "2020-01-01 00:00:00.75|2020-01-01 00:00:01.00",
        "9998, 9999, yearly, +1 +2"
    })
    void continuesDatesInTheirForm(String first, String second, String step, String next) throws DataException {
        Series series = read("date,v\n" + first + ",1\n" + second + ",2\n", List.of("v"), List.of("v"));
        assertEquals(step, series.times().stepName());
        assertEquals(0, series.times().gaps());
        assertEquals(List.of(next.split(next.contains("|") ? "\\|" : " ")), series.nextLabels(2));
    }

    @Test
    void datesEndWithTheYear9999() throws DataException {
        List<String> next = read("year,v\n4000,1\n7000,2\n", List.of("v"), null).nextLabels(1_000_000);
        assertEquals("+1", next.get(0));
        assertEquals("+1000000", next.get(999_999));
        assertEquals(
                List.of("9999-12-31", "+2"),
                read("d,v\n9999-12-29,1\n9999-12-30,2\n", null, null).nextLabels(2));
    }

    @Test
    void weekendsAreNoGaps() throws DataException {
        Series series = read(
                "d,v\n2020-01-02,1\n2020-01-03,2\n2020-01-06,3\n2020-01-07,3\n2020-01-08,3\n2020-01-09,3\n2020-01-10,3\n",
                null,
                null);
        assertEquals("every weekday", series.times().stepName());
        assertEquals(0, series.times().gaps());
        assertEquals(List.of("2020-01-13", "2020-01-14"), series.nextLabels(2));
        assertEquals("2020-01-20", series.nextLabels(6).get(5));
    }

    @Test
    void absentRowsAreGapsAndIrregularDatesHaveNoStep() throws DataException {
        Series gap = read("d,v\n2020-01-01,1\n2020-01-02,2\n2020-01-04,3\n2020-01-05,3\n", null, null);
        assertEquals("daily", gap.times().stepName());
        assertEquals(1, gap.times().gaps());
        Series irregular = read("d,v\n2020-01-01,1\n2020-01-02,2\n2020-01-04,3\n2020-01-09,3\n", null, null);
        assertFalse(irregular.times().regular());
        assertEquals(List.of("+1"), irregular.nextLabels(1));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "2020-01-02|2020-01-01|sort them",
                "2020-01-02|2020-01-02|each date once",
                "2020-01-02|2020-02-30|dates that exist",
                "2020-01-02|2020-13-01|dates that exist",
                "2020-01-02|tomorrow|such as 2020-01-31",
                "2020-01-02||such as 2020-01-31",
                "01/02/2020|01/03/2020|tell the day from the month",
                "13/01/2020|01/13/2020|tell the day from the month",
                "2020-01-01T00:00Z|2020-01-01T01:00+01:00|each date once",
                "2020-01-01 00:00|2020-01-01 25:00|such as 2020-01-31"
            })
    void refusesDatesThatAreBadOrOutOfOrder(String dates) {
        String[] parts = dates.split("\\|");
        assertRefused(
                DataException.class,
                () -> read("date,v\n" + parts[0] + ",1\n" + parts[1] + ",2\n", List.of("v"), null),
                "line 3",
                parts[2]);
    }

    @Test
    void missingValuesAreFilledFromTheirOwnSide() {
        double nan = Double.NaN;
        double[] values = {nan, 2, nan, nan, 8, nan};
        double[] line = values.clone();
        assertTrue(MissingValues.INTERPOLATE.fill(line, 0, 6));
        assertArrayEquals(new double[] {2, 2, 4, 6, 8, 8}, line, 1e-12);
        double[] before = values.clone();
        assertTrue(MissingValues.PREVIOUS.fill(before, 0, 6));
        assertArrayEquals(new double[] {2, 2, 2, 2, 8, 8}, before);
        double[] part = values.clone();
        assertTrue(MissingValues.INTERPOLATE.fill(part, 0, 3));
        assertArrayEquals(new double[] {2, 2, 2, nan, 8, nan}, part, "the 8 is past the part's end");
        assertFalse(MissingValues.PREVIOUS.fill(new double[] {nan, nan}, 0, 2));
    }

    @Test
    void readsPublishedSeries() throws IOException {
        Series airline = Series.read(PublishedData.file("series", "airline-passengers.csv"), Series.Columns.DETECTED);
        assertEquals(List.of("Passengers"), airline.columnNames());
        assertEquals(144, airline.length());
        assertEquals(112, airline.value(0, 0));
        assertEquals(432, airline.value(0, 143));
        assertEquals("monthly", airline.times().stepName());
        assertEquals(0, airline.times().gaps());
        assertEquals(List.of("1961-01", "1961-02"), airline.nextLabels(2));

        Series temperatures =
                Series.read(PublishedData.file("series", "daily-min-temperatures.csv"), Series.Columns.DETECTED);
        assertEquals(3650, temperatures.length());
        assertEquals(0, temperatures.missing());
        assertEquals("daily", temperatures.times().stepName());
        assertEquals(2, temperatures.times().gaps(), "31 December 1984 and 1988 are absent");
        assertEquals(List.of("1991-01-01"), temperatures.nextLabels(1));
    }

    private static Series read(String text, List<String> targets, List<String> inputs) throws DataException {
        Series.Columns columns = new Series.Columns(CsvOptions.DETECTED, null, targets, inputs);
        return Series.of(CsvTableTest.table(text), "test", columns);
    }
}
