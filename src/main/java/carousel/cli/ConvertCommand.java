package carousel.cli;

import carousel.format.Dtype;
import carousel.format.Imported;
import carousel.format.ModelFile;
import carousel.format.ModelWeights;
import carousel.format.PyTorchExport;
import carousel.format.PyTorchImport;
import carousel.format.keras.KerasExport;
import carousel.format.keras.KerasImport;
import carousel.format.onnx.OnnxExport;
import carousel.format.onnx.OnnxImport;
import carousel.training.RunFolder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code carousel convert}. */
@Command(
        name = "convert",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Converts a model between safetensors (Carousel's own and PyTorch's), ONNX and Keras, and says what became of each part.",
            "A file is what its name ends with: .safetensors, .onnx, .keras, or .h5 to be read. A folder is a run."
        })
final class ConvertCommand implements Callable<Integer> {
    private static final List<Dtype> TYPES = List.of(Dtype.F64, Dtype.F32, Dtype.F16, Dtype.BF16);

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Parameters(index = "0", paramLabel = "FROM", description = "The model to read.")
    private Path from;

    @Parameters(index = "1", paramLabel = "TO", description = "The file to write.")
    private Path to;

    @Option(
            names = "--modules",
            paramLabel = "NAMES",
            split = ",",
            description =
                    "For PyTorch's files: the modules in the order in which they run, with commas between, and 'last' where "
                            + "only the last output of an LSTM goes on. Default: the one order that fits.")
    private List<String> modules = List.of();

    @Option(
            names = "--dtype",
            paramLabel = "TYPE",
            description = "Type of the weights in a safetensors file: f64, f32, f16 or bf16. Default: f32.")
    private String dtype;

    @Option(
            names = "--state-dict",
            paramLabel = "NAMES",
            description =
                    "Write a plain state dict of PyTorch's, without what only Carousel reads, with the names of lstm (nn.LSTM) or "
                            + "of cell (nn.LSTMCell).")
    private String stateDict;

    @Option(
            names = "--lengths",
            description = "Give an ONNX model a second input: the number of valid steps of each sequence.")
    private boolean lengths;

    @Option(names = "--overwrite", description = "Replace TO where it exists.")
    private boolean overwrite;

    @Option(names = "--json", description = "Print one JSON object and nothing else.")
    private boolean json;

    /** How a state dict calls the weights of an LSTM. */
    private enum Names {
        LSTM,
        CELL
    }

    /** The formats by what names end with. */
    private enum Format {
        SAFETENSORS(".safetensors"),
        ONNX(".onnx"),
        KERAS(".keras"),
        HDF5(".h5", ".hdf5");

        private final List<String> ends;

        Format(String... ends) {
            this.ends = List.of(ends);
        }

        static Format of(Path path) {
            String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
            for (Format format : values()) {
                if (format.ends.stream().anyMatch(name::endsWith)) {
                    return format;
                }
            }
            throw new IllegalArgumentException(
                    "a model's file should end with .safetensors, .onnx, .keras or .h5 but got '" + path
                            + "': rename it");
        }
    }

