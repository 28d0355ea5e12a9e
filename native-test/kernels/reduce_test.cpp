#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

constexpr unsigned kBlock = 256;

template <typename R>
class Reduce : public testing::Test {};
TYPED_TEST_SUITE(Reduce, Reals);

TYPED_TEST(Reduce, TheSquaredNormIsSummedInDouble) {
    using R = TypeParam;
    for (long long n : {0, 1, 2, 31, 255, 256, 257, 1000, 4099}) {
        for (long long chunk : {1, 7, 256, 1000, 5000}) {
            if (n / chunk > 150) {
                continue;
            }
            std::vector<R> from = numbers<R>(static_cast<size_t>(n), 1, 100);
            double sum = 0;
            for (R value : from) {
                sum += static_cast<double>(value) * static_cast<double>(value);
            }
            size_t chunks = static_cast<size_t>((n + chunk - 1) / chunk);
            auto results = everyWay([&](Way way) {
                Input<R> x(from);
                Buffer<double> partial(chunks);
                Buffer<R> result(1);
                launch(named<R>("square_sums"), way, {way.grid(static_cast<long long>(chunks))}, kBlock, x.address(), n,
                        chunk, partial.address());
                launch(named<R>("sum_partials"), way, {way.blocks == 0 ? 1 : way.blocks}, kBlock,
                        static_cast<const double*>(partial.address()), static_cast<int>(chunks), result.address());
                return std::vector<std::vector<R>>{result.values()};
            });
            // In double the sum is so exact that only the last rounding shows in float.
            expectNear(results[0], {sum}, sizeof(R) == 4 ? 1 : 64, 0, "result");
        }
    }
}

TYPED_TEST(Reduce, ColumnsAreSummedInTheOrderOfRows) {
    using R = TypeParam;
    struct Case {
        int rows, columns, chunk;
    };
    for (Case c : {Case{0, 3, 4}, Case{1, 1, 1}, Case{5, 257, 2}, Case{100, 255, 33}, Case{257, 7, 64},
                 Case{31, 513, 31}, Case{64, 4, 100}}) {
        std::vector<R> from = numbers<R>(static_cast<size_t>(c.rows * c.columns), 2);
        std::vector<R> before = numbers<R>(static_cast<size_t>(c.columns), 3);
        int chunks = (c.rows + c.chunk - 1) / c.chunk;
        // In the same order and precision: the very same sums.
        std::vector<R> expected = before;
        std::vector<double> inDouble = doubles(before);
        for (int column = 0; column < c.columns; column++) {
            R sum = 0;
            for (int b = 0; b < chunks; b++) {
                R part = 0;
                for (int row = b * c.chunk; row < std::min(c.rows, (b + 1) * c.chunk); row++) {
                    part += from[static_cast<size_t>(row * c.columns + column)];
                    inDouble[static_cast<size_t>(column)] += from[static_cast<size_t>(row * c.columns + column)];
                }
                sum += part;
            }
            expected[static_cast<size_t>(column)] += sum;
        }
        auto results = everyWay([&](Way way) {
            Input<R> x(from);
            Buffer<R> partial(static_cast<size_t>(chunks * c.columns));
            Buffer<R> y(before);
            Grid grid{
                    way.grid(blocksFor(c.columns)), way.blocks == 0 && chunks > 0 ? static_cast<unsigned>(chunks) : 1};
            launch(named<R>("column_sums"), way, grid, kBlock, x.address(), c.rows, c.columns, c.chunk,
                    partial.address());
            launch(named<R>("add_columns"), way, {way.grid(blocksFor(c.columns))}, kBlock,
                    static_cast<const R*>(partial.address()), chunks, c.columns, y.address());
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], doubles(expected), "y");
        expectNear(results[0], inDouble, 4 + c.rows, 1, "y");
    }
}

}  // namespace
}  // namespace carousel::test
