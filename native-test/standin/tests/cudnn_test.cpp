// The LSTM against a small one of the test's own and against finite differences; what cuDNN refuses; the wrong orders
// of calls.
#include <functional>
#include <memory>
#include <random>

#include "../real.h"
#include "device.h"

namespace {

constexpr int FLOAT = 0;
constexpr int DOUBLE = 1;
constexpr int HALF = 2;
constexpr int FMA = 3;
constexpr int NO_BIAS = 0;
constexpr int SINGLE_BIAS = 1;
constexpr int DOUBLE_BIAS = 2;
constexpr int STANDARD = 0;
constexpr int PERSIST_STATIC = 1;
constexpr int PERSIST_DYNAMIC = 2;
constexpr int SMALL_H = 3;
constexpr int SEQ_UNPACKED = 0;
constexpr int PACKED = 1;
constexpr int BATCH_UNPACKED = 2;
constexpr int BAD_PARAM = 2000;
constexpr int TOO_SMALL = 2006;
constexpr int SHAPES_DIFFER = 2008;
constexpr int NOT_SUPPORTED = 3000;
constexpr int EXECUTION_FAILED = 5000;

struct Setting {
    int algorithm = STANDARD, bias = SINGLE_BIAS, directions = 1, type = DOUBLE, math = FMA;
    int input = 3, hidden = 4, projection = 4, layers = 1;
    unsigned flags = 1;
    int layout = SEQ_UNPACKED, steps = 5;
    std::vector<int> lengths{5, 3, 0};
    double clip = 0;
    bool states = true;

    int batch() const { return static_cast<int>(lengths.size()); }
    int width() const { return directions * projection; }
    int cells() const { return layers * directions; }
};

size_t sizeOf(int type) {
    return type == DOUBLE ? 8 : type == FLOAT ? 4 : 2;
}

using Values = std::vector<double>;

/// An LSTM stack in the most direct way, for one sequence at a time. Weights by cell and linLayerID.
struct Plain {
    const Setting& s;
    std::vector<std::vector<Values>> matrix, bias;

    explicit Plain(const Setting& setting)
            : s(setting), matrix(static_cast<size_t>(s.cells()), std::vector<Values>(9)), bias(matrix) {}

    double sum(const Values& w, const Values& v, int row, int columns) const {
        double result = 0;
        for (int k = 0; k < columns; k++) {
            result += w[static_cast<size_t>(row * columns + k)] * v[static_cast<size_t>(k)];
        }
        return result;
    }

    /// x [length][input] to y [length][width]; h and c of all cells in and out.
    std::vector<Values> run(std::vector<Values> x, std::vector<Values>& h, std::vector<Values>& c) const {
        auto length = x.size();
        for (int layer = 0; layer < s.layers; layer++) {
            std::vector<Values> y(length, Values(static_cast<size_t>(s.width())));
            for (int d = 0; d < s.directions; d++) {
                auto cell = static_cast<size_t>(layer * s.directions + d);
                for (size_t step = 0; step < length; step++) {
                    size_t t = d == 0 ? step : length - 1 - step;
                    Values before = h[cell];
                    Values m(static_cast<size_t>(s.hidden));
                    for (int j = 0; j < s.hidden; j++) {
                        double a[4];
                        for (size_t gate = 0; gate < 4; gate++) {
                            a[gate] = sum(matrix[cell][gate], x[t], j, static_cast<int>(x[t].size()))
                                    + sum(matrix[cell][gate + 4], before, j, s.projection);
                            for (size_t part : {gate, gate + 4}) {
                                a[gate] += bias[cell][part].empty() ? 0 : bias[cell][part][static_cast<size_t>(j)];
                            }
                        }
                        double& state = c[cell][static_cast<size_t>(j)];
                        state = state / (1 + std::exp(-a[1])) + std::tanh(a[2]) / (1 + std::exp(-a[0]));
                        if (s.clip > 0) {
                            state = std::max(-s.clip, std::min(s.clip, state));
                        }
                        m[static_cast<size_t>(j)] = std::tanh(state) / (1 + std::exp(-a[3]));
                    }
                    if (s.projection < s.hidden) {
                        for (int k = 0; k < s.projection; k++) {
                            h[cell][static_cast<size_t>(k)] = sum(matrix[cell][8], m, k, s.hidden);
                        }
                    } else {
                        h[cell] = m;
                    }
                    std::copy(h[cell].begin(), h[cell].end(), y[t].begin() + d * s.projection);
                }
            }
            x = y;
        }
        return x;
    }
};

class Rnn : public Device {
protected:
    void SetUp() override {
        Device::SetUp();
        ASSERT_EQ(0, cudnnCreate(&handle));
        ASSERT_EQ(0, cudnnSetStream(handle, stream));
        ASSERT_EQ(0, cudnnCreateDropoutDescriptor(&dropout));
        ASSERT_EQ(0, cudnnSetDropoutDescriptor(dropout, handle, 0, nullptr, 0, 0));
        ASSERT_EQ(0, cudnnCreateRNNDescriptor(&rnn));
        ASSERT_EQ(0, cudnnCreateRNNDataDescriptor(&xDesc));
        ASSERT_EQ(0, cudnnCreateRNNDataDescriptor(&yDesc));
        for (void** tensor : {&hDesc, &cDesc, &mDesc, &bDesc}) {
            ASSERT_EQ(0, cudnnCreateTensorDescriptor(tensor));
        }
    }

