// The kernels whose recurrent weights stay in registers, of one block (lstm_resident.cu), of clusters (lstm_cluster.cu) and of as many blocks
// as the grid has (lstm_grid.cu), and those of the first two that have the product with the inputs in them (lstm_*_inputs.cu).
//
// They round what they multiply to another type. So that this hides nothing, each step is compared with a reference that begins with what
// the kernel itself has left of the step before, rounded as the type's numbers are: what is left between the two are sums of floats. A
// second comparison, of whole sequences with a reference that rounds nothing, says what the type costs.
#include <memory>

#include "compare.h"
#include "device.h"
#include "reference.h"

namespace carousel::test {
namespace {

using reference::Cell;
using reference::CellGradient;
using reference::Vector;

enum class Operand { bf16, f16, tf32, f32 };

// The largest relative difference between neighbouring numbers.
double unitOf(Operand operand) {
    switch (operand) {
        case Operand::bf16: return std::ldexp(1, -8);
        case Operand::f16: return std::ldexp(1, -11);
        case Operand::tf32: return std::ldexp(1, -11);
        default: return std::ldexp(1, -24);
    }
}

double narrow(Operand operand, double value) {
    switch (operand) {
        case Operand::bf16: return reference::roundToBFloat(value);
        case Operand::f16: return reference::roundToHalf(value);
        case Operand::tf32: return reference::roundToTf32(value);
        default: return value;
    }
}

// A kernel's launch contract.
struct Version {
    const char* family;
    const char* name;
    Operand operand;
    int padded;
    // Blocks that share a tile of sequences.
    int cluster;
    int threads;
    int rows;
    size_t forwardShared;
    size_t backwardShared;
    bool overGrid;
    // Of x, for which it has room beside h; 0 where W x + b is given.
    int columns = 0;

    std::string kernel(const std::string& what) const {
        std::string whole = std::string("carousel_") + family + '_' + what + '_' + name;
        return columns == 0 ? whole : whole + "_c" + std::to_string(columns);
    }

    // The same with W x + b in it.
    Version with(int inputs) const {
        Version more = *this;
        more.columns = inputs;
        return more;
    }

    // Of R or W, as the kernels want it, in pieces of 16 bytes.
    size_t packed(int width) const {
        return static_cast<size_t>(padded) * static_cast<size_t>(width) / operandsOfAWord();
    }

    size_t operandsOfAWord() const { return operand == Operand::bf16 || operand == Operand::f16 ? 2 : 1; }

    // Launches a kernel of it on all tiles; over the grid, where `apart`, on one after the other.
    template <typename... A>
    void launchOn(const std::string& what, uint64_t seed, int N, int directions, size_t shared, bool apart, A... arguments) const {
        if (!overGrid) {
            launch(kernel(what), Way{seed, 0}, grid(N, directions, shared), static_cast<unsigned>(threads), arguments...);
            return;
        }
        int tiles = (N + rows - 1) / rows;
        int together = apart ? 1 : tiles;
        size_t letters = static_cast<size_t>(2 * together * directions * rows) * (what == "forward" ? 1 : 4) * padded / operandsOfAWord();
        for (int first = 0; first < tiles; first += together) {
            Buffer<unsigned long long> mail(std::vector<unsigned long long>(letters, 0));
            launch(kernel(what), Way{seed, 0}, grid(together * rows, directions, shared), static_cast<unsigned>(threads), arguments...,
                    first, mail.address());
        }
    }

