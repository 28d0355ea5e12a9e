// What an LSTM cell with any of its variations does at one time step t beside its matrix products: peepholes, clipped pre-activations,
// coupled gates, other functions, layer normalisation, and masks. The plain cell is in lstm_pointwise.cu. N rows, cell width H, width of h P
// (without a projection P = H); letters as in LstmSpec.
//
// Forward, a = W x + b + R (d_h h_prev) given, or u = W x and v = R (d_h h_prev):
//   u    = LN(u)                                             lstm_rows_forward, of all steps at once
//   v    = LN(v)            a = gamma_u u + gamma_v v + b    lstm_normal_forward; over the 4H of a row
//   a_i += p_i c_prev       a_f += p_f c_prev       a_o += p_o c'
//   i, f, o = sigma(limit(a))        f = 1 - i where coupled        g = phi(limit(a_g))        limit to [-gateClip, gateClip]
//   c'   = limit(f c_prev + i d_g g)                         limit to [-clip, clip]
//   s    = c'               or gamma_c LN(c') + beta_c, over the H of a row
//   c    = z_c c_prev + (1 - z_c) c'
//   m    = o psi(s)         h' = m, or m W_p^T by a product before lstm_varied_project_forward
//   h    = z_h h_prev + (1 - z_h) h'                 hSeen = d_h h, which the next step's product reads
//   LN(q) = (q - mean(q)) / deviation(q)             deviation(q) = sqrt(mean((q - mean(q))^2) + epsilon)
//
// Backward, dh and dSeen what the loss and the next step say about h and hSeen, dc what the next step says about c:
//   t    = dh + d_h dSeen + dy       dh = z_h t      dm = (1 - z_h) t, or that times W_p by a product
//   ds   = dm o psi'(s)     or, normalised, dgamma_c += ds LN(c'), dbeta_c += ds, ds = dLN(gamma_c ds)
//   da_o = dm psi(s) sigma' dc' = (1 - z_c) dc + ds + da_o p_o; then 0 where the limit acted
//   di   = dc' d_g g        df = dc' c_prev         dg = dc' i d_g        di -= df, df = 0 where coupled
//   da   = di sigma', df sigma', dg phi'; each 0 where its limit acted
//   dp_i += da_i c_prev     dp_f += da_f c_prev     dp_o += da_o c'
//   dc   = z_c dc + dc' f + da_i p_i + da_f p_f
//   dgamma_v += da v        dv = dLN(gamma_v da)             lstm_normal_backward
//   du   = dLN(gamma_u da)  da = da u                        lstm_rows_backward, of all steps at once; sums of this da are dgamma_u
//   dLN(d) = (d - mean(d) - LN(q) mean(d LN(q))) / deviation(q)
//   dSeen = dv R, or dh += dv R where there is no dSeen, by a product after it
//
// Unlike lstm_forward, these keep the pre-activations and take the functions of them again on the way back: so they see where a limit
// acted, and any function's slope.
//
// Shapes: a, u, v [N, 4H], i, f, g, o one after the other; c, cPrevious, dc, m, dm, candidateMask (d_g) and cellMask (z_c) [N, H]; h,
// hPrevious, hSeen, dh, dSeen, dHidden, recurrentMask (d_h) and hiddenMask (z_h) [N, P]; row n of y and dy begins at n * pitch; lengths [N]
// or null; cell [N, H] gets LN(c'); deviations [N, 2], of v and c', and [rows] for the rows kernels, whose u and da are [rows, width] and
// gains [width]. Weights: peepholes [3, H] of i, f, o; bias [4H]; gateGains [2, 4H], gamma_u and gamma_v; cellGains [2, H], gamma_c and
// beta_c. Their gradients have a row for each n, to be summed over the rows at the end: peepholeSums [N, 3H], gateSums [N, 4H] for gamma_v,
// cellSums [N, 2H].
// A mask that is null is none: d is 1, and z is cellHeld or hiddenHeld, its mean.
// Row n is valid where lengths is null or t < lengths[n]. Rows that are not valid carry their state: c = c_prev, h = h_prev, dc stays and
// dh is dh + d_h dSeen; y, m, da, dv and dHidden are 0; a, v, dy and dm are not read. For the rows kernels all rows are valid.
// Null where there is none of it: m (h' = m is then this kernel's), dm, peepholes, bias, hSeen, dSeen with recurrentMask, dy, and the sums.
// With m or dm, all arguments of the hidden state may be null.
// Functions: 0 Sigmoid, 1 Tanh, 2 Relu, 3 Affine, 4 LeakyRelu, 5 ThresholdedRelu, 6 ScaledTanh, 7 HardSigmoid, 8 Elu, 9 Softsign,
// 10 Softplus, with ONNX's alpha and beta.
//
// Versions: one of each.
//   lstm_varied_forward 1, lstm_varied_backward 1   a thread a cell
//   lstm_normal_forward 1, lstm_normal_backward 1   a block a row: four sums over a row, each in a fixed tree. What of the
//                                                   normalisations needs no state is left to the rows kernels.
//
// Launch: blocks of 256, any grid of one dimension; ceil(N H / 256) blocks (N P for the projections), or as many as rows for the kernels
// that normalise.
#include "lstm.cuh"

