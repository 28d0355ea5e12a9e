// Functions of x [rows, columns] without parameters, n = rows * columns elements, and the gradients dx of a loss with respect to x
// from the functions' values y and the loss's gradient dy.
//
//   relu      y = max(x, 0)                                     dx = dy where y > 0, 0 elsewhere
//   sigmoid   y = 1 / (1 + exp(-x))                             dx = dy y (1 - y)
//   tanh      y = tanh(x)                                       dx = dy (1 - y^2)
//   softmax   y_mk = exp(x_mk - s_m) / sum_j exp(x_mj - s_m)    dx_mk = y_mk (dy_mk - sum_j dy_mj y_mj)
//             with s_m the largest x_mk, which keeps exp from overflowing and changes nothing else
//
// y may be x, and dx may be dy. What is not a number stays so, for a softmax in the whole row.
//
// Versions: one of each. softmax takes a block a row; sums are the block's fixed tree over what each thread has summed in turn; it
// reads x three times and computes exp twice rather than keep a row of any length in shared memory.
//
// Launch: relu, sigmoid and tanh and their gradients: blocks of 256, any grid of one dimension; ceil(n / 256) blocks give every
// thread one turn. softmax and its gradient: grid = rows, blocks of 128; any other grid is correct, too.
#include "common.cuh"

CAROUSEL_UNIT(activation)

namespace carousel {

constexpr int kSoftmaxBlock = 128;

template <typename R>
__device__ __forceinline__ void activation_relu(const R* x, R* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        // Not fmax, which would hide what is not a number.
        y[e] = x[e] < R(0) ? R(0) : x[e];
    }
}

template <typename R>
__device__ __forceinline__ void activation_sigmoid(const R* x, R* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = sigmoid(x[e]);
    }
}

template <typename R>
__device__ __forceinline__ void activation_tanh(const R* x, R* y, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        y[e] = tanh(x[e]);
    }
}

// The largest of every thread's value, the same on all threads of the block, which must all call it. What is not a number loses.
// Between two calls there must be a barrier: here it is that of the sum.
template <typename R>
__device__ __forceinline__ R blockLargest(R value) {
    CAROUSEL_SHARED(R, ofWarps, kSoftmaxBlock / kWarp);
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        R other = __shfl_xor_sync(kAllLanes, value, distance);
        value = other > value ? other : value;
    }
    if (threadIdx.x % kWarp == 0) {
        ofWarps[threadIdx.x / kWarp] = value;
    }
    __syncthreads();
    R largest = ofWarps[0];
    for (int warp = 1; warp < kSoftmaxBlock / kWarp; warp++) {
        largest = ofWarps[warp] > largest ? ofWarps[warp] : largest;
    }
    return largest;
}

template <typename R>
__device__ __forceinline__ void activation_softmax(const R* x, R* y, int rows, int columns) {
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        const R* from = x + static_cast<long long>(m) * columns;
        R* to = y + static_cast<long long>(m) * columns;
        R largest = -static_cast<R>(INFINITY);
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kSoftmaxBlock) {
            largest = from[k] > largest ? from[k] : largest;
        }
        largest = blockLargest(largest);
        R sum = 0;
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kSoftmaxBlock) {
            sum += exp(from[k] - largest);
        }
        sum = blockSum<R, kSoftmaxBlock>(sum);
        // Unrolled, this needs more registers in double precision than ptxas is ready to give on sm_90.
        CAROUSEL_NO_UNROLL
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kSoftmaxBlock) {
            to[k] = exp(from[k] - largest) / sum;
        }
    }
}

template <typename R>
__device__ __forceinline__ void activation_relu_backward(const R* y, const R* dy, R* dx, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        dx[e] = y[e] > R(0) ? dy[e] : R(0);
    }
}

template <typename R>
__device__ __forceinline__ void activation_sigmoid_backward(const R* y, const R* dy, R* dx, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        dx[e] = dy[e] * (y[e] * (R(1) - y[e]));
    }
}

template <typename R>
__device__ __forceinline__ void activation_tanh_backward(const R* y, const R* dy, R* dx, long long n) {
    for (long long e = firstElement(); e < n; e += elementStride()) {
        dx[e] = dy[e] * (R(1) - y[e] * y[e]);
    }
}

template <typename R>
__device__ __forceinline__ void activation_softmax_backward(const R* y, const R* dy, R* dx, int rows, int columns) {
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        long long row = static_cast<long long>(m) * columns;
        R sum = 0;
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kSoftmaxBlock) {
            sum += dy[row + k] * y[row + k];
        }
        sum = blockSum<R, kSoftmaxBlock>(sum);
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kSoftmaxBlock) {
            dx[row + k] = y[row + k] * (dy[row + k] - sum);
        }
    }
}

CAROUSEL_KERNELS(kBlock, activation_relu, (const R* x, R* y, long long n), (x, y, n))
CAROUSEL_KERNELS(kBlock, activation_sigmoid, (const R* x, R* y, long long n), (x, y, n))
CAROUSEL_KERNELS(kBlock, activation_tanh, (const R* x, R* y, long long n), (x, y, n))
CAROUSEL_KERNELS(kSoftmaxBlock, activation_softmax, (const R* x, R* y, int rows, int columns), (x, y, rows, columns))
CAROUSEL_KERNELS(kBlock, activation_relu_backward, (const R* y, const R* dy, R* dx, long long n), (y, dy, dx, n))
CAROUSEL_KERNELS(kBlock, activation_sigmoid_backward, (const R* y, const R* dy, R* dx, long long n), (y, dy, dx, n))
CAROUSEL_KERNELS(kBlock, activation_tanh_backward, (const R* y, const R* dy, R* dx, long long n), (y, dy, dx, n))
CAROUSEL_KERNELS(kSoftmaxBlock, activation_softmax_backward,
        (const R* y, const R* dy, R* dx, int rows, int columns), (y, dy, dx, rows, columns))

}  // namespace carousel
