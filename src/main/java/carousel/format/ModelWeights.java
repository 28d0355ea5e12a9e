package carousel.format;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.ParameterView;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A model in host memory, between a file and an engine: what every reader of other programs' files gives and every writer takes.
 *
 * @param spec the model's specification
 * @param values each parameter of {@link Model#views(ModelSpec)} by its name, row-major
 */
public record ModelWeights(ModelSpec spec, Map<String, double[]> values) {
    /**
     * @throws IllegalArgumentException when the values are not those of the specification, or their number is not that of the
     *     parameter's shape
     */
    public ModelWeights {
        List<ParameterView> views = Model.views(spec);
        for (ParameterView view : views) {
            double[] found = values.get(view.name());
            if (found == null || found.length != view.shape().elements()) {
                throw new IllegalArgumentException("the parameter '" + view.name() + "' " + view.shape()
                        + " should have " + view.shape().elements() + " values but got "
                        + (found == null ? "none" : found.length));
            }
        }
        if (values.size() != views.size()) {
            throw new IllegalArgumentException(
                    "a model of " + views.size() + " parameters got " + values.size() + ": " + values.keySet());
        }
        values = Map.copyOf(values);
    }

    /** A copy of a model's parameters. */
    public static ModelWeights of(Model model) {
        double[] parameters = model.readParameters();
        Map<String, double[]> values = new LinkedHashMap<>();
        for (ParameterView view : model.views()) {
            values.put(view.name(), Arrays.copyOfRange(parameters, (int) view.offset(), (int) view.end()));
        }
        return new ModelWeights(model.spec(), values);
    }

    /** The values of the parameter of this name. */
    public double[] get(String name) {
        return values.get(name);
    }

    /**
     * That every value can be written in single precision, the only one of some formats.
     *
     * @throws IllegalArgumentException when a finite value would become infinite
     */
    public void requireFloats() {
        values.forEach((name, numbers) -> {
            for (double value : numbers) {
                if (Double.isFinite(value) && Float.isInfinite((float) value)) {
                    throw new IllegalArgumentException(
                            "the parameter '" + name + "' should hold numbers of single precision, at"
                                    + " most 3.4e38 in size, but holds " + value + ": save it as safetensors with F64");
                }
            }
        });
    }

    /**
     * The model on an engine. Close it.
     *
     * @throws EngineException when the engine does not compute the specification
     */
    public Model open(Engine engine) {
        Model model = Model.empty(engine, spec);
        try {
            double[] parameters = new double[Math.toIntExact(model.parameters().elements())];
            for (ParameterView view : model.views()) {
                double[] value = values.get(view.name());
                System.arraycopy(value, 0, parameters, (int) view.offset(), value.length);
            }
            model.writeParameters(parameters);
            return model;
        } catch (RuntimeException e) {
            model.close();
            throw e;
        }
    }
}
