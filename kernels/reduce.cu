// Sums over many elements. Every order is fixed by the sizes alone: the same data give the same bits in every run and
// for every grid.
//
//   square_sums    partial[b] = sum of x_e^2 in double, over the b-th chunk of x; chunk >= 1, ceil(n / chunk) chunks
//   sum_partials   result[0] = sum of partial[0 .. count)
//   column_sums    partial[b, k] = x[b chunk, k] + x[b chunk + 1, k] + ... in turn, over the b-th chunk of rows;
//                  chunk >= 1, ceil(rows / chunk) chunks
//   add_columns    y[k] += (partial[0, k] + partial[1, k] + ... in turn)
//   x [n] or [rows, columns], partial [chunks] or [count, columns], y [columns]
//
// The squared norm of all gradients is square_sums, then sum_partials; the gradient of a bias is column_sums, then
// add_columns. Squares are summed in double for both real types: a norm decides whether a whole step is clipped.
//
// Versions: one of each.
//   square_sums 1   a block a chunk; a thread takes every 256th element, then the block's fixed tree
//   column_sums 1   a thread a column: neighbouring threads read neighbouring columns
//
// Launch: blocks of 256. square_sums: grid = ceil(n / chunk). sum_partials: grid 1. column_sums: grid
// (ceil(columns / 256), ceil(rows / chunk)). add_columns: grid = ceil(columns / 256). Other grids are correct, too.
#include "common.cuh"

CAROUSEL_UNIT(reduce)

namespace carousel {

template <typename R>
__device__ __forceinline__ void square_sums(const R* x, long long n, long long chunk, double* partial) {
    long long chunks = (n + chunk - 1) / chunk;
    for (long long b = blockIdx.x; b < chunks; b += gridDim.x) {
        long long end = (b + 1) * chunk < n ? (b + 1) * chunk : n;
        double sum = 0;
        for (long long e = b * chunk + threadIdx.x; e < end; e += kBlock) {
            double value = static_cast<double>(x[e]);
            sum += value * value;
        }
        sum = blockSum<double, kBlock>(sum);
        if (threadIdx.x == 0) {
            partial[b] = sum;
        }
    }
}

template <typename R>
__device__ __forceinline__ void sum_partials(const double* partial, int count, R* result) {
    if (blockIdx.x != 0) {
        return;
    }
    double sum = 0;
    for (int b = static_cast<int>(threadIdx.x); b < count; b += kBlock) {
        sum += partial[b];
    }
    sum = blockSum<double, kBlock>(sum);
    if (threadIdx.x == 0) {
        result[0] = static_cast<R>(sum);
    }
}

template <typename R>
__device__ __forceinline__ void column_sums(const R* x, int rows, int columns, int chunk, R* partial) {
    long long chunks = (static_cast<long long>(rows) + chunk - 1) / chunk;
    for (long long b = blockIdx.y; b < chunks; b += gridDim.y) {
        long long end = (b + 1) * chunk < rows ? (b + 1) * chunk : rows;
        for (long long column = firstElement(); column < columns; column += elementStride()) {
            R sum = 0;
            for (long long row = b * chunk; row < end; row++) {
                sum += x[row * columns + column];
            }
            partial[b * columns + column] = sum;
        }
    }
}

template <typename R>
__device__ __forceinline__ void add_columns(const R* partial, int count, int columns, R* y) {
    for (long long column = firstElement(); column < columns; column += elementStride()) {
        R sum = 0;
        for (long long b = 0; b < count; b++) {
            sum += partial[b * columns + column];
        }
        y[column] += sum;
    }
}

CAROUSEL_KERNELS(
        kBlock, square_sums, (const R* x, long long n, long long chunk, double* partial), (x, n, chunk, partial))
CAROUSEL_KERNELS(kBlock, sum_partials, (const double* partial, int count, R* result), (partial, count, result))
CAROUSEL_KERNELS(kBlock, column_sums, (const R* x, int rows, int columns, int chunk, R* partial),
        (x, rows, columns, chunk, partial))
CAROUSEL_KERNELS(kBlock, add_columns, (const R* partial, int count, int columns, R* y), (partial, count, columns, y))

}  // namespace carousel
