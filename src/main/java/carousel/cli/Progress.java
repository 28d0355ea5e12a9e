package carousel.cli;

import java.io.PrintWriter;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** How far a long task has come: a bar on a terminal, otherwise about ten plain lines. */
final class Progress implements AutoCloseable {
    private static final int LINES = 10;

    private final PrintWriter lines;
    private final String task;
    private final long steps;
    private ProgressBar bar;
    private long shown;

    /**
     * @param lines where plain lines go; a bar goes to the standard error stream
     * @param steps how many there are, 1 or more
     */
    Progress(PrintWriter lines, String task, long steps) {
        this.lines = lines;
        this.task = task;
        this.steps = steps;
        this.bar = Terminal.interactive() ? bar(task, steps) : null;
    }

    /** A bar on the standard error stream. */
    static ProgressBar bar(String task, long steps) {
        return new ProgressBarBuilder()
                .setTaskName(task)
                .setStyle(ProgressBarStyle.ASCII)
                .setInitialMax(steps)
                .build();
    }

    /**
     * Says that so many steps are done.
     *
     * @param message behind the number, for instance the loss
     */
    void stepTo(long step, String message) {
        if (bar != null) {
            bar.stepTo(step);
            bar.setExtraMessage(" " + message);
        } else if (step == steps || step * LINES / steps > shown) {
            shown = step * LINES / steps;
            lines.println(String.format(Locale.ROOT, "%s step %d/%d - %s", task, step, steps, message));
            lines.flush();
        }
    }

    /** Leaves the bar as it stands. Closing twice does nothing. */
    @Override
    public void close() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }
}
