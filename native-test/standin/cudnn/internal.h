// What the files of the stand-in cuDNN share: status codes, descriptors and their checks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "../private.h"
#include "../real.h"

namespace carousel::standin::dnn {

/// cudnnStatus_t as renumbered in cuDNN 9
enum Status : int {
    SUCCESS = 0,
    NOT_INITIALIZED = 1001,
    BAD_PARAM = 2000,
    BAD_PARAM_NULL_POINTER = 2002,
    BAD_PARAM_OUT_OF_BOUND = 2005,
    BAD_PARAM_SIZE_INSUFFICIENT = 2006,
    BAD_PARAM_SHAPE_MISMATCH = 2008,
    NOT_SUPPORTED = 3000,
    INTERNAL_ERROR = 4000,
    INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED = 4004,
    EXECUTION_FAILED = 5000
};

/// cudnnDataType_t
enum Type : int { FLOAT = 0, DOUBLE = 1, HALF = 2 };

/// cudnnMathType_t
enum Math : int { DEFAULT_MATH = 0, TENSOR_OP = 1, TENSOR_OP_CONVERT = 2, FMA = 3 };

/// cudnnRNNAlgo_t
enum Algorithm : int { STANDARD = 0, PERSIST_STATIC = 1, PERSIST_DYNAMIC = 2, PERSIST_STATIC_SMALL_H = 3 };

/// cudnnRNNBiasMode_t
enum Bias : int { NO_BIAS = 0, SINGLE_INPUT_BIAS = 1, DOUBLE_BIAS = 2, SINGLE_RECURRENT_BIAS = 3 };

/// cudnnRNNDataLayout_t
enum Layout : int { SEQ_MAJOR_UNPACKED = 0, SEQ_MAJOR_PACKED = 1, BATCH_MAJOR_UNPACKED = 2 };

constexpr size_t size(int type) {
    return type == DOUBLE ? 8 : type == FLOAT ? 4 : 2;
}

/// Everything that a cudnn...Create gives out. Never deleted, so that a stale handle is recognised.
struct Object {
    enum Kind { HANDLE, TENSOR, DROPOUT, RNN, RNN_DATA };
    Kind kind;
    bool alive = true;
    explicit Object(Kind k) : kind(k) {}
};

struct Handle : Object {
    static constexpr Kind KIND = HANDLE;
    void* context = nullptr;
    void* stream = nullptr;
    Handle() : Object(KIND) {}
};

struct Tensor : Object {
    static constexpr Kind KIND = TENSOR;
    bool set = false;
    int type = FLOAT;
    std::vector<int> dims, strides;
    Tensor() : Object(KIND) {}
};

struct Dropout : Object {
    static constexpr Kind KIND = DROPOUT;
    bool set = false;
    float rate = 0;
    void* states = nullptr;
    size_t bytes = 0;
    unsigned long long seed = 0;
    Dropout() : Object(KIND) {}
};

/// An LSTM stack as its descriptor says it.
struct Config {
    int algorithm = STANDARD, bias = DOUBLE_BIAS, directions = 1, type = FLOAT, precision = FLOAT, math = DEFAULT_MATH;
    int input = 0, hidden = 0, output = 0, layers = 0;
    bool padded = false;
    bool clips = false;
    double lowest = 0, highest = 0;

    bool projected() const { return output < hidden; }
    int cells() const { return layers * directions; }
    int width() const { return directions * output; }
    int layerInput(int layer) const { return layer == 0 ? input : width(); }
    bool inputBias() const { return bias == SINGLE_INPUT_BIAS || bias == DOUBLE_BIAS; }
    bool recurrentBias() const { return bias == DOUBLE_BIAS; }
};

struct Rnn : Object {
    static constexpr Kind KIND = RNN;
    bool set = false;
    Config config;
    int cell = 2, inputMode = 0;
    unsigned flags = 0;
    int projection = 0;
    Dropout* dropout = nullptr;
    int clipMode = 0, clipNan = 0;
    int builtFor = 0;  // mini-batch of cudnnBuildRNNDynamic
    Rnn() : Object(KIND) {}
};

/// The shape of a batch of sequences.
struct Sequences {
    int type = FLOAT, layout = SEQ_MAJOR_UNPACKED, steps = 0, batch = 0, width = 0;
    std::vector<int> lengths;
    bool filled = false;
    double fill = 0;

    bool packed() const { return layout == SEQ_MAJOR_PACKED; }
    bool uniform() const;
    size_t rows() const;
    size_t bytes() const { return rows() * static_cast<size_t>(width) * size(type); }
};

struct RnnData : Object {
    static constexpr Kind KIND = RNN_DATA;
    bool set = false;
    Sequences sequences;
    RnnData() : Object(KIND) {}
};

/// Where weights lie in the weight space, in elements; deliberately not in the order that one would assume.
struct Slot {
    long long matrix = -1, bias = -1;
    int rows = 0, columns = 0;
};

constexpr int PROJECTION = 8;  // linLayerID

class WeightLayout {
public:
    explicit WeightLayout(const Config& config);
    const Slot& slot(int cell, int linear) const { return slots_[static_cast<size_t>(cell * 9 + linear)]; }
    size_t elements() const { return elements_; }

private:
    std::vector<Slot> slots_;
    size_t elements_ = 0;
};

size_t workSpaceSize(const Config& config, const Sequences& x, bool training);
size_t reserveSpaceSize(const Config& config, const Sequences& x, bool training);

/// Remembers why a call was refused, for cudnnGetLastErrorString, and returns the status.
int refuse(int status, const std::string& why);
/// Counts the call and delivers an ordered failure.
int begin(const char* call);

Object* lookUp(const void* object, Object::Kind kind, const char* call);

template <typename T>
T* find(const void* object, const char* call) {
    return static_cast<T*>(lookUp(object, T::KIND, call));
}

inline double readElement(const void* data, int type, size_t index) {
    switch (type) {
        case FLOAT:
            return static_cast<const float*>(data)[index];
        case DOUBLE:
            return static_cast<const double*>(data)[index];
        default:
            return Half::toFloat(static_cast<const Half*>(data)[index]);
    }
}

inline void writeElement(void* data, int type, size_t index, double value) {
    switch (type) {
        case FLOAT:
            static_cast<float*>(data)[index] = static_cast<float>(value);
            break;
        case DOUBLE:
            static_cast<double*>(data)[index] = value;
            break;
        default:
            static_cast<Half*>(data)[index] = Half::fromFloat(static_cast<float>(value));
            break;
    }
}

}  // namespace carousel::standin::dnn
