// The plain LSTM cell over all its time steps in one launch: the recurrent weights stay in registers, h travels between threads in shared
// memory, and within a cluster between its blocks. What is computed is what lstm_forward and lstm_backward of lstm_pointwise.cu compute with
// the product by R between them; the equations and the meaning of lengths are there.
//
// Forward, each direction d: gates_d [T, N, 4H] hold W x + b and become i, f, g, o; h_d, c_d [T + 1, N, H], of which the slot
// before the first step is read and those after every step are written; row (t, n) of y_d begins at (t N + n) yPitch. A direction that is
// reversed goes from slot t + 1 to slot t, another from t to t + 1. Backward: gates_d hold i, f, g, o and become da; c_d as forward left it;
// dh_d, dc_d [N, H] are the gradients of the state after the last step and become those of the state before the first; dy_d or null.
// R_d is what resident_pack made of R [4H, H] for the same kernel.
// Steps `from` to `to` - 1 are taken, at least one, counted as they are processed: chunks one after the other give the same bits as all at once. Bit d of
// `reversed` is direction d's; d is blockIdx.y, and the pointers of one that is not launched may be null.
//
// Operands of products, h and da and R, are rounded to T, and summed as floats; all else is float. F32 are exact products, and exact gates.
//
// How: HP >= H is the padded width, a constant; units from H on have weights of zero. S blocks (one, a cluster, or those of a cooperative launch) share a tile of kRows
// sequences; a block has the U = HP / S hidden units from rank U on, with all four gates. A thread has all four gates of one unit for kCells
// sequences and keeps their c (and dh, dc) in registers.
//   Tensor: a group of 8 units is two tiles of 16 gate rows, (i, f) and (g, o), so that D's rows g and g + 8 are two gates of one unit. WK
//           warps share a group's sum over k; they add their parts in shared memory, in order. Backward a warp has 16 units and one of 2 WK
//           parts of a sum over k = 4 u + gate.
//   Float:  eight neighbouring lanes share a unit, each with an eighth of k; they exchange their sums in a fixed tree, after which lane s has
//           those of sequence s.
// A step's h (da) is a matrix of rows by k in shared memory, [kRows][K] with 16 bytes between rows: no two lanes of a load meet in a bank.
// There are two, in turns, over the grid as letters: who writes the next one may do so while others still read this one. In a cluster the blocks store their parts
// into everybody's, and the barrier beside a matrix knows when all of it is there. A block cannot run ahead by more than one: its next step
// needs a part from everybody, sent after everybody's last load from the matrix that the step after that overwrites.
//
// Launch of pack: blocks of 256, any grid. It writes 4 HP HP operands: HP HP 8 bytes of 16 bits, HP HP 16 of 32.
// Launch: grid (ceil(N / kRows) S, directions), kThreads threads, kForwardShared or kBackwardShared bytes of dynamic shared memory.
// No atomics, every sum in an order that depends on the kernel only.
#ifndef CAROUSEL_LSTM_RESIDENT_CUH
#define CAROUSEL_LSTM_RESIDENT_CUH

#include <type_traits>

#include "cluster.cuh"
#include "lstm.cuh"

#ifdef CAROUSEL_EMULATION
#define CAROUSEL_UNROLL
#else
#define CAROUSEL_UNROLL _Pragma("unroll")
#endif

