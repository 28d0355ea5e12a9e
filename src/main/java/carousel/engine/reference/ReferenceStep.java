package carousel.engine.reference;

/** The numbers of one time step of one sequence, named as in {@link ReferenceCell}. */
final class ReferenceStep {
    final double[] x;
    final double[] hPrevious;
    final double[] cPrevious;
    /** {@code d_h * h_prev}. */
    final double[] hSeen;

    final Normalized u;
    final Normalized v;
    final double[] a;
    final double[] i;
    final double[] f;
    final double[] g;
    final double[] o;
    /** {@code d_g}. */
    final double[] keptCandidate;
    /** The new cell before and after its limit, and what of it is shown. */
    final double[] unlimited;

    final Normalized cell;
    final double[] s;
    final double[] psi;
    final double[] m;
    /** The new h before zoneout. */
    final double[] hidden;

    final double[] h;
    final double[] c;

    ReferenceStep(int inputs, int hiddenSize, int outputs, int gateRows) {
        x = new double[inputs];
        hPrevious = new double[outputs];
        cPrevious = new double[hiddenSize];
        hSeen = new double[outputs];
        u = new Normalized(gateRows);
        v = new Normalized(gateRows);
        a = new double[gateRows];
        i = new double[hiddenSize];
        f = new double[hiddenSize];
        g = new double[hiddenSize];
        o = new double[hiddenSize];
        keptCandidate = new double[hiddenSize];
        unlimited = new double[hiddenSize];
        cell = new Normalized(hiddenSize);
        s = new double[hiddenSize];
        psi = new double[hiddenSize];
        m = new double[hiddenSize];
        hidden = new double[outputs];
        h = new double[outputs];
        c = new double[hiddenSize];
    }

    /** A vector {@code q} and {@code LN(q)}, without gain and offset. */
    static final class Normalized {
        final double[] q;
        final double[] n;
        private double deviation;

        Normalized(int size) {
            q = new double[size];
            n = new double[size];
        }

        /** Fills {@code n}; a vector of equal elements becomes zeros. */
        void normalize(double epsilon) {
            double sum = 0;
            for (double value : q) {
                sum += value;
            }
            double mean = sum / q.length;
            double squares = 0;
            for (double value : q) {
                squares += (value - mean) * (value - mean);
            }
            deviation = Math.sqrt(squares / q.length + epsilon);
            for (int e = 0; e < q.length; e++) {
                n[e] = (q[e] - mean) / deviation;
            }
        }

        /** Replaces the gradient of n by that of q: {@code dq = (dn - mean(dn) - n mean(dn * n)) / deviation}. */
        void backward(double[] d) {
            double sum = 0;
            double product = 0;
            for (int e = 0; e < d.length; e++) {
                sum += d[e];
                product += d[e] * n[e];
            }
            for (int e = 0; e < d.length; e++) {
                d[e] = (d[e] - sum / d.length - n[e] * product / d.length) / deviation;
            }
        }
    }
}
