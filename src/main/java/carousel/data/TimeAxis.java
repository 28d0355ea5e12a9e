package carousel.data;

import java.time.DayOfWeek;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * The dates of a series: strictly increasing, each as its file has it. The step between them is the one that most have, so
 * that the dates can be continued in their own form; absent rows make gaps and no other step.
 */
public final class TimeAxis {
    private static final long DAY = ChronoUnit.DAYS.getDuration().toMillis() * 1000;

    private enum Unit {
        MONTH,
        WEEKDAY,
        MICROSECOND
    }

    private final List<String> labels;
    private final LocalDateTime[] times;
    private final DateStamp.Form form;
    private final boolean monthEnds;
    /** Null without a step. */
    private Unit unit;

    private long step;
    private int gaps;

    private TimeAxis(List<String> labels, LocalDateTime[] times, DateStamp.Form form) {
        this.labels = labels;
        this.times = times;
        this.form = form;
        boolean allEnds = true;
        for (LocalDateTime time : times) {
            allEnds &= time.toLocalDate().lengthOfMonth() == time.getDayOfMonth();
        }
        this.monthEnds = allEnds;
        findStep();
    }

    /** Whether the first values of a column are dates. */
    static boolean isIn(CsvTable table, int column) {
        if (DateStamp.looksLikeOne(table.cell(0, column))) {
            return true;
        }
        // A year is a number too, so the name must tell.
        String name = table.columnNames().get(column);
        return (name.equalsIgnoreCase("year") || name.equalsIgnoreCase("date"))
                && DateStamp.parse(table.cell(0, column)) != null;
    }

    /** The dates of a column; refuses what is no date, what is out of order, and dates that could be read two ways. */
    static TimeAxis of(CsvTable table, int column) throws DataException {
        int rows = table.rows();
        List<String> labels = new ArrayList<>(rows);
        DateStamp[] stamps = new DateStamp[rows];
        int dayFirst = -1;
        int monthFirst = -1;
        int twoReadings = -1;
        for (int row = 0; row < rows; row++) {
            String cell = table.cell(row, column);
            labels.add(cell);
            stamps[row] = DateStamp.parse(cell);
            if (stamps[row] == null) {
                throw refused(table, row, column, "should hold dates such as 2020-01-31, 2020-01 or 2020-01-31 10:00");
            }
            if (stamps[row].hasTwoReadings()) {
                twoReadings = row;
                dayFirst = stamps[row].first() > 12 ? row : dayFirst;
                monthFirst = stamps[row].second() > 12 ? row : monthFirst;
            }
        }
        if (twoReadings >= 0 && dayFirst < 0 == monthFirst < 0) {
            throw refused(
                    table,
                    twoReadings,
                    column,
                    "should hold dates that tell the day from the month, as 2020-01-31 does,");
        }
        LocalDateTime[] times = new LocalDateTime[rows];
        for (int row = 0; row < rows; row++) {
            if (stamps[row].hasTwoReadings() && monthFirst >= 0) {
                stamps[row] = stamps[row].monthFirst();
            }
            times[row] = stamps[row].time();
            if (times[row] == null) {
                throw refused(table, row, column, "should hold dates that exist");
            }
            if (row > 0 && times[row].isEqual(times[row - 1])) {
                throw refused(
                        table,
                        row,
                        column,
                        "should hold each date once, after that of line " + table.line(row - 1) + ",");
            }
            if (row > 0 && times[row].isBefore(times[row - 1])) {
                throw new DataException(table.at(row) + "the rows should be in the order of their dates but "
                        + DataException.quote(labels.get(row)) + " comes after "
                        + DataException.quote(labels.get(row - 1)) + ": sort them, the oldest first");
            }
        }
        return new TimeAxis(List.copyOf(labels), times, stamps[rows - 1].form());
    }

    private static DataException refused(CsvTable table, int row, int column, String allowed) {
        return new DataException(table.at(row) + "column "
                + DataException.quote(table.columnNames().get(column)) + " " + allowed + " but got "
                + DataException.quote(table.cell(row, column)) + ": correct the date");
    }

    private void findStep() {
        if (times.length < 2) {
            return;
        }
        boolean wholeMonths = true;
        boolean weekdays = true;
        for (LocalDateTime time : times) {
            wholeMonths &= time.toLocalTime().equals(times[0].toLocalTime())
                    && (monthEnds || time.getDayOfMonth() == times[0].getDayOfMonth());
            weekdays &= time.getDayOfWeek() != DayOfWeek.SATURDAY && time.getDayOfWeek() != DayOfWeek.SUNDAY;
        }
        long[] differences = new long[times.length - 1];
        for (int k = 0; k < differences.length; k++) {
            differences[k] = wholeMonths
                    ? 12L * (times[k + 1].getYear() - times[k].getYear())
                            + times[k + 1].getMonthValue()
                            - times[k].getMonthValue()
                    : ChronoUnit.MICROS.between(times[k], times[k + 1]);
        }
        Map<Long, Integer> counts = new HashMap<>();
        long commonest = differences[0];
        for (long difference : differences) {
            int count = counts.merge(difference, 1, Integer::sum);
            if (count > counts.get(commonest)) {
                commonest = difference;
            }
        }
        if (commonest == 0 || 2 * counts.get(commonest) < differences.length) {
            return;
        }
        step = commonest;
        unit = wholeMonths ? Unit.MONTH : Unit.MICROSECOND;
        boolean spansWeekend = ChronoUnit.DAYS.between(times[0], times[times.length - 1]) >= 7;
        if (unit == Unit.MICROSECOND && step == DAY && weekdays && spansWeekend) {
            unit = Unit.WEEKDAY;
        }
        for (int k = 0; k + 1 < times.length; k++) {
            gaps += after(times[k], 1).isEqual(times[k + 1]) ? 0 : 1;
        }
    }

