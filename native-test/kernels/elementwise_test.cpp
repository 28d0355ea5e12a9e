#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

constexpr unsigned kBlock = 256;
const std::vector<long long> sizes = {0, 1, 2, 3, 31, 127, 255, 256, 257, 1021, 1024, 1025, 2999};

template <typename R>
class Elementwise : public testing::Test {};
TYPED_TEST_SUITE(Elementwise, Reals);

TYPED_TEST(Elementwise, FillWritesEveryElementAndNoOther) {
    using R = TypeParam;
    for (long long n : sizes) {
        auto results = everyWay([&](Way way) {
            Buffer<R> y(static_cast<size_t>(n));
            launch(named<R>("fill"), way, {way.grid(blocksFor(n))}, kBlock, y.address(), n, -0.7);
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], std::vector<double>(static_cast<size_t>(n), static_cast<R>(-0.7)), "y");
    }
}

TYPED_TEST(Elementwise, CopyColumnsLeavesTheColumnsBeside) {
    using R = TypeParam;
    struct Case {
        int rows, columns, xPitch, xColumn, yPitch, yColumn;
    };
    for (Case c : {Case{0, 3, 3, 0, 3, 0}, Case{5, 0, 3, 0, 3, 0}, Case{1, 1, 1, 0, 1, 0}, Case{7, 5, 9, 4, 6, 1},
                 Case{128, 7, 7, 0, 14, 7}, Case{3, 257, 300, 43, 257, 0}, Case{257, 3, 11, 2, 5, 2}}) {
        std::vector<R> from = numbers<R>(static_cast<size_t>(c.rows * c.xPitch), 1);
        std::vector<double> expected(static_cast<size_t>(c.rows * c.yPitch), nan<double>());
        for (int row = 0; row < c.rows; row++) {
            for (int column = 0; column < c.xPitch; column++) {
                R& value = from[static_cast<size_t>(row * c.xPitch + column)];
                if (column < c.xColumn || column >= c.xColumn + c.columns) {
                    value = nan<R>();
                } else {
                    expected[static_cast<size_t>(row * c.yPitch + c.yColumn + column - c.xColumn)] = value;
                }
            }
        }
        auto results = everyWay([&](Way way) {
            Input<R> x(from);
            Buffer<R> y(expected.size());
            launch(named<R>("copy_columns"), way, {way.grid(blocksFor(c.rows * c.columns))}, kBlock, x.address(),
                    c.xPitch, c.xColumn, y.address(), c.yPitch, c.yColumn, c.rows, c.columns);
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], expected, "y");
    }
}

TYPED_TEST(Elementwise, AddAddsToWhatIsThere) {
    using R = TypeParam;
    for (long long n : sizes) {
        std::vector<R> from = numbers<R>(static_cast<size_t>(n), 5);
        std::vector<R> before = numbers<R>(static_cast<size_t>(n), 6);
        std::vector<double> expected;
        for (size_t e = 0; e < from.size(); e++) {
            expected.push_back(static_cast<R>(before[e] + from[e]));
        }
        auto results = everyWay([&](Way way) {
            Input<R> x(from);
            Buffer<R> y(static_cast<size_t>(n));
            y.write(before);
            launch(named<R>("add"), way, {way.grid(blocksFor(n))}, kBlock, x.address(), y.address(), n);
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], expected, "y");
    }
}

TYPED_TEST(Elementwise, BiasRowsRepeatTheBiasOrZero) {
    using R = TypeParam;
    for (auto [rows, columns] : {std::pair{0, 5}, {1, 1}, {3, 255}, {257, 4}, {13, 257}}) {
        std::vector<R> bias = numbers<R>(static_cast<size_t>(columns), 2);
        for (bool given : {true, false}) {
            std::vector<double> expected;
            for (int e = 0; e < rows * columns; e++) {
                expected.push_back(given ? bias[static_cast<size_t>(e % columns)] : 0);
            }
            auto results = everyWay([&, rows = rows, columns = columns](Way way) {
                Input<R> b(bias);
                Buffer<R> y(expected.size());
                launch(named<R>("bias_rows"), way, {way.grid(blocksFor(rows * columns))}, kBlock, y.address(),
                        given ? b.address() : nullptr, rows, columns);
                return std::vector<std::vector<R>>{y.values()};
            });
            expectSame(results[0], expected, "y");
        }
    }
}

