package carousel.engine.cuda.fused;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.tensor.Precision;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The table of kernels, against numbers worked out by hand and against the kernels as they are shipped. */
class ResidentKernelTest {
    private static final Pattern ENTRY = Pattern.compile("\\.entry\\s+(\\w+)\\((.*?)\\)([^{]*)\\{", Pattern.DOTALL);
    private static final Pattern THREADS = Pattern.compile("\\.(?:max|req)ntid\\s+(\\d+)");
    private static final Pattern CLUSTER = Pattern.compile("\\.reqnctapercluster\\s+(\\d+)");

    private static final Gpu HOPPER = new Gpu(90, 132, 227 << 10, 12060);

    private static ResidentKernel kernel(FusedPath path, Precision precision, int units) {
        return kernel(path, precision, units, 0);
    }

    private static ResidentKernel kernel(FusedPath path, Precision precision, int units, int inputs) {
        return ResidentKernel.table().stream()
                .filter(each -> each.path() == path
                        && each.precision() == precision
                        && each.units() == units
                        && each.inputs() == inputs)
                .findFirst()
                .orElseThrow();
    }

    private static PathChoice.Shape shape(int hidden, int inputs, int cells) {
        return new PathChoice.Shape(hidden, inputs, 7, 9, cells, true, true, null);
    }

    private static String limit(FusedPath path, Precision precision, int hidden, int cells, Gpu gpu) {
        return ResidentKernel.limit(path, precision, shape(hidden, 0, cells), gpu);
    }

    @ParameterizedTest
    @CsvSource({
        // threads; blocks of 9 sequences; bytes forward and backward; bytes of packed weights
        "RESIDENT, BF16,  32, 128,  2,  1296,   6416,    8192",
        "RESIDENT, FP16, 128, 512,  2,  4368,  24848,  131072",
        "RESIDENT, TF32,  64, 256,  2,  4368,  20752,   65536",
        "RESIDENT, FP32,  64, 512,  2,  4368,  16656,   65536",
        "CLUSTER,  BF16, 128, 128,  8,  4368,  18704,  131072",
        "CLUSTER,  FP16, 256, 256, 16, 16656,  37136,  524288",
        "CLUSTER,  BF16, 512, 512, 16, 66064, 147984, 2097152",
        "CLUSTER,  TF32, 128, 256,  8, 16656,  37136,  262144",
        "CLUSTER,  TF32, 256, 512,  8, 66064, 147984, 1048576",
        "CLUSTER,  FP32, 256, 256, 16, 16656,  65808, 1048576",
        "GRID,     FP16, 512, 256, 32, 33040,  74000, 2097152",
        "GRID,     TF32, 512, 256, 32, 49424, 139536, 4194304",
        "GRID,     BF16, 768, 256, 48, 41232, 106768, 4718592",
        "GRID,     BF16, 1024, 256, 64, 49424, 139536, 8388608"
    })
    void launchesAreThoseOfTheKernels(
            FusedPath path,
            Precision precision,
            int units,
            int threads,
            int blocks,
            int forward,
            int backward,
            long packed) {
        ResidentKernel kernel = kernel(path, precision, units);
        assertEquals(threads, kernel.threads());
        assertEquals(blocks, kernel.blocks(kernel.tiles(9)));
        assertEquals(forward, kernel.shared(true));
        assertEquals(backward, kernel.shared(false));
        assertEquals(packed, kernel.packedBytes());
        assertEquals(path == FusedPath.CLUSTER && units == 512, kernel.largeCluster());
    }

    @Test
    void namesSayWhatTheyCompute() {
        ResidentKernel kernel = kernel(FusedPath.CLUSTER, Precision.BF16, 256);
        assertEquals("carousel_lstm_cluster_forward_bf16_h256", kernel.name(true));
        assertEquals("carousel_lstm_cluster_pack_backward_bf16_h256", kernel.packing(false));
        assertEquals(
                "carousel_lstm_resident_backward_f16_h32",
                kernel(FusedPath.RESIDENT, Precision.FP16, 32).name(false));
        assertEquals(
                "carousel_lstm_resident_pack_forward_tf32_h64",
                kernel(FusedPath.RESIDENT, Precision.TF32, 64).packing(true));
        ResidentKernel inputs = kernel(FusedPath.CLUSTER_INPUTS, Precision.BF16, 128, 64);
        assertEquals("carousel_lstm_cluster_inputs_forward_bf16_h128_c64", inputs.name(true));
        assertEquals("carousel_lstm_cluster_backward_bf16_h128", inputs.name(false));
        assertEquals("carousel_lstm_cluster_pack_forward_bf16_h128", inputs.packing(true));
        assertEquals("carousel_lstm_cluster_inputs_pack_bf16_h128_c64", inputs.packingOfInputs());
        assertEquals(4 * 128 * 64 * 2, inputs.packedInputBytes());
        assertEquals(0, kernel(FusedPath.CLUSTER, Precision.BF16, 128).packedInputBytes());
        assertEquals(
                "carousel_lstm_cluster_forward_f32_h128",
                kernel(FusedPath.CLUSTER, Precision.FP32, 128).name(true));
    }

