// What an LSTM cell does at one time step t beside its matrix products. N rows, cell width H, width of h P (without a
// projection P = H).
//
// Forward, a = W x + b + R h_prev given, sigma the logistic function, * elementwise:
//   i = sigma(a_i)   f = sigma(a_f)   g = tanh(a_g)   o = sigma(a_o)
//   c = limit(f * c_prev + i * g)                            limit to [-clip, clip]; clip 0 is none
//   m = o * tanh(c)
//   h = m, or m W_p^T by a product between lstm_forward and lstm_project_forward
//   With peepholes p [3H] of i, f, o: a_i += p_i * c_prev, a_f += p_f * c_prev, a_o += p_o * c
//
// Backward, dh what the loss and the next step say about h, dc what the next step says about c:
//   dm   = dh + dy, or (dh + dy) W_p by a product between lstm_project_backward and lstm_backward
//   da_o = dm * tanh(c) * o * (1 - o)
//   dc  += dm * o * (1 - tanh(c)^2)                          + da_o * p_o with peepholes; then 0 where the limit acted
//   da_i = dc * g * i * (1 - i)      da_f = dc * c_prev * f * (1 - f)      da_g = dc * i * (1 - g^2)
//   dc_prev = dc * f                                         + da_i * p_i + da_f * p_f with peepholes
//   dh_prev = R^T da, added to dh by a product after lstm_backward
//
// Shapes: gates [N, 4H], i, f, g, o one after the other in each row; c, cPrevious, dc, m, dm [N, H]; h, hPrevious, dh,
// dhTotal [N, P]; row n of y and dy begins at n * pitch; lengths [N] or null.
// Row n is valid where lengths is null or t < lengths[n]. Rows that are not valid carry their state: c = c_prev,
// h = h_prev, dc and dh stay; y, m and da are 0; gates, dy and dm are not read.
// c may be cPrevious, h may be hPrevious. hPrevious, h, m, y, dy, peepholes and lengths may be null: what they stand
// for is then not written, or is zero. With dm, dh may be null.
//
// Versions: one of each.
//   lstm_forward 1, lstm_backward 1   a thread a cell; all that a cell needs is read once. Backward keeps no tanh(c):
//                                     it costs less to compute again than to read.
//
// Launch: blocks of 256, any grid of one dimension; ceil(N H / 256) blocks (N P for the projections) give every thread
// one turn.
#include "lstm.cuh"

CAROUSEL_UNIT(lstm_pointwise)

