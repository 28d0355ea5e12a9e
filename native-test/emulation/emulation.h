// CUDA's device language in plain C++17: what kernels/*.cu sees in place of nvcc's built-ins. Only what the kernels
// use.
//
// The rules are CUDA's, read strictly. __syncthreads must be reached by all threads of a block, at the same line; a
// warp's shuffle or ballot by all threads that its mask names. See launcher.h for what happens otherwise.
#ifndef CAROUSEL_EMULATION_H
#define CAROUSEL_EMULATION_H

#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline

namespace carousel::emulation {

struct Index {
    unsigned x, y, z;
};

enum class WarpOperation { shuffle, ballot, synchronize, multiplyBf16, multiplyF16, multiplyTf32 };

// All of these suspend the calling thread. `site` is the line of the call.
bool barrier(int site, bool predicate);
uint64_t warp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source);

// Memory of the running block, the same for all of its threads: one piece for each key. It starts as not-a-numbers.
void* sharedPiece(const void* key, size_t bytes, size_t alignment);
void* dynamicSharedMemory();

template <typename T>
T* shared(const void* key, size_t count) {
    return static_cast<T*>(sharedPiece(key, count * sizeof(T), alignof(T)));
}

template <typename T>
T shuffle(int site, unsigned mask, T value, unsigned source) {
    static_assert(std::is_arithmetic_v<T>, "only numbers can be shuffled");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    bits = warp(site, WarpOperation::shuffle, mask, bits, source);
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

// A kernel as the launcher sees it.
struct Description {
    const char* name;
    const char* file;
    unsigned blockSize;
    // Blocks of a cluster, along x.
    unsigned cluster;
    size_t parameters;
    const size_t* sizes;
    const bool* pointers;
    void (*call)(void** params);
};

// Kernels announce themselves while the program or library loads.
struct Registration {
    explicit Registration(const Description& description);
};

template <auto function>
struct Thunk;

template <typename... A, void (*function)(A...)>
struct Thunk<function> {
    // One place more than needed: an array may not be empty.
    static constexpr size_t sizes[] = {sizeof(A)..., 0};
    static constexpr bool pointers[] = {std::is_pointer_v<A>..., false};

    template <typename T>
    static T load(const void* from) {
        T value;
        std::memcpy(&value, from, sizeof(T));
        return value;
    }

    template <size_t... I>
    static void callWith(void** params, std::index_sequence<I...>) {
        (void) params;
        function(load<A>(params[I])...);
    }

    static void call(void** params) { callWith(params, std::index_sequence_for<A...>()); }

    static constexpr Description describe(
            const char* name, const char* file, unsigned blockSize, unsigned cluster = 1) {
        return {name, file, blockSize, cluster, sizeof...(A), sizes, pointers, &call};
    }
};

}  // namespace carousel::emulation

// Set by the launcher whenever it enters a thread. The initial-exec model costs one instruction; the few bytes fit a
// library loaded late, too.
#define CAROUSEL_THREAD_LOCAL extern __thread __attribute__((tls_model("initial-exec")))
CAROUSEL_THREAD_LOCAL carousel::emulation::Index threadIdx;
CAROUSEL_THREAD_LOCAL carousel::emulation::Index blockIdx;
CAROUSEL_THREAD_LOCAL carousel::emulation::Index blockDim;
CAROUSEL_THREAD_LOCAL carousel::emulation::Index gridDim;
#undef CAROUSEL_THREAD_LOCAL

constexpr int warpSize = 32;

#define __syncthreads() ((void) ::carousel::emulation::barrier(__LINE__, false))
#define __syncthreads_or(predicate) ((int) ::carousel::emulation::barrier(__LINE__, (predicate) != 0))
#define __syncwarp(mask) \
    ((void) ::carousel::emulation::warp(__LINE__, ::carousel::emulation::WarpOperation::synchronize, (mask), 0, 0))
#define __ballot_sync(mask, predicate) \
    ((unsigned) ::carousel::emulation::warp( \
            __LINE__, ::carousel::emulation::WarpOperation::ballot, (mask), (predicate) ? 1 : 0, 0))
#define __shfl_sync(mask, value, lane) ::carousel::emulation::shuffle(__LINE__, (mask), (value), (lane) &31)
#define __shfl_xor_sync(mask, value, lanes) \
    ::carousel::emulation::shuffle(__LINE__, (mask), (value), (threadIdx.x ^ (lanes)) & 31)

inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}

inline int __ffs(int bits) {
    return __builtin_ffs(bits);
}

// What is loaded and stored at once, and has to be aligned.
struct alignas(16) float4 {
    float x, y, z, w;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

// IEEE half precision.
struct __half {
    uint16_t bits;
};

inline __half __float2half_rn(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {
        // The one not-a-number that the GPU's conversion gives.
        return {0x7fff};
    }
    // From half way between the largest number and the next one that would follow, everything rounds to infinity.
    if (magnitude >= 0x477ff000) {
        return {static_cast<uint16_t>(sign | 0x7c00)};
    }
    // Below 2^-14 the result is a multiple of 2^-24.
    int exponent = static_cast<int>(magnitude >> 23);
    uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    int shift = exponent < 113 ? 126 - exponent : 13;
    if (shift > 24) {
        return {static_cast<uint16_t>(sign)};
    }
    uint32_t kept = mantissa >> shift;
    uint32_t rest = mantissa & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1)) ? 1 : 0;
    // A normal number's leading 1 adds the last unit of the exponent; so does a carry.
    uint32_t biased = exponent < 113 ? kept : kept + (static_cast<uint32_t>(exponent - 113) << 10);
    return {static_cast<uint16_t>(sign | biased)};
}

inline float __half2float(__half value) {
    uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000) << 16;
    uint32_t exponent = value.bits >> 10 & 31;
    uint32_t mantissa = value.bits & 0x3ff;
    float result;
    if (exponent == 0) {
        result = ldexpf(static_cast<float>(mantissa), -24);
        return sign ? -result : result;
    }
    uint32_t bits = sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | mantissa << 13;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

// The upper half of a float.
struct __nv_bfloat16 {
    uint16_t bits;
};

inline __nv_bfloat16 __float2bfloat16_rn(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        // The one not-a-number that the GPU's conversion gives.
        return {0x7fff};
    }
    uint32_t rest = bits & 0xffff;
    uint32_t kept = bits >> 16;
    // A carry into the exponent is the next power of two, or infinity.
    kept += rest > 0x8000 || (rest == 0x8000 && (kept & 1)) ? 1 : 0;
    return {static_cast<uint16_t>(kept)};
}

#endif
