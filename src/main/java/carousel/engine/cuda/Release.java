package carousel.engine.cuda;

/** Gives back several things: each of them is tried, whatever fails before, and then the first failure is thrown. */
public final class Release {
    private RuntimeException first;

    /** Runs what gives one thing back. */
    public Release of(Runnable step) {
        try {
            step.run();
        } catch (RuntimeException failure) {
            if (first == null) {
                first = failure;
            } else {
                first.addSuppressed(failure);
            }
        }
        return this;
    }

    /** Throws the first failure, if there was one. */
    public void finish() {
        if (first != null) {
            throw first;
        }
    }

    /** Gives back what had been taken before something failed; what fails on the way is added to that. */
    public static void after(Throwable failure, Runnable step) {
        try {
            step.run();
        } catch (RuntimeException further) {
            failure.addSuppressed(further);
        }
    }
}
