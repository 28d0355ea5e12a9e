package carousel.format.keras;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.CellActivation;
import carousel.engine.LstmActivations;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.layer.Lstm;
import com.sun.management.ThreadMXBean;
import io.jhdf.checksum.ChecksumUtils;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KerasImportTest {
    private static final float[][] KERNEL_2_8 = {{1, 2, 3, 4, 5, 6, 7, 8}, {-1, -2, -3, -4, -5, -6, -7, -8}};
    private static final float[] BIAS_8 = {1, 2, 3, 4, 5, 6, 7, 8};
    private static final float[][] KERNEL_2_1 = {{0.5f}, {0.25f}};

    @TempDir
    Path folder;

    private Path file() {
        return folder.resolve("model");
    }

    /** An LSTM of two cells that reads two features, as Keras 3 has it, with more in its configuration. */
    private static KerasFiles lstm(String version, String config) {
        return KerasFiles.of(version)
                .layer("InputLayer", "in", "\"batch_shape\":[null,null,2]")
                .layer("LSTM", "cells", "\"units\":2" + config)
                .dataset("layers/lstm/cell/vars/0", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/2", BIAS_8);
    }

    /** The same with the weights of a dense layer for whatever comes behind it. */
    private static KerasFiles then(String type, String config) {
        return lstm("3.8.0", ",\"return_sequences\":true")
                .layer(type, "x", config)
                .dataset("layers/dense/vars/0", KERNEL_2_1)
                .dataset("layers/dense/vars/1", new float[1]);
    }

    private Imported read(KerasFiles keras) throws IOException {
        return KerasImport.read(keras.writeKeras(file()));
    }

    private void assertNotRead(KerasFiles keras, String... parts) throws IOException {
        Path path = keras.writeKeras(file());
        assertRefused(FormatException.class, () -> KerasImport.read(path), parts);
    }

    @Test
    void gatesStayInTheirOrderAndKernelsAreTransposed() throws IOException {
        Imported imported = read(lstm("3.8.0", ""));
        assertEquals("(time, batch, 2) -> LSTM(2)", imported.weights().spec().toString());
        assertArrayEquals(
                new double[] {1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8, -8},
                imported.weights().get("lstm.weight_ih_l0"));
        assertArrayEquals(
                new double[] {1, 2, 3, 4, 5, 6, 7, 8}, imported.weights().get("lstm.bias_l0"));
    }

    @Test
    void theOlderPathsOfWeights() throws IOException {
        String old = "_layer_checkpoint_dependencies/lstm/cell/vars/";
        KerasFiles keras = KerasFiles.of("2.13.1")
                .layer("LSTM", "cells", "\"units\":2,\"use_bias\":false,\"batch_input_shape\":[null,7,2]")
                .dataset(old + 0, KERNEL_2_8)
                .dataset(old + 1, KERNEL_2_8);
        assertEquals(
                "(time, batch, 2) -> LSTM(2, no bias)",
                read(keras).weights().spec().toString());
    }

    @Test
    void aSequentialModelWithoutAnInputShapeStartsWithItsFirstWeights() throws IOException {
        KerasFiles dense = KerasFiles.of("3.8.0")
                .layer("Dropout", "drop", "\"rate\":0.5")
                .layer(
                        "Dense",
                        "d",
                        "\"units\":1,\"activation\":{\"module\":\"builtins\",\"class_name\":\"function\",\"config\":\"relu\"}")
                .dataset("layers/dense/vars/0", KERNEL_2_1)
                .dataset("layers/dense/vars/1", new float[1]);
        assertEquals(
                "(batch, 2) -> Dropout(0.5) -> Dense(1) -> Activation(relu)",
                read(dense).weights().spec().toString());
        assertEquals(
                "(time, batch, 2) -> Dropout(0.5) -> Dense(1) -> Activation(relu) -> LSTM(2, no bias)",
                read(dense.layer("LSTM", "l", "\"units\":2,\"use_bias\":false")
                                .dataset("layers/lstm/cell/vars/0", new float[1][8])
                                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8))
                        .weights()
                        .spec()
                        .toString());
    }

    @Test
    void listsOfWeightsThatKerasHasSplit() throws IOException {
        KerasFiles split = KerasFiles.of("2.9.0")
                .layer("Dense", "d", "\"units\":1,\"batch_input_shape\":[null,2]")
                .dataset("model_weights/d/d/kernel:0", KERNEL_2_1)
                .dataset("model_weights/d/d/bias:0", new float[] {3})
                .dataset("model_weights/d/d/seed_generator_state:0", new int[] {1, 2})
                .attribute("model_weights/d", "weight_names0", new String[] {"d/kernel:0"})
                .attribute("model_weights/d", "weight_names1", new String[] {"d/bias:0", "d/seed_generator_state:0"});
        Imported imported = KerasImport.read(split.writeH5(file()));
        assertArrayEquals(new double[] {0.5, 0.25}, imported.weights().get("dense.weight"));
        assertArrayEquals(new double[] {3}, imported.weights().get("dense.bias"));
    }

    /** In an .h5 file a layer's weights are in one list, forward before backward; Keras 3 lists longer names there. */
    @Test
    void wrappedLayersOfH5Files() throws IOException {
        float[][] other = new float[2][8];
        other[1][7] = 9;
        String inner = "\"layer\":{\"class_name\":\"LSTM\",\"config\":{\"name\":\"l\",\"units\":2,\"use_bias\":false,"
                + "\"return_sequences\":true}}";
        String dense =
                "\"layer\":{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"units\":1,\"use_bias\":false}}";
        KerasFiles keras = KerasFiles.of("3.8.0")
                .layer("InputLayer", "in", "\"batch_shape\":[null,null,2]")
                .layer("Bidirectional", "both", "\"merge_mode\":\"concat\"," + inner)
                .layer("TimeDistributed", "each", dense)
                .weights(
                        "both",
                        "model/both/forward_l/cell/kernel",
                        KERNEL_2_8,
                        "model/both/forward_l/cell/recurrent_kernel",
                        KERNEL_2_8,
                        "model/both/backward_l/cell/kernel",
                        KERNEL_2_8,
                        "model/both/backward_l/cell/recurrent_kernel",
                        other)
                .weights("each", "model/each/kernel", new float[][] {{1}, {2}, {3}, {4}});
        Imported imported = KerasImport.read(keras.writeH5(file()));
        assertEquals(
                "(time, batch, 2) -> LSTM(2, bidirectional, no bias) -> Dense(1, no bias)",
                imported.weights().spec().toString());
        double[] reverse = imported.weights().get("lstm.weight_hh_l0_reverse");
        assertEquals(9, reverse[7 * 2 + 1]);
        assertEquals(9, Arrays.stream(reverse).sum());
        assertEquals(-8, imported.weights().get("lstm.weight_hh_l0")[7 * 2 + 1]);
        assertArrayEquals(new double[] {1, 2, 3, 4}, imported.weights().get("dense.weight"));
    }

    @ParameterizedTest
    @CsvSource({"3.8.0, 0.16666666666666666", "2.13.1, 0.2"})
    void hardSigmoidIsThatOfTheVersion(String version, double slope) throws IOException {
        CellActivation hard = new CellActivation(CellActivation.Kind.HARD_SIGMOID, slope, 0.5);
        assertEquals(
                new LstmActivations(hard, CellActivation.TANH, CellActivation.TANH),
                activations(version, ",\"recurrent_activation\":\"hard_sigmoid\""));
    }

    @ParameterizedTest
    @CsvSource({
        "relu, RELU, 0, 0",
        "softsign, SOFTSIGN, 0, 0",
        "softplus, SOFTPLUS, 0, 0",
        "elu, ELU, 1, 0",
        "linear, AFFINE, 1, 0"
    })
    void otherActivationsOfTheCell(String word, CellActivation.Kind kind, double alpha, double beta)
            throws IOException {
        CellActivation function = new CellActivation(kind, alpha, beta);
        assertEquals(
                new LstmActivations(CellActivation.SIGMOID, function, function),
                activations("3.8.0", ",\"activation\":\"" + word + "\""));
    }

    private LstmActivations activations(String version, String config) throws IOException {
        Lstm lstm = (Lstm) read(lstm(version, config)).weights().spec().layers().get(0);
        return lstm.spec().activations();
    }

    @Test
    void whatActsInTrainingOnlyOrOutsideOfTheModelIsNoted() throws IOException {
        Imported imported = read(lstm(
                "3.8.0",
                ",\"stateful\":true,\"dropout\":0.25,\"recurrent_dropout\":0.5,\"unroll\":true,\"go_backwards\":true,"
                        + "\"dtype\":{\"class_name\":\"DTypePolicy\",\"config\":{\"name\":\"mixed_float16\"}}"));
        Imported.Mapping mapping = imported.mapping().get(1);
        assertEquals("layer 'cells' (LSTM)", mapping.source());
        assertEquals("lstm: LSTM(2, reverse)", mapping.target());
        for (String note : new String[] {
            "stateful: carry the state with LstmSession",
            "dropout 0.25 of its inputs left out",
            "recurrent_dropout 0.5 left out",
            "go_backwards",
            "computed in 'mixed_float16' by Keras"
        }) {
            assertTrue(mapping.how().contains(note), mapping.how());
        }
        assertEquals(
                "(time, batch, 2) -> LSTM(2, reverse)",
                imported.weights().spec().toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "Flatten | | layer 'x' (Flatten) would put all steps of a sequence side by side",
                "GRU | 'units':2 | layer 'x' (GRU) is not among the layers that are read: InputLayer, Embedding",
                "Lambda | | layer 'x' (Lambda) is not among the layers",
                "Bidirectional | 'merge_mode':'sum' | layer 'x' (Bidirectional): its merge_mode should be 'concat' but is 'sum'",
                "Bidirectional | 'merge_mode':null | merge_mode should be 'concat' but is 'none'",
                "Bidirectional | 'merge_mode':'concat','layer':{'class_name':'GRU','config':{}} | should wrap a layer of the class LSTM but wraps a 'GRU'",
                "TimeDistributed | 'layer':{'class_name':'LSTM','config':{}} | should wrap a layer of the class Dense but wraps a 'LSTM'",
                "Dense | 'units':1,'activation':'gelu' | layer 'x' (Dense): the activation should be linear, relu, sigmoid, tanh or softmax but is 'gelu'",
                "Dense | 'units':1,'lora_rank':2 | LoRA",
                "Dense | 'units':1.5 | layer 'x' (Dense): 'units' should be a whole number but got '1.5'",
                "Dense | 'units':2 | its kernel should be [2, 2] but 'layers/dense/vars/0' is [2, 1]",
                "Dense | 'units':1,'use_bias':false | should have 1 weights (kernel) but has 2",
                "Dense | 'units':1,'use_bias':'yes' | 'use_bias' should be true or false but got",
                "Activation | 'activation':'swish' | layer 'x' (Activation): the activation should be",
                "Activation | 'activation':3 | an activation should be a function's name but got '3'",
                "ReLU | 'max_value':6 | should be max(x, 0) but has a max_value",
                "Softmax | 'axis':1 | should be over the last axis, -1, but is over 1.0",
                "Dropout | 'rate':1 | layer 'x' (Dropout): dropout should be in the [0, 1) range but got 1.0",
                "Masking | 'mask_value':0 | there is none after the layer that masks",
                "Embedding | 'input_dim':3,'output_dim':2 | layer 'x' (Embedding): its weights should be in 'layers/embedding/vars' but that group is missing",
                "LSTM | 'units':2,'return_state':true | layers/lstm_1/cell/vars",
            })
    void layersThatAreNotRead(String type, String config, String reason) throws IOException {
        assertNotRead(then(type, config == null ? "" : config.replace('\'', '"')), reason);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                ",'return_state':true | layer 'cells' (LSTM) has 'return_state', which is not read",
                ",'time_major':true | has 'time_major'",
                ",'activation':'gelu' | the activation of an LSTM should be tanh, sigmoid",
                ",'recurrent_activation':'swish' | linear, softsign, softplus or elu but is 'swish'",
                ",'use_bias':false | should have 2 weights (kernel, recurrent kernel) but has 3",
                ",'units':3 | layer 'cells' (LSTM): its kernel should be [2, 12] but 'layers/lstm/cell/vars/0' is [2, 8]",
                ",'units':0 | hidden size should be in the [1, 1048576] range but got 0",
                ",'units':'two' | 'units' should be a number but got",
            })
    void settingsOfAnLstmThatAreNotRead(String config, String reason) throws IOException {
        assertNotRead(lstm("3.8.0", config.replace('\'', '"')), reason);
    }

    @Test
    void outputsInTheOrderOfReadingAreNotReadWithMaskedStepsInThem() throws IOException {
        KerasFiles keras = KerasFiles.of("3.8.0")
                .layer("Masking", "m", "\"mask_value\":0,\"batch_input_shape\":[null,null,2]")
                .layer(
                        "LSTM",
                        "cells",
                        "\"units\":2,\"use_bias\":false,\"return_sequences\":true,\"go_backwards\":true")
                .dataset("layers/lstm/cell/vars/0", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8);
        assertNotRead(keras, "'cells' (LSTM) has 'go_backwards' and returns sequences with masked steps");
    }

    /** Keras sets it for both directions, and there it is what is computed here too. */
    @Test
    void maskedStepsOfBothDirectionsAreZeros() throws IOException {
        String inner = "{\"class_name\":\"LSTM\",\"config\":{\"name\":\"l\",\"units\":2,\"use_bias\":false,"
                + "\"return_sequences\":true,\"zero_output_for_mask\":true}}";
        KerasFiles both = KerasFiles.of("3.8.0")
                .layer("Masking", "m", "\"mask_value\":0.5,\"batch_input_shape\":[null,null,2]")
                .layer("Bidirectional", "both", "\"merge_mode\":\"concat\",\"layer\":" + inner)
                .layer("ReLU", "r", "\"negative_slope\":{\"class_name\":\"__numpy__\",\"config\":{\"value\":0.0}}")
                .dataset("layers/bidirectional/forward_layer/cell/vars/0", KERNEL_2_8)
                .dataset("layers/bidirectional/forward_layer/cell/vars/1", KERNEL_2_8)
                .dataset("layers/bidirectional/backward_layer/cell/vars/0", KERNEL_2_8)
                .dataset("layers/bidirectional/backward_layer/cell/vars/1", KERNEL_2_8);
        assertEquals(
                "(time, batch, 2) -> Masking(0.5) -> LSTM(2, bidirectional, no bias) -> Activation(relu)",
                read(both).weights().spec().toString());
        KerasFiles one = KerasFiles.of("3.8.0")
                .layer("Masking", "m", "\"mask_value\":0.5,\"batch_input_shape\":[null,null,2]")
                .layer(
                        "LSTM",
                        "cells",
                        "\"units\":2,\"use_bias\":false,\"return_sequences\":true,\"zero_output_for_mask\":true")
                .dataset("layers/lstm/cell/vars/0", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8);
        assertNotRead(one, "'cells' (LSTM) has 'zero_output_for_mask' and returns sequences with masked steps");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[null,null,3] | reads (time, batch, 2) but the model's input is declared with 3 dimensions and 3 as the last",
                "[null,2] | declared with 2 dimensions",
                "[null,4,4,3] | the input should be [batch, time, features], [batch, features]",
                "[null,null,0] | the last extent of the input should be 1 or more",
                "3 | 'batch_shape' should be an array but got '3'",
            })
    void inputsThatDoNotFit(String shape, String reason) throws IOException {
        KerasFiles keras = KerasFiles.of("3.8.0")
                .layer("InputLayer", "in", "\"batch_shape\":" + shape)
                .layer("LSTM", "cells", "\"units\":2,\"use_bias\":false")
                .dataset("layers/lstm/cell/vars/0", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8);
        assertNotRead(keras, reason);
    }

    // Functional models.

    private static String tensor(String name) {
        return "{'class_name':'__keras_tensor__','config':{'shape':[null,2],'dtype':'float32','keras_history':['" + name
                + "',0,0]}}";
    }

    private static String node(String type, String name, String config, String node) {
        return "{'class_name':'" + type + "','name':'" + name + "','config':{'name':'" + name + "'"
                + (config.isEmpty() ? "" : "," + config) + "},'inbound_nodes':[" + node + "]}";
    }

    private static String call(String kwargs, String... inputs) {
        return "{'args':["
                + String.join(
                        ",", Arrays.stream(inputs).map(KerasImportTest::tensor).toList())
                + "],'kwargs':{" + kwargs + "}}";
    }

    private static KerasFiles functional(String inputs, String outputs, String... nodes) {
        return KerasFiles.of("3.8.0")
                .model(("{'class_name':'Functional','config':{'name':'f','layers':[" + String.join(",", nodes)
                                + "],'input_layers':" + inputs + ",'output_layers':" + outputs + "}}")
                        .replace('\'', '"'))
                .dataset("layers/embedding/vars/0", new float[5][2])
                .dataset("layers/lstm/cell/vars/0", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/1", KERNEL_2_8)
                .dataset("layers/lstm/cell/vars/2", BIAS_8);
    }

    private static final String INPUT = node("InputLayer", "in", "'batch_shape':[null,null],'dtype':'int32'", "");
    private static final String WORDS =
            node("Embedding", "words", "'input_dim':5,'output_dim':2,'mask_zero':true", call("", "in"));
    private static final String ONE = "[['in',0,0]]";
    private static final String CELLS_OUT = "[['cells',0,0]]";

    private static String notEqual(String number) {
        return node("NotEqual", "not_equal", "", "{'args':[" + tensor("in") + "," + number + "],'kwargs':{}}");
    }

    private static String cells(String kwargs) {
        return node("LSTM", "cells", "'units':2", call(kwargs, "words"));
    }

    @Test
    void aFunctionalModelThatIsALine() throws IOException {
        String expected = "(time, batch) of 5 tokens -> Embedding(2, token 0 masked) -> LSTM(2)";
        // The order of the list is not that of the model; Keras 3 has the mask in the graph, and references without the
        // outer
        // array.
        KerasFiles keras3 = functional(
                "['in',0,0]", "['cells',0,0]", cells("'mask':" + tensor("not_equal")), notEqual("0"), WORDS, INPUT);
        assertEquals(expected, read(keras3).weights().spec().toString());
        assertEquals(
                expected,
                read(functional(ONE, CELLS_OUT, INPUT, WORDS, cells("'training':false,'mask':null")))
                        .weights()
                        .spec()
                        .toString());
        KerasFiles keras2 = functional(
                ONE,
                CELLS_OUT,
                INPUT,
                node("Embedding", "words", "'input_dim':5,'output_dim':2", "[['in',0,0,{}]]"),
                node("LSTM", "cells", "'units':2", "[['words',0,0,{'training':null}]]"));
        assertEquals(
                "(time, batch) of 5 tokens -> Embedding(2) -> LSTM(2)",
                read(keras2).weights().spec().toString());
    }

    @Test
    void functionalModelsThatAreNoLine() throws IOException {
        String line = "the model is not a line from one input to one output";
        String dense = node("Dense", "side", "'units':1", call("", "words"));
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS, cells(""), dense),
                line,
                "what the layer 'words' puts out goes to 'cells' and to 'side'");
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS, cells(""), node("InputLayer", "other", "", "")),
                "layer 'other' (InputLayer) is beside it");
        assertNotRead(
                functional("[['in',0,0],['other',0,0]]", CELLS_OUT, INPUT, WORDS, cells("")),
                "should have one of its 'input_layers' but has 2");
        assertNotRead(functional(ONE, "[]", INPUT, WORDS, cells("")), "'output_layers' but has 0");
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS, node("LSTM", "cells", "'units':2", call("", "words", "in"))),
                "layer 'cells' (LSTM) has 2 inputs");
        assertNotRead(
                functional(
                        ONE,
                        CELLS_OUT,
                        INPUT,
                        WORDS,
                        node("LSTM", "cells", "'units':2", call("", "words") + "," + call("", "words"))),
                "layer 'cells' (LSTM) has 2 places in it");
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS, cells("'initial_state':" + tensor("in"))),
                "gets its 'initial_state' from another layer");
        assertNotRead(
                functional(
                        ONE,
                        CELLS_OUT,
                        INPUT,
                        WORDS,
                        node("LSTM", "cells", "'units':2", "[['words',0,0,{'mask':['in',0,0]}]]")),
                "layer 'cells' (LSTM) has 2 inputs");
        assertNotRead(functional(ONE, "[['none',0,0]]", INPUT, WORDS, cells("")), "to its output 'none'");
        assertNotRead(
                functional(
                        ONE,
                        "[['none',0,0]]",
                        INPUT,
                        node("Dropout", "a", "", call("", "b")),
                        node("Dropout", "b", "", call("", "a"))),
                "not a line from its input to its output");
        assertNotRead(functional(ONE, CELLS_OUT, INPUT, WORDS, WORDS, cells("")), "two layers have the name 'words'");
    }

    @Test
    void masksThatNoLayerMakes() throws IOException {
        String mask = "'mask':" + tensor("not_equal");
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS, notEqual("3"), cells(mask)),
                "layer 'not_equal' (NotEqual) computes a mask that no Masking or Embedding layer of the model makes");
        assertNotRead(
                functional(ONE, CELLS_OUT, INPUT, WORDS.replace("true", "false"), notEqual("0"), cells(mask)),
                "computes a mask that no");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{'class_name':'Custom','config':{}} | the model is a 'Custom' but only Sequential and Functional",
                "{'class_name':'Sequential','config':{}} | 'layers' should be an array but is missing",
                "{'class_name':'Sequential','config':{'layers':[]}} | one or more layers with weights",
                "{'class_name':'Sequential','config':{'layers':[3]}} | a layer should be an object but got '3'",
                "{'class_name':'Sequential','config':{'layers':[{'class_name':'LSTM','module':'mine','config':{}}]}} | not Keras' own",
                "{'class_name':'Sequential','config':{'layers':[{'class_name':'LSTM','registered_name':'a>LSTM','config':{}}]}} | not Keras' own",
                "[] | its config.json should be an object but is '[]'",
                "{'class_name':'Sequential' | its config.json is not JSON of at most 64 levels",
            })
    void configurationsThatAreNone(String config, String reason) throws IOException {
        assertNotRead(lstm("3.8.0", "").model(config.replace('\'', '"')), reason);
    }

    @Test
    void deepJson() throws IOException {
        ZipBytes zip = new ZipBytes();
        lstm("3.8.0", "").model("[".repeat(100_000)).entries(file()).forEach(zip::add);
        assertNotRead(zip.bytes(), "is not JSON of at most 64 levels");
    }

    // HDF5.

    @Test
    void groupsOfManyInNewerFiles() throws IOException {
        Imported imported = KerasImport.read(Files.write(file(), H5pyFilesTest.resource("many.h5")));
        assertArrayEquals(new double[] {1, 2}, imported.weights().get("dense.weight"));
        assertArrayEquals(new double[] {3}, imported.weights().get("dense.bias"));
    }

    @Test
    void otherFloatingPointTypes() throws IOException {
        Imported imported = KerasImport.read(Files.write(file(), H5pyFilesTest.resource("types.h5")));
        assertArrayEquals(new double[] {0.1, -1e300}, imported.weights().get("dense.weight"));
        assertArrayEquals(new double[] {0.25}, imported.weights().get("dense.bias"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "soft-link.h5 | '/model_weights/d/kernel:0' is a soft or external link",
                "external-link.h5 | '/model_weights/d/kernel:0' is a soft or external link",
                "chunks.h5 | is stored in chunks or compressed, which Keras does not do",
                "unwritten.h5 | '/model_weights/d/kernel:0' was never written",
                "integers.h5 | should hold floating point numbers of 2, 4 or 8 bytes as IEEE 754 has them but holds FixedPoint",
                "user-block.h5 | neither a .keras file (a ZIP archive) nor an .h5 file",
            })
    void partsOfHdf5ThatKerasDoesNotUse(String name, String reason) throws IOException {
        Path path = Files.write(file(), H5pyFilesTest.resource(name));
        assertRefused(FormatException.class, () -> KerasImport.read(path), reason);
    }

    @Test
    void filesWithoutAModel() throws IOException {
        Path weights =
                KerasFiles.of("3").dataset("layers/dense/vars/0", KERNEL_2_1).writeWeights(file());
        assertRefused(FormatException.class, () -> KerasImport.read(weights), "no 'model_weights'", "model.save()");
        Path keras1 = lstm("1.2.2", "").weights("cells", "a", BIAS_8).writeH5(file());
        assertRefused(FormatException.class, () -> KerasImport.read(keras1), "of Keras '1.2.2'", "Keras 2 first");
        Path missing = lstm("2.9.0", "").weights("others", "a", BIAS_8).writeH5(file());
        assertRefused(
                FormatException.class,
                () -> KerasImport.read(missing),
                "layer 'cells' (LSTM): the file has no weights of");
        Path unlisted =
                lstm("2.9.0", "").dataset("model_weights/cells/a", BIAS_8).writeH5(file());
        assertRefused(FormatException.class, () -> KerasImport.read(unlisted), "'weight_names', is missing");
        Path lost = lstm("2.9.0", "")
                .attribute("model_weights/cells", "weight_names", new String[] {"cells/kernel:0"})
                .dataset("model_weights/cells/a", BIAS_8)
                .writeH5(file());
        assertRefused(FormatException.class, () -> KerasImport.read(lost), "its weight 'cells/kernel:0' is missing");
        Path text = Files.writeString(file(), "weights");
        assertRefused(FormatException.class, () -> KerasImport.read(text), "neither a .keras file");
        assertRefused(NoSuchFileException.class, () -> KerasImport.read(folder.resolve("none")), "none");
        assertRefused(java.nio.file.FileSystemException.class, () -> KerasImport.read(folder), "Is a directory");
    }

    /** Structures of a good file made to point at themselves: a group's tree of names, and the header's own continuation. */
    @Test
    void structuresThatLeadBackToThemselves() throws IOException {
        byte[] good = H5pyFilesTest.resource("keras-2.h5");
        int trees = 0;
        int continuations = 0;
        int endless = 0;
        for (int at = 0; at + 40 <= good.length; at += 8) {
            ByteBuffer bytes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
            int here = at;
            if (new String(good, at, 4, StandardCharsets.ISO_8859_1).equals("TREE")) {
                trees++;
                // No leaf but one level up, with itself as its only child.
                bytes.put(at + 5, (byte) 1).putShort(at + 6, (short) 1).putLong(at + 32, here);
                endless += isEndless(bytes.array()) ? 1 : 0;
            }
            if (bytes.getInt(at) == 0x0010_0010) {
                continuations++;
                bytes.putLong(at + 8, here).putLong(at + 16, 24);
                // The number of messages, which would end the reading, is large.
                for (int header = Math.max(0, at - 512) / 8 * 8; header < at; header += 8) {
                    if (bytes.get(header) == 1 && bytes.get(header + 1) == 0 && bytes.getInt(header + 4) == 1) {
                        bytes.putShort(header + 2, (short) -1);
                    }
                }
                endless += isEndless(bytes.array()) ? 1 : 0;
            }
        }
        assertTrue(trees > 5, "trees: " + trees);
        assertTrue(continuations > 0, "continuations: " + continuations);
        assertTrue(endless > trees / 2, "endless: " + endless);
    }

    /** Whether reading was ended because it came back to where it was; otherwise it ended by itself. */
    private boolean isEndless(byte[] content) {
        try {
            KerasImport.read(file(), content);
            return false;
        } catch (FormatException refused) {
            for (Throwable cause = refused; cause != null; cause = cause.getCause()) {
                if (cause.getMessage().equals("the structures of the file lead back to themselves")) {
                    return true;
                }
            }
            return false;
        }
    }

    /** jHDF would make lists of these lengths, the second of which is a size of 0 when it is multiplied out in 32 bits. */
    @Test
    void treesAndHeapsThatClaimMoreThanTheFileHas() throws IOException {
        byte[] good = H5pyFilesTest.resource("many.h5");
        int found = 0;
        for (int at = 0; at + 146 <= good.length; at++) {
            ByteBuffer bytes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
            int checked = switch (new String(good, at, 4, StandardCharsets.ISO_8859_1)) {
                case "BTHD" -> {
                    bytes.putLong(at + 26, Integer.MAX_VALUE - 8);
                    yield 34;
                }
                case "FRHP" -> {
                    bytes.putShort(at + 110, (short) 0x8000).putShort(at + 140, (short) 0x4000);
                    yield 142;
                }
                default -> 0;
            };
            if (checked > 0) {
                found++;
                bytes.putInt(at + checked, ChecksumUtils.checksum(Arrays.copyOfRange(bytes.array(), at, at + checked)));
                long before = allocated();
                assertNotRead(bytes.array(), "damaged");
                assertTrue(allocated() - before < 4 << 20, "allocated " + (allocated() - before));
            }
        }
        // Those of links and of attributes.
        assertTrue(found >= 4, "found " + found);
    }

    private static long allocated() {
        return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }

    @Test
    void aDatasetThatClaimsMoreThanTheFileHas() throws IOException {
        byte[] bytes = H5pyFilesTest.resource("keras-2.h5");
        // The dataspace of a kernel [4, 12]: its extents, then its largest extents.
        byte[] extents = new byte[16];
        ByteBuffer.wrap(extents).order(ByteOrder.LITTLE_ENDIAN).putLong(4).putLong(12);
        int found = 0;
        for (int at = 0; at + 16 <= bytes.length; at++) {
            if (Arrays.equals(extents, Arrays.copyOfRange(bytes, at, at + 16))) {
                ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(at, 1L << 40);
                found++;
            }
        }
        assertTrue(found > 0);
        assertRefused(
                FormatException.class,
                () -> KerasImport.read(file(), bytes),
                "claims to be [1099511627776, 12] numbers of 4 bytes but the file has " + bytes.length);
    }

    // ZIP.

    private byte[] archive(Consumer<ZipBytes> more) throws IOException {
        ZipBytes zip = new ZipBytes();
        lstm("3.8.0", "").entries(file()).forEach(zip::add);
        more.accept(zip);
        return zip.bytes();
    }

    private void assertNotRead(byte[] content, String... parts) {
        assertRefused(FormatException.class, () -> KerasImport.read(file(), content), parts);
    }

    @Test
    void archivesWithMoreInThemAreRead() throws IOException {
        byte[] assets = archive(zip -> zip.add("assets/words.txt", new byte[] {1}));
        assertEquals(
                "(time, batch, 2) -> LSTM(2)",
                KerasImport.read(file(), assets).weights().spec().toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../config.json",
                "a/../../b",
                "/etc/passwd",
                "..",
                "a\\b",
                "..\\b",
                "C:/b",
                "a/./b",
                "",
                "a\nb",
                "config.json/.."
            })
    void namesThatLeaveTheFolder(String name) throws IOException {
        assertNotRead(archive(zip -> zip.add(name, new byte[1])), "could lead out of a folder");
    }

    @Test
    void otherTricksOfArchives() throws IOException {
        byte[] one = {1};
        assertNotRead(archive(zip -> zip.add("config.json", one)), "two entries with the name 'config.json'");
        assertNotRead(
                archive(zip -> zip.add("link", one, 1, 0, 0, 0120777 << 16, 3 << 8)),
                "the entry 'link' of its archive is a link");
        assertNotRead(
                archive(zip -> zip.add("secret", one, 1, 0, 1, 0, 20)),
                "the entry 'secret' of its archive is encrypted");
        assertNotRead(
                archive(zip -> zip.add("bomb", new byte[1000], 1 << 30, 8, 0, 0, 20)),
                "'bomb' of its archive has 1000 bytes but would grow to 1073741824");
        assertNotRead(
                archive(zip -> zip.add("large", one, -1, 0, 0, 0, 20)),
                "should be smaller than 2 GiB but is 4294967295");
        ZipBytes method = new ZipBytes();
        method.add("config.json", one, 1, 14, 0, 0, 20);
        assertNotRead(method.bytes(), "is compressed by method 14");
        ZipBytes notDeflated = new ZipBytes();
        notDeflated.add("config.json", new byte[] {7, 7, 7}, 9, 8, 0, 0, 20);
        assertNotRead(notDeflated.bytes(), "archive is damaged");
        ZipBytes longer = new ZipBytes();
        longer.add("config.json", one, 5, 0, 0, 0, 20);
        assertNotRead(longer.bytes(), "does not have the checksum or size");
        ZipBytes none = new ZipBytes();
        none.add("readme", one);
        assertNotRead(none.bytes(), "has no entry 'config.json'");
    }

    @Test
    void archivesWhosePartsDoNotFit() throws IOException {
        byte[] good = archive(zip -> {});
        for (int cut : new int[] {1, 21, 22, 100, good.length - 10}) {
            assertNotRead(Arrays.copyOf(good, good.length - cut), "is not read");
        }
        assertNotRead(Arrays.copyOf(good, good.length + 1), "damaged or cut short");
        ByteBuffer bytes = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        int directory = bytes.getInt(good.length - 6);
        // Every entry begins where the first does; only one of them has that name there.
        ByteBuffer overlapping = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        int second = directory + 46 + "metadata.json".length();
        overlapping.putInt(second + 42, 0);
        assertNotRead(overlapping.array(), "damaged or cut short");
        ByteBuffer twice = ByteBuffer.wrap(good.clone()).order(ByteOrder.LITTLE_ENDIAN);
        twice.putInt(directory + 20, good.length).putInt(directory + 24, good.length);
        assertNotRead(twice.array(), "the entries of its archive overlap");
        bytes.putShort(good.length - 18, (short) 1);
        assertNotRead(bytes.array(), "spread over several files");
    }

    @Test
    void nothingIsWrittenWhenReading() throws IOException {
        Map<String, byte[]> entries = new LinkedHashMap<>(lstm("3.8.0", "").entries(file()));
        Files.write(file(), KerasFiles.zip(entries));
        KerasImport.read(file());
        try (var files = Files.list(folder)) {
            assertEquals(1, files.count());
        }
    }
}
