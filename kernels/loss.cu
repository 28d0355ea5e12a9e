// Losses of predictions p [rows, columns], one row at a time, with their gradients. Row m has weight w_m, 1 without
// weights.
//
//   softmax   q = softmax(p_m)
//             loss_m = log sum_k exp(p_mk) - p_m,label                          gradient q - onehot(label)
//             right_m = 1 where the largest p_mk, the first one among equals, is the label's
//   squared   loss_m = 1/K sum_k (p_mk - t_mk)^2                                gradient 2/K (p - t)
//             right_m = 0
//   sigmoid   loss_m = 1/K sum_k max(p, 0) - p t + log(1 + exp(-|p|))           gradient 1/K (sigma(p) - t)
//             right_m = share of elements with p > 0 exactly where t > 0.5
//
//   report [3]             sum_m w_m loss_m, sum_m w_m right_m, sum_m w_m
//   dp [rows, columns]     w_m gradient / report[2], 0 where report[2] is 0; null when not wanted
//   partial [2 rows]       w_m loss_m, then w_m right_m
//   labels [rows], targets [rows, columns], weights [rows] or null
//
// Rows of weight 0 are not looked at, they may hold anything, and have a gradient of 0. A label outside of [0, columns)
// gives a loss and a gradient that are not a number.
//
// Three launches: loss_weights gives report[2], which the gradients are divided by; loss_softmax, loss_squared or
// loss_sigmoid; loss_report.
//
// Versions: one of each. A block a row; sums are the block's fixed tree over what each thread has summed in turn.
// softmax reads p twice and computes exp twice rather than keep a row of any length in shared memory.
//
// Launch: loss_weights and loss_report: grid 1, blocks of 256. The losses: grid = rows, blocks of 128; any other grid
// is correct, too.
#include "common.cuh"

CAROUSEL_UNIT(loss)

namespace carousel {

constexpr int kLossBlock = 128;

template <typename R>
__device__ __forceinline__ void loss_weights(const R* weights, int rows, R* report) {
    if (blockIdx.x != 0) {
        return;
    }
    R sum = 0;
    for (int m = static_cast<int>(threadIdx.x); m < rows; m += kBlock) {
        sum += weights == nullptr ? R(1) : weights[m];
    }
    sum = blockSum<R, kBlock>(sum);
    if (threadIdx.x == 0) {
        report[2] = sum;
    }
}

template <typename R>
__device__ __forceinline__ void loss_report(const R* partial, int rows, R* report) {
    if (blockIdx.x != 0) {
        return;
    }
    for (int which = 0; which < 2; which++) {
        R sum = 0;
        for (int m = static_cast<int>(threadIdx.x); m < rows; m += kBlock) {
            sum += partial[static_cast<long long>(which) * rows + m];
        }
        sum = blockSum<R, kBlock>(sum);
        if (threadIdx.x == 0) {
            report[which] = sum;
        }
    }
}

// An element of a row and where it is.
template <typename R>
struct Largest {
    R value;
    int index;
};

// The larger of two, the first one among equals. What is not a number loses.
template <typename R>
__device__ __forceinline__ Largest<R> larger(Largest<R> a, Largest<R> b) {
    bool second = b.value > a.value || (b.value == a.value && b.index < a.index);
    return second ? b : a;
}

// The largest element of a row and its index, the same on all threads. Where the row's first element is not a number
// nothing is larger.
template <typename R>
__device__ __forceinline__ Largest<R> largestOf(const R* p, int columns) {
    CAROUSEL_SHARED(R, values, kLossBlock / kWarp);
    CAROUSEL_SHARED(int, indices, kLossBlock / kWarp);
    Largest<R> largest = {-static_cast<R>(INFINITY), columns};
    for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
        largest = larger(largest, {p[k], k});
    }
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        R value = __shfl_xor_sync(kAllLanes, largest.value, distance);
        int index = __shfl_xor_sync(kAllLanes, largest.index, distance);
        largest = larger(largest, {value, index});
    }
    // The last row's may still be read.
    __syncthreads();
    if (threadIdx.x % kWarp == 0) {
        values[threadIdx.x / kWarp] = largest.value;
        indices[threadIdx.x / kWarp] = largest.index;
    }
    __syncthreads();
    largest = {values[0], indices[0]};
    for (int warp = 1; warp < kLossBlock / kWarp; warp++) {
        largest = larger(largest, {values[warp], indices[warp]});
    }
    if (columns > 0 && p[0] != p[0]) {
        largest = {p[0], 0};
    }
    return largest;
}

template <typename R>
__device__ __forceinline__ R weightOf(const R* weights, int m) {
    return weights == nullptr ? R(1) : weights[m];
}

// What a row's gradient is multiplied by.
template <typename R>
__device__ __forceinline__ R gradientFactor(R weight, const R* report) {
    return report[2] == R(0) ? R(0) : weight / report[2];
}

// A row that is left out.
template <typename R>
__device__ __forceinline__ void leaveOut(R* d, int columns, R* partial, int rows, int m) {
    if (d != nullptr) {
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
            d[k] = 0;
        }
    }
    if (threadIdx.x == 0) {
        partial[m] = 0;
        partial[static_cast<long long>(rows) + m] = 0;
    }
}