    Grid grid(int N, int directions, size_t shared) const {
        return {static_cast<unsigned>((N + rows - 1) / rows * cluster), static_cast<unsigned>(directions), shared, overGrid};
    }
};

// As the head of lstm_resident.cuh says it: tiles of 8 sequences, and warps that share a sum.
Version tensor(const char* family, const char* name, Operand operand, int padded, int cluster, int tiles, int sharing,
        bool overGrid = false) {
    int units = padded / cluster;
    int perWord = operand == Operand::tf32 ? 1 : 2;
    int rows = 8 * tiles;
    auto matrices = [=](int width) { return 16 + (overGrid ? 1 : 2) * rows * (width / perWord + 4) * 4; };
    int forward = matrices(padded) + (sharing > 1 ? sharing * 4 * units * rows * 4 : 0);
    int backward = matrices(4 * padded) + 2 * sharing * units * rows * 4;
    return {family, name, operand, padded, cluster, 4 * units * sharing, rows, static_cast<size_t>(forward),
            static_cast<size_t>(backward), overGrid};
}

Version exact(const char* family, const char* name, int padded, int cluster) {
    auto matrices = [](int width) { return static_cast<size_t>(16 + 2 * 8 * (width + 4) * 4); };
    return {family, name, Operand::f32, padded, cluster, 8 * padded / cluster, 8, matrices(padded), matrices(4 * padded), false};
}

const Version versions[] = {
        tensor("lstm_resident", "bf16_h32", Operand::bf16, 32, 1, 1, 1),
        tensor("lstm_resident", "bf16_h64", Operand::bf16, 64, 1, 1, 1),
        tensor("lstm_resident", "bf16_h128", Operand::bf16, 128, 1, 1, 1),
        tensor("lstm_resident", "f16_h32", Operand::f16, 32, 1, 1, 1),
        tensor("lstm_resident", "f16_h64", Operand::f16, 64, 1, 1, 1),
        tensor("lstm_resident", "f16_h128", Operand::f16, 128, 1, 1, 1),
        tensor("lstm_resident", "tf32_h32", Operand::tf32, 32, 1, 1, 1),
        tensor("lstm_resident", "tf32_h64", Operand::tf32, 64, 1, 1, 1),
        exact("lstm_resident", "f32_h32", 32, 1),
        exact("lstm_resident", "f32_h64", 64, 1),
        tensor("lstm_cluster", "bf16_h128", Operand::bf16, 128, 4, 1, 1),
        tensor("lstm_cluster", "bf16_h256", Operand::bf16, 256, 8, 1, 2),
        tensor("lstm_cluster", "bf16_h512", Operand::bf16, 512, 16, 2, 4),
        tensor("lstm_cluster", "f16_h128", Operand::f16, 128, 4, 1, 1),
        tensor("lstm_cluster", "f16_h256", Operand::f16, 256, 8, 1, 2),
        tensor("lstm_cluster", "f16_h512", Operand::f16, 512, 16, 2, 4),
        tensor("lstm_cluster", "tf32_h128", Operand::tf32, 128, 4, 1, 2),
        tensor("lstm_cluster", "tf32_h256", Operand::tf32, 256, 8, 2, 4),
        exact("lstm_cluster", "f32_h128", 128, 4),
        exact("lstm_cluster", "f32_h256", 256, 8),
        tensor("lstm_grid", "bf16_h512", Operand::bf16, 512, 32, 2, 4, true),
        tensor("lstm_grid", "f16_h512", Operand::f16, 512, 32, 2, 4, true),
        tensor("lstm_grid", "tf32_h512", Operand::tf32, 512, 32, 2, 4, true),
        tensor("lstm_grid", "f16_h768", Operand::f16, 768, 48, 2, 4, true),
        tensor("lstm_grid", "bf16_h1024", Operand::bf16, 1024, 64, 2, 4, true),
};

const Version& plain(const std::string& family, const std::string& name) {
    for (const Version& v : versions) {
        if (v.family == family && v.name == name) {
            return v;
        }
    }
    throw std::invalid_argument(name);
}

const Version withInputs[] = {
        plain("lstm_resident", "bf16_h32").with(32),
        plain("lstm_resident", "bf16_h64").with(32),
        plain("lstm_resident", "bf16_h64").with(64),
        plain("lstm_resident", "f16_h32").with(32),
        plain("lstm_resident", "f16_h64").with(32),
        plain("lstm_resident", "f16_h64").with(64),
        plain("lstm_resident", "tf32_h32").with(32),
        plain("lstm_resident", "tf32_h64").with(32),
        plain("lstm_cluster", "bf16_h128").with(32),
        plain("lstm_cluster", "bf16_h128").with(64),
        plain("lstm_cluster", "f16_h128").with(32),
        plain("lstm_cluster", "f16_h128").with(64),
};

struct Case {
    int N, H, T;
    int directions;
    // A bit for each direction.
    int reversed;
    std::vector<int> lengths;
    double clip;
    // Columns of y and dy that belong to nobody; below 0 without dy.
    int extra;

