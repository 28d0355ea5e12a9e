package carousel.engine.cuda;

import carousel.engine.EngineException;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/** Properties that say which of several ways computes, where the fastest is not wanted. */
public final class Pinned {
    /** The same as leaving the property out. */
    public static final String AUTO = "auto";

    private Pinned() {}

    /**
     * What a property asks for; nothing for the fastest. Another word than one of these is an {@link EngineException}.
     *
     * @param word as the property has it
     */
    public static <W> Optional<W> by(String property, W[] ways, Function<W, String> word) {
        String asked = System.getProperty(property, AUTO).strip();
        if (asked.equals(AUTO)) {
            return Optional.empty();
        }
        return Optional.of(Arrays.stream(ways)
                .filter(way -> word.apply(way).equals(asked))
                .findFirst()
                .orElseThrow(() -> new EngineException("the property " + property + " should be one of " + AUTO + ", "
                        + Arrays.stream(ways).map(word).collect(Collectors.joining(", ")) + " but got '" + asked
                        + "': leave it out for the fastest")));
    }
}
