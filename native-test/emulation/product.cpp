// Products of a warp: mma.sync of m16n8k16 for numbers of 16 bits and of m16n8k8 for TF32. The layouts are at the head of
// kernels/cluster.cuh. Products of two operands are exact in float; they are added in float in the order of k.
#include "cluster.h"

namespace carousel::emulation {

namespace {

constexpr int rows = 16;
constexpr int columns = 8;
// Eight at once: a row of D, or of B, and words.
typedef float Row __attribute__((vector_size(columns * sizeof(float))));
typedef uint32_t Words __attribute__((vector_size(columns * sizeof(uint32_t))));

// The numbers in each of eight words, the one in the lower half first.
struct OfBf16 {
    static constexpr int depth = 16;
    static constexpr int numbers = 2;
    __attribute__((always_inline)) static void widen(const Words& words, int index, Row& to) {
        to = reinterpret_cast<Row>(index == 0 ? words << 16 : words & 0xffff0000u);
    }
};

struct OfF16 {
    static constexpr int depth = 16;
    static constexpr int numbers = 2;

    __attribute__((always_inline)) static void widen(const Words& words, int index, Row& to) {
        Words bits = index == 0 ? words & 0xffff : words >> 16;
        Words magnitude = bits & 0x7fff;
        // As if it were a float, whose exponents begin 112 lower; the largest one means the same in both.
        Words finite = reinterpret_cast<Words>(reinterpret_cast<Row>(magnitude << 13) * 0x1p112f);
        Words other = magnitude << 13 | 0x7f800000u;
        Words isOther = reinterpret_cast<Words>(magnitude >= 0x7c00u);
        to = reinterpret_cast<Row>((bits & 0x8000) << 16 | (other & isOther) | (finite & ~isOther));
    }
};

struct OfTf32 {
    static constexpr int depth = 8;
    static constexpr int numbers = 1;
    // The units do not see the low bits.
    __attribute__((always_inline)) static void widen(const Words& words, int, Row& to) { to = reinterpret_cast<Row>(words & 0xffffe000u); }
};

// to[index][k] is a number of word k.
template <typename Operand, int count>
__attribute__((always_inline)) inline void widen(const unsigned (&from)[count], float (&to)[Operand::numbers][count]) {
    for (int index = 0; index < Operand::numbers; index++) {
        for (int k = 0; k < count; k += columns) {
            Words words;
            Row values;
            std::memcpy(&words, from + k, sizeof words);
            Operand::widen(words, index, values);
            std::memcpy(to[index] + k, &values, sizeof values);
        }
    }
}

template <typename Operand>
__attribute__((always_inline)) inline void multiplyAs(const Fragments* const (&lanes)[32]) {
    constexpr int depth = Operand::depth;
    constexpr int numbers = Operand::numbers;
    unsigned aWords[32 * 4];
    unsigned bWords[32 * 2];
    float d[rows][columns];
    for (int lane = 0; lane < 32; lane++) {
        std::memcpy(aWords + 4 * lane, lanes[lane]->a, 4 * sizeof(unsigned));
        std::memcpy(bWords + 2 * lane, lanes[lane]->b, 2 * sizeof(unsigned));
        std::memcpy(&d[lane / 4][2 * (lane % 4)], lanes[lane]->d, 2 * sizeof(float));
        std::memcpy(&d[lane / 4 + 8][2 * (lane % 4)], lanes[lane]->d + 2, 2 * sizeof(float));
    }
    float aNumbers[numbers][32 * 4];
    float bNumbers[numbers][32 * 2];
    widen<Operand>(aWords, aNumbers);
    widen<Operand>(bWords, bNumbers);
    float a[rows][depth];
    float b[depth][columns];
    for (int lane = 0; lane < 32; lane++) {
        int group = lane / 4;
        for (int index = 0; index < numbers; index++) {
            const float* fromA = aNumbers[index] + 4 * lane;
            const float* fromB = bNumbers[index] + 2 * lane;
            int k = numbers * (lane % 4) + index;
            a[group][k] = fromA[0];
            a[group + 8][k] = fromA[1];
            a[group][k + depth / 2] = fromA[2];
            a[group + 8][k + depth / 2] = fromA[3];
            b[k][group] = fromB[0];
            b[k + depth / 2][group] = fromB[1];
        }
    }
    for (int row = 0; row < rows; row++) {
        Row sums;
        std::memcpy(&sums, d[row], sizeof sums);
        for (int k = 0; k < depth; k++) {
            Row factors;
            std::memcpy(&factors, b[k], sizeof factors);
            sums += a[row][k] * factors;
        }
        std::memcpy(d[row], &sums, sizeof sums);
    }
    for (int lane = 0; lane < 32; lane++) {
        std::memcpy(lanes[lane]->d, &d[lane / 4][2 * (lane % 4)], 2 * sizeof(float));
        std::memcpy(lanes[lane]->d + 2, &d[lane / 4 + 8][2 * (lane % 4)], 2 * sizeof(float));
    }
}

}  // namespace

// Twice as fast with vectors of eight floats. They give the same bits: products are exact, and nothing is fused.
#if defined(__x86_64__) && defined(__ELF__)
#define CAROUSEL_VECTORS __attribute__((target_clones("avx2", "default")))
#else
#define CAROUSEL_VECTORS
#endif

CAROUSEL_VECTORS void multiplyLanes(WarpOperation operation, const Fragments* const (&lanes)[32]) {
    switch (operation) {
        case WarpOperation::multiplyBf16: return multiplyAs<OfBf16>(lanes);
        case WarpOperation::multiplyF16: return multiplyAs<OfF16>(lanes);
        default: return multiplyAs<OfTf32>(lanes);
    }
}

}  // namespace carousel::emulation
