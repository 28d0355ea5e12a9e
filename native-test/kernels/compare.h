// Test data, and the comparison of what a kernel gave with what it should.
#ifndef CAROUSEL_TEST_COMPARE_H
#define CAROUSEL_TEST_COMPARE_H

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace carousel::test {

template <typename R>
constexpr const char* suffix = sizeof(R) == 4 ? "_f32" : "_f64";

template <typename R>
std::string named(const std::string& name) {
    return "carousel_" + name + suffix<R>;
}

using Reals = testing::Types<float, double>;

// Numbers in [-scale, scale].
template <typename R>
std::vector<R> numbers(size_t count, unsigned seed, double scale = 1) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> draw(-scale, scale);
    std::vector<R> values(count);
    for (R& value : values) {
        value = static_cast<R>(draw(random));
    }
    return values;
}

inline std::vector<int> integers(size_t count, unsigned seed, int least, int most) {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int> draw(least, most);
    std::vector<int> values(count);
    for (int& value : values) {
        value = draw(random);
    }
    return values;
}

template <typename R>
std::vector<double> doubles(const std::vector<R>& values) {
    return std::vector<double>(values.begin(), values.end());
}

template <typename R>
R nan() {
    return std::numeric_limits<R>::quiet_NaN();
}

// Equal, or both not a number; otherwise within `epsilons` times the real type's epsilon times the larger of |expected|
// and `scale`.
template <typename R>
void expectNear(const std::vector<R>& actual, const std::vector<double>& expected, double epsilons, double scale,
        const std::string& what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    for (size_t k = 0; k < actual.size(); k++) {
        double a = static_cast<double>(actual[k]);
        double e = expected[k];
        bool near = a == e || (std::isnan(a) && std::isnan(e))
                || std::abs(a - e) <= epsilons * std::numeric_limits<R>::epsilon() * std::max(std::abs(e), scale);
        if (!near) {
            ADD_FAILURE() << what << '[' << k << "] should be " << e << " but is " << a << ", off by "
                          << std::abs(a - e) / std::numeric_limits<R>::epsilon() / std::max(std::abs(e), scale)
                          << " epsilons of " << epsilons << " allowed";
            return;
        }
    }
}

// The very same values, not-a-numbers included.
template <typename R>
void expectSame(const std::vector<R>& actual, const std::vector<double>& expected, const std::string& what) {
    expectNear(actual, expected, 0, 0, what);
}

}  // namespace carousel::test

#endif
