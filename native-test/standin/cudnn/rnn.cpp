// The stand-in cuDNN's LSTM: forward, backward for data, backward for weights. One cell and step, gates i, f, g, o:
//
//   a = W x + R h_prev + b      i, f, o = sigma(a)   g = tanh(a)
//   c = clip(f c_prev + i g)    m = o tanh(c)        h = W_p m, or m without a projection
//
// All arithmetic is in double; what enters a matrix product is rounded as the math type allows (TF32 under the default
// math of float, half under conversion), and results are rounded to the data type.
//
// The reserve space begins with a header: what made it, how far the calls have come, and sums over everything that the
// backward calls have to find unchanged. Behind it, for each cell: gates (later their gradients) [T, N, 4H], c_prev and
// m [T, N, H], h_prev and dh [T, N, P]; and the input of each layer but the first.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "internal.h"

namespace carousel::standin::dnn {
namespace {

constexpr uint64_t RESERVE_MAGIC = 0x6361726f7573654cULL;
constexpr size_t HEADER_BYTES = 256;

struct Header {
    uint64_t magic;
    uint64_t configuration;
    uint64_t stage;  // 1: forward, 2: backward for data
    uint64_t x, y, hx, cx, weights, body;
};

/// A running sum over bytes, to tell whether something has changed.
class Sum {
public:
    void add(const void* data, size_t bytes) {
        auto* at = static_cast<const unsigned char*>(data);
        for (; bytes >= 8; bytes -= 8, at += 8) {
            uint64_t word;
            std::memcpy(&word, at, 8);
            step(word);
        }
        uint64_t rest = bytes;
        for (size_t k = 0; k < bytes; k++) {
            rest = rest << 8 | at[k];
        }
        step(rest);
    }
    template <typename T>
    void value(const T& of) {
        add(&of, sizeof of);
    }
    uint64_t result() const { return state_; }

private:
    void step(uint64_t word) {
        state_ = (state_ ^ word) * 0x9e3779b97f4a7c15ULL;
        state_ ^= state_ >> 29;
    }
    uint64_t state_ = 0x243f6a8885a308d3ULL;
};

/// Where the parts of the reserve space lie, in doubles behind the header.
struct ReserveLayout {
    size_t rows, gates, cells, outputs, cellSize, layerInput, total;

    ReserveLayout(const Config& config, const Sequences& x) {
        rows = static_cast<size_t>(x.steps) * static_cast<size_t>(x.batch);
        gates = rows * 4 * static_cast<size_t>(config.hidden);
        cells = rows * static_cast<size_t>(config.hidden);
        outputs = rows * static_cast<size_t>(config.output);
        cellSize = gates + 2 * cells + 2 * outputs;
        layerInput = rows * static_cast<size_t>(config.width());
        total = cellSize * static_cast<size_t>(config.cells()) + layerInput * static_cast<size_t>(config.layers - 1);
    }
};

/// One cell's part of the reserve space.
struct Trace {
    double* gates;
    double* cBefore;
    double* m;
    double* hBefore;
    double* dh;

    Trace(double* body, const ReserveLayout& layout, int cell) {
        gates = body + static_cast<size_t>(cell) * layout.cellSize;
        cBefore = gates + layout.gates;
        m = cBefore + layout.cells;
        hBefore = m + layout.cells;
        dh = hBefore + layout.outputs;
    }
};

double* layerInputAt(double* body, const ReserveLayout& layout, const Config& config, int layer) {
    return body + layout.cellSize * static_cast<size_t>(config.cells())
            + layout.layerInput * static_cast<size_t>(layer - 1);
}

/// All that one of the three calls got, copied.
struct Call {
    const char* name;
    Config config;
    Sequences x, y;
    bool training = true;
    const int* deviceLengths = nullptr;
    const void* xData = nullptr;
    void* yData = nullptr;
    const void* dy = nullptr;
    void* dx = nullptr;
    const void* hx = nullptr;
    void* hy = nullptr;
    const void* cx = nullptr;
    void* cy = nullptr;
    const void* dhy = nullptr;
    void* dhx = nullptr;
    const void* dcy = nullptr;
    void* dcx = nullptr;
    const void* weights = nullptr;
    void* weightGradients = nullptr;
    size_t workBytes = 0;
    void* work = nullptr;
    size_t reserveBytes = 0;
    void* reserve = nullptr;
    std::vector<size_t> packedStart;

    int length(int n) const { return x.lengths[static_cast<size_t>(n)]; }

    /// The row of a data tensor that holds step t of sequence n.
    size_t row(int t, int n) const {
        switch (x.layout) {
            case SEQ_MAJOR_UNPACKED:
                return static_cast<size_t>(t) * static_cast<size_t>(x.batch) + static_cast<size_t>(n);
            case BATCH_MAJOR_UNPACKED:
                return static_cast<size_t>(n) * static_cast<size_t>(x.steps) + static_cast<size_t>(t);
            default:
                return packedStart[static_cast<size_t>(t)] + static_cast<size_t>(n);
        }
    }

    /// The row of a tensor in the reserve space.
    size_t inner(int t, int n) const {
        return static_cast<size_t>(t) * static_cast<size_t>(x.batch) + static_cast<size_t>(n);
    }

