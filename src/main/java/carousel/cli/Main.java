package carousel.cli;

import carousel.engine.EngineException;
import carousel.format.FileErrors;
import carousel.spark.ClusterException;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.training.DivergenceException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;

/**
 * The command line's entrance. Exit code 0 is success, 1 failure, 2 bad usage; an error is one sentence on the standard error
 * stream that gives the offending value, the allowed range and the remedy.
 */
@Command(
        name = "carousel",
        description = "LSTMs for Java: train, evaluate and use them, with or without a GPU.",
        versionProvider = Version.class,
        mixinStandardHelpOptions = true,
        subcommands = {
            TrainCommand.class,
            EvaluateCommand.class,
            PredictCommand.class,
            GenerateCommand.class,
            ForecastCommand.class,
            ConvertCommand.class,
            GradientsCommand.class,
            DoctorCommand.class,
            BenchCommand.class,
            SparkCommand.class
        })
public final class Main implements Runnable {
    static final int FAILURE = 1;
    static final int BAD_USAGE = 2;

    private static final String LOST_OUTPUT =
            "the output could not be written: its reader has gone, or the disk is full; free some space or choose another place";

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(names = "--debug", scope = ScopeType.INHERIT, description = "Print the stack trace of an error.")
    private boolean debug;

    private Main() {}

    /** Runs a command and exits with its code. Without arguments it trains. */
    public static void main(String[] args) {
        int code = run(new PrintWriter(System.out, true), new PrintWriter(System.err, true), args);
        if (code != 0) {
            // Success returns instead, so that a program that hosts this one (Maven's exec:java) goes on.
            System.exit(code);
        }
    }

    /** Runs a command in this process and returns its exit code. */
    static int run(PrintWriter out, PrintWriter err, String... args) {
        Main main = new Main();
        CommandLine line = new CommandLine(main);
        line.setOut(out);
        line.setErr(err);
        line.setCaseInsensitiveEnumValuesAllowed(true);
        line.setParameterExceptionHandler((exception, given) -> {
            main.report(err, sentence(exception), exception);
            return BAD_USAGE;
        });
        line.setExecutionExceptionHandler((exception, command, given) -> {
            main.report(err, sentence(exception), exception);
            return exception instanceof IllegalArgumentException ? BAD_USAGE : FAILURE;
        });
        try {
            int code = line.execute(args.length == 0 ? new String[] {"train"} : args);
            if (code == 0 && out.checkError()) {
                main.report(err, LOST_OUTPUT, new IOException(LOST_OUTPUT));
                return FAILURE;
            }
            return code;
        } catch (OutOfMemoryError outOfMemory) {
            main.report(
                    err,
                    "the Java heap of " + Runtime.getRuntime().maxMemory() / (1 << 20)
                            + " MiB is too small: lower the batch size, the hidden size, the layers or the time steps, or raise it"
                            + " with CAROUSEL_OPTS=-Xmx8g",
                    outOfMemory);
            return FAILURE;
        } catch (NoClassDefFoundError missing) {
            if (!(missing.getCause() instanceof ClassNotFoundException)) {
                // It is there and could not be made ready.
                throw missing;
            }
            // The jar for Spark logs with Spark's library.
            main.report(
                    err,
                    "a library is not on the class path (" + missing.getMessage()
                            + "): start bin/carousel, which has it beside, or give carousel-spark.jar to spark-submit",
                    missing);
            return FAILURE;
        }
    }

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing: choose "
                        + String.join(", ", spec.subcommands().keySet()));
    }

    /** Throws where what was printed has not arrived, so that a command that goes on for long ends with its reader. */
    static void requireReader(PrintWriter out) throws IOException {
        if (out.checkError()) {
            throw new IOException(LOST_OUTPUT);
        }
    }

    private void report(PrintWriter err, String sentence, Throwable error) {
        err.println("carousel: " + sentence);
        if (debug) {
            error.printStackTrace(err);
        }
        err.flush();
    }

    /** What went wrong in one sentence. */
    private static String sentence(Exception error) {
        if (error instanceof IOException io) {
            return FileErrors.sentence(io);
        } else if (error instanceof UncheckedIOException unchecked) {
            return FileErrors.sentence(unchecked.getCause());
        }
        boolean meantForPeople = error instanceof ParameterException
                || error instanceof IllegalArgumentException
                || error instanceof EngineException
                || error instanceof DivergenceException
                || error instanceof ClusterException
                || error instanceof OutOfTensorMemoryException;
        String message = String.valueOf(error.getMessage()).strip().replaceAll("\\s*\\R\\s*", " ");
        return meantForPeople ? message : "internal error, please report it: " + error + " (--debug shows where)";
    }
}
