#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

using reference::Function;
using reference::Normalized;
using reference::VariedCells;
using reference::VariedGradients;
using reference::Vector;

constexpr unsigned kBlock = 256;
constexpr int step = 2;
constexpr double epsilon = 1e-5;

struct Case {
    int N, H;
    std::vector<int> lengths;
};
const std::vector<Case> cases = {{0, 3, {}}, {1, 1, {}}, {1, 1, {0}}, {3, 5, {1, 4, 2}}, {2, 127, {}}, {1, 257, {3}},
        {5, 64, {0, 2, 3, 7, 1}}, {17, 31, {}}, {4, 65, {3, 3, -1, 2}}};

// One of each kind; what a cell makes of them stays in range.
const std::vector<Function> functions = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 0.4, 0.1}, {4, 0.01, 0}, {5, 0.2, 0},
        {6, 1.7, 0.6}, {7, 0.2, 0.5}, {8, 0.9, 0}, {9, 0, 0}, {10, 0, 0}};

// What the equations have beside the plain ones, by name of what is tested.
struct Variety {
    bool peepholes = false;
    bool coupled = false;
    // Masks, or where there are none, what is held.
    bool dropout = false;
    bool zoneout = false;
    double held = 0;
    double clip = 0;
    double gateClip = 0;
    Function gates{0, 0, 0};
    Function candidate{1, 0, 0};
    Function output{1, 0, 0};
};

std::vector<Variety> varieties() {
    std::vector<Variety> result(6);
    result[1].peepholes = true;
    result[2].coupled = true;
    result[2].gateClip = 0.7;
    result[3].clip = 0.4;
    result[3].held = 0.3;
    result[4].dropout = true;
    result[5].zoneout = true;
    // And all of them together, with each of the functions in each of its places.
    for (size_t k = 0; k < functions.size(); k++) {
        result.push_back({true, k % 2 == 1, true, true, 0, k % 3 == 1 ? 0.6 : 0, k % 4 == 1 ? 0.0 : 0.9, functions[k],
                functions[(k + 4) % functions.size()], functions[(k + 8) % functions.size()]});
    }
    return result;
}

// A mask [rows, width]: elements that are `drawn`, and `rest`.
template <typename R>
std::vector<R> maskOf(size_t count, unsigned seed, double drawn, double rest) {
    std::vector<R> mask = numbers<R>(count, seed);
    for (R& value : mask) {
        value = static_cast<R>(value < 0.3 ? rest : drawn);
    }
    return mask;
}

// The numbers of one step, and what the kernels should make of them.
template <typename R>
struct Step {
    const Case& c;
    Variety variety;
    bool projected;
    bool normal;
    size_t cells;
    size_t H;
    int pitch;
    std::vector<R> a, u, v, bias, cBefore, hBefore, p, gateGains, cellGains, kept, heldCell, heldHidden, seen;
    std::vector<R> dh, dSeen, dy, dm, dc, peepholeSums, gateSums, cellSums;

    Step(const Case& c, const Variety& variety, bool projected, bool normal, int extra)
        : c(c), variety(variety), projected(projected), normal(normal), cells(static_cast<size_t>(c.N * c.H)),
          H(static_cast<size_t>(c.H)), pitch(c.H + extra) {
        a = numbers<R>(4 * cells, 1, 2);
        u = numbers<R>(4 * cells, 2, 2);
        v = numbers<R>(4 * cells, 3, 2);
        bias = numbers<R>(4 * H, 4);
        cBefore = numbers<R>(cells, 5);
        hBefore = numbers<R>(cells, 6);
        p = numbers<R>(variety.peepholes ? 3 * H : 0, 7);
        gateGains = numbers<R>(8 * H, 8);
        cellGains = numbers<R>(2 * H, 9);
        kept = maskOf<R>(variety.dropout ? cells : 0, 10, 0, 1 / 0.65);
        heldCell = maskOf<R>(variety.zoneout ? cells : 0, 11, 1, 0);
        heldHidden = maskOf<R>(variety.zoneout ? cells : 0, 12, 1, 0);
        seen = maskOf<R>(variety.dropout ? cells : 0, 13, 0, 1 / 0.65);
        dh = numbers<R>(cells, 14);
        dSeen = numbers<R>(variety.dropout ? cells : 0, 15);
        dy = numbers<R>(static_cast<size_t>(c.N * pitch), 16);
        dm = numbers<R>(cells, 17);
        dc = numbers<R>(cells, 18);
        peepholeSums = numbers<R>(3 * cells, 19);
        gateSums = numbers<R>(4 * cells, 20);
        cellSums = numbers<R>(2 * cells, 21);
    }

