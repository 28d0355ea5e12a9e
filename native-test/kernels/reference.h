// What the kernels should give, in plain double loops. Written from the equations, not from the kernels.
#ifndef CAROUSEL_TEST_REFERENCE_H
#define CAROUSEL_TEST_REFERENCE_H

#include <array>
#include <cstdint>
#include <vector>

namespace carousel::test::reference {

using Vector = std::vector<double>;

// The Philox4x32-10 block of a counter and a key, each given as 32-bit words from the lowest.
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Element e has the word of element e mod period.
Vector dropout(const Vector& x, long long period, int threshold, double rate, uint64_t seed, int stream, uint64_t call);

// The nearest half, ties to even, as a number.
double roundToHalf(double x);
double halfValue(uint16_t bits);
// The same for bfloat16.
double roundToBFloat(double x);
double bfloatValue(uint16_t bits);
// The nearest number of 11 bits, ties away from zero: TF32 between its ends.
double roundToTf32(double x);

// Adds to dTable.
void embeddingBackward(const std::vector<int>& ids, const Vector& dy, Vector& dTable, int vocabulary, int width);

enum class Activation { relu, sigmoid, tanh, softmax };

Vector activation(Activation function, const Vector& x, int rows, int columns);
// From the function's values y.
Vector activationBackward(Activation function, const Vector& y, const Vector& dy, int rows, int columns);

struct Loss {
    Vector report;
    Vector gradient;
};

enum class LossKind { softmax, squared, sigmoid };

// Targets or labels, by the kind. Rows of weight 0 are not looked at.
Loss loss(LossKind kind, const Vector& p, const Vector& targets, const std::vector<int>& labels, const Vector& weights,
        int rows, int columns);

struct Clip {
    double maxNorm;
    double squaredNorm;
};

double clipFactor(const Clip& clip);
void sgd(Vector& p, const Vector& d, Vector& m, double rate, double momentum, bool nesterov, const Clip& clip);
void adam(Vector& p, const Vector& d, Vector& m, Vector& v, double rate, double beta1, double beta2, double epsilon,
        double weightDecay, int step, const Clip& clip);
void rmsprop(Vector& p, const Vector& d, Vector& m, double rate, double decay, double epsilon, const Clip& clip);

// One cell of an LSTM at one step, by itself. Peepholes of i, f, o, zeros for none.
struct Cell {
    double i, f, g, o, c, m;
};

Cell lstmCell(const std::array<double, 4>& a, double cPrevious, const std::array<double, 3>& peepholes, double clip);

struct CellGradient {
    std::array<double, 4> da;
    double dcPrevious;
};

// From the gates after activation and the gradients of m and c.
CellGradient lstmCellBackward(
        const Cell& cell, double cPrevious, double dm, double dc, const std::array<double, 3>& peepholes, double clip);

// ONNX's functions of a number, by the kernels' codes.
struct Function {
    int kind = 1;
    double alpha = 0;
    double beta = 0;
};

double function(const Function& f, double x);
double slope(const Function& f, double x);

struct Normalized {
    Vector values;
    double deviation;
};

Normalized normalize(const Vector& q, double epsilon);
// The gradient of q from that of its normalised values.
Vector normalizeBackward(const Normalized& q, const Vector& d);

// What an LSTM cell may have beside the plain equations; empty for none of it.
struct Variation {
    Vector peepholes;
    double clip = 0;
    double gateClip = 0;
    bool coupled = false;
    Function gates{0, 0, 0};
    Function candidate{};
    Function output{};
    Vector cellGains;
    double epsilon = 1e-5;
};

// The cells of one row at one step: a without peepholes, d_g and z_c of each cell.
struct VariedCells {
    Vector a, c, m, newCell;
};

VariedCells variedCells(const Variation& variation, Vector a, const Vector& cPrevious, const Vector& kept, const Vector& held);

struct VariedGradients {
    Vector da, dcPrevious, dPeepholes, dCellGains;
};

// From a with peepholes and the gradients of m and c.
VariedGradients variedCellsBackward(const Variation& variation, const Vector& a, const Vector& cPrevious,
        const Vector& kept, const Vector& held, const Vector& dm, const Vector& dc);

}  // namespace carousel::test::reference

#endif