CAROUSEL_UNIT(lstm_varied)

namespace carousel {

template <typename R>
struct Function {
    int kind;
    R alpha;
    R beta;
};

template <typename R>
__device__ __forceinline__ R valueOf(const Function<R>& f, R x) {
    switch (f.kind) {
        case 0: return sigmoid(x);
        case 1: return tanh(x);
        case 2: return x < R(0) ? R(0) : x;
        case 3: return f.alpha * x + f.beta;
        case 4: return x < R(0) ? f.alpha * x : x;
        case 5: return x <= f.alpha ? R(0) : x;
        case 6: return f.alpha * tanh(f.beta * x);
        case 7: {
            R y = f.alpha * x + f.beta;
            return y < R(0) ? R(0) : y > R(1) ? R(1) : y;
        }
        case 8: return x < R(0) ? f.alpha * expm1(x) : x;
        case 9: return x / (R(1) + fabs(x));
        default: return (x < R(0) ? R(0) : x) + log1p(exp(-fabs(x)));
    }
}

// The gradient of x from that of y = f(x).
template <typename R>
__device__ __forceinline__ R gradientOf(const Function<R>& f, R x, R y, R dy) {
    switch (f.kind) {
        case 0: return dy * y * (1 - y);
        case 1: return dy * (1 - y * y);
        case 2: return x > R(0) ? dy : R(0);
        case 3: return dy * f.alpha;
        case 4: return x >= R(0) ? dy : dy * f.alpha;
        case 5: return x > f.alpha ? dy : R(0);
        case 6: {
            R slope = tanh(f.beta * x);
            return dy * f.alpha * f.beta * (1 - slope * slope);
        }
        case 7: return y > R(0) && y < R(1) ? dy * f.alpha : R(0);
        case 8: return x >= R(0) ? dy : dy * f.alpha * exp(x);
        case 9: return dy / ((1 + fabs(x)) * (1 + fabs(x)));
        default: return dy * sigmoid(x);
    }
}

// What of a cell's equations differs from the plain ones.
template <typename R>
struct Variation {
    const R* peepholes;
    const R* candidateMask;
    const R* cellMask;
    R cellHeld;
    R clip;
    R gateClip;
    bool coupled;
    Function<R> gates;
    Function<R> candidate;
    Function<R> output;

    __device__ __forceinline__ R kept(long long e) const { return candidateMask == nullptr ? R(1) : candidateMask[e]; }
    __device__ __forceinline__ R held(long long e) const { return cellMask == nullptr ? cellHeld : cellMask[e]; }

