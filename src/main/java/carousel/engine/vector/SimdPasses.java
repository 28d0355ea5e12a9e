package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import carousel.engine.Gate;
import carousel.engine.Philox;
import java.util.ArrayList;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** The {@link Pass}es on vectors. */
final class SimdPasses {
    private static final int I = Gate.INPUT.ordinal() * LANES;
    private static final int F = Gate.FORGET.ordinal() * LANES;
    private static final int G = Gate.CANDIDATE.ordinal() * LANES;
    private static final int O = Gate.OUTPUT.ordinal() * LANES;

    private static final VectorSpecies<Integer> WORDS = VectorSpecies.of(int.class, SPECIES.vectorShape());

    private static final VectorSpecies<Long> LONGS = VectorSpecies.of(long.class, SPECIES.vectorShape());
    /** The lower half of a long integer. */
    private static final long MASK = 0xFFFF_FFFFL;

    /** Where the bits of c begin in a word. */
    private static final int HELD = LANES;

    private static final int[] POWERS = new int[2 * LANES];

    static {
        for (int bit = 0; bit < POWERS.length; bit++) {
            POWERS[bit] = 1 << bit;
        }
    }

    private SimdPasses() {}

    static CellPasses of(CellOptions options) {
        List<Pass> intoCell = new ArrayList<>();
        List<Pass> outOfCell = new ArrayList<>();
        List<Pass> backToCell = new ArrayList<>();
        List<Pass> backToGates = new ArrayList<>();
        List<Pass> backToShares = new ArrayList<>();
        boolean normalized = options.normalized();
        float clip = options.gateClip();
        if (normalized) {
            intoCell.add(new NormalizedGates());
        }
        if (options.peepholes()) {
            intoCell.add(new Peepholes());
        }
        boolean slopes = options.slopes();
        SimdFunctions.add(intoCell, SimdFunctions.Place.INPUT_AND_FORGET, options.gates(), clip, slopes);
        SimdFunctions.add(intoCell, SimdFunctions.Place.CANDIDATE, options.candidate(), clip, slopes);
        intoCell.add(new NewCell(options));
        SimdFunctions.add(intoCell, SimdFunctions.Place.OUTPUT, options.gates(), clip, slopes);
        if (normalized) {
            outOfCell.add(new NormalizedCell());
        }
        SimdFunctions.Place place = normalized ? SimdFunctions.Place.SHOWN : SimdFunctions.Place.FRESH;
        SimdFunctions.add(outOfCell, place, options.output(), 0, slopes);
        outOfCell.add(new Output(options));

        backToCell.add(new OutputBack());
        // The new c of a normalised cell is there already, with its limit.
        if (normalized ? options.cellClip() > 0 : options.peepholes() || options.cellClip() > 0) {
            backToCell.add(new UnlimitedCell(options));
        }
        if (normalized) {
            backToCell.add(new NormalizedCellTerms(options));
            backToGates.add(new NormalizedCellBack(options));
        }
        backToGates.add(new CellBack(options));
        backToGates.add(new GatesBack(options));
        if (options.peepholes()) {
            backToGates.add(new PeepholeSums(options));
        }
        if (normalized) {
            backToGates.add(new NormalizedGateTerms());
            backToShares.add(new NormalizedGatesBack());
        }
        return new CellPasses(
                passes(intoCell),
                passes(outOfCell),
                new Pass[] {new Hidden(options)},
                new Pass[] {new SplitHidden(options)},
                new Pass[] {new JoinHidden(options)},
                passes(backToCell),
                passes(backToGates),
                passes(backToShares));
    }

    private static Pass[] passes(List<Pass> list) {
        return list.toArray(new Pass[0]);
    }

    private static FloatVector load(float[] values, int at) {
        return FloatVector.fromArray(SPECIES, values, at);
    }

    private static FloatVector all(float value) {
        return FloatVector.broadcast(SPECIES, value);
    }

    static FloatVector limited(FloatVector x, float limit) {
        FloatVector above = x.blend(limit, x.compare(VectorOperators.GT, limit));
        return above.blend(-limit, x.lt(-limit));
    }

