// What kernels/cluster.cuh takes from PTX, in plain C++17: clusters of blocks, barriers in shared memory with what is sent to them, and
// products of a whole warp. The rules are PTX's, read strictly; see launcher.h for what happens where they are broken.
//
// `site` is the line of the call, for those that suspend the calling thread.
#ifndef CAROUSEL_EMULATION_CLUSTER_H
#define CAROUSEL_EMULATION_CLUSTER_H

#include "emulation.h"

namespace carousel::emulation {

// A launch with less dynamic shared memory than this is an error.
void requireShared(size_t bytes);

unsigned clusterRank();
void clusterSync(int site = __builtin_LINE());

// Barriers lie in dynamic shared memory, and are made once: there is no call that ends one.
void barrierInit(unsigned long long* barrier, unsigned arrivals);
void barrierExpect(unsigned long long* barrier, unsigned bytes);
void barrierWait(unsigned long long* barrier, unsigned parity, int site = __builtin_LINE());

// Some time later, in any order: the words are there, and then the barrier knows it.
void send(unsigned* to, const unsigned* values, unsigned words, unsigned long long* barrier, unsigned rank);

// Letters in global memory, for kernels all of whose blocks run at the same time. `tag` is that of the word that the thread looks for: it
// gets what lies there, but where that is another one the others run first.
void post(unsigned long long* letter, unsigned word, unsigned tag);
unsigned long long collect(const unsigned long long* letter, unsigned tag, int site = __builtin_LINE());

template <int words>
void sendWords(unsigned* to, const unsigned (&values)[words], unsigned long long* barrier, unsigned rank) {
    static_assert(words == 1 || words == 2 || words == 4, "what a store can move");
    send(to, values, words, barrier, rank);
}

// A thread's fragments in a product of its warp.
struct Fragments {
    float* d;
    const unsigned* a;
    const unsigned* b;
};

// All 32 lanes of the warp have to come.
inline void multiply(WarpOperation operation, float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site) {
    Fragments fragments{d, a, b};
    warp(site, operation, 0xffffffffu, reinterpret_cast<uintptr_t>(&fragments), 0);
}

inline void multiplyBf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    multiply(WarpOperation::multiplyBf16, d, a, b, site);
}

inline void multiplyF16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    multiply(WarpOperation::multiplyF16, d, a, b, site);
}

inline void multiplyTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], int site = __builtin_LINE()) {
    multiply(WarpOperation::multiplyTf32, d, a, b, site);
}

// Adds the product of a warp, to all of its lanes' d.
void multiplyLanes(WarpOperation operation, const Fragments* const (&lanes)[32]);

// The nearest number of TF32, of two the one farther from zero; a not-a-number becomes the one that the GPU gives.
inline unsigned roundTf32(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x7f800000) {
        return magnitude > 0x7f800000 ? 0x7fffffff : bits;
    }
    // A carry into the exponent is the next power of two, or infinity.
    return (bits + 0x1000) & ~uint32_t{0x1fff};
}

}  // namespace carousel::emulation

#endif
