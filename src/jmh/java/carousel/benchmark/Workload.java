package carousel.benchmark;

import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;

/** The shapes that are measured: T steps of C features of N sequences through layers of H cells. */
public enum Workload {
    /** The tutorial's: the lines of a small picture. */
    A(128, 28, 28, 128, 1),
    /** Large enough that the weights leave the caches near the core. */
    B(64, 100, 256, 512, 2),
    /** One sequence. */
    C(1, 100, 128, 256, 1),
    /** A size that is no multiple of a vector. */
    D(32, 50, 650, 650, 2);

    private final int batchSize;
    private final int timeSteps;
    private final int features;
    private final int hidden;
    private final int layers;

    Workload(int batchSize, int timeSteps, int features, int hidden, int layers) {
        this.batchSize = batchSize;
        this.timeSteps = timeSteps;
        this.features = features;
        this.hidden = hidden;
        this.layers = layers;
    }

    /** N. */
    int batchSize() {
        return batchSize;
    }

    /** T. */
    int timeSteps() {
        return timeSteps;
    }

    /** C. */
    int features() {
        return features;
    }

    /** H. */
    int hidden() {
        return hidden;
    }

    LstmSpec spec() {
        return LstmSpec.of(features, hidden).withLayers(layers);
    }

    /**
     * Numbers between -limit and limit, the same in every run.
     *
     * @param stream others for each
     */
    static float[] draw(long count, double limit, int stream) {
        RandomSequence random = new RandomSequence(1, stream, 0);
        float[] values = new float[Math.toIntExact(count)];
        for (int e = 0; e < values.length; e++) {
            values[e] = (float) random.uniform(-limit, limit);
        }
        return values;
    }
}
