package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Every wrong call is refused, in one sentence, before anything is computed. */
interface MisuseContract extends ContractPart {
    /** Whether ids and labels out of range are noticed. A device kernel may have no way to say so. */
    default boolean checksIds() {
        return true;
    }

    private static void refuses(Executable call, String... words) {
        says(assertThrows(IllegalArgumentException.class, call).getMessage(), words);
    }

    private static void says(String message, String... words) {
        for (String word : words) {
            assertTrue(message.contains(word), "'" + word + "' is missing in: " + message);
        }
    }

    private void onBench(BiConsumer<Engine, Workbench> use) {
        use((engine, bench) -> {
            use.accept(engine, bench);
            return null;
        });
    }

    @Test
    default void forwardRefusesWrongShapes() {
        LstmSpec spec = LstmSpec.of(3, 5).withLayers(2).withProjectionSize(2);
        LstmCase lstm = LstmCase.of(spec, 4, 6);
        LstmData data = LstmData.of(lstm);
        onBench((engine, bench) -> {
            Tensor parameters = bench.parameters(spec, data.parameters());
            LstmInput input = bench.input(lstm, data);
            LstmOutput output = bench.output(lstm);
            refuses(
                    () -> engine.lstmForward(spec, bench.blank("parameters", 7), input, output, null),
                    "parameters",
                    "7",
                    "" + data.parameters().length);
            refuses(() -> engine.lstmForward(spec, null, input, output, null), "parameters", "missing");
            LstmInput wide = LstmInput.of(bench.blank("x", 4, 6, 4));
            refuses(() -> engine.lstmForward(spec, parameters, wide, output, null), "x", "3]", "[4, 6, 4]");
            LstmInput flat = LstmInput.of(bench.blank("x", 24, 3));
            refuses(() -> engine.lstmForward(spec, parameters, flat, output, null), "x", "[24, 3]");
            LstmInput empty = LstmInput.of(bench.blank("x", 4, 0, 3));
            refuses(() -> engine.lstmForward(spec, parameters, empty, output, null), "x", "[4, 0, 3]");
            LstmOutput narrow = new LstmOutput(bench.blank("y", 4, 6, 5), null);
            refuses(() -> engine.lstmForward(spec, parameters, input, narrow, null), "y", "[4, 6, 2]", "[4, 6, 5]");
            refuses(
                    () -> engine.lstmForward(spec, parameters, input, new LstmOutput(null, null), null),
                    "y",
                    "missing");
            Tensor h = bench.blank("h0", 2, 6, 2);
            Tensor c = bench.blank("c0", 2, 6, 5);
            refuses(
                    () -> engine.lstmForward(spec, parameters, input.withInitial(new LstmState(c, c)), output, null),
                    "initial state",
                    "[2, 6, 2]",
                    "[2, 6, 5]");
            refuses(
                    () -> engine.lstmForward(spec, parameters, input.withInitial(new LstmState(h, null)), output, null),
                    "initial state",
                    "missing");
            LstmOutput wrongLast = new LstmOutput(output.y(), new LstmState(h, bench.blank("c", 1, 6, 5)));
            refuses(() -> engine.lstmForward(spec, parameters, input, wrongLast, null), "last state", "[1, 6, 5]");
        });
    }

