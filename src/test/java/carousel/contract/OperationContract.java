package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.engine.Philox;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.fixture.LstmData;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Everything but the stacks. */
interface OperationContract extends ContractPart {
    @Test
    default void writesAndReadsAreLossless() {
        float[] floats = {0, -0f, 1.5f, -3.25e-30f, 7.7e20f, Float.MIN_NORMAL, 0.1f};
        use((engine, bench) -> {
            Tensor tensor = bench.blank("tensor", floats.length);
            engine.write(tensor, floats);
            float[] back = new float[floats.length];
            engine.read(tensor, back);
            assertArrayEquals(floats, back);
            double[] wide = bench.read(tensor);
            for (int e = 0; e < floats.length; e++) {
                assertEquals(floats[e], wide[e], "read as double");
            }
            double[] doubles = {1.5, -0.25, 0, 4096, -1, 0x1p-20, 3};
            engine.write(tensor, doubles);
            assertArrayEquals(doubles, bench.read(tensor));
            engine.read(tensor, back);
            for (int e = 0; e < doubles.length; e++) {
                assertEquals((float) doubles[e], back[e], "read as float");
            }
            Tensor middle = tensor.view("middle", 2, Shape.of(3));
            engine.write(middle, new double[] {7, 8, 9});
            assertArrayEquals(new double[] {1.5, -0.25, 7, 8, 9, 0x1p-20, 3}, bench.read(tensor));
            assertArrayEquals(new double[] {7, 8, 9}, bench.read(middle));
            return null;
        });
    }

