package carousel.engine;

import carousel.tensor.MemoryUse;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.List;
import java.util.Optional;

/**
 * A machine that computes. Every engine passes the same contract against the reference engine.
 *
 * <p>Rules that hold for all methods: tensors come from this engine's scopes; outputs are allocated by the caller and fully
 * overwritten, except parameter gradients, which are added to; inputs and outputs of one call do not overlap unless said;
 * sums have a fixed order, so that the same inputs give the same bits, whatever the number of threads. A wrong shape is an
 * {@link IllegalArgumentException} that names the tensor, what it is and what it should be. Calls may return before the
 * work is done; {@code read} and {@link #synchronize()} wait. An engine is used by one thread at a time.
 */
public interface Engine extends AutoCloseable {
    /** The name of its provider, for instance {@code vector}. */
    String name();

    /** Name, precision and machine in a few words, for banners. */
    String description();

    Precision precision();

    /** What the engine has found out or chosen by itself so far, a line each, for {@code doctor} and logs; most say nothing. */
    default List<String> notes() {
        return List.of();
    }

    /** Nothing where this engine computes the specification, otherwise a sentence that says what it does not and why. */
    Optional<String> refusal(LstmSpec spec);

    /** What the engine's tensors occupy. After every scope is closed, {@code inUse} is 0 again. */
    MemoryUse memory();

    /** Opens a lifetime for tensors. */
    Scope openScope(String name);

    /** Copies an array of as many elements into a tensor of real type. */
    void write(Tensor target, float[] source);

    /** Copies an array of as many elements into a tensor of real type, rounding where that is narrower. */
    void write(Tensor target, double[] source);

    /** Copies an array of as many elements into a tensor of integers. */
    void write(Tensor target, int[] source);

    /** Copies a tensor of real type into an array of as many elements, rounding to float. */
    void read(Tensor source, float[] target);

    /** Copies a tensor of real type into an array of as many elements, without loss. */
    void read(Tensor source, double[] target);

    /** Sets every element of a tensor of real type. */
    void fill(Tensor target, double value);

    /** {@code x = factor x}, element by element: exact for a power of two where nothing over- or underflows. */
    void scale(Tensor x, double factor);

    /**
     * Copies {@code columns} columns: {@code target[m, targetColumn + k] = source[m, sourceColumn + k]}. Both tensors are
     * {@code [M, .]}; the rest of the target stays as it is.
     */
    void copyColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns);

    /** {@code y_e += x_e}: adds a tensor to another of as many elements; not to itself. */
    void add(Tensor x, Tensor y);

    /** Memory for what a forward pass over {@code T} steps and {@code N} sequences saves for the backward pass. */
    LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize);

    /**
     * Runs the stack over the sequences: see {@link LstmSpec} for the equations, {@link LstmInput} and {@link LstmOutput} for
     * the shapes.
     *
     * @param parameters {@code [LstmLayout.of(spec).elements()]}
     * @param tape records what the backward pass needs; null for inference, which is cheaper
     */
    void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape);

    /**
     * The gradients of a loss through the last forward pass recorded on the tape: back-propagation through time (Werbos
     * 1990), truncated nowhere.
     *
     * @param outputGradient the loss's gradient with respect to {@code y} and the last state
     * @param parameterGradients like the parameters; added to. Null when not wanted.
     * @param inputGradient where the gradients of x and of the initial state go
     */
    void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient);

    /**
     * {@code y = x W^T + b}.
     *
     * @param x {@code [M, I]}
     * @param weights {@code W [O, I]}
     * @param bias {@code b [O]}, or null for none
     * @param y {@code [M, O]}
     */
    void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y);

    /**
     * {@code dW += dy^T x, db += sum_m dy_m, dx = dy W}.
     *
     * @param weightsGradient {@code [O, I]}, added to
     * @param biasGradient {@code [O]}, added to, or null
     * @param dx {@code [M, I]}, or null when not wanted
     */
    void linearBackward(Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx);

    /**
     * {@code y_m = table[ids_m]}.
     *
     * @param ids {@code [M]} integers in [0, V); a CPU engine throws {@link IllegalArgumentException} for others
     * @param table {@code [V, E]}
     * @param y {@code [M, E]}
     */
    void embeddingForward(Tensor ids, Tensor table, Tensor y);

    /** {@code dtable[ids_m] += dy_m}, in the order of m. */
    void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient);

    /**
     * {@code y_e = 0} where element {@code e}'s word is dropped and {@code x_e / (1 - rate)} elsewhere (Srivastava et al.
     * 2014). With the same key it is its own backward pass. {@code x} and {@code y} may be the same.
     *
     * @param rate in [0, 1)
     */
    default void dropout(Tensor x, double rate, RandomKey key, Tensor y) {
        dropout(x, rate, key, Math.max(1, x.elements()), y);
    }

    /**
     * The same with one draw for many elements: element {@code e} has the word of element {@code e mod period}. With the elements
     * of a step as the period, all steps of {@code [T, N, C]} drop the same ones.
     *
     * @param period 1 or more
     */
    void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y);

    /**
     * {@code y = f(x)}: see {@link ActivationFunction}.
     *
     * @param x {@code [M, K]}
     * @param y {@code [M, K]}; may be x
     */
    void activationForward(ActivationFunction function, Tensor x, Tensor y);

    /**
     * The gradient of x, from what the forward pass gave.
     *
     * @param y {@code [M, K]}, the output of {@link #activationForward}
     * @param dy {@code [M, K]}
     * @param dx {@code [M, K]}; may be dy
     */
    void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx);

    /**
     * Loss, its gradient, and how often the predictions were right: see {@link Loss}.
     *
     * @param predictions {@code [M, K]}, before softmax or sigmoid
     * @param targets labels {@code [M]} of integers, or real numbers {@code [M, K]}
     * @param rowWeights {@code [M]}, each 0 or more, 0 leaving a row out; null for 1 each
     * @param report {@code [3]} gets {@code sum_m w_m loss_m}, {@code sum_m w_m right_m} and {@code sum_m w_m}
     * @param dPredictions {@code [M, K]} gets the gradient of {@code sum_m w_m loss_m / sum_m w_m}, all zeros where the weights
     *     sum to 0; null when not wanted
     */
    void loss(Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions);

    /** {@code result[0] = sum_e x_e^2}. */
    void squaredNorm(Tensor x, Tensor result);

    /**
     * Moves parameters along their gradients: see {@link UpdateRule}. The gradients stay as they are.
     *
     * @param parameters flat buffer; overwritten
     * @param gradients as many elements
     * @param firstMoment as many elements, or null for a rule that keeps none; overwritten
     * @param secondMoment likewise
     */
    void update(Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment);

    /**
     * Derivatives of this engine's gradients along a direction, for products with a Hessian.
     *
     * @throws EngineException where this engine has none
     */
    default SecondOrder secondOrder() {
        throw new EngineException("the " + name()
                + " engine does not compute second derivatives: open the vector or the reference engine for them");
    }

    /** Waits until everything asked for has been done. */
    void synchronize();

    /** Releases the machine. Scopes still open are a leak and are reported. */
    @Override
    void close();
}