    __device__ __forceinline__ R activate(const Function<R>& f, R a) const { return valueOf(f, limited(a, gateClip)); }
    __device__ __forceinline__ R gradient(const Function<R>& f, R a, R y, R dy) const {
        return isBeyond(a, gateClip) ? R(0) : gradientOf(f, a, y, dy);
    }
};

// What follows from the pre-activations of i, f and g and the cell before: the same numbers on both ways.
template <typename R>
struct NewCell {
    R i;
    R f;
    R g;
    R unlimited;
    R limitedCell;
};

template <typename R>
__device__ __forceinline__ NewCell<R> newCellOf(const Variation<R>& variation, const R* gate, int H, R kept, R before) {
    NewCell<R> now;
    now.i = variation.activate(variation.gates, gate[0]);
    now.f = variation.coupled ? R(1) - now.i : variation.activate(variation.gates, gate[H]);
    now.g = variation.activate(variation.candidate, gate[2LL * H]);
    now.unlimited = unlimitedCell(now.f, before, now.i, kept * now.g);
    now.limitedCell = limited(now.unlimited, variation.clip);
    return now;
}

// From pre-activations without peepholes to c, and gives c'.
template <typename R>
__device__ __forceinline__ R advance(
        const Variation<R>& variation, R* gate, const R* cPrevious, R* c, int H, long long e, int j) {
    R before = cPrevious[e];
    const R* peepholes = variation.peepholes;
    if (peepholes != nullptr) {
        gate[0] += peepholes[j] * before;
        gate[H] += peepholes[H + j] * before;
    }
    NewCell<R> now = newCellOf(variation, gate, H, variation.kept(e), before);
    if (peepholes != nullptr) {
        gate[3LL * H] += peepholes[2LL * H + j] * now.limitedCell;
    }
    R held = variation.held(e);
    c[e] = held * before + (1 - held) * now.limitedCell;
    return now.limitedCell;
}

// From do and ds to da, in place of the pre-activations, and to dc of the step before.
template <typename R>
__device__ __forceinline__ void retreat(const Variation<R>& variation, const NewCell<R>& now, R* gate, R before, R* dc,
        R* peepholeSums, int H, long long e, long long n, int j, R o, R dO, R ds) {
    const R* peepholes = variation.peepholes;
    R kept = variation.kept(e);
    R held = variation.held(e);
    R daO = variation.gradient(variation.gates, gate[3LL * H], o, dO);
    R dAfter = dc[e];
    R dCell = (1 - held) * dAfter + ds;
    if (peepholes != nullptr) {
        dCell += daO * peepholes[2LL * H + j];
    }
    if (isBeyond(now.unlimited, variation.clip)) {
        dCell = 0;
    }
    R dI = dCell * (kept * now.g);
    R dF = dCell * before;
    if (variation.coupled) {
        dI -= dF;
        dF = 0;
    }
    R daI = variation.gradient(variation.gates, gate[0], now.i, dI);
    R daF = variation.coupled ? R(0) : variation.gradient(variation.gates, gate[H], now.f, dF);
    R daG = variation.gradient(variation.candidate, gate[2LL * H], now.g, dCell * now.i * kept);
    R dBefore = held * dAfter + dCell * now.f;
    if (peepholes != nullptr) {
        dBefore += daI * peepholes[j] + daF * peepholes[H + j];
        if (peepholeSums != nullptr) {
            R* sums = peepholeSums + n * 3 * H + j;
            sums[0] += daI * before;
            sums[H] += daF * before;
            sums[2LL * H] += daO * now.limitedCell;
        }
    }
    dc[e] = dBefore;
    gate[0] = daI;
    gate[H] = daF;
    gate[2LL * H] = daG;
    gate[3LL * H] = daO;
}

// The hidden state forward.
template <typename R>
struct Hidden {
    const R* hPrevious;
    R* h;
    R* hSeen;
    R* y;
    int yPitch;
    const R* recurrentMask;
    const R* hiddenMask;
    R hiddenHeld;

    // From h', which counts for nothing where the row is not valid.
    __device__ __forceinline__ void advance(long long e, long long n, int k, bool valid, R value) const {
        R next = hPrevious[e];
        if (valid) {
            R held = hiddenMask == nullptr ? hiddenHeld : hiddenMask[e];
            next = held * next + (1 - held) * value;
        }
        h[e] = next;
        if (hSeen != nullptr) {
            hSeen[e] = recurrentMask[e] * next;
        }
        y[n * yPitch + k] = valid ? next : R(0);
    }
};

// And backward.
template <typename R>
struct HiddenGradient {
    R* dh;
    const R* dSeen;
    const R* recurrentMask;
    const R* dy;
    int dyPitch;
    const R* hiddenMask;
    R hiddenHeld;

    // All that is said about h.
    __device__ __forceinline__ R total(long long e, long long n, int k, bool valid) const {
        R sum = dh[e];
        if (recurrentMask != nullptr) {
            sum += recurrentMask[e] * dSeen[e];
        }
        return valid && dy != nullptr ? sum + dy[n * dyPitch + k] : sum;
    }

    __device__ __forceinline__ R held(long long e) const { return hiddenMask == nullptr ? hiddenHeld : hiddenMask[e]; }

