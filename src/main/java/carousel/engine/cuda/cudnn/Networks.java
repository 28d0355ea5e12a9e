package carousel.engine.cuda.cudnn;

import carousel.engine.LstmSpec;
import carousel.engine.cuda.Release;
import java.util.HashMap;
import java.util.Map;

/** Every {@link Network} of an engine, made when it is asked for first. */
final class Networks implements AutoCloseable {
    private final Dnn dnn;
    private final Map<Key, Network> networks = new HashMap<>();

    /** The batch size is part of it where a kernel is compiled for it, and 0 elsewhere. */
    private record Key(LstmSpec stack, Algorithm algorithm, int batchSize) {}

    Networks(Dnn dnn) {
        this.dnn = dnn;
    }

    /** The network, ready for these sequences. */
    Network get(LstmSpec stack, Algorithm algorithm, int timeSteps, int batchSize, int[] lengths) {
        Key key = new Key(stack, algorithm, algorithm == Algorithm.PERSIST_DYNAMIC ? batchSize : 0);
        Network network = networks.get(key);
        if (network == null) {
            network = new Network(dnn, stack, algorithm, timeSteps, batchSize, lengths);
            networks.put(key, network);
        }
        network.shape(timeSteps, batchSize, lengths);
        return network;
    }

    @Override
    public void close() {
        Release release = new Release();
        networks.values().forEach(network -> release.of(network::close));
        networks.clear();
        release.finish();
    }
}
