package carousel.engine.vector;

import carousel.engine.LstmSpec;

/** {@code n = LN(q)} of one vector, without gain and offset, with tangents; sums are in double precision. */
final class DualNormalization {
    final DualFloats q;
    final DualFloats n;
    private double deviation;
    private double deviationTangent;

    DualNormalization(int size) {
        q = DualFloats.zeros(size);
        n = DualFloats.zeros(size);
    }

    private int size() {
        return q.value().length;
    }

    /** Fills n from q. */
    void forward() {
        int size = size();
        double sum = 0;
        double sumTangent = 0;
        for (int e = 0; e < size; e++) {
            sum += q.value()[e];
            sumTangent += q.tangent()[e];
        }
        double mean = sum / size;
        double meanTangent = sumTangent / size;
        double squares = 0;
        double products = 0;
        for (int e = 0; e < size; e++) {
            double apart = q.value()[e] - mean;
            squares += apart * apart;
            products += apart * (q.tangent()[e] - meanTangent);
        }
        deviation = Math.sqrt(squares / size + LstmSpec.NORMALIZATION_EPSILON);
        deviationTangent = products / size / deviation;
        for (int e = 0; e < size; e++) {
            double normal = (q.value()[e] - mean) / deviation;
            n.value()[e] = (float) normal;
            n.tangent()[e] = (float) ((q.tangent()[e] - meanTangent - normal * deviationTangent) / deviation);
        }
    }

    /** Replaces the gradient of n by that of q: {@code dq = (dn - mean(dn) - n mean(dn * n)) / deviation}. */
    void backward(DualFloats d) {
        int size = size();
        double sum = 0;
        double sumTangent = 0;
        double product = 0;
        double productTangent = 0;
        for (int e = 0; e < size; e++) {
            sum += d.value()[e];
            sumTangent += d.tangent()[e];
            product += (double) d.value()[e] * n.value()[e];
            productTangent += (double) d.tangent()[e] * n.value()[e] + (double) d.value()[e] * n.tangent()[e];
        }
        for (int e = 0; e < size; e++) {
            double gradient = (d.value()[e] - sum / size - n.value()[e] * product / size) / deviation;
            double along = (n.tangent()[e] * product + n.value()[e] * productTangent) / size;
            d.value()[e] = (float) gradient;
            d.tangent()[e] =
                    (float) ((d.tangent()[e] - sumTangent / size - along - gradient * deviationTangent) / deviation);
        }
    }
}
