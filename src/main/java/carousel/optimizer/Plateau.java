package carousel.optimizer;

/**
 * Notices when a number that should fall no longer does: what early stopping and reducing the learning rate on a plateau wait
 * for. Mutable; {@link #snapshot()} and {@link #restore} carry it across a resume.
 */
public final class Plateau {
    private final int patience;
    private final double minimalChange;
    private double best = Double.POSITIVE_INFINITY;
    private int waited;

    /**
     * @param patience how many observations in a row may fail to improve, 1 or more
     * @param minimalChange an observation improves when it is lower than the best by more than this, 0 or more
     */
    public Plateau(int patience, double minimalChange) {
        if (patience < 1) {
            throw new IllegalArgumentException("patience should be 1 or more but got " + patience);
        }
        if (!(minimalChange >= 0) || Double.isInfinite(minimalChange)) {
            throw new IllegalArgumentException(
                    "the minimal change should be 0 or a positive finite number but got " + minimalChange);
        }
        this.patience = patience;
        this.minimalChange = minimalChange;
    }

    /** Takes note of a value and says whether patience has run out; the count then starts anew. */
    public boolean observe(double value) {
        if (value < best - minimalChange) {
            best = value;
            waited = 0;
            return false;
        }
        waited++;
        if (waited >= patience) {
            waited = 0;
            return true;
        }
        return false;
    }

    /** What it remembers. */
    public record Snapshot(double best, int waited) {}

    public Snapshot snapshot() {
        return new Snapshot(best, waited);
    }

    public void restore(Snapshot snapshot) {
        best = snapshot.best();
        waited = snapshot.waited();
    }
}