    void TearDown() override {
        release();
        for (void* tensor : {hDesc, cDesc, mDesc, bDesc}) {
            EXPECT_EQ(0, cudnnDestroyTensorDescriptor(tensor));
        }
        EXPECT_EQ(0, cudnnDestroyRNNDataDescriptor(xDesc));
        EXPECT_EQ(0, cudnnDestroyRNNDataDescriptor(yDesc));
        EXPECT_EQ(0, cudnnDestroyRNNDescriptor(rnn));
        EXPECT_EQ(0, cudnnDestroyDropoutDescriptor(dropout));
        EXPECT_EQ(0, cudnnDestroy(handle));
        Device::TearDown();
    }

    void release() {
        for (CUdeviceptr* p :
                {&x, &y, &hx, &cx, &hy, &cy, &dx, &dy, &dhx, &dcx, &dhy, &dcy, &weights, &gradients, &work, &reserve}) {
            EXPECT_EQ(0, cuMemFree_v2(*p));
            *p = 0;
        }
    }

    int describe(const Setting& s) {
        return cudnnSetRNNDescriptor_v8(rnn, s.algorithm, 2, s.bias, s.directions - 1, 0, s.type, s.type, s.math,
                s.input, s.hidden, s.projection, s.layers, dropout, s.flags);
    }

    Values draw(size_t count, double scale) {
        std::uniform_real_distribution<double> uniform(-scale, scale);
        Values values(count);
        for (double& value : values) {
            value = uniform(random);
        }
        return values;
    }

    CUdeviceptr uploadAs(const Values& values, int type) {
        std::vector<float> floats(values.begin(), values.end());
        if (type == DOUBLE) {
            return upload(values);
        }
        if (type == FLOAT) {
            return upload(floats);
        }
        std::vector<Half> halves;
        for (float value : floats) {
            halves.push_back(Half::fromFloat(value));
        }
        return upload(halves);
    }

    Values downloadAs(CUdeviceptr from, size_t count, int type) {
        if (type == DOUBLE) {
            return download<double>(from, count);
        }
        Values values;
        if (type == FLOAT) {
            auto floats = download<float>(from, count);
            return {floats.begin(), floats.end()};
        }
        for (Half half : download<Half>(from, count)) {
            values.push_back(Half::toFloat(half));
        }
        return values;
    }

    size_t rows() const {
        size_t sum = 0;
        for (int length : s.lengths) {
            sum += static_cast<size_t>(length);
        }
        return s.layout == PACKED ? sum : static_cast<size_t>(s.steps * s.batch());
    }

    /// The row of step t of sequence n.
    size_t row(int t, int n) const {
        if (s.layout == SEQ_UNPACKED) {
            return static_cast<size_t>(t * s.batch() + n);
        }
        if (s.layout == BATCH_UNPACKED) {
            return static_cast<size_t>(n * s.steps + t);
        }
        size_t start = 0;
        for (int before = 0; before < t; before++) {
            for (int length : s.lengths) {
                start += length > before ? 1 : 0;
            }
        }
        return start + static_cast<size_t>(n);
    }

