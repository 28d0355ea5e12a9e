// Narrow floating-point formats, converted in software.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace carousel::standin {

inline uint32_t bitsOf(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float floatOf(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

/// IEEE 754 binary16, rounded to nearest even.
struct Half {
    uint16_t bits;

    static float toFloat(Half h) {
        uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16;
        uint32_t exponent = (h.bits >> 10) & 0x1f;
        uint32_t mantissa = h.bits & 0x3ff;
        if (exponent == 0x1f) {
            return floatOf(sign | 0x7f800000 | mantissa << 13);
        }
        if (exponent == 0) {
            float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
            return sign != 0 ? -magnitude : magnitude;
        }
        return floatOf(sign | (exponent + 112) << 23 | mantissa << 13);
    }

    static Half fromFloat(float value) {
        uint32_t bits = bitsOf(value);
        auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
        uint32_t magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return {static_cast<uint16_t>(sign | 0x7e00)};
        }
        if (magnitude >= 0x477ff000) {  // from 65520 on it rounds to infinity
            return {static_cast<uint16_t>(sign | 0x7c00)};
        }
        if (magnitude < 0x38800000) {  // below 2^-14: a multiple of 2^-24
            auto units = static_cast<uint16_t>(std::nearbyint(std::ldexp(floatOf(magnitude), 24)));
            return {static_cast<uint16_t>(sign | units)};
        }
        uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
        return {static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13))};
    }
};

/// bfloat16, rounded to nearest even.
struct BFloat {
    uint16_t bits;

    static float toFloat(BFloat b) { return floatOf(static_cast<uint32_t>(b.bits) << 16); }

    static BFloat fromFloat(float value) {
        uint32_t bits = bitsOf(value);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return {static_cast<uint16_t>(bits >> 16 | 0x40)};
        }
        return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
    }
};

/// TF32: ten bits of mantissa, ties away from zero, as cvt.rna.tf32 does.
inline float roundToTf32(float value) {
    uint32_t bits = bitsOf(value);
    return (bits & 0x7f800000) == 0x7f800000 ? value : floatOf((bits + 0x1000) & ~0x1fffU);
}

inline float roundToHalf(float value) {
    return Half::toFloat(Half::fromFloat(value));
}

inline float roundToBFloat(float value) {
    return BFloat::toFloat(BFloat::fromFloat(value));
}

}  // namespace carousel::standin