    size_t stateElements(bool cellState) const {
        return static_cast<size_t>(config.cells()) * static_cast<size_t>(x.batch)
                * static_cast<size_t>(cellState ? config.hidden : config.output);
    }
};

uint64_t configurationOf(const Call& call) {
    const Config& c = call.config;
    Sum sum;
    for (int value :
            {c.algorithm, c.bias, c.directions, c.type, c.precision, c.math, c.input, c.hidden, c.output, c.layers,
                    static_cast<int>(c.padded), static_cast<int>(c.clips), call.x.layout, call.x.steps, call.x.batch}) {
        sum.value(value);
    }
    sum.value(c.lowest);
    sum.value(c.highest);
    for (int length : call.x.lengths) {
        sum.value(length);
    }
    return sum.result();
}

/// Over the valid rows only: padding is nobody's business.
uint64_t sumOfRows(const Call& call, const void* data, int width) {
    Sum sum;
    size_t bytes = static_cast<size_t>(width) * size(call.config.type);
    for (int n = 0; n < call.x.batch; n++) {
        for (int t = 0; t < call.length(n); t++) {
            sum.add(static_cast<const unsigned char*>(data) + call.row(t, n) * bytes, bytes);
        }
    }
    return sum.result();
}

/// Null counts as zeros.
uint64_t sumOf(const void* data, size_t bytes) {
    Sum sum;
    if (data != nullptr) {
        sum.add(data, bytes);
    } else {
        std::vector<unsigned char> zeros(bytes);
        sum.add(zeros.data(), bytes);
    }
    return sum.result();
}

template <typename Visit>
void forEachWeight(const Config& config, Visit visit) {
    WeightLayout layout(config);
    for (int cell = 0; cell < config.cells(); cell++) {
        for (int linear = 0; linear <= PROJECTION; linear++) {
            const Slot& slot = layout.slot(cell, linear);
            if (slot.matrix >= 0) {
                visit(static_cast<size_t>(slot.matrix),
                        static_cast<size_t>(slot.rows) * static_cast<size_t>(slot.columns));
            }
            if (slot.bias >= 0) {
                visit(static_cast<size_t>(slot.bias), static_cast<size_t>(config.hidden));
            }
        }
    }
}

uint64_t sumOfWeights(const Call& call) {
    Sum sum;
    size_t element = size(call.config.type);
    forEachWeight(call.config, [&](size_t at, size_t count) {
        sum.add(static_cast<const unsigned char*>(call.weights) + at * element, count * element);
    });
    return sum.result();
}

/// What a number becomes on its way into a matrix product.
double rounded(const Config& config, double value) {
    if (config.type == FLOAT && config.math == DEFAULT_MATH) {
        return roundToTf32(static_cast<float>(value));
    }
    if (config.type == FLOAT && config.math == TENSOR_OP_CONVERT) {
        return roundToHalf(static_cast<float>(value));
    }
    return value;
}

/// One cell's weights, transposed so that the inner loops run over gates: W [C, 4H], R [P, 4H], b [4H], W_p [P, H].
struct CellWeights {
    int inputs, hidden, outputs;
    std::vector<double> w, r, b, p;