    @ParameterizedTest
    @CsvSource({
        "FP32, 1, 90, resident 32 cluster 128",
        "FP32, 32, 90, resident 32 cluster 128",
        "FP32, 33, 90, resident 64 cluster 128",
        "FP32, 65, 90, cluster 128",
        "FP32, 256, 120, cluster 256",
        "FP32, 257, 90, ''",
        "FP32, 33, 89, resident 64",
        "FP32, 65, 89, ''",
        "FP32, 33, 75, ''",
        "BF16, 128, 90, resident 128 cluster 128 grid 512",
        "BF16, 129, 90, cluster 256 grid 512",
        "FP16, 512, 90, cluster 512 grid 512",
        "FP16, 512, 80, grid 512",
        "FP16, 513, 90, grid 768",
        "BF16, 1000, 80, ''",
        "BF16, 1025, 90, ''",
        "TF32, 65, 90, cluster 128 grid 512",
        "TF32, 65, 80, grid 512",
        "TF32, 257, 90, grid 512",
        "TF32, 513, 90, ''",
        "FP64, 5, 90, ''"
    })
    void candidatesHaveTheLeastRoomThatIsEnough(Precision precision, int hidden, int capability, String expected) {
        assertEquals(
                expected,
                ResidentKernel.candidates(precision, shape(hidden, 0, 1), new Gpu(capability, 50, 227 << 10, 12060))
                        .stream()
                        .map(kernel -> kernel.path().word() + " " + kernel.units())
                        .collect(Collectors.joining(" ")));
    }

    @Test
    void limitsAreSaid() {
        assertEquals(
                "takes 64 hidden units at most in FP32",
                limit(FusedPath.RESIDENT, Precision.FP32, 65, 1, new Gpu(90, 132, 227 << 10, 12060)));
        assertEquals(
                "has no kernels in FP64",
                limit(FusedPath.CLUSTER, Precision.FP64, 5, 1, new Gpu(90, 132, 227 << 10, 12060)));
        assertEquals(
                "needs compute capability 9.0",
                limit(FusedPath.CLUSTER, Precision.BF16, 5, 1, new Gpu(89, 132, 227 << 10, 12060)));
        assertEquals(
                "needs room for 64 blocks at the same time in each direction, and there is for 54",
                limit(FusedPath.GRID, Precision.BF16, 1000, 1, new Gpu(80, 54, 227 << 10, 12060)));
        assertEquals(
                "needs room for 48 blocks at the same time in each direction, and there is for 42",
                limit(FusedPath.GRID, Precision.BF16, 600, 2, new Gpu(80, 84, 227 << 10, 12060)));
        assertEquals(
                "needs 106768 bytes of shared memory a block, and there are 101376",
                limit(FusedPath.GRID, Precision.BF16, 600, 1, new Gpu(89, 128, 99 << 10, 12060)));
        assertEquals(
                "takes 1024 hidden units at most in BF16",
                limit(FusedPath.GRID, Precision.BF16, 1025, 1, new Gpu(80, 54, 227 << 10, 12060)));
        assertEquals(
                "needs a driver of CUDA 12.1, and this one is of 12.0",
                limit(FusedPath.CLUSTER, Precision.BF16, 5, 1, new Gpu(90, 132, 227 << 10, 12000)));
        assertEquals(
                "takes 64 hidden units and 32 inputs at most in TF32",
                ResidentKernel.limit(FusedPath.RESIDENT_INPUTS, Precision.TF32, shape(64, 33, 1), HOPPER));
        assertEquals(
                "takes 128 hidden units and 64 inputs at most in FP16",
                ResidentKernel.limit(FusedPath.CLUSTER_INPUTS, Precision.FP16, shape(129, 3, 1), HOPPER));
    }