namespace carousel {

constexpr int kGates = 4;

constexpr int larger(int a, int b) {
    return a > b ? a : b;
}

__device__ __forceinline__ unsigned operandBits(Bf16, float value) {
    return bitsOf(__float2bfloat16_rn(value));
}
__device__ __forceinline__ unsigned operandBits(F16, float value) {
    return bitsOf(__float2half_rn(value));
}
__device__ __forceinline__ unsigned operandBits(Tf32, float value) {
    return roundTf32(value);
}
__device__ __forceinline__ unsigned operandBits(F32, float value) {
    return bitsOf(value);
}

template <typename T>
constexpr int kBytesOf = 2;
template <>
constexpr int kBytesOf<Tf32> = 4;
template <>
constexpr int kBytesOf<F32> = 4;

// An element, or 0 without the condition. Without a branch, so that many loads can be under way: element 0 is always there to be read.
__device__ __forceinline__ float loadIf(bool condition, const float* from, long long at) {
    float value = from[condition ? at : 0];
    return condition ? value : 0.0f;
}

// Weights as they are given: R [4H, H], or W [4H, C].
struct Matrix {
    const float* values;
    int H;
    int columns;
};

// Row gate H + unit and column k of one, as an operand, 0 where there is none.
template <typename T>
__device__ __forceinline__ unsigned weightBits(Matrix m, int gate, int unit, int k) {
    long long at = (static_cast<long long>(gate) * m.H + unit) * m.columns + k;
    return operandBits(T(), loadIf(unit < m.H && k < m.columns, m.values, at));
}

// The word of that row at columns k, k + 1.
template <typename T>
__device__ __forceinline__ unsigned weightWord(Matrix m, int gate, int unit, int k) {
    if constexpr (kBytesOf<T> == 2) {
        return weightBits<T>(m, gate, unit, k) | weightBits<T>(m, gate, unit, k + 1) << 16;
    } else {
        return weightBits<T>(m, gate, unit, k);
    }
}

// The word of R^T at row `unit` and columns k, k + 1 of those that are counted as 4 u + gate.
template <typename T>
__device__ __forceinline__ unsigned transposedWord(Matrix R, int unit, int k) {
    unsigned low = weightBits<T>(R, k % kGates, k / kGates, unit);
    if constexpr (kBytesOf<T> == 2) {
        return low | weightBits<T>(R, (k + 1) % kGates, (k + 1) / kGates, unit) << 16;
    } else {
        return low;
    }
}

// Functions of a cell whose h is rounded to fewer bits anyway: within 2^-20 of the exact ones, absolutely, which take some twelve and thirty instructions
// each, and would be most of a step. F32 has the exact ones.
template <typename T>
__device__ __forceinline__ float cellTanh(float x) {
    if constexpr (std::is_same_v<T, F32>) {
        return tanh(x);
    } else {
        return fmaf(-2.0f, reciprocal(1 + power(2.885390082f * x)), 1.0f);
    }
}

// What is not a number passes.
__device__ __forceinline__ float atLeast(float limit, float x) {
    return x < limit ? limit : x;
}

// From pre-activations to i, f, g and o.
template <typename T>
__device__ __forceinline__ void gatesOf(float (&a)[kGates]) {
    if constexpr (std::is_same_v<T, F32>) {
        a[0] = sigmoid(a[0]);
        a[1] = sigmoid(a[1]);
        a[2] = tanh(a[2]);
        a[3] = sigmoid(a[3]);
    } else {
        // One reciprocal, of the product, is all four: a multiprocessor makes 16 a clock. From -20 on all of them and the product are finite,
        // and below a sigmoid is 0 to within 2^-28. tanh x = 2 sigmoid(2x) - 1.
        float i = 1 + power(-1.442695041f * atLeast(-20.0f, a[0]));
        float f = 1 + power(-1.442695041f * atLeast(-20.0f, a[1]));
        float g = 1 + power(-2.885390082f * atLeast(-10.0f, a[2]));
        float o = 1 + power(-1.442695041f * atLeast(-20.0f, a[3]));
        float both = i * f;
        float others = g * o;
        float all = reciprocal(both * others);
        float first = all * others;
        float second = all * both;
        a[0] = first * f;
        a[1] = first * i;
        a[2] = fmaf(2.0f, second * o, -1.0f);
        a[3] = second * g;
    }
}

// What all ways to multiply agree on.
template <typename T, int HP, int S, bool overGrid>
struct Layout {
    using Operand = T;
    static constexpr int kPadded = HP;
    static constexpr int kSharers = S;
    static constexpr bool kOverGrid = overGrid;
    static constexpr int kUnits = HP / S;
    static constexpr int kPerWord = 4 / kBytesOf<T>;
    // Words of a row of h, and of da, of which 4 lie between rows.
    static constexpr int kHidden = HP / kPerWord;
    static constexpr int kHiddenPitch = kHidden + 4;
    static constexpr int kGate = kGates * HP / kPerWord;
    static constexpr int kGatePitch = kGate + 4;
    // The two barriers.
    static constexpr int kBarriers = 16;
    // In shared memory; over the grid the two that take turns are letters, and all threads meet between their last load from the matrix
    // and the next one's letters.
    static constexpr int kMatrices = overGrid ? 1 : 2;
};

// On tensor cores.
template <typename T, int HP, int S, int NT, int WK, bool overGrid = false, int CP = 0>
struct Tensor : Layout<T, HP, S, overGrid> {
    using Base = Layout<T, HP, S, overGrid>;
    static constexpr int kGroups = Base::kUnits / 8;
    static constexpr int kThreads = kWarp * kGroups * WK;
    static constexpr int kRows = 8 * NT;
    static constexpr int kCells = 2 * NT / WK;
    // Words of k that one product takes.
    static constexpr int kStep = 8;
    static constexpr int kForwardSteps = Base::kHidden / kStep / WK;
    // Of x, 0 where the gates hold W x + b already.
    static constexpr int kInputSteps = CP / Base::kPerWord / kStep;
    static constexpr int kParts = 2 * WK;
    static constexpr int kBackwardSteps = Base::kGate / kStep / kParts;
    static constexpr int kForwardShared =
            Base::kBarriers + Base::kMatrices * kRows * Base::kHiddenPitch * 4 + (WK > 1 ? WK * kGates * Base::kUnits * kRows * 4 : 0);
    static constexpr int kBackwardShared =
            Base::kBarriers + Base::kMatrices * kRows * Base::kGatePitch * 4 + kParts * Base::kUnits * kRows * 4;
    static_assert(Base::kUnits % 16 == 0 && kForwardSteps * kStep * WK == Base::kHidden && kCells * WK == 2 * NT
                    && kBackwardSteps * kStep * kParts == Base::kGate && kInputSteps * kStep * Base::kPerWord == CP
                    && (CP == 0 || WK == 1),
            "tiles fit");
    // It is where the parts meet that all have read the one matrix before it is filled again.
    static_assert(!overGrid || WK > 1, "parts that meet");

    static __device__ __forceinline__ int warp() { return threadIdx.x / kWarp; }
    static __device__ __forceinline__ int lane() { return threadIdx.x % kWarp; }

    // This thread's unit, counted in the block, and its sequences, counted in the tile.
    static __device__ __forceinline__ int unit() { return warp() % kGroups * 8 + lane() / 4; }
    static __device__ __forceinline__ int column(int cell) { return warp() / kGroups * kCells + cell; }
    static __device__ __forceinline__ int row(int cell) { return column(cell) / 2 * 8 + lane() % 4 * 2 + column(cell) % 2; }

    // A matrix's words that are this thread's share of B, of the k that begin at word `first`.
    static __device__ __forceinline__ void operand(unsigned (&b)[2], const unsigned* matrix, int pitch, int tile, int first) {
        const unsigned* from = matrix + (tile * 8 + lane() / 4) * pitch + first + lane() % 4;
        b[0] = from[0];
        b[1] = from[4];
    }

    struct Forward {
        // Of (i, f), then of (g, o).
        static constexpr int kQuads = 2 * kForwardSteps;
        unsigned weights[kQuads][4];

        // Word e of quad q of a thread's weights.
        static __device__ __forceinline__ unsigned word(Matrix R, int rank, int thread, int q, int e) {
            int warp = thread / kWarp;
            int lane = thread % kWarp;
            int k = (warp / kGroups * kForwardSteps + q % kForwardSteps) * kStep + lane % 4 + e / 2 * 4;
            int unit = rank * Base::kUnits + warp % kGroups * 8 + lane / 4;
            return weightWord<T>(R, q / kForwardSteps * 2 + e % 2, unit, k * Base::kPerWord);
        }