    @Test
    default void fillSetsATensorAndNothingAround() {
        use((engine, bench) -> {
            Tensor tensor = bench.real("tensor", new double[] {1, 2, 3, 4, 5}, 5);
            engine.fill(tensor.view("middle", 1, Shape.of(3)), -0.5);
            assertArrayEquals(new double[] {1, -0.5, -0.5, -0.5, 5}, bench.read(tensor));
            engine.fill(tensor, 0);
            assertArrayEquals(new double[5], bench.read(tensor));
            return null;
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 64, 1021, 40_003})
    default void scaleMultipliesATensorAndNothingAround(int size) {
        double[] x = LstmData.uniform(new RandomSequence(30, 0, size), size + 2);
        for (double factor : new double[] {0x1p16, 0x1p-16, 1, -0.5}) {
            double[] expected = x.clone();
            for (int e = 1; e <= size; e++) {
                expected[e] *= factor;
            }
            use((engine, bench) -> {
                Tensor tensor = bench.real("tensor", x, size + 2);
                engine.scale(tensor.view("middle", 1, Shape.of(size)), factor);
                assertArrayEquals(expected, bench.read(tensor), "times " + factor);
                return null;
            });
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1, 1, 1, 0, 0, 1",
        "3, 5, 7, 1, 2, 4",
        "17, 33, 40, 0, 7, 33",
        "4, 6, 6, 2, 3, 0",
        "130, 3, 65, 2, 64, 1"
    })
    default void copyColumnsCopiesThemOnly(
            int rows, int sourceWidth, int targetWidth, int sourceColumn, int targetColumn, int columns) {
        RandomSequence random = new RandomSequence(31, 0, rows);
        double[] source = LstmData.uniform(random, rows * sourceWidth);
        double[] target = LstmData.uniform(random, rows * targetWidth);
        double[] expected = target.clone();
        for (int m = 0; m < rows; m++) {
            System.arraycopy(source, m * sourceWidth + sourceColumn, expected, m * targetWidth + targetColumn, columns);
        }
        use((engine, bench) -> {
            Tensor from = bench.real("source", source, rows, sourceWidth);
            Tensor to = bench.real("target", target, rows, targetWidth);
            engine.copyColumns(from, sourceColumn, to, targetColumn, columns);
            assertArrayEquals(expected, bench.read(to));
            assertArrayEquals(source, bench.read(from));
            return null;
        });
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "2, 3, 5", "7, 13, 11", "33, 65, 31", "130, 10, 67", "5, 259, 3", "1, 128, 10"})
    default void linearMatchesTheReference(int rows, int inputs, int outputs) {
        RandomSequence random = new RandomSequence(32, 0, inputs);
        double[] x = LstmData.uniform(random, rows * inputs);
        double[] weights = LstmData.uniform(random, outputs * inputs);
        double[] bias = LstmData.uniform(random, outputs);
        double[] dy = LstmData.uniform(random, rows * outputs);
        double[] weightsBefore = LstmData.uniform(random, outputs * inputs);
        double[] biasBefore = LstmData.uniform(random, outputs);
        for (boolean biased : new boolean[] {true, false}) {
            for (boolean wanted : new boolean[] {true, false}) {
                sameAsReference("linear", 2.0 * inputs + rows + outputs, (engine, bench) -> {
                    Tensor tx = bench.real("x", x, rows, inputs);
                    Tensor tw = bench.real("weights", weights, outputs, inputs);
                    Tensor y = bench.blank("y", rows, outputs);
                    engine.linearForward(tx, tw, biased ? bench.real("bias", bias, outputs) : null, y);
                    Tensor dw = bench.real("dW", weightsBefore, outputs, inputs);
                    Tensor db = biased ? bench.real("db", biasBefore, outputs) : null;
                    Tensor dx = wanted ? bench.blank("dx", rows, inputs) : null;
                    engine.linearBackward(tx, tw, bench.real("dy", dy, rows, outputs), dw, db, dx);
                    return new double[][] {
                        bench.read(y), bench.read(dw), biased ? bench.read(db) : null, wanted ? bench.read(dx) : null
                    };
                });
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "5, 3, 4", "64, 7, 33", "301, 11, 65", "17, 1000, 3"})
    default void embeddingMatchesTheReference(int rows, int vocabulary, int width) {
        RandomSequence random = new RandomSequence(33, 0, rows);
        int[] ids = new int[rows];
        Arrays.setAll(ids, m -> random.nextInt(vocabulary));
        ids[rows - 1] = vocabulary - 1;
        double[] table = LstmData.uniform(random, vocabulary * width);
        double[] dy = LstmData.uniform(random, rows * width);
        double[] before = LstmData.uniform(random, vocabulary * width);
        sameAsReference("embedding", rows, (engine, bench) -> {
            Tensor rowIds = bench.integers("ids", ids);
            Tensor y = bench.blank("y", rows, width);
            engine.embeddingForward(rowIds, bench.real("table", table, vocabulary, width), y);
            Tensor gradient = bench.real("dtable", before, vocabulary, width);
            engine.embeddingBackward(rowIds, bench.real("dy", dy, rows, width), gradient);
            return new double[][] {bench.read(y), bench.read(gradient)};
        });
    }

    @ParameterizedTest
    @CsvSource({"1, 0.5", "7, 0.3", "64, 0", "1021, 0.1", "4099, 0.9", "100003, 0.5"})
    default void dropoutFollowsItsKey(int size, double rate) {
        RandomKey key = new RandomKey(-77, 9, 0x3_0000_0002L);
        double[] x = LstmData.uniform(new RandomSequence(34, 0, size), size);
        double[] expected = new double[size];
        int[] words = new int[Philox.WORDS];
        for (int e = 0; e < size; e++) {
            key.block(e / Philox.WORDS, words);
            boolean drops = RandomKey.drops(words[e % Philox.WORDS], RandomKey.threshold(rate));
            expected[e] = drops ? 0 : x[e] / (1 - rate);
        }
        use((engine, bench) -> {
            Tensor source = bench.real("x", x, size);
            Tensor y = bench.blank("y", size);
            engine.dropout(source, rate, key, y);
            tolerance().check("dropout", expected, bench.read(y), Tolerance.FUNCTION);
            assertArrayEquals(x, bench.read(source), "x of a dropout into another tensor");
            double[] apart = bench.read(y);
            engine.dropout(source, rate, key, source);
            assertArrayEquals(apart, bench.read(source), "dropout in place");
            return null;
        });
    }

    /** One draw for all steps, wherever a period ends in a block of words, and longer than a task of an engine. */
    @ParameterizedTest
    @CsvSource({"1, 1", "12, 4", "35, 5", "70, 7", "4099, 6", "1000, 999", "20, 50", "100003, 1021", "100003, 33331"})
    default void dropoutRepeatsItsDrawsWithItsPeriod(int size, int period) {
        RandomKey key = new RandomKey(12, 3, -4);
        double[] x = LstmData.uniform(new RandomSequence(36, 1, size), size);
        double[] expected = new double[size];
        int[] words = new int[Philox.WORDS];
        for (int e = 0; e < size; e++) {
            int draw = e % period;
            key.block(draw / Philox.WORDS, words);
            boolean drops = RandomKey.drops(words[draw % Philox.WORDS], RandomKey.threshold(0.375));
            expected[e] = drops ? 0 : x[e] / (1 - 0.375);
        }
        use((engine, bench) -> {
            Tensor source = bench.real("x", x, size);
            Tensor y = bench.blank("y", size);
            engine.dropout(source, 0.375, key, period, y);
            tolerance().check("dropout", expected, bench.read(y), Tolerance.FUNCTION);
            assertArrayEquals(x, bench.read(source), "x of a dropout into another tensor");
            double[] apart = bench.read(y);
            engine.dropout(source, 0.375, key, period, source);
            assertArrayEquals(apart, bench.read(source), "dropout in place");
            return null;
        });
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 64, 1021, 100_003})
    default void addAddsToWhatIsThere(int size) {
        RandomSequence random = new RandomSequence(42, 0, size);
        double[] x = LstmData.uniform(random, size);
        double[] before = LstmData.uniform(random, size + 2);
        double[] expected = before.clone();
        for (int e = 0; e < size; e++) {
            expected[e + 1] += x[e];
        }
        use((engine, bench) -> {
            Tensor from = bench.real("x", x, size);
            Tensor all = bench.real("y", before, size + 2);
            engine.add(from, all.view("middle", 1, Shape.of(size)));
            tolerance().check("a sum", expected, bench.read(all), 2);
            assertArrayEquals(x, bench.read(from), "x of an addition");
            return null;
        });
    }

