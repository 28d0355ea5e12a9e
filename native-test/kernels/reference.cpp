#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace carousel::test::reference {

namespace {

double logistic(double x) {
    return 1 / (1 + std::exp(-x));
}

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; round++) {
        uint64_t first = uint64_t{0xD2511F53} * counter[0];
        uint64_t second = uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(second),
                static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(first)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

Vector dropout(const Vector& x, long long period, int threshold, double rate, uint64_t seed, int stream, uint64_t call) {
    Vector y(x.size());
    for (size_t e = 0; e < x.size(); e++) {
        size_t w = e % static_cast<size_t>(period);
        std::array<uint32_t, 4> words = philox({static_cast<uint32_t>(w / 4), static_cast<uint32_t>(stream),
                                                       static_cast<uint32_t>(call), static_cast<uint32_t>(call >> 32)},
                {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
        y[e] = static_cast<int>(words[w % 4] >> 8) < threshold ? 0 : x[e] / (1 - rate);
    }
    return y;
}

double roundToHalf(double x) {
    if (std::isnan(x) || std::isinf(x) || x == 0) {
        return x;
    }
    // Halves at this magnitude are multiples of this; the processor rounds ties to even.
    double unit = std::ldexp(1, std::max(std::ilogb(x), -14) - 10);
    double rounded = std::nearbyint(x / unit) * unit;
    return std::abs(rounded) > 65504 ? std::copysign(std::numeric_limits<double>::infinity(), x) : rounded;
}

double halfValue(uint16_t bits) {
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double magnitude = exponent == 31
            ? (fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN())
            : exponent == 0 ? std::ldexp(fraction, -24)
                            : std::ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

double roundToBFloat(double x) {
    if (std::isnan(x) || std::isinf(x) || x == 0) {
        return x;
    }
    double unit = std::ldexp(1, std::max(std::ilogb(x), -126) - 7);
    double rounded = std::nearbyint(x / unit) * unit;
    return std::abs(rounded) >= std::ldexp(1, 128) ? std::copysign(std::numeric_limits<double>::infinity(), x)
                                                   : rounded;
}

double bfloatValue(uint16_t bits) {
    int exponent = bits >> 7 & 255;
    int fraction = bits & 127;
    double magnitude = exponent == 255
            ? (fraction == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN())
            : exponent == 0 ? std::ldexp(fraction, -133)
                            : std::ldexp(128 + fraction, exponent - 134);
    return bits >> 15 ? -magnitude : magnitude;
}

double roundToTf32(double x) {
    if (std::isnan(x) || std::isinf(x) || x == 0) {
        return x;
    }
    double unit = std::ldexp(1, std::max(std::ilogb(x), -126) - 10);
    return std::round(x / unit) * unit;
}

void embeddingBackward(const std::vector<int>& ids, const Vector& dy, Vector& dTable, int vocabulary, int width) {
    for (size_t m = 0; m < ids.size(); m++) {
        if (ids[m] < 0 || ids[m] >= vocabulary) {
            continue;
        }
        for (int k = 0; k < width; k++) {
            dTable[static_cast<size_t>(ids[m]) * width + k] += dy[m * width + k];
        }
    }
}

Vector activation(Activation function, const Vector& x, int rows, int columns) {
    Vector y(x.size());
    for (size_t e = 0; e < x.size(); e++) {
        // std::max gives its first argument where one is not a number.
        y[e] = function == Activation::relu ? std::max(x[e], 0.0)
                : function == Activation::sigmoid ? logistic(x[e])
                                                  : std::tanh(x[e]);
    }
    for (int m = 0; function == Activation::softmax && m < rows; m++) {
        auto row = [=](int k) { return static_cast<size_t>(m) * columns + k; };
        double largest = -INFINITY;
        for (int k = 0; k < columns; k++) {
            largest = std::max(largest, x[row(k)]);
        }
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            sum += std::exp(x[row(k)] - largest);
        }
        for (int k = 0; k < columns; k++) {
            y[row(k)] = std::exp(x[row(k)] - largest) / sum;
        }
    }
    return y;
}

Vector activationBackward(Activation function, const Vector& y, const Vector& dy, int rows, int columns) {
    Vector dx(y.size());
    for (int m = 0; m < rows; m++) {
        size_t row = static_cast<size_t>(m) * columns;
        for (int k = 0; k < columns; k++) {
            double value = y[row + k];
            if (function == Activation::softmax) {
                // The Jacobian diag(y) - y y^T, term by term.
                for (int j = 0; j < columns; j++) {
                    dx[row + k] += dy[row + j] * y[row + j] * ((j == k) - value);
                }
            } else {
                double slope = function == Activation::relu ? value > 0
                        : function == Activation::sigmoid ? value * (1 - value)
                                                          : 1 - value * value;
                dx[row + k] = dy[row + k] * slope;
            }
        }
    }
    return dx;
}

Loss loss(LossKind kind, const Vector& p, const Vector& targets, const std::vector<int>& labels, const Vector& weights,
        int rows, int columns) {
    Loss result{{0, 0, 0}, Vector(p.size(), 0)};
    for (int m = 0; m < rows; m++) {
        double weight = weights.empty() ? 1 : weights[m];
        result.report[2] += weight;
    }
    for (int m = 0; m < rows; m++) {
        double weight = weights.empty() ? 1 : weights[m];
        if (weight == 0) {
            continue;
        }
        size_t row = static_cast<size_t>(m) * columns;
        Vector gradient(columns);
        double value = 0;
        double right = 0;
        if (kind == LossKind::softmax) {
            auto begin = p.begin() + static_cast<long>(row);
            long largest = std::max_element(begin, begin + columns) - begin;
            double sum = 0;
            for (int k = 0; k < columns; k++) {
                sum += std::exp(p[row + k] - p[row + largest]);
            }
            bool known = labels[m] >= 0 && labels[m] < columns;
            for (int k = 0; k < columns; k++) {
                gradient[k] = known ? std::exp(p[row + k] - p[row + largest]) / sum - (k == labels[m]) : NAN;
            }
            value = known ? std::log(sum) + p[row + largest] - p[row + labels[m]] : NAN;
            right = largest == labels[m];
        } else if (kind == LossKind::squared) {
            for (int k = 0; k < columns; k++) {
                double difference = p[row + k] - targets[row + k];
                value += difference * difference / columns;
                gradient[k] = 2 * difference / columns;
            }
        } else {
            for (int k = 0; k < columns; k++) {
                double logit = p[row + k];
                value += (std::max(logit, 0.0) - logit * targets[row + k] + std::log1p(std::exp(-std::abs(logit))))
                        / columns;
                gradient[k] = (logistic(logit) - targets[row + k]) / columns;
                right += ((logit > 0) == (targets[row + k] > 0.5)) / static_cast<double>(columns);
            }
        }
        result.report[0] += weight * value;
        result.report[1] += weight * right;
        for (int k = 0; k < columns; k++) {
            result.gradient[row + k] =
                    result.report[2] == 0 && !std::isnan(gradient[k]) ? 0 : weight * gradient[k] / result.report[2];
        }
    }
    return result;
}

double clipFactor(const Clip& clip) {
    if (clip.maxNorm == 0) {
        return 1;
    }
    double norm = std::sqrt(clip.squaredNorm);
    return !std::isfinite(norm) ? NAN : std::min(1.0, clip.maxNorm / norm);
}

void sgd(Vector& p, const Vector& d, Vector& m, double rate, double momentum, bool nesterov, const Clip& clip) {
    for (size_t e = 0; e < p.size(); e++) {
        double gradient = d[e] * clipFactor(clip);
        if (momentum > 0) {
            m[e] = momentum * m[e] + gradient;
            gradient = nesterov ? gradient + momentum * m[e] : m[e];
        }
        p[e] -= rate * gradient;
    }
}

void adam(Vector& p, const Vector& d, Vector& m, Vector& v, double rate, double beta1, double beta2, double epsilon,
        double weightDecay, int step, const Clip& clip) {
    for (size_t e = 0; e < p.size(); e++) {
        double gradient = d[e] * clipFactor(clip);
        m[e] = beta1 * m[e] + (1 - beta1) * gradient;
        v[e] = beta2 * v[e] + (1 - beta2) * gradient * gradient;
        double first = m[e] / (1 - std::pow(beta1, step));
        double second = v[e] / (1 - std::pow(beta2, step));
        p[e] -= rate * weightDecay * p[e];
        p[e] -= rate * first / (std::sqrt(second) + epsilon);
    }
}

void rmsprop(Vector& p, const Vector& d, Vector& m, double rate, double decay, double epsilon, const Clip& clip) {
    for (size_t e = 0; e < p.size(); e++) {
        double gradient = d[e] * clipFactor(clip);
        m[e] = decay * m[e] + (1 - decay) * gradient * gradient;
        p[e] -= rate * gradient / (std::sqrt(m[e]) + epsilon);
    }
}

Cell lstmCell(const std::array<double, 4>& a, double cPrevious, const std::array<double, 3>& peepholes, double clip) {
    Cell cell{};
    cell.i = logistic(a[0] + peepholes[0] * cPrevious);
    cell.f = logistic(a[1] + peepholes[1] * cPrevious);
    cell.g = std::tanh(a[2]);
    cell.c = cell.f * cPrevious + cell.i * cell.g;
    if (clip > 0) {
        cell.c = std::clamp(cell.c, -clip, clip);
    }
    cell.o = logistic(a[3] + peepholes[2] * cell.c);
    cell.m = cell.o * std::tanh(cell.c);
    return cell;
}

CellGradient lstmCellBackward(
        const Cell& cell, double cPrevious, double dm, double dc, const std::array<double, 3>& peepholes, double clip) {
    double tanhC = std::tanh(cell.c);
    double daO = dm * tanhC * cell.o * (1 - cell.o);
    double dCell = dc + dm * cell.o * (1 - tanhC * tanhC) + daO * peepholes[2];
    if (clip > 0 && std::abs(cell.f * cPrevious + cell.i * cell.g) > clip) {
        dCell = 0;
    }
    double daI = dCell * cell.g * cell.i * (1 - cell.i);
    double daF = dCell * cPrevious * cell.f * (1 - cell.f);
    double daG = dCell * cell.i * (1 - cell.g * cell.g);
    return {{daI, daF, daG, daO}, dCell * cell.f + daI * peepholes[0] + daF * peepholes[1]};
}

double function(const Function& f, double x) {
    switch (f.kind) {
        case 0: return logistic(x);
        case 1: return std::tanh(x);
        case 2: return std::max(x, 0.0);
        case 3: return f.alpha * x + f.beta;
        case 4: return x >= 0 ? x : f.alpha * x;
        case 5: return x > f.alpha ? x : 0;
        case 6: return f.alpha * std::tanh(f.beta * x);
        case 7: return std::clamp(f.alpha * x + f.beta, 0.0, 1.0);
        case 8: return x >= 0 ? x : f.alpha * (std::exp(x) - 1);
        case 9: return x / (1 + std::abs(x));
        default: return std::log(1 + std::exp(x));
    }
}

double slope(const Function& f, double x) {
    switch (f.kind) {
        case 0: return logistic(x) * logistic(-x);
        case 1: return 1 / std::pow(std::cosh(x), 2);
        case 2: return x > 0;
        case 3: return f.alpha;
        case 4: return x >= 0 ? 1 : f.alpha;
        case 5: return x > f.alpha;
        case 6: return f.alpha * f.beta / std::pow(std::cosh(f.beta * x), 2);
        case 7: return f.alpha * x + f.beta > 0 && f.alpha * x + f.beta < 1 ? f.alpha : 0;
        case 8: return x >= 0 ? 1 : f.alpha * std::exp(x);
        case 9: return std::pow(1 + std::abs(x), -2);
        default: return logistic(x);
    }
}

Normalized normalize(const Vector& q, double epsilon) {
    double count = static_cast<double>(q.size());
    double mean = 0;
    for (double value : q) {
        mean += value / count;
    }
    double variance = 0;
    for (double value : q) {
        variance += (value - mean) * (value - mean) / count;
    }
    Normalized result{{}, std::sqrt(variance + epsilon)};
    for (double value : q) {
        result.values.push_back((value - mean) / result.deviation);
    }
    return result;
}

Vector normalizeBackward(const Normalized& q, const Vector& d) {
    size_t count = q.values.size();
    Vector result(count);
    for (size_t k = 0; k < count; k++) {
        // The Jacobian, element by element.
        for (size_t j = 0; j < count; j++) {
            double slope = (static_cast<double>(j == k) - (1 + q.values[j] * q.values[k]) / static_cast<double>(count))
                    / q.deviation;
            result[k] += d[j] * slope;
        }
    }
    return result;
}

VariedCells variedCells(
        const Variation& variation, Vector a, const Vector& cPrevious, const Vector& kept, const Vector& held) {
    size_t H = cPrevious.size();
    VariedCells cells{{}, Vector(H), Vector(H), Vector(H)};
    auto activated = [&](const Function& f, double x) {
        return function(f, variation.gateClip > 0 ? std::clamp(x, -variation.gateClip, variation.gateClip) : x);
    };
    for (size_t j = 0; j < H; j++) {
        if (!variation.peepholes.empty()) {
            a[j] += variation.peepholes[j] * cPrevious[j];
            a[H + j] += variation.peepholes[H + j] * cPrevious[j];
        }
        double i = activated(variation.gates, a[j]);
        double f = variation.coupled ? 1 - i : activated(variation.gates, a[H + j]);
        double g = activated(variation.candidate, a[2 * H + j]);
        double cell = f * cPrevious[j] + i * kept[j] * g;
        cells.newCell[j] = variation.clip > 0 ? std::clamp(cell, -variation.clip, variation.clip) : cell;
        if (!variation.peepholes.empty()) {
            a[3 * H + j] += variation.peepholes[2 * H + j] * cells.newCell[j];
        }
        cells.c[j] = held[j] * cPrevious[j] + (1 - held[j]) * cells.newCell[j];
    }
    Vector shown = cells.newCell;
    if (!variation.cellGains.empty()) {
        shown = normalize(cells.newCell, variation.epsilon).values;
        for (size_t j = 0; j < H; j++) {
            shown[j] = variation.cellGains[j] * shown[j] + variation.cellGains[H + j];
        }
    }
    for (size_t j = 0; j < H; j++) {
        cells.m[j] = activated(variation.gates, a[3 * H + j]) * function(variation.output, shown[j]);
    }
    cells.a = a;
    return cells;
}

VariedGradients variedCellsBackward(const Variation& variation, const Vector& a, const Vector& cPrevious,
        const Vector& kept, const Vector& held, const Vector& dm, const Vector& dc) {
    size_t H = cPrevious.size();
    VariedGradients result{Vector(4 * H), Vector(H), Vector(3 * H), Vector(2 * H)};
    double limit = variation.gateClip > 0 ? variation.gateClip : INFINITY;
    auto gate = [&](size_t q, size_t j) {
        return function(q == 2 ? variation.candidate : variation.gates, std::clamp(a[q * H + j], -limit, limit));
    };
    auto gateSlope = [&](size_t q, size_t j) {
        double x = a[q * H + j];
        return std::abs(x) > limit ? 0 : slope(q == 2 ? variation.candidate : variation.gates, x);
    };
    Vector unlimited(H), newCell(H);
    for (size_t j = 0; j < H; j++) {
        double f = variation.coupled ? 1 - gate(0, j) : gate(1, j);
        unlimited[j] = f * cPrevious[j] + gate(0, j) * kept[j] * gate(2, j);
        newCell[j] = variation.clip > 0 ? std::clamp(unlimited[j], -variation.clip, variation.clip) : unlimited[j];
    }
    bool normal = !variation.cellGains.empty();
    Normalized normalized = normalize(newCell, variation.epsilon);
    Vector ds(H), shown(H);
    for (size_t j = 0; j < H; j++) {
        double s = normal ? variation.cellGains[j] * normalized.values[j] + variation.cellGains[H + j] : newCell[j];
        shown[j] = function(variation.output, s);
        ds[j] = dm[j] * gate(3, j) * slope(variation.output, s);
        if (normal) {
            result.dCellGains[j] = ds[j] * normalized.values[j];
            result.dCellGains[H + j] = ds[j];
            ds[j] *= variation.cellGains[j];
        }
    }
    if (normal) {
        ds = normalizeBackward(normalized, ds);
    }
    for (size_t j = 0; j < H; j++) {
        auto peephole = [&](size_t row) {
            return variation.peepholes.empty() ? 0 : variation.peepholes[row * H + j];
        };
        double daO = dm[j] * shown[j] * gateSlope(3, j);
        double dCell = (1 - held[j]) * dc[j] + ds[j] + daO * peephole(2);
        if (variation.clip > 0 && std::abs(unlimited[j]) > variation.clip) {
            dCell = 0;
        }
        double f = variation.coupled ? 1 - gate(0, j) : gate(1, j);
        double di = dCell * kept[j] * gate(2, j);
        double df = dCell * cPrevious[j];
        double daI = (variation.coupled ? di - df : di) * gateSlope(0, j);
        double daF = variation.coupled ? 0 : df * gateSlope(1, j);
        result.da[j] = daI;
        result.da[H + j] = daF;
        result.da[2 * H + j] = dCell * gate(0, j) * kept[j] * gateSlope(2, j);
        result.da[3 * H + j] = daO;
        result.dcPrevious[j] = held[j] * dc[j] + dCell * f + daI * peephole(0) + daF * peephole(1);
        result.dPeepholes[j] = daI * cPrevious[j];
        result.dPeepholes[H + j] = daF * cPrevious[j];
        result.dPeepholes[2 * H + j] = daO * newCell[j];
    }
    return result;
}

}  // namespace carousel::test::reference