    int length(int n) const { return lengths.empty() ? T : lengths[static_cast<size_t>(n)]; }
    bool valid(int t, int n) const { return t < length(n); }
    bool isReversed(int direction) const { return reversed >> direction & 1; }
    int time(int direction, int step) const { return isReversed(direction) ? T - 1 - step : step; }
    int before(int direction, int t) const { return isReversed(direction) ? t + 1 : t; }
    int after(int direction, int t) const { return isReversed(direction) ? t : t + 1; }
    int pitch() const { return directions * H + std::max(extra, 0); }
    // Element `column` of row (t, n) of an array with rows of that width.
    size_t at(int t, int n, int width, int column) const { return (static_cast<size_t>(t) * N + n) * width + column; }
    size_t size(int slots, int width) const { return static_cast<size_t>(slots) * N * width; }
};

// Widths that fill the padded one and that do not, tiles that are full, that are not and that have nothing to do.
std::vector<Case> casesOf(const Version& v) {
    int H = v.padded;
    std::vector<int> nothingAndSome(static_cast<size_t>(v.rows), 0);
    nothingAndSome.insert(nothingAndSome.end(), {3, 1, 2});
    if (H > 512) {
        // As many threads as tens of blocks have take their time here, and bf16 and f16 differ only in how they round.
        return {{v.rows + 3, H - 3, 3, 1, 1, nothingAndSome, 0.4, 0}};
    }
    std::vector<Case> cases = {{5, H - 3, 4, 2, 2, {0, 4, 2, 1, 3}, 0.4, 3}};
    if (H < 512 || v.operand == Operand::bf16) {
        cases.push_back({v.rows + 3, H, 3, 1, 1, nothingAndSome, 0, 0});
    }
    if (H <= 256) {
        cases.push_back({1, 1, 1, 1, 0, {}, 0, 0});
        cases.push_back({3, H - 1, 5, 1, 1, {2, 3, 0}, 0, -1});
    }
    if (H <= 128) {
        cases.push_back({20, H / 2 + 1, 9, 1, 0, {}, 0.7, 0});
        cases.push_back({17, 7, 6, 2, 1, integers(17, 5, 0, 6), 0, 1});
    }
    return cases;
}

// In which order threads run, and after which step a second launch goes on, 0 for never.
struct Plan {
    uint64_t seed;
    int cut;
};

std::vector<Plan> plansOf(const Version& v, const Case& c) {
    std::vector<Plan> plans = {{1, 0}, {2, c.T / 2}};
    if (v.padded <= 128) {
        plans.push_back({3, 0});
        plans.push_back({4, 1});
    }
    return plans;
}

// Runs `once` by every plan; all must give the same bits. Returns them.
template <typename F>
std::vector<std::vector<float>> everyPlan(const std::vector<Plan>& plans, F once) {
    std::vector<std::vector<float>> first = once(plans[0]);
    for (size_t p = 1; p < plans.size(); p++) {
        std::vector<std::vector<float>> again = once(plans[p]);
        for (size_t k = 0; k < first.size(); k++) {
            EXPECT_EQ(0, std::memcmp(first[k].data(), again[k].data(), first[k].size() * sizeof(float)))
                    << "result " << k << " depends on the order of threads (seed " << plans[p].seed << ") or on where launches are cut ("
                    << plans[p].cut << ')';
        }
    }
    return first;
}

// What a load of 16 bytes takes.
struct Quad {
    unsigned words[4];
};

// R as the kernel wants it. A grid does not change it.
template <typename... Width>
std::unique_ptr<Buffer<Quad>> packedBy(const std::string& kernel, size_t quads, const std::vector<float>& R, int H, Width... width) {
    Input<float> from(R);
    std::unique_ptr<Buffer<Quad>> packed;
    std::vector<Quad> first;
    std::vector<Grid> grids = {Grid{16}};
    if (quads <= 128 * 128) {
        grids.push_back({3});
    }
    for (Grid grid : grids) {
        packed = std::make_unique<Buffer<Quad>>(quads);
        launch(kernel, Way{grid.x, 0}, grid, 256, from.address(), reinterpret_cast<unsigned*>(packed->address()), H, width...);
        std::vector<Quad> now = packed->values();
        EXPECT_TRUE(first.empty() || std::memcmp(first.data(), now.data(), now.size() * sizeof(Quad)) == 0);
        first = now;
    }
    packed->keep();
    return packed;
}

const unsigned* wordsOf(const std::unique_ptr<Buffer<Quad>>& packed) {
    return packed == nullptr ? nullptr : reinterpret_cast<const unsigned*>(packed->address());
}

// Of one direction; arrays by slot and time as the kernels take them.
struct ForwardData {
    std::vector<float> a, R, h, c;
    // In the place of a, where there is something; x is the same for all directions.
    std::vector<float> x{}, W{}, b{};
};

struct BackwardData {
    std::vector<float> gates, R, c, dh, dc;
};

double weightScale(int H) {
    return 1.5 / std::sqrt(static_cast<double>(H));
}

// Rows of padding become not-a-numbers: nothing may read them.
void spoil(std::vector<float>& values, const Case& c, int width) {
    for (int t = 0; t < c.T; t++) {
        for (int n = 0; n < c.N; n++) {
            for (int k = 0; k < width && !c.valid(t, n); k++) {
                values[c.at(t, n, width, k)] = nan<float>();
            }
        }
    }
}

// Fewer than there is room for, and an odd number.
int widthOf(const Version& v) {
    return v.columns - 5;
}

ForwardData forwardData(const Case& c, int direction) {
    unsigned seed = 10 * static_cast<unsigned>(direction);
    ForwardData data{numbers<float>(c.size(c.T, 4 * c.H), seed + 1, 2),
            numbers<float>(static_cast<size_t>(4 * c.H * c.H), seed + 2, weightScale(c.H)),
            std::vector<float>(c.size(c.T + 1, c.H), nan<float>()), std::vector<float>(c.size(c.T + 1, c.H), nan<float>())};
    spoil(data.a, c, 4 * c.H);
    size_t first = c.at(c.before(direction, c.time(direction, 0)), 0, c.H, 0);
    std::vector<float> h = numbers<float>(c.size(1, c.H), seed + 3);
    std::vector<float> cell = numbers<float>(c.size(1, c.H), seed + 4);
    std::copy(h.begin(), h.end(), data.h.begin() + static_cast<long>(first));
    std::copy(cell.begin(), cell.end(), data.c.begin() + static_cast<long>(first));
    return data;
}

// Takes a away, and gives what it comes from.
void addInputs(const Version& v, const Case& c, int direction, ForwardData& data) {
    int C = widthOf(v);
    unsigned seed = 10 * static_cast<unsigned>(direction);
    data.a.assign(data.a.size(), nan<float>());
    data.x = numbers<float>(c.size(c.T, C), 77);
    spoil(data.x, c, C);
    data.W = numbers<float>(static_cast<size_t>(4 * c.H * C), seed + 78, weightScale(C));
    data.b = numbers<float>(static_cast<size_t>(4 * c.H), seed + 79);
}

// Gates, h and c of each direction, then y.
std::vector<std::vector<float>> forward(const Version& v, const Case& c, const std::vector<ForwardData>& data,
        const std::vector<std::unique_ptr<Buffer<Quad>>>& packed, Plan plan) {
    std::vector<std::unique_ptr<Buffer<float>>> buffers;
    float* addresses[2][4] = {};
    Buffer<float> y(c.size(c.T, c.pitch()));
    Input<int> lengths(c.lengths);
    for (size_t d = 0; d < data.size(); d++) {
        size_t k = 0;
        for (const std::vector<float>* values : {&data[d].a, &data[d].h, &data[d].c}) {
            buffers.push_back(std::make_unique<Buffer<float>>(*values));
            addresses[d][k++] = buffers.back()->address();
        }
        addresses[d][3] = y.address() + d * static_cast<size_t>(c.H);
    }
    std::unique_ptr<Buffer<Quad>> weights[2];
    std::unique_ptr<Input<float>> x;
    std::vector<std::unique_ptr<Input<float>>> biases;
    for (size_t d = 0; v.columns > 0 && d < data.size(); d++) {
        weights[d] = packedBy(v.kernel("inputs_pack"), v.packed(v.columns), data[d].W, c.H, widthOf(v));
        x = std::make_unique<Input<float>>(data[d].x);
        biases.push_back(std::make_unique<Input<float>>(data[d].b));
    }
    auto runWithInputs = [&](int from, int to) {
        launch(v.kernel("inputs_forward"), Way{plan.seed, 0}, v.grid(c.N, c.directions, v.forwardShared), static_cast<unsigned>(v.threads),
                addresses[0][0], wordsOf(packed[0]), addresses[0][1], addresses[0][2], addresses[0][3], addresses[1][0],
                wordsOf(packed[1]), addresses[1][1], addresses[1][2], addresses[1][3], c.pitch(),
                static_cast<const int*>(c.lengths.empty() ? nullptr : lengths.address()), c.reversed, from, to, c.T, c.N, c.H, c.clip,
                x->address(), wordsOf(weights[0]), static_cast<const float*>(biases[0]->address()), wordsOf(weights[1]),
                static_cast<const float*>(biases.size() > 1 ? biases[1]->address() : nullptr), widthOf(v));
    };
    auto run = [&](int from, int to) {
        if (v.columns > 0) {
            runWithInputs(from, to);
            return;
        }
        v.launchOn("forward", plan.seed, c.N, c.directions, v.forwardShared, plan.cut > 0,
                addresses[0][0], wordsOf(packed[0]), addresses[0][1], addresses[0][2], addresses[0][3], addresses[1][0],
                wordsOf(packed[1]), addresses[1][1], addresses[1][2], addresses[1][3], c.pitch(),
                static_cast<const int*>(c.lengths.empty() ? nullptr : lengths.address()), c.reversed, from, to, c.T, c.N, c.H, c.clip);
    };
    if (plan.cut > 0 && plan.cut < c.T) {
        run(0, plan.cut);
        run(plan.cut, c.T);
    } else {
        run(0, c.T);
    }
    std::vector<std::vector<float>> results;
    for (const auto& buffer : buffers) {
        results.push_back(buffer->values());
    }
    results.push_back(y.values());
    return results;
}

// A sum of products, and what a sum of floats in any order may be off by: operands are exact.
struct Sum {
    double value = 0;
    double size = 0;
    int terms = 0;