    /// Descriptors and memory for a setting, drawn at random; padding of x and dy is NaN.
    void prepare(const Setting& setting) {
        release();
        s = setting;
        ASSERT_EQ(0, describe(s));
        if (s.clip > 0) {
            ASSERT_EQ(0, cudnnRNNSetClip_v8(rnn, 1, 1, -s.clip, s.clip));
        }
        if (s.algorithm == PERSIST_DYNAMIC) {
            ASSERT_EQ(0, cudnnBuildRNNDynamic(handle, rnn, s.batch()));
        }
        ASSERT_EQ(0,
                cudnnSetRNNDataDescriptor(
                        xDesc, s.type, s.layout, s.steps, s.batch(), s.input, s.lengths.data(), nullptr));
        ASSERT_EQ(0,
                cudnnSetRNNDataDescriptor(
                        yDesc, s.type, s.layout, s.steps, s.batch(), s.width(), s.lengths.data(), nullptr));
        setState(hDesc, s.projection);
        setState(cDesc, s.hidden);
        ASSERT_EQ(0, cudnnGetRNNWeightSpaceSize(handle, rnn, &weightBytes));
        ASSERT_EQ(0, cudnnGetRNNTempSpaceSizes(handle, rnn, 1, xDesc, &workBytes, &reserveBytes));
        work = allocate(workBytes);
        reserve = allocate(reserveBytes);
        auto element = sizeOf(s.type);
        weightElements = weightBytes / element;
        // Only the parts that cuDNN names have values; the rest stays NaN.
        weightValues.assign(weightElements, std::nan(""));
        places.clear();
        plain.reset(new Plain(s));
        for (int cell = 0; cell < s.cells(); cell++) {
            for (int linear = 0; linear < 9; linear++) {
                void* matrix = nullptr;
                void* bias = nullptr;
                void* base = reinterpret_cast<void*>(1 << 20);
                ASSERT_EQ(0,
                        cudnnGetRNNWeightParams(
                                handle, rnn, cell, weightBytes, base, linear, mDesc, &matrix, bDesc, &bias));
                for (auto [address, tensor, isMatrix] :
                        {std::tuple(matrix, mDesc, true), std::tuple(bias, bDesc, false)}) {
                    if (address == nullptr) {
                        continue;
                    }
                    int type = 0, count = 0, dims[3], strides[3];
                    ASSERT_EQ(0, cudnnGetTensorNdDescriptor(tensor, 3, &type, &count, dims, strides));
                    size_t offset = (reinterpret_cast<size_t>(address) - (1 << 20)) / element;
                    auto size = static_cast<size_t>(dims[1] * dims[2]);
                    Values part = draw(size, 0.7);
                    for (double& value : part) {
                        value = s.type == HALF ? roundToHalf(static_cast<float>(value)) : static_cast<float>(value);
                    }
                    for (size_t k = 0; k < size; k++) {
                        ASSERT_TRUE(std::isnan(weightValues[offset + k])) << "parts overlap";
                        weightValues[offset + k] = part[k];
                    }
                    places.push_back({cell, linear, isMatrix, offset, size});
                    (isMatrix ? plain->matrix : plain->bias)[static_cast<size_t>(cell)][static_cast<size_t>(linear)] =
                            part;
                }
            }
        }
        weights = uploadAs(weightValues, s.type);
        gradients = uploadAs(Values(weightElements, 0.25), s.type);
        xValues = padded(s.input, 1);
        dyValues = padded(s.width(), 1);
        x = uploadAs(xValues, s.type);
        dy = uploadAs(dyValues, s.type);
        y = allocate(rows() * static_cast<size_t>(s.width()) * element);
        dx = allocate(rows() * static_cast<size_t>(s.input) * element);
        auto hCount = static_cast<size_t>(s.cells() * s.batch() * s.projection);
        auto cCount = static_cast<size_t>(s.cells() * s.batch() * s.hidden);
        hxValues = narrow(draw(hCount, 0.8));
        cxValues = narrow(draw(cCount, 0.8));
        dhyValues = narrow(draw(hCount, 0.8));
        dcyValues = narrow(draw(cCount, 0.8));
        if (s.states) {
            hx = uploadAs(hxValues, s.type);
            cx = uploadAs(cxValues, s.type);
            dhy = uploadAs(dhyValues, s.type);
            dcy = uploadAs(dcyValues, s.type);
            hy = allocate(hCount * element);
            cy = allocate(cCount * element);
            dhx = allocate(hCount * element);
            dcx = allocate(cCount * element);
        } else {
            for (Values* values : {&hxValues, &cxValues, &dhyValues, &dcyValues}) {
                std::fill(values->begin(), values->end(), 0.0);
            }
        }
    }

    Values narrow(Values values) const {
        for (double& value : values) {
            value = s.type == HALF ? roundToHalf(static_cast<float>(value)) : static_cast<float>(value);
        }
        return values;
    }

    Values padded(int width, double scale) {
        Values values(rows() * static_cast<size_t>(width), std::nan(""));
        for (int n = 0; n < s.batch(); n++) {
            Values part = narrow(draw(static_cast<size_t>(s.lengths[static_cast<size_t>(n)] * width), scale));
            for (size_t k = 0; k < part.size(); k++) {
                values[row(static_cast<int>(k) / width, n) * static_cast<size_t>(width)
                        + k % static_cast<size_t>(width)] = part[k];
            }
        }
        return values;
    }

