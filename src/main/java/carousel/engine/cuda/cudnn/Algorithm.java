package carousel.engine.cuda.cudnn;

import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Pinned;
import java.util.Optional;
import jcuda.jcudnn.cudnnRNNAlgo;

/**
 * The ways in which cuDNN runs a stack. What a way does not take is known from its documentation; what else cuDNN refuses on a given GPU
 * is found out by asking.
 */
enum Algorithm {
    /** A product a time step: takes everything. */
    STANDARD("standard", cudnnRNNAlgo.CUDNN_RNN_ALGO_STANDARD),
    /** The recurrent weights stay on the chip for the whole sequence. */
    PERSIST_STATIC("persist-static", cudnnRNNAlgo.CUDNN_RNN_ALGO_PERSIST_STATIC),
    /** The same with a kernel compiled for one hidden size and one batch size. */
    PERSIST_DYNAMIC("persist-dynamic", cudnnRNNAlgo.CUDNN_RNN_ALGO_PERSIST_DYNAMIC),
    /** The same for few hidden units. */
    SMALL_H("small-h", cudnnRNNAlgo.CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H);

    /** Which algorithm runs every stack; left out or {@value Pinned#AUTO}, the fastest one of each shape does. */
    static final String PROPERTY = "carousel.cudnn.algorithm";

    /** Beyond it cuDNN itself, and PyTorch with it, keep away from {@link #SMALL_H}. */
    private static final int SMALL = 192;

    private final String word;
    private final int code;

    Algorithm(String word, int code) {
        this.word = word;
        this.code = code;
    }

    /** As the property has it. */
    String word() {
        return word;
    }

    /** As cuDNN has it. */
    int code() {
        return code;
    }

    /** What the property {@value #PROPERTY} asks for; nothing for the fastest. */
    static Optional<Algorithm> pinned() {
        return Pinned.by(PROPERTY, values(), Algorithm::word);
    }

    /**
     * Nothing where this may run the stack, otherwise what it does not take, as in "takes no projection".
     *
     * @param wide whether numbers are doubles
     * @param whole whether all sequences have all time steps
     */
    Optional<String> limit(LstmSpec stack, boolean wide, boolean whole) {
        if (this == STANDARD) {
            return Optional.empty();
        } else if (stack.projected()) {
            return Optional.of("takes no projection");
        } else if (wide && this != PERSIST_DYNAMIC) {
            return Optional.of("takes no double precision");
        } else if (this == SMALL_H && stack.hiddenSize() > SMALL) {
            return Optional.of("takes " + SMALL + " hidden units at most");
        }
        return whole ? Optional.empty() : Optional.of("takes no sequences of different lengths");
    }

    /** Where this is what the property asks for and cannot be: one sentence. */
    EngineException refused(String why) {
        return new EngineException("cuDNN's algorithm " + word + ", which the property " + PROPERTY + " asks for, "
                + why + ": set it to " + Pinned.AUTO + " or leave it out");
    }
}
