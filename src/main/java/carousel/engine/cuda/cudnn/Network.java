package carousel.engine.cuda.cudnn;

import carousel.engine.Direction;
import carousel.engine.EngineException;
import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.DevicePointer;
import carousel.engine.cuda.Release;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import jcuda.Pointer;
import jcuda.jcudnn.JCudnn;
import jcuda.jcudnn.cudnnDirectionMode;
import jcuda.jcudnn.cudnnForwardMode;
import jcuda.jcudnn.cudnnNanPropagation;
import jcuda.jcudnn.cudnnRNNBiasMode;
import jcuda.jcudnn.cudnnRNNClipMode;
import jcuda.jcudnn.cudnnRNNDataDescriptor;
import jcuda.jcudnn.cudnnRNNDataLayout;
import jcuda.jcudnn.cudnnRNNDescriptor;
import jcuda.jcudnn.cudnnRNNInputMode;
import jcuda.jcudnn.cudnnRNNMode;
import jcuda.jcudnn.cudnnTensorDescriptor;
import jcuda.jcudnn.cudnnWgradMode;

/**
 * A stack without dropout as cuDNN knows it, for one algorithm: its descriptors, where its weights lie, and its three calls. All addresses
 * are of device memory; 0 stands for none, where cuDNN takes zeros or writes nothing.
 *
 * <p>Not confirmed on a device: that elements of {@code dy} past the end of a sequence are not read, that a sequence of length 0 hands its
 * initial state on, that where the cell clip acts the gradient is zero, and that lengths on the device are not looked at (from version
 * 8.9.1 on, says the documentation).
 */
final class Network implements AutoCloseable {
    /** JCuda has no name for this flag: sequences may have different lengths where they lie apart. */
    private static final int PADDED_IO_ENABLED = 1;
    /** Matrices of one cell by number: W of i, f, g, o, then R of the same. */
    private static final int MATRICES = 2 * Gate.COUNT;
    /** Behind them. */
    private static final int PROJECTION = 8;

    private final Dnn dnn;
    private final LstmSpec stack;
    private final Algorithm algorithm;
    private final Descriptors descriptors = new Descriptors();
    private final cudnnRNNDescriptor rnn;
    private final cudnnRNNDataDescriptor x;
    private final cudnnRNNDataDescriptor y;
    private final cudnnTensorDescriptor h;
    private final cudnnTensorDescriptor c;
    private final cudnnTensorDescriptor matrix;
    private final cudnnTensorDescriptor bias;
    private final long weightBytes;
    /** Of inference and of training. */
    private final Sizes[] sizes = new Sizes[2];

    private List<Piece> pieces;
    private int timeSteps;
    private int batchSize;
    private int[] lengths;

    /** Work space and reserve space in bytes. */
    private record Sizes(long work, long reserve) {}

    /**
     * Neighbouring weights, in elements.
     *
     * @param flat where they begin in the stack's own {@link LstmLayout}
     * @param place where they begin in cuDNN's weight space
     */
    record Piece(long flat, long place, long count) {}

