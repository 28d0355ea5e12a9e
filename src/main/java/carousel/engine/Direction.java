package carousel.engine;

/** In which direction of time a stack reads its sequences. */
public enum Direction {
    FORWARD(1),
    /** Every layer reads from the true end of each sequence to its start; outputs stay at the time of their input. */
    REVERSE(1),
    /** Two cells a layer, their outputs side by side: forward first. */
    BIDIRECTIONAL(2);

    private final int cells;

    Direction(int cells) {
        this.cells = cells;
    }

    /** Cells per layer: 1, or 2 for both directions. */
    public int cells() {
        return cells;
    }

    /** Whether cell 0 or 1 of a layer reads backwards in time. */
    public boolean reversed(int cell) {
        return this == REVERSE || cell == 1;
    }
}