        // Adds the products to the four gates' sums of this thread's cells.
        __device__ __forceinline__ void multiplyBy(const unsigned* h, float* partial, float (&sums)[kCells][kGates]) const {
            float d[2][NT][4] = {};
            CAROUSEL_UNROLL
            for (int e = 0; WK == 1 && e < kCells * kGates; e++) {
                int cell = e / kGates;
                int gate = e % kGates;
                d[gate / 2][cell / 2][gate % 2 * 2 + cell % 2] = sums[cell][gate];
            }
            CAROUSEL_UNROLL
            for (int step = 0; step < kForwardSteps; step++) {
                int first = (warp() / kGroups * kForwardSteps + step) * kStep;
                CAROUSEL_UNROLL
                for (int tile = 0; tile < NT; tile++) {
                    unsigned b[2];
                    operand(b, h, Base::kHiddenPitch, tile, first);
                    multiply(T(), d[0][tile], weights[step], b);
                    multiply(T(), d[1][tile], weights[kForwardSteps + step], b);
                }
            }
            if constexpr (WK == 1) {
                CAROUSEL_UNROLL
                for (int cell = 0; cell < kCells; cell++) {
                    CAROUSEL_UNROLL
                    for (int gate = 0; gate < kGates; gate++) {
                        sums[cell][gate] = d[gate / 2][cell / 2][gate % 2 * 2 + cell % 2];
                    }
                }
            } else {
                // By part, sequence and gate, the sums of all units beside each other in the order of threads.
                constexpr int width = kGroups * kWarp;
                int place = threadIdx.x % width;
                CAROUSEL_UNROLL
                for (int e = 0; e < 2 * NT * kGates; e++) {
                    int column = e / kGates;
                    int gate = e % kGates;
                    partial[(warp() / kGroups * 2 * NT * kGates + e) * width + place] =
                            d[gate / 2][column / 2][gate % 2 * 2 + column % 2];
                }
                __syncthreads();
                CAROUSEL_UNROLL
                for (int cell = 0; cell < kCells; cell++) {
                    CAROUSEL_UNROLL
                    for (int gate = 0; gate < kGates; gate++) {
                        int e = column(cell) * kGates + gate;
                        float sum = partial[e * width + place];
                        CAROUSEL_UNROLL
                        for (int part = 1; part < WK; part++) {
                            sum += partial[(part * 2 * NT * kGates + e) * width + place];
                        }
                        sums[cell][gate] += sum;
                    }
                }
            }
        }
    };

    // W, for x of this thread's sequences.
    struct Inputs {
        static constexpr int kQuads = larger(2 * kInputSteps, 1);
        unsigned weights[kQuads][4];
        // This thread's share of x of a step.
        unsigned x[NT][larger(kInputSteps, 1)][2];
        // The steps of the sequences that it is of.
        int length[NT];
        float bias[kGates];

        static __device__ __forceinline__ unsigned word(Matrix W, int rank, int thread, int q, int e) {
            int warp = thread / kWarp;
            int lane = thread % kWarp;
            int k = q % kInputSteps * kStep + lane % 4 + e / 2 * 4;
            int unit = rank * Base::kUnits + warp % kGroups * 8 + lane / 4;
            return weightWord<T>(W, q / kInputSteps * 2 + e % 2, unit, k * Base::kPerWord);
        }

        __device__ __forceinline__ void begin(const float* b, int u, int firstRow, const int* lengths, int T_, int N, int H) {
            CAROUSEL_UNROLL
            for (int gate = 0; gate < kGates; gate++) {
                bias[gate] = b == nullptr ? 0.0f : loadIf(u < H, b, gate * H + u);
            }
            CAROUSEL_UNROLL
            for (int tile = 0; tile < NT; tile++) {
                int n = firstRow + tile * 8 + lane() / 4;
                length[tile] = n >= N ? 0 : lengths == nullptr ? T_ : lengths[n];
            }
        }

        // x [T, N, C] of time t; what is past the end of a sequence is not looked at.
        __device__ __forceinline__ void fetch(const float* from, int t, int firstRow, int N, int C) {
            CAROUSEL_UNROLL
            for (int tile = 0; tile < NT; tile++) {
                int n = firstRow + tile * 8 + lane() / 4;
                long long row = (static_cast<long long>(t) * N + n) * C;
                CAROUSEL_UNROLL
                for (int step = 0; step < kInputSteps; step++) {
                    CAROUSEL_UNROLL
                    for (int e = 0; e < 2; e++) {
                        int k = (step * kStep + lane() % 4 + e * 4) * Base::kPerWord;
                        bool valid = t < length[tile];
                        x[tile][step][e] = operandBits(T(), loadIf(valid && k < C, from, row + k));
                        if constexpr (Base::kPerWord == 2) {
                            x[tile][step][e] |= operandBits(T(), loadIf(valid && k + 1 < C, from, row + k + 1)) << 16;
                        }
                    }
                }
            }
        }

        // W x + b for this thread's cells.
        __device__ __forceinline__ void multiplied(float (&sums)[kCells][kGates]) const {
            float d[2][NT][4];
            CAROUSEL_UNROLL
            for (int e = 0; e < kCells * kGates; e++) {
                int cell = e / kGates;
                int gate = e % kGates;
                d[gate / 2][cell / 2][gate % 2 * 2 + cell % 2] = bias[gate];
            }
            CAROUSEL_UNROLL
            for (int step = 0; step < kInputSteps; step++) {
                CAROUSEL_UNROLL
                for (int tile = 0; tile < NT; tile++) {
                    multiply(T(), d[0][tile], weights[step], x[tile][step]);
                    multiply(T(), d[1][tile], weights[kInputSteps + step], x[tile][step]);
                }
            }
            CAROUSEL_UNROLL
            for (int e = 0; e < kCells * kGates; e++) {
                int cell = e / kGates;
                int gate = e % kGates;
                sums[cell][gate] = d[gate / 2][cell / 2][gate % 2 * 2 + cell % 2];
            }
        }
    };

    struct Backward {
        static constexpr int kTiles = Base::kUnits / 16;
        static constexpr int kQuads = kBackwardSteps;
        unsigned weights[kQuads][4];

