// What all kernels share: how they get their names, how their threads divide work, and the sums of a block.
//
// A kernel is written once as a template over the real type R and gets its two names, carousel_<name>_f32 and
// carousel_<name>_f64, from CAROUSEL_KERNELS. Compiled with CAROUSEL_EMULATION defined, all of this is plain C++17 that
// runs on a CPU (native-test/emulation).
#ifndef CAROUSEL_COMMON_CUH
#define CAROUSEL_COMMON_CUH

#ifdef CAROUSEL_EMULATION

#include "emulation.h"

// Names this file's kernels as one unit, so that they are linked.
#define CAROUSEL_UNIT(name) \
    void carousel_unit_##name(); \
    void carousel_unit_##name() {}

#define CAROUSEL_ENTRY(block, symbol, parameters) \
    static void symbol parameters; \
    static const ::carousel::emulation::Registration symbol##_registration( \
            ::carousel::emulation::Thunk<&symbol>::describe(#symbol, __FILE__, block)); \
    static void symbol parameters

// `type name[count]` in the block's shared memory, and the launch's dynamic shared memory as `type name[]`.
#define CAROUSEL_SHARED(type, name, count) \
    static const char name##_key = 0; \
    static_assert((count) * sizeof(type) <= 48 * 1024, "more shared memory than a block has"); \
    type* const name = ::carousel::emulation::shared<type>(&name##_key, (count))
#define CAROUSEL_DYNAMIC_SHARED(type, name) \
    type* const name = static_cast<type*>(::carousel::emulation::dynamicSharedMemory())

// Before a loop that nvcc would unroll for no gain.
#define CAROUSEL_NO_UNROLL

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math.h>

#define CAROUSEL_UNIT(name)
#define CAROUSEL_ENTRY(block, symbol, parameters) extern "C" __global__ void __launch_bounds__(block) symbol parameters
#define CAROUSEL_SHARED(type, name, count) __shared__ type name[count]
#define CAROUSEL_DYNAMIC_SHARED(type, name) \
    extern __shared__ double carousel_dynamic_shared[]; \
    type* const name = reinterpret_cast<type*>(carousel_dynamic_shared)
#define CAROUSEL_NO_UNROLL _Pragma("unroll 1")

#endif

// The kernel `symbol`, launched with `block` threads a block, which calls `name` with `arguments`.
#define CAROUSEL_KERNEL(block, symbol, parameters, name, arguments) \
    CAROUSEL_ENTRY(block, symbol, parameters) { \
        name arguments; \
    }

// The kernel `name` for both real types; `parameters` and `arguments` in parentheses.
#define CAROUSEL_KERNELS(block, name, parameters, arguments) \
    namespace f32 { \
    using R = float; \
    CAROUSEL_KERNEL(block, carousel_##name##_f32, parameters, name<R>, arguments) \
    } \
    namespace f64 { \
    using R = double; \
    CAROUSEL_KERNEL(block, carousel_##name##_f64, parameters, name<R>, arguments) \
    }

namespace carousel {

// Threads a block, unless a kernel says otherwise.
constexpr int kBlock = 256;
constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xffffffffu;

// A thread's first element and the distance to its next one, for any grid of one dimension.
__device__ __forceinline__ long long firstElement() {
    return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ long long elementStride() {
    return static_cast<long long>(gridDim.x) * blockDim.x;
}

// Row and column of element e of a matrix with rows of that width. A GPU divides 32 bits in some twenty instructions and 64 in a call that
// takes several times as long, so 64 are divided only where there are more elements than 32 can count.
struct Place {
    long long row;
    int column;
};

__device__ __forceinline__ Place placeOf(long long e, int width) {
    if (e <= 0xffffffffLL) {
        unsigned row = static_cast<unsigned>(e) / static_cast<unsigned>(width);
        return {row, static_cast<int>(static_cast<unsigned>(e) - row * static_cast<unsigned>(width))};
    }
    long long row = e / width;
    return {row, static_cast<int>(e - row * width)};
}

template <typename R>
__device__ __forceinline__ R notANumber() {
    return static_cast<R>(NAN);
}

// expf is within 2 ulp and overflows to infinity, which gives 0: no range needs care.
template <typename R>
__device__ __forceinline__ R sigmoid(R x) {
    return R(1) / (R(1) + exp(-x));
}

// The sum of every thread's value, the same on all threads of the block. The tree is fixed: lanes at distance 16, 8, 4,
// 2, 1, then warps in turn. All threads of the block must call it.
template <typename T, int block>
__device__ __forceinline__ T blockSum(T value) {
    static_assert(block % kWarp == 0, "whole warps");
    CAROUSEL_SHARED(T, warpSums, block / kWarp);
    for (int distance = kWarp / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(kAllLanes, value, distance);
    }
    // Whoever called this before may still be reading.
    __syncthreads();
    if (threadIdx.x % kWarp == 0) {
        warpSums[threadIdx.x / kWarp] = value;
    }
    __syncthreads();
    T sum = warpSums[0];
    for (int warp = 1; warp < block / kWarp; warp++) {
        sum += warpSums[warp];
    }
    return sum;
}

}  // namespace carousel

#endif
