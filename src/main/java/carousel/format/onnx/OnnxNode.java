package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import carousel.format.FormatException;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * One node of a graph, with its attributes as values of the expected kind. Whoever makes an operation of it asks for every
 * attribute that the operator has in this version; {@link #requireNoOthers()} then refuses what was not asked for.
 */
final class OnnxNode {
    private final int index;
    private final String name;
    private final String operator;
    private final int opset;
    private final List<String> inputs;
    private final List<String> outputs;
    private final Map<String, AttributeProto> attributes = new LinkedHashMap<>();
    private final Set<String> asked = new HashSet<>();
    private boolean outputsRequired;

    /**
     * @param index the node's place in the graph
     * @throws IllegalArgumentException when its attributes cannot be told apart
     */
    OnnxNode(NodeProto node, int index, int opset) {
        this.index = index;
        this.name = node.getName();
        this.operator = node.getOpType();
        this.opset = opset;
        this.inputs = List.copyOf(node.getInputList());
        this.outputs = List.copyOf(node.getOutputList());
        for (AttributeProto attribute : node.getAttributeList()) {
            if (attributes.put(attribute.getName(), attribute) != null) {
                throw new IllegalArgumentException(
                        inWords() + " has two attributes " + FormatException.quote(attribute.getName()));
            }
        }
    }

    String operator() {
        return operator;
    }

    /** The version of the operators. */
    int opset() {
        return opset;
    }

    /** What it reads by name; an input that is left out has an empty one. */
    List<String> inputs() {
        return inputs;
    }

    /** What it puts out by name; an output that nobody wants has an empty name. */
    List<String> outputs() {
        return outputs;
    }

    boolean hasInput(int k) {
        return k < inputs.size() && !inputs.get(k).isEmpty();
    }

    boolean hasOutput(int k) {
        return k < outputs.size() && !outputs.get(k).isEmpty();
    }

    /** For instance {@code the node 'lstm' (LSTM)}, or by its number where it has no name. */
    String inWords() {
        String quoted = FormatException.quote(operator);
        return "the node " + (name.isEmpty() ? String.valueOf(index) : FormatException.quote(name)) + " ("
                + quoted.substring(1, quoted.length() - 1) + ")";
    }

    /** A complaint about this node. */
    IllegalArgumentException refused(String reason) {
        return new IllegalArgumentException(inWords() + " " + reason);
    }

    /** Requires this many inputs, of which the first {@code needed} are not left out. */
    void requireInputs(int needed, int most) {
        if (inputs.size() < needed || inputs.size() > most) {
            throw refused("should have " + range(needed, most) + " inputs but has " + inputs.size());
        }
        for (int k = 0; k < needed; k++) {
            if (!hasInput(k)) {
                throw refused("leaves out its input " + k + ", which it needs");
            }
        }
    }

    /** One output is required where this is not called. */
    void requireOutputs(int least, int most) {
        outputsRequired = true;
        if (outputs.size() < least || outputs.size() > most) {
            throw refused("should have " + range(least, most) + " outputs but has " + outputs.size());
        }
    }

    private static String range(int least, int most) {
        if (most == Integer.MAX_VALUE) {
            return least + " or more";
        }
        return least == most ? String.valueOf(least) : least + " to " + most;
    }

    boolean has(String attribute) {
        asked.add(attribute);
        return attributes.containsKey(attribute);
    }

    long integer(String attribute, long otherwise) {
        AttributeProto found = find(attribute, AttributeType.INT);
        return found == null ? otherwise : found.getI();
    }

    boolean flag(String attribute) {
        long value = integer(attribute, 0);
        if (value != 0 && value != 1) {
            throw refused("has the attribute " + attribute + " = " + value + " but it should be 0 or 1");
        }
        return value == 1;
    }

    double real(String attribute, double otherwise) {
        AttributeProto found = find(attribute, AttributeType.FLOAT);
        return found == null ? otherwise : found.getF();
    }

    String text(String attribute, String otherwise) {
        AttributeProto found = find(attribute, AttributeType.STRING);
        return found == null ? otherwise : found.getS().toStringUtf8();
    }

    /** Null where it is left out. */
    TensorProto tensor(String attribute) {
        AttributeProto found = find(attribute, AttributeType.TENSOR);
        return found == null ? null : found.getT();
    }

    /** Null where it is left out. */
    long[] integers(String attribute) {
        AttributeProto found = find(attribute, AttributeType.INTS);
        if (found == null) {
            return null;
        }
        long[] values = new long[found.getIntsCount()];
        for (int k = 0; k < values.length; k++) {
            values[k] = found.getInts(k);
        }
        return values;
    }

    /** Null where it is left out. */
    double[] reals(String attribute) {
        AttributeProto found = find(attribute, AttributeType.FLOATS);
        if (found == null) {
            return null;
        }
        double[] values = new double[found.getFloatsCount()];
        for (int k = 0; k < values.length; k++) {
            values[k] = found.getFloats(k);
        }
        return values;
    }

    /** Null where it is left out. */
    List<String> texts(String attribute) {
        AttributeProto found = find(attribute, AttributeType.STRINGS);
        return found == null
                ? null
                : found.getStringsList().stream()
                        .map(text -> text.toStringUtf8())
                        .toList();
    }

    private AttributeProto find(String attribute, AttributeType type) {
        asked.add(attribute);
        AttributeProto found = attributes.get(attribute);
        if (found == null) {
            return null;
        }
        if (!found.getRefAttrName().isEmpty()) {
            throw refused("takes its attribute " + attribute + " from a function, which is not supported");
        }
        // Files of the first versions do not say the type.
        boolean fits = found.getType() == type
                || found.getType() == AttributeType.UNDEFINED
                        && switch (type) {
                            case INT -> found.hasI();
                            case FLOAT -> found.hasF();
                            case STRING -> found.hasS();
                            case TENSOR -> found.hasT();
                            default -> true;
                        };
        if (!fits) {
            throw refused(
                    "has an attribute " + attribute + " of type " + found.getType() + " but it should be " + type);
        }
        return found;
    }

    /** Refuses attributes and outputs that the operator does not have. */
    void requireNoOthers() {
        if (!outputsRequired) {
            requireOutputs(1, 1);
        }
        for (String attribute : attributes.keySet()) {
            if (!asked.contains(attribute)) {
                throw refused("has an attribute " + FormatException.quote(attribute) + ", which " + operator
                        + " does not have in version " + opset + " of ONNX's operators or which is not supported");
            }
        }
    }
}
