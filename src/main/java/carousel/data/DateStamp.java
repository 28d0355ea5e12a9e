package carousel.data;

import java.time.DateTimeException;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A date with or without a time, and the form it is written in: {@code 2020-01-31}, {@code 2020/01/31}, {@code 2020-01},
 * {@code 2020}, {@code 2020Q1}, {@code 31.01.2020}, {@code 31/01/2020} or {@code 01/31/2020}, each full date also with a time
 * ({@code 10:30}, {@code 10:30:05}, {@code 10:30:05.25}) after a blank or T, and then with a zone offset ({@code Z},
 * {@code +01:00}).
 */
final class DateStamp {
    /** No date is longer. */
    private static final int LONGEST = 40;

    private static final String TIME =
            "(?:([T ])(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:[.,](\\d{1,9}))?)?(?: ?(Z|[+-]\\d{2}:?\\d{2}))?)?";
    private static final Pattern YEAR_FIRST = Pattern.compile("(\\d{4})([-/.])(\\d{1,2})\\2(\\d{1,2})" + TIME);
    private static final Pattern YEAR_LAST = Pattern.compile("(\\d{1,2})([-/.])(\\d{1,2})\\2(\\d{4})" + TIME);
    private static final Pattern MONTH = Pattern.compile("(\\d{4})([-/])(\\d{1,2})");
    private static final Pattern QUARTER = Pattern.compile("(\\d{4})([- ]?)[Qq]([1-4])");
    private static final Pattern YEAR = Pattern.compile("\\d{4}");

    /** In which order a date's parts are written. */
    enum Order {
        YEAR_MONTH_DAY,
        DAY_MONTH_YEAR,
        MONTH_DAY_YEAR
    }

    /** How fine it is. */
    enum Precision {
        YEAR,
        QUARTER,
        MONTH,
        DAY,
        MINUTE,
        SECOND,
        FRACTION
    }

    /**
     * How a stamp is written.
     *
     * @param between the separator of a date's parts
     * @param padded whether months and days have two digits
     * @param beforeTime blank or T
     * @param offset as it is written; empty without one
     */
    record Form(
            Order order,
            Precision precision,
            String between,
            boolean padded,
            String beforeTime,
            int fractionDigits,
            String offset) {

        /** A time written in this form. */
        String write(LocalDateTime universal) {
            LocalDateTime time = universal.plusSeconds(zone(offset).getTotalSeconds());
            String year = String.format(Locale.ROOT, "%04d", time.getYear());
            String month = String.format(Locale.ROOT, padded ? "%02d" : "%d", time.getMonthValue());
            String day = String.format(Locale.ROOT, padded ? "%02d" : "%d", time.getDayOfMonth());
            String date = switch (precision) {
                case YEAR -> year;
                case QUARTER -> year + between + "Q" + (1 + (time.getMonthValue() - 1) / 3);
                case MONTH -> year + between + month;
                case DAY, MINUTE, SECOND, FRACTION ->
                    switch (order) {
                        case YEAR_MONTH_DAY -> year + between + month + between + day;
                        case DAY_MONTH_YEAR -> day + between + month + between + year;
                        case MONTH_DAY_YEAR -> month + between + day + between + year;
                    };
            };
            if (precision.compareTo(Precision.MINUTE) < 0) {
                return date;
            }
            String clock = String.format(Locale.ROOT, "%02d:%02d", time.getHour(), time.getMinute());
            if (precision != Precision.MINUTE) {
                clock += String.format(Locale.ROOT, ":%02d", time.getSecond());
            }
            if (precision == Precision.FRACTION) {
                clock +=
                        "." + String.format(Locale.ROOT, "%09d", time.getNano()).substring(0, fractionDigits);
            }
            return date + beforeTime + clock + offset;
        }
    }

    private final int year;
    private final int second;
    private final int third;
    private final LocalDateTime clock;
    private final Form form;

    private DateStamp(int year, int second, int third, LocalDateTime clock, Form form) {
        this.year = year;
        this.second = second;
        this.third = third;
        this.clock = clock;
        this.form = form;
    }

    /** Whether a text is written like a date; a bare year, which is a number too, is not. */
    static boolean looksLikeOne(String text) {
        return text.length() > 4 && parse(text) != null;
    }

