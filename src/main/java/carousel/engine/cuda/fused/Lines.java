package carousel.engine.cuda.fused;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Different lines in the order in which they came. */
final class Lines {
    /** Lines kept; beyond it the first is forgotten. */
    static final int MOST = 256;

    private final Set<String> lines = new LinkedHashSet<>();

    /** Whether the line is none of those that are kept. */
    boolean add(String line) {
        boolean added = lines.add(line);
        if (lines.size() > MOST) {
            lines.remove(lines.iterator().next());
        }
        return added;
    }

    List<String> all() {
        return List.copyOf(lines);
    }
}