TYPED_TEST(Elementwise, CopyValidPutsZerosWherePaddingMayBeAnything) {
    using R = TypeParam;
    struct Case {
        int T, N, width;
        std::vector<int> lengths;
    };
    for (const Case& c : {Case{0, 2, 3, {0, 0}}, Case{1, 1, 1, {0}}, Case{4, 3, 5, {4, 0, 2}}, Case{3, 2, 257, {1, 3}},
                 Case{7, 5, 31, {0, 7, 1, 6, 3}}, Case{5, 3, 17, {}}}) {
        std::vector<R> from = numbers<R>(static_cast<size_t>(c.T * c.N * c.width), 3);
        std::vector<double> expected;
        for (int t = 0; t < c.T; t++) {
            for (int n = 0; n < c.N; n++) {
                bool valid = c.lengths.empty() || t < c.lengths[static_cast<size_t>(n)];
                for (int k = 0; k < c.width; k++) {
                    R& value = from[expected.size()];
                    value = valid ? value : nan<R>();
                    expected.push_back(valid ? value : 0);
                }
            }
        }
        auto results = everyWay([&](Way way) {
            Input<R> x(from);
            Input<int> lengths(c.lengths);
            Buffer<R> y(expected.size());
            launch(named<R>("copy_valid"), way, {way.grid(blocksFor(c.T * c.N * c.width))}, kBlock, x.address(),
                    y.address(), c.lengths.empty() ? nullptr : lengths.address(), c.T, c.N, c.width);
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], expected, "y");
    }
}