    /** A stamp whose date may not exist, or null if the text is not written like one. */
    static DateStamp parse(String text) {
        // Nearly all fields of a file are numbers: they are told apart without the expressions, which are slow.
        int digits = 0;
        while (digits < text.length() && Character.isDigit(text.charAt(digits))) {
            digits++;
        }
        boolean number = digits < text.length() && text.charAt(digits) == '.' && text.indexOf('.', digits + 1) < 0;
        if (digits < 1 || digits > 4 || digits == 3 || text.length() < 4 || text.length() > LONGEST || number) {
            return null;
        }
        if (digits < 4) {
            Matcher match = YEAR_LAST.matcher(text);
            return match.matches()
                    ? withTime(match, Order.DAY_MONTH_YEAR, number(match, 4), number(match, 1), number(match, 3))
                    : null;
        }
        Matcher match = YEAR_FIRST.matcher(text);
        if (match.matches()) {
            return withTime(match, Order.YEAR_MONTH_DAY, number(match, 1), number(match, 3), number(match, 4));
        }
        match = MONTH.matcher(text);
        if (match.matches()) {
            Form form = dateOnly(Precision.MONTH, match.group(2), match.group(3).length() == 2);
            return new DateStamp(number(match, 1), number(match, 3), 1, midnight(), form);
        }
        match = QUARTER.matcher(text);
        if (match.matches()) {
            Form form = dateOnly(Precision.QUARTER, match.group(2), true);
            return new DateStamp(number(match, 1), 3 * number(match, 3) - 2, 1, midnight(), form);
        }
        match = YEAR.matcher(text);
        return match.matches()
                ? new DateStamp(number(match, 0), 1, 1, midnight(), dateOnly(Precision.YEAR, "", true))
                : null;
    }

    private static LocalDateTime midnight() {
        return LocalDate.EPOCH.atStartOfDay();
    }

    private static Form dateOnly(Precision precision, String between, boolean padded) {
        return new Form(Order.YEAR_MONTH_DAY, precision, between, padded, "", 0, "");
    }

    private static DateStamp withTime(Matcher match, Order order, int year, int second, int third) {
        boolean padded = match.end(3) - match.start(3) == 2
                && match.end(1) - match.start(1) >= 2
                && match.end(4) - match.start(4) >= 2;
        if (match.group(5) == null) {
            Form form = new Form(order, Precision.DAY, match.group(2), padded, "", 0, "");
            return new DateStamp(year, second, third, midnight(), form);
        }
        int hour = number(match, 6);
        int minute = number(match, 7);
        int seconds = match.group(8) == null ? 0 : number(match, 8);
        String fraction = match.group(9) == null ? "" : match.group(9);
        String offset = match.group(10) == null ? "" : match.group(10);
        Precision precision =
                match.group(8) == null ? Precision.MINUTE : fraction.isEmpty() ? Precision.SECOND : Precision.FRACTION;
        if (hour > 23 || minute > 59 || seconds > 59 || zone(offset) == null) {
            return null;
        }
        int nanos = fraction.isEmpty() ? 0 : Integer.parseInt((fraction + "00000000").substring(0, 9));
        LocalDateTime clock = LocalDate.EPOCH
                .atTime(hour, minute, seconds, nanos)
                .minusSeconds(zone(offset).getTotalSeconds());
        Form form = new Form(order, precision, match.group(2), padded, match.group(5), fraction.length(), offset);
        return new DateStamp(year, second, third, clock, form);
    }

    private static int number(Matcher match, int group) {
        return Integer.parseInt(match.group(group));
    }

    /** Null if there is no such offset. */
    private static ZoneOffset zone(String offset) {
        if (offset.isEmpty()) {
            return ZoneOffset.UTC;
        }
        try {
            return ZoneOffset.of(offset);
        } catch (DateTimeException e) {
            return null;
        }
    }

    Form form() {
        return form;
    }

    /** Whether day and month could be written in either order. */
    boolean hasTwoReadings() {
        return form.order() != Order.YEAR_MONTH_DAY && !form.between().equals(".");
    }

    /** The first of the two numbers before a year that is written last. */
    int first() {
        return second;
    }

    /** The second of the two numbers before a year that is written last. */
    int second() {
        return third;
    }

    /** The same with the month before the day. */
    DateStamp monthFirst() {
        Form other = new Form(
                Order.MONTH_DAY_YEAR,
                form.precision(),
                form.between(),
                form.padded(),
                form.beforeTime(),
                form.fractionDigits(),
                form.offset());
        return new DateStamp(year, second, third, clock, other);
    }

    /** When it is, in universal time if it has an offset; null if there is no such date. */
    LocalDateTime time() {
        boolean dayFirst = form.order() == Order.DAY_MONTH_YEAR;
        try {
            LocalDate date = LocalDate.of(year, dayFirst ? third : second, dayFirst ? second : third);
            return clock.plusDays(date.toEpochDay());
        } catch (DateTimeException e) {
            return null;
        }
    }
}