    // Leaves in dh what goes past h', and gives the gradient of h', 0 where the row is not valid.
    __device__ __forceinline__ R retreat(long long e, long long n, int k, bool valid) const {
        R sum = total(e, n, k, valid);
        R past = valid ? held(e) : R(1);
        dh[e] = past * sum;
        return valid ? (1 - past) * sum : R(0);
    }
};

template <typename R>
__device__ __forceinline__ void lstm_varied_forward(R* a, const R* cPrevious, R* c, R* m, const Hidden<R>& hidden,
        const Variation<R>& variation, const int* lengths, int t, int N, int H) {
    long long cells = static_cast<long long>(N) * H;
    for (long long e = firstElement(); e < cells; e += elementStride()) {
        Place place = placeOf(e, H);
        long long n = place.row;
        int j = place.column;
        bool valid = isValid(lengths, n, t);
        R value = 0;
        if (valid) {
            R* gate = a + n * 4 * H + j;
            R cell = advance(variation, gate, cPrevious, c, H, e, j);
            value = variation.activate(variation.gates, gate[3LL * H]) * valueOf(variation.output, cell);
        } else {
            c[e] = cPrevious[e];
        }
        if (m != nullptr) {
            m[e] = value;
        } else {
            hidden.advance(e, n, j, valid, value);
        }
    }
}

template <typename R>
__device__ __forceinline__ void lstm_varied_project_forward(
        const Hidden<R>& hidden, const int* lengths, int t, int N, int P) {
    long long elements = static_cast<long long>(N) * P;
    for (long long e = firstElement(); e < elements; e += elementStride()) {
        Place place = placeOf(e, P);
        hidden.advance(e, place.row, place.column, isValid(lengths, place.row, t), hidden.h[e]);
    }
}

template <typename R>
__device__ __forceinline__ void lstm_varied_backward(R* a, const R* cPrevious, const R* dm, R* dc, R* peepholeSums,
        const HiddenGradient<R>& hidden, const Variation<R>& variation, const int* lengths, int t, int N, int H) {
    long long cells = static_cast<long long>(N) * H;
    for (long long e = firstElement(); e < cells; e += elementStride()) {
        Place place = placeOf(e, H);
        long long n = place.row;
        int j = place.column;
        R* gate = a + n * 4 * H + j;
        bool valid = isValid(lengths, n, t);
        R dOutput = 0;
        if (dm == nullptr) {
            dOutput = hidden.retreat(e, n, j, valid);
        } else if (valid) {
            dOutput = dm[e];
        }
        if (!valid) {
            gate[0] = 0;
            gate[H] = 0;
            gate[2LL * H] = 0;
            gate[3LL * H] = 0;
            continue;
        }
        R before = cPrevious[e];
        NewCell<R> now = newCellOf(variation, gate, H, variation.kept(e), before);
        R o = variation.activate(variation.gates, gate[3LL * H]);
        R shown = valueOf(variation.output, now.limitedCell);
        R ds = gradientOf(variation.output, now.limitedCell, shown, dOutput * o);
        retreat(variation, now, gate, before, dc, peepholeSums, H, e, n, j, o, dOutput * shown, ds);
    }
}

template <typename R>
__device__ __forceinline__ void lstm_varied_project_backward(
        const HiddenGradient<R>& hidden, R* dHidden, const int* lengths, int t, int N, int P) {
    long long elements = static_cast<long long>(N) * P;
    for (long long e = firstElement(); e < elements; e += elementStride()) {
        Place place = placeOf(e, P);
        dHidden[e] = hidden.retreat(e, place.row, place.column, isValid(lengths, place.row, t));
    }
}

// The threads of a block take every 256th element of a row, here and wherever else a row is gone through: what a thread has written it may
// read again without a barrier. Gives the deviation.
template <typename R>
__device__ __forceinline__ R normalizeRow(R* row, int width, R epsilon) {
    int first = static_cast<int>(threadIdx.x);
    R sum = 0;
    for (int k = first; k < width; k += kBlock) {
        sum += row[k];
    }
    R mean = blockSum<R, kBlock>(sum) / width;
    R squares = 0;
    for (int k = first; k < width; k += kBlock) {
        R difference = row[k] - mean;
        squares += difference * difference;
    }
    R deviation = sqrt(blockSum<R, kBlock>(squares) / width + epsilon);
    for (int k = first; k < width; k += kBlock) {
        row[k] = (row[k] - mean) / deviation;
    }
    return deviation;
}

// dLN of an element whose normalised value is `normal`.
template <typename R>
__device__ __forceinline__ R throughNormal(R deviation, R normal, R d, R meanD, R meanProduct) {
    return (d - meanD - normal * meanProduct) / deviation;
}

template <typename R>
__device__ __forceinline__ void lstm_rows_forward(R* u, R* deviations, int rows, int width, R epsilon) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        R deviation = normalizeRow(u + row * width, width, epsilon);
        if (threadIdx.x == 0) {
            deviations[row] = deviation;
        }
    }
}

