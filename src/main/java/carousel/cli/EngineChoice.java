package carousel.cli;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine.Option;

/** The options that choose an engine, for every command that computes. */
final class EngineChoice {
    @Option(
            names = "--engine",
            paramLabel = "NAME",
            description =
                    "auto, gpu, cudnn, fused, vector or reference; 'carousel doctor' lists what is available. Default: auto.")
    String engine;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Worker threads of a CPU engine. Default: all processors.")
    Integer threads;

    @Option(
            names = "--precision",
            paramLabel = "TYPE",
            description =
                    "fp64, fp32, tf32, bf16 or fp16, where the engine has it; training in fp16 scales the loss by itself. Default: the engine's own.")
    String precision;

    /** Opens what was asked for, or the engine of this name where none was. */
    Engine open(String otherwise) {
        return openFor(otherwise, List.of());
    }

    /** The same for this model: {@code auto} is then the best engine that computes it. */
    Engine open(String otherwise, ModelSpec model) {
        return openFor(otherwise, Model.lstms(model));
    }

    /** Throws {@link IllegalArgumentException} where an option is none, before work is done for the engine. */
    void check() {
        options();
        if (engine != null) {
            known(engine);
        }
    }

    private Engine openFor(String otherwise, List<LstmSpec> lstms) {
        return Engines.openFor(engine == null ? otherwise : known(engine), options(), lstms);
    }

    private EngineOptions options() {
        EngineOptions options = EngineOptions.defaults();
        if (threads != null) {
            options = options.withThreads(Check.range("--threads", threads, 1, 1024));
        }
        if (precision != null) {
            options = options.withPrecision(Check.choice("--precision", precision, Precision.class));
        }
        return options;
    }

    private static String known(String name) {
        List<String> names = new ArrayList<>(List.of(Engines.AUTO));
        Engines.providers().forEach(provider -> names.add(provider.name()));
        if (!names.contains(name)) {
            throw new IllegalArgumentException(
                    "--engine should be one of " + String.join(", ", names) + " but got '" + name + "'");
        }
        return name;
    }
}
