package carousel.engine.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUgraph;
import jcuda.driver.CUgraphExec;
import jcuda.driver.CUresult;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.JCudaDriver;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What the device is asked to do, gathered on the host and handed over in runs. A training step asks for the same commands with the same
 * addresses every time, because the pool hands out the same blocks in the same order; so the second time that a run comes up it is
 * captured in a CUDA graph, and from the third time on one launch replays it. Nobody has to say where a step begins: a run ends where
 * the host reads or writes, or where a command's arguments change from call to call, as the learning rate's do.
 *
 * <p>A launch costs the host some microseconds and the device a gap; a graph costs them once for the run.
 *
 * <p>Between {@link #fork} and {@link #join} commands go to several {@link Lanes}, whose commands are done at the same time unless {@link
 * #await} orders them. In between, a run that is handed over is joined at its end and the next one forked at its beginning. So a run is
 * whole by itself, as a graph has to be, and whatever reaches the first lane's stream by another way comes after all that was handed over.
 */
final class CommandQueue implements AutoCloseable {
    /** Turned off with {@code -Dcarousel.cuda.graphs=false}. */
    static final String GRAPHS = "carousel.cuda.graphs";

    private static final Logger LOG = LoggerFactory.getLogger(CommandQueue.class);

    /** Arguments of a kernel, at most. */
    static final int MOST_ARGUMENTS = 48;
    /** Shorter runs are not worth a graph. */
    private static final int SHORTEST = 4;
    /** A run this long is handed over whatever comes. */
    private static final int LONGEST = 1 << 14;
    /** Runs remembered; beyond it the one not used for longest is forgotten. */
    private static final int MOST_RUNS = 64;

    /** What a command does. */
    enum Kind {
        LAUNCH,
        PRODUCT,
        CLEAR,
        COPY,
        /** A lane waits for another. */
        WAIT
    }

    /** One thing asked for. What its values mean is the business of {@link #execute}. */
    static final class Command {
        private Kind kind;
        private int lane;
        private CUfunction function;
        private String name;
        private final long[] values = new long[MOST_ARGUMENTS];
        private int count;
        private int gridX;
        private int gridY;
        private int threads;
        private int shared;
        private boolean together;
        private boolean varies;

        private void begin(Kind newKind, int newLane, CUfunction newFunction, String newName) {
            kind = newKind;
            lane = newLane;
            function = newFunction;
            name = newName;
            count = 0;
            varies = false;
            grid(0, 0, 0);
            shared(0);
            together = false;
        }

        void add(long value) {
            values[count++] = value;
        }

        /** Says that the arguments are others at every call, so that a graph would replay the wrong ones. */
        void varies() {
            varies = true;
        }

        void grid(int x, int y, int newThreads) {
            gridX = x;
            gridY = y;
            threads = newThreads;
        }

        /** Says how many bytes of shared memory a block is given at the launch. */
        void shared(int bytes) {
            shared = bytes;
        }

        /** Says that all blocks have to run at the same time. */
        void together() {
            together = true;
        }

        private boolean same(Command other) {
            return kind == other.kind
                    && lane == other.lane
                    && function == other.function
                    && gridX == other.gridX
                    && gridY == other.gridY
                    && threads == other.threads
                    && shared == other.shared
                    && together == other.together
                    && count == other.count
                    && Arrays.equals(values, 0, count, other.values, 0, count);
        }

        private long hash() {
            long hash = kind.ordinal()
                    + 47L * lane
                    + 31L * System.identityHashCode(function)
                    + 37L * gridX
                    + 41L * gridY
                    + threads;
            hash += 43L * shared + (together ? 1 : 0);
            for (int k = 0; k < count; k++) {
                hash = 0x9E3779B97F4A7C15L * (hash ^ values[k]) + (hash >>> 29);
            }
            return hash;
        }

        private Command copy() {
            Command copy = new Command();
            copy.kind = kind;
            copy.lane = lane;
            copy.function = function;
            copy.name = name;
            copy.count = count;
            System.arraycopy(values, 0, copy.values, 0, count);
            copy.gridX = gridX;
            copy.gridY = gridY;
            copy.threads = threads;
            copy.shared = shared;
            copy.together = together;
            return copy;
        }
    }

    /** A run that has come up before, and its graph once there is one. */
    private static final class Run {
        private final List<Command> commands;
        private CUgraphExec graph;
        private boolean refused;

        Run(List<Command> commands) {
            this.commands = commands;
        }
    }

    private final CudaContext context;
    private final Lanes lanes;
    private final Blas blas;
    private final boolean graphs = graphs(System.getProperty(GRAPHS, "true"));
    private final List<Command> pending = new ArrayList<>();
    private final Map<Long, Run> runs = new LinkedHashMap<>(16, 0.75f, true);
    private Command begun = new Command();
    private int size;
    /** The lanes that are open, and the one that commands go to. */
    private int open = 1;

    private int lane;
    private long replays;
    /** The addresses of all arguments, then the arguments, 8 bytes each. The driver has copied them when a launch returns. */
    private final Pointer arguments;

    private final ByteBuffer values;

    CommandQueue(CudaContext context, Lanes lanes, Blas blas) {
        this.context = context;
        this.lanes = lanes;
        this.blas = blas;
        int bytes = 2 * Long.BYTES * MOST_ARGUMENTS;
        this.arguments = context.allocatePinned(bytes);
        ByteBuffer block = arguments.getByteBuffer(0, bytes).order(ByteOrder.nativeOrder());
        long first = DevicePointer.address(arguments) + (long) Long.BYTES * MOST_ARGUMENTS;
        for (int k = 0; k < MOST_ARGUMENTS; k++) {
            block.putLong(Long.BYTES * k, first + (long) Long.BYTES * k);
        }
        this.values = block.position(Long.BYTES * MOST_ARGUMENTS).slice().order(ByteOrder.nativeOrder());
    }

    private static boolean graphs(String text) {
        if (!text.equals("true") && !text.equals("false")) {
            throw new IllegalArgumentException("the property " + GRAPHS + " should be true or false but got '" + text
                    + "': leave it out for true");
        }
        return text.equals("true");
    }

    /**
     * A command to be filled in and then {@linkplain #submit submitted}; only one at a time. It is not in the queue while it is being
     * filled in: working out an argument may hand over what waits there.
     */
    Command next(Kind kind, CUfunction function, String name) {
        begun.begin(kind, lane, function, name);
        return begun;
    }

    /** Takes the command that {@link #next} gave last. */
    void submit(Command command) {
        if (command.varies) {
            // What was asked for before it, then the command by itself.
            flush();
            command.lane = 0;
            execute(command);
            return;
        }
        if (size == pending.size()) {
            pending.add(command);
            begun = new Command();
        } else {
            begun = pending.set(size, command);
        }
        size++;
        if (size >= LONGEST) {
            flush();
        }
    }

    /** Opens so many lanes, which come after all that was asked for so far. Commands go to the first. */
    void fork(int count) {
        if (open != 1) {
            throw new IllegalStateException("lanes are opened where " + open + " are open: join them first");
        }
        lanes.open(count);
        blas.open(count);
        open = count;
        lane = 0;
        forks();
    }

    /** Commands go to this lane from now on, up to the next call or {@link #join}. */
    void lane(int newLane) {
        lane = newLane;
    }

    /** Lets what a lane is asked for from now on wait for all that another was asked for so far. */
    void await(int waiting, int other) {
        if (waiting != other) {
            // Not the next command: that may be half filled in when a run is handed over.
            if (size == pending.size()) {
                pending.add(new Command());
            }
            Command command = pending.get(size++);
            command.begin(Kind.WAIT, waiting, null, "cuStreamWaitEvent");
            command.add(other);
        }
    }

    /** Closes the lanes: what is asked for from now on comes after all that any was asked for. */
    void join() {
        joins();
        open = 1;
        lane = 0;
    }

    private void forks() {
        for (int k = 1; k < open; k++) {
            await(k, 0);
        }
    }

    private void joins() {
        for (int k = 1; k < open; k++) {
            await(0, k);
        }
    }

    /** Whether a command that waits has an argument in this range: something in a block that begins there. */
    boolean touches(long from, long to) {
        for (int k = 0; k < size; k++) {
            Command command = pending.get(k);
            for (int v = 0; v < command.count; v++) {
                if (command.values[v] >= from && command.values[v] < to) {
                    return true;
                }
            }
        }
        return false;
    }

    /** How many runs have been replayed from a graph. */
    long replays() {
        return replays;
    }

    /** Hands over all that was asked for. What fails is thrown here; what comes after it is not done. */
    void flush() {
        if (size <= open - 1) {
            // Nothing, or lanes that have just been opened.
            return;
        }
        joins();
        int count = size;
        size = 0;
        try {
            handOver(count);
        } catch (RuntimeException failure) {
            Release.after(failure, this::settle);
            throw failure;
        } finally {
            forks();
        }
    }

    /** After a failure in the middle of a run: nothing may be left in a lane when memory is used again. */
    private void settle() {
        Release release = new Release();
        for (int k = 1; k < lanes.count(); k++) {
            int other = k;
            release.of(() -> lanes.synchronize(other));
        }
        release.finish();
    }

    private void handOver(int count) {
        context.enter();
        if (!graphs || count < SHORTEST) {
            execute(count);
            return;
        }
        long hash = count;
        for (int k = 0; k < count; k++) {
            hash = hash * 31 + pending.get(k).hash();
        }
        Run run = runs.get(hash);
        if (run == null || !matches(run, count)) {
            forget(runs.remove(hash));
            List<Command> copies = new ArrayList<>(count);
            for (int k = 0; k < count; k++) {
                copies.add(pending.get(k).copy());
            }
            runs.put(hash, new Run(copies));
            if (runs.size() > MOST_RUNS) {
                var eldest = runs.entrySet().iterator();
                Run old = eldest.next().getValue();
                eldest.remove();
                forget(old);
            }
            execute(count);
        } else if (run.refused) {
            execute(count);
        } else {
            if (run.graph == null) {
                capture(run);
            }
            if (run.graph == null) {
                execute(count);
                return;
            }
            Status.driver(
                    JCudaDriver.cuGraphLaunch(run.graph, context.plainStream()), "cuGraphLaunch", "%d commands", count);
            replays++;
        }
    }

    private boolean matches(Run run, int count) {
        if (run.commands.size() != count) {
            return false;
        }
        for (int k = 0; k < count; k++) {
            if (!run.commands.get(k).same(pending.get(k))) {
                return false;
            }
        }
        return true;
    }

    /** Makes a graph of a run; where that fails the run is done command by command, now and later. */
    private void capture(Run run) {
        CUgraph graph = new CUgraph();
        boolean whole = true;
        Status.driver(
                JCudaDriver.cuStreamBeginCapture(
                        context.plainStream(), CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
                "cuStreamBeginCapture",
                "%d commands",
                run.commands.size());
        try {
            run.commands.forEach(this::execute);
        } catch (RuntimeException failure) {
            LOG.debug("a run of {} commands cannot be captured in a graph", run.commands.size(), failure);
            whole = false;
        }
        int status = JCudaDriver.cuStreamEndCapture(context.plainStream(), graph);
        if (!whole || status != CUresult.CUDA_SUCCESS) {
            run.refused = true;
            if (status == CUresult.CUDA_SUCCESS) {
                JCudaDriver.cuGraphDestroy(graph);
            }
            return;
        }
        CUgraphExec executable = new CUgraphExec();
        status = JCudaDriver.cuGraphInstantiate(executable, graph, 0);
        JCudaDriver.cuGraphDestroy(graph);
        if (status == CUresult.CUDA_SUCCESS) {
            run.graph = executable;
        } else {
            LOG.debug("a graph of {} commands: {}", run.commands.size(), Status.driverText(status));
            run.refused = true;
        }
    }

    private void forget(Run run) {
        if (run != null && run.graph != null) {
            Status.driver(JCudaDriver.cuGraphExecDestroy(run.graph), "cuGraphExecDestroy", "a run");
        }
    }

    /** Forgets every run: the memory that they work on is given back to the driver. */
    void forgetRuns() {
        Release release = new Release();
        runs.values().forEach(run -> release.of(() -> forget(run)));
        runs.clear();
        release.finish();
    }

    private void execute(int count) {
        for (int k = 0; k < count; k++) {
            execute(pending.get(k));
        }
    }

    private void execute(Command command) {
        switch (command.kind) {
            case LAUNCH -> {
                for (int k = 0; k < command.count; k++) {
                    values.putLong(Long.BYTES * k, command.values[k]);
                }
                Status.driver(
                        command.together ? launchTogether(command) : launch(command),
                        command.together ? "cuLaunchCooperativeKernel" : "cuLaunchKernel",
                        "%s on %d x %d blocks of %d threads",
                        command.name,
                        command.gridX,
                        command.gridY,
                        command.threads);
            }
            case PRODUCT -> blas.execute(command.lane, command.values);
            case CLEAR ->
                Status.driver(
                        JCudaDriver.cuMemsetD32Async(
                                new DevicePointer(command.values[0]), 0, command.values[1], lanes.stream(command.lane)),
                        "cuMemsetD32Async",
                        "%d words",
                        command.values[1]);
            case COPY ->
                Status.driver(
                        JCudaDriver.cuMemcpyDtoDAsync(
                                new DevicePointer(command.values[1]),
                                new DevicePointer(command.values[0]),
                                command.values[2],
                                lanes.stream(command.lane)),
                        "cuMemcpyDtoDAsync",
                        "%d bytes",
                        command.values[2]);
            case WAIT -> lanes.await(command.lane, (int) command.values[0]);
        }
    }

    private int launch(Command command) {
        return JCudaDriver.cuLaunchKernel(
                command.function,
                command.gridX,
                command.gridY,
                1,
                command.threads,
                1,
                1,
                command.shared,
                lanes.stream(command.lane),
                arguments,
                DevicePointer.NULL);
    }

    private int launchTogether(Command command) {
        return JCudaDriver.cuLaunchCooperativeKernel(
                command.function,
                command.gridX,
                command.gridY,
                1,
                command.threads,
                1,
                1,
                command.shared,
                lanes.stream(command.lane),
                arguments);
    }

    @Override
    public void close() {
        context.enter();
        Release release = new Release().of(this::forgetRuns);
        size = 0;
        release.of(
                () -> Status.driver(JCudaDriver.cuMemFreeHost(arguments), "cuMemFreeHost", "the arguments of kernels"));
        release.finish();
    }
}
