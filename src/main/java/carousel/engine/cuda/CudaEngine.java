package carousel.engine.cuda;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.RandomKey;
import carousel.engine.Shapes;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.tensor.ElementType;
import carousel.tensor.MemoryUse;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/**
 * All that the engines on a GPU have in common: everything but the LSTM itself. Work is asked for in one stream, or between {@link #fork} and
 * {@link #join} in some, and calls return before it is done; the host waits when it reads.
 */
public abstract class CudaEngine implements Engine {
    /** Elements that one block of a sum takes: a number of its own, so that sums do not depend on the device. */
    private static final int SUM_CHUNK = 4096;
    /** Rows that one thread of a sum of columns takes. */
    private static final int ROW_CHUNK = 256;
    /** Blocks that a grid may have in its second dimension; the kernels go on from there. */
    private static final int MOST_ROWS_OF_BLOCKS = 65_535;
    /** Numbers in a loss's report. */
    private static final int REPORT = 3;
    /** Threads for a row of a softmax. */
    private static final int SOFTMAX_THREADS = 128;
    /** Threads for a row of a loss. */
    private static final int LOSS_THREADS = 128;

    private final CudaContext context;
    private final Precision precision;
    private final ElementType real;
    /** Of what products multiply. */
    private final ElementType operands;

    private final DeviceAllocator allocator;
    private final Staging staging;
    private final Kernels kernels;
    private final Lanes lanes;
    private final Blas blas;
    private final CommandQueue queue;
    /** Whether device, memory and streams are another engine's. */
    private final boolean guest;

    private boolean closed;

    /**
     * Opens the device.
     *
     * @param operands what {@link #product} multiplies: the precision's type of operands, or reals
     */
    protected CudaEngine(EngineOptions options, Precision precision, ElementType operands) {
        this.precision = precision;
        this.real = precision.storage();
        this.operands = operands;
        this.context = new CudaContext(options.device());
        this.guest = false;
        Staging openStaging = null;
        Blas openBlas = null;
        lanes = new Lanes(context);
        CommandQueue openQueue = null;
        try {
            allocator = new DeviceAllocator(context, real, options.guards());
            staging = openStaging = new Staging(context);
            blas = openBlas = new Blas(context, lanes, precision, operands);
            queue = openQueue = new CommandQueue(context, lanes, blas);
            context.queue(queue);
            kernels = new Kernels(context, queue, precision == Precision.FP64);
        } catch (RuntimeException | Error failure) {
            if (openQueue != null) {
                Release.after(failure, openQueue::close);
            }
            if (openBlas != null) {
                Release.after(failure, openBlas::close);
            }
            if (openStaging != null) {
                Release.after(failure, openStaging::close);
            }
            Release.after(failure, context::close);
            throw failure;
        }
    }

    /**
     * Joins an engine that is open: in its precision, on its device, in its memory and its stream, so that tensors are of both. Closed before
     * it, and by itself.
     */
    protected CudaEngine(CudaEngine host) {
        precision = host.precision;
        real = host.real;
        operands = host.operands;
        context = host.context;
        guest = true;
        allocator = host.allocator;
        staging = host.staging;
        kernels = host.kernels;
        lanes = host.lanes;
        blas = host.blas;
        queue = host.queue;
    }

    /** The device, for the LSTM. */
    protected final CudaContext context() {
        return context;
    }

    protected final Kernels kernels() {
        return kernels;
    }

    /**
     * {@code C [m, n] = A B} or {@code C += A B}, with {@code A [m, k]} and {@code B [k, n]} after their transpositions. What has no
     * elements is left alone.
     *
     * @param a where A lies as it is stored, row after row without gaps, in the {@linkplain #operands type of operands}; the same
     *     for B
     * @param c likewise, of reals
     */
    protected final void product(
            boolean transposeA, boolean transposeB, int m, int n, int k, long a, long b, boolean add, long c) {
        if (m == 0 || n == 0 || k == 0 && add) {
            return;
        }
        CommandQueue.Command command = queue.next(CommandQueue.Kind.PRODUCT, null, "cublasGemmEx");
        command.add(transposeA ? 1 : 0);
        command.add(transposeB ? 1 : 0);
        command.add(m);
        command.add(n);
        command.add(k);
        command.add(a);
        command.add(transposeA ? m : k);
        command.add(b);
        command.add(transposeB ? k : n);
        command.add(add ? 1 : 0);
        command.add(c);
        command.add(n);
        queue.submit(command);
    }