    bool valid(int n) const { return c.lengths.empty() || step < c.lengths[static_cast<size_t>(n)]; }

    reference::Variation variation() const {
        reference::Variation result;
        result.peepholes = doubles(p);
        result.clip = variety.clip;
        result.gateClip = variety.gateClip;
        result.coupled = variety.coupled;
        result.gates = variety.gates;
        result.candidate = variety.candidate;
        result.output = variety.output;
        result.cellGains = normal ? doubles(cellGains) : Vector();
        result.epsilon = epsilon;
        return result;
    }

    // Row n of what has that width; `other` where it is empty.
    static Vector row(const std::vector<R>& values, int n, size_t width, double other = 0) {
        if (values.empty()) {
            return Vector(width, other);
        }
        auto first = values.begin() + static_cast<long>(static_cast<size_t>(n) * width);
        return Vector(first, first + static_cast<long>(width));
    }

    Vector held(int n) const { return row(heldCell, n, H, variety.held); }
    double heldAt(size_t e) const {
        return heldHidden.empty() ? variety.held : static_cast<double>(heldHidden[e]);
    }

    static void put(std::vector<double>& all, int n, const Vector& row) {
        std::copy(row.begin(), row.end(), all.begin() + static_cast<long>(static_cast<size_t>(n) * row.size()));
    }

    // Rows that are not valid become not-a-numbers: nothing may read them.
    std::vector<R> spoiled(std::vector<R> values, size_t width) const {
        for (size_t e = 0; e < values.size(); e++) {
            if (!valid(static_cast<int>(e / width))) {
                values[e] = nan<R>();
            }
        }
        return values;
    }

    // dy, and the other direction's columns are none of this cell's.
    std::vector<R> spoiledDy() const {
        std::vector<R> values = spoiled(dy, static_cast<size_t>(pitch));
        for (size_t e = 0; e < values.size(); e++) {
            values[e] = e % static_cast<size_t>(pitch) >= H ? nan<R>() : values[e];
        }
        return values;
    }

    Normalized normalV(int n) const { return reference::normalize(row(v, n, 4 * H), epsilon); }

    // Without peepholes, from u as the rows kernel leaves it.
    Vector preActivations(int n) const {
        if (!normal) {
            return row(a, n, 4 * H);
        }
        Vector normalU = row(u, n, 4 * H);
        Vector normalOfV = normalV(n).values;
        Vector result(4 * H);
        for (size_t k = 0; k < 4 * H; k++) {
            result[k] = gateGains[k] * normalU[k] + gateGains[4 * H + k] * normalOfV[k] + bias[k];
        }
        return result;
    }

    VariedCells forwardRow(int n) const {
        return reference::variedCells(
                variation(), preActivations(n), row(cBefore, n, H), row(kept, n, H, 1), held(n));
    }
};

template <typename R>
const R* orNull(const std::vector<R>& values, const Input<R>& input) {
    return values.empty() ? nullptr : input.address();
}

template <typename R>
class LstmVaried : public testing::Test {
protected:
    static constexpr const R* none = nullptr;
    static constexpr R* nowhere = nullptr;
};
TYPED_TEST_SUITE(LstmVaried, Reals);

template <typename F>
void everyStep(F run) {
    for (const Case& c : cases) {
        size_t number = 0;
        for (const Variety& variety : varieties()) {
            for (bool normal : {false, true}) {
                for (bool projected : {false, true}) {
                    // The larger sizes are for the ways through rows, not for every function.
                    if (c.H < 60 || number < 6 || number % 4 == 0) {
                        run(c, variety, projected, normal, static_cast<int>(number % 2) * 3);
                    }
                }
            }
            number++;
        }
    }
}