    void setState(void* desc, int width) {
        int dims[] = {s.cells(), s.batch(), width};
        int strides[] = {s.batch() * width, width, 1};
        ASSERT_EQ(0, cudnnSetTensorNdDescriptor(desc, s.type, 3, dims, strides));
    }

    int forward(int mode = 1) {
        return cudnnRNNForward(handle, rnn, mode, nullptr, xDesc, at<void>(x), yDesc, at<void>(y), hDesc, at<void>(hx),
                at<void>(hy), cDesc, at<void>(cx), at<void>(cy), weightBytes, at<void>(weights), workBytes,
                at<void>(work), mode == 1 ? reserveBytes : 0, mode == 1 ? at<void>(reserve) : nullptr);
    }

    int backwardData() {
        return cudnnRNNBackwardData_v8(handle, rnn, nullptr, yDesc, at<void>(y), at<void>(dy), xDesc, at<void>(dx),
                hDesc, at<void>(hx), at<void>(dhy), at<void>(dhx), cDesc, at<void>(cx), at<void>(dcy), at<void>(dcx),
                weightBytes, at<void>(weights), workBytes, at<void>(work), reserveBytes, at<void>(reserve));
    }

    int backwardWeights(int mode = 0) {
        return cudnnRNNBackwardWeights_v8(handle, rnn, mode, nullptr, xDesc, at<void>(x), hDesc, at<void>(hx), yDesc,
                at<void>(y), weightBytes, at<void>(gradients), workBytes, at<void>(work), reserveBytes,
                at<void>(reserve));
    }

    /// The plain LSTM over everything: y in the layout's rows, padding 0; hy, cy.
    Values plainForward(Values& hOut, Values& cOut) const {
        Values result(rows() * static_cast<size_t>(s.width()));
        hOut = hxValues;
        cOut = cxValues;
        for (int n = 0; n < s.batch(); n++) {
            std::vector<Values> h, c, in;
            for (int cell = 0; cell < s.cells(); cell++) {
                auto first = hxValues.begin() + (cell * s.batch() + n) * s.projection;
                h.emplace_back(first, first + s.projection);
                auto second = cxValues.begin() + (cell * s.batch() + n) * s.hidden;
                c.emplace_back(second, second + s.hidden);
            }
            for (int t = 0; t < s.lengths[static_cast<size_t>(n)]; t++) {
                auto first = xValues.begin() + static_cast<std::ptrdiff_t>(row(t, n)) * s.input;
                in.emplace_back(first, first + s.input);
            }
            auto out = plain->run(in, h, c);
            for (size_t t = 0; t < out.size(); t++) {
                std::copy(out[t].begin(), out[t].end(),
                        result.begin() + static_cast<std::ptrdiff_t>(row(static_cast<int>(t), n)) * s.width());
            }
            for (int cell = 0; cell < s.cells(); cell++) {
                auto k = static_cast<size_t>(cell);
                std::copy(h[k].begin(), h[k].end(), hOut.begin() + (cell * s.batch() + n) * s.projection);
                std::copy(c[k].begin(), c[k].end(), cOut.begin() + (cell * s.batch() + n) * s.hidden);
            }
        }
        return result;
    }

    /// The sum of y dy + hy dhy + cy dcy, whose gradients backward has to give.
    double loss() const {
        Values h, c;
        Values out = plainForward(h, c);
        double sum = 0;
        for (size_t k = 0; k < out.size(); k++) {
            sum += std::isnan(dyValues[k]) ? 0 : out[k] * dyValues[k];
        }
        for (size_t k = 0; k < h.size(); k++) {
            sum += h[k] * dhyValues[k];
        }
        for (size_t k = 0; k < c.size(); k++) {
            sum += c[k] * dcyValues[k];
        }
        return sum;
    }

    double slope(double& at) const {
        constexpr double STEP = 1e-5;
        double before = at;
        at = before + STEP;
        double above = loss();
        at = before - STEP;
        double below = loss();
        at = before;
        return (above - below) / (2 * STEP);
    }

    void expectNear(const Values& expected, const Values& got, double tolerance, const char* what) {
        ASSERT_EQ(expected.size(), got.size());
        for (size_t k = 0; k < got.size(); k++) {
            ASSERT_NEAR(expected[k], got[k], tolerance) << what << " " << k;
        }
    }

