package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.fused.FusedEngineProvider;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmOptions;
import carousel.tensor.Precision;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The part of the contract that is about stacks, for kernels with resident weights: every case that they take. */
abstract class FusedPathContract extends ContractEngine implements LstmContract {
    private static final Set<LstmFeature> TAKEN =
            EnumSet.of(LstmFeature.CELL_CLIP, LstmFeature.DROPOUT, LstmFeature.RECURRENT_WEIGHT_DROPOUT);
    private static final Set<LstmFeature> USUAL = EnumSet.of(
            LstmFeature.PROJECTION, LstmFeature.CELL_CLIP, LstmFeature.DROPOUT, LstmFeature.RECURRENT_WEIGHT_DROPOUT);
    /** What every path with resident weights takes in every precision. */
    private static final int SMALL = 64;

    /** Of all cells and time steps: with more, the emulation takes long, and finds nothing that the others do not have. */
    private static final int MOST_ROWS = 350;

    /** The end of the paths that have the product with the inputs in their kernels. */
    private static final String INPUTS = "-inputs";

    private static final int COMBINATIONS = 30;

    /** A line about a cell that these kernels take. */
    private static final Pattern PLAIN = Pattern.compile(
            "H=\\d+( C<=\\d+)?( bidirectional)? T<=\\d+ N<=\\d+( with lengths)? (training|inference): .*");

    private final Precision precision;
    private final String path;

    FusedPathContract(Precision precision, String path) {
        this.precision = precision;
        this.path = path;
    }

    @Override
    EngineProvider provider() {
        return new FusedEngineProvider();
    }

    @Override
    EngineOptions options() {
        return super.options().withPrecision(precision);
    }

    /** Layers of one direction go side by side, in chunks so short that there are some. */
    @Override
    Map<String, String> properties() {
        return Map.of("carousel.fused.path", path, "carousel.fused.wavefront", "2");
    }

    private static LstmCase taken(LstmCase lstm) {
        LstmCase taken = lstm;
        for (LstmFeature feature : lstm.spec().features()) {
            if (!TAKEN.contains(feature)) {
                taken = taken.withSpec(LstmOptions.without(taken.spec(), feature));
            }
        }
        return taken;
    }

    static Stream<LstmCase> stacks() {
        return LstmCases.all()
                // What else is taken from the others leaves the same cases again.
                .filter(lstm -> lstm.spec().beyond(USUAL).isEmpty())
                .map(FusedPathContract::taken)
                .filter(lstm -> lstm.spec().hiddenSize() <= SMALL
                        && lstm.timeSteps() * lstm.batchSize() * lstm.spec().states() <= MOST_ROWS)
                .distinct();
    }

    static Stream<LstmCase> combined() {
        return LstmCases.combinations(COMBINATIONS)
                .map(FusedPathContract::taken)
                .filter(lstm -> lstm.spec().hiddenSize() <= SMALL);
    }

    @Override
    @ParameterizedTest
    @MethodSource("stacks")
    public void stackMatchesTheReference(LstmCase lstm) {
        LstmContract.super.stackMatchesTheReference(lstm);
        requirePath();
        LstmSpec spec = lstm.spec();
        boolean drawn = spec.dropout() + spec.recurrentWeightDropout() > 0 && lstm.dropout() != null;
        if (spec.layers() > 1 && spec.direction().cells() == 1 && lstm.timeSteps() > 2 && !drawn) {
            String stack = "H=" + spec.hiddenSize() + " T=" + lstm.timeSteps() + " N=" + lstm.batchSize() + ": "
                    + spec.layers() + " layers side by side in ";
            assertTrue(
                    engine().notes().stream().anyMatch(line -> line.startsWith(stack)),
                    () -> "no " + stack + engine().notes());
        }
    }

    @Override
    @ParameterizedTest
    @MethodSource("combined")
    public void combinationMatchesTheReference(LstmCase lstm) {
        LstmContract.super.combinationMatchesTheReference(lstm);
        requirePath();
    }

    /** What was computed otherwise proves nothing. */
    private void requirePath() {
        List<String> plain = engine().notes().stream()
                .filter(line -> PLAIN.matcher(line).matches())
                .toList();
        assertFalse(plain.isEmpty(), () -> "no line about a plain cell in " + engine().notes());
        boolean inputs = path.endsWith(INPUTS);
        for (String line : plain) {
            // Only lines with their width are about inputs that a kernel may have room for.
            String asked = ": " + path + ", as carousel.fused.path asks for";
            String wide =
                    ": " + path.replace(INPUTS, "") + ", for " + path + ", which carousel.fused.path asks for, takes ";
            assertTrue(line.contains(inputs && !line.contains(" C<=") ? wide : asked), line);
        }
    }
}
