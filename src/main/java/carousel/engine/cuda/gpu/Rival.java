package carousel.engine.cuda.gpu;

import carousel.engine.cuda.Pinned;
import java.util.Arrays;
import java.util.Optional;

/** Who may run an LSTM on a GPU, by the name of the engine that has it alone. */
enum Rival {
    FUSED("fused"),
    CUDNN("cudnn");

    /** Which one runs every LSTM that it computes; left out or {@value Pinned#AUTO}, the faster one of each shape does. */
    static final String PROPERTY = "carousel.gpu.engine";

    private final String word;

    Rival(String word) {
        this.word = word;
    }

    /** As the property has it. */
    String word() {
        return word;
    }

    /** The one that is so called. */
    static Optional<Rival> of(String word) {
        return Arrays.stream(values()).filter(rival -> rival.word.equals(word)).findFirst();
    }

    /** What the property {@value #PROPERTY} asks for; nothing for the faster one. */
    static Optional<Rival> pinned() {
        return Pinned.by(PROPERTY, values(), Rival::word);
    }
}