    @Test
    default void dropoutIsItsOwnBackwardPass() {
        int size = 1000;
        RandomKey key = new RandomKey(5, 1, 2);
        use((engine, bench) -> {
            Tensor ones = bench.blank("ones", size);
            engine.fill(ones, 1);
            Tensor y = bench.blank("y", size);
            engine.dropout(ones, 0.25, key, y);
            double[] dy = LstmData.uniform(new RandomSequence(35, 0, 0), size);
            Tensor dx = bench.blank("dx", size);
            engine.dropout(bench.real("dy", dy, size), 0.25, key, dx);
            double[] mask = bench.read(y);
            double[] expected = new double[size];
            Arrays.setAll(expected, e -> mask[e] * dy[e]);
            tolerance().check("dropout, backwards", expected, bench.read(dx), 2);
            long kept = Arrays.stream(mask).filter(value -> value != 0).count();
            assertTrue(kept > 680 && kept < 820, kept + " of 1000 elements kept at a rate of 0.25");
            return null;
        });
    }

    @ParameterizedTest
    @EnumSource
    default void activationMatchesTheReference(ActivationFunction function) {
        for (int[] size :
                new int[][] {{1, 1}, {1, 2}, {3, 5}, {17, 10}, {131, 3}, {33, 65}, {2, 1000}, {3, 20_011}, {0, 4}}) {
            RandomSequence random = new RandomSequence(39, function.ordinal(), size[1]);
            double[] x = new double[size[0] * size[1]];
            Arrays.setAll(x, e -> (float) (4 * random.nextGaussian()));
            compareActivation(function, size[0], size[1], x);
        }
    }

    @ParameterizedTest
    @EnumSource
    default void activationStandsExtremes(ActivationFunction function) {
        double hidden = Double.NEGATIVE_INFINITY;
        double[] x = {
            1e4, -1e4, 0, 88, -88, 1e4, -1e4, -1e4, -1e4, -1e4, -1e4, -9e3, 0, -0.0, 0, 0, 0, 0, 104, -104, 1e-7f, 3e4,
            3e4, -3e4, hidden, 2, 1, hidden, hidden, 3, 1e-40f, -1e-40f, 18, -18, 9.5, 710
        };
        Arrays.setAll(x, e -> (float) x[e]);
        compareActivation(function, 6, 6, x);
    }

    @ParameterizedTest
    @EnumSource
    default void activationKeepsWhatIsNotANumber(ActivationFunction function) {
        int columns = 7;
        for (int at = 0; at < columns; at++) {
            double[] x = LstmData.uniform(new RandomSequence(40, 0, at), 3 * columns);
            x[columns + at] = Double.NaN;
            double[] y = use((engine, bench) -> {
                Tensor tensor = bench.real("x", x, 3, columns);
                engine.activationForward(function, tensor, tensor);
                return bench.read(tensor);
            });
            for (int e = 0; e < y.length; e++) {
                boolean meant = function == ActivationFunction.SOFTMAX ? e / columns == 1 : e == columns + at;
                assertEquals(meant, Double.isNaN(y[e]), function + " at " + e + ": " + y[e]);
            }
        }
    }