    @ParameterizedTest
    @CsvSource({
        "BF16, 20, 1, 12060, resident 32/0 resident-inputs 32/32 cluster 128/0 cluster-inputs 128/32 grid 512/0",
        "BF16, 20, 33, 12060, resident 32/0 resident-inputs 64/64 cluster 128/0 cluster-inputs 128/64 grid 512/0",
        "FP16, 64, 64, 12010, resident 64/0 resident-inputs 64/64 cluster 128/0 cluster-inputs 128/64 grid 512/0",
        "FP16, 64, 65, 12060, resident 64/0 cluster 128/0 grid 512/0",
        "FP16, 65, 32, 12060, resident 128/0 cluster 128/0 cluster-inputs 128/32 grid 512/0",
        "FP16, 65, 32, 12000, resident 128/0 grid 512/0",
        "TF32, 33, 32, 12060, resident 64/0 resident-inputs 64/32 cluster 128/0 grid 512/0",
        "TF32, 33, 33, 12060, resident 64/0 cluster 128/0 grid 512/0",
        "FP32, 20, 1, 12060, resident 32/0 cluster 128/0"
    })
    void narrowInputsHaveCandidatesOfTheirOwn(
            Precision precision, int hidden, int inputs, int driver, String expected) {
        assertEquals(
                expected,
                ResidentKernel.candidates(precision, shape(hidden, inputs, 1), new Gpu(90, 132, 227 << 10, driver))
                        .stream()
                        .map(kernel -> kernel.path().word() + " " + kernel.units() + "/" + kernel.inputs())
                        .collect(Collectors.joining(" ")));
    }

    @Test
    void roomForInputsIsTheLeast() {
        assertEquals(32, ResidentKernel.roomForInputs(Precision.BF16, 64, 32));
        assertEquals(64, ResidentKernel.roomForInputs(Precision.BF16, 64, 33));
        assertEquals(64, ResidentKernel.roomForInputs(Precision.BF16, 128, 64));
        assertEquals(0, ResidentKernel.roomForInputs(Precision.BF16, 129, 1));
        assertEquals(0, ResidentKernel.roomForInputs(Precision.BF16, 64, 65));
        assertEquals(0, ResidentKernel.roomForInputs(Precision.FP32, 5, 1));
    }

    @Test
    void onlyBlocksThatRunTogetherNeedRoomAndMail() {
        ResidentKernel grid = kernel(FusedPath.GRID, Precision.BF16, 768);
        assertEquals(4, grid.tiles(50));
        assertEquals(2, grid.tilesOfALaunch(50, 132));
        assertEquals(1, grid.tilesOfALaunch(50, 66));
        assertEquals(1, grid.tilesOfALaunch(16, 132));
        // Two sets of letters of 8 bytes, one for two numbers of h, or of da of four gates.
        assertEquals(2 * 3 * 16 * 384 * 8, grid.mailBytes(true, 3));
        assertEquals(2 * 3 * 16 * 1536 * 8, grid.mailBytes(false, 3));
        ResidentKernel wide = kernel(FusedPath.GRID, Precision.TF32, 512);
        assertEquals(2 * 3 * 16 * 512 * 8, wide.mailBytes(true, 3), "a letter for each number");
        ResidentKernel cluster = kernel(FusedPath.CLUSTER, Precision.BF16, 256);
        assertEquals(7, cluster.tilesOfALaunch(50, 8));
        assertEquals(0, cluster.mailBytes(true, 3));
    }

    /** Every kernel that is shipped is in the table, with its threads and its cluster, and the other way round. */
    @Test
    void tableIsThatOfTheKernels() throws IOException {
        Set<String> shipped = new TreeSet<>();
        for (String file : ResidentKernel.FILES) {
            for (MatchResult entry : ENTRY.matcher(ptx(file)).results().toList()) {
                String packs = entry.group(1).contains("_pack_") ? " packs" : threadsAndCluster(entry.group(3));
                shipped.add(entry.group(1) + packs);
            }
        }
        Set<String> listed = new TreeSet<>();
        for (ResidentKernel kernel : ResidentKernel.table()) {
            for (boolean forward : List.of(true, false)) {
                int cluster = kernel.together() ? 1 : kernel.cluster();
                listed.add(kernel.name(forward) + " " + kernel.threads() + " " + cluster);
                listed.add(kernel.packing(forward) + " packs");
            }
            if (kernel.inputs() > 0) {
                listed.add(kernel.packingOfInputs() + " packs");
            }
        }
        assertTrue(listed.size() >= 4 * 26 + 2 * 12, listed::toString);
        assertEquals(listed, shipped);
    }

    private static String threadsAndCluster(String directives) {
        Matcher threads = THREADS.matcher(directives);
        assertTrue(threads.find(), directives);
        Matcher cluster = CLUSTER.matcher(directives);
        return " " + threads.group(1) + " " + (cluster.find() ? cluster.group(1) : "1");
    }

    private static String ptx(String file) throws IOException {
        try (InputStream in = ResidentKernel.class.getResourceAsStream("/carousel/engine/cuda/" + file + ".ptx")) {
            return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
        }
    }
}