    /** The type of what {@link #product} multiplies. */
    protected final ElementType operands() {
        return operands;
    }

    /** Rounds so many floats to the nearest of 16 bits, ties to even; what is too large for them becomes infinite. */
    protected final void narrow(long from, long to, long elements, ElementType type) {
        kernels.launchExactly(type == ElementType.FLOAT16 ? "carousel_narrow_f16" : "carousel_narrow_bf16")
                .address(from)
                .address(to)
                .number(elements)
                .over(elements);
    }

    /** Where a product finds a tensor: in a rounded copy for as long as the workspace is open, or as it is. */
    private long operand(Scope workspace, Tensor tensor) {
        long from = input(tensor);
        if (operands == real) {
            return from;
        }
        Tensor copy = workspace.allocate("operand", operands, tensor.shape());
        long to = DeviceStorage.address(copy, operands);
        narrow(from, to, tensor.elements(), operands);
        return to;
    }

    /** The type of tensors of real numbers. */
    protected final ElementType real() {
        return real;
    }

    @Override
    public final Precision precision() {
        return precision;
    }

    @Override
    public String description() {
        return name() + " (" + precision + " on " + context.name() + ", " + CudaProbe.versions() + libraries() + ")";
    }

    @Override
    public final MemoryUse memory() {
        return allocator.use();
    }

    @Override
    public final Scope openScope(String name) {
        return new Scope(name, allocator);
    }

    /** The address of a tensor of reals that is read. */
    protected final long input(Tensor tensor) {
        return DeviceStorage.address(tensor, real);
    }

    /** The same for one that may be missing: 0 for that. */
    protected final long optionalInput(Tensor tensor) {
        return tensor == null ? 0 : input(tensor);
    }

    /** The address of a tensor of reals that is written to. */
    protected final long output(Tensor tensor) {
        long address = DeviceStorage.address(tensor, real);
        allocator.changed(DeviceStorage.of(tensor));
        return address;
    }

    /** The same for one that may be missing: 0 for that. */
    protected final long optionalOutput(Tensor tensor) {
        return tensor == null ? 0 : output(tensor);
    }

    /** Bytes of so many reals. */
    protected final long bytes(long elements) {
        return elements * real.bytes();
    }

    private void begin() {
        if (closed) {
            throw new IllegalStateException("the " + name() + " engine was used after it was closed");
        }
        context.enter();
    }

    @Override
    public final void write(Tensor target, float[] source) {
        begin();
        Shapes.requireElements("the target", target, source.length);
        long address = output(target);
        staging.upload(DeviceStorage.of(target), address, source.length, real.bytes(), (buffer, from) -> {
            if (real == ElementType.FLOAT32) {
                buffer.asFloatBuffer().put(source, from, buffer.remaining() / Float.BYTES);
            } else {
                for (int e = from; buffer.hasRemaining(); e++) {
                    buffer.putDouble(source[e]);
                }
            }
        });
    }

    @Override
    public final void write(Tensor target, double[] source) {
        begin();
        Shapes.requireElements("the target", target, source.length);
        long address = output(target);
        staging.upload(DeviceStorage.of(target), address, source.length, real.bytes(), (buffer, from) -> {
            if (real == ElementType.FLOAT64) {
                buffer.asDoubleBuffer().put(source, from, buffer.remaining() / Double.BYTES);
            } else {
                for (int e = from; buffer.hasRemaining(); e++) {
                    buffer.putFloat((float) source[e]);
                }
            }
        });
    }

    @Override
    public final void write(Tensor target, int[] source) {
        begin();
        Shapes.requireElements("the target", target, source.length);
        long address = DeviceStorage.address(target, ElementType.INT32);
        DeviceStorage.of(target).wrote(source);
        staging.upload(
                DeviceStorage.of(target),
                address,
                source.length,
                Integer.BYTES,
                (buffer, from) -> buffer.asIntBuffer().put(source, from, buffer.remaining() / Integer.BYTES));
    }

    @Override
    public final void read(Tensor source, float[] target) {
        begin();
        Shapes.requireElements("the source", source, target.length);
        staging.download(input(source), target.length, real.bytes(), (buffer, from) -> {
            if (real == ElementType.FLOAT32) {
                buffer.asFloatBuffer().get(target, from, buffer.remaining() / Float.BYTES);
            } else {
                for (int e = from; buffer.hasRemaining(); e++) {
                    target[e] = (float) buffer.getDouble();
                }
            }
        });
    }

