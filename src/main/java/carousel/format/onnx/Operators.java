package carousel.format.onnx;

import java.util.Optional;

/** ONNX's operators by name, as far as they are common in graphs around an LSTM. */
final class Operators {
    private Operators() {}

    /**
     * What a node does.
     *
     * @return nothing where the operator is not supported
     * @throws IllegalArgumentException when the node does not follow its operator's rules; the message names the node
     */
    static Optional<Operation> of(OnnxNode node) {
        Optional<Operation> operation = Optional.ofNullable(find(node));
        if (operation.isPresent()) {
            node.requireNoOthers();
        }
        return operation;
    }

    private static Operation find(OnnxNode node) {
        return switch (node.operator()) {
            case "LSTM" -> new LstmOperation(node);
            case "Identity" -> ShapeOperators.identity(node);
            case "Dropout" -> ShapeOperators.dropout(node);
            case "Transpose" -> ShapeOperators.transpose(node);
            case "Squeeze" -> ShapeOperators.squeeze(node);
            case "Unsqueeze" -> ShapeOperators.unsqueeze(node);
            case "Flatten" -> ShapeOperators.flatten(node);
            case "Reshape" -> ShapeOperators.reshape(node);
            case "Expand" -> ShapeOperators.expand(node);
            case "Shape" -> ShapeOperators.shape(node);
            case "Constant" -> ShapeOperators.constant(node);
            case "ConstantOfShape" -> ShapeOperators.constantOfShape(node);
            case "Gather" -> ShapeOperators.gather(node);
            case "Slice" -> ShapeOperators.slice(node);
            case "Concat" -> ShapeOperators.concat(node);
            case "Split" -> ShapeOperators.split(node);
            case "Pad" -> ShapeOperators.pad(node);
            case "ReverseSequence" -> ShapeOperators.reverseSequence(node);
            case "Cast" -> MathOperators.cast(node);
            case "MatMul" -> MathOperators.matMul(node);
            case "Gemm" -> MathOperators.gemm(node);
            case "Add" -> MathOperators.arithmetic(node, Double::sum, Long::sum);
            case "Sub" -> MathOperators.arithmetic(node, (a, b) -> a - b, (a, b) -> a - b);
            case "Mul" -> MathOperators.arithmetic(node, (a, b) -> a * b, (a, b) -> a * b);
            case "Div" -> MathOperators.arithmetic(node, (a, b) -> a / b, MathOperators::divide);
            case "Equal" -> MathOperators.compare(node, comparison -> comparison == 0);
            case "Less" -> MathOperators.compare(node, comparison -> comparison < 0);
            case "Greater" -> MathOperators.compare(node, comparison -> comparison > 0);
            case "And" -> MathOperators.logical(node, (a, b) -> a & b);
            case "Or" -> MathOperators.logical(node, (a, b) -> a | b);
            case "Not" -> MathOperators.not(node);
            case "Where" -> MathOperators.where(node);
            case "Sigmoid" -> MathOperators.unary(node, MathOperators::sigmoid);
            case "Tanh" -> MathOperators.unary(node, Math::tanh);
            case "Relu" -> MathOperators.relu(node);
            case "LeakyRelu" -> MathOperators.leakyRelu(node);
            case "Elu" -> MathOperators.elu(node);
            case "HardSigmoid" -> MathOperators.hardSigmoid(node);
            case "Softplus" -> MathOperators.softplus(node);
            case "Softsign" -> MathOperators.unary(node, x -> x / (1 + Math.abs(x)));
            case "Exp" -> MathOperators.unary(node, Math::exp);
            case "Log" -> MathOperators.unary(node, Math::log);
            case "Sqrt" -> MathOperators.unary(node, Math::sqrt);
            case "Neg" -> MathOperators.unary(node, x -> -x);
            case "Abs" -> MathOperators.unary(node, Math::abs);
            case "Clip" -> MathOperators.clip(node);
            case "Softmax" -> MathOperators.softmax(node, false);
            case "LogSoftmax" -> MathOperators.softmax(node, true);
            case "ReduceSum" -> MathOperators.reduce(node, MathOperators.Reduction.SUM, 13);
            case "ReduceMean" -> MathOperators.reduce(node, MathOperators.Reduction.MEAN, 18);
            case "ReduceMax" -> MathOperators.reduce(node, MathOperators.Reduction.MAX, 18);
            case "ArgMax" -> MathOperators.argMax(node);
            default -> null;
        };
    }
}
