// Products on tensor cores, thread block clusters and barriers in shared memory: what the kernels use of PTX beyond CUDA C++, each in one
// function. Compiled with CAROUSEL_EMULATION defined they are the functions of native-test/emulation/cluster.h.
//
// A fragment is a thread's share of a matrix that the 32 threads of a warp hold together (PTX ISA 8.0, 9.7.13). With g = lane / 4 and
// t = lane % 4:
//   A [16, 16] of 16 bits, two to a word: a[0] is row g, columns 2t and 2t + 1; a[1] row g + 8; a[2], a[3] the same, 8 columns on
//   B [16, 8] of 16 bits:                 b[0] is rows 2t and 2t + 1 of column g; b[1] the same, 8 rows on
//   A [16, 8] of TF32:                    a[0] is row g, column t; a[1] row g + 8; a[2], a[3] the same, 4 columns on
//   B [8, 8] of TF32:                     b[0] is row t of column g; b[1] the same, 4 rows on
//   D [16, 8] of floats:                  d[0], d[1] are row g, columns 2t and 2t + 1; d[2], d[3] row g + 8
#ifndef CAROUSEL_CLUSTER_CUH
#define CAROUSEL_CLUSTER_CUH

#include "common.cuh"

#ifdef CAROUSEL_EMULATION

#include "cluster.h"

