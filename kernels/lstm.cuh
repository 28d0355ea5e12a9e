// What all kernels of the LSTM's cell share.
#ifndef CAROUSEL_LSTM_CUH
#define CAROUSEL_LSTM_CUH

#include "common.cuh"

namespace carousel {

// f c_prev + i g, rounded in the same way forward and backward: both must agree where the limit acts.
template <typename R>
__device__ __forceinline__ R unlimitedCell(R f, R cPrevious, R i, R g) {
    return fma(f, cPrevious, i * g);
}

// To [-clip, clip]; clip 0 is none. What is not a number passes.
template <typename R>
__device__ __forceinline__ R limited(R value, R clip) {
    if (clip == R(0)) {
        return value;
    }
    return value > clip ? clip : value < -clip ? -clip : value;
}

// Whether the limit changes it.
template <typename R>
__device__ __forceinline__ bool isBeyond(R value, R clip) {
    return clip > R(0) && fabs(value) > clip;
}

// Whether step t is one of sequence n; lengths null for all steps.
__device__ __forceinline__ bool isValid(const int* lengths, long long n, int t) {
    return lengths == nullptr || t < lengths[n];
}

}  // namespace carousel

#endif