    @Test
    default void forwardRefusesWrongLengths() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(3, 5), 4, 2);
        LstmData data = LstmData.of(lstm);
        onBench((engine, bench) -> {
            Tensor parameters = bench.parameters(lstm.spec(), data.parameters());
            LstmInput input = bench.input(lstm, data);
            LstmOutput output = bench.output(lstm);
            refuses(
                    () -> engine.lstmForward(lstm.spec(), parameters, input.withLengths(4, 5), output, null),
                    "sequence 1",
                    "[0, 4]",
                    "5");
            refuses(
                    () -> engine.lstmForward(lstm.spec(), parameters, input.withLengths(-1, 4), output, null),
                    "sequence 0",
                    "-1");
            refuses(() -> engine.lstmForward(lstm.spec(), parameters, input.withLengths(4), output, null), "2 lengths");
        });
    }

    @Test
    default void tapeFitsOneSpecificationAndSize() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(3, 5), 4, 2);
        LstmData data = LstmData.of(lstm);
        onBench((engine, bench) -> {
            Tensor parameters = bench.parameters(lstm.spec(), data.parameters());
            for (LstmTape tape : List.of(
                    engine.openTape(bench.scope(), lstm.spec(), 3, 2),
                    engine.openTape(bench.scope(), lstm.spec(), 4, 1),
                    engine.openTape(bench.scope(), lstm.spec().withCellClip(1), 4, 2))) {
                refuses(
                        () -> engine.lstmForward(
                                lstm.spec(), parameters, bench.input(lstm, data), bench.output(lstm), tape),
                        "tape",
                        "[4, 2, 3]");
            }
            refuses(() -> engine.openTape(bench.scope(), lstm.spec(), 0, 2), "tape", "0");
            refuses(() -> engine.openTape(bench.scope(), lstm.spec(), 4, -1), "tape", "-1");
        });
    }

    @Test
    default void backwardNeedsAForwardPassEachTime() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        onBench((engine, bench) -> {
            LstmTape tape = engine.openTape(bench.scope(), lstm.spec(), lstm.timeSteps(), lstm.batchSize());
            Executable backward =
                    () -> engine.lstmBackward(tape, bench.outputGradient(lstm, data), null, bench.inputGradient(lstm));
            says(assertThrows(IllegalStateException.class, backward).getMessage(), "forward pass");
            bench.run(lstm, data, tape);
            says(assertThrows(IllegalStateException.class, backward).getMessage(), "forward pass");
        });
    }

    @Test
    default void backwardRefusesWrongShapesAndKeepsTheTape() {
        LstmSpec spec = LstmSpec.of(3, 5).withProjectionSize(2);
        LstmCase lstm = LstmCase.of(spec, 4, 6);
        LstmData data = LstmData.of(lstm);
        onBench((engine, bench) -> {
            LstmTape tape = engine.openTape(bench.scope(), spec, 4, 6);
            engine.lstmForward(
                    spec, bench.parameters(spec, data.parameters()), bench.input(lstm, data), bench.output(lstm), tape);
            LstmOutput gradient = bench.outputGradient(lstm, data);
            LstmInputGradient none = LstmInputGradient.NONE;
            Tensor wrong = bench.blank("wrong", 4, 6, 1);
            refuses(() -> engine.lstmBackward(tape, gradient, wrong, none), "parameter gradients", "[4, 6, 1]");
            refuses(
                    () -> engine.lstmBackward(tape, new LstmOutput(wrong, null), null, none),
                    "gradient of y",
                    "[4, 6, 2]",
                    "[4, 6, 1]");
            refuses(
                    () -> engine.lstmBackward(tape, new LstmOutput(null, new LstmState(wrong, null)), null, none),
                    "last state",
                    "[1, 6, 2]");
            refuses(
                    () -> engine.lstmBackward(tape, new LstmOutput(null, new LstmState(null, wrong)), null, none),
                    "last state",
                    "[1, 6, 5]");
            refuses(
                    () -> engine.lstmBackward(tape, gradient, null, new LstmInputGradient(wrong, null)),
                    "dx",
                    "[4, 6, 3]");
            refuses(
                    () -> engine.lstmBackward(
                            tape, gradient, null, new LstmInputGradient(null, new LstmState(null, wrong))),
                    "initial state",
                    "[1, 6, 5]");
            Tensor dx = bench.blank("dx", 4, 6, 3);
            engine.lstmBackward(tape, gradient, null, new LstmInputGradient(dx, null));
            tolerance()
                    .check(
                            "dx after refused calls",
                            ReferenceResults.of(lstm).dx(),
                            bench.read(dx),
                            Tolerance.backwardReduction(lstm));
        });
    }

    @Test
    default void refusedSpecificationsThrowTheRefusal() {
        LstmSpec plain = LstmSpec.of(3, 5);
        for (LstmSpec spec : List.of(
                plain.withPeepholes(true),
                plain.withLayerNormalization(true),
                plain.withRecurrentDropout(0.5),
                plain.withZoneout(0.1, 0),
                plain.withZoneout(0, 0.1))) {
            Optional<String> refusal = engine().refusal(spec);
            if (refusal.isEmpty()) {
                continue;
            }
            onBench((engine, bench) -> {
                EngineException tape =
                        assertThrows(EngineException.class, () -> engine.openTape(bench.scope(), spec, 2, 2));
                assertEquals(refusal.get(), tape.getMessage());
                LstmCase lstm = LstmCase.of(spec, 2, 2);
                EngineException forward = assertThrows(
                        EngineException.class,
                        () -> engine.lstmForward(
                                spec,
                                bench.parameters(spec, LstmData.of(lstm).parameters()),
                                bench.input(lstm, LstmData.of(lstm)),
                                bench.output(lstm),
                                null));
                assertEquals(refusal.get(), forward.getMessage());
            });
        }
    }

    @Test
    default void transfersRefuseOtherSizesAndTypes() {
        onBench((engine, bench) -> {
            Tensor real = bench.blank("real", 2, 3);
            Tensor whole = bench.integers("whole", 1, 2, 3);
            refuses(() -> engine.write(real, new float[5]), "5", "[2, 3]");
            refuses(() -> engine.write(real, new double[7]), "7", "[2, 3]");
            refuses(() -> engine.write(whole, new int[2]), "2", "[3]");
            refuses(() -> engine.read(real, new float[5]), "5", "[2, 3]");
            refuses(() -> engine.read(real, new double[7]), "7", "[2, 3]");
            refuses(() -> engine.write(real, new int[6]), "'real'", "INT32");
            refuses(() -> engine.write(whole, new float[3]), "'whole'", "INT32");
            refuses(() -> engine.write(whole, new double[3]), "'whole'", "INT32");
            refuses(() -> engine.read(whole, new float[3]), "'whole'", "INT32");
            refuses(() -> engine.fill(whole, 1), "'whole'", "INT32");
            refuses(() -> engine.scale(whole, 2), "'whole'", "INT32");
        });
    }

    @Test
    default void copyColumnsRefusesToReachOutside() {
        onBench((engine, bench) -> {
            Tensor source = bench.real("source", new double[6], 2, 3);
            Tensor target = bench.blank("target", 2, 4);
            for (int[] call : new int[][] {{0, 0, 4}, {1, 0, 3}, {0, 2, 3}, {-1, 0, 1}, {0, -1, 1}, {0, 0, -1}}) {
                refuses(
                        () -> engine.copyColumns(source, call[0], target, call[1], call[2]),
                        "'source' [2, 3]",
                        "'target' [2, 4]");
            }
            refuses(() -> engine.copyColumns(source, 0, bench.blank("target", 3, 4), 0, 1), "rows", "[3, 4]");
            refuses(() -> engine.copyColumns(source, 0, bench.blank("target", 8), 0, 1), "target", "[8]");
        });
    }

    @Test
    default void linearRefusesWrongShapes() {
        onBench((engine, bench) -> {
            Tensor x = bench.blank("x", 2, 3);
            Tensor weights = bench.blank("weights", 4, 3);
            Tensor bias = bench.blank("bias", 4);
            Tensor y = bench.blank("y", 2, 4);
            Tensor wrong = bench.blank("wrong", 5, 2);
            refuses(() -> engine.linearForward(x, wrong, bias, y), "weights", "[5, 2]");
            refuses(() -> engine.linearForward(x, weights, wrong, y), "bias", "[4]", "[5, 2]");
            refuses(() -> engine.linearForward(x, weights, bias, wrong), "y", "[2, 4]", "[5, 2]");
            refuses(() -> engine.linearForward(bias, weights, bias, y), "x", "2 dimensions");
            refuses(() -> engine.linearBackward(x, weights, wrong, weights, bias, null), "[2, 4]", "[5, 2]");
            refuses(() -> engine.linearBackward(x, weights, y, wrong, bias, null), "[5, 2]");
            refuses(() -> engine.linearBackward(x, weights, y, weights, wrong, null), "bias", "[5, 2]");
            refuses(() -> engine.linearBackward(x, weights, y, weights, bias, wrong), "dx", "[2, 3]", "[5, 2]");
        });
    }

    @Test
    default void embeddingRefusesWrongShapesAndIds() {
        onBench((engine, bench) -> {
            Tensor ids = bench.integers("ids", 0, 2, 1);
            Tensor table = bench.real("table", new double[12], 3, 4);
            Tensor y = bench.blank("y", 3, 4);
            Tensor wrong = bench.blank("wrong", 2, 4);
            refuses(() -> engine.embeddingForward(ids, table, wrong), "y", "[3, 4]", "[2, 4]");
            refuses(() -> engine.embeddingBackward(ids, wrong, table), "y", "[3, 4]", "[2, 4]");
            refuses(() -> engine.embeddingForward(ids.reshape(3, 1), table, y), "ids", "[3, 1]");
            if (checksIds()) {
                for (int id : new int[] {3, -1, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
                    Tensor bad = bench.integers("ids", 0, id, 1);
                    refuses(() -> engine.embeddingForward(bad, table, y), "id 1", "[0, 2]", "" + id);
                    refuses(() -> engine.embeddingBackward(bad, y, table), "id 1", "[0, 2]", "" + id);
                }
            }
        });
    }

    @Test
    default void dropoutRefusesWrongRatesAndShapes() {
        onBench((engine, bench) -> {
            Tensor x = bench.blank("x", 6);
            RandomKey key = new RandomKey(1, 2, 3);
            for (double rate : new double[] {-0.1, 1, 1.5, Double.NaN}) {
                refuses(() -> engine.dropout(x, rate, key, x), "dropout", "[0, 1)", "" + rate);
            }
            refuses(() -> engine.dropout(x, 0.5, key, bench.blank("y", 5)), "y", "6", "[5]");
            refuses(() -> engine.dropout(x, 0.5, key, 0, x), "period", "1 element or more", "got 0");
            refuses(() -> engine.add(x, bench.blank("y", 5)), "y", "6", "[5]");
        });
    }

    @Test
    default void activationRefusesWrongShapes() {
        onBench((engine, bench) -> {
            Tensor x = bench.blank("x", 2, 3);
            Tensor wrong = bench.blank("wrong", 3, 2);
            Tensor flat = bench.blank("flat", 6);
            Tensor whole = bench.integers("whole", 1, 2, 3).reshape(1, 3);
            for (ActivationFunction function : ActivationFunction.values()) {
                refuses(() -> engine.activationForward(function, x, wrong), "y", "[2, 3]", "[3, 2]");
                refuses(() -> engine.activationForward(function, flat, x), "x", "2 dimensions", "[6]");
                refuses(() -> engine.activationForward(function, x, flat), "y", "[2, 3]", "[6]");
                refuses(() -> engine.activationForward(function, x, null), "y", "missing");
                refuses(() -> engine.activationForward(function, whole, whole), "'whole'", "INT32");
                refuses(() -> engine.activationBackward(function, flat, x, x), "y", "2 dimensions", "[6]");
                refuses(() -> engine.activationBackward(function, x, wrong, x), "dy", "[2, 3]", "[3, 2]");
                refuses(() -> engine.activationBackward(function, x, x, wrong), "dx", "[2, 3]", "[3, 2]");
                refuses(() -> engine.activationBackward(function, x, x, null), "dx", "missing");
            }
        });
    }

    @Test
    default void lossRefusesWrongShapesAndLabels() {
        onBench((engine, bench) -> {
            Tensor p = bench.real("predictions", new double[6], 2, 3);
            Tensor labels = bench.integers("labels", 0, 2);
            Tensor targets = bench.real("targets", new double[6], 2, 3);
            Tensor report = bench.blank("report", 3);
            Tensor wrong = bench.blank("wrong", 4);
            refuses(
                    () -> engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, p, bench.integers("labels", 1), null, report, null),
                    "labels",
                    "[2]");
            refuses(() -> engine.loss(Loss.MEAN_SQUARED_ERROR, p, wrong, null, report, null), "targets", "[2, 3]");
            refuses(() -> engine.loss(Loss.SIGMOID_CROSS_ENTROPY, p, wrong, null, report, null), "targets", "[2, 3]");
            refuses(() -> engine.loss(Loss.MEAN_SQUARED_ERROR, p, targets, wrong, report, null), "row weights", "[2]");
            refuses(() -> engine.loss(Loss.MEAN_SQUARED_ERROR, p, targets, null, wrong, null), "report", "[3]");
            refuses(
                    () -> engine.loss(Loss.MEAN_SQUARED_ERROR, p, targets, null, report, wrong),
                    "gradient of the predictions",
                    "[2, 3]");
            refuses(
                    () -> engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, wrong, labels, null, report, null),
                    "predictions",
                    "2 dimensions");
            if (checksIds()) {
                for (int label : new int[] {3, -1}) {
                    Tensor bad = bench.integers("labels", 0, label);
                    refuses(
                            () -> engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, p, bad, null, report, null),
                            "label of row 1",
                            "[0, 2]",
                            "" + label);
                }
            }
        });
    }

    @Test
    default void squaredNormAndUpdateRefuseWrongShapes() {
        onBench((engine, bench) -> {
            Tensor p = bench.blank("p", 5);
            Tensor wrong = bench.blank("wrong", 4);
            refuses(() -> engine.squaredNorm(p, wrong), "1", "[4]");
            Update adam = new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), 1, 0.1, 0, null);
            refuses(() -> engine.update(adam, p, wrong, p, p), "gradients", "5", "[4]");
            refuses(() -> engine.update(adam, p, p, wrong, p), "first moment", "5", "[4]");
            refuses(() -> engine.update(adam, p, p, p, wrong), "second moment", "5", "[4]");
            refuses(() -> engine.update(adam, p, p, p, null), "second moment", "missing");
            Update clipped = new Update(new UpdateRule.Sgd(0, false), 1, 0.1, 1, wrong);
            refuses(() -> engine.update(clipped, p, p, null, null), "squared norm", "[4]");
        });
    }
}
