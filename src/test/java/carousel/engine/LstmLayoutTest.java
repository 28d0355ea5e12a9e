package carousel.engine;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LstmLayoutTest {
    private static Stream<LstmSpec> specs() {
        List<LstmSpec> specs = new ArrayList<>();
        for (Direction direction : Direction.values()) {
            for (int layers = 1; layers <= 3; layers++) {
                for (boolean bias : new boolean[] {true, false}) {
                    for (int projection : new int[] {0, 3}) {
                        LstmSpec spec = LstmSpec.of(5, 7)
                                .withDirection(direction)
                                .withLayers(layers)
                                .withBias(bias)
                                .withProjectionSize(projection);
                        specs.add(spec);
                        specs.add(spec.withPeepholes(true));
                    }
                }
            }
        }
        specs.add(LstmSpec.of(1, 1));
        specs.add(LstmSpec.of(64, 64).withLayers(2));
        return specs.stream();
    }

    /** As the documentation of {@code torch.nn.LSTM} counts, less its second bias; peepholes as ONNX has them. */
    private static long count(LstmSpec spec) {
        long hidden = spec.hiddenSize();
        long shown = spec.projectionSize() == 0 ? hidden : spec.projectionSize();
        long directions = spec.direction() == Direction.BIDIRECTIONAL ? 2 : 1;
        long count = 0;
        for (int layer = 0; layer < spec.layers(); layer++) {
            long read = layer == 0 ? spec.inputSize() : directions * shown;
            count += directions
                    * (4 * hidden * read
                            + 4 * hidden * shown
                            + (spec.bias() ? 4 * hidden : 0)
                            + (spec.projectionSize() == 0 ? 0 : spec.projectionSize() * hidden)
                            + (spec.peepholes() ? 3 * hidden : 0));
        }
        return count;
    }

    @ParameterizedTest
    @MethodSource("specs")
    void parametersAreAlignedApartAndAll(LstmSpec spec) {
        LstmLayout layout = LstmLayout.of(spec);
        long end = 0;
        long counted = 0;
        for (ParameterView view : layout.views()) {
            assertEquals(0, view.offset() % ParameterLayout.ALIGNMENT, view.name());
            assertTrue(view.offset() >= end, () -> view.name() + " overlaps");
            assertTrue(view.offset() - end < ParameterLayout.ALIGNMENT, () -> "a gap too many before " + view.name());
            assertEquals(view.offset() + view.shape().elements(), view.end());
            end = view.end();
            counted += view.shape().elements();
        }
        assertEquals(count(spec), counted);
        assertTrue(layout.elements() >= end && layout.elements() - end < ParameterLayout.ALIGNMENT);
        assertEquals(0, layout.elements() % ParameterLayout.ALIGNMENT);
    }

    @ParameterizedTest
    @MethodSource("specs")
    void cellsAreTheViewsInOrder(LstmSpec spec) {
        LstmLayout layout = LstmLayout.of(spec);
        List<ParameterView> views = new ArrayList<>();
        for (int state = 0; state < spec.states(); state++) {
            LstmLayout.Cell cell = layout.cell(state);
            Stream.of(cell.inputWeights(), cell.recurrentWeights(), cell.bias(), cell.projection(), cell.peepholes())
                    .filter(Objects::nonNull)
                    .forEach(views::add);
            assertEquals(spec.bias(), cell.bias() != null);
            assertEquals(spec.projected(), cell.projection() != null);
            assertEquals(spec.peepholes(), cell.peepholes() != null);
        }
        assertEquals(layout.views(), views);
    }

    @Test
    void namesAndShapesArePyTorchs() {
        LstmSpec spec = LstmSpec.of(5, 7)
                .withDirection(Direction.BIDIRECTIONAL)
                .withLayers(2)
                .withProjectionSize(3);
        List<String> expected = List.of(
                "weight_ih_l0 [28, 5]",
                "weight_hh_l0 [28, 3]",
                "bias_l0 [28]",
                "weight_hr_l0 [3, 7]",
                "weight_ih_l0_reverse [28, 5]",
                "weight_hh_l0_reverse [28, 3]",
                "bias_l0_reverse [28]",
                "weight_hr_l0_reverse [3, 7]",
                "weight_ih_l1 [28, 6]",
                "weight_hh_l1 [28, 3]",
                "bias_l1 [28]",
                "weight_hr_l1 [3, 7]",
                "weight_ih_l1_reverse [28, 6]",
                "weight_hh_l1_reverse [28, 3]",
                "bias_l1_reverse [28]",
                "weight_hr_l1_reverse [3, 7]");
        LstmLayout layout = LstmLayout.of(spec);
        assertEquals(
                expected,
                layout.views().stream()
                        .map(view -> view.name() + " " + view.shape())
                        .toList());
        assertEquals("weight_ih_l1_reverse", layout.cell(3).inputWeights().name());
        // A lone reverse cell is the first cell of its layer.
        LstmLayout reverse = LstmLayout.of(LstmSpec.of(5, 7).withDirection(Direction.REVERSE));
        assertEquals("weight_ih_l0", reverse.cell(0).inputWeights().name());
        assertNull(reverse.cell(0).projection());
    }

    /** PyTorch has none: the names are like its, and they come last. */
    @Test
    void peepholesComeLast() {
        LstmLayout layout = LstmLayout.of(LstmSpec.of(5, 7)
                .withDirection(Direction.BIDIRECTIONAL)
                .withProjectionSize(3)
                .withPeepholes(true));
        assertEquals(
                List.of(
                        "weight_ih_l0 [28, 5]",
                        "weight_hh_l0 [28, 3]",
                        "bias_l0 [28]",
                        "weight_hr_l0 [3, 7]",
                        "peephole_l0 [3, 7]",
                        "weight_ih_l0_reverse [28, 5]",
                        "weight_hh_l0_reverse [28, 3]",
                        "bias_l0_reverse [28]",
                        "weight_hr_l0_reverse [3, 7]",
                        "peephole_l0_reverse [3, 7]"),
                layout.views().stream()
                        .map(view -> view.name() + " " + view.shape())
                        .toList());
    }

    @Test
    void theLargestStackIsCountedWithoutOverflow() {
        LstmSpec spec = LstmSpec.of(LstmSpec.LARGEST_WIDTH, LstmSpec.LARGEST_WIDTH)
                .withLayers(LstmSpec.LARGEST_DEPTH)
                .withDirection(Direction.BIDIRECTIONAL);
        assertEquals(count(spec), LstmLayout.of(spec).elements());
    }

    @Test
    void aParameterIsPartOfItsBuffer() {
        ParameterLayout layout = new ParameterLayout();
        assertEquals(0, layout.elements());
        ParameterView scalar = layout.add("scalar");
        ParameterView full = layout.add("full", 8, 8);
        ParameterView nothing = layout.add("nothing", 0, 3);
        ParameterView last = layout.add("last", 2, 33);
        assertEquals(List.of(scalar, full, nothing, last), layout.views());
        assertEquals(
                List.of(0L, 64L, 128L, 128L),
                layout.views().stream().map(ParameterView::offset).toList());
        assertEquals(256, layout.elements());
        try (Engine engine = Engines.open("reference");
                Scope scope = engine.openScope("model")) {
            Tensor buffer = scope.allocate("buffer", (int) layout.elements());
            engine.fill(buffer, 0);
            engine.fill(full.in(buffer), 7);
            assertEquals(Shape.of(8, 8), full.in(buffer).shape());
            assertSame(scope, full.in(buffer).scope());
            double[] values = new double[256];
            engine.read(buffer, values);
            for (int e = 0; e < 256; e++) {
                assertEquals(e >= 64 && e < 128 ? 7 : 0, values[e]);
            }
            Tensor small = scope.allocate("small", 100);
            assertRefused(IllegalArgumentException.class, () -> full.in(small), "'full' [8, 8]", "100 elements");
        }
    }
}