// The known answers that come with the generator's paper.
TEST(Philox, ReferenceGivesTheKnownAnswers) {
    using Words = std::array<uint32_t, 4>;
    EXPECT_EQ(reference::philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    EXPECT_EQ(reference::philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(reference::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TYPED_TEST(Elementwise, DropoutDrawsTheSameWordsAsTheReference) {
    using R = TypeParam;
    for (long long n : sizes) {
        for (auto [rate, period] : {std::pair{0.0, n}, {0.25, n}, {0.9, n}, {0.5, 1LL}, {0.25, 3LL}, {0.5, 256LL}, {0.25, 1021LL}}) {
            if (period == 0) {
                period = 1;
            }
            int threshold = static_cast<int>(std::lround(rate * (1 << 24)));
            unsigned long long seed = 0x9d3f00c2fedcba98u;
            int stream = -5;
            unsigned long long call = 0xfffffffe12345678u;
            std::vector<R> from = numbers<R>(static_cast<size_t>(n), 4);
            std::vector<double> expected = reference::dropout(doubles(from), period, threshold, rate, seed, stream, call);
            for (size_t e = 0; e < from.size(); e++) {
                // What is dropped is not looked at.
                from[e] = expected[e] == 0 ? nan<R>() : from[e];
            }
            for (bool inPlace : {false, true}) {
                auto results = everyWay([&](Way way) {
                    Input<R> x(from);
                    Buffer<R> y(static_cast<size_t>(n));
                    if (inPlace) {
                        y.write(from);
                    }
                    launch(named<R>("dropout"), way, {way.grid(blocksFor(n, 1024))}, kBlock,
                            inPlace ? y.address() : x.address(), y.address(), n, period, threshold, rate, seed,
                            stream, call);
                    return std::vector<std::vector<R>>{y.values()};
                });
                expectNear(results[0], expected, 2, 0, "y");
            }
        }
    }
}

TEST(Half, EveryHalfWidensExactlyAndNarrowsBack) {
    std::vector<uint16_t> bits(1 << 16);
    std::vector<double> expected(bits.size());
    for (size_t k = 0; k < bits.size(); k++) {
        bits[k] = static_cast<uint16_t>(k);
        expected[k] = reference::halfValue(bits[k]);
    }
    Input<uint16_t> half(bits);
    Buffer<float> wide(bits.size());
    Buffer<uint16_t> again(bits.size());
    long long n = static_cast<long long>(bits.size());
    launch("carousel_widen_f16", {1, 0}, {100}, kBlock, half.address(), wide.address(), n);
    expectSame(wide.values(), expected, "wide");
    launch("carousel_narrow_f16", {1, 0}, {100}, kBlock, static_cast<const float*>(wide.address()), again.address(), n);
    std::vector<uint16_t> narrowed = again.values();
    for (size_t k = 0; k < bits.size(); k++) {
        ASSERT_EQ(narrowed[k], std::isnan(expected[k]) ? 0x7fff : bits[k]);
    }
}

TEST(Half, NarrowingRoundsToTheNearestTiesToEven) {
    std::vector<float> from = {0, -0.0f, 1, 65504, 65519.996f, 65520, -65520, 1e30f, INFINITY, -INFINITY, 5.9604645e-8f,
            2.9802322e-8f, 2.9802326e-8f, 1e-30f, 1e-44f, 6.1035156e-5f, 6.1035152e-5f, 0.1f, 1.00048828125f,
            1.00146484375f};
    for (int half = 0; half < 0x7c00; half += 7) {
        double between = (reference::halfValue(static_cast<uint16_t>(half))
                                 + reference::halfValue(static_cast<uint16_t>(half + 1)))
                / 2;
        if (std::isfinite(between)) {
            float middle = static_cast<float>(between);
            from.insert(from.end(), {middle, -middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)});
        }
    }
    std::vector<double> expected;
    for (float value : from) {
        expected.push_back(reference::roundToHalf(value));
    }
    for (long long n : {0LL, 1LL, 255LL, static_cast<long long>(from.size())}) {
        Input<float> x(from);
        Buffer<uint16_t> y(static_cast<size_t>(n));
        launch("carousel_narrow_f16", {1, 0}, {static_cast<unsigned>(blocksFor(n) + 1)}, kBlock, x.address(),
                y.address(), n);
        std::vector<uint16_t> bits = y.values();
        for (size_t k = 0; k < bits.size(); k++) {
            ASSERT_EQ(reference::halfValue(bits[k]), expected[k]) << from[k];
            ASSERT_EQ(bits[k] >> 15 != 0, std::signbit(from[k])) << from[k];
        }
    }
}

TEST(BFloat, NarrowingRoundsToTheNearestTiesToEven) {
    std::vector<float> from = {0, -0.0f, 1, 3.3895314e38f, 3.3961775e38f, 3.3961773e38f, -3.4028235e38f, INFINITY,
            -INFINITY, 1e-45f, -1e-45f, 9.1835e-41f, 4.6e-41f, 1.1754944e-38f, 0.1f, 1.00390625f, 1.01171875f};
    for (int bits = 0; bits < 0x7f80; bits += 13) {
        double between = (reference::bfloatValue(static_cast<uint16_t>(bits))
                                 + reference::bfloatValue(static_cast<uint16_t>(bits + 1)))
                / 2;
        if (std::isfinite(between)) {
            float middle = static_cast<float>(between);
            from.insert(from.end(), {middle, -middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)});
        }
    }
    for (long long n : {0LL, 1LL, 255LL, static_cast<long long>(from.size())}) {
        Input<float> x(from);
        Buffer<uint16_t> y(static_cast<size_t>(n));
        launch("carousel_narrow_bf16", {1, 0}, {static_cast<unsigned>(blocksFor(n) + 1)}, kBlock, x.address(),
                y.address(), n);
        std::vector<uint16_t> bits = y.values();
        for (size_t k = 0; k < bits.size(); k++) {
            ASSERT_EQ(reference::bfloatValue(bits[k]), reference::roundToBFloat(from[k])) << from[k];
            ASSERT_EQ(bits[k] >> 15 != 0, std::signbit(from[k])) << from[k];
        }
    }
}

TEST(BFloat, NotANumberStaysNone) {
    std::vector<float> from;
    for (uint32_t bits : {0x7f800001u, 0x7fc00000u, 0xff800001u, 0xffffffffu}) {
        float value;
        std::memcpy(&value, &bits, sizeof value);
        from.push_back(value);
    }
    Input<float> x(from);
    Buffer<uint16_t> y(from.size());
    launch("carousel_narrow_bf16", {1, 0}, {1}, kBlock, x.address(), y.address(), static_cast<long long>(from.size()));
    for (uint16_t bits : y.values()) {
        EXPECT_TRUE(std::isnan(reference::bfloatValue(bits))) << bits;
    }
}

TYPED_TEST(Elementwise, ScaleMultipliesInPlace) {
    using R = TypeParam;
    for (double factor : {0x1p16, 0x1p-16, 0.3, 0.0, -1.0}) {
        for (long long n : sizes) {
            std::vector<R> from = numbers<R>(static_cast<size_t>(n), 5);
            std::vector<double> expected(from.size());
            for (size_t e = 0; e < from.size(); e++) {
                expected[e] = static_cast<R>(from[e] * static_cast<R>(factor));
            }
            auto results = everyWay([&](Way way) {
                Buffer<R> x(from);
                launch(named<R>("scale"), way, {way.grid(blocksFor(n))}, kBlock, x.address(), n, factor);
                return std::vector<std::vector<R>>{x.values()};
            });
            expectSame(results[0], expected, "x");
        }
    }
}

}  // namespace
}  // namespace carousel::test