    /** Values worked out by hand, so that not all trust is in the reference. */
    @Test
    default void activationsHaveTheirKnownValues() {
        double[] x = {-2, 0, Math.log(3), Math.log(4)};
        double[][] expected = {
            {0, 0, Math.log(3), Math.log(4)},
            {1 / (1 + Math.exp(2)), 0.5, 0.75, 0.8},
            {-Math.tanh(2), 0, 0.8, 15 / 17.0},
            {Math.exp(-2) / (8 + Math.exp(-2)), 1 / (8 + Math.exp(-2)), 3 / (8 + Math.exp(-2)), 4 / (8 + Math.exp(-2))}
        };
        for (ActivationFunction function : ActivationFunction.values()) {
            double[] y = use((engine, bench) -> {
                Tensor tensor = bench.real("x", x, 1, 4);
                engine.activationForward(function, tensor, tensor);
                return bench.read(tensor);
            });
            tolerance().check(function.word(), expected[function.ordinal()], y, Tolerance.FUNCTION);
        }
    }

    private void compareActivation(ActivationFunction function, int rows, int columns, double[] x) {
        String what = function + " [" + rows + ", " + columns + "]";
        double[] dy = LstmData.uniform(new RandomSequence(41, 0, rows), x.length);
        BiFunction<Engine, Workbench, double[][]> passes = (engine, bench) -> {
            Tensor input = bench.real("x", x, rows, columns);
            Tensor y = bench.blank("y", rows, columns);
            engine.activationForward(function, input, y);
            double[] values = bench.read(y);
            assertArrayEquals(x, bench.read(input), what + ": x stays");
            engine.activationForward(function, input, input);
            assertArrayEquals(values, bench.read(input), what + " in place");
            Tensor gradient = bench.real("dy", dy, rows, columns);
            Tensor dx = bench.blank("dx", rows, columns);
            engine.activationBackward(function, y, gradient, dx);
            double[] derivatives = bench.read(dx);
            assertArrayEquals(values, bench.read(y), what + ": y stays");
            assertArrayEquals(dy, bench.read(gradient), what + ": dy stays");
            engine.activationBackward(function, y, gradient, gradient);
            assertArrayEquals(derivatives, bench.read(gradient), what + " backwards in place");
            return new double[][] {values, derivatives};
        };
        double[][] expected = ReferenceResults.of(passes);
        double[][] actual = use(passes);
        double reduction = columns + 4.0 * Tolerance.FUNCTION;
        tolerance().check(what, expected[0], actual[0], reduction);
        // Where a function is flat its slope is a small difference of y, which is as exact as y.
        tolerance()
                .checkWithin(
                        what + " backwards",
                        expected[1],
                        actual[1],
                        tolerance().relative(reduction) * Tolerance.largest(dy));
    }