    void add(double term) {
        value += term;
        size += std::abs(term);
        terms++;
    }
    double error() const { return (16 + terms / 8) * std::ldexp(1, -24) * size; }
};

// Functions are within a few units of the last place, or where operands are rounded within 2^-20 of their largest value, and so is what is
// made of them.
constexpr double functionError = 32 * 6e-8;

// `what` is only said where it is wrong; false then.
bool isNear(float actual, double expected, double error, const Case& c, const char* what, int t, int n, int unit) {
    if (std::isnan(expected) ? std::isnan(actual) : std::abs(actual - expected) <= error) {
        return true;
    }
    ADD_FAILURE() << what << " at step " << t << ", sequence " << n << ", unit " << unit << " of " << c.H << " should be " << expected
                  << " but is " << actual << ", off by " << std::abs(actual - expected) << " of " << error << " allowed";
    return false;
}

class LstmResident : public testing::TestWithParam<Version> {
protected:
    void SetUp() override {
        if (!device::runs(GetParam().kernel(GetParam().columns > 0 ? "inputs_forward" : "forward"))) {
            GTEST_SKIP() << "this GPU is too old for the kernel";
        }
    }

    std::vector<std::unique_ptr<Buffer<Quad>>> packed(const std::string& what, const std::vector<const std::vector<float>*>& R, int H) {
        std::vector<std::unique_ptr<Buffer<Quad>>> all(2);
        for (size_t d = 0; d < R.size(); d++) {
            Version plain = GetParam();
            plain.columns = 0;
            all[d] = packedBy(plain.kernel("pack_" + what), plain.packed(plain.padded), *R[d], H);
        }
        return all;
    }

