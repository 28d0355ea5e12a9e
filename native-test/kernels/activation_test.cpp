#include "compare.h"
#include "device.h"
#include "reference.h"

#include <map>

namespace carousel::test {
namespace {

using reference::Activation;

constexpr unsigned kBlock = 256;
constexpr unsigned kSoftmaxBlock = 128;

const std::map<Activation, std::string> names = {{Activation::relu, "activation_relu"},
        {Activation::sigmoid, "activation_sigmoid"}, {Activation::tanh, "activation_tanh"},
        {Activation::softmax, "activation_softmax"}};

struct Case {
    int rows, columns;
    double scale;

    size_t elements() const { return static_cast<size_t>(rows) * static_cast<size_t>(columns); }
};
const std::vector<Case> cases = {{0, 3, 1}, {3, 0, 1}, {1, 1, 1}, {1, 10, 30}, {5, 127, 3}, {7, 128, 100}, {3, 129, 1},
        {300, 2, 5}, {2, 1021, 8}, {1, 3000, 2}};

template <typename R>
class Activations : public testing::Test {
protected:
    static std::vector<R> forward(
            Activation function, const Case& c, const std::vector<R>& values, bool inPlace, Way way) {
        Input<R> x(values);
        Buffer<R> y(values.size());
        if (inPlace) {
            y.write(values);
        }
        const R* from = inPlace ? y.address() : x.address();
        if (function == Activation::softmax) {
            launch(named<R>(names.at(function)), way, {way.grid(c.rows)}, kSoftmaxBlock, from, y.address(), c.rows,
                    c.columns);
        } else {
            long long n = static_cast<long long>(values.size());
            launch(named<R>(names.at(function)), way, {way.grid(blocksFor(n))}, kBlock, from, y.address(), n);
        }
        return y.values();
    }

    static std::vector<R> backward(Activation function, const Case& c, const std::vector<R>& values,
            const std::vector<R>& gradient, bool inPlace, Way way) {
        Input<R> y(values);
        Input<R> dy(gradient);
        Buffer<R> dx(values.size());
        if (inPlace) {
            dx.write(gradient);
        }
        const R* from = inPlace ? dx.address() : dy.address();
        std::string kernel = named<R>(names.at(function) + "_backward");
        if (function == Activation::softmax) {
            launch(kernel, way, {way.grid(c.rows)}, kSoftmaxBlock, y.address(), from, dx.address(), c.rows, c.columns);
        } else {
            long long n = static_cast<long long>(values.size());
            launch(kernel, way, {way.grid(blocksFor(n))}, kBlock, y.address(), from, dx.address(), n);
        }
        return dx.values();
    }

    static std::vector<R> compareForward(Activation function, const Case& c, const std::vector<R>& x) {
        auto expected = reference::activation(function, doubles(x), c.rows, c.columns);
        std::vector<R> y;
        for (bool inPlace : {false, true}) {
            auto results = everyWay(
                    [&](Way way) { return std::vector<std::vector<R>>{forward(function, c, x, inPlace, way)}; });
            // exp of a number is off by as many epsilons as the number is large, and a softmax at most by its own size.
            expectNear(results[0], expected, 16, 1, names.at(function));
            y = results[0];
        }
        return y;
    }

    static void compareBackward(
            Activation function, const Case& c, const std::vector<R>& y, const std::vector<R>& dy) {
        auto expected = reference::activationBackward(function, doubles(y), doubles(dy), c.rows, c.columns);
        for (bool inPlace : {false, true}) {
            auto results = everyWay([&](Way way) {
                return std::vector<std::vector<R>>{backward(function, c, y, dy, inPlace, way)};
            });
            expectNear(results[0], expected, 16, 1, names.at(function) + "_backward");
        }
    }
};
TYPED_TEST_SUITE(Activations, Reals);

TYPED_TEST(Activations, EqualTheReferenceAlsoInPlace) {
    using R = TypeParam;
    for (const auto& [function, name] : names) {
        for (const Case& c : cases) {
            std::vector<R> y = this->compareForward(function, c, numbers<R>(c.elements(), 11, c.scale));
            this->compareBackward(function, c, y, numbers<R>(c.elements(), 12));
        }
    }
}

TYPED_TEST(Activations, LargeNumbersDoNotOverflow) {
    using R = TypeParam;
    R huge = R(1e4);
    R tiny = std::numeric_limits<R>::min();
    Case c{3, 4, 1};
    std::vector<R> x = {huge, -huge, huge - 1, 0, -huge, -huge, -huge, 1 - huge, R(88), R(-88), tiny, -tiny};
    for (const auto& [function, name] : names) {
        std::vector<R> y = this->compareForward(function, c, x);
        this->compareBackward(function, c, y, numbers<R>(x.size(), 13));
    }
    R infinite = std::numeric_limits<R>::infinity();
    this->compareForward(Activation::softmax, {1, 3, 1}, {-infinite, 1, 2});
}

TYPED_TEST(Activations, NoGradientPassesWhereRectifiersAreZero) {
    using R = TypeParam;
    this->compareBackward(Activation::relu, {1, 4, 1}, {0, R(-0.0), std::numeric_limits<R>::min(), 1}, {1, 2, 3, nan<R>()});
}

TYPED_TEST(Activations, WhatIsNotANumberStaysSoInItsRow) {
    using R = TypeParam;
    for (const auto& [function, name] : names) {
        for (size_t at : {0, 1, 199}) {
            std::vector<R> x = numbers<R>(600, 3);
            x[200 + at] = nan<R>();
            auto results = everyWay([&, function = function](Way way) {
                return std::vector<std::vector<R>>{this->forward(function, {3, 200, 1}, x, false, way)};
            });
            for (size_t e = 0; e < x.size(); e++) {
                bool meant = function == Activation::softmax ? e / 200 == 1 : e == 200 + at;
                ASSERT_EQ(std::isnan(results[0][e]), meant) << name << " at " << e;
            }
        }
    }
}

}  // namespace
}  // namespace carousel::test