    CellWeights(const Config& config, const WeightLayout& layout, int cell, const void* space)
            : inputs(config.layerInput(cell / config.directions)), hidden(config.hidden), outputs(config.output) {
        auto four = static_cast<size_t>(4 * hidden);
        w.resize(static_cast<size_t>(inputs) * four);
        r.resize(static_cast<size_t>(outputs) * four);
        b.assign(four, 0);
        for (int gate = 0; gate < 4; gate++) {
            const Slot& input = layout.slot(cell, gate);
            const Slot& recurrent = layout.slot(cell, gate + 4);
            for (int j = 0; j < hidden; j++) {
                auto row = static_cast<size_t>(gate * hidden + j);
                for (int k = 0; k < inputs; k++) {
                    w[static_cast<size_t>(k) * four + row] = get(config, space, input.matrix, j * inputs + k);
                }
                for (int k = 0; k < outputs; k++) {
                    r[static_cast<size_t>(k) * four + row] = get(config, space, recurrent.matrix, j * outputs + k);
                }
                for (const Slot* slot : {&input, &recurrent}) {
                    if (slot->bias >= 0) {
                        b[row] += readElement(space, config.type, static_cast<size_t>(slot->bias + j));
                    }
                }
            }
        }
        const Slot& projection = layout.slot(cell, PROJECTION);
        if (projection.matrix >= 0) {
            p.resize(static_cast<size_t>(outputs) * static_cast<size_t>(hidden));
            for (size_t k = 0; k < p.size(); k++) {
                p[k] = get(config, space, projection.matrix, static_cast<long long>(k));
            }
        }
    }

private:
    static double get(const Config& config, const void* space, long long base, long long at) {
        return rounded(config, readElement(space, config.type, static_cast<size_t>(base + at)));
    }
};

double sigmoid(double x) {
    return 1 / (1 + std::exp(-x));
}

double limit(const Config& config, double c) {
    return !config.clips ? c : c < config.lowest ? config.lowest : c > config.highest ? config.highest : c;
}

/// The k-th step of a cell in a sequence: the reverse direction starts at the true end.
int timeOf(int step, int length, bool reversed) {
    return reversed ? length - 1 - step : step;
}

void forwardCell(
        const Call& call, int cell, const double* in, double* out, const Trace& trace, const WeightLayout& layout) {
    const Config& config = call.config;
    CellWeights weights(config, layout, cell, call.weights);
    int direction = cell % config.directions;
    auto H = static_cast<size_t>(config.hidden);
    auto P = static_cast<size_t>(config.output);
    auto C = static_cast<size_t>(weights.inputs);
    size_t four = 4 * H;
    std::vector<double> a(four), h(P), c(H), m(H);
    for (int n = 0; n < call.x.batch; n++) {
        size_t state = static_cast<size_t>(cell) * static_cast<size_t>(call.x.batch) + static_cast<size_t>(n);
        for (size_t k = 0; k < P; k++) {
            h[k] = call.hx == nullptr ? 0 : readElement(call.hx, config.type, state * P + k);
        }
        for (size_t k = 0; k < H; k++) {
            c[k] = call.cx == nullptr ? 0 : readElement(call.cx, config.type, state * H + k);
        }
        for (int step = 0; step < call.length(n); step++) {
            size_t row = call.inner(timeOf(step, call.length(n), direction == 1), n);
            a = weights.b;
            for (size_t k = 0; k < C; k++) {
                double factor = rounded(config, in[row * C + k]);
                const double* column = weights.w.data() + k * four;
                for (size_t j = 0; j < four; j++) {
                    a[j] += column[j] * factor;
                }
            }
            for (size_t k = 0; k < P; k++) {
                double factor = rounded(config, h[k]);
                const double* column = weights.r.data() + k * four;
                for (size_t j = 0; j < four; j++) {
                    a[j] += column[j] * factor;
                }
            }
            std::copy(h.begin(), h.end(), trace.hBefore + row * P);
            std::copy(c.begin(), c.end(), trace.cBefore + row * H);
            double* gates = trace.gates + row * four;
            for (size_t j = 0; j < H; j++) {
                double i = gates[j] = sigmoid(a[j]);
                double f = gates[H + j] = sigmoid(a[H + j]);
                double g = gates[2 * H + j] = std::tanh(a[2 * H + j]);
                double o = gates[3 * H + j] = sigmoid(a[3 * H + j]);
                c[j] = limit(config, f * c[j] + i * g);
                m[j] = o * std::tanh(c[j]);
            }
            std::copy(m.begin(), m.end(), trace.m + row * H);
            for (size_t k = 0; k < P; k++) {
                if (weights.p.empty()) {
                    h[k] = m[k];
                } else {
                    double sum = 0;
                    for (size_t j = 0; j < H; j++) {
                        sum += weights.p[k * H + j] * rounded(config, m[j]);
                    }
                    h[k] = sum;
                }
            }
            std::copy(h.begin(), h.end(),
                    out + row * static_cast<size_t>(config.width()) + static_cast<size_t>(direction) * P);
        }
        for (size_t k = 0; k < P && call.hy != nullptr; k++) {
            writeElement(call.hy, config.type, state * P + k, h[k]);
        }
        for (size_t k = 0; k < H && call.cy != nullptr; k++) {
            writeElement(call.cy, config.type, state * H + k, c[k]);
        }
    }
}

/// A data tensor in double, [T, N, width]; its padding is not read.
std::vector<double> load(const Call& call, const void* data, int width) {
    std::vector<double> result(
            static_cast<size_t>(call.x.steps) * static_cast<size_t>(call.x.batch) * static_cast<size_t>(width));
    auto columns = static_cast<size_t>(width);
    for (int n = 0; n < call.x.batch; n++) {
        for (int t = 0; t < call.length(n); t++) {
            for (size_t k = 0; k < columns; k++) {
                result[call.inner(t, n) * columns + k] =
                        readElement(data, call.config.type, call.row(t, n) * columns + k);
            }
        }
    }
    return result;
}

void store(const Call& call, const double* from, void* data, int width, double fill) {
    auto columns = static_cast<size_t>(width);
    for (int n = 0; n < call.x.batch; n++) {
        for (int t = 0; t < (call.x.packed() ? call.length(n) : call.x.steps); t++) {
            bool valid = t < call.length(n);
            for (size_t k = 0; k < columns; k++) {
                writeElement(data, call.config.type, call.row(t, n) * columns + k,
                        valid ? from[call.inner(t, n) * columns + k] : fill);
            }
        }
    }
}

void spoil(void* data, size_t bytes) {
    auto* at = static_cast<unsigned char*>(data);
    for (size_t k = 0; data != nullptr && k < bytes; k++) {
        at[k] = static_cast<unsigned char>(FRESH >> (8 * (reinterpret_cast<uintptr_t>(at + k) & 3)));
    }
}

void checkDeviceLengths(const Call& call) {
    for (int n = 0; call.deviceLengths != nullptr && n < call.x.batch; n++) {
        if (call.deviceLengths[n] != call.length(n)) {
            carousel_standin_misuse("%s: length %d is %d on the device and %d in the descriptor", call.name, n,
                    call.deviceLengths[n], call.length(n));
            return;
        }
    }
}

double* bodyOf(const Call& call) {
    return reinterpret_cast<double*>(static_cast<unsigned char*>(call.reserve) + HEADER_BYTES);
}

void forward(const Call& call) {
    const Config& config = call.config;
    checkDeviceLengths(call);
    spoil(call.work, call.workBytes);
    ReserveLayout layout(config, call.x);
    WeightLayout weights(config);
    std::vector<double> own;
    double* body;
    if (call.training) {
        body = bodyOf(call);
        std::fill(body, body + layout.total, 0.0);
    } else {
        own.assign(layout.total, 0);
        body = own.data();
    }
    std::vector<double> x = load(call, call.xData, config.input);
    std::vector<double> result(layout.layerInput);
    Header header{};
    if (call.training) {
        header.x = sumOfRows(call, call.xData, config.input);
        header.hx = sumOf(call.hx, call.stateElements(false) * size(config.type));
        header.cx = sumOf(call.cx, call.stateElements(true) * size(config.type));
        header.weights = sumOfWeights(call);
    }
    for (int layer = 0; layer < config.layers; layer++) {
        const double* in = layer == 0 ? x.data() : layerInputAt(body, layout, config, layer);
        double* out = layer + 1 == config.layers ? result.data() : layerInputAt(body, layout, config, layer + 1);
        for (int direction = 0; direction < config.directions; direction++) {
            int cell = layer * config.directions + direction;
            forwardCell(call, cell, in, out, Trace(body, layout, cell), weights);
        }
        if (config.type == HALF) {  // layers hand over numbers of the data type
            for (size_t k = 0; k < layout.layerInput; k++) {
                out[k] = roundToHalf(static_cast<float>(out[k]));
            }
        }
    }
    double fill = call.y.filled ? call.y.fill : 0;
    if (!call.y.filled && __atomic_load_n(&carousel_standin_control()[POISON_PADDING], __ATOMIC_SEQ_CST) != 0) {
        fill = std::nan("");
    }
    store(call, result.data(), call.yData, config.width(), fill);
    if (call.training) {
        header.magic = RESERVE_MAGIC;
        header.configuration = configurationOf(call);
        header.stage = 1;
        header.y = sumOfRows(call, call.yData, config.width());
        header.body = sumOf(body, layout.total * sizeof(double));
        std::memcpy(call.reserve, &header, sizeof header);
    }
}

bool complain(const Call& call, const char* what) {
    carousel_standin_misuse("%s: %s", call.name, what);
    return false;
}

/// What both backward calls demand of the reserve space and of their arguments.
bool checkReserve(const Call& call, const Header& header, const ReserveLayout& layout, uint64_t stage) {
    if (header.magic != RESERVE_MAGIC) {
        return complain(call, "the reserve space was not written by a forward call for training");
    }
    if (header.configuration != configurationOf(call)) {
        return complain(call, "the reserve space belongs to a forward call of another configuration");
    }
    if (header.stage != stage) {
        return complain(call,
                stage == 1                  ? "the reserve space has already been through cudnnRNNBackwardData_v8"
                        : header.stage == 1 ? "cudnnRNNBackwardData_v8 has to come first"
                                            : "the reserve space is in no usable state");
    }
    if (header.body != sumOf(bodyOf(call), layout.total * sizeof(double))) {
        return complain(call, "the reserve space has been written by someone else");
    }
    if (header.y != sumOfRows(call, call.yData, call.config.width())) {
        return complain(call, "y is not what forward gave");
    }
    if (header.hx != sumOf(call.hx, call.stateElements(false) * size(call.config.type))) {
        return complain(call, "hx is not what forward got");
    }
    return true;
}

void backwardCell(
        const Call& call, int cell, const double* dOut, double* dIn, const Trace& trace, const WeightLayout& layout) {
    const Config& config = call.config;
    CellWeights weights(config, layout, cell, call.weights);
    int direction = cell % config.directions;
    auto H = static_cast<size_t>(config.hidden);
    auto P = static_cast<size_t>(config.output);
    auto C = static_cast<size_t>(weights.inputs);
    auto width = static_cast<size_t>(config.width());
    size_t four = 4 * H;
    std::vector<double> dh(P), dc(H), dm(H), da(four);
    for (int n = 0; n < call.x.batch; n++) {
        size_t state = static_cast<size_t>(cell) * static_cast<size_t>(call.x.batch) + static_cast<size_t>(n);
        for (size_t k = 0; k < P; k++) {
            dh[k] = call.dhy == nullptr ? 0 : readElement(call.dhy, config.type, state * P + k);
        }
        for (size_t k = 0; k < H; k++) {
            dc[k] = call.dcy == nullptr ? 0 : readElement(call.dcy, config.type, state * H + k);
        }
        for (int step = call.length(n) - 1; step >= 0; step--) {
            size_t row = call.inner(timeOf(step, call.length(n), direction == 1), n);
            for (size_t k = 0; k < P; k++) {
                dh[k] += dOut[row * width + static_cast<size_t>(direction) * P + k];
            }
            std::copy(dh.begin(), dh.end(), trace.dh + row * P);
            if (weights.p.empty()) {
                std::copy(dh.begin(), dh.end(), dm.begin());
            } else {
                std::fill(dm.begin(), dm.end(), 0.0);
                for (size_t k = 0; k < P; k++) {
                    double factor = rounded(config, dh[k]);
                    for (size_t j = 0; j < H; j++) {
                        dm[j] += weights.p[k * H + j] * factor;
                    }
                }
            }
            double* gates = trace.gates + row * four;
            const double* cBefore = trace.cBefore + row * H;
            for (size_t j = 0; j < H; j++) {
                double i = gates[j];
                double f = gates[H + j];
                double g = gates[2 * H + j];
                double o = gates[3 * H + j];
                double raw = f * cBefore[j] + i * g;
                double c = limit(config, raw);
                double tanhC = std::tanh(c);
                double dCell = dc[j] + dm[j] * o * (1 - tanhC * tanhC);
                if (c != raw) {
                    dCell = 0;
                }
                da[j] = dCell * g * i * (1 - i);
                da[H + j] = dCell * cBefore[j] * f * (1 - f);
                da[2 * H + j] = dCell * i * (1 - g * g);
                da[3 * H + j] = dm[j] * tanhC * o * (1 - o);
                dc[j] = dCell * f;
            }
            std::copy(da.begin(), da.end(), gates);
            for (double& value : da) {
                value = rounded(config, value);
            }
            for (size_t k = 0; k < C; k++) {
                const double* column = weights.w.data() + k * four;
                double sum = 0;
                for (size_t j = 0; j < four; j++) {
                    sum += column[j] * da[j];
                }
                dIn[row * C + k] += sum;
            }
            for (size_t k = 0; k < P; k++) {
                const double* column = weights.r.data() + k * four;
                double sum = 0;
                for (size_t j = 0; j < four; j++) {
                    sum += column[j] * da[j];
                }
                dh[k] = sum;
            }
        }
        for (size_t k = 0; k < P && call.dhx != nullptr; k++) {
            writeElement(call.dhx, config.type, state * P + k, dh[k]);
        }
        for (size_t k = 0; k < H && call.dcx != nullptr; k++) {
            writeElement(call.dcx, config.type, state * H + k, dc[k]);
        }
    }
}

void backwardData(const Call& call) {
    const Config& config = call.config;
    checkDeviceLengths(call);
    spoil(call.work, call.workBytes);
    ReserveLayout layout(config, call.x);
    Header header;
    std::memcpy(&header, call.reserve, sizeof header);
    bool fine = checkReserve(call, header, layout, 1);
    if (fine && header.cx != sumOf(call.cx, call.stateElements(true) * size(config.type))) {
        fine = complain(call, "cx is not what forward got");
    }
    if (fine && header.weights != sumOfWeights(call)) {
        fine = complain(call, "the weights are not those of forward");
    }
    if (!fine) {
        spoil(call.dx, call.x.bytes());
        spoil(call.dhx, call.stateElements(false) * size(config.type));
        spoil(call.dcx, call.stateElements(true) * size(config.type));
        return;
    }
    double* body = bodyOf(call);
    WeightLayout weights(config);
    std::vector<double> dOut = load(call, call.dy, config.width());
    for (int layer = config.layers - 1; layer >= 0; layer--) {
        std::vector<double> dIn(layout.rows * static_cast<size_t>(config.layerInput(layer)));
        for (int direction = 0; direction < config.directions; direction++) {
            int cell = layer * config.directions + direction;
            backwardCell(call, cell, dOut.data(), dIn.data(), Trace(body, layout, cell), weights);
        }
        dOut.swap(dIn);
    }
    // Past the end of a sequence dx is documented nowhere.
    store(call, dOut.data(), call.dx, config.input, std::nan(""));
    header.stage = 2;
    header.body = sumOf(body, layout.total * sizeof(double));
    std::memcpy(call.reserve, &header, sizeof header);
}

void addTo(const Call& call, long long at, const std::vector<double>& values) {
    for (size_t k = 0; k < values.size(); k++) {
        size_t element = static_cast<size_t>(at) + k;
        double before = readElement(call.weightGradients, call.config.type, element);
        writeElement(call.weightGradients, call.config.type, element, before + values[k]);
    }
}

void backwardWeightsOfCell(
        const Call& call, int cell, const double* in, const Trace& trace, const WeightLayout& layout) {
    const Config& config = call.config;
    auto H = static_cast<size_t>(config.hidden);
    auto P = static_cast<size_t>(config.output);
    auto C = static_cast<size_t>(config.layerInput(cell / config.directions));
    size_t four = 4 * H;
    std::vector<double> dW(four * C), dR(four * P), db(four), dP(config.projected() ? P * H : 0);
    std::vector<double> xRow(C), hRow(P), mRow(H);
    for (int n = 0; n < call.x.batch; n++) {
        for (int t = 0; t < call.length(n); t++) {
            size_t row = call.inner(t, n);
            const double* da = trace.gates + row * four;
            std::transform(
                    in + row * C, in + (row + 1) * C, xRow.begin(), [&](double v) { return rounded(config, v); });
            std::transform(trace.hBefore + row * P, trace.hBefore + (row + 1) * P, hRow.begin(),
                    [&](double v) { return rounded(config, v); });
            for (size_t j = 0; j < four; j++) {
                double factor = rounded(config, da[j]);
                for (size_t k = 0; k < C; k++) {
                    dW[j * C + k] += factor * xRow[k];
                }
                for (size_t k = 0; k < P; k++) {
                    dR[j * P + k] += factor * hRow[k];
                }
                db[j] += da[j];
            }
            for (size_t k = 0; k < P && !dP.empty(); k++) {
                double factor = rounded(config, trace.dh[row * P + k]);
                for (size_t j = 0; j < H; j++) {
                    dP[k * H + j] += factor * rounded(config, trace.m[row * H + j]);
                }
            }
        }
    }
    for (int linear = 0; linear < 8; linear++) {
        const Slot& slot = layout.slot(cell, linear);
        auto gate = static_cast<size_t>(linear % 4);
        const std::vector<double>& all = linear < 4 ? dW : dR;
        size_t count = H * (linear < 4 ? C : P);
        auto first = all.begin() + static_cast<std::ptrdiff_t>(gate * count);
        addTo(call, slot.matrix, {first, first + static_cast<std::ptrdiff_t>(count)});
        if (slot.bias >= 0) {
            auto start = db.begin() + static_cast<std::ptrdiff_t>(gate * H);
            addTo(call, slot.bias, {start, start + static_cast<std::ptrdiff_t>(H)});
        }
    }
    if (!dP.empty()) {
        addTo(call, layout.slot(cell, PROJECTION).matrix, dP);
    }
}

void backwardWeights(const Call& call) {
    const Config& config = call.config;
    checkDeviceLengths(call);
    spoil(call.work, call.workBytes);
    ReserveLayout layout(config, call.x);
    WeightLayout weights(config);
    Header header;
    std::memcpy(&header, call.reserve, sizeof header);
    bool fine = checkReserve(call, header, layout, 2);
    if (fine && header.x != sumOfRows(call, call.xData, config.input)) {
        fine = complain(call, "x is not what forward got");
    }
    if (!fine) {
        spoil(call.weightGradients, weights.elements() * size(config.type));
        return;
    }
    double* body = bodyOf(call);
    std::vector<double> x = load(call, call.xData, config.input);
    for (int cell = 0; cell < config.cells(); cell++) {
        int layer = cell / config.directions;
        const double* in = layer == 0 ? x.data() : layerInputAt(body, layout, config, layer);
        backwardWeightsOfCell(call, cell, in, Trace(body, layout, cell), weights);
    }
}

// What every call checks before anything runs.

struct Arguments {
    void *handle, *rnn, *x, *y, *h, *c;
    size_t weightBytes;
    const void* weights;
};

int checkState(
        void* handle, const Config& config, int batch, int width, const char* what, bool used, const char* call) {
    if (handle == nullptr && !used) {
        return SUCCESS;
    }
    auto* tensor = find<Tensor>(handle, call);
    if (tensor == nullptr) {
        return BAD_PARAM;
    }
    std::vector<int> dims{config.cells(), batch, width};
    std::vector<int> strides{batch * width, width, 1};
    if (!tensor->set || tensor->type != config.type || tensor->dims != dims || tensor->strides != strides) {
        return refuse(BAD_PARAM,
                std::string("the descriptor of ") + what + " should be [" + std::to_string(dims[0]) + ", "
                        + std::to_string(batch) + ", " + std::to_string(width) + "] without gaps, of the RNN's type");
    }
    return SUCCESS;
}

int checkShapes(const Config& config, const Rnn& rnn, const Sequences& x, const Sequences& y) {
    if (x.type != config.type || y.type != config.type) {
        return refuse(BAD_PARAM, "the data and the RNN differ in type");
    }
    if (x.layout != y.layout || x.steps != y.steps || x.batch != y.batch || x.lengths != y.lengths) {
        return refuse(BAD_PARAM_SHAPE_MISMATCH, "x and y differ in layout, steps, batch or lengths");
    }
    if (x.width != config.input || y.width != config.width()) {
        return refuse(BAD_PARAM_SHAPE_MISMATCH, "the vectors of x or y do not have the RNN's sizes");
    }
    if (!x.packed() && !config.padded) {
        return refuse(NOT_SUPPORTED, "unpacked layouts need CUDNN_RNN_PADDED_IO_ENABLED");
    }
    if (config.algorithm != STANDARD && !x.uniform()) {
        return refuse(NOT_SUPPORTED, "sequences of different lengths with a persistent algorithm");
    }
    if (config.algorithm == PERSIST_DYNAMIC && rnn.builtFor != x.batch) {
        return refuse(BAD_PARAM, "cudnnBuildRNNDynamic has not been called for this batch size");
    }
    return SUCCESS;
}

int prepare(const Arguments& arguments, bool training, bool usesH, bool usesC, Call& call, Handle*& handle) {
    int status = begin(call.name);
    if (status != SUCCESS) {
        return carousel_standin_control()[DROPS] != 0 ? SUCCESS : status;
    }
    handle = find<Handle>(arguments.handle, call.name);
    auto* rnn = find<Rnn>(arguments.rnn, call.name);
    auto* x = find<RnnData>(arguments.x, call.name);
    auto* y = find<RnnData>(arguments.y, call.name);
    if (handle == nullptr || rnn == nullptr || x == nullptr || y == nullptr || !rnn->set || !x->set || !y->set) {
        return refuse(BAD_PARAM, "a descriptor that has not been set");
    }
    call.config = rnn->config;
    call.x = x->sequences;
    call.y = y->sequences;
    call.training = training;
    status = checkShapes(call.config, *rnn, call.x, call.y);
    if (status == SUCCESS) {
        status = checkState(arguments.h, call.config, call.x.batch, call.config.output, "h", usesH, call.name);
    }
    if (status == SUCCESS) {
        status = checkState(arguments.c, call.config, call.x.batch, call.config.hidden, "c", usesC, call.name);
    }
    if (status != SUCCESS) {
        return status;
    }
    if (arguments.weights == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "the weight space");
    }
    if (arguments.weightBytes < WeightLayout(call.config).elements() * size(call.config.type)) {
        return refuse(BAD_PARAM_SIZE_INSUFFICIENT, "the weight space is too small");
    }
    size_t work = workSpaceSize(call.config, call.x, training);
    size_t reserve = reserveSpaceSize(call.config, call.x, training);
    if (call.workBytes < work || call.work == nullptr) {
        return refuse(BAD_PARAM_SIZE_INSUFFICIENT, "the work space is smaller than " + std::to_string(work) + " bytes");
    }
    if (call.reserveBytes < reserve || (reserve > 0 && call.reserve == nullptr)) {
        return refuse(
                BAD_PARAM_SIZE_INSUFFICIENT, "the reserve space is smaller than " + std::to_string(reserve) + " bytes");
    }
    if (call.x.packed()) {
        size_t start = 0;
        for (int t = 0; t < call.x.steps; t++) {
            call.packedStart.push_back(start);
            start += static_cast<size_t>(std::count_if(
                    call.x.lengths.begin(), call.x.lengths.end(), [t](int length) { return length > t; }));
        }
    }
    return SUCCESS;
}

/// Collects the memory that a call touches; parts that are written may not overlap others.
class Memory {
public:
    explicit Memory(const Call& call) : call_(call) {}

