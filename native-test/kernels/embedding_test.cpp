#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

constexpr unsigned kBlock = 256;

struct Case {
    int rows, vocabulary, width;
};
const std::vector<Case> cases = {
        {0, 3, 4}, {1, 1, 1}, {7, 5, 3}, {31, 2, 257}, {257, 40, 5}, {300, 7, 256}, {600, 500, 2}, {3, 10, 255}};

// A few of them outside.
std::vector<int> idsOf(const Case& c, unsigned seed) {
    std::vector<int> ids = integers(static_cast<size_t>(c.rows), seed, 0, c.vocabulary - 1);
    for (size_t m = 4; m < ids.size(); m += 11) {
        ids[m] = m % 2 == 0 ? -1 : c.vocabulary;
    }
    return ids;
}

template <typename R>
class Embedding : public testing::Test {};
TYPED_TEST_SUITE(Embedding, Reals);

TYPED_TEST(Embedding, ForwardGivesTheRowOfEachId) {
    using R = TypeParam;
    for (const Case& c : cases) {
        std::vector<int> chosen = idsOf(c, 1);
        std::vector<R> values = numbers<R>(static_cast<size_t>(c.vocabulary * c.width), 2);
        std::vector<double> expected;
        for (int id : chosen) {
            for (int k = 0; k < c.width; k++) {
                bool known = id >= 0 && id < c.vocabulary;
                expected.push_back(known ? values[static_cast<size_t>(id * c.width + k)] : nan<double>());
            }
        }
        auto results = everyWay([&](Way way) {
            Input<int> ids(chosen);
            Input<R> table(values);
            Buffer<R> y(expected.size());
            launch(named<R>("embedding_forward"), way, {way.grid(blocksFor(c.rows * c.width))}, kBlock, ids.address(),
                    table.address(), y.address(), c.rows, c.vocabulary, c.width);
            return std::vector<std::vector<R>>{y.values()};
        });
        expectSame(results[0], expected, "y");
    }
}

TYPED_TEST(Embedding, BackwardAddsAllRowsOfAnIdInTheirOrder) {
    using R = TypeParam;
    for (const Case& c : cases) {
        std::vector<int> chosen = idsOf(c, 3);
        std::vector<R> gradient = numbers<R>(static_cast<size_t>(c.rows * c.width), 4);
        std::vector<R> before = numbers<R>(static_cast<size_t>(c.vocabulary * c.width), 5);
        // In the same order and precision: the very same sums.
        std::vector<R> expected = before;
        for (int m = 0; m < c.rows; m++) {
            int id = chosen[static_cast<size_t>(m)];
            for (int k = 0; k < c.width; k++) {
                R& value = gradient[static_cast<size_t>(m * c.width + k)];
                if (id < 0 || id >= c.vocabulary) {
                    value = nan<R>();
                } else {
                    expected[static_cast<size_t>(id * c.width + k)] += value;
                }
            }
        }
        std::vector<double> inDouble = doubles(before);
        reference::embeddingBackward(chosen, doubles(gradient), inDouble, c.vocabulary, c.width);
        auto results = everyWay([&](Way way) {
            Input<int> ids(chosen);
            Input<R> dy(gradient);
            Buffer<R> dTable(before);
            launch(named<R>("embedding_backward"), way, {way.grid(c.rows)}, kBlock, ids.address(), dy.address(),
                    dTable.address(), c.rows, c.vocabulary, c.width);
            return std::vector<std::vector<R>>{dTable.values()};
        });
        expectSame(results[0], doubles(expected), "dTable");
        expectNear(results[0], inDouble, 4 + c.rows, 1, "dTable");
    }
}

}  // namespace
}  // namespace carousel::test