    @ParameterizedTest
    @EnumSource
    default void lossMatchesTheReference(Loss loss) {
        for (int[] size : new int[][] {{1, 1}, {1, 2}, {3, 5}, {17, 10}, {131, 3}, {33, 65}, {2, 1000}}) {
            int rows = size[0];
            int columns = size[1];
            RandomSequence random = new RandomSequence(36, loss.ordinal(), rows);
            double[] predictions = new double[rows * columns];
            Arrays.setAll(predictions, e -> (float) (4 * random.nextGaussian()));
            double[] weights = new double[rows];
            Arrays.setAll(weights, m -> random.nextInt(3) == 0 ? 0 : (float) random.uniform(0, 2));
            int[] labels = new int[rows];
            Arrays.setAll(labels, m -> random.nextInt(columns));
            double[] targets = targets(random, rows * columns);
            for (double[] rowWeights : new double[][] {null, weights, new double[rows]}) {
                compareLoss(loss, rows, columns, predictions, labels, targets, rowWeights);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    default void lossStandsExtremePredictions(Loss loss) {
        double[] predictions = {
            1e4, -1e4, 0, 88, -88, 1e4, -1e4, -1e4, -1e4, -1e4, -1e4, -1e4, 0, 0, 0, 0, 0, 0, 104, -104, 1e-7f, 3e4,
            3e4, -3e4, 1e4, -1e4, 0, 88, -88, 9e3
        };
        double[] targets = {
            1, 1, 1, 0, 0, 0,
            0, 1, 0, 1, 0, 1,
            0, 1, 0.5, 0.25, 1, 0,
            0, 0, 0, 1, 1, 1,
            1, 0, 1, 1, 0, 1
        };
        compareLoss(loss, 5, 6, predictions, new int[] {1, 3, 0, 4, 0}, targets, null);
    }

    /** Of equal logits the first one counts. */
    @Test
    default void firstOfEqualLogitsIsThePrediction() {
        use((engine, bench) -> {
            Tensor report = bench.blank("report", 3);
            Tensor predictions = bench.real("predictions", new double[] {1, 2, 2, 0, 5, 5, 5, 5, 1, 1, 1, 3}, 3, 4);
            engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, predictions, bench.integers("labels", 1, 1, 3), null, report, null);
            assertEquals(2.0, bench.read(report)[1], "rows that are right");
            assertEquals(3.0, bench.read(report)[2], "sum of weights");
            return null;
        });
    }

    /** A row of weight 0 is padding: whatever it holds changes nothing. */
    @ParameterizedTest
    @EnumSource
    default void rowsOfWeightZeroAreNotLookedAt(Loss loss) {
        sameAsReference(loss.name(), 40, (engine, bench) -> {
            Tensor predictions =
                    bench.real("predictions", new double[] {1, -2, Double.NaN, Double.NaN, 0.5, 0.25}, 3, 2);
            Tensor targets = loss.labelled()
                    ? bench.integers("labels", 1, -1, 0)
                    : bench.real("targets", new double[] {1, 0, Double.NaN, Double.NaN, 0, 1}, 3, 2);
            Tensor report = bench.blank("report", 3);
            Tensor gradient = bench.blank("dp", 3, 2);
            Tensor weights = bench.real("weights", new double[] {1, 0, 0.5}, 3);
            engine.loss(loss, predictions, targets, weights, report, gradient);
            double[] d = bench.read(gradient);
            assertEquals(0.0, d[2], "gradient of a row left out");
            assertEquals(0.0, d[3], "gradient of a row left out");
            assertTrue(Double.isFinite(bench.read(report)[0]), "the loss is finite");
            return new double[][] {bench.read(report), d};
        });
    }

    private void compareLoss(
            Loss loss,
            int rows,
            int columns,
            double[] predictions,
            int[] labels,
            double[] targets,
            double[] rowWeights) {
        String what = loss + " [" + rows + ", " + columns + "]"
                + (rowWeights == null ? "" : " with weights " + (rowWeights[0] == 0 ? "0, ..." : "..."));
        for (boolean wanted : new boolean[] {true, false}) {
            sameAsReference(what, 8.0 * columns + rows, (engine, bench) -> {
                Tensor p = bench.real("predictions", predictions, rows, columns);
                Tensor t = loss.labelled()
                        ? bench.integers("labels", labels)
                        : bench.real("targets", targets, rows, columns);
                Tensor w = rowWeights == null ? null : bench.real("row weights", rowWeights, rows);
                Tensor report = bench.blank("report", 3);
                Tensor gradient = wanted ? bench.blank("dp", rows, columns) : null;
                engine.loss(loss, p, t, w, report, gradient);
                double[] values = bench.read(report);
                return new double[][] {{values[0]}, {values[1]}, {values[2]}, wanted ? bench.read(gradient) : null};
            });
        }
    }

    private static double[] targets(RandomSequence random, int size) {
        double[] targets = new double[size];
        Arrays.setAll(targets, e -> random.nextInt(2) == 0 ? random.nextInt(2) : (float) random.nextDouble());
        return targets;
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 64, 1021, 100_003})
    default void squaredNormMatchesTheReference(int size) {
        double[] x = LstmData.uniform(new RandomSequence(37, 0, size), size);
        sameAsReference("squared norm", size, (engine, bench) -> {
            Tensor result = bench.blank("result", 1);
            engine.squaredNorm(bench.real("x", x, size), result);
            return new double[][] {bench.read(result)};
        });
    }

    @Test
    default void squaredNormIsOfTheViewOnly() {
        use((engine, bench) -> {
            Tensor x = bench.real("x", new double[] {100, 3, 4, 100}, 4);
            Tensor result = bench.blank("result", 1);
            engine.squaredNorm(x.view("middle", 1, Shape.of(2)), result);
            assertEquals(25.0, bench.read(result)[0]);
            return null;
        });
    }

    @Test
    default void updateRulesMatchTheReference() {
        int steps = 6;
        for (int size : new int[] {1, 67, 1030}) {
            for (UpdateRule rule : rules()) {
                for (double maxNorm : new double[] {0, 0.125, 1e6}) {
                    double reduction = steps * 30.0 + (maxNorm > 0 ? size : 0);
                    sameAsReference(
                            rule + " with a largest norm of " + maxNorm + " for " + size + " parameters",
                            reduction,
                            (engine, bench) -> {
                                RandomSequence random = new RandomSequence(38, 0, size);
                                Tensor parameters = bench.real("parameters", LstmData.uniform(random, size), size);
                                Tensor first = rule.moments() < 1 ? null : bench.real("m", new double[size], size);
                                Tensor second = rule.moments() < 2 ? null : bench.real("v", new double[size], size);
                                for (int step = 1; step <= steps; step++) {
                                    double[] values = LstmData.uniform(random, size);
                                    Tensor gradients = bench.real("gradients", values, size);
                                    Tensor norm = bench.blank("squared norm", 1);
                                    engine.squaredNorm(gradients, norm);
                                    engine.update(
                                            new Update(rule, step, 0.05 / step, maxNorm, maxNorm == 0 ? null : norm),
                                            parameters,
                                            gradients,
                                            first,
                                            second);
                                    assertArrayEquals(
                                            values, bench.read(gradients), "an update leaves gradients alone");
                                }
                                return new double[][] {
                                    bench.read(parameters),
                                    first == null ? null : bench.read(first),
                                    second == null ? null : bench.read(second)
                                };
                            });
                }
            }
        }
    }

    private static List<UpdateRule> rules() {
        return List.of(
                new UpdateRule.Sgd(0, false),
                new UpdateRule.Sgd(0.9, false),
                new UpdateRule.Sgd(0.9, true),
                new UpdateRule.Adam(0.9, 0.999, 1e-7, 0),
                new UpdateRule.Adam(0.8, 0.99, 1e-8, 0.1),
                new UpdateRule.RmsProp(0.9, 1e-7));
    }

    /** A gradient of zero leaves plain rules where they are, also through a norm of zero. */
    @Test
    default void zeroGradientMovesNothing() {
        double[] start = {0.5, -2, 3};
        for (UpdateRule rule : List.of(
                new UpdateRule.Sgd(0, false),
                new UpdateRule.Sgd(0.9, true),
                new UpdateRule.Adam(0.9, 0.999, 1e-8, 0),
                new UpdateRule.RmsProp(0.9, 1e-8))) {
            double[] end = use((engine, bench) -> {
                Tensor parameters = bench.real("parameters", start, 3);
                engine.update(
                        new Update(rule, 1, 0.1, 1, bench.real("squared norm", new double[1], 1)),
                        parameters,
                        bench.real("gradients", new double[3], 3),
                        bench.real("m", new double[3], 3),
                        bench.real("v", new double[3], 3));
                return bench.read(parameters);
            });
            assertArrayEquals(start, end, rule.toString());
        }
    }

    /** One step computed by hand, so that not all trust is in the reference. */
    @Test
    default void firstAdamStepIsTheLearningRate() {
        double[] end = use((engine, bench) -> {
            Tensor parameters = bench.real("parameters", new double[] {1, 1}, 2);
            engine.update(
                    new Update(new UpdateRule.Adam(0.9, 0.999, 1e-30, 0), 1, 0.125, 0, null),
                    parameters,
                    bench.real("gradients", new double[] {0.03125, -8}, 2),
                    bench.real("m", new double[2], 2),
                    bench.real("v", new double[2], 2));
            return bench.read(parameters);
        });
        tolerance().check("a first step", new double[] {0.875, 1.125}, end, 10);
    }

    @Test
    default void clippingHugeGradientsNeverPassesForNoGradient() {
        double[] end = use((engine, bench) -> {
            Tensor gradients = bench.real("gradients", new double[] {3e19, 4e19}, 2);
            Tensor square = bench.real("square", new double[1], 1);
            engine.squaredNorm(gradients, square);
            Tensor parameters = bench.real("parameters", new double[] {1, 1}, 2);
            engine.update(new Update(new UpdateRule.Sgd(0, false), 1, 1, 1, square), parameters, gradients, null, null);
            return bench.read(parameters);
        });
        // Where the square overflows, not a number: the run then stops instead of standing still.
        if (!Double.isNaN(end[0]) || !Double.isNaN(end[1])) {
            tolerance().check("a clipped step", new double[] {0.4, 0.2}, end, 10);
        }
    }
}