template <typename R>
__device__ __forceinline__ void loss_softmax(const R* predictions, const int* labels, const R* weights, int rows,
        int columns, const R* report, R* dp, R* partial) {
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        const R* p = predictions + static_cast<long long>(m) * columns;
        R* d = dp == nullptr ? nullptr : dp + static_cast<long long>(m) * columns;
        R weight = weightOf(weights, m);
        if (weight == R(0)) {
            leaveOut(d, columns, partial, rows, m);
            continue;
        }
        int label = labels[m];
        bool known = label >= 0 && label < columns;
        // Shifting by the largest keeps exp from overflowing and changes nothing else.
        Largest<R> largest = largestOf(p, columns);
        R sum = 0;
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
            sum += exp(p[k] - largest.value);
        }
        sum = blockSum<R, kLossBlock>(sum);
        if (d != nullptr) {
            R factor = gradientFactor(weight, report);
            for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
                R gradient = exp(p[k] - largest.value) / sum - (k == label ? R(1) : R(0));
                d[k] = known ? gradient * factor : notANumber<R>();
            }
        }
        if (threadIdx.x == 0) {
            // In this order what is large cancels before what is small is added.
            partial[m] = known ? weight * (log(sum) + (largest.value - p[label])) : notANumber<R>();
            partial[static_cast<long long>(rows) + m] = known && largest.index == label ? weight : R(0);
        }
    }
}

template <typename R>
__device__ __forceinline__ void loss_squared(const R* predictions, const R* targets, const R* weights, int rows,
        int columns, const R* report, R* dp, R* partial) {
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        const R* p = predictions + static_cast<long long>(m) * columns;
        const R* t = targets + static_cast<long long>(m) * columns;
        R* d = dp == nullptr ? nullptr : dp + static_cast<long long>(m) * columns;
        R weight = weightOf(weights, m);
        if (weight == R(0)) {
            leaveOut(d, columns, partial, rows, m);
            continue;
        }
        R factor = gradientFactor(weight, report);
        R sum = 0;
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
            R difference = p[k] - t[k];
            sum += difference * difference;
            if (d != nullptr) {
                d[k] = 2 * difference / columns * factor;
            }
        }
        sum = blockSum<R, kLossBlock>(sum);
        if (threadIdx.x == 0) {
            partial[m] = weight * (sum / columns);
            partial[static_cast<long long>(rows) + m] = 0;
        }
    }
}

template <typename R>
__device__ __forceinline__ void loss_sigmoid(const R* predictions, const R* targets, const R* weights, int rows,
        int columns, const R* report, R* dp, R* partial) {
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        const R* p = predictions + static_cast<long long>(m) * columns;
        const R* t = targets + static_cast<long long>(m) * columns;
        R* d = dp == nullptr ? nullptr : dp + static_cast<long long>(m) * columns;
        R weight = weightOf(weights, m);
        if (weight == R(0)) {
            leaveOut(d, columns, partial, rows, m);
            continue;
        }
        R factor = gradientFactor(weight, report);
        R sum = 0;
        int right = 0;
        for (int k = static_cast<int>(threadIdx.x); k < columns; k += kLossBlock) {
            R logit = p[k];
            R wanted = t[k];
            // Not fmax, which would hide what is not a number.
            R positive = logit < R(0) ? R(0) : logit;
            sum += positive - logit * wanted + log1p(exp(-fabs(logit)));
            right += (logit > R(0)) == (wanted > R(0.5)) ? 1 : 0;
            if (d != nullptr) {
                d[k] = (sigmoid(logit) - wanted) / columns * factor;
            }
        }
        sum = blockSum<R, kLossBlock>(sum);
        right = blockSum<int, kLossBlock>(right);
        if (threadIdx.x == 0) {
            partial[m] = weight * (sum / columns);
            partial[static_cast<long long>(rows) + m] = weight * (static_cast<R>(right) / columns);
        }
    }
}

CAROUSEL_KERNELS(kBlock, loss_weights, (const R* weights, int rows, R* report), (weights, rows, report))
CAROUSEL_KERNELS(kLossBlock, loss_softmax,
        (const R* p, const int* labels, const R* weights, int rows, int columns, const R* report, R* dp, R* partial),
        (p, labels, weights, rows, columns, report, dp, partial))
CAROUSEL_KERNELS(kLossBlock, loss_squared,
        (const R* p, const R* targets, const R* weights, int rows, int columns, const R* report, R* dp, R* partial),
        (p, targets, weights, rows, columns, report, dp, partial))
CAROUSEL_KERNELS(kLossBlock, loss_sigmoid,
        (const R* p, const R* targets, const R* weights, int rows, int columns, const R* report, R* dp, R* partial),
        (p, targets, weights, rows, columns, report, dp, partial))
CAROUSEL_KERNELS(kBlock, loss_report, (const R* partial, int rows, R* report), (partial, rows, report))

}  // namespace carousel