template <typename R>
__device__ __forceinline__ void lstm_rows_backward(
        R* da, R* u, const R* deviations, const R* gains, int rows, int width) {
    int first = static_cast<int>(threadIdx.x);
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        R* d = da + row * width;
        R* normal = u + row * width;
        R sum = 0;
        R product = 0;
        for (int k = first; k < width; k += kBlock) {
            R gained = gains[k] * d[k];
            sum += gained;
            product += gained * normal[k];
        }
        R meanD = blockSum<R, kBlock>(sum) / width;
        R meanProduct = blockSum<R, kBlock>(product) / width;
        R deviation = deviations[row];
        for (int k = first; k < width; k += kBlock) {
            R gradient = d[k];
            R value = normal[k];
            d[k] = gradient * value;
            normal[k] = throughNormal(deviation, value, gains[k] * gradient, meanD, meanProduct);
        }
    }
}

// What a normalised cell has besides the others: where its normalised vectors lie, and their weights.
template <typename R>
struct Normal {
    R* v;
    R* cell;
    R* deviations;
    const R* gateGains;
    const R* cellGains;
};

template <typename R>
__device__ __forceinline__ void lstm_normal_forward(const R* u, const R* bias, const Normal<R>& normal, R epsilon, R* a,
        const R* cPrevious, R* c, R* m, const Hidden<R>& hidden, const Variation<R>& variation, const int* lengths,
        int t, int N, int H) {
    int first = static_cast<int>(threadIdx.x);
    for (long long n = blockIdx.x; n < N; n += gridDim.x) {
        long long firstCell = n * H;
        R* aRow = a + 4 * firstCell;
        bool valid = isValid(lengths, n, t);
        if (valid) {
            R* vRow = normal.v + 4 * firstCell;
            const R* uRow = u + 4 * firstCell;
            R deviation = normalizeRow(vRow, 4 * H, epsilon);
            if (threadIdx.x == 0) {
                normal.deviations[2 * n] = deviation;
            }
            // Each thread its own elements of v, then, others', whole cells.
            for (int k = first; k < 4 * H; k += kBlock) {
                aRow[k] = normal.gateGains[k] * uRow[k] + normal.gateGains[4LL * H + k] * vRow[k]
                        + (bias == nullptr ? R(0) : bias[k]);
            }
            __syncthreads();
            for (int j = first; j < H; j += kBlock) {
                normal.cell[firstCell + j] = advance(variation, aRow + j, cPrevious, c, H, firstCell + j, j);
            }
            deviation = normalizeRow(normal.cell + firstCell, H, epsilon);
            if (threadIdx.x == 0) {
                normal.deviations[2 * n + 1] = deviation;
            }
        }
        for (int j = first; j < H; j += kBlock) {
            long long e = firstCell + j;
            R value = 0;
            if (valid) {
                R s = normal.cellGains[j] * normal.cell[e] + normal.cellGains[H + j];
                value = variation.activate(variation.gates, aRow[3LL * H + j]) * valueOf(variation.output, s);
            } else {
                c[e] = cPrevious[e];
            }
            if (m != nullptr) {
                m[e] = value;
            } else {
                hidden.advance(e, n, j, valid, value);
            }
        }
    }
}

// What of a normalised cell is shown, and its gradients from that of h'.
template <typename R>
struct Shown {
    R o;
    R value;
    R ds;
};

template <typename R>
__device__ __forceinline__ Shown<R> shownOf(
        const Variation<R>& variation, const R* cellGains, R aO, R normal, R dOutput, int H, int j) {
    R s = cellGains[j] * normal + cellGains[H + j];
    Shown<R> shown;
    shown.o = variation.activate(variation.gates, aO);
    shown.value = valueOf(variation.output, s);
    shown.ds = gradientOf(variation.output, s, shown.value, dOutput * shown.o);
    return shown;
}