// A kernel whose blocks come in clusters of `cluster` along x.
#define CAROUSEL_CLUSTER_ENTRY(block, cluster, symbol, parameters) \
    static void symbol parameters; \
    static const ::carousel::emulation::Registration symbol##_registration( \
            ::carousel::emulation::Thunk<&symbol>::describe(#symbol, __FILE__, block, cluster)); \
    static void symbol parameters

// A kernel all of whose blocks run at the same time: for cooperative launches.
#define CAROUSEL_GRID_ENTRY(block, symbol, parameters) \
    static void symbol parameters; \
    static const ::carousel::emulation::Registration symbol##_registration( \
            ::carousel::emulation::Thunk<&symbol>::describe(#symbol, __FILE__, block, 0)); \
    static void symbol parameters

#else

// One block a multiprocessor is enough: registers are for the weights.
#define CAROUSEL_CLUSTER_ENTRY(block, cluster, symbol, parameters) \
    extern "C" __global__ void __cluster_dims__(cluster, 1, 1) __launch_bounds__(block, 1) symbol parameters
#define CAROUSEL_GRID_ENTRY(block, symbol, parameters) CAROUSEL_ENTRY(block, symbol, parameters)

#endif

namespace carousel {

// Operand types. Word is what a barrier counts and a store moves at least: two numbers of 16 bits, or one of 32.
struct Bf16 {};
struct F16 {};
struct Tf32 {};
// Exact: products of floats.
struct F32 {};

#ifdef CAROUSEL_EMULATION

using emulation::barrierExpect;
using emulation::barrierInit;
using emulation::barrierWait;
using emulation::clusterRank;
using emulation::clusterSync;
using emulation::collect;
using emulation::post;
using emulation::requireShared;
using emulation::roundTf32;
using emulation::sendWords;

// 2^x, and 1 / x.
__device__ __forceinline__ float power(float x) {
    return exp2f(x);
}
__device__ __forceinline__ float reciprocal(float x) {
    return 1 / x;
}

// d += a b, of 16 bits; of TF32. `site` is the line of the call.
__device__ __forceinline__ void multiply(
        Bf16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    emulation::multiplyBf16(d, a, b, site);
}
__device__ __forceinline__ void multiply(
        F16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    emulation::multiplyF16(d, a, b, site);
}
__device__ __forceinline__ void multiply(
        Tf32, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    emulation::multiplyTf32(d, a, b, site);
}

__device__ __forceinline__ unsigned bitsOf(__nv_bfloat16 value) {
    return value.bits;
}
__device__ __forceinline__ unsigned bitsOf(__half value) {
    return value.bits;
}
__device__ __forceinline__ unsigned bitsOf(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
__device__ __forceinline__ float floatOf(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

#else

__device__ __forceinline__ void multiply(Bf16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void multiply(F16, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ __forceinline__ void multiply(Tf32, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// 2^x within 2^-22 of it, and 1 / x within 2^-23 (PTX ISA 8.0, 9.7.3): one instruction each.
__device__ __forceinline__ float power(float x) {
    float y;
    asm("ex2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float reciprocal(float x) {
    float y;
    asm("rcp.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// The nearest number of TF32, as bits of a float.
__device__ __forceinline__ unsigned roundTf32(float value) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

__device__ __forceinline__ unsigned bitsOf(__nv_bfloat16 value) {
    return __bfloat16_as_ushort(value);
}
__device__ __forceinline__ unsigned bitsOf(__half value) {
    return __half_as_ushort(value);
}
__device__ __forceinline__ unsigned bitsOf(float value) {
    return __float_as_uint(value);
}
__device__ __forceinline__ float floatOf(unsigned bits) {
    return __uint_as_float(bits);
}

// What a launch has to bring of dynamic shared memory: the emulation checks it.
__device__ __forceinline__ void requireShared(size_t) {}

// From here on for compute capability 9.0: what nothing uses is not compiled.

// This block's place in its cluster.
__device__ __forceinline__ unsigned clusterRank() {
    unsigned rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// All threads of the cluster meet; what they wrote to shared memory before is seen after.
__device__ __forceinline__ void clusterSync() {
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ unsigned sharedAddress(const void* pointer) {
    return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// A barrier in this block's shared memory whose phases end when so many threads have arrived and all bytes that they expect have come.
// One thread makes it; the cluster has to meet before another block sends to it.
__device__ __forceinline__ void barrierInit(unsigned long long* barrier, unsigned arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n\tfence.mbarrier_init.release.cluster;" ::"r"(
                         sharedAddress(barrier)),
            "r"(arrivals)
            : "memory");
}

// Arrives, and says that so many more bytes belong to the running phase.
__device__ __forceinline__ void barrierExpect(unsigned long long* barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(sharedAddress(barrier)), "r"(bytes)
            : "memory");
}

// Waits for the end of the phase of this parity: 0 for the first one. What was sent in it is there then.
__device__ __forceinline__ void barrierWait(unsigned long long* barrier, unsigned parity) {
    asm volatile(
            "{\n\t"
            ".reg .pred done;\n\t"
            "again:\n\t"
            "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n\t"
            "@!done bra again;\n\t"
            "}" ::"r"(sharedAddress(barrier)),
            "r"(parity)
            : "memory");
}

// Stores 1, 2 or 4 words at `to` in the shared memory of another block of the cluster, or of this one, and tells the barrier there;
// `to` and `barrier` are this block's own addresses of the same places.
template <int words>
__device__ __forceinline__ void sendWords(
        unsigned* to, const unsigned (&values)[words], unsigned long long* barrier, unsigned rank) {
    static_assert(words == 1 || words == 2 || words == 4, "what a store can move");
    unsigned remote;
    unsigned remoteBarrier;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(sharedAddress(to)), "r"(rank));
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
                 : "=r"(remoteBarrier)
                 : "r"(sharedAddress(barrier)), "r"(rank));
    if constexpr (words == 1) {
        asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(remote),
                "r"(values[0]), "r"(remoteBarrier)
                : "memory");
    } else if constexpr (words == 2) {
        asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1,%2}, [%3];" ::"r"(remote),
                "r"(values[0]), "r"(values[1]), "r"(remoteBarrier)
                : "memory");
    } else {
        asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1,%2,%3,%4}, [%5];" ::"r"(
                             remote),
                "r"(values[0]), "r"(values[1]), "r"(values[2]), "r"(values[3]), "r"(remoteBarrier)
                : "memory");
    }
}

// Puts a word where other blocks look for it, with what they know it by: 8 bytes that are seen together or not at all.
__device__ __forceinline__ void post(unsigned long long* letter, unsigned word, unsigned tag) {
    unsigned long long whole = static_cast<unsigned long long>(tag) << 32 | word;
    asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" ::"l"(letter), "l"(whole) : "memory");
}

// What lies there now; the tag that is looked for tells the emulation when to let others run first.
__device__ __forceinline__ unsigned long long collect(const unsigned long long* letter, unsigned) {
    unsigned long long whole;
    asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(whole) : "l"(letter) : "memory");
    return whole;
}

#endif

}  // namespace carousel

#endif