    @Override
    public Integer call() throws IOException {
        Check.path("FROM", from);
        Check.path("TO", to);
        Dtype type = TYPES.stream()
                .filter(one -> dtype == null ? one == Dtype.F32 : one.name().equalsIgnoreCase(dtype))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "--dtype should be one of f64, f32, f16, bf16 but got '" + dtype + "'"));
        Path source = Files.isDirectory(from) ? from.resolve(RunFolder.MODEL) : from;
        Format target = Format.of(to);
        if (target == Format.HDF5) {
            throw new IllegalArgumentException(
                    "the older .h5 files are read but not written and TO is '" + to + "': write .keras");
        }
        if (dtype != null && target != Format.SAFETENSORS) {
            throw new IllegalArgumentException(
                    "--dtype goes with a .safetensors file to write but TO is '" + to + "': leave it out");
        }
        if (stateDict != null && target != Format.SAFETENSORS) {
            throw new IllegalArgumentException(
                    "--state-dict goes with a .safetensors file to write but TO is '" + to + "': leave it out");
        }
        Names names = stateDict == null ? null : Check.choice("--state-dict", stateDict, Names.class);
        if (lengths && target != Format.ONNX) {
            throw new IllegalArgumentException(
                    "--lengths goes with an .onnx file to write but TO is '" + to + "': leave it out");
        }
        if (Files.exists(to) && !overwrite) {
            throw new IllegalArgumentException("'" + to + "' exists already: choose another name, or give --overwrite");
        }
        Source read = read(source);
        Map<String, String> metadata = read.metadata();
        ModelWeights weights = read.imported().weights();
        switch (target) {
            case SAFETENSORS -> {
                if (names == null) {
                    ModelFile.write(to, weights, metadata, type);
                } else {
                    PyTorchExport.write(to, weights, type, names == Names.CELL);
                }
            }
            case ONNX -> OnnxExport.write(to, weights, Map.of(), lengths);
            default -> KerasExport.write(to, weights);
        }
        List<Imported.Mapping> mapping = new ArrayList<>(read.imported().mapping());
        if (target != Format.SAFETENSORS) {
            metadata.keySet()
                    .forEach(name -> mapping.add(new Imported.Mapping(
                            "metadata " + name,
                            "",
                            "left out: what the model was made for, and how its inputs are scaled")));
        }
        report(new Imported(weights, mapping), written(target));
        return 0;
    }

    /** What became of the model in the file that was written, as its reader tells it; nothing of a file with the same names. */
    private List<Imported.Mapping> written(Format target) throws IOException {
        return switch (target) {
            case ONNX -> OnnxImport.read(to).mapping();
            case KERAS -> KerasImport.read(to).mapping();
            default -> List.of();
        };
    }

    /**
     * A model that was read.
     *
     * @param metadata what goes along into a file of our own
     */
    private record Source(Imported imported, Map<String, String> metadata) {}

    private Source read(Path source) throws IOException {
        Format format = Format.of(source);
        boolean torch = format == Format.SAFETENSORS && PyTorchImport.accepts(source);
        if (!modules.isEmpty() && !torch) {
            throw new IllegalArgumentException(
                    "--modules goes with a file of PyTorch's but '" + source + "' is another: leave it out");
        }
        return switch (format) {
            case SAFETENSORS -> torch ? of(PyTorchImport.read(source, modules.toArray(String[]::new))) : own(source);
            case ONNX -> of(OnnxImport.read(source));
            case KERAS, HDF5 -> of(KerasImport.read(source));
        };
    }

    private static Source of(Imported imported) {
        return new Source(imported, Map.of());
    }

    private static Source own(Path source) throws IOException {
        ModelFile file = ModelFile.read(source);
        List<Imported.Mapping> mapping = new ArrayList<>();
        ModelWeights weights = file.weights();
        for (String name : file.tensors().keySet()) {
            mapping.add(new Imported.Mapping(name, name.replaceFirst("bias_[ih]h_l", "bias_l"), ""));
        }
        return new Source(new Imported(weights, mapping), file.ownMetadata());
    }

    private void report(Imported imported, List<Imported.Mapping> written) {
        PrintWriter out = spec.commandLine().getOut();
        long parameters = imported.weights().values().values().stream()
                .mapToLong(values -> values.length)
                .sum();
        if (json) {
            JsonObject object = new JsonObject();
            object.addProperty("from", from.toString());
            object.addProperty("to", to.toString());
            object.addProperty("model", imported.weights().spec().toString());
            object.addProperty("output", imported.weights().spec().output().toString());
            object.addProperty("parameters", parameters);
            object.add("mapping", json(imported.mapping()));
            object.add("written", json(written));
            out.println(object);
        } else {
            out.println("Read " + from + ":");
            print(out, imported.mapping());
            if (!written.isEmpty()) {
                out.println("Written to " + to + ":");
                print(out, written);
            }
            out.println(imported.weights().spec() + " -> "
                    + imported.weights().spec().output());
            out.println(String.format(Locale.ROOT, "%s -> %s, %,d parameters", from, to, parameters));
        }
        out.flush();
    }

    private static JsonArray json(List<Imported.Mapping> mapping) {
        JsonArray array = new JsonArray();
        for (Imported.Mapping part : mapping) {
            JsonObject line = new JsonObject();
            line.addProperty("source", part.source());
            line.addProperty("target", part.target());
            line.addProperty("how", part.how());
            array.add(line);
        }
        return array;
    }

    private static void print(PrintWriter out, List<Imported.Mapping> mapping) {
        int width =
                mapping.stream().mapToInt(part -> part.source().length()).max().orElse(1);
        for (Imported.Mapping part : mapping) {
            out.println(String.format(
                    Locale.ROOT,
                    "  %-" + width + "s  ->  %s%s",
                    part.source(),
                    part.target().isEmpty() ? "-" : part.target(),
                    part.how().isEmpty() ? "" : " (" + part.how() + ")"));
        }
    }
}