    // Numbers of the operands' type.
    std::vector<double> narrowed(const std::vector<float>& values) {
        std::vector<double> result(values.size());
        for (size_t k = 0; k < values.size(); k++) {
            result[k] = narrow(GetParam().operand, values[k]);
        }
        return result;
    }
};

class LstmResidentForward : public LstmResident {};

TEST_P(LstmResidentForward, EqualsTheReferenceAtEveryStep) {
    const Version& v = GetParam();
    for (const Case& c : casesOf(v)) {
        std::vector<ForwardData> data;
        std::vector<const std::vector<float>*> R;
        for (int d = 0; d < c.directions; d++) {
            data.push_back(forwardData(c, d));
            if (v.columns > 0) {
                addInputs(v, c, d, data.back());
            }
        }
        for (const ForwardData& d : data) {
            R.push_back(&d.R);
        }
        auto weights = packed("forward", R, c.H);
        auto results = everyPlan(plansOf(v, c), [&](Plan plan) { return forward(v, c, data, weights, plan); });
        const std::vector<float>& y = results.back();
        for (int d = 0; d < c.directions; d++) {
            const std::vector<float>& gates = results[3 * static_cast<size_t>(d)];
            const std::vector<float>& h = results[3 * static_cast<size_t>(d) + 1];
            const std::vector<float>& cells = results[3 * static_cast<size_t>(d) + 2];
            const std::vector<float>& a = data[static_cast<size_t>(d)].a;
            std::vector<double> rounded = narrowed(data[static_cast<size_t>(d)].R);
            std::vector<double> operands = narrowed(h);
            std::vector<double> x = narrowed(data[static_cast<size_t>(d)].x);
            std::vector<double> W = narrowed(data[static_cast<size_t>(d)].W);
            const std::vector<float>& b = data[static_cast<size_t>(d)].b;
            int C = v.columns > 0 ? widthOf(v) : 0;
            bool good = true;
            for (int step = 0; step < c.T && good; step++) {
                int t = c.time(d, step);
                for (int n = 0; n < c.N && good; n++) {
                    size_t before = c.at(c.before(d, t), n, c.H, 0);
                    size_t after = c.at(c.after(d, t), n, c.H, 0);
                    for (int u = 0; u < c.H && good; u++) {
                        size_t unit = static_cast<size_t>(u);
                        if (!c.valid(t, n)) {
                            good = isNear(cells[after + unit], cells[before + unit], 0, c, "c", t, n, u)
                                    && isNear(h[after + unit], h[before + unit], 0, c, "h", t, n, u)
                                    && isNear(y[c.at(t, n, c.pitch(), d * c.H + u)], 0, 0, c, "y", t, n, u);
                            for (int gate = 0; gate < 4; gate++) {
                                good = good && isNear(gates[c.at(t, n, 4 * c.H, gate * c.H + u)], nan<double>(), 0, c, "gates", t, n, u);
                            }
                            continue;
                        }
                        std::array<double, 4> sums;
                        double error = functionError;
                        for (int gate = 0; gate < 4; gate++) {
                            Sum sum;
                            sum.add(C > 0 ? b[static_cast<size_t>(gate * c.H + u)] : a[c.at(t, n, 4 * c.H, gate * c.H + u)]);
                            for (int k = 0; k < C; k++) {
                                sum.add(W[static_cast<size_t>((gate * c.H + u) * C + k)] * x[c.at(t, n, C, k)]);
                            }
                            const double* row = rounded.data() + static_cast<size_t>(gate * c.H + u) * c.H;
                            for (int k = 0; k < c.H; k++) {
                                sum.add(row[k] * operands[before + static_cast<size_t>(k)]);
                            }
                            sums[static_cast<size_t>(gate)] = sum.value;
                            error = std::max(error, functionError + sum.error());
                        }
                        Cell cell = reference::lstmCell(sums, cells[before + unit], {0, 0, 0}, c.clip);
                        const double wanted[] = {cell.i, cell.f, cell.g, cell.o};
                        for (int gate = 0; gate < 4; gate++) {
                            good = good && isNear(gates[c.at(t, n, 4 * c.H, gate * c.H + u)], wanted[gate], error, c, "gates", t, n, u);
                        }
                        // Both gates that make c are off.
                        good = good && isNear(cells[after + unit], cell.c, 2 * error, c, "c", t, n, u)
                                && isNear(h[after + unit], cell.m, 3 * error, c, "h", t, n, u)
                                && isNear(y[c.at(t, n, c.pitch(), d * c.H + u)], h[after + unit], 0, c, "y", t, n, u);
                    }
                }
            }
        }
        for (int row = 0; row < c.T * c.N; row++) {
            for (int k = c.directions * c.H; k < c.pitch(); k++) {
                EXPECT_TRUE(std::isnan(y[static_cast<size_t>(row * c.pitch() + k)])) << "a column of y that is nobody's was written";
            }
        }
    }
}

// What is not a number stays none, of its unit at once and of its whole sequence from the next step on; others never see it.
TEST_P(LstmResident, WhatIsNotANumberShows) {
    const Version& v = GetParam();
    Case c{2, 5, 3, 1, 0, {}, 0, 0};
    // Larger kernels have the same cells, and take their time here.
    for (int gate = 0; gate < 4 && v.padded <= 256; gate += v.padded == 256 ? 3 : 1) {
        std::vector<ForwardData> data;
        data.push_back(forwardData(c, 0));
        auto weights = packed("forward", {&data[0].R}, c.H);
        data[0].a[c.at(0, 1, 4 * c.H, gate * c.H + 2)] = nan<float>();
        std::vector<float> y = forward(v, c, data, weights, {1, 0}).back();
        for (int t = 0; t < c.T; t++) {
            for (int u = 0; u < c.H; u++) {
                EXPECT_FALSE(std::isnan(y[c.at(t, 0, c.H, u)])) << t << ' ' << u;
                EXPECT_EQ(t > 0 || u == 2, std::isnan(y[c.at(t, 1, c.H, u)])) << t << ' ' << u << ", gate " << gate;
            }
        }
    }
}

// Gates and cells as some forward could have left them.
BackwardData backwardData(const Case& c, int direction) {
    unsigned seed = 10 * static_cast<unsigned>(direction);
    BackwardData data{numbers<float>(c.size(c.T, 4 * c.H), seed + 5, 2),
            numbers<float>(static_cast<size_t>(4 * c.H * c.H), seed + 6, weightScale(c.H)),
            std::vector<float>(c.size(c.T + 1, c.H)), numbers<float>(c.size(1, c.H), seed + 7), numbers<float>(c.size(1, c.H), seed + 8)};
    std::vector<float> initial = numbers<float>(c.size(1, c.H), seed + 9);
    std::copy(initial.begin(), initial.end(),
            data.c.begin() + static_cast<long>(c.at(c.before(direction, c.time(direction, 0)), 0, c.H, 0)));
    for (int step = 0; step < c.T; step++) {
        int t = c.time(direction, step);
        for (int n = 0; n < c.N; n++) {
            for (int u = 0; u < c.H; u++) {
                double before = data.c[c.at(c.before(direction, t), n, c.H, u)];
                std::array<double, 4> a;
                for (int gate = 0; gate < 4; gate++) {
                    a[static_cast<size_t>(gate)] = data.gates[c.at(t, n, 4 * c.H, gate * c.H + u)];
                }
                Cell cell = reference::lstmCell(a, before, {0, 0, 0}, c.clip);
                const double gates[] = {cell.i, cell.f, cell.g, cell.o};
                for (int gate = 0; gate < 4; gate++) {
                    data.gates[c.at(t, n, 4 * c.H, gate * c.H + u)] = static_cast<float>(gates[gate]);
                }
                data.c[c.at(c.after(direction, t), n, c.H, u)] = static_cast<float>(c.valid(t, n) ? cell.c : before);
            }
        }
    }
    spoil(data.gates, c, 4 * c.H);
    return data;
}

std::vector<float> outputGradients(const Case& c) {
    std::vector<float> dy = numbers<float>(c.size(c.T, c.pitch()), 99);
    spoil(dy, c, c.pitch());
    return dy;
}

// da, dh and dc of each direction.
std::vector<std::vector<float>> backward(const Version& v, const Case& c, const std::vector<BackwardData>& data,
        const std::vector<float>& dyValues, const std::vector<std::unique_ptr<Buffer<Quad>>>& packed, Plan plan) {
    std::vector<std::unique_ptr<Buffer<float>>> buffers;
    std::vector<std::unique_ptr<Input<float>>> inputs;
    float* addresses[2][3] = {};
    const float* cells[2] = {};
    const float* outputs[2] = {};
    Input<float> dy(dyValues);
    Input<int> lengths(c.lengths);
    for (size_t d = 0; d < data.size(); d++) {
        size_t k = 0;
        for (const std::vector<float>* values : {&data[d].gates, &data[d].dh, &data[d].dc}) {
            buffers.push_back(std::make_unique<Buffer<float>>(*values));
            addresses[d][k++] = buffers.back()->address();
        }
        inputs.push_back(std::make_unique<Input<float>>(data[d].c));
        cells[d] = inputs.back()->address();
        outputs[d] = c.extra < 0 ? nullptr : dy.address() + d * static_cast<size_t>(c.H);
    }
    auto run = [&](int from, int to) {
        v.launchOn("backward", plan.seed, c.N, c.directions, v.backwardShared, plan.cut > 0,
                addresses[0][0], wordsOf(packed[0]), cells[0], addresses[0][1], addresses[0][2], outputs[0], addresses[1][0],
                wordsOf(packed[1]), cells[1], addresses[1][1], addresses[1][2], outputs[1], c.pitch(),
                static_cast<const int*>(c.lengths.empty() ? nullptr : lengths.address()), c.reversed, from, to, c.T, c.N, c.H, c.clip);
    };
    if (plan.cut > 0 && plan.cut < c.T) {
        run(plan.cut, c.T);
        run(0, plan.cut);
    } else {
        run(0, c.T);
    }
    std::vector<std::vector<float>> results;
    for (const auto& buffer : buffers) {
        results.push_back(buffer->values());
    }
    return results;
}

TEST_P(LstmResident, BackwardEqualsTheReferenceAtEveryStep) {
    const Version& v = GetParam();
    for (const Case& c : casesOf(v)) {
        std::vector<BackwardData> data;
        std::vector<const std::vector<float>*> R;
        std::vector<float> dy = outputGradients(c);
        for (int d = 0; d < c.directions; d++) {
            data.push_back(backwardData(c, d));
        }
        for (const BackwardData& d : data) {
            R.push_back(&d.R);
        }
        auto weights = packed("backward", R, c.H);
        auto results = everyPlan(plansOf(v, c), [&](Plan plan) { return backward(v, c, data, dy, weights, plan); });
        for (int d = 0; d < c.directions; d++) {
            const BackwardData& given = data[static_cast<size_t>(d)];
            const std::vector<float>& da = results[3 * static_cast<size_t>(d)];
            std::vector<double> rounded = narrowed(given.R);
            std::vector<double> operands = narrowed(da);
            // The gradients of the state, and what theirs may be off by.
            Vector dh = doubles(given.dh);
            Vector dc = doubles(given.dc);
            Vector dhError(dh.size());
            Vector dcError(dc.size());
            bool good = true;
            for (int step = c.T - 1; step >= 0 && good; step--) {
                int t = c.time(d, step);
                for (int n = 0; n < c.N && good; n++) {
                    for (int u = 0; u < c.H && good; u++) {
                        size_t own = static_cast<size_t>(n * c.H + u);
                        CellGradient gradient{};
                        double error = 0;
                        if (c.valid(t, n)) {
                            double gates[4];
                            for (int gate = 0; gate < 4; gate++) {
                                gates[gate] = given.gates[c.at(t, n, 4 * c.H, gate * c.H + u)];
                            }
                            double before = given.c[c.at(c.before(d, t), n, c.H, u)];
                            double dm = dh[own] + (c.extra < 0 ? 0 : dy[c.at(t, n, c.pitch(), d * c.H + u)]);
                            Cell cell{gates[0], gates[1], gates[2], gates[3], given.c[c.at(c.after(d, t), n, c.H, u)], 0};
                            gradient = reference::lstmCellBackward(cell, before, dm, dc[own], {0, 0, 0}, c.clip);
                            error = functionError * (std::abs(dm) + std::abs(dc[own])) + dhError[own] + dcError[own];
                            dcError[own] = error;
                            dc[own] = gradient.dcPrevious;
                        }
                        for (int gate = 0; gate < 4; gate++) {
                            good = good
                                    && isNear(da[c.at(t, n, 4 * c.H, gate * c.H + u)], gradient.da[static_cast<size_t>(gate)],
                                            error * std::max(1.0, std::abs(gradient.da[static_cast<size_t>(gate)])), c, "da", t, n, u);
                        }
                    }
                    if (!c.valid(t, n)) {
                        continue;
                    }
                    for (int u = 0; u < c.H; u++) {
                        Sum sum;
                        const double* column = rounded.data() + u;
                        for (int row = 0; row < 4 * c.H; row++) {
                            sum.add(column[static_cast<size_t>(row) * c.H] * operands[c.at(t, n, 4 * c.H, row)]);
                        }
                        dh[static_cast<size_t>(n * c.H + u)] = sum.value;
                        dhError[static_cast<size_t>(n * c.H + u)] = sum.error();
                    }
                }
            }
            for (int n = 0; n < c.N; n++) {
                for (int u = 0; u < c.H && good; u++) {
                    size_t own = static_cast<size_t>(n * c.H + u);
                    good = isNear(results[3 * static_cast<size_t>(d) + 1][own], dh[own], dhError[own], c, "dh", 0, n, u)
                            && isNear(results[3 * static_cast<size_t>(d) + 2][own], dc[own], dcError[own], c, "dc", 0, n, u);
                }
            }
        }
    }
}

// Whole sequences against a reference that rounds nothing: a sum of many roundings is off by little more than one of them.
TEST_P(LstmResident, IsAsAccurateAsItsOperands) {
    const Version& v = GetParam();
    Case c{3, std::min(v.padded - 2, 200), v.padded <= 256 ? 6 : 2, 1, 0, {}, 0, 0};
    double tolerance = 2 * unitOf(v.operand) + 4 * functionError;
    {
        std::vector<ForwardData> data;
        data.push_back(forwardData(c, 0));
        auto results = forward(v, c, data, packed("forward", {&data[0].R}, c.H), {1, 0});
        Vector h = doubles(data[0].h);
        Vector cells = doubles(data[0].c);
        Vector y(c.size(c.T, c.H));
        for (int t = 0; t < c.T; t++) {
            for (int n = 0; n < c.N; n++) {
                for (int u = 0; u < c.H; u++) {
                    std::array<double, 4> a;
                    for (int gate = 0; gate < 4; gate++) {
                        double sum = data[0].a[c.at(t, n, 4 * c.H, gate * c.H + u)];
                        for (int k = 0; k < c.H; k++) {
                            sum += data[0].R[static_cast<size_t>((gate * c.H + u) * c.H + k)] * h[c.at(t, n, c.H, k)];
                        }
                        a[static_cast<size_t>(gate)] = sum;
                    }
                    Cell cell = reference::lstmCell(a, cells[c.at(t, n, c.H, u)], {0, 0, 0}, 0);
                    cells[c.at(t + 1, n, c.H, u)] = cell.c;
                    h[c.at(t + 1, n, c.H, u)] = cell.m;
                    y[c.at(t, n, c.H, u)] = cell.m;
                }
            }
        }
        double epsilons = tolerance / std::numeric_limits<float>::epsilon();
        expectNear(results[1], h, epsilons, 1, "h");
        expectNear(results[2], cells, epsilons, 1, "c");
        expectNear(results[3], y, epsilons, 1, "y");
    }
    std::vector<BackwardData> data;
    data.push_back(backwardData(c, 0));
    std::vector<float> dy = outputGradients(c);
    auto results = backward(v, c, data, dy, packed("backward", {&data[0].R}, c.H), {1, 0});
    Vector da(c.size(c.T, 4 * c.H));
    Vector dh = doubles(data[0].dh);
    Vector dc = doubles(data[0].dc);
    for (int t = c.T - 1; t >= 0; t--) {
        Vector sums(dh.size());
        for (int n = 0; n < c.N; n++) {
            for (int u = 0; u < c.H; u++) {
                size_t own = static_cast<size_t>(n * c.H + u);
                auto gate = [&](int which) { return static_cast<double>(data[0].gates[c.at(t, n, 4 * c.H, which * c.H + u)]); };
                Cell cell{gate(0), gate(1), gate(2), gate(3), data[0].c[c.at(t + 1, n, c.H, u)], 0};
                CellGradient gradient = reference::lstmCellBackward(
                        cell, data[0].c[c.at(t, n, c.H, u)], dh[own] + dy[c.at(t, n, c.H, u)], dc[own], {0, 0, 0}, 0);
                dc[own] = gradient.dcPrevious;
                for (int which = 0; which < 4; which++) {
                    double value = gradient.da[static_cast<size_t>(which)];
                    da[c.at(t, n, 4 * c.H, which * c.H + u)] = value;
                    for (int k = 0; k < c.H; k++) {
                        sums[static_cast<size_t>(n * c.H + k)] += data[0].R[static_cast<size_t>((which * c.H + u) * c.H + k)] * value;
                    }
                }
            }
        }
        dh = sums;
    }
    double epsilons = tolerance / std::numeric_limits<float>::epsilon();
    expectNear(results[0], da, epsilons, 1, "da");
    expectNear(results[1], dh, epsilons, 1, "dh");
    expectNear(results[2], dc, epsilons, 1, "dc");
}

std::string nameOf(const testing::TestParamInfo<Version>& info) {
    std::string inputs = info.param.columns > 0 ? "_c" + std::to_string(info.param.columns) : "";
    return std::string(info.param.family) + '_' + info.param.name + inputs;
}

INSTANTIATE_TEST_SUITE_P(Kernels, LstmResident, testing::ValuesIn(versions), nameOf);
INSTANTIATE_TEST_SUITE_P(Kernels, LstmResidentForward, testing::ValuesIn(versions), nameOf);
INSTANTIATE_TEST_SUITE_P(KernelsWithInputs, LstmResidentForward, testing::ValuesIn(withInputs), nameOf);

}  // namespace
}  // namespace carousel::test
