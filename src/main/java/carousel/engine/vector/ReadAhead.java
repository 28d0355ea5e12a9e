package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

/** Brings numbers into a core's caches before they are wanted; Java has no prefetch. */
final class ReadAhead {
    /** What was read, for nobody: kept, so that the compiler does not leave out the reading. */
    private int seen;

    /** Reads a number of each cache line. */
    void touch(float[] values, int at, int count) {
        int bits = 0;
        for (int k = 0; k < count; k += LANES) {
            bits ^= Float.floatToRawIntBits(values[at + k]);
        }
        seen = bits;
    }
}