namespace carousel {

template <typename R>
__device__ __forceinline__ void lstm_forward(R* gates, const R* cPrevious, R* c, const R* hPrevious, R* h, R* m, R* y,
        int yPitch, const R* peepholes, const int* lengths, int t, int N, int H, double clip) {
    long long cells = static_cast<long long>(N) * H;
    for (long long e = firstElement(); e < cells; e += elementStride()) {
        Place place = placeOf(e, H);
        long long n = place.row;
        int j = place.column;
        R output = 0;
        R hidden;
        if (isValid(lengths, n, t)) {
            R* gate = gates + n * 4 * H + j;
            R before = cPrevious[e];
            R aI = gate[0];
            R aF = gate[H];
            R aO = gate[3LL * H];
            if (peepholes != nullptr) {
                aI += peepholes[j] * before;
                aF += peepholes[H + j] * before;
            }
            R i = sigmoid(aI);
            R f = sigmoid(aF);
            R g = tanh(gate[2LL * H]);
            R cell = limited(unlimitedCell(f, before, i, g), static_cast<R>(clip));
            if (peepholes != nullptr) {
                aO += peepholes[2LL * H + j] * cell;
            }
            R o = sigmoid(aO);
            gate[0] = i;
            gate[H] = f;
            gate[2LL * H] = g;
            gate[3LL * H] = o;
            c[e] = cell;
            output = o * tanh(cell);
            hidden = output;
        } else {
            c[e] = cPrevious[e];
            hidden = h == nullptr || hPrevious == nullptr ? R(0) : hPrevious[e];
        }
        if (h != nullptr) {
            h[e] = hidden;
        }
        if (m != nullptr) {
            m[e] = output;
        }
        if (y != nullptr) {
            y[n * yPitch + j] = output;
        }
    }
}

template <typename R>
__device__ __forceinline__ void lstm_project_forward(
        const R* hPrevious, R* h, R* y, int yPitch, const int* lengths, int t, int N, int P) {
    long long elements = static_cast<long long>(N) * P;
    for (long long e = firstElement(); e < elements; e += elementStride()) {
        Place place = placeOf(e, P);
        long long n = place.row;
        bool valid = isValid(lengths, n, t);
        y[n * yPitch + place.column] = valid ? h[e] : R(0);
        if (!valid) {
            h[e] = hPrevious[e];
        }
    }
}

template <typename R>
__device__ __forceinline__ void lstm_backward(R* gates, const R* cPrevious, const R* c, R* dh, const R* dy, int dyPitch,
        const R* dm, R* dc, const R* peepholes, const int* lengths, int t, int N, int H, double clip) {
    long long cells = static_cast<long long>(N) * H;
    R limit = static_cast<R>(clip);
    for (long long e = firstElement(); e < cells; e += elementStride()) {
        Place place = placeOf(e, H);
        long long n = place.row;
        int j = place.column;
        R* gate = gates + n * 4 * H + j;
        R daI = 0;
        R daF = 0;
        R daG = 0;
        R daO = 0;
        if (isValid(lengths, n, t)) {
            R i = gate[0];
            R f = gate[H];
            R g = gate[2LL * H];
            R o = gate[3LL * H];
            R before = cPrevious[e];
            R dOutput;
            if (dm != nullptr) {
                dOutput = dm[e];
            } else {
                dOutput = dh[e] + (dy == nullptr ? R(0) : dy[n * dyPitch + j]);
                dh[e] = 0;
            }
            R tanhC = tanh(c[e]);
            daO = dOutput * tanhC * o * (1 - o);
            R dCell = dc[e] + dOutput * o * (1 - tanhC * tanhC);
            if (peepholes != nullptr) {
                dCell += daO * peepholes[2LL * H + j];
            }
            if (isBeyond(unlimitedCell(f, before, i, g), limit)) {
                dCell = 0;
            }
            daI = dCell * g * i * (1 - i);
            daF = dCell * before * f * (1 - f);
            daG = dCell * i * (1 - g * g);
            R dBefore = dCell * f;
            if (peepholes != nullptr) {
                dBefore += daI * peepholes[j] + daF * peepholes[H + j];
            }
            dc[e] = dBefore;
        }
        gate[0] = daI;
        gate[H] = daF;
        gate[2LL * H] = daG;
        gate[3LL * H] = daO;
    }
}

template <typename R>
__device__ __forceinline__ void lstm_project_backward(
        R* dh, const R* dy, int dyPitch, R* dhTotal, const int* lengths, int t, int N, int P) {
    long long elements = static_cast<long long>(N) * P;
    for (long long e = firstElement(); e < elements; e += elementStride()) {
        Place place = placeOf(e, P);
        long long n = place.row;
        R total = 0;
        if (isValid(lengths, n, t)) {
            total = dh[e] + (dy == nullptr ? R(0) : dy[n * dyPitch + place.column]);
            dh[e] = 0;
        }
        dhTotal[e] = total;
    }
}

CAROUSEL_KERNELS(kBlock, lstm_forward,
        (R* gates, const R* cPrevious, R* c, const R* hPrevious, R* h, R* m, R* y, int yPitch, const R* peepholes,
                const int* lengths, int t, int N, int H, double clip),
        (gates, cPrevious, c, hPrevious, h, m, y, yPitch, peepholes, lengths, t, N, H, clip))
CAROUSEL_KERNELS(kBlock, lstm_project_forward,
        (const R* hPrevious, R* h, R* y, int yPitch, const int* lengths, int t, int N, int P),
        (hPrevious, h, y, yPitch, lengths, t, N, P))
CAROUSEL_KERNELS(kBlock, lstm_backward,
        (R* gates, const R* cPrevious, const R* c, R* dh, const R* dy, int dyPitch, const R* dm, R* dc,
                const R* peepholes, const int* lengths, int t, int N, int H, double clip),
        (gates, cPrevious, c, dh, dy, dyPitch, dm, dc, peepholes, lengths, t, N, H, clip))
CAROUSEL_KERNELS(kBlock, lstm_project_backward,
        (R* dh, const R* dy, int dyPitch, R* dhTotal, const int* lengths, int t, int N, int P),
        (dh, dy, dyPitch, dhTotal, lengths, t, N, P))

}  // namespace carousel
