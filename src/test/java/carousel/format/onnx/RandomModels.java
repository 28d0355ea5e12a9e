package carousel.format.onnx;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Models of every kind that ONNX can express, drawn from a seed. */
final class RandomModels {
    private RandomModels() {}

    /** @param extensions whether cells may have what goes beyond the usual LSTM */
    static ModelSpec spec(Random random, boolean extensions) {
        boolean tokens = random.nextInt(3) == 0;
        Form input = tokens ? Form.tokens(5 + random.nextInt(10)) : Form.sequence(1 + random.nextInt(5));
        List<Layer> layers = new ArrayList<>();
        if (tokens) {
            layers.add(Embedding.of(1 + random.nextInt(4)));
        } else if (random.nextInt(4) == 0) {
            layers.add(dense(random));
        }
        int stacks = 1 + random.nextInt(2);
        for (int k = 1; k <= stacks; k++) {
            boolean sequences = k < stacks || random.nextInt(3) == 0;
            layers.add(lstm(random, extensions).withReturnSequences(sequences));
            if (random.nextInt(3) == 0) {
                layers.add(new Dropout(0.25));
            }
        }
        for (int k = random.nextInt(3); k > 0; k--) {
            layers.add(dense(random));
            if (random.nextBoolean()) {
                ActivationFunction[] functions = ActivationFunction.values();
                layers.add(new Activation(functions[random.nextInt(functions.length)]));
            }
        }
        return new ModelSpec(input, layers);
    }

    private static Layer dense(Random random) {
        return new Dense(
                1 + random.nextInt(5),
                random.nextBoolean(),
                new Initializer.GlorotUniform(),
                new Initializer.Constant(0));
    }

    private static Lstm lstm(Random random, boolean extensions) {
        Direction[] directions = Direction.values();
        LstmSpec spec = LstmSpec.of(1, 1 + random.nextInt(6))
                .withLayers(1 + random.nextInt(3))
                .withDirection(directions[random.nextInt(directions.length)])
                .withBias(random.nextInt(4) != 0)
                .withDropout(random.nextBoolean() ? 0 : 0.5);
        if (extensions) {
            spec = spec.withPeepholes(random.nextBoolean())
                    .withGateClip(random.nextBoolean() ? 0 : 0.7)
                    .withCoupledGates(random.nextBoolean());
            if (random.nextBoolean()) {
                spec = spec.withActivations(
                        new LstmActivations(activation(random), activation(random), activation(random)));
            }
        }
        return Lstm.of(spec);
    }

    private static CellActivation activation(Random random) {
        CellActivation.Kind[] kinds = CellActivation.Kind.values();
        return new CellActivation(kinds[random.nextInt(kinds.length)], 0.3, 0.4);
    }

    /** Weights that are floats. */
    static ModelWeights weights(ModelSpec spec, Random random) {
        Map<String, double[]> values = new LinkedHashMap<>();
        for (ParameterView view : Model.views(spec)) {
            double[] drawn = new double[(int) view.shape().elements()];
            for (int k = 0; k < drawn.length; k++) {
                drawn[k] = 1.2f * random.nextFloat() - 0.6f;
            }
            values.put(view.name(), drawn);
        }
        return new ModelWeights(spec, values);
    }
}
