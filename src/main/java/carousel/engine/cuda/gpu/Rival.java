package carousel.engine.cuda.gpu;

import carousel.engine.cuda.Pinned;
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

    /** What the property {@value #PROPERTY} asks for; nothing for the faster one. */
    static Optional<Rival> pinned() {
        return Pinned.by(PROPERTY, values(), Rival::word);
    }
}