    /// Forward, backward, weights against the plain LSTM and central differences.
    void check(const Setting& setting, double tolerance, double gradientTolerance) {
        prepare(setting);
        if (HasFatalFailure()) {
            return;
        }
        ASSERT_EQ(0, forward());
        ASSERT_EQ(0, backwardData());
        ASSERT_EQ(0, backwardWeights());
        ASSERT_EQ(0, cuStreamSynchronize(stream));
        Values h, c;
        Values expected = plainForward(h, c);
        expectNear(expected, downloadAs(y, expected.size(), s.type), tolerance, "y");
        if (s.states) {
            expectNear(h, downloadAs(hy, h.size(), s.type), tolerance, "hy");
            expectNear(c, downloadAs(cy, c.size(), s.type), tolerance, "cy");
        }
        Values dxGot = downloadAs(dx, xValues.size(), s.type);
        for (size_t k = 0; k < xValues.size(); k++) {
            if (std::isnan(xValues[k])) {
                ASSERT_TRUE(std::isnan(dxGot[k])) << "dx past the end of a sequence, " << k;
            } else {
                ASSERT_NEAR(slope(xValues[k]), dxGot[k], gradientTolerance) << "dx " << k;
            }
        }
        if (s.states) {
            Values dhGot = downloadAs(dhx, hxValues.size(), s.type);
            Values dcGot = downloadAs(dcx, cxValues.size(), s.type);
            for (size_t k = 0; k < hxValues.size(); k++) {
                ASSERT_NEAR(slope(hxValues[k]), dhGot[k], gradientTolerance) << "dhx " << k;
            }
            for (size_t k = 0; k < cxValues.size(); k++) {
                ASSERT_NEAR(slope(cxValues[k]), dcGot[k], gradientTolerance) << "dcx " << k;
            }
        }
        Values dwGot = downloadAs(gradients, weightElements, s.type);
        for (const Place& place : places) {
            auto cell = static_cast<size_t>(place.cell);
            auto linear = static_cast<size_t>(place.linear);
            for (size_t k = 0; k < place.size; k++) {
                double& value = place.isMatrix ? plain->matrix[cell][linear][k] : plain->bias[cell][linear][k];
                ASSERT_NEAR(0.25 + slope(value), dwGot[place.offset + k], gradientTolerance)
                        << "linear layer " << place.linear;
                dwGot[place.offset + k] = 0.25;
            }
        }
        for (double value : dwGot) {
            ASSERT_EQ(0.25, value) << "a gap in the weights was written";
        }
        EXPECT_EQ(0U, word(MISUSE));
    }

    struct Place {
        int cell, linear;
        bool isMatrix;
        size_t offset, size;
    };

    std::mt19937 random{7};
    Setting s;
    void *handle = nullptr, *dropout = nullptr, *rnn = nullptr, *xDesc = nullptr, *yDesc = nullptr, *hDesc = nullptr,
         *cDesc = nullptr, *mDesc = nullptr, *bDesc = nullptr;
    CUdeviceptr x = 0, y = 0, hx = 0, cx = 0, hy = 0, cy = 0, dx = 0, dy = 0, dhx = 0, dcx = 0, dhy = 0, dcy = 0,
                weights = 0, gradients = 0, work = 0, reserve = 0;
    size_t weightBytes = 0, workBytes = 0, reserveBytes = 0, weightElements = 0;
    Values weightValues, xValues, dyValues, hxValues, cxValues, dhyValues, dcyValues;
    std::vector<Place> places;
    std::unique_ptr<Plain> plain;
};

}  // namespace

TEST_F(Rnn, ComputesAnLstm) {
    check({}, 1e-12, 1e-8);
}

TEST_F(Rnn, StartsFromZerosWithoutStates) {
    Setting t;
    t.states = false;
    check(t, 1e-12, 1e-8);
}

TEST_F(Rnn, ComputesStackedBidirectionalProjectedClipped) {
    Setting t;
    t.layers = 2;
    t.directions = 2;
    t.projection = 3;
    t.bias = DOUBLE_BIAS;
    check(t, 1e-12, 1e-8);
    t.projection = 4;
    t.clip = 0.3;
    t.bias = NO_BIAS;
    check(t, 1e-12, 1e-6);
}

TEST_F(Rnn, ComputesEveryLayout) {
    Setting t;
    t.directions = 2;
    t.layout = BATCH_UNPACKED;
    check(t, 1e-12, 1e-8);
    t.layout = PACKED;
    t.flags = 0;
    t.lengths = {5, 3, 1};
    check(t, 1e-12, 1e-8);
}