    /** One of two numbers for each of the bits of a word from {@code first} on. */
    private static FloatVector choose(int word, int first, float set, float clear) {
        IntVector bits = IntVector.fromArray(WORDS, POWERS, first).and(word);
        return IntVector.broadcast(WORDS, Float.floatToRawIntBits(clear))
                .blend(Float.floatToRawIntBits(set), bits.compare(VectorOperators.NE, 0))
                .reinterpretAsFloats();
    }

    /** z of a mask, or its mean where none was drawn; with one way to a vector, since the compiler allocates what may be either of two. */
    private static FloatVector hold(int[] bits, int at, int first, float mean) {
        return choose(bits == null ? 0 : bits[at], first, bits == null ? mean : 1, bits == null ? mean : 0);
    }

    /** {@code z = b + gamma_u LN(u) + gamma_v LN(v)}; row by row, for u and v come from memory. */
    private static final class NormalizedGates extends Pass {
        @Override
        void run(CellStep s) {
            float[] statistics = s.statistics;
            for (int r = 0; r < s.rows; r++) {
                int at = s.statisticsAt + r * CellStep.STATISTICS;
                FloatVector meanU = all(statistics[at]);
                FloatVector scaleU = all(statistics[at + 1]);
                FloatVector meanV = all(statistics[at + 2]);
                FloatVector scaleV = all(statistics[at + 3]);
                for (int l = 0; l < BLOCK; l += VECTOR) {
                    FloatVector u = load(s.u, s.uAt + r * BLOCK + l).sub(meanU);
                    FloatVector v = load(s.v, s.vAt + r * BLOCK + l).sub(meanV);
                    FloatVector gainV = load(s.gains, s.gainsAt + CellStep.RECURRENT_GAINS + l);
                    FloatVector shares = u.mul(scaleU).fma(load(s.gains, s.gainsAt + l), load(s.bias, s.biasAt + l));
                    v.mul(scaleV).fma(gainV, shares).intoArray(s.z, s.zAt + r * BLOCK + l);
                }
            }
        }
    }

    /** {@code z_i += p_i c, z_f += p_f c}. */
    private static final class Peepholes extends Pass {
        @Override
        void run(CellStep s) {
            for (int l = 0; l < LANES; l += VECTOR) {
                FloatVector input = load(s.peepholes, s.peepholesAt + l);
                FloatVector forget = load(s.peepholes, s.peepholesAt + LANES + l);
                for (int r = 0; r < s.rows; r++) {
                    int at = s.zAt + r * BLOCK + l;
                    FloatVector c = load(s.c, s.cAt + r * LANES + l);
                    c.fma(input, load(s.z, at + I)).intoArray(s.z, at + I);
                    c.fma(forget, load(s.z, at + F)).intoArray(s.z, at + F);
                }
            }
        }
    }

    /** {@code c' = clip(f c + i d g)}, and {@code z_o += p_o c'}. */
    private static final class NewCell extends Pass {
        private final boolean coupled;
        private final boolean peepholes;
        private final boolean drops;
        private final float scale;
        private final float clip;

        NewCell(CellOptions options) {
            coupled = options.coupled();
            peepholes = options.peepholes();
            drops = options.candidateDropout() > 0;
            scale = options.candidateScale();
            clip = options.cellClip();
        }