    void reads(const void* data, size_t bytes, const char* name) { add(data, bytes, false, name); }
    void writes(const void* data, size_t bytes, const char* name) { add(data, bytes, true, name); }

    bool fine() const {
        for (size_t a = 0; a < ranges_.size(); a++) {
            for (size_t b = a + 1; b < ranges_.size(); b++) {
                auto first = reinterpret_cast<uintptr_t>(ranges_[a].address);
                auto second = reinterpret_cast<uintptr_t>(ranges_[b].address);
                bool overlap = first < second + ranges_[b].bytes && second < first + ranges_[a].bytes;
                bool same = first == second && ranges_[a].bytes == ranges_[b].bytes;
                if (overlap && !same && (ranges_[a].write || ranges_[b].write)) {
                    carousel_standin_misuse("%s: %s and %s overlap", call_.name, ranges_[a].name, ranges_[b].name);
                    return false;
                }
            }
        }
        return true;
    }

    const std::vector<Range>& ranges() const { return ranges_; }

private:
    void add(const void* data, size_t bytes, bool write, const char* name) {
        if (data != nullptr && bytes > 0) {
            ranges_.push_back({data, bytes, write, name});
        }
    }

    const Call& call_;
    std::vector<Range> ranges_;
};

template <void (*Body)(const Call&)>
int enqueue(const Handle& handle, const Call& call, Memory& memory) {
    size_t element = size(call.config.type);
    size_t weightBytes = WeightLayout(call.config).elements() * element;
    memory.reads(call.deviceLengths, static_cast<size_t>(call.x.batch) * sizeof(int), "lengths");
    memory.reads(call.hx, call.stateElements(false) * element, "hx");
    memory.reads(call.cx, call.stateElements(true) * element, "cx");
    memory.reads(call.weights, weightBytes, "weight space");
    memory.writes(call.weightGradients, weightBytes, "weight gradients");
    memory.writes(call.work, call.workBytes, "work space");
    memory.writes(call.reserve, call.training ? call.reserveBytes : 0, "reserve space");
    if (!memory.fine()) {
        return refuse(BAD_PARAM, "memory that is written overlaps other memory");
    }
    auto run = [](void* data) { Body(*static_cast<Call*>(data)); };
    auto drop = [](void* data) { delete static_cast<Call*>(data); };
    Work work{run, drop, new Call(call), call.name, memory.ranges().data(), static_cast<int>(memory.ranges().size())};
    int result = carousel_standin_enqueue(handle.stream, &work);
    if (result != 0) {
        return refuse(EXECUTION_FAILED, "the stream refused the work with CUDA error " + std::to_string(result));
    }
    carousel_standin_add(RNN_CALLS, 1);
    return SUCCESS;
}

}  // namespace

