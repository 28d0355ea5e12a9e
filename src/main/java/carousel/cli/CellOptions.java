package carousel.cli;

import carousel.engine.LstmSpec;
import picocli.CommandLine.Option;

/** The options of a command that say what an LSTM's cell has beyond the plain one: see {@link LstmSpec} for the equations. */
final class CellOptions {
    @Option(names = "--projection", paramLabel = "N", description = "Project h to N numbers, fewer than --hidden.")
    private Integer projection;

    @Option(names = "--peepholes", description = "Let the gates see the cell state.")
    private boolean peepholes;

    @Option(names = "--coupled-gates", description = "Forget what is not kept of the input: f = 1 - i.")
    private boolean coupledGates;

    @Option(names = "--layer-norm", description = "Normalise the gates' inputs and the cell (Ba et al. 2016).")
    private boolean layerNormalization;

    @Option(names = "--cell-clip", paramLabel = "X", description = "Limit the cell state to [-X, X]. Default: 0, none.")
    private Double cellClip;

    @Option(names = "--gate-clip", paramLabel = "X", description = "Limit the gates' inputs likewise.")
    private Double gateClip;

    @Option(
            names = "--recurrent-dropout",
            paramLabel = "P",
            description = "Dropout of the previous h, one mask a sequence (Gal & Ghahramani 2016).")
    private Double recurrentDropout;

    @Option(
            names = "--candidate-dropout",
            paramLabel = "P",
            description = "Dropout of what enters the cell, at each step anew (Semeniuta et al. 2016).")
    private Double candidateDropout;

    @Option(
            names = "--weight-dropout",
            paramLabel = "P",
            description = "Dropout of the recurrent weights, one mask a batch (Merity et al. 2018).")
    private Double weightDropout;

    @Option(
            names = "--zoneout",
            paramLabel = "P[,Q]",
            description = "Elements of h and of c keep their value with probability P and Q (Krueger et al. 2017).")
    private String zoneout;

    @Option(
            names = "--chrono",
            paramLabel = "T",
            description = "Start with memories of up to T steps (Tallec & Ollivier 2018). Default: 0, forget bias 1.")
    private Double chrono;

    /**
     * What a cell has, as it is kept with a run.
     *
     * @param projection width of h, or 0
     */
    record Settings(
            int projection,
            boolean peepholes,
            boolean coupledGates,
            boolean layerNormalization,
            double cellClip,
            double gateClip,
            double recurrentDropout,
            double candidateDropout,
            double weightDropout,
            double zoneoutHidden,
            double zoneoutCell,
            double chronoSteps) {

        /** A plain cell. */
        static final Settings NONE = new Settings(0, false, false, false, 0, 0, 0, 0, 0, 0, 0, 0);

        /** The specification with these. */
        LstmSpec on(LstmSpec spec) {
            return spec.withProjectionSize(projection)
                    .withPeepholes(peepholes)
                    .withCoupledGates(coupledGates)
                    .withLayerNormalization(layerNormalization)
                    .withCellClip(cellClip)
                    .withGateClip(gateClip)
                    .withRecurrentDropout(recurrentDropout)
                    .withCandidateDropout(candidateDropout)
                    .withRecurrentWeightDropout(weightDropout)
                    .withZoneout(zoneoutHidden, zoneoutCell);
        }
    }

    /**
     * What was given; of the rest, what a plain cell has.
     *
     * @param hidden the hidden size that a projection is less than
     */
    Settings settings(int hidden) {
        if (projection != null && (projection < 1 || projection >= hidden)) {
            throw new IllegalArgumentException(
                    hidden == 1
                            ? "--projection needs a hidden size of 2 or more but got 1: raise --hidden, or leave it out"
                            : "--projection should be less than the hidden size, in the [1, " + (hidden - 1)
                                    + "] range, but got " + projection);
        }
        double[] held = zoneout();
        if (chrono != null && chrono != 0 && !(chrono >= 2 && Double.isFinite(chrono))) {
            throw new IllegalArgumentException(
                    "--chrono should be 0 or a number of steps, 2 or more, but got " + chrono);
        }
        return new Settings(
                projection == null ? 0 : projection,
                peepholes,
                coupledGates,
                layerNormalization,
                Check.notNegative("--cell-clip", orZero(cellClip)),
                Check.notNegative("--gate-clip", orZero(gateClip)),
                Check.fraction("--recurrent-dropout", orZero(recurrentDropout)),
                Check.fraction("--candidate-dropout", orZero(candidateDropout)),
                Check.fraction("--weight-dropout", orZero(weightDropout)),
                held[0],
                held[1],
                orZero(chrono));
    }

    /** The probabilities of h and of c. */
    private double[] zoneout() {
        String[] parts = zoneout == null ? new String[] {"0"} : zoneout.split(",", -1);
        double[] held = new double[2];
        for (int k = 0; k < parts.length; k++) {
            try {
                if (k < 2) {
                    held[k] = Check.fraction(
                            "--zoneout of " + (k == 0 ? "h" : "c"), Double.parseDouble(parts[k].strip()));
                    continue;
                }
            } catch (NumberFormatException e) {
                // Said below.
            }
            throw new IllegalArgumentException(
                    "--zoneout should be one or two probabilities, of h and of c, with a comma"
                            + " between them, but got '" + zoneout + "'");
        }
        return held;
    }

    /** A run is resumed with the cell it was made with. */
    void refuseOtherSettings(Settings saved, TableOptions.Same same) {
        same.check("--projection", projection, saved.projection(), value -> value);
        same.check("--peepholes", peepholes ? true : null, saved.peepholes(), value -> value);
        same.check("--coupled-gates", coupledGates ? true : null, saved.coupledGates(), value -> value);
        same.check("--layer-norm", layerNormalization ? true : null, saved.layerNormalization(), value -> value);
        same.check("--cell-clip", cellClip, saved.cellClip(), value -> value);
        same.check("--gate-clip", gateClip, saved.gateClip(), value -> value);
        same.check("--recurrent-dropout", recurrentDropout, saved.recurrentDropout(), value -> value);
        same.check("--candidate-dropout", candidateDropout, saved.candidateDropout(), value -> value);
        same.check("--weight-dropout", weightDropout, saved.weightDropout(), value -> value);
        double[] held = zoneout();
        same.check(
                "--zoneout",
                zoneout == null ? null : held[0] + "," + held[1],
                saved.zoneoutHidden() + "," + saved.zoneoutCell(),
                value -> value);
        same.check("--chrono", chrono, saved.chronoSteps(), value -> value);
    }

    private static double orZero(Double given) {
        return given == null ? 0 : given;
    }
}
