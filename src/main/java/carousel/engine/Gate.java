package carousel.engine;

/**
 * The four gates of an LSTM cell, in the order in which their rows are packed in every weight matrix and bias: {@code i,
 * f, g, o}, as in PyTorch and cuDNN.
 */
public enum Gate {
    /** {@code i}: how much of the candidate enters the cell. */
    INPUT,
    /** {@code f}: how much of the previous cell state is kept. */
    FORGET,
    /** {@code g}: the new content, through tanh. */
    CANDIDATE,
    /** {@code o}: how much of the cell is shown as output. */
    OUTPUT;

    /** Number of gates, the 4 in {@code W [4H, C]}. */
    public static final int COUNT = 4;

    /** The first row of this gate's block in a matrix of {@code 4 * hiddenSize} rows. */
    public int firstRow(int hiddenSize) {
        return ordinal() * hiddenSize;
    }
}
