package carousel.engine.cuda.fused;

import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * A kernel that runs all steps of a layer with the recurrent weights in registers, forward or backward, and how it is launched. The
 * table below is what {@code kernels/lstm_resident.cu}, {@code lstm_cluster.cu} and {@code lstm_grid.cu} have, and the {@code _inputs} of the first
 * two, and the only place that says so here.
 *
 * @param path any but {@link FusedPath#POINTWISE}
 * @param precision of its products
 * @param units hidden units that it has room for; with fewer it is right too
 * @param cluster blocks that share the units of one batch tile, a cluster or not
 * @param tile sequences of a batch tile
 * @param parts into which a sum is divided among warps
 * @param inputs columns of the input that it has room for, forward; 0 where it does not make the product with the inputs. The way back is that
 *     of the kernel without.
 */
record ResidentKernel(FusedPath path, Precision precision, int units, int cluster, int tile, int parts, int inputs) {
    /** Where their PTX is, without its ending. */
    static final List<String> FILES =
            List.of("lstm_resident", "lstm_resident_inputs", "lstm_cluster", "lstm_cluster_inputs", "lstm_grid");

    /** Larger clusters run only where the GPU takes them. */
    private static final int PORTABLE_CLUSTER = 8;

    /** The first driver that reads the PTX of clusters, CUDA 12.1 in its own numbers. */
    private static final int CLUSTER_DRIVER = 12010;

    private static final int NARROW = 32;
    private static final int LESS_NARROW = 64;

    private static final int GATES = 4;
    /** Bytes that keep rows of shared memory, and what is before them, apart. */
    private static final int PAD = 16;

    private static final List<ResidentKernel> ALL = all();

    private static List<ResidentKernel> all() {
        List<ResidentKernel> all = new ArrayList<>();
        for (Precision half : List.of(Precision.BF16, Precision.FP16)) {
            all.add(new ResidentKernel(FusedPath.RESIDENT, half, 32, 1, 8, 1));
            all.add(new ResidentKernel(FusedPath.RESIDENT, half, 64, 1, 8, 1));
            all.add(new ResidentKernel(FusedPath.RESIDENT, half, 128, 1, 8, 1));
            all.add(with(NARROW, FusedPath.RESIDENT_INPUTS, half, 32, 1));
            all.add(with(NARROW, FusedPath.RESIDENT_INPUTS, half, 64, 1));
            all.add(with(LESS_NARROW, FusedPath.RESIDENT_INPUTS, half, 64, 1));
            all.add(new ResidentKernel(FusedPath.CLUSTER, half, 128, 4, 8, 1));
            all.add(new ResidentKernel(FusedPath.CLUSTER, half, 256, 8, 8, 2));
            all.add(new ResidentKernel(FusedPath.CLUSTER, half, 512, 16, 16, 4));
            all.add(with(NARROW, FusedPath.CLUSTER_INPUTS, half, 128, 4));
            all.add(with(LESS_NARROW, FusedPath.CLUSTER_INPUTS, half, 128, 4));
            all.add(new ResidentKernel(FusedPath.GRID, half, 512, 32, 16, 4));
            all.add(new ResidentKernel(FusedPath.GRID, half, 768, 48, 16, 4));
            all.add(new ResidentKernel(FusedPath.GRID, half, 1024, 64, 16, 4));
        }
        all.add(new ResidentKernel(FusedPath.RESIDENT, Precision.TF32, 32, 1, 8, 1));
        all.add(new ResidentKernel(FusedPath.RESIDENT, Precision.TF32, 64, 1, 8, 1));
        all.add(with(NARROW, FusedPath.RESIDENT_INPUTS, Precision.TF32, 32, 1));
        all.add(with(NARROW, FusedPath.RESIDENT_INPUTS, Precision.TF32, 64, 1));
        all.add(new ResidentKernel(FusedPath.CLUSTER, Precision.TF32, 128, 4, 8, 2));
        all.add(new ResidentKernel(FusedPath.CLUSTER, Precision.TF32, 256, 8, 16, 4));
        all.add(new ResidentKernel(FusedPath.GRID, Precision.TF32, 512, 32, 16, 4));
        all.add(new ResidentKernel(FusedPath.RESIDENT, Precision.FP32, 32, 1, 8, 1));
        all.add(new ResidentKernel(FusedPath.RESIDENT, Precision.FP32, 64, 1, 8, 1));
        all.add(new ResidentKernel(FusedPath.CLUSTER, Precision.FP32, 128, 4, 8, 1));
        all.add(new ResidentKernel(FusedPath.CLUSTER, Precision.FP32, 256, 8, 8, 1));
        return List.copyOf(all);
    }

    private ResidentKernel(FusedPath path, Precision precision, int units, int cluster, int tile, int parts) {
        this(path, precision, units, cluster, tile, parts, 0);
    }

    private static ResidentKernel with(int inputs, FusedPath path, Precision precision, int units, int cluster) {
        return new ResidentKernel(path, precision, units, cluster, 8, 1, inputs);
    }

    /** Every one there is. */
    static List<ResidentKernel> table() {
        return ALL;
    }

    /** For each path at most one: that with the least room that is enough. */
    static List<ResidentKernel> candidates(Precision precision, PathChoice.Shape shape, Gpu gpu) {
        List<ResidentKernel> candidates = new ArrayList<>();
        for (FusedPath path : FusedPath.values()) {
            smallest(path, precision, shape)
                    .filter(kernel -> kernel.needs(shape.cells(), gpu).isEmpty())
                    .ifPresent(candidates::add);
        }
        return candidates;
    }

    private static Optional<ResidentKernel> smallest(FusedPath path, Precision precision, PathChoice.Shape shape) {
        // The table lists those of a path and a precision by their room.
        return of(path, precision)
                .filter(kernel -> kernel.units >= shape.hidden()
                        && (kernel.inputs == 0 || kernel.inputs >= shape.inputs() && shape.inputs() > 0))
                .findFirst();
    }

    private static Stream<ResidentKernel> of(FusedPath path, Precision precision) {
        return ALL.stream().filter(kernel -> kernel.path == path && kernel.precision == precision);
    }

    /** The least room for so many inputs that a kernel for such cells has, 0 where none has enough: what of their number counts. */
    static int roomForInputs(Precision precision, int hidden, int inputs) {
        return ALL.stream()
                .filter(kernel -> kernel.precision == precision && kernel.units >= hidden && kernel.inputs >= inputs)
                .mapToInt(ResidentKernel::inputs)
                .min()
                .orElse(0);
    }

    /** Why a path has no candidate, as in "takes 64 hidden units at most in FP32". */
    static String limit(FusedPath path, Precision precision, PathChoice.Shape shape, Gpu gpu) {
        List<ResidentKernel> mine = of(path, precision).toList();
        if (mine.isEmpty()) {
            return "has no kernels in " + precision;
        }
        ResidentKernel largest = mine.get(mine.size() - 1);
        return smallest(path, precision, shape)
                .flatMap(kernel -> kernel.needs(shape.cells(), gpu))
                .orElse("takes " + largest.units + " hidden units "
                        + (largest.inputs == 0 ? "" : "and " + largest.inputs + " inputs ") + "at most in "
                        + precision);
    }

    /** What it needs and the GPU has not; nothing where it runs. */
    private Optional<String> needs(int cells, Gpu gpu) {
        if (capability() > gpu.capability()) {
            return Optional.of("needs compute capability " + capability() / 10 + "." + capability() % 10);
        }
        if (inClusters() && gpu.driver() < CLUSTER_DRIVER) {
            return Optional.of("needs a driver of CUDA " + version(CLUSTER_DRIVER) + ", and this one is of "
                    + version(gpu.driver()));
        }
        if (together() && cluster > gpu.room(cells)) {
            return Optional.of("needs room for " + cluster
                    + " blocks at the same time in each direction, and there is for " + gpu.room(cells));
        }
        int most = Math.max(shared(true), shared(false));
        if (most > gpu.sharedBytes()) {
            return Optional.of("needs " + most + " bytes of shared memory a block, and there are " + gpu.sharedBytes());
        }
        return Optional.empty();
    }

    private static String version(int driver) {
        return driver / 1000 + "." + driver % 1000 / 10;
    }

    private boolean inClusters() {
        return path.plain() == FusedPath.CLUSTER;
    }

    /** Ten times the compute capability that it needs. */
    int capability() {
        return inClusters() ? 90 : 80;
    }

    /** Of its function. */
    String name(boolean forward) {
        return forward && inputs > 0 ? withInputs("_inputs_forward_") : name(forward ? "_forward_" : "_backward_");
    }

    /** Of the function that brings the recurrent weights into the order in which it reads them. */
    String packing(boolean forward) {
        return name(forward ? "_pack_forward_" : "_pack_backward_");
    }

    /** Of the one that does so with the input weights, where it has room for them. */
    String packingOfInputs() {
        return withInputs("_inputs_pack_");
    }

    private String withInputs(String what) {
        return name(what) + "_c" + inputs;
    }

    private String name(String what) {
        return "carousel_lstm_" + path.plain().word() + what
                + (isSingle()
                        ? "f32"
                        : precision.name().toLowerCase(Locale.ROOT).replace("fp", "f")) + "_h" + units;
    }

    /** Whether it multiplies floats as they are, without tensor cores. */
    private boolean isSingle() {
        return precision == Precision.FP32;
    }

    private int unitsOfABlock() {
        return units / cluster;
    }

    int threads() {
        return isSingle() ? 2 * GATES * unitsOfABlock() : GATES * unitsOfABlock() * parts;
    }

    /** Whether all blocks of a launch have to run at the same time. */
    boolean together() {
        return path == FusedPath.GRID;
    }

    /** Batch tiles of a batch of this size. */
    int tiles(int batchSize) {
        return (batchSize + tile - 1) / tile;
    }

    /** How many of them one launch takes, where the GPU has room for so many blocks at the same time for each direction. */
    int tilesOfALaunch(int batchSize, int room) {
        return together() ? Math.min(tiles(batchSize), room / cluster) : tiles(batchSize);
    }

    /** Blocks for each direction of so many batch tiles. */
    int blocks(int tiles) {
        return tiles * cluster;
    }

    /** Bytes of what blocks that run together leave for each other, for so many batch tiles of all directions. */
    long mailBytes(boolean forward, int tiles) {
        long words = (long) (forward ? 1 : GATES) * units * precision.operands().bytes() / Integer.BYTES;
        return together() ? 2 * tiles * tile * words * Long.BYTES : 0;
    }

    /** Bytes of dynamic shared memory. */
    int shared(boolean forward) {
        int operandBytes = precision.operands().bytes();
        int sums = parts * unitsOfABlock() * tile * Float.BYTES;
        // Of the two that take turns, where blocks run together, the one that is not there yet is in the mail.
        int operands = together() ? 1 : 2;
        if (forward) {
            return PAD + operands * tile * (units * operandBytes + PAD) + (parts > 1 ? GATES * sums : 0);
        }
        return PAD + operands * tile * (GATES * units * operandBytes + PAD) + (isSingle() ? 0 : 2 * sums);
    }

    /** Bytes of the recurrent weights of a cell in that order. */
    long packedBytes() {
        return (long) GATES * units * units * precision.operands().bytes();
    }

    /** The same of the input weights; 0 where it does not multiply by them. */
    long packedInputBytes() {
        return (long) GATES * units * inputs * precision.operands().bytes();
    }

    /** Whether its cluster is larger than every GPU with clusters takes. */
    boolean largeCluster() {
        return inClusters() && cluster > PORTABLE_CLUSTER;
    }
}
