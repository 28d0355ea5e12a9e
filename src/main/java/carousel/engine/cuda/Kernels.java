package carousel.engine.cuda;

import carousel.engine.EngineException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
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
    /**
     * Those that few need and that take the driver seconds to translate: loaded when one of them is asked for. A name
     * is looked up in the first whose beginning it has.
     */
    private static final List<Later> LATER = List.of(
            new Later("lstm_varied", 0, "carousel_lstm_varied_", "carousel_lstm_rows_", "carousel_lstm_normal_"),
            new Later("lstm_resident_inputs", 80, "carousel_lstm_resident_inputs_"),
            new Later("lstm_resident", 80, "carousel_lstm_resident_"),
            new Later("lstm_cluster_inputs", 90, "carousel_lstm_cluster_inputs_"),
            new Later("lstm_cluster", 90, "carousel_lstm_cluster_"),
            new Later("lstm_grid", 80, "carousel_lstm_grid_"));

    /** Bytes of shared memory that a block may be given without a word before. */
    private static final int USUAL_SHARED = 48 << 10;

    private static final int DIGEST_BYTES = 12;

    private final CudaContext context;
    private final String suffix;
    private final Map<String, CUmodule> modules = new LinkedHashMap<>();
    private final Map<String, CUfunction> functions = new HashMap<>();
    /** What functions may do beyond what every function may. */
    private final Map<Attribute, Integer> allowed = new HashMap<>();

    private final CommandQueue queue;
    private final Launch launch = new Launch();

    /**
     * A file that is loaded when it is needed.
     *
     * @param capability ten times the compute capability that its PTX is for
     * @param beginnings of the names of its kernels
     */
    private record Later(String file, int capability, List<String> beginnings) {
        Later(String file, int capability, String... beginnings) {
            this(file, capability, List.of(beginnings));
        }

        boolean has(String name) {
            return beginnings.stream().anyMatch(name::startsWith);
        }
    }

    private record Attribute(String function, int attribute) {}

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
        modules.put(file, module);
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

    /** A few characters that are others when any of these files, named without their ending, is another. */
    public static String digest(String... files) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            for (String file : files) {
                digest.update(read(file + ".ptx"));
            }
            return HexFormat.of().formatHex(digest.digest(), 0, DIGEST_BYTES);
        } catch (NoSuchAlgorithmException everyJvmHasIt) {
            throw new IllegalStateException(everyJvmHasIt);
        }
    }

    /** Begins a launch of {@code carousel_<name>} on this engine's kind of reals. */
    public Launch launch(String name) {
        return launchExactly("carousel_" + name + suffix);
    }

    /** Begins a launch of the kernel with this whole name. */
    public Launch launchExactly(String name) {
        launch.command = queue.next(CommandQueue.Kind.LAUNCH, functions.computeIfAbsent(name, this::find), name);
        launch.name = name;
        return launch;
    }

    private CUfunction find(String name) {
        CUfunction function = new CUfunction();
        for (Later later : LATER) {
            if (later.has(name)) {
                requireCapability(later, name);
                if (!modules.containsKey(later.file())) {
                    load(later.file());
                }
                return found(function, modules.get(later.file()), name) ? function : missing(name);
            }
        }
        for (String file : FILES) {
            if (found(function, modules.get(file), name)) {
                return function;
            }
        }
        return missing(name);
    }

    private void requireCapability(Later later, String name) {
        if (context.capability() < later.capability()) {
            throw new EngineException("the kernel " + name + " needs compute capability " + later.capability() / 10
                    + "."
                    + later.capability() % 10 + " but " + context.name() + " has " + context.capability() / 10 + "."
                    + context.capability() % 10 + ": choose another GPU or kernel");
        }
    }

    private static boolean found(CUfunction function, CUmodule module, String name) {
        return JCudaDriver.cuModuleGetFunction(function, module, name) == CUresult.CUDA_SUCCESS;
    }

    private static CUfunction missing(String name) {
        throw new EngineException("there is no kernel " + name + " in this build: build it again with mvn package");
    }

    /** One launch; its arguments come in the order in which the kernel takes them. */
    public final class Launch {
        private CommandQueue.Command command;
        private String name;

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

        /** Gives each block so many bytes of shared memory besides what the kernel declares. */
        public Launch shared(int bytes) {
            if (bytes > USUAL_SHARED) {
                allow(CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes);
            }
            command.shared(bytes);
            return this;
        }

        /** Lets the kernel's clusters have more blocks than every GPU with clusters takes. */
        public Launch largeClusters() {
            allow(CUfunction_attribute.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1);
            return this;
        }

        /** Has all blocks run at the same time, so that they may wait for each other; the driver refuses more than it has room for. */
        public Launch together() {
            command.together();
            return this;
        }

        /** Allows a function something, unless it may do that and more already. */
        private void allow(int attribute, int value) {
            Attribute key = new Attribute(name, attribute);
            if (allowed.getOrDefault(key, 0) < value) {
                Status.driver(
                        JCudaDriver.cuFuncSetAttribute(functions.get(name), attribute, value),
                        "cuFuncSetAttribute",
                        "%s, %d for the attribute %s",
                        name,
                        value,
                        CUfunction_attribute.stringFor(attribute));
                allowed.put(key, value);
            }
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
        for (CUmodule module : modules.values()) {
            release.of(() -> Status.driver(JCudaDriver.cuModuleUnload(module), "cuModuleUnload", "kernels"));
        }
        modules.clear();
        release.finish();
    }
}
