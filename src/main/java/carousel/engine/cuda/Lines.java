package carousel.engine.cuda;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Different lines in the order in which they came. */
public final class Lines {
    /** Lines kept; beyond it the first is forgotten. */
    public static final int MOST = 256;

    private final Set<String> lines = new LinkedHashSet<>();

    /** Whether the line is none of those that are kept. */
    public boolean add(String line) {
        boolean added = lines.add(line);
        if (lines.size() > MOST) {
            lines.remove(lines.iterator().next());
        }
        return added;
    }

    public List<String> all() {
        return List.copyOf(lines);
    }
}
