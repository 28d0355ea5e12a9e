package carousel.engine.cuda;

import carousel.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/**
 * The project's own kernels, from the PTX files beside this class: what each computes and what it takes is written at the head of its
 * source in {@code kernels/}. A launch names a kernel and gives its arguments in their order:
 *
 * <pre>
 *   kernels.launch("fill").address(y).number(n).real(value).over(n);
 * </pre>
 */
public final class Kernels implements AutoCloseable {
    /** Threads of a block, unless a kernel says otherwise. */
    public static final int BLOCK = 256;

    /** Blocks of a grid, at most: the kernels go on from there. */
    public static final long LARGEST_GRID = 1 << 20;

    private static final List<String> FILES =
            List.of("activation", "elementwise", "embedding", "loss", "reduce", "update", "lstm_pointwise");
    /** Those that few need and that take the driver seconds to translate: loaded when one of them is asked for. */
    private static final List<String> LATER = List.of("lstm_varied");

    private final CudaContext context;
    private final String suffix;
    private final List<CUmodule> modules = new ArrayList<>();
    private final Map<String, CUfunction> functions = new HashMap<>();
    private final CommandQueue queue;
    private final Launch launch = new Launch();

    /** @param wide whether the kernels are those on doubles */
    Kernels(CudaContext context, CommandQueue queue, boolean wide) {
        this.context = context;
        this.queue = queue;
        this.suffix = wide ? "_f64" : "_f32";
        try {
            for (String file : FILES) {
                load(file);
            }
        } catch (RuntimeException failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    private void load(String file) {
        byte[] text = read(file + ".ptx");
        CUmodule module = new CUmodule();
        Status.driver(
                JCudaDriver.cuModuleLoadDataEx(module, Pointer.to(text), 0, new int[0], new Pointer()),
                "cuModuleLoadDataEx",
                "the kernels of %s on %s",
                file,
                context.name());
        modules.add(module);
    }

    /** A file, with the zero at its end that the driver looks for. */
    private static byte[] read(String name) {
        try (InputStream in = Kernels.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new EngineException(
                        "the kernels " + name + " are missing from this build: build it again with mvn package");
            }
            byte[] content = in.readAllBytes();
            return new String(content, StandardCharsets.US_ASCII).concat("\0").getBytes(StandardCharsets.US_ASCII);
        } catch (IOException unreadable) {
            throw new EngineException("the kernels " + name + " cannot be read: build the project again", unreadable);
        }
    }

    /** Begins a launch of {@code carousel_<name>} on this engine's kind of reals. */
    public Launch launch(String name) {
        return launchExactly("carousel_" + name + suffix);
    }

    /** Begins a launch of the kernel with this whole name. */
    public Launch launchExactly(String name) {
        launch.command = queue.next(CommandQueue.Kind.LAUNCH, functions.computeIfAbsent(name, this::find), name);
        return launch;
    }

    private CUfunction find(String name) {
        CUfunction function = new CUfunction();
        for (int k = 0; k < FILES.size() + LATER.size(); k++) {
            if (k == modules.size()) {
                load(LATER.get(k - FILES.size()));
            }
            if (JCudaDriver.cuModuleGetFunction(function, modules.get(k), name) == jcuda.driver.CUresult.CUDA_SUCCESS) {
                return function;
            }
        }
        throw new EngineException("there is no kernel " + name + " in this build: build it again with mvn package");
    }

    /** One launch; its arguments come in the order in which the kernel takes them. */
    public final class Launch {
        private CommandQueue.Command command;

        /** A pointer. */
        public Launch address(long address) {
            command.add(address);
            return this;
        }

        /** An {@code int}. */
        public Launch integer(int value) {
            command.add(value & 0xFFFF_FFFFL);
            return this;
        }

        /** A {@code long long}. */
        public Launch number(long value) {
            command.add(value);
            return this;
        }

        /** A {@code double}. */
        public Launch real(double value) {
            command.add(Double.doubleToRawLongBits(value));
            return this;
        }

        /** Says that the arguments are others at every call. */
        Launch varies() {
            command.varies();
            return this;
        }

        /** Enough blocks of {@value #BLOCK} threads for so many elements; none for no elements. */
        public void over(long elements) {
            if (elements > 0) {
                blocks(Math.min(LARGEST_GRID, (elements + BLOCK - 1) / BLOCK), 1, BLOCK);
            }
        }

        /** A grid of blocks. */
        public void blocks(long x, int y, int threads) {
            if (x == 0 || y == 0) {
                return;
            }
            command.grid(Math.toIntExact(x), y, threads);
            queue.submit(command);
        }
    }

    @Override
    public void close() {
        context.enter();
        Release release = new Release();
        for (CUmodule module : modules) {
            release.of(() -> Status.driver(JCudaDriver.cuModuleUnload(module), "cuModuleUnload", "kernels"));
        }
        modules.clear();
        release.finish();
    }
}
