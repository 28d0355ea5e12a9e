#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

using reference::Cell;
using reference::CellGradient;
using reference::Vector;

constexpr unsigned kBlock = 256;

struct Case {
    int N, H;
    std::vector<int> lengths;
};
const std::vector<Case> cases = {{0, 3, {}}, {1, 1, {}}, {1, 1, {0}}, {3, 5, {1, 4, 2}}, {2, 127, {}}, {1, 257, {3}},
        {5, 64, {0, 2, 3, 7, 1}}, {17, 31, {}}, {4, 255, {3, 3, 0, 2}}};
constexpr int step = 2;

template <typename R>
class LstmPointwise : public testing::Test {
protected:
    static bool valid(const Case& c, int n) { return c.lengths.empty() || step < c.lengths[static_cast<size_t>(n)]; }

    static std::array<double, 3> peepholesAt(const std::vector<R>& peepholes, int H, int j) {
        if (peepholes.empty()) {
            return {0, 0, 0};
        }
        return {peepholes[static_cast<size_t>(j)], peepholes[static_cast<size_t>(H + j)],
                peepholes[static_cast<size_t>(2 * H + j)]};
    }

    // Rows that are not valid become not-a-numbers: nothing may read them.
    static void spoil(std::vector<R>& values, const Case& c, int pitch) {
        for (size_t e = 0; e < values.size(); e++) {
            if (!valid(c, static_cast<int>(e) / pitch)) {
                values[e] = nan<R>();
            }
        }
    }
};
TYPED_TEST_SUITE(LstmPointwise, Reals);

enum class Form { separate, inPlace, onlyM, withoutY };

TYPED_TEST(LstmPointwise, ForwardEqualsTheReference) {
    using R = TypeParam;
    for (const Case& c : cases) {
        for (Form form : {Form::separate, Form::inPlace, Form::onlyM, Form::withoutY}) {
            for (double clip : {0.0, 0.4}) {
                for (int extra : {0, 3}) {
                    bool peeps = form == Form::separate && extra == 3;
                    int yPitch = c.H + extra;
                    size_t cells = static_cast<size_t>(c.N * c.H);
                    std::vector<R> a = numbers<R>(4 * cells, 1, 4);
                    std::vector<R> cBefore = numbers<R>(cells, 2);
                    std::vector<R> hBefore = numbers<R>(cells, 3);
                    std::vector<R> p = peeps ? numbers<R>(3 * static_cast<size_t>(c.H), 4) : std::vector<R>();
                    this->spoil(a, c, 4 * c.H);
                    Vector gates(4 * cells), cAfter(cells), hAfter(cells), mAfter(cells);
                    Vector yAfter(static_cast<size_t>(c.N * yPitch), nan<double>());
                    for (int n = 0; n < c.N; n++) {
                        for (int j = 0; j < c.H; j++) {
                            size_t e = static_cast<size_t>(n * c.H + j);
                            size_t first = static_cast<size_t>(n * 4 * c.H + j);
                            size_t H = static_cast<size_t>(c.H);
                            bool valid = this->valid(c, n);
                            Cell cell =
                                    reference::lstmCell({a[first], a[first + H], a[first + 2 * H], a[first + 3 * H]},
                                            cBefore[e], this->peepholesAt(p, c.H, j), clip);
                            cAfter[e] = valid ? cell.c : cBefore[e];
                            hAfter[e] = valid ? cell.m : hBefore[e];
                            mAfter[e] = valid ? cell.m : 0;
                            yAfter[static_cast<size_t>(n * yPitch + j)] = mAfter[e];
                            gates[first] = valid ? cell.i : nan<double>();
                            gates[first + H] = valid ? cell.f : nan<double>();
                            gates[first + 2 * H] = valid ? cell.g : nan<double>();
                            gates[first + 3 * H] = valid ? cell.o : nan<double>();
                        }
                    }
                    auto results = everyWay([&](Way way) {
                        Buffer<R> gateBuffer(a);
                        Input<R> cPrevious(cBefore);
                        Input<R> hPrevious(hBefore);
                        Input<R> peepholes(p);
                        Input<int> lengths(c.lengths);
                        Buffer<R> cNext(cells);
                        Buffer<R> h(cells);
                        Buffer<R> m(cells);
                        Buffer<R> y(yAfter.size());
                        if (form == Form::inPlace) {
                            cNext.write(cBefore);
                            h.write(hBefore);
                        }
                        bool wantsH = form != Form::onlyM;
                        bool wantsY = form == Form::separate || form == Form::inPlace;
                        launch(named<R>("lstm_forward"), way, {way.grid(blocksFor(c.N * c.H))}, kBlock,
                                gateBuffer.address(), form == Form::inPlace ? cNext.address() : cPrevious.address(),
                                cNext.address(),
                                !wantsH                         ? nullptr
                                        : form == Form::inPlace ? h.address()
                                                                : hPrevious.address(),
                                wantsH ? h.address() : nullptr, form == Form::inPlace ? nullptr : m.address(),
                                wantsY ? y.address() : nullptr, yPitch, peeps ? peepholes.address() : nullptr,
                                c.lengths.empty() ? nullptr : lengths.address(), step, c.N, c.H, clip);
                        return std::vector<std::vector<R>>{
                                gateBuffer.values(), cNext.values(), h.values(), m.values(), y.values()};
                    });
                    std::vector<double> untouched(cells, nan<double>());
                    bool wantsY = form == Form::separate || form == Form::inPlace;
                    expectNear(results[0], gates, 8, 1, "gates");
                    expectNear(results[1], cAfter, 8, 1, "c");
                    expectNear(results[2], form == Form::onlyM ? untouched : hAfter, 8, 1, "h");
                    expectNear(results[3], form == Form::inPlace ? untouched : mAfter, 8, 1, "m");
                    expectNear(
                            results[4], wantsY ? yAfter : std::vector<double>(yAfter.size(), nan<double>()), 8, 1, "y");
                }
            }
        }
    }
}

