package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.format.JsonLines;
import carousel.format.ModelFile;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainCommandTest {
    @TempDir
    private Path folder;

    /** A small and fast run. */
    private CommandLineRun adding(Path out, Object... more) {
        Object[] first = {"train", "--task", "adding", "--time-steps", 8, "--hidden", 5, "--batch", 4, "--out", out};
        return CommandLineRun.of(
                Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray());
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aRunLeavesItsFolder(String engine) throws IOException {
        Path out = folder.resolve("run");
        CommandLineRun run = adding(out, "--steps", 30, "--display-step", 10, "--engine", engine)
                .succeeds();
        assertTrue(run.out().contains("Step 10/30"), run.out());
        assertTrue(run.out().contains("Epoch 1/1"), run.out());
        assertTrue(
                Pattern.compile("Testing Mean Squared Error: \\d+\\.\\d{6}")
                        .matcher(run.out())
                        .find(),
                run.out());
        List<JsonObject> metrics = JsonLines.read(out.resolve(RunFolder.METRICS));
        assertEquals(
                List.of(10, 20, 30, 30),
                metrics.stream().map(line -> line.get("step").getAsInt()).toList());
        assertEquals(
                30,
                Checkpoint.read(out.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .state()
                        .step());
        ModelFile model = ModelFile.read(out.resolve(RunFolder.MODEL));
        assertTrue(model.tensors()
                .keySet()
                .containsAll(List.of(
                        "lstm.weight_ih_l0",
                        "lstm.weight_hh_l0",
                        "lstm.bias_ih_l0",
                        "lstm.bias_hh_l0",
                        "dense.weight",
                        "dense.bias")));
        assertTrue(Files.size(out.resolve(RunFolder.CURVES)) > 1000);
        try (Stream<Path> files = Files.list(out)) {
            assertEquals(
                    List.of(RunFolder.CHECKPOINT, RunFolder.CURVES, RunFolder.METRICS, RunFolder.MODEL),
                    files.map(file -> file.getFileName().toString())
                            .filter(name -> !name.equals(".lock"))
                            .sorted()
                            .toList(),
                    "nothing else is left behind");
        }
    }

    @Test
    void aFinishedRunCanBeExtendedAndEndsAsOneLongRun() throws IOException {
        Path whole = folder.resolve("whole");
        Path parts = folder.resolve("parts");
        adding(whole, "--steps", 450, "--display-step", 50).succeeds();
        adding(parts, "--steps", 250, "--display-step", 50).succeeds();
        CommandLineRun.of("train", "--resume", parts, "--steps", 450, "--display-step", 50)
                .succeeds();
        assertArrayEquals(
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters(),
                Checkpoint.read(parts.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters());
        assertEquals(
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .state()
                        .bestLoss(),
                Checkpoint.read(parts.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .state()
                        .bestLoss());
        assertArrayEquals(
                ModelFile.read(whole.resolve(RunFolder.MODEL))
                        .tensors()
                        .get("lstm.weight_hh_l0")
                        .values(),
                ModelFile.read(parts.resolve(RunFolder.MODEL))
                        .tensors()
                        .get("lstm.weight_hh_l0")
                        .values());
        CommandLineRun.of("train", "--resume", parts, "--steps", 449)
                .failsWith(2, "has done 450 steps already but got a total of 449");
        CommandLineRun again = CommandLineRun.of("train", "--resume", parts).succeeds();
        assertTrue(again.out().contains("Testing Mean Squared Error"), again.out());
    }

    /** All that is random in a cell is drawn by step, so that a run in two parts ends as one in one part. */
    @Test
    void aRunWithEveryOptionOfTheCellResumesToTheSameBits() throws IOException {
        Object[] cell = {
            "--engine",
            "reference",
            "--layers",
            2,
            "--projection",
            3,
            "--peepholes",
            "--coupled-gates",
            "--layer-norm",
            "--cell-clip",
            2,
            "--gate-clip",
            4,
            "--recurrent-dropout",
            0.1,
            "--candidate-dropout",
            0.1,
            "--weight-dropout",
            0.1,
            "--zoneout",
            "0.1,0.2",
            "--chrono",
            20
        };
        Path whole = folder.resolve("whole");
        Path parts = folder.resolve("parts");
        CommandLineRun run = adding(
                        whole,
                        Stream.concat(Stream.of("--steps", 30), Stream.of(cell)).toArray())
                .succeeds();
        for (String part : List.of(
                "projection 3",
                "recurrent dropout 0.1",
                "candidate dropout 0.1",
                "recurrent weight dropout 0.1",
                "zoneout 0.1 and 0.2",
                "cell clip 2.0",
                "gate clip 4.0",
                "coupled gates",
                "peepholes",
                "layer normalization")) {
            assertTrue(run.out().contains(part), part + " in " + run.out());
        }
        adding(parts, Stream.concat(Stream.of("--steps", 17), Stream.of(cell)).toArray())
                .succeeds();
        CommandLineRun.of("train", "--resume", parts, "--steps", 30, "--projection", 2)
                .failsWith(2, "--projection should be 3", "leave it out");
        CommandLineRun.of("train", "--resume", parts, "--steps", 30, "--projection", 3, "--zoneout", "0.1,0.2")
                .succeeds();
        assertArrayEquals(
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters(),
                Checkpoint.read(parts.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters());
        CommandLineRun.of("evaluate", "--model", parts).succeeds();
    }

    /** In a process of its own, because the order in which classes are made ready counts. */
    @Test
    void withoutATaskAFileIsRefusedFromTheFirstCallOn() throws Exception {
        Path file = Files.writeString(folder.resolve("numbers.csv"), "1,2");
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-XX:TieredStopAtLevel=1",
                        "-cp",
                        System.getProperty("java.class.path"),
                        "carousel.cli.Main",
                        "train",
                        "--data",
                        file.toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(2, process.waitFor(), said);
        assertTrue(said.startsWith("carousel: --data '" + file + "' is a file, but without --task"), said);
    }

    @Test
    void evaluateAndPredictUseTheRun() {
        Path out = folder.resolve("run");
        String trained = adding(out, "--steps", 30).succeeds().out();
        JsonObject evaluation = JsonParser.parseString(CommandLineRun.of("evaluate", "--model", out, "--json")
                        .succeeds()
                        .out())
                .getAsJsonObject();
        assertEquals(2000, evaluation.get("count").getAsInt());
        assertTrue(
                trained.contains(String.format(
                        Locale.ROOT,
                        "Testing Mean Squared Error: %.6f",
                        evaluation.get("loss").getAsDouble())),
                trained);
        JsonObject predictions = JsonParser.parseString(
                        CommandLineRun.of("predict", "--model", out, "--count", 3, "--json")
                                .succeeds()
                                .out())
                .getAsJsonObject();
        assertEquals(3, predictions.get("predictions").getAsJsonArray().size());
        CommandLineRun.of("predict", "--model", out.resolve(RunFolder.MODEL)).succeeds();
    }

    @Test
    void predictReadsNumbersFromAFile() throws IOException {
        Path out = folder.resolve("run");
        adding(out, "--steps", 10).succeeds();
        Path input = Files.writeString(folder.resolve("numbers.csv"), "0.5, 1\n0.25;0\n0.75\t1\n\n0.1 1\n0.2 1\n");
        CommandLineRun run =
                CommandLineRun.of("predict", "--model", out, "--input", input).succeeds();
        assertEquals(2, run.out().strip().lines().count(), run.out());
        Files.writeString(input, "0.5, 1\n0.25\n");
        CommandLineRun.of("predict", "--model", out, "--input", input)
                .failsWith(1, "line 2", "should have 2 numbers but has 1");
        Files.writeString(input, "0.5, one\n");
        CommandLineRun.of("predict", "--model", out, "--input", input).failsWith(1, "line 1", "'one' is not a number");
        Files.writeString(input, "0.5, NaN\n");
        CommandLineRun.of("predict", "--model", out, "--input", input).failsWith(1, "line 1", "finite");
        Files.writeString(input, "\n\n");
        CommandLineRun.of("predict", "--model", out, "--input", input).failsWith(1, "holds no numbers");
        Files.write(input, new byte[] {(byte) 0xc3, (byte) 0x28});
        CommandLineRun.of("predict", "--model", out, "--input", input).failsWith(1, "neither a picture nor text");
        CommandLineRun.of("predict", "--model", out, "--input", folder.resolve("none"))
                .failsWith(1, "none");
        CommandLineRun.of("predict", "--model", out, "--input", folder).failsWith(1, "is a folder");
        CommandLineRun.of("predict", "--model", out, "--input", input, "--count", 2)
                .failsWith(2, "--count");
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e30, 1e300})
    void aLossThatIsNoNumberStopsTheRunAndKeepsTheLastGoodModel(double rate) throws IOException {
        Path out = folder.resolve("run");
        CommandLineRun run = adding(
                out,
                "--steps",
                400,
                "--optimizer",
                "sgd",
                "--learning-rate",
                1e30,
                "--clip",
                0,
                "--checkpoint-steps",
                1);
        run.failsWith(1, "became", "at step", "lower the learning rate");
        assertTrue(run.out().contains("The last good model, of step"), run.out());
        for (ModelFile.Content tensor :
                ModelFile.read(out.resolve(RunFolder.MODEL)).tensors().values()) {
            assertTrue(Arrays.stream(tensor.values()).allMatch(Double::isFinite));
        }
        CommandLineRun.of("evaluate", "--model", out).succeeds();
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--hidden 0|--hidden should be in the [1, 65536] range but got 0",
                "--hidden 70000|--hidden should be in the [1, 65536] range but got 70000",
                "--hidden many|'many'",
                "--layers 0|--layers should be in the [1, 1024] range but got 0",
                "--batch 0|--batch should be in the [1, 65536] range but got 0",
                "--steps 0|--steps should be in the",
                "--steps -5|got -5",
                "--epochs 0|--epochs should be in the",
                "--steps 5 --epochs 2|--steps and --epochs exclude each other",
                "--dropout 0.5|--dropout acts between stacked layers but got 0.5",
                "--dropout 1 --layers 2|--dropout should be in the [0, 1) range but got 1.0",
                "--dropout NaN --layers 2|--dropout should be in the [0, 1) range but got NaN",
                "--learning-rate 0|--learning-rate should be a positive number but got 0.0",
                "--learning-rate -1|--learning-rate should be a positive number but got -1.0",
                "--learning-rate NaN|--learning-rate should be a positive number but got NaN",
                "--clip -1|--clip should be 0 or a positive number but got -1.0",
                "--threads 0|--threads should be in the [1, 1024] range but got 0",
                "--precision fp8|--precision should be one of fp64, fp32, tf32, bf16, fp16 but got 'fp8'",
                "--task chess|--task should be one of digits, mnist, adding, text, series, sequences, copy, reverse, addition but got 'chess'",
                "--preset caffe|--preset should be one of tensorflow, keras but got 'caffe'",
                "--optimizer lion|--optimizer should be one of sgd, momentum, nesterov, adam, adamw, rmsprop but got 'lion'",
                "--time-steps 1|--task adding",
                "--task adding --time-steps 1|--time-steps should be in the [2, 1000000] range but got 1",
                "--task mnist|needs --data",
                "--checkpoint-steps 0|--checkpoint-steps should be 1 or more but got 0",
                "--display-step 0|--display-step should be 1 or more but got 0",
                "--seed 1.5|'1.5'",
                "--hidden 8 --projection 8|--projection should be less than the hidden size, in the [1, 7] range, but got 8",
                "--projection 0|--projection should be less than the hidden size, in the [1, 127] range, but got 0",
                "--cell-clip -1|--cell-clip should be 0 or a positive number but got -1.0",
                "--gate-clip NaN|--gate-clip should be 0 or a positive number but got NaN",
                "--recurrent-dropout 1|--recurrent-dropout should be in the [0, 1) range but got 1.0",
                "--candidate-dropout -0.1|--candidate-dropout should be in the [0, 1) range but got -0.1",
                "--weight-dropout 2|--weight-dropout should be in the [0, 1) range but got 2.0",
                "--chrono 1|--chrono should be 0 or a number of steps, 2 or more, but got 1.0",
                "--zoneout 0.1,1|--zoneout of c should be in the [0, 1) range but got 1.0",
                "--zoneout 0.1,0.2,0.3|with a comma between them, but got '0.1,0.2,0.3'",
                "--zoneout 0.1,|with a comma between them, but got '0.1,'",
                "--cell-clip 1e-50|cell clip should be 0 (none) or 1.2E-38 or more",
                "--colour blue|--colour",
                "--resume somewhere --out elsewhere|--out and --resume exclude each other",
            })
    void aBadOptionIsOneSentenceAndLeavesNothing(String line) throws IOException {
        String[] parts = line.split("\\|");
        Path out = folder.resolve("run");
        Stream<String> given = Arrays.stream(parts[0].split(" "));
        boolean namesFolder = parts[0].contains("--out");
        Stream<String> place = namesFolder ? Stream.empty() : Stream.of("--out", out.toString());
        Object[] arguments =
                Stream.concat(Stream.concat(Stream.of("train"), place), given).toArray();
        CommandLineRun.of(arguments).failsWith(2, parts[1]);
        assertFalse(Files.exists(out), "nothing is written for a bad option");
    }

    @Test
    void anUnknownEngineOrPrecisionIsRefusedNotReplaced() {
        Path out = folder.resolve("run");
        adding(out, "--engine", "quantum").failsWith(2, "--engine", "'quantum'", "reference", "vector");
        adding(out, "--engine", "vector", "--precision", "bf16").failsWith(1, "BF16");
        adding(out, "--engine", "reference", "--precision", "fp32").failsWith(1, "FP32");
        assertFalse(Files.exists(out));
    }

    @Test
    void anOutputFolderThatCannotBeWrittenIsOneSentence() throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "mine");
        adding(file, "--steps", 5).failsWith(1, "file", "should be a folder");
        adding(file.resolve("below"), "--steps", 5).failsWith(1, "file");
        assertEquals("mine", Files.readString(file));
        Path run = folder.resolve("run");
        adding(run, "--steps", 5).succeeds();
        byte[] before = Files.readAllBytes(run.resolve(RunFolder.MODEL));
        adding(run, "--steps", 9).failsWith(1, "already holds a run");
        assertArrayEquals(before, Files.readAllBytes(run.resolve(RunFolder.MODEL)));
    }

    @Test
    void aResumeWithOtherSettingsIsRefused() throws IOException {
        Path run = folder.resolve("run");
        adding(run, "--steps", 5).succeeds();
        byte[] before = Files.readAllBytes(run.resolve(RunFolder.CHECKPOINT));
        for (String other : List.of(
                "--hidden 6",
                "--layers 2",
                "--bidirectional",
                "--dropout 0.5",
                "--batch 5",
                "--optimizer sgd",
                "--learning-rate 0.5",
                "--clip 9",
                "--seed 8",
                "--engine reference",
                "--task digits",
                "--time-steps 9",
                "--peepholes",
                "--precision fp64")) {
            Object[] arguments = Stream.concat(
                            Stream.of("train", "--resume", run.toString(), "--steps", "9"),
                            Arrays.stream(other.split(" ")))
                    .toArray();
            CommandLineRun.of(arguments).failsWith(2, other.split(" ")[0] + " should be", "leave it out");
        }
        assertArrayEquals(before, Files.readAllBytes(run.resolve(RunFolder.CHECKPOINT)));
        CommandLineRun.of("train", "--resume", run, "--steps", 9, "--hidden", 5, "--seed", 1)
                .succeeds();
    }

    @Test
    void anEmptyPathIsRefused() {
        CommandLineRun.of("train", "--out", "").failsWith(2, "--out should name a path but is empty");
        CommandLineRun.of("train", "--data", "").failsWith(2, "--data should name a path but is empty");
        CommandLineRun.of("train", "--resume", "").failsWith(2, "--resume should name a path but is empty");
        CommandLineRun.of("evaluate", "--model", "").failsWith(2, "--model should name a path but is empty");
    }

    @Test
    void oneTrainingPictureIsTooFew() throws IOException {
        Path data = Files.createDirectory(folder.resolve("data"));
        writeIdx(data, 1, 0);
        CommandLineRun.of("train", "--data", data, "--out", folder.resolve("run"))
                .failsWith(1, "2 or more training pictures", "holds 1");
    }

    @Test
    void aRunFolderInUseIsRefused() throws IOException {
        Path run = folder.resolve("run");
        adding(run, "--steps", 5).succeeds();
        byte[] before = Files.readAllBytes(run.resolve(RunFolder.METRICS));
        try (RunFolder inUse = RunFolder.resume(run, Map.of(), 1, 5)) {
            CommandLineRun.of("train", "--resume", run, "--steps", 9)
                    .failsWith(1, "another process trains in '" + inUse.folder() + "'");
            adding(run, "--steps", 9).failsWith(1, "another process trains in");
        }
        assertArrayEquals(before, Files.readAllBytes(run.resolve(RunFolder.METRICS)));
        CommandLineRun.of("train", "--resume", run, "--steps", 9).succeeds();
    }

    @Test
    void aResumeOnOtherDataIsRefusedAndOneOnMovedDataIsNot() throws IOException {
        Path data = Files.createDirectory(folder.resolve("data"));
        writeIdx(data, 40, 9);
        Path run = folder.resolve("run");
        CommandLineRun.of("train", "--data", data, "--hidden", 3, "--batch", 8, "--steps", 4, "--out", run)
                .succeeds();
        byte[] before = Files.readAllBytes(run.resolve(RunFolder.CHECKPOINT));
        for (int count : new int[] {40, 30}) {
            Path other = Files.createDirectory(folder.resolve("other-" + count));
            writeIdx(other, count, count == 40 ? 0 : 9);
            byte[] images = Files.readAllBytes(other.resolve("train-images-idx3-ubyte"));
            for (int k = 16; k < images.length; k++) {
                images[k]++;
            }
            Files.write(other.resolve("train-images-idx3-ubyte"), images);
            CommandLineRun.of("train", "--resume", run, "--steps", 8, "--data", other)
                    .failsWith(2, "does not hold what the run was trained on");
        }
        assertArrayEquals(before, Files.readAllBytes(run.resolve(RunFolder.CHECKPOINT)));
        Path moved = Files.move(data, folder.resolve("moved"));
        CommandLineRun.of("train", "--resume", run, "--steps", 8).failsWith(1, "data");
        CommandLineRun.of("train", "--resume", run, "--steps", 8, "--data", moved)
                .succeeds();
    }

    @Test
    void aResumeOfNothingIsOneSentence() throws IOException {
        CommandLineRun.of("train", "--resume", folder.resolve("none")).failsWith(1, "none", "does not exist");
        Files.writeString(folder.resolve(RunFolder.CHECKPOINT), "this is no checkpoint at all");
        CommandLineRun.of("train", "--resume", folder).failsWith(1, RunFolder.CHECKPOINT);
        Path run = folder.resolve("run");
        adding(run, "--steps", 5).succeeds();
        Files.copy(
                run.resolve(RunFolder.MODEL),
                folder.resolve(RunFolder.CHECKPOINT),
                StandardCopyOption.REPLACE_EXISTING);
        CommandLineRun.of("train", "--resume", folder).failsWith(1, "is not a checkpoint");
    }

    @Test
    void aDamagedModelIsOneSentence() throws IOException {
        Path run = folder.resolve("run");
        adding(run, "--steps", 5).succeeds();
        Path model = run.resolve(RunFolder.MODEL);
        byte[] good = Files.readAllBytes(model);
        Files.write(model, Arrays.copyOf(good, good.length - 7));
        CommandLineRun.of("evaluate", "--model", run).failsWith(1, RunFolder.MODEL);
        byte[] huge = good.clone();
        huge[7] = 0x10;
        Files.write(model, huge);
        CommandLineRun.of("evaluate", "--model", run).failsWith(1, "header");
        String header = new String(good, StandardCharsets.ISO_8859_1);
        Files.write(model, header.replaceFirst("\"F32\"", "\"F31\"").getBytes(StandardCharsets.ISO_8859_1));
        CommandLineRun.of("predict", "--model", run).failsWith(1, "F31");
        Files.write(
                model,
                header.replaceFirst("\\\\\"hiddenSize\\\\\":5", "\\\\\"hiddenSize\\\\\":4")
                        .getBytes(StandardCharsets.ISO_8859_1));
        CommandLineRun.of("predict", "--model", run).failsWith(1, "should be [16, 2]");
        CommandLineRun.of("evaluate", "--model", folder.resolve("none")).failsWith(1, "none", "does not exist");
        CommandLineRun.of("evaluate").failsWith(2, "--model");
    }

    @Test
    void badIdxFilesAreOneSentenceAndLeaveNothing() throws IOException {
        Path data = Files.createDirectory(folder.resolve("data"));
        Path out = folder.resolve("run");
        CommandLineRun.of("train", "--data", folder.resolve("none"), "--out", out)
                .failsWith(1, "none");
        CommandLineRun.of("train", "--data", data, "--out", out).failsWith(1, "train-images");
        writeIdx(data, 20, 9);
        CommandLineRun.of("train", "--data", data, "--out", out, "--hidden", 4, "--batch", 4, "--epochs", 1)
                .succeeds();
        Path other = folder.resolve("other");
        writeIdx(data, 20, 10);
        CommandLineRun.of("train", "--data", data, "--out", other).failsWith(1, "label", "10");
        writeIdx(data, 20, 9);
        Path images = data.resolve("train-images-idx3-ubyte");
        Files.write(images, Arrays.copyOf(Files.readAllBytes(images), 500));
        CommandLineRun.of("train", "--data", data, "--out", other).failsWith(1, "train-images-idx3-ubyte");
        byte[] absurd = Files.readAllBytes(images);
        Arrays.fill(absurd, 4, 16, (byte) 0x7f);
        Files.write(images, absurd);
        CommandLineRun.of("train", "--data", data, "--out", other).failsWith(1, "train-images-idx3-ubyte");
        assertFalse(Files.exists(other));
    }

    /** Pictures of 4 x 3 pixels; the last label is as given. */
    private static void writeIdx(Path data, int count, int lastLabel) throws IOException {
        for (String part : List.of("train", "t10k")) {
            try (DataOutputStream out =
                    new DataOutputStream(Files.newOutputStream(data.resolve(part + "-images-idx3-ubyte")))) {
                for (int word : new int[] {2051, count, 4, 3}) {
                    out.writeInt(word);
                }
                for (int k = 0; k < count * 12; k++) {
                    out.write(k * 37);
                }
            }
            try (DataOutputStream out =
                    new DataOutputStream(Files.newOutputStream(data.resolve(part + "-labels-idx1-ubyte")))) {
                out.writeInt(2049);
                out.writeInt(count);
                for (int k = 0; k < count; k++) {
                    out.write(k == count - 1 ? lastLabel : k % 10);
                }
            }
        }
    }

    @Test
    void thePresetsSpeakTheTutorialsWords() throws IOException {
        Path data = Files.createDirectory(folder.resolve("data"));
        writeIdx(data, 300, 9);
        CommandLineRun tensorflow = CommandLineRun.of(
                        "train",
                        "--data",
                        data,
                        "--preset",
                        "tensorflow",
                        "--steps",
                        6,
                        "--display-step",
                        3,
                        "--batch",
                        32,
                        "--out",
                        folder.resolve("tensorflow"))
                .succeeds();
        List<String> lines = tensorflow.out().lines().toList();
        for (String expected : List.of(
                "Step 1, Minibatch Loss= \\d+\\.\\d{4}, Training Accuracy= \\d\\.\\d{3}",
                "Step 3, Minibatch Loss= \\d+\\.\\d{4}, Training Accuracy= \\d\\.\\d{3}",
                "Step 6, Minibatch Loss= \\d+\\.\\d{4}, Training Accuracy= \\d\\.\\d{3}",
                "Optimization Finished!",
                "Testing Accuracy: \\d\\.\\d{4}")) {
            assertTrue(lines.stream().anyMatch(line -> line.matches(expected)), () -> expected + " in " + tensorflow);
        }
        CommandLineRun keras = CommandLineRun.of(
                        "train", "--data", data, "--preset", "keras", "--epochs", 2, "--out", folder.resolve("keras"))
                .succeeds();
        assertTrue(
                Pattern.compile("Epoch 2/2 - .* - loss: \\S+ - accuracy: \\S+ - val_loss: \\S+ - val_accuracy: \\S+")
                        .matcher(keras.out())
                        .find(),
                keras.out());
        assertTrue(keras.out().contains("Testing Accuracy: "), keras.out());
    }

    @Test
    void pixelsAreReadOneAStep() throws IOException {
        Path data = Files.createDirectory(folder.resolve("data"));
        writeIdx(data, 40, 9);
        Path out = folder.resolve("run");
        CommandLineRun run = CommandLineRun.of(
                        "train", "--data", data, "--pixels", "--hidden", 3, "--epochs", 1, "--out", out)
                .succeeds();
        assertTrue(run.out().contains("[12 x 1]"), run.out());
        Path images = data.resolve("t10k-images-idx3-ubyte");
        CommandLineRun predicted =
                CommandLineRun.of("predict", "--model", out, "--input", images).succeeds();
        assertEquals(40, predicted.out().strip().lines().count());
    }

    @Test
    void helpAndVersionAndAMissingCommand() {
        assertTrue(CommandLineRun.of("--help").succeeds().out().contains("train"));
        assertTrue(CommandLineRun.of("train", "--help").succeeds().out().contains("--preset"));
        assertTrue(CommandLineRun.of("--version").succeeds().out().startsWith("carousel "));
        CommandLineRun.of("paint").failsWith(2, "paint");
    }

    @Test
    void aStackTraceIsShownOnlyOnRequest() {
        CommandLineRun quiet = CommandLineRun.of("train", "--hidden", 0);
        assertFalse(quiet.err().contains("\tat "), quiet.err());
        CommandLineRun loud = CommandLineRun.of("train", "--hidden", 0, "--debug");
        assertTrue(loud.err().contains("\tat "), loud.err());
    }
}