    @Override
    public final void read(Tensor source, double[] target) {
        begin();
        Shapes.requireElements("the source", source, target.length);
        staging.download(input(source), target.length, real.bytes(), (buffer, from) -> {
            if (real == ElementType.FLOAT64) {
                buffer.asDoubleBuffer().get(target, from, buffer.remaining() / Double.BYTES);
            } else {
                for (int e = from; buffer.hasRemaining(); e++) {
                    target[e] = buffer.getFloat();
                }
            }
        });
    }

    /** The integers of a tensor, where something about them has to be said. */
    private int[] readIntegers(Tensor source) {
        int[] values = new int[Math.toIntExact(source.elements())];
        staging.download(
                DeviceStorage.address(source, ElementType.INT32),
                values.length,
                Integer.BYTES,
                (buffer, from) -> buffer.asIntBuffer().get(values, from, buffer.remaining() / Integer.BYTES));
        return values;
    }

    /** The same input with its lengths in an array: where they lie on the device, the host waits for them. */
    protected final LstmInput withLengthsAtHand(LstmInput input) {
        if (input.deviceLengths() == null) {
            return input;
        }
        return input.withLengthsAsRead(readIntegers(input.deviceLengths()));
    }

    @Override
    public final void fill(Tensor target, double value) {
        begin();
        kernels.launch("fill")
                .address(output(target))
                .number(target.elements())
                .real(value)
                .over(target.elements());
    }

    @Override
    public final void scale(Tensor x, double factor) {
        begin();
        kernels.launch("scale")
                .address(output(x))
                .number(x.elements())
                .real(factor)
                .over(x.elements());
    }

    /** Sets so many reals from an address on to 0. */
    protected final void clear(long address, long elements) {
        if (elements > 0) {
            CommandQueue.Command command = queue.next(CommandQueue.Kind.CLEAR, null, "cuMemsetD32Async");
            command.add(address);
            command.add(bytes(elements) / Integer.BYTES);
            queue.submit(command);
        }
    }

    /** Copies so many reals. */
    protected final void copy(long from, long to, long elements) {
        if (elements > 0) {
            queue.submit(copyCommand(from, to, elements));
        }
    }

    private CommandQueue.Command copyCommand(long from, long to, long elements) {
        CommandQueue.Command command = queue.next(CommandQueue.Kind.COPY, null, "cuMemcpyDtoDAsync");
        command.add(from);
        command.add(to);
        command.add(bytes(elements));
        return command;
    }

