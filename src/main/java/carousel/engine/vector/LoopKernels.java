package carousel.engine.vector;

/** Kernels that the JVM's compiler vectorises: they need no module. */
final class LoopKernels implements Kernels {
    /** Rows that all start at index 0 of their own array: what the compiler can align. */
    static final class RowPanel extends Panel {
        private final RowBuffer buffer;
        private float[][] rows;

        RowPanel(boolean poisoned) {
            buffer = new RowBuffer(poisoned);
        }

        @Override
        void allocate(int depth, int columns) {
            rows = buffer.rows(depth, columns);
        }

        @Override
        void setRow(int k, float[] values, int at) {
            System.arraycopy(values, at, rows[k], 0, columns());
        }

        @Override
        void transpose(float[] matrix, int start, int width, int from, int to, int firstRow) {
            for (int r = 0; r < columns(); r++) {
                for (int k = from; k < to; k++) {
                    rows[firstRow + k][r] = matrix[start + r * width + k];
                }
            }
        }

        @Override
        long bytes() {
            return buffer.bytes();
        }
    }

    @Override
    public String description() {
        return "compiler-vectorised";
    }

    @Override
    public Panel panel(boolean poisoned) {
        return new RowPanel(poisoned);
    }

    @Override
    public void product(float[] a, int[] first, Panel b, int depth, float[][] c, int rows) {
        Products.add(a, first, ((RowPanel) b).rows, depth, c, rows, b.columns());
    }
}
