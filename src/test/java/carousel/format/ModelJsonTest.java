package carousel.format;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.ModelSpec;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelJsonTest {
    private static final LstmActivations EXOTIC = new LstmActivations(
            CellActivation.of(CellActivation.Kind.HARD_SIGMOID),
            new CellActivation(CellActivation.Kind.ELU, -0.0, 0),
            new CellActivation(CellActivation.Kind.AFFINE, 1e-300, Double.MAX_VALUE));

    /** Every layer and initialiser, and every component of an LSTM away from what it is by default. */
    private static final ModelSpec EVERYTHING = ModelSpec.of(
            Form.tokens(70_000),
            new Embedding(5, new Initializer.Uniform(-0.1, 1.0 / 3)),
            new Dropout(0.1 + 0.2),
            new Lstm(
                    new LstmSpec(
                            1,
                            9,
                            3,
                            Direction.BIDIRECTIONAL,
                            false,
                            4,
                            0.1,
                            0.2,
                            0.3,
                            0.4,
                            true,
                            true,
                            5.5,
                            6.5,
                            true,
                            EXOTIC,
                            0.7,
                            0.8),
                    true,
                    new Initializer.Normal(-1e-300, Double.MIN_VALUE),
                    new Initializer.Orthogonal(),
                    -0.0,
                    0,
                    true),
            new Lstm(
                    LstmSpec.of(1, 2).withDirection(Direction.REVERSE),
                    false,
                    new Initializer.GlorotUniform(),
                    new Initializer.Constant(Double.MAX_VALUE),
                    1.5,
                    784.5,
                    false),
            new Dense(3, false, new Initializer.Constant(-0.0), new Initializer.Uniform(2, 2)),
            new Dense(Integer.MAX_VALUE, true, new Initializer.GlorotUniform(), new Initializer.Orthogonal()));

    private static Stream<ModelSpec> specs() {
        return Stream.of(
                EVERYTHING,
                ModelSpec.of(Form.sequence(28), Lstm.of(128), Dense.of(10)),
                ModelSpec.of(Form.vector(1), new Dropout(0)),
                ModelSpec.of(
                        Form.vector(1),
                        Arrays.stream(ActivationFunction.values())
                                .map(Activation::new)
                                .toArray(Layer[]::new)),
                ModelSpec.of(Form.tokens(3), Embedding.of(2)),
                ModelSpec.of(
                        Form.sequence(3),
                        new Dropout(0.5, true),
                        Residual.of(
                                new Dropout(0.25),
                                Residual.of(Residual.of(
                                        Residual.of(Lstm.of(LstmSpec.of(1, 3).withActivations(EXOTIC))
                                                .withReturnSequences(true)))))),
                ModelSpec.of(Form.tokens(3), Embedding.of(2).withMaskZero(true), Lstm.of(2)),
                ModelSpec.encoderDecoder(
                        ModelSpec.of(Form.sequence(5), Dense.of(2), Lstm.of(3).withLearnedInitialState(true)),
                        ModelSpec.of(
                                Form.tokens(4), Embedding.of(2), Lstm.of(3).withReturnSequences(true), Dense.of(4))),
                ModelSpec.of(
                        Form.sequence(2),
                        new Masking(-0.1),
                        Lstm.of(LstmSpec.of(1, 2).withDirection(Direction.REVERSE))
                                .withReturnSequences(true),
                        new TimeReversal()));
    }

    /** The smallest model there is, in full. */
    private static final String SMALL =
            "{\"input\":{\"kind\":\"VECTOR\",\"features\":2},\"layers\":[{\"type\":\"dropout\",\"rate\":0.5}]}";

    private static String lstm() {
        return ModelJson.write(ModelSpec.of(Form.sequence(2), Lstm.of(3)));
    }

    @ParameterizedTest
    @MethodSource("specs")
    void everySpecificationComesBackEqual(ModelSpec spec) throws FormatException {
        String text = ModelJson.write(spec);
        assertFalse(text.contains("\n"), "one line");
        assertEquals(withoutInputSizes(spec), withoutInputSizes(ModelJson.parse(text)));
        assertEquals(text, ModelJson.write(ModelJson.parse(text)));
    }

    /** A layer's own input size means nothing: it is that of what it is put on. */
    private static List<Object> withoutInputSizes(ModelSpec spec) {
        return Stream.concat(
                        Stream.of(
                                spec.input(),
                                spec.encoder() == null
                                        ? "no encoder"
                                        : spec.encoder().toString()),
                        spec.layers().stream()
                                .map(layer -> layer instanceof Lstm lstm
                                        ? lstm.withSpec(lstm.spec().withInputSize(1))
                                        : layer))
                .collect(Collectors.toList());
    }

    /** Files outlive versions: these words stay. */
    @Test
    void theWordsOfTheFormatStay() throws FormatException {
        assertEquals(SMALL, ModelJson.write(ModelSpec.of(Form.vector(2), new Dropout(0.5))));
        assertEquals(
                "{\"input\":{\"kind\":\"SEQUENCE\",\"features\":2},\"layers\":[{\"type\":\"lstm\",\"spec\":{"
                        + "\"hiddenSize\":3,\"layers\":1,\"direction\":\"FORWARD\",\"bias\":true,\"projectionSize\":0,"
                        + "\"dropout\":0.0,\"recurrentDropout\":0.0,\"zoneoutHidden\":0.0,\"zoneoutCell\":0.0,"
                        + "\"peepholes\":false,\"layerNormalization\":false,\"cellClip\":0.0,"
                        + "\"gateClip\":0.0,\"coupledGates\":false,\"activations\":{\"gates\":{\"type\":\"SIGMOID\"},"
                        + "\"candidate\":{\"type\":\"TANH\"},\"output\":{\"type\":\"TANH\"}},"
                        + "\"candidateDropout\":0.0,\"recurrentWeightDropout\":0.0},"
                        + "\"returnSequences\":false,\"inputInitializer\":{\"type\":\"glorotUniform\"},"
                        + "\"recurrentInitializer\":{\"type\":\"orthogonal\"},\"forgetBias\":1.0}]}",
                lstm());
        assertEquals(
                "{\"input\":{\"kind\":\"TOKENS\",\"features\":4},\"layers\":["
                        + "{\"type\":\"embedding\",\"width\":2,\"initializer\":"
                        + "{\"type\":\"normal\",\"mean\":0.0,\"deviation\":1.0}},"
                        + "{\"type\":\"dense\",\"units\":3,\"bias\":true,\"weightsInitializer\":"
                        + "{\"type\":\"uniform\",\"low\":-1.0,\"high\":2.0},\"biasInitializer\":"
                        + "{\"type\":\"constant\",\"value\":0.0}}]}",
                ModelJson.write(ModelSpec.of(
                        Form.tokens(4),
                        Embedding.of(2),
                        Dense.of(3).withInitializers(new Initializer.Uniform(-1, 2), new Initializer.Constant(0)))));
        assertEquals(
                "{\"input\":{\"kind\":\"VECTOR\",\"features\":2},\"layers\":["
                        + "{\"type\":\"activation\",\"function\":\"relu\"},"
                        + "{\"type\":\"activation\",\"function\":\"sigmoid\"},"
                        + "{\"type\":\"activation\",\"function\":\"tanh\"},"
                        + "{\"type\":\"activation\",\"function\":\"softmax\"}]}",
                ModelJson.write(ModelSpec.of(
                        Form.vector(2),
                        new Activation(ActivationFunction.RELU),
                        new Activation(ActivationFunction.SIGMOID),
                        new Activation(ActivationFunction.TANH),
                        new Activation(ActivationFunction.SOFTMAX))));
        String encoder = lstm().replace("1.0}]}", "1.0,\"learnedInitialState\":true}]}");
        String decoder = lstm().replace("\"returnSequences\":false", "\"returnSequences\":true");
        assertEquals(
                "{\"encoder\":" + encoder + "," + decoder.substring(1),
                ModelJson.write(ModelSpec.encoderDecoder(
                        ModelSpec.of(Form.sequence(2), Lstm.of(3).withLearnedInitialState(true)),
                        ModelSpec.of(Form.sequence(2), Lstm.of(3).withReturnSequences(true)))));
        assertTrue(ModelJson.write(EVERYTHING)
                .contains("\"gateClip\":6.5,\"coupledGates\":true,\"activations\":{"
                        + "\"gates\":{\"type\":\"HARD_SIGMOID\",\"alpha\":0.2,\"beta\":0.5},"
                        + "\"candidate\":{\"type\":\"ELU\",\"alpha\":-0.0},"
                        + "\"output\":{\"type\":\"AFFINE\",\"alpha\":1.0E-300,\"beta\":1.7976931348623157E308}},"
                        + "\"candidateDropout\":0.7,\"recurrentWeightDropout\":0.8}"));
        String spaced = SMALL.replace(":", " :\n\t").replace(",", " , ").replace("0.5", "5e-1");
        assertEquals(ModelJson.parse(SMALL), ModelJson.parse(spaced));
    }

    /** The first files say nothing about a clip of the gates, coupled gates or activations: there were none. */
    @Test
    void specificationsWithoutTheLaterWordsAreRead() throws FormatException {
        String later = ",\"gateClip\":0.0,\"coupledGates\":false,\"activations\":{\"gates\":{\"type\":\"SIGMOID\"},"
                + "\"candidate\":{\"type\":\"TANH\"},\"output\":{\"type\":\"TANH\"}},\"candidateDropout\":0.0,\"recurrentWeightDropout\":0.0";
        String old = lstm().replace(later, "");
        assertEquals(lstm().length() - later.length(), old.length());
        assertEquals(ModelJson.parse(lstm()), ModelJson.parse(old));
    }

    /** What is there, what replaces it, and what the message has to say. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"hiddenSize\":3 | \"hiddenSize\":0 | hidden size should be in the [1, 1048576] range but got 0",
                "\"hiddenSize\":3 | \"hiddenSize\":2.5 | 'hiddenSize' should be a whole number but got '2.5'",
                "\"hiddenSize\":3 | \"hiddenSize\":1e999 | 'hiddenSize' should be a whole number but got '1e999'",
                "\"hiddenSize\":3 | \"hiddenSize\":4294967297 | should be a whole number but got '4294967297'",
                "\"hiddenSize\":3 | \"hiddenSize\":\"3\" | 'hiddenSize' should be a number but got '\"3\"'",
                "\"hiddenSize\":3 | \"hiddenSize\":[3] | 'hiddenSize' should be a number but got '[3]'",
                "\"hiddenSize\":3 | \"hiddenSize\":null | 'hiddenSize' should be a number but got 'null'",
                "\"hiddenSize\":3, | `` | 'hiddenSize' is missing",
                "\"layers\":1 | \"layers\":-1 | number of layers should be in the [1, 1024] range but got -1",
                "\"FORWARD\" | \"SIDEWAYS\" | one of FORWARD, REVERSE, BIDIRECTIONAL but got 'SIDEWAYS'",
                "\"FORWARD\" | true | 'direction' should be text but got 'true'",
                "\"SEQUENCE\" | \"sequence\" | one of SEQUENCE, VECTOR, TOKENS but got 'sequence'",
                "\"SEQUENCE\" | \"TOKENS\" | put an embedding before it",
                "\"features\":2 | \"features\":0 | features should be 1 or more but got 0",
                "\"bias\":true | \"bias\":\"true\" | 'bias' should be true or false but got '\"true\"'",
                "\"bias\":true | \"bias\":1 | 'bias' should be true or false but got '1'",
                "\"bias\":true | \"bias\":tru | not JSON",
                "\"dropout\":0.0 | \"dropout\":1 | dropout should be in the [0, 1) range but got 1.0",
                "\"dropout\":0.0 | \"dropout\":NaN | not JSON",
                "\"gateClip\":0.0 | \"gateClip\":-1 | gate clip should be 0 (none) or a positive finite number but got -1.0",
                "\"gateClip\":0.0 | \"gateClip\":null | 'gateClip' should be a number but got 'null'",
                "\"coupledGates\":false | \"coupledGates\":0 | 'coupledGates' should be true or false but got '0'",
                "{\"type\":\"SIGMOID\"} | 7 | 'gates' should be an object but got '7'",
                "\"gates\":{\"type\":\"SIGMOID\"}, | `` | 'gates' is missing",
                "\"SIGMOID\" | \"SWISH\" | LEAKY_RELU, THRESHOLDED_RELU, SCALED_TANH, HARD_SIGMOID, ELU, SOFTSIGN, SOFTPLUS but got 'SWISH'",
                "\"SIGMOID\" | \"ELU\" | 'alpha' is missing",
                "\"SIGMOID\" | \"AFFINE\",\"alpha\":1e400,\"beta\":0 | alpha of the activation Affine should be a finite number but got Infinity",
                "\"forgetBias\":1.0 | \"forgetBias\":1e400 | forget bias should be a finite number but got Infinity",
                "\"glorotUniform\" | \"glorot\" | but got 'glorot'",
                "\"glorotUniform\" | \"normal\" | 'mean' is missing",
                "{\"type\":\"orthogonal\"} | \"orthogonal\" | 'recurrentInitializer' should be an object",
                "\"type\":\"lstm\" | \"type\":\"gru\" | lstm, dense, embedding, dropout, activation, masking, time_reversal or residual but got 'gru'",
                "\"type\":\"lstm\", | `` | 'type' is missing",
                "\"layers\":[{ | \"layers\":[7,{ | a layer should be an object but got '7'",
                "\"layers\":[ | \"layers\":{},\"other\":[ | 'layers' should be an array but got '{}'",
                "{\"input\":{ | {\"input\":7,\"other\":{ | 'input' should be an object but got '7'",
                "{\"input\" | {\"output\" | 'input' is missing",
                "}]} | }]}{} | not JSON of at most 16 levels",
                "}]} | }] | not JSON of at most 16 levels",
            })
    void whatIsWrongIsSaid(String there, String instead, String sentence) {
        String text = lstm();
        assertTrue(text.contains(there), () -> "nothing to replace: " + there);
        int at = text.indexOf(there);
        String broken = text.substring(0, at) + instead + text.substring(at + there.length());
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse(broken),
                "the model's specification cannot be read: ",
                sentence);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"function\":\"gelu\" | 'function' should be one of relu, sigmoid, tanh, softmax but got 'gelu'",
                "\"function\":\"RELU\" | 'function' should be one of relu, sigmoid, tanh, softmax but got 'RELU'",
                "\"function\":3 | 'function' should be text but got '3'",
                "\"units\":3 | 'function' is missing",
            })
    void activationsThatAreNoneAreRefused(String entry, String sentence) {
        String text = SMALL.replace("\"type\":\"dropout\",\"rate\":0.5", "\"type\":\"activation\"," + entry);
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse(text),
                "the model's specification cannot be read: ",
                sentence);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", " ", "null", "7", "\"text\"", "[]", "{", "}", "{\"input\"", "\u0000", "{'input':{}}", "//"})
    void whatIsNoObjectIsRefused(String text) {
        assertRefused(FormatException.class, () -> ModelJson.parse(text), "the model's specification cannot be read: ");
    }

    @Test
    void encodersThatDoNotFitAreRefused() {
        String encoder = lstm();
        String decoder = encoder.replace("\"returnSequences\":false", "\"returnSequences\":true");
        String nested = "{\"encoder\":" + encoder + "," + encoder.substring(1);
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse("{\"encoder\":" + nested + "," + decoder.substring(1)),
                "no encoder itself");
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse("{\"encoder\":[]," + decoder.substring(1)),
                "'encoder' should be an object");
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse("{\"encoder\":" + encoder.replace("\"hiddenSize\":3", "\"hiddenSize\":4") + ","
                        + decoder.substring(1)),
                "h [1, batch, 4] and c [1, batch, 4]",
                "h [1, batch, 3]");
    }

    @Test
    void modelsWithoutLayersAreRefused() {
        assertRefused(
                FormatException.class,
                () -> ModelJson.parse("{\"input\":{\"kind\":\"VECTOR\",\"features\":2},\"layers\":[]}"),
                "one or more layers");
    }

    @ParameterizedTest
    @ValueSource(ints = {17, 1000, 1_000_000})
    void deepNestingIsRefused(int depth) {
        String sentence = "not JSON of at most 16 levels";
        assertRefused(FormatException.class, () -> ModelJson.parse("[".repeat(depth)), sentence);
        assertRefused(FormatException.class, () -> ModelJson.parse("{\"input\":".repeat(depth)), sentence);
        String inside = SMALL.replace("0.5", "[".repeat(depth) + "]".repeat(depth));
        assertRefused(FormatException.class, () -> ModelJson.parse(inside), sentence);
    }

    @Test
    void quotesInMessagesAreShortAndOnOneLine() {
        String text = SMALL.replace("\"dropout\"", "\"" + "\\n\\u001b[2J".repeat(10_000) + "\"");
        String message = assertRefused(FormatException.class, () -> ModelJson.parse(text), "a layer's type");
        assertTrue(message.length() < 1000, () -> message.length() + " characters");
        assertTrue(message.chars().noneMatch(Character::isISOControl));
    }

    @Test
    void mutatedTextsAreReadOrRefused() {
        RandomSequence random = new RandomSequence(51, 0, 0);
        List<String> seeds = specs().map(ModelJson::write).toList();
        int read = 0;
        int refused = 0;
        for (int k = 0; k < 20_000; k++) {
            String text = seeds.get(random.nextInt(seeds.size()));
            int mutations = 1 + random.nextInt(2);
            for (int m = 0; m < mutations; m++) {
                text = mutate(text, random);
            }
            try {
                ModelSpec spec = ModelJson.parse(text);
                assertEquals(spec, ModelJson.parse(ModelJson.write(spec)), text);
                read++;
            } catch (FormatException e) {
                String message = e.getMessage();
                assertTrue(
                        message.startsWith("the model's specification cannot be read: ")
                                && !message.endsWith("null")
                                && message.length() < 1000
                                && message.chars().noneMatch(Character::isISOControl),
                        message);
                refused++;
            } catch (RuntimeException | Error e) {
                throw new AssertionError("not refused but broken by: " + text, e);
            }
        }
        assertTrue(read > 500 && refused > 5000, read + " read and " + refused + " refused: one kind is too rare");
    }

    private static final List<String> PIECES = List.of(
            "null",
            "true",
            "false",
            "0",
            "-1",
            "1e999",
            "1e-999",
            "2147483648",
            "0.5",
            "\"\"",
            "{}",
            "[]",
            "[[[[",
            "}",
            "]",
            ",",
            ":",
            "\"",
            "\\",
            "\\u0000",
            "\u2028",
            "\n",
            "NaN",
            "-0.0",
            "/*",
            "#",
            "'",
            "\"layers\":",
            "00",
            "\"type\":\"lstm\",",
            "\ud83c",
            "9".repeat(400),
            "TOKENS",
            "dense");

    private static String mutate(String text, RandomSequence random) {
        int from = random.nextInt(text.length() + 1);
        int to = Math.min(text.length(), from + random.nextInt(12));
        return switch (random.nextInt(6)) {
            case 0 -> text.substring(0, from) + text.substring(to);
            case 1 -> text.substring(0, to) + text.substring(from);
            case 2 -> text.substring(0, from) + PIECES.get(random.nextInt(PIECES.size())) + text.substring(to);
            case 3 -> text.substring(0, from) + (char) (32 + random.nextInt(96)) + text.substring(to);
            case 4 -> replaceValue(text, from, PIECES.get(random.nextInt(PIECES.size())));
            default -> random.nextInt(8) == 0 ? text.substring(0, from) : replaceValue(text, from, digits(random));
        };
    }

    private static String digits(RandomSequence random) {
        return String.valueOf(random.nextInt(3) == 0 ? random.nextInt(5) : random.nextInt(1000) / 1000.0);
    }

    /** What stands after the next colon, up to the comma or bracket that ends it. */
    private static String replaceValue(String text, int from, String value) {
        int start = text.indexOf(':', from) + 1;
        int end = start;
        while (end < text.length() && ",}]".indexOf(text.charAt(end)) < 0) {
            end++;
        }
        return text.substring(0, start) + value + text.substring(end);
    }
}