        static __device__ __forceinline__ unsigned word(Matrix R, int rank, int thread, int q, int e) {
            int warp = thread / kWarp;
            int lane = thread % kWarp;
            int k = (warp / kTiles * kBackwardSteps + q) * kStep + lane % 4 + e / 2 * 4;
            int unit = rank * Base::kUnits + warp % kTiles * 16 + lane / 4 + e % 2 * 8;
            return transposedWord<T>(R, unit, k * Base::kPerWord);
        }

        // R^T da of this thread's cells.
        __device__ __forceinline__ void multiplyBy(const unsigned* da, float* partial, float (&sums)[kCells]) const {
            // Two sums, of every second step: a product waits for the one before it in its sum.
            float d[2][NT][4] = {};
            CAROUSEL_UNROLL
            for (int step = 0; step < kBackwardSteps; step++) {
                int first = (warp() / kTiles * kBackwardSteps + step) * kStep;
                CAROUSEL_UNROLL
                for (int tile = 0; tile < NT; tile++) {
                    unsigned b[2];
                    operand(b, da, Base::kGatePitch, tile, first);
                    multiply(T(), d[step % 2][tile], weights[step], b);
                }
            }
            // By part, tile of units, sequence and half of the tile, in the order of lanes.
            CAROUSEL_UNROLL
            for (int e = 0; e < 4 * NT; e++) {
                partial[(warp() * 4 * NT + e) * kWarp + lane()] = d[0][e / 4][e % 4] + d[1][e / 4][e % 4];
            }
            __syncthreads();
            CAROUSEL_UNROLL
            for (int cell = 0; cell < kCells; cell++) {
                int group = warp() % kGroups;
                int e = column(cell) / 2 * 4 + group % 2 * 2 + column(cell) % 2;
                float sum = 0;
                CAROUSEL_UNROLL
                for (int part = 0; part < kParts; part++) {
                    sum += partial[((part * kTiles + group / 2) * 4 * NT + e) * kWarp + lane()];
                }
                sums[cell] = sum;
            }
        }
    };
};

// By fused multiply-adds.
template <int HP, int S>
struct Float : Layout<F32, HP, S, false> {
    using Base = Layout<F32, HP, S, false>;
    static constexpr int kInputSteps = 0;
    static constexpr int kRows = 8;
    static constexpr int kThreads = kRows * Base::kUnits;
    static constexpr int kCells = 1;
    // A lane has 4 neighbouring k of every 32.
    static constexpr int kForwardSteps = HP / 32;
    static constexpr int kBackwardSteps = kGates * HP / 32;
    static constexpr int kForwardShared = Base::kBarriers + Base::kMatrices * kRows * Base::kHiddenPitch * 4;
    static constexpr int kBackwardShared = Base::kBarriers + Base::kMatrices * kRows * Base::kGatePitch * 4;
    static_assert(Base::kUnits % 4 == 0 && kForwardSteps * 32 == HP, "tiles fit");

    static __device__ __forceinline__ int slice() { return threadIdx.x % 8; }
    static __device__ __forceinline__ int unit() { return threadIdx.x / 8; }
    static __device__ __forceinline__ int row(int) { return slice(); }

    // Of `count` sums for each of 8 sequences, those of sequence `slice`, over the lanes that share a unit.
    template <int count>
    static __device__ __forceinline__ void exchange(const float (&d)[kRows][count], float (&sums)[count]) {
        float half[4][count];
        float quarter[2][count];
        CAROUSEL_UNROLL
        for (int k = 0; k < count; k++) {
            CAROUSEL_UNROLL
            for (int n = 0; n < 4; n++) {
                bool upper = slice() & 4;
                float given = __shfl_xor_sync(kAllLanes, upper ? d[n][k] : d[n + 4][k], 4);
                half[n][k] = (upper ? d[n + 4][k] : d[n][k]) + given;
            }
            CAROUSEL_UNROLL
            for (int n = 0; n < 2; n++) {
                bool upper = slice() & 2;
                float given = __shfl_xor_sync(kAllLanes, upper ? half[n][k] : half[n + 2][k], 2);
                quarter[n][k] = (upper ? half[n + 2][k] : half[n][k]) + given;
            }
            bool upper = slice() & 1;
            float given = __shfl_xor_sync(kAllLanes, upper ? quarter[0][k] : quarter[1][k], 1);
            sums[k] = (upper ? quarter[1][k] : quarter[0][k]) + given;
        }
    }

    struct Forward {
        // The four gates' weights of one k, for every k.
        static constexpr int kQuads = kForwardSteps * 4;
        unsigned weights[kQuads][4];

        static __device__ __forceinline__ unsigned word(Matrix R, int rank, int thread, int q, int e) {
            int k = q / 4 * 32 + thread % 8 * 4 + q % 4;
            return weightBits<F32>(R, e, rank * Base::kUnits + thread / 8, k);
        }

        __device__ __forceinline__ void multiplyBy(const unsigned* h, float*, float (&sums)[kCells][kGates]) const {
            float d[kRows][kGates] = {};
            CAROUSEL_UNROLL
            for (int step = 0; step < kForwardSteps; step++) {
                CAROUSEL_UNROLL
                for (int n = 0; n < kRows; n++) {
                    const float4 four = *reinterpret_cast<const float4*>(
                            h + n * Base::kHiddenPitch + step * 32 + slice() * 4);
                    const float values[4] = {four.x, four.y, four.z, four.w};
                    CAROUSEL_UNROLL
                    for (int e = 0; e < 4; e++) {
                        CAROUSEL_UNROLL
                        for (int gate = 0; gate < kGates; gate++) {
                            d[n][gate] = fmaf(values[e], floatOf(weights[step * 4 + e][gate]), d[n][gate]);
                        }
                    }
                }
            }
            float all[kGates];
            exchange(d, all);
            CAROUSEL_UNROLL
            for (int gate = 0; gate < kGates; gate++) {
                sums[0][gate] += all[gate];
            }
        }
    };

    struct Backward {
        static constexpr int kQuads = kBackwardSteps;
        unsigned weights[kQuads][4];