TEST_F(Rnn, ComputesEveryAlgorithmAndType) {
    Setting t;
    t.lengths = {5, 5};
    t.type = FLOAT;
    for (int algorithm : {STANDARD, PERSIST_STATIC, PERSIST_DYNAMIC, SMALL_H}) {
        t.algorithm = algorithm;
        check(t, 1e-6, 2e-5);
    }
    t.type = HALF;
    t.math = 1;
    t.algorithm = STANDARD;
    check(t, 2e-3, 2e-2);
}

TEST_F(Rnn, DefaultMathOfFloatMayUseTf32) {
    Setting t;
    t.type = FLOAT;
    t.math = 0;
    check(t, 3e-3, 2e-2);
    Values h, c;
    Values expected = plainForward(h, c);
    Values got = downloadAs(y, expected.size(), FLOAT);
    double worst = 0;
    for (size_t k = 0; k < got.size(); k++) {
        worst = std::max(worst, std::abs(got[k] - expected[k]));
    }
    EXPECT_LT(1e-6, worst) << "inputs of products are rounded";
}

TEST_F(Rnn, PaddingIsFilled) {
    prepare({});
    double fill = -7;
    ASSERT_EQ(0, cudnnSetRNNDataDescriptor(yDesc, DOUBLE, SEQ_UNPACKED, 5, 3, s.width(), s.lengths.data(), &fill));
    ASSERT_EQ(0, forward());
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(-7, downloadAs(y, 15 * 4, DOUBLE)[row(4, 1) * 4]);
    EXPECT_EQ(-7, downloadAs(y, 15 * 4, DOUBLE)[row(0, 2) * 4]);
    ASSERT_EQ(0, cudnnSetRNNDataDescriptor(yDesc, DOUBLE, SEQ_UNPACKED, 5, 3, s.width(), s.lengths.data(), nullptr));
    setWord(POISON_PADDING, 1);
    ASSERT_EQ(0, forward());
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_TRUE(std::isnan(downloadAs(y, 15 * 4, DOUBLE)[row(4, 1) * 4]));
}

TEST_F(Rnn, InferenceNeedsNoReserve) {
    prepare({});
    size_t inferenceWork = 0;
    size_t inferenceReserve = 1;
    EXPECT_EQ(0, cudnnGetRNNTempSpaceSizes(handle, rnn, 0, xDesc, &inferenceWork, &inferenceReserve));
    EXPECT_EQ(0U, inferenceReserve);
    EXPECT_LT(inferenceWork, workBytes);
    ASSERT_EQ(0, forward(0));
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    Values h, c;
    Values expected = plainForward(h, c);
    expectNear(expected, downloadAs(y, expected.size(), DOUBLE), 1e-12, "y");
}

TEST_F(Rnn, BackwardAfterInferenceIsMisuse) {
    prepare({});
    ASSERT_EQ(0, forward(0));
    EXPECT_EQ(0, backwardData());
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_TRUE(std::isnan(downloadAs(dx, 1, DOUBLE)[0]));
    misuse = 1;
}

TEST_F(Rnn, WeightsBeforeDataIsMisuse) {
    prepare({});
    ASSERT_EQ(0, forward());
    EXPECT_EQ(0, backwardWeights());
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_TRUE(std::isnan(downloadAs(gradients, 1, DOUBLE)[0]));
    misuse = 1;
}

TEST_F(Rnn, DataTwiceIsMisuse) {
    prepare({});
    ASSERT_EQ(0, forward());
    EXPECT_EQ(0, backwardData());
    EXPECT_EQ(0, backwardData());
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_TRUE(std::isnan(downloadAs(dx, 1, DOUBLE)[0]));
    misuse = 1;
}

TEST_F(Rnn, WeightGradientsAreOnlyAdded) {
    prepare({});
    ASSERT_EQ(0, forward());
    ASSERT_EQ(0, backwardData());
    ASSERT_EQ(0, backwardWeights());
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    Values once = downloadAs(gradients, weightElements, DOUBLE);
    ASSERT_EQ(0, backwardWeights());
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    Values twice = downloadAs(gradients, weightElements, DOUBLE);
    for (size_t k = 0; k < once.size(); k++) {
        ASSERT_NEAR(2 * once[k] - 0.25, twice[k], 1e-12);
    }
    EXPECT_EQ(NOT_SUPPORTED, backwardWeights(1));
}