TYPED_TEST(LstmVaried, ForwardEqualsTheReference) {
    using R = TypeParam;
    everyStep([&](const Case& c, const Variety& variety, bool projected, bool normal, int extra) {
        Step<R> s(c, variety, projected, normal, extra);
        size_t H = s.H;
        double untouched = nan<double>();
        Vector a(4 * s.cells, untouched), cAfter = doubles(s.cBefore), m(s.cells, projected ? 0 : untouched);
        Vector h(s.cells, untouched), seen(s.cells, untouched), y(static_cast<size_t>(c.N * s.pitch), untouched);
        Vector v(4 * s.cells, untouched), cell(s.cells, untouched), deviations(static_cast<size_t>(2 * c.N), untouched);
        for (int n = 0; n < c.N; n++) {
            VariedCells now = s.forwardRow(n);
            if (s.valid(n)) {
                s.put(a, n, now.a);
                s.put(cAfter, n, now.c);
                if (projected) {
                    s.put(m, n, now.m);
                }
                if (normal) {
                    Normalized ofCell = reference::normalize(now.newCell, epsilon);
                    s.put(v, n, s.normalV(n).values);
                    s.put(cell, n, ofCell.values);
                    deviations[static_cast<size_t>(2 * n)] = s.normalV(n).deviation;
                    deviations[static_cast<size_t>(2 * n + 1)] = ofCell.deviation;
                }
            }
            for (size_t j = 0; j < H && !projected; j++) {
                size_t e = static_cast<size_t>(n) * H + j;
                double held = s.heldAt(e);
                h[e] = s.valid(n) ? held * s.hBefore[e] + (1 - held) * now.m[j] : static_cast<double>(s.hBefore[e]);
                if (variety.dropout) {
                    seen[e] = s.seen[e] * h[e];
                }
                y[static_cast<size_t>(n * s.pitch) + j] = s.valid(n) ? h[e] : 0;
            }
        }
        auto results = everyWay([&](Way way) {
            Buffer<R> gates(normal ? std::vector<R>(4 * s.cells, nan<R>()) : s.spoiled(s.a, 4 * H));
            Input<R> u(s.spoiled(s.u, 4 * H)), bias(s.bias), gateGains(s.gateGains), cellGains(s.cellGains);
            Buffer<R> vBuffer(s.spoiled(s.v, 4 * H)), cellBuffer(s.cells), deviationBuffer(deviations.size());
            Input<R> cPrevious(s.cBefore), hPrevious(s.hBefore), p(s.p), kept(s.kept), heldCell(s.heldCell);
            Input<R> heldHidden(s.heldHidden), recurrentMask(s.seen);
            Input<int> lengths(c.lengths);
            Buffer<R> cNext(s.cells), mBuffer(s.cells), hBuffer(s.cells), seenBuffer(s.cells), yBuffer(y.size());
            auto launchWith = [&](const char* name, unsigned blocks, auto... first) {
                launch(named<R>(name), way, {blocks}, kBlock, first..., gates.address(), cPrevious.address(),
                        cNext.address(), projected ? mBuffer.address() : nullptr, projected ? nullptr : hPrevious.address(),
                        projected ? nullptr : hBuffer.address(),
                        projected || !variety.dropout ? nullptr : seenBuffer.address(),
                        projected ? nullptr : yBuffer.address(), s.pitch, orNull(s.seen, recurrentMask),
                        orNull(s.heldHidden, heldHidden), variety.held, orNull(s.p, p), orNull(s.kept, kept),
                        orNull(s.heldCell, heldCell), variety.held, variety.clip, variety.gateClip,
                        variety.coupled ? 1 : 0, variety.gates.kind, variety.gates.alpha, variety.gates.beta,
                        variety.candidate.kind, variety.candidate.alpha, variety.candidate.beta, variety.output.kind,
                        variety.output.alpha, variety.output.beta, c.lengths.empty() ? nullptr : lengths.address(),
                        step, c.N, c.H);
            };
            if (normal) {
                launchWith("lstm_normal_forward", way.grid(c.N), u.address(), bias.address(), vBuffer.address(),
                        cellBuffer.address(), deviationBuffer.address(), gateGains.address(), cellGains.address(),
                        epsilon);
            } else {
                launchWith("lstm_varied_forward", way.grid(blocksFor(c.N * c.H)));
            }
            return std::vector<std::vector<R>>{gates.values(), cNext.values(), mBuffer.values(), hBuffer.values(),
                    seenBuffer.values(), yBuffer.values(), vBuffer.values(), cellBuffer.values(),
                    deviationBuffer.values()};
        });
        // A small deviation makes much of a small difference.
        double least = 1;
        for (int n = 0; n < c.N && normal; n++) {
            least = std::min(least, reference::normalize(s.forwardRow(n).newCell, epsilon).deviation);
        }
        double allowed = 16 / least;
        expectNear(results[0], a, 16, 4, "a");
        expectNear(results[1], cAfter, 16, 4, "c");
        expectNear(results[2], m, allowed, 4, "m");
        expectNear(results[3], h, allowed, 4, "h");
        expectNear(results[4], seen, allowed, 4, "hSeen");
        expectNear(results[5], y, allowed, 4, "y");
        if (normal) {
            expectNear(results[6], v, 16, 4, "v");
            expectNear(results[7], cell, allowed, 4, "LN(c')");
            expectNear(results[8], deviations, allowed, 1, "deviations");
        }
    });
}