size_t reserveSpaceSize(const Config& config, const Sequences& x, bool training) {
    return training ? HEADER_BYTES + ReserveLayout(config, x).total * sizeof(double) : 0;
}

}  // namespace carousel::standin::dnn

using namespace carousel::standin;
using namespace carousel::standin::dnn;

STANDIN_EXPORT int cudnnRNNForward(void* handle, void* rnn, int mode, const int* deviceLengths, void* xDesc,
        const void* x, void* yDesc, void* y, void* hDesc, const void* hx, void* hy, void* cDesc, const void* cx,
        void* cy, size_t weightBytes, const void* weights, size_t workBytes, void* work, size_t reserveBytes,
        void* reserve) {
    if (mode < 0 || mode > 1) {
        return refuse(BAD_PARAM, "no such forward mode");
    }
    Call call;
    call.name = "cudnnRNNForward";
    call.deviceLengths = deviceLengths;
    call.xData = x;
    call.yData = y;
    call.hx = hx;
    call.hy = hy;
    call.cx = cx;
    call.cy = cy;
    call.weights = weights;
    call.workBytes = workBytes;
    call.work = work;
    call.reserveBytes = reserveBytes;
    call.reserve = reserve;
    Handle* it = nullptr;
    bool usesH = hx != nullptr || hy != nullptr;
    bool usesC = cx != nullptr || cy != nullptr;
    int status =
            prepare({handle, rnn, xDesc, yDesc, hDesc, cDesc, weightBytes, weights}, mode == 1, usesH, usesC, call, it);
    if (status != SUCCESS || it == nullptr) {
        return status;  // refused, or a call that a test lets be forgotten
    }
    if (x == nullptr || y == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "x or y");
    }
    Memory memory(call);
    size_t element = size(call.config.type);
    memory.reads(x, call.x.bytes(), "x");
    memory.writes(y, call.y.bytes(), "y");
    memory.writes(hy, call.stateElements(false) * element, "hy");
    memory.writes(cy, call.stateElements(true) * element, "cy");
    return enqueue<forward>(*it, call, memory);
}

