package carousel.data;

import carousel.data.ShuffledBatches.Mode;
import java.util.Arrays;

/**
 * The plainest classifier: scores linear in all inputs of a sequence, softmax cross-entropy, gradient descent with momentum.
 * What it can do with a data set says how much of the data set needs no memory and no features.
 */
final class SoftmaxRegression {
    private static final double RATE = 0.05;
    private static final double MOMENTUM = 0.9;
    private static final int BATCH = 50;

    private final int inputs;
    private final int classes;
    private final float[] weights;
    private final float[] velocity;
    private final float[] scores;

    SoftmaxRegression(SequenceDataset dataset) {
        this.inputs = dataset.timeSteps() * dataset.features();
        this.classes = dataset.classes();
        this.weights = new float[classes * (inputs + 1)];
        this.velocity = new float[weights.length];
        this.scores = new float[classes];
    }

    void train(SequenceDataset dataset, int epochs, long seed) {
        BatchSource source = new ShuffledBatches(dataset, BATCH, seed, Mode.PER_EPOCH);
        float[] gradient = new float[weights.length];
        float[] x = new float[inputs];
        for (long k = 0; k < epochs * source.batchesPerEpoch(); k++) {
            Batch batch = source.batch(k);
            Arrays.fill(gradient, 0);
            for (int row = 0; row < batch.batchSize(); row++) {
                score(batch, row, x);
                softmax();
                scores[batch.labels()[row]] -= 1;
                for (int c = 0; c < classes; c++) {
                    int w = c * (inputs + 1);
                    float error = scores[c] / batch.batchSize();
                    for (int i = 0; i < inputs; i++) {
                        gradient[w + i] += error * x[i];
                    }
                    gradient[w + inputs] += error;
                }
            }
            for (int w = 0; w < weights.length; w++) {
                velocity[w] = (float) (MOMENTUM * velocity[w] - RATE * gradient[w]);
                weights[w] += velocity[w];
            }
        }
    }

    double accuracy(SequenceDataset dataset) {
        Batch batch = dataset.newBatch(1);
        float[] x = new float[inputs];
        int right = 0;
        for (int k = 0; k < dataset.size(); k++) {
            dataset.read(k, batch, 0);
            score(batch, 0, x);
            int best = 0;
            for (int c = 1; c < classes; c++) {
                best = scores[c] > scores[best] ? c : best;
            }
            right += best == batch.labels()[0] ? 1 : 0;
        }
        return (double) right / dataset.size();
    }

    private void score(Batch batch, int row, float[] x) {
        int features = batch.features();
        for (int t = 0; t < batch.timeSteps(); t++) {
            System.arraycopy(batch.inputs(), (t * batch.batchSize() + row) * features, x, t * features, features);
        }
        for (int c = 0; c < classes; c++) {
            int w = c * (inputs + 1);
            float sum = weights[w + inputs];
            for (int i = 0; i < inputs; i++) {
                sum += weights[w + i] * x[i];
            }
            scores[c] = sum;
        }
    }

    private void softmax() {
        float most = Float.NEGATIVE_INFINITY;
        for (float score : scores) {
            most = Math.max(most, score);
        }
        double sum = 0;
        for (int c = 0; c < classes; c++) {
            scores[c] = (float) Math.exp(scores[c] - most);
            sum += scores[c];
        }
        for (int c = 0; c < classes; c++) {
            scores[c] /= (float) sum;
        }
    }
}
