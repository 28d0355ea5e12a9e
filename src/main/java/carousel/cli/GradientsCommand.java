package carousel.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;

@Command(name = "gradients", mixinStandardHelpOptions = true)
final class GradientsCommand implements Callable<Integer> {
    @Override
    public Integer call() {
        return 0;
    }
}