        static __device__ __forceinline__ unsigned word(Matrix R, int rank, int thread, int q, int e) {
            return weightBits<F32>(R, e, q * 8 + thread % 8, rank * Base::kUnits + thread / 8);
        }

        __device__ __forceinline__ void multiplyBy(const unsigned* da, float*, float (&sums)[kCells]) const {
            float d[kRows][1] = {};
            CAROUSEL_UNROLL
            for (int step = 0; step < kBackwardSteps; step++) {
                CAROUSEL_UNROLL
                for (int n = 0; n < kRows; n++) {
                    const float4 four = *reinterpret_cast<const float4*>(
                            da + n * Base::kGatePitch + (step * 8 + slice()) * 4);
                    const float values[4] = {four.x, four.y, four.z, four.w};
                    CAROUSEL_UNROLL
                    for (int gate = 0; gate < kGates; gate++) {
                        d[n][0] = fmaf(values[gate], floatOf(weights[step][gate]), d[n][0]);
                    }
                }
            }
            exchange(d, sums);
        }
    };
};

// R, or W, as the threads of a product hold it: [S][kQuads][kThreads][4] words, so that a load of 16 bytes from each thread of a warp is one row of
// 512. Made once for a version of the parameters. Any grid.
template <typename P, typename Product>
__device__ __forceinline__ void resident_pack(Matrix from, unsigned* packed) {
    long long words = 4LL * P::kSharers * Product::kQuads * P::kThreads;
    for (long long at = firstElement(); at < words; at += elementStride()) {
        int e = static_cast<int>(at % 4);
        int thread = static_cast<int>(at / 4 % P::kThreads);
        int q = static_cast<int>(at / 4 / P::kThreads % Product::kQuads);
        int rank = static_cast<int>(at / 4 / P::kThreads / Product::kQuads);
        packed[at] = Product::word(from, rank, thread, q, e);
    }
}

// What multiplies x, if anything.
struct NoInputs {};
template <typename P, bool has = (P::kInputSteps > 0)>
struct InputsOfType {
    using Type = NoInputs;
};
template <typename P>
struct InputsOfType<P, true> {
    using Type = typename P::Inputs;
};
template <typename P>
using InputsOf = typename InputsOfType<P>::Type;

template <typename P, typename Product>
__device__ __forceinline__ void unpack(Product& product, const unsigned* packed, int rank) {
    CAROUSEL_UNROLL
    for (int q = 0; q < Product::kQuads; q++) {
        const uint4 four = reinterpret_cast<const uint4*>(packed)[(rank * Product::kQuads + q) * P::kThreads + threadIdx.x];
        product.weights[q][0] = four.x;
        product.weights[q][1] = four.y;
        product.weights[q][2] = four.z;
        product.weights[q][3] = four.w;
    }
}

// One direction's arrays.
struct ForwardArrays {
    float* gates;
    const unsigned* R;
    float* h;
    float* c;
    float* y;
    // Where gates do not hold W x + b: W as it was packed, and b, null for zeros.
    const unsigned* W;
    const float* b;
};

struct BackwardArrays {
    float* gates;
    const unsigned* R;
    const float* c;
    float* dh;
    float* dc;
    const float* dy;
};

// The call's other arguments.
struct Steps {
    int pitch;
    const int* lengths;
    int reversed;
    int from;
    int to;
    int T;
    int N;
    int H;
    float clip;
    // Only over the grid: the tile that blockIdx.x begins with, and where it puts what others are to have.
    int firstTile;
    unsigned long long* mail;
    // Where gates do not hold W x + b: x [T, N, C].
    const float* x;
    int C;

    // The first sequence of this block's tile.
    template <typename P>
    __device__ __forceinline__ int firstRow() const {
        return (firstTile + static_cast<int>(blockIdx.x / P::kSharers)) * P::kRows;
    }
    __device__ __forceinline__ bool isReversed() const { return reversed >> blockIdx.y & 1; }
    __device__ __forceinline__ int time(int step) const { return isReversed() ? T - 1 - step : step; }
    __device__ __forceinline__ int before(int t) const { return isReversed() ? t + 1 : t; }
    __device__ __forceinline__ int after(int t) const { return isReversed() ? t : t + 1; }
    // Where row n of one slot or time of an array with rows of that width begins.
    __device__ __forceinline__ long long at(int slot, int n, int width) const {
        return (static_cast<long long>(slot) * N + n) * width;
    }
    // The steps that some of `rows` sequences have.
    __device__ __forceinline__ int longest(int first, int rows) const {
        int most = 0;
        for (int n = first; n < first + rows && n < N; n++) {
            int steps = lengths == nullptr ? T : lengths[n];
            most = steps > most ? steps : most;
        }
        return most;
    }
};

// The matrices of operands, two in turns, each with its barrier or, over the grid, its mail: a word of the matrix in the lower half, and in
// the upper half the turn that it is of. One store moves both, so nothing has to be ordered.
template <typename P, int pitch>
class Matrices {
public:
    // Words of a matrix without what lies between its rows.
    static constexpr int kWords = P::kRows * (pitch - 4);

    // `mail` is that of all tiles and directions, of zeros; null where none is needed.
    __device__ __forceinline__ Matrices(unsigned* shared, unsigned long long* mail)
        : barriers(reinterpret_cast<unsigned long long*>(shared)),
          words(shared + P::kBarriers / 4),
          letters(P::kOverGrid ? mail + 2LL * kWords * (gridDim.x / P::kSharers * blockIdx.y + blockIdx.x / P::kSharers) : nullptr) {}

    __device__ __forceinline__ unsigned* matrix(int turn) const { return words + turn % P::kMatrices * P::kRows * pitch; }
    __device__ __forceinline__ unsigned* end() const { return words + P::kMatrices * P::kRows * pitch; }

    // Before the first turn. All threads.
    __device__ __forceinline__ void begin() const {
        if constexpr (P::kSharers > 1 && !P::kOverGrid) {
            if (threadIdx.x == 0) {
                barrierInit(barriers, 1);
                barrierInit(barriers + 1, 1);
            }
            clusterSync();
        } else {
            __syncthreads();
        }
    }