TYPED_TEST(LstmVaried, BackwardEqualsTheReference) {
    using R = TypeParam;
    everyStep([&](const Case& c, const Variety& variety, bool projected, bool normal, int extra) {
        Step<R> s(c, variety, projected, normal, extra);
        size_t H = s.H;
        bool hasDy = extra > 0;
        bool wantsSums = !projected;
        Vector da(4 * s.cells, 0), dv(4 * s.cells, 0), dcAfter = doubles(s.dc), dhAfter = doubles(s.dh);
        Vector peepholeSums = doubles(s.peepholeSums), gateSums = doubles(s.gateSums), cellSums = doubles(s.cellSums);
        // What forward leaves, in numbers of the kernel's own type.
        std::vector<R> a(4 * s.cells), v(4 * s.cells), cell(s.cells), deviations(static_cast<size_t>(2 * c.N));
        double least = 1;
        for (int n = 0; n < c.N; n++) {
            size_t first = static_cast<size_t>(n) * H;
            VariedCells now = s.forwardRow(n);
            std::copy(now.a.begin(), now.a.end(), a.begin() + static_cast<long>(4 * first));
            Normalized ofV = s.normalV(n);
            Vector aRow = s.row(a, n, 4 * H);
            if (normal) {
                // LN(c') of the very a that the kernel sees: only their difference counts, not their rounding.
                Vector newCell = now.newCell;
                Normalized ofCell = reference::normalize(newCell, epsilon);
                std::copy(ofV.values.begin(), ofV.values.end(), v.begin() + static_cast<long>(4 * first));
                std::copy(ofCell.values.begin(), ofCell.values.end(), cell.begin() + static_cast<long>(first));
                deviations[static_cast<size_t>(2 * n)] = static_cast<R>(ofV.deviation);
                deviations[static_cast<size_t>(2 * n + 1)] = static_cast<R>(ofCell.deviation);
                least = std::min(least, ofCell.deviation);
            }
            Vector dm(H);
            for (size_t j = 0; j < H; j++) {
                size_t e = first + j;
                double total = s.dh[e] + (variety.dropout ? static_cast<double>(s.seen[e]) * s.dSeen[e] : 0.0);
                if (s.valid(n)) {
                    total += hasDy ? s.dy[static_cast<size_t>(n * s.pitch) + j] : R(0);
                    dm[j] = projected ? static_cast<double>(s.dm[e]) : (1 - s.heldAt(e)) * total;
                    total *= s.heldAt(e);
                }
                dhAfter[e] = projected ? static_cast<double>(s.dh[e]) : total;
            }
            if (!s.valid(n)) {
                continue;
            }
            VariedGradients gradients = reference::variedCellsBackward(
                    s.variation(), aRow, s.row(s.cBefore, n, H), s.row(s.kept, n, H, 1), s.held(n), dm, s.row(s.dc, n, H));
            s.put(da, n, gradients.da);
            s.put(dcAfter, n, gradients.dcPrevious);
            for (size_t k = 0; k < 3 * H && variety.peepholes && wantsSums; k++) {
                peepholeSums[3 * first + k] += gradients.dPeepholes[k];
            }
            if (normal) {
                Vector gained(4 * H);
                for (size_t k = 0; k < 4 * H; k++) {
                    gained[k] = s.gateGains[4 * H + k] * gradients.da[k];
                    gateSums[4 * first + k] += wantsSums ? gradients.da[k] * ofV.values[k] : 0;
                }
                for (size_t k = 0; k < 2 * H && wantsSums; k++) {
                    cellSums[2 * first + k] += gradients.dCellGains[k];
                }
                s.put(dv, n, reference::normalizeBackward(ofV, gained));
            }
        }
        auto results = everyWay([&](Way way) {
            Buffer<R> gates(s.spoiled(a, 4 * H)), vBuffer(s.spoiled(v, 4 * H));
            Input<R> cellBuffer(s.spoiled(cell, H)), deviationBuffer(deviations);
            Input<R> gateGains(s.gateGains), cellGains(s.cellGains);
            Input<R> cPrevious(s.cBefore), p(s.p), kept(s.kept), heldCell(s.heldCell);
            Input<R> heldHidden(s.heldHidden), recurrentMask(s.seen), dSeen(s.dSeen), dy(s.spoiledDy());
            Input<R> dm(s.spoiled(s.dm, H));
            Input<int> lengths(c.lengths);
            Buffer<R> dc(s.dc), dh(s.dh), ofPeepholes(s.peepholeSums), ofGates(s.gateSums), ofCells(s.cellSums);
            auto launchWith = [&](const char* name, unsigned blocks, auto... first) {
                launch(named<R>(name), way, {blocks}, kBlock, first..., gates.address(), cPrevious.address(),
                        projected ? dm.address() : nullptr, dc.address(), wantsSums ? ofPeepholes.address() : nullptr,
                        projected ? nullptr : dh.address(), orNull(s.dSeen, dSeen), orNull(s.seen, recurrentMask),
                        hasDy ? dy.address() : nullptr, s.pitch, orNull(s.heldHidden, heldHidden), variety.held,
                        orNull(s.p, p), orNull(s.kept, kept), orNull(s.heldCell, heldCell), variety.held, variety.clip,
                        variety.gateClip, variety.coupled ? 1 : 0, variety.gates.kind, variety.gates.alpha,
                        variety.gates.beta, variety.candidate.kind, variety.candidate.alpha, variety.candidate.beta,
                        variety.output.kind, variety.output.alpha, variety.output.beta,
                        c.lengths.empty() ? nullptr : lengths.address(), step, c.N, c.H);
            };
            if (normal) {
                launchWith("lstm_normal_backward", way.grid(c.N), vBuffer.address(), cellBuffer.address(),
                        deviationBuffer.address(), gateGains.address(), cellGains.address(),
                        wantsSums ? ofGates.address() : nullptr, wantsSums ? ofCells.address() : nullptr);
            } else {
                launchWith("lstm_varied_backward", way.grid(blocksFor(c.N * c.H)));
            }
            return std::vector<std::vector<R>>{gates.values(), dc.values(), dh.values(), ofPeepholes.values(),
                    vBuffer.values(), ofGates.values(), ofCells.values()};
        });
        double allowed = 32 / least / least;
        expectNear(results[0], da, allowed, 4, "da");
        expectNear(results[1], dcAfter, allowed, 4, "dc");
        expectNear(results[2], dhAfter, 8, 1, "dh");
        expectNear(results[3], peepholeSums, allowed, 4, "dp");
        if (normal) {
            expectNear(results[4], dv, allowed, 4, "dv");
            expectNear(results[5], gateSums, allowed, 4, "dgamma_v");
            expectNear(results[6], cellSums, allowed, 4, "dgamma_c and dbeta_c");
        }
    });
}