STANDIN_EXPORT int cudnnRNNBackwardData_v8(void* handle, void* rnn, const int* deviceLengths, void* yDesc,
        const void* y, const void* dy, void* xDesc, void* dx, void* hDesc, const void* hx, const void* dhy, void* dhx,
        void* cDesc, const void* cx, const void* dcy, void* dcx, size_t weightBytes, const void* weights,
        size_t workBytes, void* work, size_t reserveBytes, void* reserve) {
    Call call;
    call.name = "cudnnRNNBackwardData_v8";
    call.deviceLengths = deviceLengths;
    call.yData = const_cast<void*>(y);
    call.dy = dy;
    call.dx = dx;
    call.hx = hx;
    call.dhy = dhy;
    call.dhx = dhx;
    call.cx = cx;
    call.dcy = dcy;
    call.dcx = dcx;
    call.weights = weights;
    call.workBytes = workBytes;
    call.work = work;
    call.reserveBytes = reserveBytes;
    call.reserve = reserve;
    Handle* it = nullptr;
    bool usesH = hx != nullptr || dhx != nullptr || dhy != nullptr;
    bool usesC = cx != nullptr || dcx != nullptr || dcy != nullptr;
    int status = prepare({handle, rnn, xDesc, yDesc, hDesc, cDesc, weightBytes, weights}, true, usesH, usesC, call, it);
    if (status != SUCCESS || it == nullptr) {
        return status;  // refused, or a call that a test lets be forgotten
    }
    if (y == nullptr || dy == nullptr || dx == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "y, dy or dx");
    }
    Memory memory(call);
    size_t element = size(call.config.type);
    memory.reads(y, call.y.bytes(), "y");
    memory.reads(dy, call.y.bytes(), "dy");
    memory.writes(dx, call.x.bytes(), "dx");
    memory.reads(dhy, call.stateElements(false) * element, "dhy");
    memory.writes(dhx, call.stateElements(false) * element, "dhx");
    memory.reads(dcy, call.stateElements(true) * element, "dcy");
    memory.writes(dcx, call.stateElements(true) * element, "dcx");
    return enqueue<backwardData>(*it, call, memory);
}

