// Kernels that treat every element by itself, and copies.
//
//   fill           y_e = value
//   copy_columns   y[m, yColumn + k] = x[m, xColumn + k]           rows m of pitch xPitch and yPitch, k < columns
//   bias_rows      y[m, k] = b[k], or 0 without b                  y [rows, columns], b [columns]
//   copy_valid     y[t, n, k] = x[t, n, k] where t < lengths[n], else 0
//                                                                  x, y [T, N, width], lengths [N]; padding is not read
//   add            y_e += x_e                                      not y to itself
//   dropout        y_e = 0 where word_w >> 8 < threshold, else x_e / (1 - rate), with w = e mod period
//                                                                  x may be y; period 1 or more
//                  word_w is word w mod 4 of the Philox4x32-10 block with counter (w / 4, stream, call low, call high)
//                  and key seed (Salmon, Moraes, Dror & Shaw 2011): any thread can draw any element's
//   narrow_f16     y_e = x_e rounded to the nearest half, ties to even
//   widen_f16      y_e = x_e, exactly
//   narrow_bf16    y_e = x_e rounded to the nearest bfloat16, ties to even
//   scale          x_e = factor x_e                                exactly, where the factor is a power of two and nothing
//                                                                  over- or underflows
//
// Versions: one of each. All move as many bytes as they must and compute next to nothing; dropout draws one Philox
// block for four elements and all that lie whole periods behind them.
//
// Launch: blocks of 256, any grid of one dimension; ceil(n / 256) blocks, or ceil(min(n, period) / 1024) for dropout,
// give every thread one turn.
#include "common.cuh"

CAROUSEL_UNIT(elementwise)

namespace carousel {

template <typename R>
__device__ __forceinline__ void fill(R* y, long long n, double value) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = static_cast<R>(value);
    }
}

template <typename R>
__device__ __forceinline__ void copy_columns(
        const R* x, int xPitch, int xColumn, R* y, int yPitch, int yColumn, int rows, int columns) {
    long long n = static_cast<long long>(rows) * columns;
    for (long long e = firstElement(); e < n; e += elementStride()) {
        Place place = placeOf(e, columns);
        long long row = place.row;
        int column = place.column;
        y[row * yPitch + yColumn + column] = x[row * xPitch + xColumn + column];
    }
}

template <typename R>
__device__ __forceinline__ void bias_rows(R* y, const R* b, int rows, int columns) {
    long long n = static_cast<long long>(rows) * columns;
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = b == nullptr ? R(0) : b[placeOf(e, columns).column];
    }
}

template <typename R>
__device__ __forceinline__ void copy_valid(const R* x, R* y, const int* lengths, int T, int N, int width) {
    long long n = static_cast<long long>(T) * N * width;
    for (long long e = firstElement(); e < n; e += elementStride()) {
        Place place = placeOf(placeOf(e, width).row, N);
        bool valid = lengths == nullptr || place.row < lengths[place.column];
        y[e] = valid ? x[e] : R(0);
    }
}

// The block of Philox4x32-10 with this counter and key.
__device__ __forceinline__ void philox(unsigned counter0, unsigned counter1, unsigned counter2, unsigned counter3,
        unsigned long long key, unsigned* words) {
    constexpr unsigned multiplier0 = 0xD2511F53u;
    constexpr unsigned multiplier1 = 0xCD9E8D57u;
    unsigned key0 = static_cast<unsigned>(key);
    unsigned key1 = static_cast<unsigned>(key >> 32);
    for (int round = 0; round < 10; round++) {
        unsigned high0 = __umulhi(multiplier0, counter0);
        unsigned low0 = multiplier0 * counter0;
        unsigned high1 = __umulhi(multiplier1, counter2);
        unsigned low1 = multiplier1 * counter2;
        counter0 = high1 ^ counter1 ^ key0;
        counter1 = low1;
        counter2 = high0 ^ counter3 ^ key1;
        counter3 = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = counter0;
    words[1] = counter1;
    words[2] = counter2;
    words[3] = counter3;
}

template <typename R>
__device__ __forceinline__ void add(const R* x, R* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] += x[e];
    }
}

template <typename R>
__device__ __forceinline__ void dropout(const R* x, R* y, long long n, long long period, int threshold, double rate,
        unsigned long long seed, int stream, unsigned long long call) {
    R kept = static_cast<R>(1 - rate);
    long long drawn = period < n ? period : n;
    long long blocks = (drawn + 3) / 4;
    for (long long block = firstElement(); block < blocks; block += elementStride()) {
        unsigned words[4];
        philox(static_cast<unsigned>(block), static_cast<unsigned>(stream), static_cast<unsigned>(call),
                static_cast<unsigned>(call >> 32), seed, words);
        for (int k = 0; k < 4; k++) {
            long long first = 4 * block + k;
            if (first < drawn) {
                bool drops = words[k] >> 8 < static_cast<unsigned>(threshold);
                for (long long e = first; e < n; e += period) {
                    // Dropped elements are 0 even where x is not a number.
                    y[e] = drops ? R(0) : x[e] / kept;
                }
            }
        }
    }
}

__device__ __forceinline__ void narrow(const float* x, __half* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = __float2half_rn(x[e]);
    }
}

__device__ __forceinline__ void widen(const __half* x, float* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = __half2float(x[e]);
    }
}

__device__ __forceinline__ void narrow(const float* x, __nv_bfloat16* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = __float2bfloat16_rn(x[e]);
    }
}

template <typename R>
__device__ __forceinline__ void scale(R* x, long long n, double factor) {
    R rounded = static_cast<R>(factor);
    for (long long e = firstElement(); e < n; e += elementStride()) {
        x[e] *= rounded;
    }
}

CAROUSEL_KERNELS(kBlock, fill, (R* y, long long n, double value), (y, n, value))
CAROUSEL_KERNELS(kBlock, copy_columns,
        (const R* x, int xPitch, int xColumn, R* y, int yPitch, int yColumn, int rows, int columns),
        (x, xPitch, xColumn, y, yPitch, yColumn, rows, columns))
CAROUSEL_KERNELS(kBlock, bias_rows, (R* y, const R* b, int rows, int columns), (y, b, rows, columns))
CAROUSEL_KERNELS(kBlock, copy_valid, (const R* x, R* y, const int* lengths, int T, int N, int width),
        (x, y, lengths, T, N, width))
CAROUSEL_KERNELS(kBlock, add, (const R* x, R* y, long long n), (x, y, n))
CAROUSEL_KERNELS(kBlock, dropout,
        (const R* x, R* y, long long n, long long period, int threshold, double rate, unsigned long long seed, int stream,
                unsigned long long call),
        (x, y, n, period, threshold, rate, seed, stream, call))
CAROUSEL_KERNEL(kBlock, carousel_narrow_f16, (const float* x, __half* y, long long n), narrow, (x, y, n))
CAROUSEL_KERNEL(kBlock, carousel_widen_f16, (const __half* x, float* y, long long n), widen, (x, y, n))
CAROUSEL_KERNEL(kBlock, carousel_narrow_bf16, (const float* x, __nv_bfloat16* y, long long n), narrow, (x, y, n))
CAROUSEL_KERNELS(kBlock, scale, (R* x, long long n, double factor), (x, n, factor))

}  // namespace carousel
