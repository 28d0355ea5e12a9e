#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

using reference::LossKind;

constexpr unsigned kBlock = 256;
constexpr unsigned kLossBlock = 128;

struct Case {
    int rows, columns;
    double scale;
};
const std::vector<Case> cases = {
        {0, 3, 1}, {1, 1, 1}, {1, 10, 30}, {5, 127, 3}, {7, 128, 100}, {3, 129, 1}, {300, 2, 5}, {2, 1021, 8}};

template <typename R>
class Losses : public testing::Test {
protected:
    // The three launches, as an engine makes them. Results: report, dp (empty when not wanted).
    static std::vector<std::vector<R>> run(LossKind kind, const Case& c, const std::vector<R>& predictions,
            const std::vector<R>& wanted, const std::vector<int>& classes, const std::vector<R>& rowWeights,
            bool withGradient, Way way) {
        Input<R> p(predictions);
        Input<R> targets(wanted);
        Input<int> labels(classes);
        Input<R> weights(rowWeights);
        Buffer<R> report(3);
        Buffer<R> dp(withGradient ? predictions.size() : 0);
        Buffer<R> partial(2 * static_cast<size_t>(c.rows));
        const R* weightsOrNull = rowWeights.empty() ? nullptr : weights.address();
        R* dpOrNull = withGradient ? dp.address() : nullptr;
        // Grid 1 is the contract; further blocks must do no harm.
        unsigned one = way.blocks == 0 ? 1 : way.blocks;
        launch(named<R>("loss_weights"), way, {one}, kBlock, weightsOrNull, c.rows, report.address());
        const R* summed = report.address();
        unsigned blocks = way.grid(c.rows);
        if (kind == LossKind::softmax) {
            launch(named<R>("loss_softmax"), way, {blocks}, kLossBlock, p.address(), labels.address(), weightsOrNull,
                    c.rows, c.columns, summed, dpOrNull, partial.address());
        } else {
            launch(named<R>(kind == LossKind::squared ? "loss_squared" : "loss_sigmoid"), way, {blocks}, kLossBlock,
                    p.address(), targets.address(), weightsOrNull, c.rows, c.columns, summed, dpOrNull,
                    partial.address());
        }
        launch(named<R>("loss_report"), way, {one}, kBlock, static_cast<const R*>(partial.address()), c.rows,
                report.address());
        return {report.values(), dp.values()};
    }

    static void compare(LossKind kind, const Case& c, const std::vector<R>& p, const std::vector<R>& targets,
            const std::vector<int>& labels, const std::vector<R>& weights) {
        for (bool withGradient : {true, false}) {
            auto results =
                    everyWay([&](Way way) { return run(kind, c, p, targets, labels, weights, withGradient, way); });
            reference::Loss expected =
                    reference::loss(kind, doubles(p), doubles(targets), labels, doubles(weights), c.rows, c.columns);
            double perRow = kind == LossKind::squared ? c.scale * c.scale : c.scale + std::log(c.columns);
            double scale = (1 + perRow) * std::max(1, c.rows);
            expectNear(results[0], expected.report, 16, scale, "report");
            if (withGradient) {
                // exp of a shifted logit is off by as many epsilons as the logit is large.
                double factor = expected.report[2] == 0 ? 0 : std::max(1.0, c.scale) / std::abs(expected.report[2]);
                expectNear(results[1], expected.gradient, 16, 3 * factor, "dp");
            }
        }
    }

    // Every third row is left out and holds what it should not.
    static std::vector<R> weightsFor(
            const Case& c, std::vector<R>& p, std::vector<R>& targets, std::vector<int>& labels) {
        std::vector<R> weights = numbers<R>(static_cast<size_t>(c.rows), 9);
        for (size_t m = 0; m < weights.size(); m++) {
            weights[m] = std::abs(weights[m]) + R(0.1);
            if (m % 3 == 1) {
                weights[m] = 0;
                labels[m] = -7;
                for (size_t k = 0; k < static_cast<size_t>(c.columns); k++) {
                    p[m * static_cast<size_t>(c.columns) + k] = nan<R>();
                    targets[m * static_cast<size_t>(c.columns) + k] = nan<R>();
                }
            }
        }
        return weights;
    }
};
TYPED_TEST_SUITE(Losses, Reals);

