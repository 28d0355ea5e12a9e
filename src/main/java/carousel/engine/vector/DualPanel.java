package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

/** A right factor {@code B [depth, columns]} and its tangent, packed for the kernels' products. */
final class DualPanel {
    private final Panel value;
    private final Panel tangent;
    private boolean changes;

    DualPanel(Kernels kernels) {
        value = new Panel(kernels);
        tangent = new Panel(kernels);
    }

    /** Packs a matrix {@code [depth, columns]}. */
    void pack(DualFloats matrix, int depth, int columns) {
        changes = matrix.tangent() != null;
        pack(value, matrix.value(), matrix.at(), depth, columns);
        if (changes) {
            pack(tangent, matrix.tangent(), matrix.tangentAt(), depth, columns);
        }
    }

    private static void pack(Panel panel, float[] matrix, int at, int depth, int columns) {
        panel.reshape(depth, columns);
        for (int k = 0; k < depth; k++) {
            panel.setRow(k, 0, columns, matrix, at + k * columns);
        }
    }

    /** Packs the transpose of a matrix {@code [columns, depth]}. */
    void packTransposed(DualFloats matrix, int columns, int depth) {
        changes = matrix.tangent() != null;
        packTransposed(value, matrix.value(), matrix.at(), columns, depth);
        if (changes) {
            packTransposed(tangent, matrix.tangent(), matrix.tangentAt(), columns, depth);
        }
    }

    private static void packTransposed(Panel panel, float[] matrix, int at, int columns, int depth) {
        panel.reshape(depth, columns);
        for (int strip = 0; strip < panel.strips(); strip++) {
            int first = panel.column(strip);
            int count = Math.min(panel.width(strip) * LANES, columns - first);
            panel.transpose(matrix, at + first * depth, depth, count, strip, 0, 0);
        }
    }

    /**
     * {@code c = s + a B} and {@code c' = s' + a' B + a B'} for some rows.
     *
     * @param a blocked rows, the first from its start, blocks {@code aBlock} apart; without a tangent that is zero
     * @param s what the sums start from, a row of as many numbers as B has columns in strips; null to start from c
     * @param c blocked rows, the first from its start, blocks {@code cBlock} apart
     */
    void product(Kernels kernels, int rows, DualFloats a, int aBlock, DualFloats s, DualFloats c, int cBlock) {
        int depth = value.depth();
        for (int strip = 0; strip < value.strips(); strip++) {
            int first = value.column(strip);
            int to = first / BLOCK * cBlock + first % BLOCK;
            float[] start = s == null ? c.value() : s.value();
            int startAt = s == null ? c.at() + to : s.at() + first;
            int pitch = s == null ? BLOCK : 0;
            value.product(
                    kernels,
                    strip,
                    rows,
                    a.value(),
                    a.at(),
                    aBlock,
                    0,
                    depth,
                    start,
                    startAt,
                    pitch,
                    c.value(),
                    c.at() + to);
            start = s == null ? c.tangent() : s.tangent();
            startAt = s == null ? c.tangentAt() + to : s.tangentAt() + first;
            // The strip of B is still in the first-level cache: a' B comes before a B'.
            if (a.tangent() != null) {
                value.product(
                        kernels,
                        strip,
                        rows,
                        a.tangent(),
                        a.tangentAt(),
                        aBlock,
                        0,
                        depth,
                        start,
                        startAt,
                        pitch,
                        c.tangent(),
                        c.tangentAt() + to);
                start = c.tangent();
                startAt = c.tangentAt() + to;
                pitch = BLOCK;
            }
            if (changes) {
                tangent.product(
                        kernels,
                        strip,
                        rows,
                        a.value(),
                        a.at(),
                        aBlock,
                        0,
                        depth,
                        start,
                        startAt,
                        pitch,
                        c.tangent(),
                        c.tangentAt() + to);
            } else if (a.tangent() == null && s != null) {
                for (int r = 0; r < rows; r++) {
                    System.arraycopy(
                            start, startAt, c.tangent(), c.tangentAt() + to + r * BLOCK, value.width(strip) * LANES);
                }
            }
        }
    }

    long bytes() {
        return value.bytes() + tangent.bytes();
    }
}
