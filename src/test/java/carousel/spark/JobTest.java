package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.Loss;
import carousel.format.ModelJson;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.ModelSpec;
import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.junit.jupiter.api.Test;

/** Which engine a task computes with. */
class JobTest {
    private static final ModelSpec SPEC = ModelSpec.of(Form.sequence(2), Lstm.of(3), Dense.of(1));

    private static Job job(String engine) {
        return new Job("run", ModelJson.write(SPEC), Loss.MEAN_SQUARED_ERROR, engine, null);
    }

    private static Map<String, ResourceInformation> gpus(String... addresses) {
        return Map.of("gpu", new ResourceInformation("gpu", addresses));
    }

    @Test
    void theDeviceIsTheOneThatSparkGave() {
        assertEquals(3, Job.device(gpus("3")));
        assertEquals(0, Job.device(gpus(" 0", "1")));
        assertEquals(EngineOptions.ANY_DEVICE, Job.device(gpus()));
        assertEquals(EngineOptions.ANY_DEVICE, Job.device(Map.of()));
        assertEquals(EngineOptions.ANY_DEVICE, Job.device(Map.of("fpga", new ResourceInformation("fpga", new String[] {
            "0"
        }))));
        ClusterException name = assertThrows(ClusterException.class, () -> Job.device(gpus("GPU-5c1a")));
        assertEquals(
                "Spark gave the task the GPU 'GPU-5c1a' where the number of a device is needed: have the discovery script"
                        + " print numbers",
                name.getMessage());
    }

    @Test
    void aTaskWithoutAGpuTakesItsCores() {
        try (Engine engine = job("auto").open(EngineOptions.ANY_DEVICE, 2, SPEC)) {
            assertEquals("vector", engine.name());
            assertTrue(engine.description().contains("2 threads"), engine.description());
        }
        try (Engine engine = job("reference").open(EngineOptions.ANY_DEVICE, 1, SPEC)) {
            assertEquals("reference", engine.name());
        }
        EngineException refused =
                assertThrows(EngineException.class, () -> job("cudnn").open(EngineOptions.ANY_DEVICE, 1, SPEC));
        assertTrue(refused.getMessage().startsWith("the engine 'cudnn' needs a GPU but Spark gave the task none"));
    }
}