    // Says that a matrix is going to be filled.
    __device__ __forceinline__ void expect(int turn) const {
        if constexpr (P::kSharers > 1 && !P::kOverGrid) {
            if (threadIdx.x == 0) {
                barrierExpect(barriers + (turn & 1), kWords * 4);
            }
        }
    }

    // Words of everybody's matrix; `part` of `parts` threads that have them share the work.
    template <int count>
    __device__ __forceinline__ void put(int turn, int row, int word, const unsigned (&values)[count], int part, int parts) const {
        unsigned* to = matrix(turn) + row * pitch + word;
        if constexpr (P::kOverGrid) {
            if (part == 0) {
                CAROUSEL_UNROLL
                for (int e = 0; e < count; e++) {
                    post(letters + (turn & 1) * kWords + row * (pitch - 4) + word + e, values[e], turn + 1);
                }
            }
        } else if constexpr (P::kSharers > 1) {
            for (int rank = part; rank < P::kSharers; rank += parts) {
                sendWords<count>(to, values, barriers + (turn & 1), rank);
            }
        } else if (part == 0) {
            CAROUSEL_UNROLL
            for (int e = 0; e < count; e++) {
                to[e] = values[e];
            }
        }
    }

    // Until a matrix is filled. `fill` counts how often its turn has come to be filled. All threads.
    __device__ __forceinline__ void await(int turn, int fill) const {
        if constexpr (P::kOverGrid) {
            static_assert(!P::kOverGrid || kWords % (kAhead * P::kThreads) == 0, "whole loads");
            const unsigned long long* from = letters + (turn & 1) * kWords;
            CAROUSEL_NO_UNROLL
            for (int first = threadIdx.x; first < kWords; first += kAhead * P::kThreads) {
                // Many on their way at a time; one that comes too early is asked for again.
                unsigned long long come[kAhead];
                bool all;
                do {
                    CAROUSEL_UNROLL
                    for (int e = 0; e < kAhead; e++) {
                        come[e] = collect(from + first + e * P::kThreads, turn + 1);
                    }
                    all = true;
                    CAROUSEL_UNROLL
                    for (int e = 0; e < kAhead; e++) {
                        all = all && static_cast<unsigned>(come[e] >> 32) == static_cast<unsigned>(turn + 1);
                    }
                } while (!all);
                CAROUSEL_UNROLL
                for (int e = 0; e < kAhead; e++) {
                    int at = first + e * P::kThreads;
                    matrix(turn)[at / (pitch - 4) * pitch + at % (pitch - 4)] = static_cast<unsigned>(come[e]);
                }
            }
            __syncthreads();
        } else if constexpr (P::kSharers > 1) {
            barrierWait(barriers + (turn & 1), fill & 1);
        } else {
            __syncthreads();
        }
    }

private:
    // Letters that a thread asks for at once.
    static constexpr int kAhead = 8;