    @Override
    public final void copyColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns) {
        begin();
        Shapes.requireColumns(source, sourceColumn, target, targetColumn, columns);
        int rows = source.shape().extent(0);
        kernels.launch("copy_columns")
                .address(input(source))
                .integer(source.shape().extent(1))
                .integer(sourceColumn)
                .address(output(target))
                .integer(target.shape().extent(1))
                .integer(targetColumn)
                .integer(rows)
                .integer(columns)
                .over((long) rows * columns);
    }

    @Override
    public final void add(Tensor x, Tensor y) {
        begin();
        Shapes.requireElements("y", y, x.elements());
        add(input(x), output(y), x.elements());
    }

    @Override
    public final void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        begin();
        Shapes.requireLinear(x, weights, bias, y);
        int rows = x.shape().extent(0);
        int inputs = x.shape().extent(1);
        int outputs = weights.shape().extent(0);
        setRows(output(y), optionalInput(bias), rows, outputs);
        try (Scope workspace = openScope("operands")) {
            product(
                    false,
                    true,
                    rows,
                    outputs,
                    inputs,
                    operand(workspace, x),
                    operand(workspace, weights),
                    true,
                    input(y));
        }
    }

    /** Every one of {@code rows} rows becomes the vector at {@code bias}, or zeros where that is 0. */
    protected final void setRows(long y, long bias, int rows, int columns) {
        kernels.launch("bias_rows")
                .address(y)
                .address(bias)
                .integer(rows)
                .integer(columns)
                .over((long) rows * columns);
    }

    @Override
    public final void linearBackward(
            Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        begin();
        Shapes.requireLinear(x, weights, null, dy);
        Shapes.requireLinear(x, weightsGradient, biasGradient, dy);
        int rows = x.shape().extent(0);
        int inputs = x.shape().extent(1);
        int outputs = weights.shape().extent(0);
        try (Scope workspace = openScope("operands")) {
            long d = operand(workspace, dy);
            if (dx != null) {
                Shapes.require("dx", dx, rows, inputs);
                product(false, false, rows, inputs, outputs, d, operand(workspace, weights), false, output(dx));
            }
            product(true, false, outputs, inputs, rows, d, operand(workspace, x), true, output(weightsGradient));
        }
        if (biasGradient != null) {
            addColumnSums(input(dy), rows, outputs, output(biasGradient));
        }
    }

    /** {@code y[column] += sum of a column}, in an order that depends on the number of rows alone. */
    protected final void addColumnSums(long x, int rows, int columns, long y) {
        if (rows == 0) {
            return;
        }
        int chunks = (rows + ROW_CHUNK - 1) / ROW_CHUNK;
        try (Scope workspace = openScope("sums of columns")) {
            long partial = output(workspace.allocate("partial sums", chunks, columns));
            kernels.launch("column_sums")
                    .address(x)
                    .integer(rows)
                    .integer(columns)
                    .integer(ROW_CHUNK)
                    .address(partial)
                    .blocks(
                            (columns + Kernels.BLOCK - 1) / Kernels.BLOCK,
                            Math.min(chunks, MOST_ROWS_OF_BLOCKS),
                            Kernels.BLOCK);
            kernels.launch("add_columns")
                    .address(partial)
                    .integer(chunks)
                    .integer(columns)
                    .address(y)
                    .over(columns);
        }
    }

    @Override
    public final void embeddingForward(Tensor ids, Tensor table, Tensor y) {
        begin();
        Shapes.requireEmbedding(ids, table, y);
        requireIds(ids, table.shape().extent(0));
        kernels.launch("embedding_forward")
                .address(DeviceStorage.address(ids, ElementType.INT32))
                .address(input(table))
                .address(output(y))
                .integer(ids.shape().extent(0))
                .integer(table.shape().extent(0))
                .integer(table.shape().extent(1))
                .over(y.elements());
    }

    @Override
    public final void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
        begin();
        Shapes.requireEmbedding(ids, tableGradient, dy);
        requireIds(ids, tableGradient.shape().extent(0));
        int rows = ids.shape().extent(0);
        kernels.launch("embedding_backward")
                .address(DeviceStorage.address(ids, ElementType.INT32))
                .address(input(dy))
                .address(output(tableGradient))
                .integer(rows)
                .integer(tableGradient.shape().extent(0))
                .integer(tableGradient.shape().extent(1))
                .blocks(rows, 1, Kernels.BLOCK);
    }

    /** What was written to a block is known on the host: only where some of it is out of range are the ids looked at. */
    private void requireIds(Tensor ids, int vocabulary) {
        DeviceStorage.address(ids, ElementType.INT32);
        if (DeviceStorage.of(ids).within(vocabulary)) {
            return;
        }
        int[] values = readIntegers(ids);
        for (int m = 0; m < values.length; m++) {
            if (values[m] < 0 || values[m] >= vocabulary) {
                throw Shapes.badId(m, values[m], vocabulary);
            }
        }
    }

    @Override
    public final void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
        begin();
        Shapes.requireDropout(x, rate, period, y);
        dropout(input(x), rate, key, period, output(y), x.elements());
    }

    /** The same on so many elements from an address on. */
    protected final void dropout(long x, double rate, RandomKey key, long y, long elements) {
        dropout(x, rate, key, Math.max(1, elements), y, elements);
    }

    private void dropout(long x, double rate, RandomKey key, long period, long y, long elements) {
        kernels.launch("dropout")
                .address(x)
                .address(y)
                .number(elements)
                .number(period)
                .integer(RandomKey.threshold(rate))
                .real(rate)
                .number(key.seed())
                .integer(key.stream())
                .number(key.call())
                .varies()
                .over(Math.min(elements, period));
    }

    /**
     * Draws a mask: an element whose word counts as dropped becomes {@code drawn}, any other {@code rest}.
     *
     * @param probability in [0, 1), as for {@link #dropout}
     */
    protected final void mask(long mask, double probability, RandomKey key, double drawn, double rest, long elements) {
        kernels.launch("mask")
                .address(mask)
                .number(elements)
                .integer(RandomKey.threshold(probability))
                .real(drawn)
                .real(rest)
                .number(key.seed())
                .integer(key.stream())
                .number(key.call())
                .varies()
                .over(elements);
    }

    /** {@code y += x}, so many reals. */
    protected final void add(long x, long y, long elements) {
        kernels.launch("add").address(x).address(y).number(elements).over(elements);
    }

    @Override
    public final void activationForward(ActivationFunction function, Tensor x, Tensor y) {
        begin();
        Shapes.requireActivation(x, y);
        Kernels.Launch launch = kernels.launch("activation_" + function.word())
                .address(input(x))
                .address(output(y));
        over(launch, function, y);
    }

    @Override
    public final void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
        begin();
        Shapes.requireActivationBackward(y, dy, dx);
        Kernels.Launch launch = kernels.launch("activation_" + function.word() + "_backward")
                .address(input(y))
                .address(input(dy))
                .address(output(dx));
        over(launch, function, dx);
    }

    /** Adds the sizes: a softmax takes a row at a time, the others any element by itself. */
    private static void over(Kernels.Launch launch, ActivationFunction function, Tensor result) {
        if (function == ActivationFunction.SOFTMAX) {
            int rows = result.shape().extent(0);
            launch.integer(rows).integer(result.shape().extent(1)).blocks(rows, 1, SOFTMAX_THREADS);
        } else {
            launch.number(result.elements()).over(result.elements());
        }
    }

    @Override
    public final void loss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        begin();
        Shapes.requireLoss(loss, predictions, targets, rowWeights, report, dPredictions);
        int rows = predictions.shape().extent(0);
        int columns = predictions.shape().extent(1);
        if (loss.labelled()) {
            requireLabels(targets, rowWeights, columns);
        }
        long weights = optionalInput(rowWeights);
        output(report);
        try (Scope workspace = openScope("loss workspace")) {
            // Not the report itself: a trainer gathers the reports of many steps, and this has the same address in
            // each.
            long sums = output(workspace.allocate("sums", REPORT));
            kernels.launch("loss_weights")
                    .address(weights)
                    .integer(rows)
                    .address(sums)
                    .blocks(1, 1, Kernels.BLOCK);
            long partial = output(workspace.allocate("losses of rows", 2, rows));
            kernels.launch(
                            switch (loss) {
                                case SOFTMAX_CROSS_ENTROPY -> "loss_softmax";
                                case MEAN_SQUARED_ERROR -> "loss_squared";
                                case SIGMOID_CROSS_ENTROPY -> "loss_sigmoid";
                            })
                    .address(input(predictions))
                    .address(DeviceStorage.address(targets, loss.labelled() ? ElementType.INT32 : real))
                    .address(weights)
                    .integer(rows)
                    .integer(columns)
                    .address(sums)
                    .address(optionalOutput(dPredictions))
                    .address(partial)
                    .blocks(rows, 1, LOSS_THREADS);
            kernels.launch("loss_report")
                    .address(partial)
                    .integer(rows)
                    .address(sums)
                    .blocks(1, 1, Kernels.BLOCK);
            CommandQueue.Command copy = copyCommand(sums, input(report), REPORT);
            copy.varies();
            queue.submit(copy);
        }
    }

    /** Labels of rows with a weight of 0 may be anything. */
    private void requireLabels(Tensor labels, Tensor rowWeights, int classes) {
        DeviceStorage.address(labels, ElementType.INT32);
        if (DeviceStorage.of(labels).within(classes)) {
            return;
        }
        int[] values = readIntegers(labels);
        double[] weights = new double[values.length];
        if (rowWeights == null) {
            java.util.Arrays.fill(weights, 1);
        } else {
            read(rowWeights, weights);
        }
        for (int m = 0; m < values.length; m++) {
            if (weights[m] != 0 && (values[m] < 0 || values[m] >= classes)) {
                throw Shapes.badLabel(m, values[m], classes);
            }
        }
    }

    @Override
    public final void squaredNorm(Tensor x, Tensor result) {
        begin();
        Shapes.requireElements("result", result, 1);
        long elements = x.elements();
        int chunks = Math.toIntExact((elements + SUM_CHUNK - 1) / SUM_CHUNK);
        try (Scope workspace = openScope("norm workspace")) {
            Tensor partial = workspace.allocate("sums", ElementType.FLOAT64, Shape.of(chunks));
            long sums = DeviceStorage.address(partial, ElementType.FLOAT64);
            kernels.launch("square_sums")
                    .address(input(x))
                    .number(elements)
                    .number(SUM_CHUNK)
                    .address(sums)
                    .blocks(chunks, 1, Kernels.BLOCK);
            kernels.launch("sum_partials")
                    .address(sums)
                    .integer(chunks)
                    .address(output(result))
                    .blocks(1, 1, Kernels.BLOCK);
        }
    }

    @Override
    public final void update(
            Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        begin();
        Shapes.requireUpdate(update, parameters, gradients, firstMoment, secondMoment);
        long elements = parameters.elements();
        long p = output(parameters);
        long d = input(gradients);
        long m = optionalOutput(firstMoment);
        double rate = update.learningRate();
        Kernels.Launch launch;
        if (update.rule() instanceof UpdateRule.Sgd sgd) {
            launch = kernels.launch("sgd")
                    .address(p)
                    .address(d)
                    .address(sgd.moments() == 0 ? 0 : m)
                    .number(elements)
                    .real(rate)
                    .real(sgd.momentum())
                    .integer(sgd.nesterov() ? 1 : 0);
        } else if (update.rule() instanceof UpdateRule.Adam adam) {
            launch = kernels.launch("adam")
                    .address(p)
                    .address(d)
                    .address(m)
                    .address(output(secondMoment))
                    .number(elements)
                    .real(rate)
                    .real(adam.beta1())
                    .real(adam.beta2())
                    .real(adam.epsilon())
                    .real(adam.weightDecay())
                    .real(1 - Math.pow(adam.beta1(), update.step()))
                    .real(1 - Math.pow(adam.beta2(), update.step()));
        } else if (update.rule() instanceof UpdateRule.RmsProp rms) {
            launch = kernels.launch("rmsprop")
                    .address(p)
                    .address(d)
                    .address(m)
                    .number(elements)
                    .real(rate)
                    .real(rms.decay())
                    .real(rms.epsilon());
        } else {
            throw new EngineException("the " + name() + " engine does not know the update rule " + update.rule()
                    + ": choose Sgd, Adam or RmsProp");
        }
        launch.real(update.maxNorm())
                .address(optionalInput(update.squaredNorm()))
                .varies()
                .over(elements);
    }

    /**
     * Opens so many lanes, {@value Lanes#MOST} at most, in which work goes on at the same time; work is asked for in the first until
     * {@link #lane} says otherwise. What is asked for in none of them waits for another unless {@link #await} says so. Memory that one lane
     * uses is not to be given back before {@link #join}.
     */
    protected final void fork(int count) {
        queue.fork(count);
    }

    /** Asks for work in this lane from now on. */
    protected final void lane(int lane) {
        queue.lane(lane);
    }

    /** Lets what a lane is asked for from now on wait for all that another was asked for so far. */
    protected final void await(int lane, int other) {
        queue.await(lane, other);
    }

    /** Closes the lanes: whatever is asked for from now on comes after their work. */
    protected final void join() {
        queue.join();
    }

    /** How many lanes there can be. */
    protected static int mostLanes() {
        return Lanes.MOST;
    }

    @Override
    public final void synchronize() {
        begin();
        context.synchronize();
    }

    /** How many runs of commands have been replayed from a CUDA graph. */
    final long replays() {
        return queue.replays();
    }

    /** Forgets what was chosen where there was no memory to measure every way, and says whether there was any such choice. */
    public boolean forgetPoorChoices() {
        return false;
    }

    /** Libraries besides the driver that count, each behind a comma, for the {@link #description}. */
    protected String libraries() {
        return "";
    }

    /** What the LSTM's room holds besides tensors, given back before the device is. */
    protected void releaseMore() {
        // Nothing here.
    }

    /** Throws {@link IllegalStateException} where scopes are still open: their memory would be lost without a word. */
    @Override
    public final void close() {
        if (closed) {
            return;
        }
        if (context.hangs()) {
            // Until it ends, nothing can be given back.
            return;
        }
        closed = true;
        if (guest) {
            releaseMore();
            return;
        }
        long open = allocator.use().inUse();
        new Release()
                .of(this::releaseMore)
                .of(allocator::close)
                .of(staging::close)
                .of(queue::close)
                .of(kernels::close)
                .of(blas::close)
                .of(lanes::close)
                .of(context::close)
                .of(() -> {
                    if (open != 0) {
                        throw new IllegalStateException("the " + name() + " engine was closed while scopes still hold "
                                + open + " bytes: close every scope, the model's included, before its engine");
                    }
                })
                .finish();
    }
}