    /** Describes the stack, for sequences like these to begin with: see {@link #shape}. */
    Network(Dnn dnn, LstmSpec stack, Algorithm algorithm, int timeSteps, int batchSize, int[] lengths) {
        this.dnn = dnn;
        this.stack = stack;
        this.algorithm = algorithm;
        try {
            rnn = descriptors.make(
                    "RNNDescriptor",
                    new cudnnRNNDescriptor(),
                    JCudnn::cudnnCreateRNNDescriptor,
                    JCudnn::cudnnDestroyRNNDescriptor);
            x = dataDescriptor();
            y = dataDescriptor();
            h = tensorDescriptor();
            c = tensorDescriptor();
            matrix = tensorDescriptor();
            bias = tensorDescriptor();
            describe();
            if (algorithm == Algorithm.PERSIST_DYNAMIC) {
                Dnn.check(
                        JCudnn.cudnnBuildRNNDynamic(dnn.handle(), rnn, batchSize),
                        "cudnnBuildRNNDynamic",
                        "%s with a batch of %d",
                        stack,
                        batchSize);
            }
            long[] bytes = new long[1];
            Dnn.check(
                    JCudnn.cudnnGetRNNWeightSpaceSize(dnn.handle(), rnn, bytes),
                    "cudnnGetRNNWeightSpaceSize",
                    "%s",
                    stack);
            weightBytes = bytes[0];
            shape(timeSteps, batchSize, lengths);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    private cudnnRNNDataDescriptor dataDescriptor() {
        return descriptors.make(
                "RNNDataDescriptor",
                new cudnnRNNDataDescriptor(),
                JCudnn::cudnnCreateRNNDataDescriptor,
                JCudnn::cudnnDestroyRNNDataDescriptor);
    }

    private cudnnTensorDescriptor tensorDescriptor() {
        return descriptors.make(
                "TensorDescriptor",
                new cudnnTensorDescriptor(),
                JCudnn::cudnnCreateTensorDescriptor,
                JCudnn::cudnnDestroyTensorDescriptor);
    }

    private void describe() {
        Dnn.check(
                JCudnn.cudnnSetRNNDescriptor_v8(
                        rnn,
                        algorithm.code(),
                        cudnnRNNMode.CUDNN_LSTM,
                        stack.bias() ? cudnnRNNBiasMode.CUDNN_RNN_SINGLE_INP_BIAS : cudnnRNNBiasMode.CUDNN_RNN_NO_BIAS,
                        stack.direction() == Direction.BIDIRECTIONAL
                                ? cudnnDirectionMode.CUDNN_BIDIRECTIONAL
                                : cudnnDirectionMode.CUDNN_UNIDIRECTIONAL,
                        cudnnRNNInputMode.CUDNN_LINEAR_INPUT,
                        dnn.dataType(),
                        dnn.mathPrecision(),
                        dnn.mathType(),
                        stack.inputSize(),
                        stack.hiddenSize(),
                        stack.outputSize(),
                        stack.layers(),
                        dnn.noDropout(),
                        PADDED_IO_ENABLED),
                "cudnnSetRNNDescriptor_v8",
                "the algorithm %s and %s",
                algorithm.word(),
                stack);
        if (stack.cellClip() > 0) {
            Dnn.check(
                    JCudnn.cudnnRNNSetClip_v8(
                            rnn,
                            cudnnRNNClipMode.CUDNN_RNN_CLIP_MINMAX,
                            cudnnNanPropagation.CUDNN_PROPAGATE_NAN,
                            -stack.cellClip(),
                            stack.cellClip()),
                    "cudnnRNNSetClip_v8",
                    "a limit of %s",
                    stack.cellClip());
        }
    }

    LstmSpec stack() {
        return stack;
    }

    /** Bytes of the weight space. */
    long weightBytes() {
        return weightBytes;
    }

    /**
     * Says how many sequences of which lengths come next. Costs nothing where the last ones were like them.
     *
     * @param newLengths null when all have all time steps
     */
    void shape(int newTimeSteps, int newBatchSize, int[] newLengths) {
        if (newTimeSteps == timeSteps && newBatchSize == batchSize && Arrays.equals(newLengths, lengths)) {
            return;
        }
        timeSteps = 0;
        Arrays.fill(sizes, null);
        int[] each = newLengths;
        if (each == null) {
            each = new int[newBatchSize];
            Arrays.fill(each, newTimeSteps);
        }
        describe(x, newTimeSteps, newBatchSize, stack.inputSize(), each);
        describe(y, newTimeSteps, newBatchSize, stack.sequenceWidth(), each);
        describe(h, newBatchSize, stack.outputSize());
        describe(c, newBatchSize, stack.hiddenSize());
        batchSize = newBatchSize;
        lengths = newLengths == null ? null : newLengths.clone();
        timeSteps = newTimeSteps;
    }

    private void describe(cudnnRNNDataDescriptor data, int newTimeSteps, int newBatchSize, int width, int[] each) {
        Dnn.check(
                JCudnn.cudnnSetRNNDataDescriptor(
                        data,
                        dnn.dataType(),
                        cudnnRNNDataLayout.CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED,
                        newTimeSteps,
                        newBatchSize,
                        width,
                        each,
                        dnn.zero()),
                "cudnnSetRNNDataDescriptor",
                "[%d, %d, %d]",
                newTimeSteps,
                newBatchSize,
                width);
    }

    private void describe(cudnnTensorDescriptor states, int newBatchSize, int width) {
        Dnn.check(
                JCudnn.cudnnSetTensorNdDescriptor(
                        states, dnn.dataType(), 3, new int[] {stack.states(), newBatchSize, width}, new int[] {
                            Math.multiplyExact(newBatchSize, width), width, 1
                        }),
                "cudnnSetTensorNdDescriptor",
                "[%d, %d, %d]",
                stack.states(),
                newBatchSize,
                width);
    }

    /** Bytes of work space that a call needs now. */
    long workBytes(boolean training) {
        return sizes(training).work();
    }

    /** Bytes of what a forward pass leaves for the backward pass. */
    long reserveBytes(boolean training) {
        return sizes(training).reserve();
    }

    private Sizes sizes(boolean training) {
        int mode = mode(training);
        if (sizes[mode] == null) {
            long[] work = new long[1];
            long[] reserve = new long[1];
            Dnn.check(
                    JCudnn.cudnnGetRNNTempSpaceSizes(dnn.handle(), rnn, mode, x, work, reserve),
                    "cudnnGetRNNTempSpaceSizes",
                    "%s",
                    this);
            sizes[mode] = new Sizes(work[0], reserve[0]);
        }
        return sizes[mode];
    }

    private static int mode(boolean training) {
        return training ? cudnnForwardMode.CUDNN_FWD_MODE_TRAINING : cudnnForwardMode.CUDNN_FWD_MODE_INFERENCE;
    }

    /** Where the weights lie: cuDNN is asked for each, and what lies side by side in both places is one piece. */
    List<Piece> pieces(long weights) {
        if (pieces == null) {
            List<Piece> all = new ArrayList<>();
            LstmLayout layout = LstmLayout.of(stack);
            for (int state = 0; state < stack.states(); state++) {
                LstmLayout.Cell cell = layout.cell(state);
                int hidden = stack.hiddenSize();
                for (int k = 0; k < MATRICES; k++) {
                    boolean recurrent = k >= Gate.COUNT;
                    int gate = k % Gate.COUNT;
                    int columns = recurrent
                            ? stack.outputSize()
                            : stack.layerInputSize(state / stack.direction().cells());
                    long begin = (recurrent ? cell.recurrentWeights() : cell.inputWeights()).offset()
                            + (long) gate * hidden * columns;
                    long beginOfBias =
                            recurrent || cell.bias() == null ? -1 : cell.bias().offset() + (long) gate * hidden;
                    locate(weights, state, k, hidden, columns, begin, beginOfBias, all);
                }
                if (cell.projection() != null) {
                    long begin = cell.projection().offset();
                    locate(weights, state, PROJECTION, stack.outputSize(), hidden, begin, -1, all);
                }
            }
            pieces = merged(all);
        }
        return pieces;
    }

    private void locate(
            long weights, int state, int k, int rows, int columns, long begin, long beginOfBias, List<Piece> all) {
        Pointer matrixAt = new Pointer();
        Pointer biasAt = new Pointer();
        Dnn.check(
                JCudnn.cudnnGetRNNWeightParams(
                        dnn.handle(),
                        rnn,
                        state,
                        weightBytes,
                        new DevicePointer(weights),
                        k,
                        matrix,
                        matrixAt,
                        bias,
                        biasAt),
                "cudnnGetRNNWeightParams",
                "matrix %d of cell %d of %s",
                k,
                state,
                stack);
        long place = place(weights, matrixAt, matrix, rows, columns, state, k);
        all.add(new Piece(begin, place, (long) rows * columns));
        if (beginOfBias >= 0) {
            all.add(new Piece(beginOfBias, place(weights, biasAt, bias, rows, 1, state, k), rows));
        }
    }

    /** Where weights lie from the beginning of the weight space, after a look at whether they are what we take them for. */
    private long place(
            long weights, Pointer pointer, cudnnTensorDescriptor descriptor, int rows, int columns, int state, int k) {
        int[] type = new int[1];
        int[] rank = new int[1];
        int[] extents = new int[3];
        int[] strides = new int[3];
        Dnn.check(
                JCudnn.cudnnGetTensorNdDescriptor(descriptor, extents.length, type, rank, extents, strides),
                "cudnnGetTensorNdDescriptor",
                "matrix %d of cell %d of %s",
                k,
                state,
                stack);
        long size = dnn.elements().bytes();
        long offset = DevicePointer.address(pointer) - weights;
        boolean asExpected = type[0] == dnn.dataType()
                && rank[0] == extents.length
                && Arrays.equals(extents, new int[] {1, rows, columns})
                && (columns == 1 || strides[1] == columns && strides[2] == 1)
                && offset >= 0
                && offset % size == 0
                && offset + rows * (size * columns) <= weightBytes;
        if (!asExpected) {
            throw new EngineException("cuDNN has weights " + k + " of cell " + state + " as " + Arrays.toString(extents)
                    + " with strides " + Arrays.toString(strides) + " at byte " + offset + " of " + weightBytes
                    + " where [1, " + rows + ", " + columns + "] is needed: choose the engine 'fused'");
        }
        return offset / size;
    }

    private static List<Piece> merged(List<Piece> all) {
        all.sort(Comparator.comparingLong(Piece::flat));
        List<Piece> merged = new ArrayList<>();
        for (Piece next : all) {
            Piece last = merged.isEmpty() ? null : merged.get(merged.size() - 1);
            if (last != null
                    && last.flat() + last.count() == next.flat()
                    && last.place() + last.count() == next.place()) {
                merged.set(merged.size() - 1, new Piece(last.flat(), last.place(), last.count() + next.count()));
            } else {
                merged.add(next);
            }
        }
        return List.copyOf(merged);
    }

    /** The sequences' lengths on the device, x, and the states before and after. */
    record Forward(long lengths, long x, long y, long hx, long hy, long cx, long cy) {}

    /** What the three calls share. */
    record Spaces(long weights, long work, long reserve) {}

    void forward(boolean training, Forward of, Spaces spaces) {
        Dnn.check(
                JCudnn.cudnnRNNForward(
                        dnn.handle(),
                        rnn,
                        mode(training),
                        new DevicePointer(of.lengths()),
                        x,
                        new DevicePointer(of.x()),
                        y,
                        new DevicePointer(of.y()),
                        h,
                        new DevicePointer(of.hx()),
                        new DevicePointer(of.hy()),
                        c,
                        new DevicePointer(of.cx()),
                        new DevicePointer(of.cy()),
                        weightBytes,
                        new DevicePointer(spaces.weights()),
                        workBytes(training),
                        new DevicePointer(spaces.work()),
                        reserveBytes(training),
                        new DevicePointer(spaces.reserve())),
                "cudnnRNNForward",
                "%s",
                this);
    }

    /** Gradients of the outputs and of the last states, and where those of x and of the initial states go. */
    record Backward(long dy, long dx, long dhy, long dhx, long dcy, long dcx) {}

    /** Comes before {@link #backwardWeights}: it changes the reserve space. */
    void backwardData(Forward of, Backward gradients, Spaces spaces) {
        Dnn.check(
                JCudnn.cudnnRNNBackwardData_v8(
                        dnn.handle(),
                        rnn,
                        new DevicePointer(of.lengths()),
                        y,
                        new DevicePointer(of.y()),
                        new DevicePointer(gradients.dy()),
                        x,
                        new DevicePointer(gradients.dx()),
                        h,
                        new DevicePointer(of.hx()),
                        new DevicePointer(gradients.dhy()),
                        new DevicePointer(gradients.dhx()),
                        c,
                        new DevicePointer(of.cx()),
                        new DevicePointer(gradients.dcy()),
                        new DevicePointer(gradients.dcx()),
                        weightBytes,
                        new DevicePointer(spaces.weights()),
                        workBytes(true),
                        new DevicePointer(spaces.work()),
                        reserveBytes(true),
                        new DevicePointer(spaces.reserve())),
                "cudnnRNNBackwardData_v8",
                "%s",
                this);
    }

    /** Adds to the weights' gradients, which lie as the weights do. */
    void backwardWeights(Forward of, long weightGradients, Spaces spaces) {
        Dnn.check(
                JCudnn.cudnnRNNBackwardWeights_v8(
                        dnn.handle(),
                        rnn,
                        cudnnWgradMode.CUDNN_WGRAD_MODE_ADD,
                        new DevicePointer(of.lengths()),
                        x,
                        new DevicePointer(of.x()),
                        h,
                        new DevicePointer(of.hx()),
                        y,
                        new DevicePointer(of.y()),
                        weightBytes,
                        new DevicePointer(weightGradients),
                        workBytes(true),
                        new DevicePointer(spaces.work()),
                        reserveBytes(true),
                        new DevicePointer(spaces.reserve())),
                "cudnnRNNBackwardWeights_v8",
                "%s",
                this);
    }

    @Override
    public String toString() {
        return "T=" + timeSteps + " N=" + batchSize + " by " + algorithm.word() + " and " + stack;
    }

    @Override
    public void close() {
        descriptors.close();
    }
}