    unsigned long long* barriers;
    unsigned* words;
    unsigned long long* letters;
};

template <typename P>
__device__ __forceinline__ void resident_forward(ForwardArrays d0, ForwardArrays d1, Steps call) {
    using T = typename P::Operand;
    constexpr int cells = P::kCells;
    CAROUSEL_DYNAMIC_SHARED(unsigned, shared);
    requireShared(P::kForwardShared);
    const ForwardArrays d = blockIdx.y == 0 ? d0 : d1;
    const int H = call.H;
    const int rank = blockIdx.x % P::kSharers;
    const int firstRow = call.firstRow<P>();
    const int u = rank * P::kUnits + P::unit();
    const int live = call.longest(firstRow, P::kRows);
    const Matrices<P, P::kHiddenPitch> matrices(shared, call.mail);
    float* const partial = reinterpret_cast<float*>(matrices.end());

    // What h is before the first step; all of it, in every block.
    const int firstSlot = call.before(call.time(call.from));
    for (int e = threadIdx.x; e < P::kRows * P::kHidden; e += P::kThreads) {
        int row = e / P::kHidden;
        int k = e % P::kHidden * P::kPerWord;
        int n = firstRow + row;
        long long at = call.at(firstSlot, n, H) + k;
        unsigned word = operandBits(T(), loadIf(n < call.N && k < H, d.h, at));
        if constexpr (P::kPerWord == 2) {
            word |= operandBits(T(), loadIf(n < call.N && k + 1 < H, d.h, at + 1)) << 16;
        }
        matrices.matrix(0)[row * P::kHiddenPitch + e % P::kHidden] = word;
    }
    typename P::Forward product;
    unpack<P>(product, d.R, rank);

    float c[cells];
    float h[cells];
    float a[cells][kGates];
    bool exists[cells];
    int length[cells];
    CAROUSEL_UNROLL
    for (int cell = 0; cell < cells; cell++) {
        int n = firstRow + P::row(cell);
        exists[cell] = n < call.N && u < H;
        length[cell] = !exists[cell] ? 0 : call.lengths == nullptr ? call.T : call.lengths[n];
        c[cell] = loadIf(exists[cell], d.c, call.at(firstSlot, n, H) + u);
        h[cell] = loadIf(exists[cell], d.h, call.at(firstSlot, n, H) + u);
    }
    InputsOf<P> inputs;
    if constexpr (P::kInputSteps > 0) {
        unpack<P>(inputs, d.W, rank);
        inputs.begin(d.b, u, firstRow, call.lengths, call.T, call.N, H);
    }
    // W x + b, or x, a step ahead of its use.
    auto fetch = [&](int t) {
        if constexpr (P::kInputSteps > 0) {
            inputs.fetch(call.x, t, firstRow, call.N, call.C);
        } else {
            CAROUSEL_UNROLL
            for (int cell = 0; cell < cells; cell++) {
                long long at = call.at(t, firstRow + P::row(cell), kGates * H) + u;
                CAROUSEL_UNROLL
                for (int gate = 0; gate < kGates; gate++) {
                    a[cell][gate] = loadIf(t < length[cell], d.gates, at + gate * H);
                }
            }
        }
    };
    fetch(call.time(call.from));
    matrices.begin();

    int turn = 0;
    for (int step = call.from; step < call.to; step++) {
        const int t = call.time(step);
        const bool more = step + 1 < call.to;
        // Where no sequence of the tile has this step, its matrix is that of the next one.
        if (t < live) {
            if constexpr (P::kInputSteps > 0) {
                // In the time that h takes to come.
                inputs.multiplied(a);
            }
            if (turn > 0) {
                matrices.await(turn, (turn - 1) / 2);
            }
            product.multiplyBy(matrices.matrix(turn), partial, a);
            CAROUSEL_UNROLL
            for (int cell = 0; cell < cells; cell++) {
                if (t < length[cell]) {
                    gatesOf<T>(a[cell]);
                    c[cell] = limited(unlimitedCell(a[cell][1], c[cell], a[cell][0], a[cell][2]), call.clip);
                    h[cell] = a[cell][3] * cellTanh<T>(c[cell]);
                }
            }
            turn++;
            // The others wait for h: first of all it goes to them.
            if (more && call.time(step + 1) < live) {
                matrices.expect(turn);
                CAROUSEL_UNROLL
                for (int cell = 0; cell < cells; cell++) {
                    unsigned word[1] = {operandBits(T(), h[cell])};
                    if constexpr (P::kPerWord == 2) {
                        // Two neighbouring units share a word, and both of their threads have it.
                        unsigned other = __shfl_xor_sync(kAllLanes, word[0], 4);
                        word[0] = u % 2 == 0 ? word[0] | other << 16 : other | word[0] << 16;
                    }
                    matrices.put(turn, P::row(cell), u / P::kPerWord, word, u % P::kPerWord, P::kPerWord);
                }
            }
        }
        CAROUSEL_UNROLL
        for (int cell = 0; cell < cells; cell++) {
            if (exists[cell]) {
                int n = firstRow + P::row(cell);
                bool valid = t < length[cell];
                d.c[call.at(call.after(t), n, H) + u] = c[cell];
                d.h[call.at(call.after(t), n, H) + u] = h[cell];
                d.y[call.at(t, n, call.pitch) + u] = valid ? h[cell] : 0.0f;
                float* to = d.gates + call.at(t, n, kGates * H) + u;
                CAROUSEL_UNROLL
                for (int gate = 0; valid && gate < kGates; gate++) {
                    to[gate * H] = a[cell][gate];
                }
            }
        }
        if (more) {
            fetch(call.time(step + 1));
        }
    }
}

template <typename P>
__device__ __forceinline__ void resident_backward(BackwardArrays d0, BackwardArrays d1, Steps call) {
    using T = typename P::Operand;
    constexpr int cells = P::kCells;
    CAROUSEL_DYNAMIC_SHARED(unsigned, shared);
    requireShared(P::kBackwardShared);
    const BackwardArrays d = blockIdx.y == 0 ? d0 : d1;
    const int H = call.H;
    const int rank = blockIdx.x % P::kSharers;
    const int firstRow = call.firstRow<P>();
    const int u = rank * P::kUnits + P::unit();
    const int live = call.longest(firstRow, P::kRows);
    const Matrices<P, P::kGatePitch> matrices(shared, call.mail);
    float* const partial = reinterpret_cast<float*>(matrices.end());

    typename P::Backward product;
    unpack<P>(product, d.R, rank);

    float dh[cells];
    float dc[cells];
    float c[cells];
    bool exists[cells];
    int length[cells];
    CAROUSEL_UNROLL
    for (int cell = 0; cell < cells; cell++) {
        int n = firstRow + P::row(cell);
        exists[cell] = n < call.N && u < H;
        length[cell] = !exists[cell] ? 0 : call.lengths == nullptr ? call.T : call.lengths[n];
        long long own = static_cast<long long>(n) * H + u;
        dh[cell] = loadIf(exists[cell], d.dh, own);
        dc[cell] = loadIf(exists[cell], d.dc, own);
        c[cell] = loadIf(exists[cell], d.c, call.at(call.after(call.time(call.to - 1)), n, H) + u);
    }
    // What a step reads, a step ahead.
    float gates[cells][kGates];
    float before[cells];
    float dy[cells] = {};
    auto fetch = [&](int t) {
        CAROUSEL_UNROLL
        for (int cell = 0; cell < cells; cell++) {
            int n = firstRow + P::row(cell);
            bool valid = t < length[cell];
            long long at = call.at(t, n, kGates * H) + u;
            CAROUSEL_UNROLL
            for (int gate = 0; gate < kGates; gate++) {
                gates[cell][gate] = loadIf(valid, d.gates, at + gate * H);
            }
            before[cell] = loadIf(exists[cell], d.c, call.at(call.before(t), n, H) + u);
            if (d.dy != nullptr) {
                dy[cell] = loadIf(valid, d.dy, call.at(t, n, call.pitch) + u);
            }
        }
    };
    fetch(call.time(call.to - 1));
    matrices.begin();

    int turn = 0;
    for (int step = call.to - 1; step >= call.from; step--) {
        const int t = call.time(step);
        float da[cells][kGates] = {};
        CAROUSEL_UNROLL
        for (int cell = 0; cell < cells; cell++) {
            if (t < length[cell]) {
                float i = gates[cell][0];
                float f = gates[cell][1];
                float g = gates[cell][2];
                float o = gates[cell][3];
                float dOutput = dh[cell] + dy[cell];
                float tanhC = cellTanh<T>(c[cell]);
                float dCell = dc[cell] + dOutput * o * (1 - tanhC * tanhC);
                if (isBeyond(unlimitedCell(f, before[cell], i, g), call.clip)) {
                    dCell = 0;
                }
                da[cell][0] = dCell * g * i * (1 - i);
                da[cell][1] = dCell * before[cell] * f * (1 - f);
                da[cell][2] = dCell * i * (1 - g * g);
                da[cell][3] = dOutput * tanhC * o * (1 - o);
                dc[cell] = dCell * f;
            }
            c[cell] = before[cell];
        }
        if (t < live) {
            matrices.expect(turn);
            CAROUSEL_UNROLL
            for (int cell = 0; cell < cells; cell++) {
                unsigned words[kGates / P::kPerWord];
                CAROUSEL_UNROLL
                for (int e = 0; e < kGates / P::kPerWord; e++) {
                    words[e] = operandBits(T(), da[cell][e * P::kPerWord]);
                    if constexpr (P::kPerWord == 2) {
                        words[e] |= operandBits(T(), da[cell][2 * e + 1]) << 16;
                    }
                }
                matrices.put(turn, P::row(cell), u * kGates / P::kPerWord, words, 0, 1);
            }
        }
        CAROUSEL_UNROLL
        for (int cell = 0; cell < cells; cell++) {
            float* to = d.gates + call.at(t, firstRow + P::row(cell), kGates * H) + u;
            CAROUSEL_UNROLL
            for (int gate = 0; exists[cell] && gate < kGates; gate++) {
                to[gate * H] = da[cell][gate];
            }
        }
        if (step > call.from) {
            fetch(call.time(step - 1));
        }
        if (t < live) {
            matrices.await(turn, turn / 2);
            float sums[cells];
            product.multiplyBy(matrices.matrix(turn), partial, sums);
            CAROUSEL_UNROLL
            for (int cell = 0; cell < cells; cell++) {
                // A sequence that has not this step leaves its gradient as it is.
                dh[cell] = t < length[cell] ? sums[cell] : dh[cell];
            }
            turn++;
        }
    }
    CAROUSEL_UNROLL
    for (int cell = 0; cell < cells; cell++) {
        if (exists[cell]) {
            long long own = static_cast<long long>(firstRow + P::row(cell)) * H + u;
            d.dh[own] = dh[cell];
            d.dc[own] = dc[cell];
        }
    }
}

}  // namespace carousel