TEST_F(Rnn, TheReserveAndWhatForwardSawMustBeTheSame) {
    const std::vector<std::function<void()>> changes{
            [this] { at<double>(reserve)[40] += 1; },
            [this] { at<double>(y)[0] += 1; },
            [this] { at<double>(hx)[0] += 1; },
            [this] { at<double>(cx)[0] += 1; },
            [this] { at<double>(weights)[places[0].offset] += 1; },
            [this] { EXPECT_EQ(0, cudnnRNNSetClip_v9(rnn, 1, -1, 1)); },
    };
    for (size_t k = 0; k < changes.size(); k++) {
        prepare({});
        ASSERT_EQ(0, forward());
        ASSERT_EQ(0, cuStreamSynchronize(stream));
        changes[k]();
        EXPECT_EQ(0, backwardData());
        EXPECT_EQ(0, cuStreamSynchronize(stream));
        EXPECT_EQ(k + 1, word(MISUSE)) << "change " << k;
        EXPECT_TRUE(std::isnan(downloadAs(dx, 1, DOUBLE)[0]));
    }
    prepare({});
    ASSERT_EQ(0, forward());
    ASSERT_EQ(0, backwardData());
    ASSERT_EQ(0, cuStreamSynchronize(stream));
    at<double>(x)[0] += 1;
    EXPECT_EQ(0, backwardWeights());
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    misuse = changes.size() + 1;
}

TEST_F(Rnn, DescriptorsAreChecked) {
    auto refused = [this](const std::function<void(Setting&)>& change) {
        Setting t;
        t.type = FLOAT;
        change(t);
        return describe(t);
    };
    EXPECT_EQ(0, refused([](Setting&) {}));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.projection = 5; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.projection = 0; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.hidden = 0; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.layers = 0; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.flags = 2; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.algorithm = 4; }));
    EXPECT_EQ(BAD_PARAM, refused([](Setting& t) { t.bias = 4; }));
    EXPECT_EQ(NOT_SUPPORTED, refused([](Setting& t) { t.type = 9; }));
    EXPECT_EQ(NOT_SUPPORTED, refused([](Setting& t) { t.math = 1; })) << "tensor ops without conversion of float";
    for (int algorithm : {PERSIST_STATIC, PERSIST_DYNAMIC, SMALL_H}) {
        EXPECT_EQ(NOT_SUPPORTED, refused([=](Setting& t) { t.algorithm = algorithm, t.projection = 3; }));
    }
    for (int algorithm : {PERSIST_STATIC, SMALL_H}) {
        EXPECT_EQ(NOT_SUPPORTED, refused([=](Setting& t) { t.algorithm = algorithm, t.type = DOUBLE; }));
    }
    EXPECT_EQ(NOT_SUPPORTED, refused([](Setting& t) { t.algorithm = SMALL_H, t.hidden = t.projection = 193; }));
    EXPECT_EQ(NOT_SUPPORTED, cudnnSetRNNDescriptor_v8(rnn, 0, 3, 1, 0, 0, 0, 0, 3, 3, 4, 4, 1, dropout, 1)) << "GRU";
    EXPECT_EQ(NOT_SUPPORTED, cudnnSetRNNDescriptor_v8(rnn, 0, 2, 1, 0, 0, FLOAT, DOUBLE, 3, 3, 4, 4, 1, dropout, 1))
            << "math precision";
    EXPECT_EQ(BAD_PARAM, cudnnRNNSetClip_v8(rnn, 1, 0, 1, -1));
    EXPECT_EQ(NOT_SUPPORTED, cudnnSetDropoutDescriptor(dropout, handle, 0.5F, nullptr, 0, 0));
    EXPECT_EQ(BAD_PARAM, cudnnSetDropoutDescriptor(dropout, handle, 2, nullptr, 0, 0));
    std::vector<int> lengths{5, 6};
    EXPECT_EQ(BAD_PARAM, cudnnSetRNNDataDescriptor(xDesc, 0, 0, 5, 2, 3, lengths.data(), nullptr));
    lengths = {3, 5};
    EXPECT_EQ(0, cudnnSetRNNDataDescriptor(xDesc, 0, 0, 5, 2, 3, lengths.data(), nullptr));
    EXPECT_EQ(BAD_PARAM, cudnnSetRNNDataDescriptor(xDesc, 0, PACKED, 5, 2, 3, lengths.data(), nullptr))
            << "not descending";
    lengths = {5, 0};
    EXPECT_EQ(BAD_PARAM, cudnnSetRNNDataDescriptor(xDesc, 0, PACKED, 5, 2, 3, lengths.data(), nullptr)) << "empty";
    lengths = {4, 3};
    EXPECT_EQ(BAD_PARAM, cudnnSetRNNDataDescriptor(xDesc, 0, PACKED, 5, 2, 3, lengths.data(), nullptr))
            << "shorter than the maximum";
    int dims[] = {1, 2, 3};
    EXPECT_EQ(BAD_PARAM, cudnnSetTensorNdDescriptor(hDesc, 0, 2, dims, dims));
}

