// Products of a warp: mma.sync of m16n8k16 for numbers of 16 bits and of m16n8k8 for TF32. The layouts are at the head of
// kernels/cluster.cuh. Products of two operands are exact in float; they are added in float in the order of k.
#include "cluster.h"

namespace carousel::emulation {

namespace {

constexpr int rows = 16;
constexpr int columns = 8;

float ofBits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

struct OfBf16 {
    static constexpr int depth = 16;
    static constexpr int numbers = 2;
    static float at(unsigned word, int index) { return ofBits(index == 0 ? word << 16 : word & 0xffff0000u); }
};

struct OfF16 {
    static constexpr int depth = 16;
    static constexpr int numbers = 2;
    static float at(unsigned word, int index) {
        unsigned bits = word >> 16 * index & 0xffff;
        unsigned sign = (bits & 0x8000) << 16;
        unsigned magnitude = bits & 0x7fff;
        if (magnitude >= 0x7c00) {
            return __half2float({static_cast<uint16_t>(bits)});
        }
        // The smallest numbers are multiples of 2^-24.
        float value = magnitude < 0x400 ? static_cast<float>(magnitude) * 0x1p-24f : ofBits((magnitude << 13) + (112u << 23));
        return sign != 0 ? -value : value;
    }
};

struct OfTf32 {
    static constexpr int depth = 8;
    static constexpr int numbers = 1;
    // The units do not see the low bits.
    static float at(unsigned word, int) { return ofBits(word & 0xffffe000u); }
};

template <typename Operand>
void multiplyAs(const Fragments* const (&lanes)[32]) {
    constexpr int depth = Operand::depth;
    constexpr int numbers = Operand::numbers;
    float a[depth][rows];
    float b[depth][columns];
    float d[rows][columns];
    for (int lane = 0; lane < 32; lane++) {
        const Fragments& own = *lanes[lane];
        int group = lane / 4;
        int place = lane % 4;
        for (int index = 0; index < numbers; index++) {
            int k = numbers * place + index;
            a[k][group] = Operand::at(own.a[0], index);
            a[k][group + 8] = Operand::at(own.a[1], index);
            a[k + depth / 2][group] = Operand::at(own.a[2], index);
            a[k + depth / 2][group + 8] = Operand::at(own.a[3], index);
            b[k][group] = Operand::at(own.b[0], index);
            b[k + depth / 2][group] = Operand::at(own.b[1], index);
        }
        std::memcpy(&d[group][2 * place], own.d, 2 * sizeof(float));
        std::memcpy(&d[group + 8][2 * place], own.d + 2, 2 * sizeof(float));
    }
    for (int row = 0; row < rows; row++) {
        float sums[columns];
        std::memcpy(sums, d[row], sizeof sums);
        for (int k = 0; k < depth; k++) {
            for (int column = 0; column < columns; column++) {
                sums[column] += a[k][row] * b[k][column];
            }
        }
        std::memcpy(d[row], sums, sizeof sums);
    }
    for (int lane = 0; lane < 32; lane++) {
        std::memcpy(lanes[lane]->d, &d[lane / 4][2 * (lane % 4)], 2 * sizeof(float));
        std::memcpy(lanes[lane]->d + 2, &d[lane / 4 + 8][2 * (lane % 4)], 2 * sizeof(float));
    }
}

}  // namespace

void multiplyLanes(WarpOperation operation, const Fragments* const (&lanes)[32]) {
    switch (operation) {
        case WarpOperation::multiplyBf16: return multiplyAs<OfBf16>(lanes);
        case WarpOperation::multiplyF16: return multiplyAs<OfF16>(lanes);
        default: return multiplyAs<OfTf32>(lanes);
    }
}

}  // namespace carousel::emulation