TYPED_TEST(LstmVaried, RowsAreNormalizedAndTheirGradientsGoBack) {
    using R = TypeParam;
    struct Size {
        int rows, width;
    };
    for (Size size : {Size{0, 4}, Size{1, 4}, Size{3, 20}, Size{17, 124}, Size{2, 255}, Size{3, 256}, Size{2, 1028}}) {
        size_t count = static_cast<size_t>(size.rows * size.width);
        size_t width = static_cast<size_t>(size.width);
        std::vector<R> u = numbers<R>(count, 1, 2);
        std::vector<R> gradient = numbers<R>(count, 2);
        std::vector<R> gains = numbers<R>(width, 3);
        Vector values(count), deviations, products(count), du(count);
        for (int n = 0; n < size.rows; n++) {
            size_t first = static_cast<size_t>(n) * width;
            Normalized row = reference::normalize(Step<R>::row(u, n, width), epsilon);
            deviations.push_back(row.deviation);
            Step<R>::put(values, n, row.values);
            Vector gained(width);
            for (size_t k = 0; k < width; k++) {
                gained[k] = gains[k] * gradient[first + k];
                products[first + k] = gradient[first + k] * row.values[k];
            }
            Step<R>::put(du, n, reference::normalizeBackward(row, gained));
        }
        auto results = everyWay([&](Way way) {
            Buffer<R> q(u), deviationBuffer(deviations.size()), d(gradient);
            Input<R> gainBuffer(gains);
            unsigned blocks = way.grid(size.rows);
            launch(named<R>("lstm_rows_forward"), way, {blocks}, kBlock, q.address(), deviationBuffer.address(),
                    size.rows, size.width, epsilon);
            std::vector<R> normal = q.values();
            launch(named<R>("lstm_rows_backward"), way, {blocks}, kBlock, d.address(), q.address(),
                    static_cast<const R*>(deviationBuffer.address()), gainBuffer.address(), size.rows, size.width);
            return std::vector<std::vector<R>>{normal, deviationBuffer.values(), d.values(), q.values()};
        });
        expectNear(results[0], values, 16, 1, "LN(u)");
        expectNear(results[1], deviations, 8, 1, "deviations");
        expectNear(results[2], products, 16, 1, "da LN(u)");
        expectNear(results[3], du, 32, 1, "du");
    }
}