// The kernels carousel_<family>_<what>_<name>, what of forward, backward, pack_forward and pack_backward; `entry` takes threads, symbol and
// parameters. CAROUSEL_RESIDENT_WITH adds parameters at the end, whose names are the last two of Steps.
#define CAROUSEL_RESIDENT(entry, family, name, ...) \
    CAROUSEL_RESIDENT_WITH(entry, family, name, (), 0, nullptr, __VA_ARGS__)
#define CAROUSEL_MORE(...) __VA_OPT__(, ) __VA_ARGS__
#define CAROUSEL_RESIDENT_WITH(entry, family, name, more, firstTile, mail, ...) \
    CAROUSEL_ENTRY(kBlock, carousel_##family##_pack_forward_##name, (const float* R, unsigned* packed, int H)) { \
        resident_pack<__VA_ARGS__, __VA_ARGS__::Forward>({R, H, H}, packed); \
    } \
    CAROUSEL_ENTRY(kBlock, carousel_##family##_pack_backward_##name, (const float* R, unsigned* packed, int H)) { \
        resident_pack<__VA_ARGS__, __VA_ARGS__::Backward>({R, H, H}, packed); \
    } \
    entry((__VA_ARGS__::kThreads), carousel_##family##_forward_##name, \
            (float* gates0, const unsigned* R0, float* h0, float* c0, float* y0, float* gates1, const unsigned* R1, \
                    float* h1, float* c1, float* y1, int yPitch, const int* lengths, int reversed, int from, int to, \
                    int T, int N, int H, double clip CAROUSEL_MORE more)) { \
        resident_forward<__VA_ARGS__>({gates0, R0, h0, c0, y0, nullptr, nullptr}, \
                {gates1, R1, h1, c1, y1, nullptr, nullptr}, \
                {yPitch, lengths, reversed, from, to, T, N, H, static_cast<float>(clip), firstTile, mail, nullptr, 0}); \
    } \
    entry((__VA_ARGS__::kThreads), carousel_##family##_backward_##name, \
            (float* gates0, const unsigned* R0, const float* c0, float* dh0, float* dc0, const float* dy0, \
                    float* gates1, const unsigned* R1, const float* c1, float* dh1, float* dc1, const float* dy1, \
                    int dyPitch, const int* lengths, int reversed, int from, int to, int T, int N, int H, \
                    double clip CAROUSEL_MORE more)) { \
        resident_backward<__VA_ARGS__>({gates0, R0, c0, dh0, dc0, dy0}, {gates1, R1, c1, dh1, dc1, dy1}, \
                {dyPitch, lengths, reversed, from, to, T, N, H, static_cast<float>(clip), firstTile, mail, nullptr, 0}); \
    }

// The kernels carousel_<family>_inputs_forward_<name> and ..._inputs_pack_<name>: forward with the product W x + b in it, for C up to the
// padded one, and what packs W [4H, C] for it. Further arguments: x [T, N, C]; W_d as it was packed and b_d [4H] or null of each direction; C.
// x past the end of a sequence is not looked at. R_d is what pack_forward of the same kernel without inputs made.
#define CAROUSEL_RESIDENT_INPUTS(entry, family, name, ...) \
    CAROUSEL_ENTRY(kBlock, carousel_##family##_inputs_pack_##name, (const float* W, unsigned* packed, int H, int C)) { \
        resident_pack<__VA_ARGS__, __VA_ARGS__::Inputs>({W, H, C}, packed); \
    } \
    entry((__VA_ARGS__::kThreads), carousel_##family##_inputs_forward_##name, \
            (float* gates0, const unsigned* R0, float* h0, float* c0, float* y0, float* gates1, const unsigned* R1, \
                    float* h1, float* c1, float* y1, int yPitch, const int* lengths, int reversed, int from, int to, \
                    int T, int N, int H, double clip, const float* x, const unsigned* W0, const float* b0, \
                    const unsigned* W1, const float* b1, int C)) { \
        resident_forward<__VA_ARGS__>({gates0, R0, h0, c0, y0, W0, b0}, {gates1, R1, h1, c1, y1, W1, b1}, \
                {yPitch, lengths, reversed, from, to, T, N, H, static_cast<float>(clip), 0, nullptr, x, C}); \
    }

#endif