// Saturated gates, and pre-activations that are not numbers.
TYPED_TEST(LstmPointwise, ForwardKeepsItsAccuracyAtTheEnds) {
    using R = TypeParam;
    std::vector<R> a;
    Vector gates;
    for (double value : {-1e30, -90.0, -80.0, -20.0, -1e-6, 0.0, 1e-6, 20.0, 90.0, 1e30}) {
        R x = static_cast<R>(value);
        a.insert(a.end(), {x, x, x, x});
        Cell cell = reference::lstmCell({x, x, x, x}, 0, {0, 0, 0}, 0);
        gates.insert(gates.end(), {cell.i, cell.f, cell.g, cell.o});
    }
    a.insert(a.end(), {nan<R>(), 0, 0, 0});
    gates.insert(gates.end(), {nan<double>(), 0.5, 0, 0.5});
    size_t cells = a.size() / 4;
    auto results = everyWay([&](Way way) {
        Buffer<R> gateBuffer(a);
        Input<R> cPrevious(std::vector<R>(cells, 0));
        Buffer<R> c(cells);
        Buffer<R> h(cells);
        launch(named<R>("lstm_forward"), way, {way.grid(1)}, kBlock, gateBuffer.address(), cPrevious.address(),
                c.address(), static_cast<const R*>(nullptr), h.address(), static_cast<R*>(nullptr),
                static_cast<R*>(nullptr), 0, static_cast<const R*>(nullptr), static_cast<const int*>(nullptr), 0,
                static_cast<int>(cells), 1, 1.5);
        return std::vector<std::vector<R>>{gateBuffer.values(), c.values(), h.values()};
    });
    // Relative, down to numbers that float holds in full.
    expectNear(results[0], gates, 8, std::numeric_limits<R>::min() / std::numeric_limits<R>::epsilon(), "gates");
    EXPECT_TRUE(std::isnan(results[1].back())) << "a limit must not hide what is not a number";
    EXPECT_TRUE(std::isnan(results[2].back()));
}