TYPED_TEST(LstmVaried, ProjectionsHoldMaskAndCarry) {
    using R = TypeParam;
    for (const Case& c : cases) {
        for (const Variety& variety : varieties()) {
            Step<R> s(c, variety, true, false, variety.zoneout ? 3 : 0);
            bool hasDy = variety.zoneout || !variety.dropout;
            std::vector<R> product = numbers<R>(s.cells, 30);
            Vector h(s.cells), seen(s.cells, nan<double>()), y(static_cast<size_t>(c.N * s.pitch), nan<double>());
            Vector dh(s.cells), dHidden(s.cells, 0);
            for (size_t e = 0; e < s.cells; e++) {
                int n = static_cast<int>(e / s.H);
                size_t wide = static_cast<size_t>(n * s.pitch) + e % s.H;
                double held = s.heldAt(e);
                h[e] = s.valid(n) ? held * s.hBefore[e] + (1 - held) * product[e] : static_cast<double>(s.hBefore[e]);
                if (variety.dropout) {
                    seen[e] = s.seen[e] * h[e];
                }
                y[wide] = s.valid(n) ? h[e] : 0;
                dh[e] = s.dh[e] + (variety.dropout ? static_cast<double>(s.seen[e]) * s.dSeen[e] : 0.0);
                if (s.valid(n)) {
                    double total = dh[e] + (hasDy ? static_cast<double>(s.dy[wide]) : 0.0);
                    dh[e] = held * total;
                    dHidden[e] = (1 - held) * total;
                }
            }
            auto results = everyWay([&](Way way) {
                Input<R> hPrevious(s.hBefore), heldHidden(s.heldHidden), recurrentMask(s.seen), dSeen(s.dSeen);
                Input<R> dy(s.spoiledDy());
                Input<int> lengths(c.lengths);
                Buffer<R> hBuffer(s.spoiled(product, s.H)), seenBuffer(s.cells), yBuffer(y.size());
                Buffer<R> dhBuffer(s.dh), dHiddenBuffer(s.cells);
                const int* lengthsOrNull = c.lengths.empty() ? nullptr : lengths.address();
                unsigned blocks = way.grid(blocksFor(c.N * c.H));
                launch(named<R>("lstm_varied_project_forward"), way, {blocks}, kBlock, hPrevious.address(),
                        hBuffer.address(), variety.dropout ? seenBuffer.address() : nullptr, yBuffer.address(), s.pitch,
                        orNull(s.seen, recurrentMask), orNull(s.heldHidden, heldHidden), variety.held, lengthsOrNull,
                        step, c.N, c.H);
                launch(named<R>("lstm_varied_project_backward"), way, {blocks}, kBlock, dhBuffer.address(),
                        orNull(s.dSeen, dSeen), orNull(s.seen, recurrentMask), hasDy ? dy.address() : nullptr, s.pitch,
                        orNull(s.heldHidden, heldHidden), variety.held, dHiddenBuffer.address(), lengthsOrNull, step,
                        c.N, c.H);
                return std::vector<std::vector<R>>{hBuffer.values(), seenBuffer.values(), yBuffer.values(),
                        dhBuffer.values(), dHiddenBuffer.values()};
            });
            expectNear(results[0], h, 4, 1, "h");
            expectNear(results[1], seen, 4, 1, "hSeen");
            expectNear(results[2], y, 4, 1, "y");
            expectNear(results[3], dh, 8, 1, "dh");
            expectNear(results[4], dHidden, 8, 1, "dHidden");
        }
    }
}