STANDIN_EXPORT int cudnnRNNBackwardWeights_v8(void* handle, void* rnn, int mode, const int* deviceLengths, void* xDesc,
        const void* x, void* hDesc, const void* hx, void* yDesc, const void* y, size_t weightBytes,
        void* weightGradients, size_t workBytes, void* work, size_t reserveBytes, void* reserve) {
    if (mode != 0) {
        return refuse(mode == 1 ? NOT_SUPPORTED : BAD_PARAM, "only CUDNN_WGRAD_MODE_ADD");
    }
    Call call;
    call.name = "cudnnRNNBackwardWeights_v8";
    call.deviceLengths = deviceLengths;
    call.xData = x;
    call.yData = const_cast<void*>(y);
    call.hx = hx;
    call.weightGradients = weightGradients;
    call.workBytes = workBytes;
    call.work = work;
    call.reserveBytes = reserveBytes;
    call.reserve = reserve;
    Handle* it = nullptr;
    int status = prepare({handle, rnn, xDesc, yDesc, hDesc, nullptr, weightBytes, weightGradients}, true, hx != nullptr,
            false, call, it);
    if (status != SUCCESS || it == nullptr) {
        return status;  // refused, or a call that a test lets be forgotten
    }
    if (x == nullptr || y == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "x or y");
    }
    Memory memory(call);
    memory.reads(x, call.x.bytes(), "x");
    memory.reads(y, call.y.bytes(), "y");
    return enqueue<backwardWeights>(*it, call, memory);
}