template <typename R>
__device__ __forceinline__ void lstm_normal_backward(const Normal<R>& normal, R* gateSums, R* cellSums, R* a,
        const R* cPrevious, const R* dm, R* dc, R* peepholeSums, const HiddenGradient<R>& hidden,
        const Variation<R>& variation, const int* lengths, int t, int N, int H) {
    int first = static_cast<int>(threadIdx.x);
    for (long long n = blockIdx.x; n < N; n += gridDim.x) {
        long long firstCell = n * H;
        R* aRow = a + 4 * firstCell;
        R* vRow = normal.v + 4 * firstCell;
        if (!isValid(lengths, n, t)) {
            for (int k = first; k < 4 * H; k += kBlock) {
                aRow[k] = 0;
                vRow[k] = 0;
            }
            if (dm == nullptr) {
                for (int j = first; j < H; j += kBlock) {
                    hidden.retreat(firstCell + j, n, j, false);
                }
            }
            continue;
        }
        R sum = 0;
        R product = 0;
        for (int j = first; j < H; j += kBlock) {
            long long e = firstCell + j;
            R dOutput = dm != nullptr ? dm[e] : (1 - hidden.held(e)) * hidden.total(e, n, j, true);
            R value = normal.cell[e];
            R ds = shownOf(variation, normal.cellGains, aRow[3LL * H + j], value, dOutput, H, j).ds;
            if (cellSums != nullptr) {
                cellSums[2 * firstCell + j] += ds * value;
                cellSums[2 * firstCell + H + j] += ds;
            }
            R gained = normal.cellGains[j] * ds;
            sum += gained;
            product += gained * value;
        }
        R meanD = blockSum<R, kBlock>(sum) / H;
        R meanProduct = blockSum<R, kBlock>(product) / H;
        R deviation = normal.deviations[2 * n + 1];
        for (int j = first; j < H; j += kBlock) {
            long long e = firstCell + j;
            R dOutput = dm != nullptr ? dm[e] : hidden.retreat(e, n, j, true);
            R value = normal.cell[e];
            Shown<R> shown = shownOf(variation, normal.cellGains, aRow[3LL * H + j], value, dOutput, H, j);
            R ds = throughNormal(deviation, value, normal.cellGains[j] * shown.ds, meanD, meanProduct);
            R before = cPrevious[e];
            NewCell<R> now = newCellOf(variation, aRow + j, H, variation.kept(e), before);
            retreat(variation, now, aRow + j, before, dc, peepholeSums, H, e, n, j, shown.o, dOutput * shown.value, ds);
        }
        __syncthreads();
        sum = 0;
        product = 0;
        for (int k = first; k < 4 * H; k += kBlock) {
            R da = aRow[k];
            R value = vRow[k];
            if (gateSums != nullptr) {
                gateSums[4 * firstCell + k] += da * value;
            }
            R gained = normal.gateGains[4LL * H + k] * da;
            sum += gained;
            product += gained * value;
        }
        meanD = blockSum<R, kBlock>(sum) / (4 * H);
        meanProduct = blockSum<R, kBlock>(product) / (4 * H);
        deviation = normal.deviations[2 * n];
        for (int k = first; k < 4 * H; k += kBlock) {
            vRow[k] = throughNormal(
                    deviation, vRow[k], normal.gateGains[4LL * H + k] * aRow[k], meanD, meanProduct);
        }
    }
}

// The arguments that several kernels take, and what they become.
#define CAROUSEL_HIDDEN_PARAMETERS \
    const R *hPrevious, R *h, R *hSeen, R *y, int yPitch, const R *recurrentMask, const R *hiddenMask, double hiddenHeld
#define CAROUSEL_HIDDEN \
    Hidden<R> { \
        hPrevious, h, hSeen, y, yPitch, recurrentMask, hiddenMask, static_cast<R>(hiddenHeld) \
    }
#define CAROUSEL_HIDDEN_GRADIENT_PARAMETERS \
    R *dh, const R *dSeen, const R *recurrentMask, const R *dy, int dyPitch, const R *hiddenMask, double hiddenHeld
#define CAROUSEL_HIDDEN_GRADIENT \
    HiddenGradient<R> { \
        dh, dSeen, recurrentMask, dy, dyPitch, hiddenMask, static_cast<R>(hiddenHeld) \
    }
