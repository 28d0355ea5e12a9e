package carousel.engine.vector;

import java.util.Arrays;

/** An array for the time of a call, kept from call to call and only ever grown. */
final class Scratch {
    private final boolean poisoned;
    private float[] values = new float[0];

    /** @param poisoned whether {@link #take} fills what it hands out with NaN, to find reads of what was not written */
    Scratch(boolean poisoned) {
        this.poisoned = poisoned;
    }

    /** At least {@code count} numbers, unspecified. The array stays this object's: the next call hands it out again. */
    float[] take(int count) {
        if (values.length < count) {
            values = new float[count];
        }
        if (poisoned) {
            Arrays.fill(values, Float.NaN);
        }
        return values;
    }

    /** At least {@code count} zeros, which stay zeros if nobody writes to them. */
    float[] zeros(int count) {
        if (values.length < count) {
            values = new float[count];
        }
        return values;
    }

    long bytes() {
        return (long) values.length * Float.BYTES;
    }
}
