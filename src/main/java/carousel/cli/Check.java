package carousel.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Checks of option values; each failure is one sentence with the value and the allowed range. */
final class Check {
    private Check() {}

    /** A path that was given; an empty one, as from an unset variable, would mean the current folder. */
    static void path(String option, Path value) {
        if (value != null && value.toString().isEmpty()) {
            throw new IllegalArgumentException(
                    option + " should name a path but is empty: give one, or . for the current folder");
        }
    }

    static int range(String option, int value, int least, int most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException(
                    option + " should be in the [" + least + ", " + most + "] range but got " + value);
        }
        return value;
    }

    static long atLeast(String option, long value, long least) {
        if (value < least) {
            throw new IllegalArgumentException(option + " should be " + least + " or more but got " + value);
        }
        return value;
    }

    static double positive(String option, double value) {
        if (!(value > 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(option + " should be a positive number but got " + value);
        }
        return value;
    }

    static double notNegative(String option, double value) {
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(option + " should be 0 or a positive number but got " + value);
        }
        return value;
    }

    static double fraction(String option, double value) {
        if (!(value >= 0 && value < 1)) {
            throw new IllegalArgumentException(option + " should be in the [0, 1) range but got " + value);
        }
        return value;
    }

    /** The constant of this name, whatever its case, and with hyphens or underscores. */
    static <E extends Enum<E>> E choice(String option, String value, Class<E> type) {
        for (E constant : type.getEnumConstants()) {
            if (word(constant).equalsIgnoreCase(value.replace('_', '-'))) {
                return constant;
            }
        }
        throw new IllegalArgumentException(option + " should be one of "
                + Arrays.stream(type.getEnumConstants()).map(Check::word).collect(Collectors.joining(", "))
                + " but got '" + value + "'");
    }

    /** A constant as the command line has it: {@code MIN_MAX} is min-max. */
    static String word(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