#define CAROUSEL_VARIATION_PARAMETERS \
    const R *peepholes, const R *candidateMask, const R *cellMask, double cellHeld, double clip, double gateClip, \
            int coupled, int gateKind, double gateAlpha, double gateBeta, int candidateKind, double candidateAlpha, \
            double candidateBeta, int outputKind, double outputAlpha, double outputBeta
#define CAROUSEL_VARIATION \
    Variation<R> { \
        peepholes, candidateMask, cellMask, static_cast<R>(cellHeld), static_cast<R>(clip), static_cast<R>(gateClip), \
                coupled != 0, {gateKind, static_cast<R>(gateAlpha), static_cast<R>(gateBeta)}, \
                {candidateKind, static_cast<R>(candidateAlpha), static_cast<R>(candidateBeta)}, { \
            outputKind, static_cast<R>(outputAlpha), static_cast<R>(outputBeta) \
        } \
    }
#define CAROUSEL_NORMAL_PARAMETERS R *v, R *cell, R *deviations, const R *gateGains, const R *cellGains
#define CAROUSEL_NORMAL \
    Normal<R> { \
        v, cell, deviations, gateGains, cellGains \
    }

CAROUSEL_KERNELS(kBlock, lstm_varied_forward,
        (R * a, const R* cPrevious, R* c, R* m, CAROUSEL_HIDDEN_PARAMETERS, CAROUSEL_VARIATION_PARAMETERS,
                const int* lengths, int t, int N, int H),
        (a, cPrevious, c, m, CAROUSEL_HIDDEN, CAROUSEL_VARIATION, lengths, t, N, H))
CAROUSEL_KERNELS(kBlock, lstm_varied_project_forward,
        (CAROUSEL_HIDDEN_PARAMETERS, const int* lengths, int t, int N, int P), (CAROUSEL_HIDDEN, lengths, t, N, P))
CAROUSEL_KERNELS(kBlock, lstm_varied_backward,
        (R * a, const R* cPrevious, const R* dm, R* dc, R* peepholeSums, CAROUSEL_HIDDEN_GRADIENT_PARAMETERS,
                CAROUSEL_VARIATION_PARAMETERS, const int* lengths, int t, int N, int H),
        (a, cPrevious, dm, dc, peepholeSums, CAROUSEL_HIDDEN_GRADIENT, CAROUSEL_VARIATION, lengths, t, N, H))
CAROUSEL_KERNELS(kBlock, lstm_varied_project_backward,
        (CAROUSEL_HIDDEN_GRADIENT_PARAMETERS, R* dHidden, const int* lengths, int t, int N, int P),
        (CAROUSEL_HIDDEN_GRADIENT, dHidden, lengths, t, N, P))
CAROUSEL_KERNELS(kBlock, lstm_rows_forward, (R * u, R* deviations, int rows, int width, double epsilon),
        (u, deviations, rows, width, static_cast<R>(epsilon)))
CAROUSEL_KERNELS(kBlock, lstm_rows_backward,
        (R * da, R* u, const R* deviations, const R* gains, int rows, int width),
        (da, u, deviations, gains, rows, width))
CAROUSEL_KERNELS(kBlock, lstm_normal_forward,
        (const R* u, const R* bias, CAROUSEL_NORMAL_PARAMETERS, double epsilon, R* a, const R* cPrevious, R* c, R* m,
                CAROUSEL_HIDDEN_PARAMETERS, CAROUSEL_VARIATION_PARAMETERS, const int* lengths, int t, int N, int H),
        (u, bias, CAROUSEL_NORMAL, static_cast<R>(epsilon), a, cPrevious, c, m, CAROUSEL_HIDDEN, CAROUSEL_VARIATION,
                lengths, t, N, H))
CAROUSEL_KERNELS(kBlock, lstm_normal_backward,
        (CAROUSEL_NORMAL_PARAMETERS, R* gateSums, R* cellSums, R* a, const R* cPrevious, const R* dm, R* dc,
                R* peepholeSums, CAROUSEL_HIDDEN_GRADIENT_PARAMETERS, CAROUSEL_VARIATION_PARAMETERS,
                const int* lengths, int t, int N, int H),
        (CAROUSEL_NORMAL, gateSums, cellSums, a, cPrevious, dm, dc, peepholeSums, CAROUSEL_HIDDEN_GRADIENT,
                CAROUSEL_VARIATION, lengths, t, N, H))

}  // namespace carousel
