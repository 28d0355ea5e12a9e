package carousel.spark;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.FormatException;
import carousel.format.ModelJson;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Precision;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import org.apache.spark.SparkConf;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/**
 * What the tasks of a run have in common.
 *
 * @param id of the run: its executors keep a model for it
 * @param specification of the model, as JSON
 * @param loss what it is trained with; null for scoring
 * @param engine its name, or auto
 * @param precision of its products; null for the engine's own
 */
record Job(String id, String specification, Loss loss, String engine, Precision precision) implements Serializable {
    /** Spark's name for GPUs. */
    private static final String GPU = "gpu";

    private static final List<String> ON_GPUS = List.of("gpu", "cudnn", "fused");

    /** What {@code auto} is on an executor whose tasks have no GPU. */
    private static final String ON_CPUS = "vector";

    /** What a task computes with, for people; and what became of a GPU that it was given. */
    static String description(Engine engine, int device) {
        if (device == EngineOptions.ANY_DEVICE) {
            return engine.description();
        }
        return engine.description()
                + (ON_GPUS.contains(engine.name())
                        ? " (device " + device + " of Spark's)"
                        : " (without device " + device + " of Spark's)");
    }

    /**
     * Refuses an engine that the tasks of a cluster with these settings cannot have, before one is started.
     *
     * @throws EngineException where it is one for GPUs and tasks are given none
     */
    static void requireDevice(String engine, SparkConf settings) {
        if (ON_GPUS.contains(engine) && !settings.contains("spark.task.resource." + GPU + ".amount")) {
            throw noDevice(engine);
        }
    }

    private static EngineException noDevice(String engine) {
        return new EngineException("the engine '" + engine
                + "' needs a GPU but Spark gave the task none: set spark.executor.resource.gpu.amount and"
                + " spark.task.resource.gpu.amount, or choose the engine " + ON_CPUS);
    }

    ModelSpec spec() {
        return spec(specification);
    }

    /** Reads what was written here. */
    static ModelSpec spec(String specification) {
        try {
            return ModelJson.parse(specification);
        } catch (FormatException impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** The GPU that Spark gave the task that runs here; {@link EngineOptions#ANY_DEVICE} for none. */
    static int device(TaskContext task) {
        return device(task.resourcesJMap());
    }

    /** The same of what Spark gave. */
    static int device(Map<String, ResourceInformation> resources) {
        ResourceInformation gpu = resources.get(GPU);
        if (gpu == null || gpu.addresses().length == 0) {
            return EngineOptions.ANY_DEVICE;
        }
        String address = gpu.addresses()[0];
        try {
            return Integer.parseInt(address.strip());
        } catch (NumberFormatException notANumber) {
            throw new ClusterException("Spark gave the task the GPU '" + address
                    + "' where the number of a device is needed: have the discovery script print numbers");
        }
    }

    /**
     * Opens the engine of a task: on the GPU that it was given, otherwise on its cores.
     *
     * @param device as {@link #device(TaskContext)} has it
     * @param threads of a CPU's engine
     */
    Engine open(int device, int threads, ModelSpec spec) {
        boolean given = device != EngineOptions.ANY_DEVICE;
        if (!given && ON_GPUS.contains(engine)) {
            throw noDevice(engine);
        }
        EngineOptions options = EngineOptions.defaults()
                .withThreads(threads)
                .withPrecision(precision)
                .withDevice(device);
        // A GPU that the task was not given may be another's.
        String name = engine.equals(Engines.AUTO) && !given ? ON_CPUS : engine;
        return Engines.openFor(name, options, Model.lstms(spec));
    }
}