        @Override
        void run(CellStep s) {
            int[] bits = drops ? s.bits : null;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.zAt + r * BLOCK + l;
                FloatVector i = load(s.z, at + I);
                FloatVector f = load(s.z, at + F);
                FloatVector g = load(s.z, at + G);
                if (coupled) {
                    f = all(1).sub(i);
                    f.intoArray(s.z, at + F);
                }
                if (bits != null) {
                    g = g.mul(choose(bits[s.bitsAt + r], l, 0, scale));
                }
                FloatVector state = f.fma(load(s.c, s.cAt + e), i.mul(g));
                if (clip > 0) {
                    state = limited(state, clip);
                }
                state.intoArray(s.fresh, s.freshAt + e);
                if (peepholes) {
                    FloatVector sees = load(s.peepholes, s.peepholesAt + 2 * LANES + l);
                    state.fma(sees, load(s.z, at + O)).intoArray(s.z, at + O);
                }
            }
        }
    }

    /** {@code s = gamma_c LN(c') + beta_c}. */
    private static final class NormalizedCell extends Pass {
        @Override
        void run(CellStep s) {
            for (int l = 0; l < LANES; l += VECTOR) {
                FloatVector gain = load(s.gains, s.gainsAt + CellStep.CELL_GAINS + l);
                FloatVector offset = load(s.gains, s.gainsAt + CellStep.CELL_OFFSETS + l);
                for (int r = 0; r < s.rows; r++) {
                    int at = s.statisticsAt + r * CellStep.STATISTICS;
                    load(s.fresh, s.freshAt + r * LANES + l)
                            .sub(s.statistics[at + 4])
                            .mul(s.statistics[at + 5])
                            .fma(gain, offset)
                            .intoArray(s.shown, s.shownAt + r * LANES + l);
                }
            }
        }
    }

    /** {@code m = o psi(s)}, {@code c = z c + (1 - z) c'}, and the record. */
    private static final class Output extends Pass {
        private final float held;

        Output(CellOptions options) {
            held = (float) options.zoneoutCell();
        }

        @Override
        void run(CellStep s) {
            float[] gates = s.gates;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.zAt + r * BLOCK + l;
                FloatVector o = load(s.z, at + O);
                FloatVector shown = load(s.shown, s.shownAt + e);
                o.mul(shown).intoArray(s.m, s.mAt + r * BLOCK + l);
                FloatVector state = load(s.fresh, s.freshAt + e);
                if (held > 0) {
                    FloatVector hold = hold(s.bits, s.bitsAt + r, HELD + l, held);
                    state = hold.fma(load(s.c, s.cAt + e), all(1).sub(hold).mul(state));
                }
                state.intoArray(s.c, s.cAt + e);
                if (s.states != null) {
                    state.intoArray(s.states, s.statesAt + r * 2 * LANES + l);
                    shown.intoArray(s.states, s.statesAt + r * 2 * LANES + LANES + l);
                }
                if (gates != null) {
                    int to = s.gatesAt + r * BLOCK + l;
                    load(s.z, at + I).intoArray(gates, to + I);
                    load(s.z, at + F).intoArray(gates, to + F);
                    load(s.z, at + G).intoArray(gates, to + G);
                    o.intoArray(gates, to + O);
                }
            }
        }
    }

    /** {@code h = z h + (1 - z) h'}, and {@code d h}. */
    private static final class Hidden extends Pass {
        private final float held;
        private final float scale;

        Hidden(CellOptions options) {
            held = (float) options.zoneoutHidden();
            scale = options.recurrentScale();
        }

        @Override
        void run(CellStep s) {
            int[] heldBits = s.heldBits;
            int[] unseen = s.unseenBits;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.hAt + r * BLOCK + l;
                FloatVector h = load(s.h, at);
                if (held > 0) {
                    FloatVector hold = hold(heldBits, s.heldAt + r, l, held);
                    h = hold.fma(
                            load(s.carried, s.carriedAt + e), all(1).sub(hold).mul(h));
                }
                h.intoArray(s.carried, s.carriedAt + e);
                if (unseen != null) {
                    h = h.mul(choose(unseen[s.unseenAt + r], l, 0, scale));
                }
                h.intoArray(s.h, at);
            }
        }
    }

    /** {@code dh' = (1 - z) dh}, and {@code z dh} stays. */
    private static final class SplitHidden extends Pass {
        private final float held;

        SplitHidden(CellOptions options) {
            held = (float) options.zoneoutHidden();
        }

        @Override
        void run(CellStep s) {
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.dhAt + r * BLOCK + l;
                FloatVector d = load(s.dh, at);
                FloatVector hold = hold(s.heldBits, s.heldAt + r, l, held);
                all(1).sub(hold).mul(d).intoArray(s.dNew, at);
                hold.mul(d).intoArray(s.dh, at);
            }
        }
    }

    /** {@code dh = z dh + d dSeen}. */
    private static final class JoinHidden extends Pass {
        private final float scale;

        JoinHidden(CellOptions options) {
            scale = options.recurrentScale();
        }

        @Override
        void run(CellStep s) {
            int[] unseen = s.unseenBits;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.dhAt + r * BLOCK + l;
                FloatVector d = load(s.dSeen, at);
                if (unseen != null) {
                    d = d.mul(choose(unseen[s.unseenAt + r], l, 0, scale));
                }
                load(s.dh, at).add(d).intoArray(s.dh, at);
            }
        }
    }

    /** {@code da_o = dm psi sigma'}, {@code ds = dm o psi'}. */
    private static final class OutputBack extends Pass {
        @Override
        void run(CellStep s) {
            float[] slopes = s.slopes;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.gatesAt + r * BLOCK + O + l;
                int shownAt = s.statesAt + r * 2 * LANES + LANES + l;
                FloatVector o = load(s.gates, at);
                FloatVector shown = load(s.states, shownAt);
                FloatVector d = load(s.dm, s.dmAt + r * BLOCK + l);
                FloatVector gateSlope;
                FloatVector shownSlope;
                if (slopes == null) {
                    gateSlope = o.mul(all(1).sub(o));
                    shownSlope = all(1).sub(shown.mul(shown));
                } else {
                    gateSlope = load(slopes, s.slopesAt + r * CellStep.SLOPES + O + l);
                    shownSlope = load(slopes, s.slopesAt + r * CellStep.SLOPES + BLOCK + l);
                }
                if (s.keepM) {
                    o.mul(shown).intoArray(s.states, shownAt);
                }
                d.mul(o).mul(shownSlope).intoArray(s.ds, s.dsAt + e);
                d.mul(shown).mul(gateSlope).intoArray(s.gates, at);
            }
        }
    }

    /** {@code f c_prev + i d g}, again. */
    private static final class UnlimitedCell extends Pass {
        private final boolean drops;
        private final float scale;

        UnlimitedCell(CellOptions options) {
            drops = options.candidateDropout() > 0;
            scale = options.candidateScale();
        }

        @Override
        void run(CellStep s) {
            int[] bits = drops ? s.bits : null;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.gatesAt + r * BLOCK + l;
                FloatVector g = load(s.gates, at + G);
                if (bits != null) {
                    g = g.mul(choose(bits[s.bitsAt + r], l, 0, scale));
                }
                load(s.gates, at + F)
                        .fma(
                                load(s.previous, s.previousAt + r * s.previousPitch + l),
                                load(s.gates, at + I).mul(g))
                        .intoArray(s.fresh, s.freshAt + e);
            }
        }
    }

    /** {@code LN(c')} of a row. */
    private static FloatVector normalizedCell(CellStep s, int r, int l, float clip) {
        FloatVector state = load(s.fresh, s.freshAt + r * LANES + l);
        if (clip > 0) {
            state = limited(state, clip);
        }
        int at = s.statisticsAt + r * CellStep.STATISTICS;
        return state.sub(s.statistics[at + 4]).mul(s.statistics[at + 5]);
    }

    /** {@code dgamma_c += ds LN(c'), dbeta_c += ds, ds *= gamma_c}. */
    private static final class NormalizedCellTerms extends Pass {
        private final float clip;

        NormalizedCellTerms(CellOptions options) {
            clip = options.cellClip();
        }

        @Override
        void run(CellStep s) {
            for (int l = 0; l < LANES; l += VECTOR) {
                FloatVector gain = load(s.gains, s.gainsAt + CellStep.CELL_GAINS + l);
                FloatVector gainSum = load(s.sums, s.sumsAt + CellStep.CELL_GAIN_SUMS + l);
                FloatVector offsetSum = load(s.sums, s.sumsAt + CellStep.CELL_OFFSET_SUMS + l);
                for (int r = 0; r < s.rows; r++) {
                    FloatVector n = normalizedCell(s, r, l, clip);
                    FloatVector d = load(s.ds, s.dsAt + r * LANES + l);
                    gainSum = d.fma(n, gainSum);
                    offsetSum = offsetSum.add(d);
                    d = d.mul(gain);
                    d.intoArray(s.ds, s.dsAt + r * LANES + l);
                    d.intoArray(s.terms, s.termsAt + r * 2 * LANES + l);
                    d.mul(n).intoArray(s.terms, s.termsAt + r * 2 * LANES + LANES + l);
                }
                gainSum.intoArray(s.sums, s.sumsAt + CellStep.CELL_GAIN_SUMS + l);
                offsetSum.intoArray(s.sums, s.sumsAt + CellStep.CELL_OFFSET_SUMS + l);
            }
        }
    }

    /** From the gradient of LN(c') to that of c'. */
    private static final class NormalizedCellBack extends Pass {
        private final float clip;

        NormalizedCellBack(CellOptions options) {
            clip = options.cellClip();
        }

        @Override
        void run(CellStep s) {
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int at = s.meansAt + r * CellStep.MEANS + 4;
                FloatVector n = normalizedCell(s, r, e % LANES, clip);
                FloatVector d = load(s.ds, s.dsAt + e).sub(s.means[at]).sub(n.mul(s.means[at + 1]));
                d.mul(s.statistics[s.statisticsAt + r * CellStep.STATISTICS + 5])
                        .intoArray(s.ds, s.dsAt + e);
            }
        }
    }

    /** {@code dc' = (1 - z) dc + ds + da_o p_o}, 0 where the limit acted; {@code dc = z dc + dc' f}. */
    private static final class CellBack extends Pass {
        private final boolean peepholes;
        private final float held;
        private final float clip;

        CellBack(CellOptions options) {
            peepholes = options.peepholes();
            held = (float) options.zoneoutCell();
            clip = options.cellClip();
        }

        @Override
        void run(CellStep s) {
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.gatesAt + r * BLOCK + l;
                FloatVector carried = load(s.dc, s.dcAt + e);
                // Without zoneout all of it is 0, and nothing of the gradient stays.
                FloatVector hold = hold(held > 0 ? s.bits : null, s.bitsAt + r, HELD + l, held);
                FloatVector stays = hold.mul(carried);
                FloatVector d = load(s.ds, s.dsAt + e).add(all(1).sub(hold).mul(carried));
                if (peepholes) {
                    FloatVector sees = load(s.peepholes, s.peepholesAt + 2 * LANES + l);
                    d = sees.fma(load(s.gates, at + O), d);
                }
                if (clip > 0) {
                    FloatVector size = load(s.fresh, s.freshAt + e).abs();
                    d = d.blend(0, size.compare(VectorOperators.GT, clip));
                }
                d.intoArray(s.ds, s.dsAt + e);
                d.fma(load(s.gates, at + F), stays).intoArray(s.dc, s.dcAt + e);
            }
        }
    }

    /** {@code da_i, da_f, da_g}, and {@code dc += da_i p_i + da_f p_f}. */
    private static final class GatesBack extends Pass {
        private final boolean coupled;
        private final boolean peepholes;
        private final boolean drops;
        private final float scale;

        GatesBack(CellOptions options) {
            coupled = options.coupled();
            peepholes = options.peepholes();
            drops = options.candidateDropout() > 0;
            scale = options.candidateScale();
        }

        @Override
        void run(CellStep s) {
            int[] bits = drops ? s.bits : null;
            float[] slopes = s.slopes;
            for (int e = 0; e < s.rows * LANES; e += VECTOR) {
                int r = e / LANES;
                int l = e % LANES;
                int at = s.gatesAt + r * BLOCK + l;
                FloatVector i = load(s.gates, at + I);
                FloatVector f = load(s.gates, at + F);
                FloatVector g = load(s.gates, at + G);
                FloatVector before = load(s.previous, s.previousAt + r * s.previousPitch + l);
                FloatVector inputSlope;
                FloatVector forgetSlope;
                FloatVector candidateSlope;
                if (slopes == null) {
                    inputSlope = i.mul(all(1).sub(i));
                    forgetSlope = f.mul(all(1).sub(f));
                    candidateSlope = all(1).sub(g.mul(g));
                } else {
                    int slope = s.slopesAt + r * CellStep.SLOPES + l;
                    inputSlope = load(slopes, slope + I);
                    forgetSlope = load(slopes, slope + F);
                    candidateSlope = load(slopes, slope + G);
                }
                FloatVector d = load(s.ds, s.dsAt + e);
                FloatVector dI = d.mul(g);
                FloatVector dG = d.mul(i);
                if (bits != null) {
                    FloatVector kept = choose(bits[s.bitsAt + r], l, 0, scale);
                    dI = dI.mul(kept);
                    dG = dG.mul(kept);
                }
                FloatVector dF = d.mul(before);
                if (coupled) {
                    dI = dI.sub(dF);
                    dF = all(0);
                }
                FloatVector input = dI.mul(inputSlope);
                FloatVector forget = dF.mul(forgetSlope);
                input.intoArray(s.gates, at + I);
                forget.intoArray(s.gates, at + F);
                dG.mul(candidateSlope).intoArray(s.gates, at + G);
                if (peepholes) {
                    FloatVector through = load(s.peepholes, s.peepholesAt + l).fma(input, load(s.dc, s.dcAt + e));
                    load(s.peepholes, s.peepholesAt + LANES + l)
                            .fma(forget, through)
                            .intoArray(s.dc, s.dcAt + e);
                }
            }
        }
    }

    /** {@code dp_i += da_i c_prev, dp_f += da_f c_prev, dp_o += da_o c'}. */
    private static final class PeepholeSums extends Pass {
        private final float clip;

        PeepholeSums(CellOptions options) {
            clip = options.cellClip();
        }

        @Override
        void run(CellStep s) {
            for (int l = 0; l < LANES; l += VECTOR) {
                int to = s.sumsAt + CellStep.PEEPHOLE_SUMS + l;
                FloatVector input = load(s.sums, to);
                FloatVector forget = load(s.sums, to + LANES);
                FloatVector output = load(s.sums, to + 2 * LANES);
                for (int r = 0; r < s.rows; r++) {
                    int at = s.gatesAt + r * BLOCK + l;
                    FloatVector before = load(s.previous, s.previousAt + r * s.previousPitch + l);
                    FloatVector state = load(s.fresh, s.freshAt + r * LANES + l);
                    if (clip > 0) {
                        state = limited(state, clip);
                    }
                    input = before.fma(load(s.gates, at + I), input);
                    forget = before.fma(load(s.gates, at + F), forget);
                    output = state.fma(load(s.gates, at + O), output);
                }
                input.intoArray(s.sums, to);
                forget.intoArray(s.sums, to + LANES);
                output.intoArray(s.sums, to + 2 * LANES);
            }
        }
    }

    /** {@code db += da, dgamma_u += da LN(u), dgamma_v += da LN(v)}. */
    private static final class NormalizedGateTerms extends Pass {
        @Override
        void run(CellStep s) {
            for (int j = 0; j < BLOCK; j += VECTOR) {
                FloatVector gainU = load(s.gains, s.gainsAt + j);
                FloatVector gainV = load(s.gains, s.gainsAt + CellStep.RECURRENT_GAINS + j);
                FloatVector sum = load(s.sums, s.sumsAt + CellStep.BIAS_SUMS + j);
                FloatVector sumU = load(s.sums, s.sumsAt + CellStep.INPUT_GAIN_SUMS + j);
                FloatVector sumV = load(s.sums, s.sumsAt + CellStep.RECURRENT_GAIN_SUMS + j);
                for (int r = 0; r < s.rows; r++) {
                    int at = s.statisticsAt + r * CellStep.STATISTICS;
                    FloatVector d = load(s.gates, s.gatesAt + r * BLOCK + j);
                    FloatVector u = load(s.u, s.uAt + r * BLOCK + j)
                            .sub(s.statistics[at])
                            .mul(s.statistics[at + 1]);
                    FloatVector v = load(s.v, s.vAt + r * BLOCK + j)
                            .sub(s.statistics[at + 2])
                            .mul(s.statistics[at + 3]);
                    sum = sum.add(d);
                    sumU = d.fma(u, sumU);
                    sumV = d.fma(v, sumV);
                    FloatVector dU = d.mul(gainU);
                    FloatVector dV = d.mul(gainV);
                    FloatVector productU = dU.mul(u);
                    FloatVector productV = dV.mul(v);
                    int to = s.termsAt + r * BLOCK + j % LANES;
                    // The four gates of a unit are added up: i begins.
                    if (j >= LANES) {
                        dU = load(s.terms, to).add(dU);
                        productU = load(s.terms, to + LANES).add(productU);
                        dV = load(s.terms, to + 2 * LANES).add(dV);
                        productV = load(s.terms, to + 3 * LANES).add(productV);
                    }
                    dU.intoArray(s.terms, to);
                    productU.intoArray(s.terms, to + LANES);
                    dV.intoArray(s.terms, to + 2 * LANES);
                    productV.intoArray(s.terms, to + 3 * LANES);
                }
                sum.intoArray(s.sums, s.sumsAt + CellStep.BIAS_SUMS + j);
                sumU.intoArray(s.sums, s.sumsAt + CellStep.INPUT_GAIN_SUMS + j);
                sumV.intoArray(s.sums, s.sumsAt + CellStep.RECURRENT_GAIN_SUMS + j);
            }
        }
    }

    /** From the gradients of LN(u) and LN(v) to those of u and v. */
    private static final class NormalizedGatesBack extends Pass {
        @Override
        void run(CellStep s) {
            for (int r = 0; r < s.rows; r++) {
                int at = s.statisticsAt + r * CellStep.STATISTICS;
                int mean = s.meansAt + r * CellStep.MEANS;
                back(s, r, s.u, s.uAt, s.gainsAt, at, mean);
                back(s, r, s.v, s.vAt, s.gainsAt + CellStep.RECURRENT_GAINS, at + 2, mean + 2);
            }
        }

        private static void back(CellStep s, int r, float[] q, int qAt, int gainsAt, int at, int mean) {
            FloatVector shift = all(s.statistics[at]);
            FloatVector scale = all(s.statistics[at + 1]);
            FloatVector meanGradient = all(s.means[mean]);
            FloatVector meanProduct = all(s.means[mean + 1]);
            for (int j = 0; j < BLOCK; j += VECTOR) {
                int to = qAt + r * BLOCK + j;
                FloatVector n = load(q, to).sub(shift).mul(scale);
                load(s.gates, s.gatesAt + r * BLOCK + j)
                        .mul(load(s.gains, gainsAt + j))
                        .sub(meanGradient)
                        .sub(n.mul(meanProduct))
                        .mul(scale)
                        .intoArray(q, to);
            }
        }
    }

    /** See {@link Kernels#draw}, and {@link carousel.engine.Philox} for what is computed. */
    static void draw(RandomBits numbers, long[] blocks, int count) {
        for (int k = 0; k < count; k += LONGS.length()) {
            LongVector counter0 = LongVector.fromArray(LONGS, blocks, k);
            LongVector counter1 = LongVector.broadcast(LONGS, numbers.stream() & MASK);
            LongVector counter2 = LongVector.broadcast(LONGS, numbers.call() & MASK);
            LongVector counter3 = LongVector.broadcast(LONGS, numbers.call() >>> 32);
            long key0 = numbers.seed() & MASK;
            long key1 = numbers.seed() >>> 32;
            for (int round = 0; round < Philox.ROUNDS; round++) {
                LongVector product0 = counter0.mul(Philox.MULTIPLIER_0);
                LongVector product1 = counter2.mul(Philox.MULTIPLIER_1);
                counter0 =
                        high(product1).lanewise(VectorOperators.XOR, counter1).lanewise(VectorOperators.XOR, key0);
                counter2 =
                        high(product0).lanewise(VectorOperators.XOR, counter3).lanewise(VectorOperators.XOR, key1);
                counter1 = product1.and(MASK);
                counter3 = product0.and(MASK);
                key0 = key0 + Philox.WEYL_0 & MASK;
                key1 = key1 + Philox.WEYL_1 & MASK;
            }
            drawn(counter0, numbers.threshold(), 0)
                    .or(drawn(counter1, numbers.threshold(), 1))
                    .or(drawn(counter2, numbers.threshold(), 2))
                    .or(drawn(counter3, numbers.threshold(), 3))
                    .intoArray(blocks, k);
        }
    }

    private static LongVector high(LongVector product) {
        return product.lanewise(VectorOperators.LSHR, 32);
    }

    /** {@link carousel.engine.RandomKey#drops} without a branch: the difference is negative where it says yes. */
    private static LongVector drawn(LongVector words, int threshold, int bit) {
        return words.lanewise(VectorOperators.LSHR, 8)
                .sub(threshold)
                .lanewise(VectorOperators.LSHR, 63)
                .lanewise(VectorOperators.LSHL, bit);
    }

    /** See {@link Kernels#statistics}. */
    static void statistics(
            int rows,
            int strips,
            float[] q,
            int qAt,
            int stripPitch,
            int width,
            float[] valid,
            int count,
            float[] lanes,
            float[] into,
            int at) {
        for (int r = 0; r < rows; r++) {
            int row = qAt + r * width;
            for (int l = 0; l < LANES; l += VECTOR) {
                if (width == BLOCK) {
                    sumOfGates(strips, q, row + l, stripPitch, lanes, l);
                } else {
                    sumOfCells(strips, q, row + l, stripPitch, lanes, l);
                }
            }
            float mean = (float) (LoopPasses.sum(lanes, 0) / count);
            for (int l = 0; l < LANES; l += VECTOR) {
                if (width == BLOCK) {
                    squaresOfGates(strips, q, row + l, stripPitch, valid, mean, lanes, l);
                } else {
                    squaresOfCells(strips, q, row + l, stripPitch, valid, mean, lanes, l);
                }
            }
            LoopPasses.conclude(mean, lanes, count, into, at + r * CellStep.STATISTICS);
        }
    }

    private static void sumOfGates(int strips, float[] q, int at, int stripPitch, float[] lanes, int l) {
        FloatVector even = all(0);
        FloatVector odd = all(0);
        for (int t = 0; t < strips; t++) {
            int from = at + t * stripPitch;
            even = even.add(load(q, from + I).add(load(q, from + G)));
            odd = odd.add(load(q, from + F).add(load(q, from + O)));
        }
        even.add(odd).intoArray(lanes, l);
    }

    private static void sumOfCells(int strips, float[] q, int at, int stripPitch, float[] lanes, int l) {
        FloatVector sum = all(0);
        for (int t = 0; t < strips; t++) {
            sum = sum.add(load(q, at + t * stripPitch));
        }
        sum.intoArray(lanes, l);
    }

    private static void squaresOfGates(
            int strips, float[] q, int at, int stripPitch, float[] valid, float mean, float[] lanes, int l) {
        FloatVector sum = all(0);
        FloatVector squares = all(0);
        for (int t = 0; t < strips; t++) {
            FloatVector mask = load(valid, t * LANES + l);
            int from = at + t * stripPitch;
            FloatVector i = load(q, from + I).sub(mean).mul(mask);
            FloatVector f = load(q, from + F).sub(mean).mul(mask);
            FloatVector g = load(q, from + G).sub(mean).mul(mask);
            FloatVector o = load(q, from + O).sub(mean).mul(mask);
            sum = sum.add(i.add(f).add(g.add(o)));
            squares = squares.add(i.fma(i, f.mul(f)).add(g.fma(g, o.mul(o))));
        }
        sum.intoArray(lanes, l);
        squares.intoArray(lanes, LANES + l);
    }

    private static void squaresOfCells(
            int strips, float[] q, int at, int stripPitch, float[] valid, float mean, float[] lanes, int l) {
        FloatVector sum = all(0);
        FloatVector squares = all(0);
        for (int t = 0; t < strips; t++) {
            FloatVector d = load(q, at + t * stripPitch).sub(mean).mul(load(valid, t * LANES + l));
            sum = sum.add(d);
            squares = d.fma(d, squares);
        }
        sum.intoArray(lanes, l);
        squares.intoArray(lanes, LANES + l);
    }

    /** See {@link Kernels#means}. */
    static void means(
            int rows,
            int strips,
            float[] terms,
            int termsAt,
            int stripPitch,
            int quantities,
            int count,
            float[] lanes,
            float[] into,
            int at) {
        for (int r = 0; r < rows; r++) {
            int row = termsAt + r * quantities * LANES;
            for (int l = 0; l < quantities * LANES; l += VECTOR) {
                FloatVector sum = load(terms, row + l);
                for (int t = 1; t < strips; t++) {
                    sum = sum.add(load(terms, row + t * stripPitch + l));
                }
                sum.intoArray(lanes, l);
            }
            for (int k = 0; k < quantities; k++) {
                into[at + r * CellStep.MEANS + k] = (float) (LoopPasses.sum(lanes, k * LANES) / count);
            }
        }
    }
}