TYPED_TEST(LstmPointwise, BackwardEqualsTheReference) {
    using R = TypeParam;
    for (const Case& c : cases) {
        for (bool projected : {false, true}) {
            for (double clip : {0.0, 0.4}) {
                for (int extra : {-1, 0, 3}) {
                    // -1: no dy.
                    int dyPitch = c.H + std::max(extra, 0);
                    bool peeps = extra == 3;
                    size_t cells = static_cast<size_t>(c.N * c.H);
                    size_t H = static_cast<size_t>(c.H);
                    std::vector<R> a = numbers<R>(4 * cells, 1, 3);
                    std::vector<R> cBefore = numbers<R>(cells, 2);
                    std::vector<R> cAfter(cells);
                    std::vector<R> dhBefore = numbers<R>(cells, 3);
                    std::vector<R> dcBefore = numbers<R>(cells, 4);
                    std::vector<R> dyGiven = numbers<R>(static_cast<size_t>(c.N * dyPitch), 5);
                    std::vector<R> dmGiven = numbers<R>(cells, 6);
                    std::vector<R> p = peeps ? numbers<R>(3 * H, 7) : std::vector<R>();
                    Vector da(4 * cells, 0), dcAfter = doubles(dcBefore), dhAfter = doubles(dhBefore);
                    for (int n = 0; n < c.N; n++) {
                        for (int j = 0; j < c.H; j++) {
                            size_t e = static_cast<size_t>(n * c.H + j);
                            size_t first = static_cast<size_t>(n * 4 * c.H + j);
                            auto peepholes = this->peepholesAt(p, c.H, j);
                            Cell cell =
                                    reference::lstmCell({a[first], a[first + H], a[first + 2 * H], a[first + 3 * H]},
                                            cBefore[e], peepholes, clip);
                            // What the kernel is given are numbers of its own type.
                            a[first] = static_cast<R>(cell.i);
                            a[first + H] = static_cast<R>(cell.f);
                            a[first + 2 * H] = static_cast<R>(cell.g);
                            a[first + 3 * H] = static_cast<R>(cell.o);
                            cAfter[e] = static_cast<R>(cell.c);
                            if (!this->valid(c, n)) {
                                continue;
                            }
                            double dy = extra < 0 ? 0 : dyGiven[static_cast<size_t>(n * dyPitch + j)];
                            double dm = projected ? static_cast<double>(dmGiven[e]) : dhBefore[e] + dy;
                            CellGradient gradient = reference::lstmCellBackward(
                                    {a[first], a[first + H], a[first + 2 * H], a[first + 3 * H], cAfter[e], 0},
                                    cBefore[e], dm, dcBefore[e], peepholes, clip);
                            for (size_t gate = 0; gate < 4; gate++) {
                                da[first + gate * H] = gradient.da[gate];
                            }
                            dcAfter[e] = gradient.dcPrevious;
                            dhAfter[e] = projected ? static_cast<double>(dhBefore[e]) : 0;
                        }
                    }
                    this->spoil(a, c, 4 * c.H);
                    this->spoil(dmGiven, c, c.H);
                    this->spoil(dyGiven, c, dyPitch);
                    for (size_t e = 0; e < dyGiven.size(); e++) {
                        // The other direction's columns are none of this cell's.
                        dyGiven[e] = static_cast<int>(e) % dyPitch >= c.H ? nan<R>() : dyGiven[e];
                    }
                    auto results = everyWay([&](Way way) {
                        Buffer<R> gates(a);
                        Input<R> cPrevious(cBefore);
                        Input<R> cNow(cAfter);
                        Buffer<R> dh(dhBefore);
                        Input<R> dy(dyGiven);
                        Input<R> dm(dmGiven);
                        Buffer<R> dc(dcBefore);
                        Input<R> peepholes(p);
                        Input<int> lengths(c.lengths);
                        launch(named<R>("lstm_backward"), way, {way.grid(blocksFor(c.N * c.H))}, kBlock,
                                gates.address(), cPrevious.address(), cNow.address(),
                                projected ? nullptr : dh.address(), extra < 0 || projected ? nullptr : dy.address(),
                                dyPitch, projected ? dm.address() : nullptr, dc.address(),
                                peeps ? peepholes.address() : nullptr, c.lengths.empty() ? nullptr : lengths.address(),
                                step, c.N, c.H, clip);
                        return std::vector<std::vector<R>>{gates.values(), dc.values(), dh.values()};
                    });
                    expectNear(results[0], da, 16, 1, "da");
                    expectNear(results[1], dcAfter, 16, 1, "dc");
                    expectSame(results[2], dhAfter, "dh");
                }
            }
        }
    }
}

