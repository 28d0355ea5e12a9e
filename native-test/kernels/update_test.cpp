#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

using reference::Clip;
using reference::Vector;

constexpr unsigned kBlock = 256;
const std::vector<long long> sizes = {0, 1, 255, 256, 257, 1021};
const std::vector<Clip> clips = {{0, 0}, {0, INFINITY}, {2, 1}, {2, 4}, {2, 100}, {0.01, 3}, {1, INFINITY}, {1, NAN}};

template <typename R>
class Updates : public testing::Test {
protected:
    // Three steps from the same start. Results: p and the moments.
    template <typename Step, typename Reference>
    static void compare(int moments, Step step, Reference reference) {
        for (long long n : sizes) {
            for (const Clip& clip : clips) {
                size_t count = static_cast<size_t>(n);
                std::vector<R> p0 = numbers<R>(count, 1);
                std::vector<R> d0 = numbers<R>(count, 2, 0.1);
                if (n > 3) {
                    d0[3] = 0;
                }
                auto results = everyWay([&](Way way) {
                    Buffer<R> p(p0);
                    Input<R> d(d0);
                    // Moments that a rule does not have are not touched.
                    Buffer<R> m(std::vector<R>(moments > 0 ? count : 0));
                    Buffer<R> v(std::vector<R>(moments > 1 ? count : 0));
                    Input<R> norm(std::vector<R>{static_cast<R>(clip.squaredNorm)});
                    for (int k = 1; k <= 3; k++) {
                        step(way, p.address(), d.address(), moments > 0 ? m.address() : nullptr, v.address(), n, k,
                                clip.maxNorm, clip.maxNorm == 0 ? nullptr : norm.address());
                    }
                    return std::vector<std::vector<R>>{p.values(), m.values(), v.values()};
                });
                Vector p = doubles(p0);
                Vector m(count);
                Vector v(count);
                for (int k = 1; k <= 3; k++) {
                    reference(p, doubles(d0), m, v, k, Clip{clip.maxNorm, static_cast<R>(clip.squaredNorm)});
                }
                expectNear(results[0], p, 24, 1, "p");
                if (moments > 0) {
                    expectNear(results[1], m, 16, 0.01, "m");
                }
                if (moments > 1) {
                    expectNear(results[2], v, 16, 1e-5, "v");
                }
            }
        }
    }
};
TYPED_TEST_SUITE(Updates, Reals);

TYPED_TEST(Updates, SgdFollowsTheRule) {
    using R = TypeParam;
    struct Rule {
        double momentum;
        int nesterov;
    };
    for (Rule rule : {Rule{0, 0}, Rule{0.9, 0}, Rule{0.9, 1}}) {
        this->compare(
                rule.momentum > 0 ? 1 : 0,
                [&](Way way, R* p, const R* d, R* m, R*, long long n, int, double maxNorm, const R* norm) {
                    launch(named<R>("sgd"), way, {way.grid(blocksFor(n))}, kBlock, p, d, m, n, 0.3, rule.momentum,
                            rule.nesterov, maxNorm, norm);
                },
                [&](Vector& p, const Vector& d, Vector& m, Vector&, int, const Clip& clip) {
                    reference::sgd(p, d, m, 0.3, rule.momentum, rule.nesterov != 0, clip);
                });
    }
}

TYPED_TEST(Updates, AdamFollowsTheRule) {
    using R = TypeParam;
    for (double decay : {0.0, 0.1}) {
        double beta1 = 0.9;
        double beta2 = 0.999;
        this->compare(
                2,
                [&](Way way, R* p, const R* d, R* m, R* v, long long n, int step, double maxNorm, const R* norm) {
                    launch(named<R>("adam"), way, {way.grid(blocksFor(n))}, kBlock, p, d, m, v, n, 0.01, beta1, beta2,
                            1e-8, decay, 1 - std::pow(beta1, step), 1 - std::pow(beta2, step), maxNorm, norm);
                },
                [&](Vector& p, const Vector& d, Vector& m, Vector& v, int step, const Clip& clip) {
                    reference::adam(p, d, m, v, 0.01, beta1, beta2, 1e-8, decay, step, clip);
                });
    }
}

TYPED_TEST(Updates, RmsPropFollowsTheRule) {
    using R = TypeParam;
    this->compare(
            1,
            [&](Way way, R* p, const R* d, R* m, R*, long long n, int, double maxNorm, const R* norm) {
                launch(named<R>("rmsprop"), way, {way.grid(blocksFor(n))}, kBlock, p, d, m, n, 0.01, 0.9, 1e-6, maxNorm,
                        norm);
            },
            [&](Vector& p, const Vector& d, Vector& m, Vector&, int, const Clip& clip) {
                reference::rmsprop(p, d, m, 0.01, 0.9, 1e-6, clip);
            });
}

}  // namespace
}  // namespace carousel::test