// The reference that the kernels are compared with, and so the kernels, against central differences of the forward equations.
TEST(LstmVariedReference, BackwardIsTheSlopeOfForward) {
    Case c{2, 3, {}};
    for (bool normal : {false, true}) {
        for (const Variety& variety : varieties()) {
            Step<double> s(c, variety, true, normal, 0);
            Vector dm = s.row(s.dm, 1, 3);
            Vector dc = s.row(s.dc, 1, 3);
            Vector before = s.row(s.cBefore, 1, 3);
            Vector kept = s.row(s.kept, 1, 3, 1);
            reference::Variation variation = s.variation();
            auto weighted = [&](const reference::Variation& with, const Vector& a, const Vector& c) {
                VariedCells now = reference::variedCells(with, a, c, kept, s.held(1));
                double sum = 0;
                for (size_t j = 0; j < 3; j++) {
                    sum += dm[j] * now.m[j] + dc[j] * now.c[j];
                }
                return sum;
            };
            Vector a = s.row(s.a, 1, 12);
            Vector full = reference::variedCells(variation, a, before, kept, s.held(1)).a;
            VariedGradients gradients = reference::variedCellsBackward(variation, full, before, kept, s.held(1), dm, dc);
            constexpr double h = 1e-6;
            for (size_t k = 0; k < 12; k++) {
                Vector more = a, less = a;
                more[k] += h;
                less[k] -= h;
                EXPECT_NEAR(gradients.da[k],
                        (weighted(variation, more, before) - weighted(variation, less, before)) / (2 * h), 1e-7)
                        << "a " << k;
            }
            for (size_t j = 0; j < 3; j++) {
                Vector more = before, less = before;
                more[j] += h;
                less[j] -= h;
                EXPECT_NEAR(gradients.dcPrevious[j], (weighted(variation, a, more) - weighted(variation, a, less)) / (2 * h),
                        1e-7)
                        << "c " << j;
            }
            auto expectSlopes = [&](Vector reference::Variation::*weights, const Vector& expected, const char* what) {
                for (size_t k = 0; k < (variation.*weights).size(); k++) {
                    reference::Variation more = variation, less = variation;
                    (more.*weights)[k] += h;
                    (less.*weights)[k] -= h;
                    EXPECT_NEAR(
                            expected[k], (weighted(more, a, before) - weighted(less, a, before)) / (2 * h), 1e-7)
                            << what << ' ' << k;
                }
            };
            expectSlopes(&reference::Variation::peepholes, gradients.dPeepholes, "peephole");
            expectSlopes(&reference::Variation::cellGains, gradients.dCellGains, "gain or offset");
        }
    }
}

}  // namespace
}  // namespace carousel::test