TYPED_TEST(Losses, EqualTheReferenceWithAndWithoutWeights) {
    using R = TypeParam;
    for (LossKind kind : {LossKind::softmax, LossKind::squared, LossKind::sigmoid}) {
        for (const Case& c : cases) {
            size_t n = static_cast<size_t>(c.rows * c.columns);
            std::vector<R> p = numbers<R>(n, 6, c.scale);
            std::vector<R> targets = numbers<R>(n, 7);
            for (R& target : targets) {
                target = kind == LossKind::sigmoid ? std::abs(target) : target;
            }
            std::vector<int> labels = integers(static_cast<size_t>(c.rows), 8, 0, c.columns - 1);
            this->compare(kind, c, p, targets, labels, {});
            std::vector<R> weights = this->weightsFor(c, p, targets, labels);
            this->compare(kind, c, p, targets, labels, weights);
        }
    }
}

TYPED_TEST(Losses, WeightsThatSumToNothingGiveNoGradient) {
    using R = TypeParam;
    Case c{2, 3, 1};
    for (LossKind kind : {LossKind::softmax, LossKind::squared, LossKind::sigmoid}) {
        this->compare(kind, c, numbers<R>(6, 1), std::vector<R>(6, R(0.25)), {0, 2}, {1, -1});
        this->compare(kind, c, std::vector<R>(6, nan<R>()), std::vector<R>(6, nan<R>()), {-1, 3}, {0, 0});
    }
}

TYPED_TEST(Losses, TheFirstOfEqualLogitsDecides) {
    using R = TypeParam;
    for (int columns : {2, 130, 300}) {
        for (int first : {0, 1, columns - 2}) {
            std::vector<R> p(2 * static_cast<size_t>(columns), R(-1));
            for (size_t row : {0, 1}) {
                p[row * static_cast<size_t>(columns) + static_cast<size_t>(first)] = 2;
                p[(row + 1) * static_cast<size_t>(columns) - 1] = 2;
            }
            this->compare(LossKind::softmax, {2, columns, 2}, p, {}, {first, first}, {});
            this->compare(LossKind::softmax, {2, columns, 2}, p, {}, {columns - 1, columns - 1}, {});
        }
    }
}

TYPED_TEST(Losses, LabelsOutsideAreNotANumber) {
    using R = TypeParam;
    for (int label : {-1, 5, 1 << 30}) {
        auto results = everyWay([&](Way way) {
            return this->run(LossKind::softmax, {2, 5, 1}, numbers<R>(10, 2), {}, {3, label}, {}, true, way);
        });
        EXPECT_TRUE(std::isnan(results[0][0]));
        for (size_t k = 0; k < 10; k++) {
            EXPECT_EQ(std::isnan(results[1][k]), k >= 5) << k;
        }
    }
}

TYPED_TEST(Losses, LargeLogitsDoNotOverflow) {
    using R = TypeParam;
    R huge = R(1e4);
    this->compare(LossKind::softmax, {1, 4, 1e4}, {huge, -huge, huge - 1, 0}, {}, {1}, {});
    this->compare(LossKind::sigmoid, {1, 4, 1e4}, {huge, -huge, R(120), R(-120)}, {0, 1, 1, 0}, {0}, {});
}

TYPED_TEST(Losses, WhatIsNotANumberStaysSo) {
    using R = TypeParam;
    for (LossKind kind : {LossKind::softmax, LossKind::squared, LossKind::sigmoid}) {
        for (size_t at : {0, 1, 199}) {
            std::vector<R> p = numbers<R>(200, 3);
            p[at] = nan<R>();
            auto results = everyWay([&](Way way) {
                return this->run(kind, {1, 200, 1}, p, std::vector<R>(200, 0), {1}, {}, true, way);
            });
            EXPECT_TRUE(std::isnan(results[0][0]));
            EXPECT_TRUE(std::isnan(results[1][at]));
        }
    }
}

}  // namespace
}  // namespace carousel::test