TEST_F(Rnn, CallsAreChecked) {
    Setting t;
    prepare(t);
    workBytes--;
    EXPECT_EQ(TOO_SMALL, forward());
    workBytes++;
    reserveBytes--;
    EXPECT_EQ(TOO_SMALL, forward());
    EXPECT_EQ(TOO_SMALL, backwardData());
    reserveBytes++;
    weightBytes--;
    EXPECT_EQ(TOO_SMALL, forward());
    weightBytes++;
    setState(cDesc, s.hidden + 1);
    EXPECT_EQ(BAD_PARAM, forward());
    setState(cDesc, s.hidden);
    std::vector<int> other{5, 4, 0};
    ASSERT_EQ(0, cudnnSetRNNDataDescriptor(yDesc, DOUBLE, 0, 5, 3, s.width(), other.data(), nullptr));
    EXPECT_EQ(SHAPES_DIFFER, forward());
    ASSERT_EQ(0, cudnnSetRNNDataDescriptor(yDesc, DOUBLE, 0, 5, 3, s.width() + 1, s.lengths.data(), nullptr));
    EXPECT_EQ(SHAPES_DIFFER, forward());
    CUdeviceptr keep = y;
    prepare(t);
    keep = y;
    y = x;
    EXPECT_EQ(BAD_PARAM, forward()) << "y over x";
    y = work + 8;
    EXPECT_EQ(EXECUTION_FAILED, [this] {  // y leaves the work space and overlaps it
        return forward() == BAD_PARAM ? EXECUTION_FAILED : 0;
    }());
    misuse = 2;
    y = keep + 8;
    EXPECT_EQ(EXECUTION_FAILED, forward()) << "y leaves its allocation";
    misuse = 3;
    y = keep;
    t.flags = 0;
    prepare(t);
    EXPECT_EQ(NOT_SUPPORTED, forward()) << "unpacked without padded I/O";
    t = Setting{};
    t.algorithm = PERSIST_DYNAMIC;
    prepare(t);
    EXPECT_EQ(NOT_SUPPORTED, forward()) << "different lengths";
    t.lengths = {5, 5};
    prepare(t);
    ASSERT_EQ(0, describe(t));
    EXPECT_EQ(BAD_PARAM, forward()) << "not built";
    ASSERT_EQ(0, cudnnBuildRNNDynamic(handle, rnn, 2));
    EXPECT_EQ(0, forward());
    EXPECT_EQ(0, cuStreamSynchronize(stream));
}

TEST_F(Rnn, LengthsOnTheDeviceMustAgree) {
    prepare({});
    CUdeviceptr lengths = upload<int>({5, 3, 1});
    EXPECT_EQ(0,
            cudnnRNNForward(handle, rnn, 0, at<int>(lengths), xDesc, at<void>(x), yDesc, at<void>(y), hDesc, nullptr,
                    nullptr, cDesc, nullptr, nullptr, weightBytes, at<void>(weights), workBytes, at<void>(work), 0,
                    nullptr));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    misuse = 1;
    free({lengths});
}

TEST_F(Rnn, RunsLaterThanTheCallAndIsCaptured) {
    prepare({});
    uint64_t before = word(RNN_CALLS);
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, forward());
    EXPECT_EQ(0, backwardData());
    EXPECT_EQ(0, backwardWeights());
    void* graph = nullptr;
    void* executable = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(before + 3, word(RNN_CALLS));
    EXPECT_TRUE(std::isnan(*at<double>(y)));
    ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    Values h, c;
    Values expected = plainForward(h, c);
    expectNear(expected, downloadAs(y, expected.size(), DOUBLE), 1e-12, "y");
    EXPECT_EQ(0, cuGraphExecDestroy(executable));
    EXPECT_EQ(0, cuGraphDestroy(graph));
}

TEST_F(Rnn, StatusesHaveNames) {
    EXPECT_STREQ("CUDNN_STATUS_SUCCESS", cudnnGetErrorString(0));
    EXPECT_STREQ("CUDNN_STATUS_BAD_PARAM", cudnnGetErrorString(2000));
    EXPECT_STREQ("CUDNN_STATUS_NOT_SUPPORTED", cudnnGetErrorString(3000));
    EXPECT_STREQ("CUDNN_STATUS_EXECUTION_FAILED", cudnnGetErrorString(5000));
    EXPECT_EQ(BAD_PARAM, cudnnDestroyTensorDescriptor(rnn)) << "something else";
    misuse = 1;
}
