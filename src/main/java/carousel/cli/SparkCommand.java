package carousel.cli;

import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;

/** {@code carousel spark}. */
@Command(
        name = "spark",
        mixinStandardHelpOptions = true,
        description = {
            "Works on the executors of an Apache Spark cluster: run it with spark-submit.",
            "Paths may be those of any file system that the cluster knows."
        },
        subcommands = {SparkTrainCommand.class, SparkScoreCommand.class})
final class SparkCommand implements Runnable {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing after spark: choose "
                        + String.join(", ", spec.subcommands().keySet()));
    }
}