    private LocalDateTime after(LocalDateTime time, int steps) {
        switch (unit) {
            case MONTH -> {
                LocalDateTime later = time.plusMonths(steps * step);
                return monthEnds ? later.withDayOfMonth(later.toLocalDate().lengthOfMonth()) : later;
            }
            case WEEKDAY -> {
                // Five weekdays are a week.
                LocalDateTime later = time.plusWeeks(steps / 5);
                for (int left = steps % 5; left > 0; left--) {
                    later = later.plusDays(later.getDayOfWeek() == DayOfWeek.FRIDAY ? 3 : 1);
                }
                return later;
            }
            default -> {
                return time.plus(Math.multiplyExact(steps, step), ChronoUnit.MICROS);
            }
        }
    }

    /** The dates as the file has them. */
    public List<String> labels() {
        return labels;
    }

    /** Whether more than half of the dates follow each other by the same step. */
    public boolean regular() {
        return unit != null;
    }

    /** How often the next date is not one step later. */
    public int gaps() {
        return gaps;
    }

    /** The step in words: daily, monthly, every 15 minutes; "irregular" without one. */
    public String stepName() {
        if (unit == null) {
            return "irregular";
        }
        if (unit == Unit.WEEKDAY) {
            return "every weekday";
        }
        if (unit == Unit.MONTH) {
            return step == 12
                    ? "yearly"
                    : step == 3 ? "quarterly" : step == 1 ? "monthly" : every(step, 12, "month", "year");
        }
        if (step % DAY == 0) {
            long days = step / DAY;
            return days == 1 ? "daily" : days == 7 ? "weekly" : every(days, 7, "day", "week");
        }
        long hour = DAY / 24;
        long minute = hour / 60;
        long second = minute / 60;
        return step == hour
                ? "hourly"
                : step % hour == 0
                        ? every(step / hour, Long.MAX_VALUE, "hour", "")
                        : step % second == 0
                                ? every(step / second, 60, "second", "minute")
                                : "every " + step + " microseconds";
    }

    private static String every(long count, long larger, String unit, String largerUnit) {
        boolean whole = count % larger == 0;
        long shown = whole ? count / larger : count;
        return "every " + (shown == 1 ? "" : shown + " ") + (whole ? largerUnit : unit) + (shown == 1 ? "" : "s");
    }

    /**
     * How many steps make a season, by the calendar: 12 months, 4 quarters, 7 days or 365 of them, 24 hours. Smallest first;
     * none where no period is usual.
     */
    List<Integer> usualPeriods() {
        if (unit == Unit.MONTH && 12 % step == 0 && step < 12) {
            return List.of((int) (12 / step));
        }
        if (unit == Unit.WEEKDAY) {
            return List.of(5, 261);
        }
        if (unit == Unit.MICROSECOND && step == DAY) {
            return List.of(7, 365);
        }
        if (unit == Unit.MICROSECOND && step == 7 * DAY) {
            return List.of(52);
        }
        if (unit == Unit.MICROSECOND && step < DAY && DAY % step == 0 && DAY / step <= 1 << 20) {
            return List.of((int) (DAY / step), (int) (7 * DAY / step));
        }
        return List.of();
    }

    /**
     * The dates that follow, in the form of the last.
     *
     * @param count 0 or more
     * @return dates; "+1", "+2" and so on where there is no regular step, or past the year 9999
     */
    public List<String> next(int count) {
        List<String> next = new ArrayList<>(count);
        boolean writable = unit != null;
        for (int k = 1; k <= count; k++) {
            LocalDateTime later = writable ? after(times[times.length - 1], k) : null;
            writable = writable && later.getYear() <= 9999 && fits(later);
            next.add(writable ? form.write(later) : "+" + k);
        }
        return next;
    }

    /** Whether the last date's form can say when this is. */
    private boolean fits(LocalDateTime later) {
        return switch (form.precision()) {
            case YEAR -> unit == Unit.MONTH && step % 12 == 0;
            case QUARTER -> unit == Unit.MONTH && step % 3 == 0;
            case MONTH -> unit == Unit.MONTH;
            case DAY -> Objects.equals(later.toLocalTime(), LocalTime.MIDNIGHT);
            case MINUTE, SECOND, FRACTION -> true;
        };
    }
}