// The reference that the kernels are compared with, and so the kernels, against central differences of the forward
// equations.
TEST(LstmReference, BackwardIsTheSlopeOfForward) {
    Vector values = numbers<double>(300, 11, 2);
    for (size_t at = 0; at + 9 < values.size(); at += 10) {
        for (double clip : {0.0, 0.3}) {
            std::array<double, 4> a = {values[at], values[at + 1], values[at + 2], values[at + 3]};
            double c = values[at + 4];
            std::array<double, 3> peepholes = {values[at + 5], values[at + 6], values[at + 7]};
            double dm = values[at + 8];
            double dc = values[at + 9];
            auto weighted = [&](const std::array<double, 4>& gates, double before) {
                Cell cell = reference::lstmCell(gates, before, peepholes, clip);
                return dm * cell.m + dc * cell.c;
            };
            CellGradient gradient =
                    reference::lstmCellBackward(reference::lstmCell(a, c, peepholes, clip), c, dm, dc, peepholes, clip);
            constexpr double h = 1e-5;
            for (size_t gate = 0; gate < 4; gate++) {
                std::array<double, 4> more = a;
                std::array<double, 4> less = a;
                more[gate] += h;
                less[gate] -= h;
                EXPECT_NEAR(gradient.da[gate], (weighted(more, c) - weighted(less, c)) / (2 * h), 1e-8)
                        << "gate " << gate << " at " << at;
            }
            EXPECT_NEAR(gradient.dcPrevious, (weighted(a, c + h) - weighted(a, c - h)) / (2 * h), 1e-8)
                    << "c at " << at;
        }
    }
}

TYPED_TEST(LstmPointwise, ProjectionsCopyAddAndCarry) {
    using R = TypeParam;
    for (const Case& c : cases) {
        for (int extra : {-1, 0, 3}) {
            int P = c.H;
            int pitch = P + std::max(extra, 0);
            size_t elements = static_cast<size_t>(c.N * P);
            std::vector<R> before = numbers<R>(elements, 1);
            std::vector<R> product = numbers<R>(elements, 2);
            std::vector<R> dhBefore = numbers<R>(elements, 3);
            std::vector<R> dyGiven = numbers<R>(static_cast<size_t>(c.N * pitch), 4);
            Vector hAfter(elements), yAfter(static_cast<size_t>(c.N * pitch), nan<double>()), dhAfter(elements),
                    total(elements);
            for (int n = 0; n < c.N; n++) {
                for (int k = 0; k < P; k++) {
                    size_t e = static_cast<size_t>(n * P + k);
                    size_t wide = static_cast<size_t>(n * pitch + k);
                    bool valid = this->valid(c, n);
                    hAfter[e] = valid ? product[e] : before[e];
                    yAfter[wide] = valid ? product[e] : 0;
                    total[e] = valid ? static_cast<R>(dhBefore[e] + (extra < 0 ? 0 : dyGiven[wide])) : 0;
                    dhAfter[e] = valid ? 0 : dhBefore[e];
                }
            }
            this->spoil(product, c, P);
            this->spoil(dyGiven, c, pitch);
            auto results = everyWay([&](Way way) {
                Input<R> hPrevious(before);
                Buffer<R> h(product);
                Buffer<R> y(yAfter.size());
                Input<int> lengths(c.lengths);
                Buffer<R> dh(dhBefore);
                Input<R> dy(dyGiven);
                Buffer<R> dhTotal(elements);
                const int* lengthsOrNull = c.lengths.empty() ? nullptr : lengths.address();
                unsigned blocks = way.grid(blocksFor(c.N * P));
                launch(named<R>("lstm_project_forward"), way, {blocks}, kBlock, hPrevious.address(), h.address(),
                        y.address(), pitch, lengthsOrNull, step, c.N, P);
                launch(named<R>("lstm_project_backward"), way, {blocks}, kBlock, dh.address(),
                        extra < 0 ? nullptr : dy.address(), pitch, dhTotal.address(), lengthsOrNull, step, c.N, P);
                return std::vector<std::vector<R>>{h.values(), y.values(), dh.values(), dhTotal.values()};
            });
            expectSame(results[0], hAfter, "h");
            expectSame(results[1], yAfter, "y");
            expectSame(results[2], dhAfter, "dh");
            expectSame(results[3], total, "dhTotal");
        }
    }
}

}  // namespace
}  // namespace carousel::test
