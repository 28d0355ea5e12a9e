// The stand-in cuDNN's handles and descriptors, and what it says about sizes and places.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_set>

#include "internal.h"

namespace carousel::standin::dnn {
namespace {

std::mutex mutex;
thread_local std::string lastRefusal;

std::unordered_set<const void*>& objects() {
    static auto* set = new std::unordered_set<const void*>;
    return *set;
}

const char* const KIND_NAMES[] = {
        "handle", "tensor descriptor", "dropout descriptor", "RNN descriptor", "RNN data descriptor"};

int wordOf(Object::Kind kind) {
    return kind == Object::HANDLE ? LIVE_CUDNN : LIVE_DESCRIPTORS;
}

template <typename T>
int create(void** result, const char* call) {
    int status = begin(call);
    if (status != SUCCESS) {
        return status;
    }
    if (result == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "nowhere to put the result");
    }
    auto* object = new T;
    std::lock_guard<std::mutex> lock(mutex);
    objects().insert(object);
    carousel_standin_add(wordOf(T::KIND), 1);
    *result = object;
    return SUCCESS;
}

template <typename T>
int destroy(void* handle, const char* call) {
    T* object = find<T>(handle, call);
    if (object == nullptr) {
        return BAD_PARAM;
    }
    object->alive = false;
    carousel_standin_add(wordOf(T::KIND), -1);
    return SUCCESS;
}

int setTensor(void* handle, int type, const std::vector<int>& dims, const std::vector<int>& strides, const char* call) {
    int status = begin(call);
    if (status != SUCCESS) {
        return status;
    }
    auto* tensor = find<Tensor>(handle, call);
    if (tensor == nullptr) {
        return BAD_PARAM;
    }
    if (type < FLOAT || type > HALF) {
        return refuse(NOT_SUPPORTED, "data type " + std::to_string(type));
    }
    for (size_t k = 0; k < dims.size(); k++) {
        if (dims[k] <= 0 || strides[k] <= 0) {
            return refuse(BAD_PARAM, "a dimension or stride is not positive");
        }
    }
    tensor->set = true;
    tensor->type = type;
    tensor->dims = dims;
    tensor->strides = strides;
    return SUCCESS;
}

/// A descriptor of a weight matrix or bias, in place; nothing where there is none.
void describe(Tensor* tensor, int type, int rows, int columns) {
    if (tensor == nullptr) {
        return;
    }
    tensor->set = true;
    tensor->type = type;
    tensor->dims = {rows == 0 ? 0 : 1, rows, columns};
    tensor->strides = {rows * columns, columns, rows == 0 ? 0 : 1};
}

struct Name {
    int status;
    const char* name;
};

const Name NAMES[] = {
        {SUCCESS, "CUDNN_STATUS_SUCCESS"},
        {NOT_INITIALIZED, "CUDNN_STATUS_NOT_INITIALIZED"},
        {1002, "CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH"},
        {1003, "CUDNN_STATUS_SERIALIZATION_VERSION_MISMATCH"},
        {1004, "CUDNN_STATUS_DEPRECATED"},
        {1005, "CUDNN_STATUS_LICENSE_ERROR"},
        {1006, "CUDNN_STATUS_RUNTIME_IN_PROGRESS"},
        {1007, "CUDNN_STATUS_RUNTIME_FP_OVERFLOW"},
        {1008, "CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED"},
        {BAD_PARAM, "CUDNN_STATUS_BAD_PARAM"},
        {BAD_PARAM_NULL_POINTER, "CUDNN_STATUS_BAD_PARAM_NULL_POINTER"},
        {2003, "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER"},
        {2004, "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED"},
        {BAD_PARAM_OUT_OF_BOUND, "CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND"},
        {BAD_PARAM_SIZE_INSUFFICIENT, "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT"},
        {2007, "CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH"},
        {BAD_PARAM_SHAPE_MISMATCH, "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH"},
        {2009, "CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES"},
        {2010, "CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE"},
        {NOT_SUPPORTED, "CUDNN_STATUS_NOT_SUPPORTED"},
        {INTERNAL_ERROR, "CUDNN_STATUS_INTERNAL_ERROR"},
        {INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"},
        {EXECUTION_FAILED, "CUDNN_STATUS_EXECUTION_FAILED"},
};

constexpr size_t STATES_BYTES = 64 << 10;

int setDropout(
        void* handle, void* cudnn, float rate, void* states, size_t bytes, unsigned long long seed, const char* call) {
    int status = begin(call);
    if (status != SUCCESS) {
        return status;
    }
    auto* dropout = find<Dropout>(handle, call);
    if (dropout == nullptr || find<Handle>(cudnn, call) == nullptr) {
        return BAD_PARAM;
    }
    if (!(rate >= 0 && rate <= 1)) {
        return refuse(BAD_PARAM, "a dropout rate outside of [0, 1]");
    }
    if (rate != 0) {
        return refuse(NOT_SUPPORTED, "the stand-in drops nothing: the dropout rate has to be 0");
    }
    if (states != nullptr) {
        Range range{states, bytes, true, "dropout states"};
        if (bytes < STATES_BYTES) {
            return refuse(BAD_PARAM_SIZE_INSUFFICIENT, "the dropout states are too small");
        }
        if (!carousel_standin_valid(&range, call)) {
            return refuse(BAD_PARAM, "the dropout states are not in device memory");
        }
    }
    dropout->set = true;
    dropout->rate = rate;
    dropout->states = states;
    dropout->bytes = bytes;
    dropout->seed = seed;
    return SUCCESS;
}

/// What cuDNN documents for the types of numbers and of arithmetic.
int checkTypes(int type, int precision, int math) {
    if (type < FLOAT || type > HALF || precision < FLOAT || precision > HALF) {
        return refuse(NOT_SUPPORTED, "data types other than float, double and half");
    }
    if (math < DEFAULT_MATH || math > FMA) {
        return refuse(BAD_PARAM, "no such math type");
    }
    bool precisionFits = type == HALF ? precision != DOUBLE : precision == type;
    if (!precisionFits) {
        return refuse(NOT_SUPPORTED, "this math precision with this data type");
    }
    bool mathFits = type == HALF || math == DEFAULT_MATH || math == FMA || (type == FLOAT && math == TENSOR_OP_CONVERT);
    return mathFits ? SUCCESS : refuse(NOT_SUPPORTED, "this math type with this data type");
}

int checkAlgorithm(int algorithm, int type, bool projected, int hidden) {
    if (algorithm < STANDARD || algorithm > PERSIST_STATIC_SMALL_H) {
        return refuse(BAD_PARAM, "no such algorithm");
    }
    if (algorithm == STANDARD) {
        return SUCCESS;
    }
    if (projected) {
        return refuse(NOT_SUPPORTED, "a projection with a persistent algorithm");
    }
    if (type == DOUBLE && algorithm != PERSIST_DYNAMIC) {
        return refuse(NOT_SUPPORTED, "double with a static persistent algorithm");
    }
    int largest = algorithm == PERSIST_STATIC_SMALL_H ? 192 : 1024;
    return hidden <= largest ? SUCCESS
                             : refuse(NOT_SUPPORTED, "a hidden size that a persistent algorithm does not hold");
}

}  // namespace

bool Sequences::uniform() const {
    return std::all_of(lengths.begin(), lengths.end(), [this](int length) { return length == steps; });
}

size_t Sequences::rows() const {
    if (!packed()) {
        return static_cast<size_t>(steps) * static_cast<size_t>(batch);
    }
    size_t sum = 0;
    for (int length : lengths) {
        sum += static_cast<size_t>(length);
    }
    return sum;
}

WeightLayout::WeightLayout(const Config& config) : slots_(static_cast<size_t>(config.cells()) * 9) {
    // Last cell first, recurrent and input matrices in turn from the output gate on, biases of all cells before
    // everything else, and a gap in front of each part that no call reads or writes.
    constexpr size_t GAP = 32;
    elements_ = 0;
    auto place = [this](size_t count) {
        elements_ = (elements_ + GAP + 15) / 16 * 16;
        auto at = static_cast<long long>(elements_);
        elements_ += count;
        return at;
    };
    auto hidden = static_cast<size_t>(config.hidden);
    for (int cell = config.cells() - 1; cell >= 0; cell--) {
        for (int linear = 0; linear < 8; linear++) {
            if (linear < 4 ? config.inputBias() : config.recurrentBias()) {
                slots_[static_cast<size_t>(cell * 9 + linear)].bias = place(hidden);
            }
        }
    }
    for (int cell = config.cells() - 1; cell >= 0; cell--) {
        for (int linear : {7, 3, 4, 0, 6, 2, 5, 1, PROJECTION}) {
            Slot& slot = slots_[static_cast<size_t>(cell * 9 + linear)];
            if (linear == PROJECTION && !config.projected()) {
                continue;
            }
            slot.rows = linear == PROJECTION ? config.output : config.hidden;
            slot.columns = linear == PROJECTION ? config.hidden
                    : linear < 4                ? config.layerInput(cell / config.directions)
                                                : config.output;
            slot.matrix = place(static_cast<size_t>(slot.rows) * static_cast<size_t>(slot.columns));
        }
    }
    elements_ = (elements_ + 15) / 16 * 16;
}

size_t workSpaceSize(const Config& config, const Sequences& x, bool training) {
    size_t row = static_cast<size_t>(config.hidden) * static_cast<size_t>(config.cells()) * size(config.type);
    return 512 + (training ? 3 : 2) * row * static_cast<size_t>(x.batch);
}

int refuse(int status, const std::string& why) {
    lastRefusal = why;
    if (std::getenv("CAROUSEL_STANDIN_TRACE") != nullptr) {
        std::fprintf(stderr, "carousel stand-in: cuDNN refuses (%d): %s\n", status, why.c_str());
    }
    return status;
}

int begin(const char* call) {
    if (!carousel_standin_fails(KIND_CUDNN, call)) {
        return SUCCESS;
    }
    uint64_t ordered = __atomic_load_n(&carousel_standin_control()[CUDNN_FAILURE_STATUS], __ATOMIC_SEQ_CST);
    return refuse(ordered == 0 ? EXECUTION_FAILED : static_cast<int>(ordered), "the test ordered this failure");
}

Object* lookUp(const void* handle, Object::Kind kind, const char* call) {
    std::lock_guard<std::mutex> lock(mutex);
    const char* name = KIND_NAMES[kind];
    if (objects().count(handle) == 0) {
        carousel_standin_misuse("%s: %p is not a %s", call, handle, name);
        refuse(BAD_PARAM, std::string("not a ") + name);
        return nullptr;
    }
    auto* object = const_cast<Object*>(static_cast<const Object*>(handle));
    if (object->kind != kind || !object->alive) {
        carousel_standin_misuse(
                "%s: the %s %p %s", call, name, handle, object->alive ? "is something else" : "has been destroyed");
        refuse(BAD_PARAM, std::string("not a live ") + name);
        return nullptr;
    }
    return object;
}

}  // namespace carousel::standin::dnn

using namespace carousel::standin;
using namespace carousel::standin::dnn;

STANDIN_EXPORT size_t cudnnGetVersion() {
    return 90600;
}

STANDIN_EXPORT size_t cudnnGetMaxDeviceVersion() {
    return 1000;
}

STANDIN_EXPORT size_t cudnnGetCudartVersion() {
    return 12060;
}

STANDIN_EXPORT int cudnnGetProperty(int type, int* value) {
    const int version[] = {9, 6, 0};
    if (type < 0 || type > 2 || value == nullptr) {
        return BAD_PARAM;
    }
    *value = version[type];
    return SUCCESS;
}

STANDIN_EXPORT int cudnnAdvVersionCheck() {
    return SUCCESS;
}

STANDIN_EXPORT int cudnnOpsVersionCheck() {
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGraphVersionCheck() {
    return SUCCESS;
}

STANDIN_EXPORT const char* cudnnGetErrorString(int status) {
    for (const Name& name : NAMES) {
        if (name.status == status) {
            return name.name;
        }
    }
    return "CUDNN_UNKNOWN_STATUS";
}

STANDIN_EXPORT void cudnnGetLastErrorString(char* text, size_t bytes) {
    if (text != nullptr && bytes > 0) {
        std::snprintf(text, bytes, "%s", lastRefusal.c_str());
    }
}

STANDIN_EXPORT int cudnnCreate(void** handle) {
    void* context = carousel_standin_context();
    if (context == nullptr) {
        return refuse(NOT_INITIALIZED, "no current context");
    }
    int status = create<Handle>(handle, "cudnnCreate");
    if (status == SUCCESS) {
        static_cast<Handle*>(static_cast<Object*>(*handle))->context = context;
    }
    return status;
}

STANDIN_EXPORT int cudnnDestroy(void* handle) {
    return destroy<Handle>(handle, "cudnnDestroy");
}

STANDIN_EXPORT int cudnnSetStream(void* handle, void* stream) {
    int status = begin("cudnnSetStream");
    if (status != SUCCESS) {
        return status;
    }
    auto* it = find<Handle>(handle, "cudnnSetStream");
    if (it == nullptr || carousel_standin_check_stream(stream, it->context) != 0) {
        return refuse(BAD_PARAM, "not a handle, or not a stream of its context");
    }
    it->stream = stream;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetStream(void* handle, void** stream) {
    auto* it = find<Handle>(handle, "cudnnGetStream");
    if (it == nullptr || stream == nullptr) {
        return BAD_PARAM;
    }
    *stream = it->stream;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnCreateTensorDescriptor(void** result) {
    return create<Tensor>(result, "cudnnCreateTensorDescriptor");
}

STANDIN_EXPORT int cudnnDestroyTensorDescriptor(void* handle) {
    return destroy<Tensor>(handle, "cudnnDestroyTensorDescriptor");
}

STANDIN_EXPORT int cudnnSetTensor4dDescriptor(void* handle, int format, int type, int n, int c, int h, int w) {
    if (format == 0) {
        return setTensor(handle, type, {n, c, h, w}, {c * h * w, h * w, w, 1}, "cudnnSetTensor4dDescriptor");
    }
    if (format == 1) {
        return setTensor(handle, type, {n, c, h, w}, {c * h * w, 1, w * c, c}, "cudnnSetTensor4dDescriptor");
    }
    return refuse(NOT_SUPPORTED, "this tensor format");
}

STANDIN_EXPORT int cudnnSetTensor4dDescriptorEx(
        void* handle, int type, int n, int c, int h, int w, int nStride, int cStride, int hStride, int wStride) {
    return setTensor(handle, type, {n, c, h, w}, {nStride, cStride, hStride, wStride}, "cudnnSetTensor4dDescriptorEx");
}

STANDIN_EXPORT int cudnnGetTensor4dDescriptor(void* handle, int* type, int* n, int* c, int* h, int* w, int* nStride,
        int* cStride, int* hStride, int* wStride) {
    auto* tensor = find<Tensor>(handle, "cudnnGetTensor4dDescriptor");
    if (tensor == nullptr || !tensor->set || tensor->dims.size() != 4) {
        return BAD_PARAM;
    }
    *type = tensor->type;
    int* dims[] = {n, c, h, w};
    int* strides[] = {nStride, cStride, hStride, wStride};
    for (size_t k = 0; k < 4; k++) {
        *dims[k] = tensor->dims[k];
        *strides[k] = tensor->strides[k];
    }
    return SUCCESS;
}

STANDIN_EXPORT int cudnnSetTensorNdDescriptor(void* handle, int type, int count, const int* dims, const int* strides) {
    if (count < 3 || count > 8 || dims == nullptr || strides == nullptr) {
        return refuse(count > 8 ? NOT_SUPPORTED : BAD_PARAM, "a tensor has 3 to 8 dimensions");
    }
    return setTensor(handle, type, {dims, dims + count}, {strides, strides + count}, "cudnnSetTensorNdDescriptor");
}

STANDIN_EXPORT int cudnnGetTensorNdDescriptor(
        void* handle, int wanted, int* type, int* count, int* dims, int* strides) {
    auto* tensor = find<Tensor>(handle, "cudnnGetTensorNdDescriptor");
    if (tensor == nullptr || !tensor->set || wanted < 0) {
        return BAD_PARAM;
    }
    *type = tensor->type;
    *count = static_cast<int>(tensor->dims.size());
    for (size_t k = 0; k < std::min(static_cast<size_t>(wanted), tensor->dims.size()); k++) {
        dims[k] = tensor->dims[k];
        strides[k] = tensor->strides[k];
    }
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetTensorSizeInBytes(void* handle, size_t* bytes) {
    auto* tensor = find<Tensor>(handle, "cudnnGetTensorSizeInBytes");
    if (tensor == nullptr || !tensor->set || bytes == nullptr) {
        return BAD_PARAM;
    }
    size_t last = 1;
    for (size_t k = 0; k < tensor->dims.size(); k++) {
        last += static_cast<size_t>(tensor->dims[k] - 1) * static_cast<size_t>(tensor->strides[k]);
    }
    *bytes = last * size(tensor->type);
    return SUCCESS;
}

STANDIN_EXPORT int cudnnCreateDropoutDescriptor(void** result) {
    return create<Dropout>(result, "cudnnCreateDropoutDescriptor");
}

STANDIN_EXPORT int cudnnDestroyDropoutDescriptor(void* handle) {
    return destroy<Dropout>(handle, "cudnnDestroyDropoutDescriptor");
}

STANDIN_EXPORT int cudnnDropoutGetStatesSize(void* handle, size_t* bytes) {
    int status = begin("cudnnDropoutGetStatesSize");
    if (status != SUCCESS) {
        return status;
    }
    if (find<Handle>(handle, "cudnnDropoutGetStatesSize") == nullptr || bytes == nullptr) {
        return BAD_PARAM;
    }
    *bytes = STATES_BYTES;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnSetDropoutDescriptor(
        void* handle, void* cudnn, float rate, void* states, size_t bytes, unsigned long long seed) {
    return setDropout(handle, cudnn, rate, states, bytes, seed, "cudnnSetDropoutDescriptor");
}

STANDIN_EXPORT int cudnnRestoreDropoutDescriptor(
        void* handle, void* cudnn, float rate, void* states, size_t bytes, unsigned long long seed) {
    return setDropout(handle, cudnn, rate, states, bytes, seed, "cudnnRestoreDropoutDescriptor");
}

STANDIN_EXPORT int cudnnGetDropoutDescriptor(
        void* handle, void*, float* rate, void** states, unsigned long long* seed) {
    auto* dropout = find<Dropout>(handle, "cudnnGetDropoutDescriptor");
    if (dropout == nullptr || !dropout->set) {
        return BAD_PARAM;
    }
    *rate = dropout->rate;
    *states = dropout->states;
    *seed = dropout->seed;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnCreateRNNDescriptor(void** result) {
    return create<Rnn>(result, "cudnnCreateRNNDescriptor");
}

STANDIN_EXPORT int cudnnDestroyRNNDescriptor(void* handle) {
    return destroy<Rnn>(handle, "cudnnDestroyRNNDescriptor");
}

STANDIN_EXPORT int cudnnSetRNNDescriptor_v8(void* handle, int algorithm, int cell, int bias, int direction,
        int inputMode, int type, int precision, int math, int input, int hidden, int projection, int layers,
        void* dropoutHandle, unsigned flags) {
    int status = begin("cudnnSetRNNDescriptor_v8");
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(handle, "cudnnSetRNNDescriptor_v8");
    if (rnn == nullptr) {
        return BAD_PARAM;
    }
    Dropout* dropout = nullptr;
    if (dropoutHandle != nullptr) {
        dropout = find<Dropout>(dropoutHandle, "cudnnSetRNNDescriptor_v8");
        if (dropout == nullptr || !dropout->set) {
            return refuse(BAD_PARAM, "the dropout descriptor has not been set");
        }
    }
    if (cell != 2) {
        return refuse(cell >= 0 && cell <= 3 ? NOT_SUPPORTED : BAD_PARAM, "the stand-in computes LSTMs only");
    }
    if (bias < NO_BIAS || bias > SINGLE_RECURRENT_BIAS || direction < 0 || direction > 1 || inputMode < 0
            || inputMode > 1) {
        return refuse(BAD_PARAM, "bias, direction or input mode");
    }
    if (bias == SINGLE_RECURRENT_BIAS || inputMode == 1) {
        return refuse(NOT_SUPPORTED, "the stand-in has no single recurrent bias and no skipped input");
    }
    if (input <= 0 || hidden <= 0 || layers <= 0 || projection <= 0 || projection > hidden) {
        return refuse(BAD_PARAM, "sizes: input, hidden, layers > 0, projection in [1, hidden] (hidden: none)");
    }
    if ((flags & ~1U) != 0) {
        return refuse(BAD_PARAM, "auxiliary flags other than CUDNN_RNN_PADDED_IO_ENABLED");
    }
    status = checkTypes(type, precision, math);
    if (status == SUCCESS) {
        status = checkAlgorithm(algorithm, type, projection < hidden, hidden);
    }
    if (status != SUCCESS) {
        return status;
    }
    Config config;
    config.algorithm = algorithm;
    config.bias = bias;
    config.directions = direction + 1;
    config.type = type;
    config.precision = precision;
    config.math = math;
    config.input = input;
    config.hidden = hidden;
    config.output = projection;
    config.layers = layers;
    config.padded = flags == 1;
    rnn->config = config;
    rnn->cell = cell;
    rnn->inputMode = inputMode;
    rnn->flags = flags;
    rnn->projection = projection;
    rnn->dropout = dropout;
    rnn->clipMode = 0;
    rnn->builtFor = 0;
    rnn->set = true;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetRNNDescriptor_v8(void* handle, int* algorithm, int* cell, int* bias, int* direction,
        int* inputMode, int* type, int* precision, int* math, int* input, int* hidden, int* projection, int* layers,
        void** dropout, unsigned* flags) {
    auto* rnn = find<Rnn>(handle, "cudnnGetRNNDescriptor_v8");
    if (rnn == nullptr || !rnn->set) {
        return BAD_PARAM;
    }
    const Config& c = rnn->config;
    const std::pair<int*, int> values[] = {{algorithm, c.algorithm}, {cell, rnn->cell}, {bias, c.bias},
            {direction, c.directions - 1}, {inputMode, rnn->inputMode}, {type, c.type}, {precision, c.precision},
            {math, c.math}, {input, c.input}, {hidden, c.hidden}, {projection, rnn->projection}, {layers, c.layers}};
    for (auto [to, value] : values) {
        if (to != nullptr) {
            *to = value;
        }
    }
    if (dropout != nullptr) {
        *dropout = rnn->dropout;
    }
    if (flags != nullptr) {
        *flags = rnn->flags;
    }
    return SUCCESS;
}

STANDIN_EXPORT int cudnnRNNSetClip_v9(void* handle, int mode, double lowest, double highest) {
    int status = begin("cudnnRNNSetClip");
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(handle, "cudnnRNNSetClip");
    if (rnn == nullptr || !rnn->set) {
        return refuse(BAD_PARAM, "the RNN descriptor has not been set");
    }
    if (mode < 0 || mode > 1 || (mode == 1 && !(lowest <= highest))) {
        return refuse(BAD_PARAM, "the clip mode, or its limits");
    }
    rnn->clipMode = mode;
    rnn->config.clips = mode == 1;
    rnn->config.lowest = mode == 1 ? lowest : 0;
    rnn->config.highest = mode == 1 ? highest : 0;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnRNNSetClip_v8(void* handle, int mode, int nan, double lowest, double highest) {
    if (nan != 0 && nan != 1) {
        return refuse(BAD_PARAM, "NaN propagation");
    }
    int status = cudnnRNNSetClip_v9(handle, mode, lowest, highest);
    if (status == SUCCESS) {
        static_cast<Rnn*>(static_cast<Object*>(handle))->clipNan = nan;
    }
    return status;
}

STANDIN_EXPORT int cudnnRNNGetClip_v9(void* handle, int* mode, double* lowest, double* highest) {
    auto* rnn = find<Rnn>(handle, "cudnnRNNGetClip");
    if (rnn == nullptr || !rnn->set) {
        return BAD_PARAM;
    }
    *mode = rnn->clipMode;
    *lowest = rnn->config.lowest;
    *highest = rnn->config.highest;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnRNNGetClip_v8(void* handle, int* mode, int* nan, double* lowest, double* highest) {
    int status = cudnnRNNGetClip_v9(handle, mode, lowest, highest);
    if (status == SUCCESS) {
        *nan = static_cast<Rnn*>(static_cast<Object*>(handle))->clipNan;
    }
    return status;
}

STANDIN_EXPORT int cudnnBuildRNNDynamic(void* handle, void* rnnHandle, int batch) {
    int status = begin("cudnnBuildRNNDynamic");
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(rnnHandle, "cudnnBuildRNNDynamic");
    if (find<Handle>(handle, "cudnnBuildRNNDynamic") == nullptr || rnn == nullptr || !rnn->set || batch <= 0) {
        return BAD_PARAM;
    }
    if (rnn->config.algorithm != PERSIST_DYNAMIC) {
        return refuse(BAD_PARAM, "only for the algorithm PERSIST_DYNAMIC");
    }
    rnn->builtFor = batch;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnCreateRNNDataDescriptor(void** result) {
    return create<RnnData>(result, "cudnnCreateRNNDataDescriptor");
}

STANDIN_EXPORT int cudnnDestroyRNNDataDescriptor(void* handle) {
    return destroy<RnnData>(handle, "cudnnDestroyRNNDataDescriptor");
}

STANDIN_EXPORT int cudnnSetRNNDataDescriptor(
        void* handle, int type, int layout, int steps, int batch, int width, const int* lengths, void* fill) {
    int status = begin("cudnnSetRNNDataDescriptor");
    if (status != SUCCESS) {
        return status;
    }
    auto* data = find<RnnData>(handle, "cudnnSetRNNDataDescriptor");
    if (data == nullptr) {
        return BAD_PARAM;
    }
    if (type < FLOAT || type > HALF) {
        return refuse(NOT_SUPPORTED, "data types other than float, double and half");
    }
    if (layout < SEQ_MAJOR_UNPACKED || layout > BATCH_MAJOR_UNPACKED || steps <= 0 || batch <= 0 || width <= 0) {
        return refuse(BAD_PARAM, "layout or sizes");
    }
    if (lengths == nullptr) {
        return refuse(BAD_PARAM_NULL_POINTER, "the array of lengths");
    }
    bool packed = layout == SEQ_MAJOR_PACKED;
    for (int n = 0; n < batch; n++) {
        if (lengths[n] < (packed ? 1 : 0) || lengths[n] > steps) {
            return refuse(BAD_PARAM, "a length outside of what the layout allows");
        }
        if (packed && n > 0 && lengths[n] > lengths[n - 1]) {
            return refuse(BAD_PARAM, "packed sequences have to be in descending order of length");
        }
    }
    if (packed && lengths[0] != steps) {
        return refuse(BAD_PARAM, "in the packed layout the longest sequence has to have the maximal length");
    }
    if (fill != nullptr && carousel_standin_is_device(fill)) {
        return refuse(BAD_PARAM, "the padding fill has to be in host memory");
    }
    Sequences s;
    s.type = type;
    s.layout = layout;
    s.steps = steps;
    s.batch = batch;
    s.width = width;
    s.lengths.assign(lengths, lengths + batch);
    s.filled = fill != nullptr;
    s.fill = fill == nullptr ? 0 : readElement(fill, type, 0);
    data->sequences = s;
    data->set = true;
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetRNNDataDescriptor(void* handle, int* type, int* layout, int* steps, int* batch, int* width,
        int wanted, int* lengths, void* fill) {
    auto* data = find<RnnData>(handle, "cudnnGetRNNDataDescriptor");
    if (data == nullptr || !data->set || wanted < 0) {
        return BAD_PARAM;
    }
    const Sequences& s = data->sequences;
    *type = s.type;
    *layout = s.layout;
    *steps = s.steps;
    *batch = s.batch;
    *width = s.width;
    for (int n = 0; n < std::min(wanted, s.batch); n++) {
        lengths[n] = s.lengths[static_cast<size_t>(n)];
    }
    if (fill != nullptr && s.filled) {
        writeElement(fill, s.type, 0, s.fill);
    }
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetRNNWeightSpaceSize(void* handle, void* rnnHandle, size_t* bytes) {
    int status = begin("cudnnGetRNNWeightSpaceSize");
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(rnnHandle, "cudnnGetRNNWeightSpaceSize");
    if (find<Handle>(handle, "cudnnGetRNNWeightSpaceSize") == nullptr || rnn == nullptr || !rnn->set
            || bytes == nullptr) {
        return BAD_PARAM;
    }
    *bytes = WeightLayout(rnn->config).elements() * size(rnn->config.type);
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetRNNTempSpaceSizes(
        void* handle, void* rnnHandle, int mode, void* xHandle, size_t* work, size_t* reserve) {
    int status = begin("cudnnGetRNNTempSpaceSizes");
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(rnnHandle, "cudnnGetRNNTempSpaceSizes");
    auto* x = find<RnnData>(xHandle, "cudnnGetRNNTempSpaceSizes");
    if (find<Handle>(handle, "cudnnGetRNNTempSpaceSizes") == nullptr || rnn == nullptr || x == nullptr || !rnn->set
            || !x->set || mode < 0 || mode > 1) {
        return refuse(BAD_PARAM, "a descriptor that has not been set, or no such forward mode");
    }
    if (x->sequences.type != rnn->config.type) {
        return refuse(BAD_PARAM, "the data and the RNN differ in type");
    }
    if (work != nullptr) {
        *work = workSpaceSize(rnn->config, x->sequences, mode == 1);
    }
    if (reserve != nullptr) {
        *reserve = reserveSpaceSize(rnn->config, x->sequences, mode == 1);
    }
    return SUCCESS;
}

STANDIN_EXPORT int cudnnGetRNNWeightParams(void* handle, void* rnnHandle, int cell, size_t bytes, const void* space,
        int linear, void* matrixHandle, void** matrix, void* biasHandle, void** bias) {
    const char* call = "cudnnGetRNNWeightParams";
    int status = begin(call);
    if (status != SUCCESS) {
        return status;
    }
    auto* rnn = find<Rnn>(rnnHandle, call);
    if (find<Handle>(handle, call) == nullptr || rnn == nullptr || !rnn->set) {
        return refuse(BAD_PARAM, "no handle, or an RNN descriptor that has not been set");
    }
    const Config& config = rnn->config;
    if (cell < 0 || cell >= config.cells() || linear < 0 || linear > PROJECTION) {
        return refuse(BAD_PARAM, "no such layer, or no such linear layer");
    }
    WeightLayout layout(config);
    if (bytes < layout.elements() * size(config.type)) {
        return refuse(BAD_PARAM_SIZE_INSUFFICIENT, "the weight space is too small");
    }
    auto* matrixTensor = matrixHandle == nullptr ? nullptr : find<Tensor>(matrixHandle, call);
    auto* biasTensor = biasHandle == nullptr ? nullptr : find<Tensor>(biasHandle, call);
    if ((matrixHandle != nullptr && matrixTensor == nullptr) || (biasHandle != nullptr && biasTensor == nullptr)) {
        return BAD_PARAM;
    }
    const Slot& slot = layout.slot(cell, linear);
    auto* base = static_cast<unsigned char*>(const_cast<void*>(space));
    auto at = [&](long long element) -> void* {
        return element < 0 ? nullptr : base + static_cast<size_t>(element) * size(config.type);
    };
    describe(matrixTensor, config.type, slot.matrix < 0 ? 0 : slot.rows, slot.matrix < 0 ? 0 : slot.columns);
    describe(biasTensor, config.type, slot.bias < 0 ? 0 : config.hidden, slot.bias < 0 ? 0 : 1);
    if (matrix != nullptr) {
        *matrix = at(slot.matrix);
    }
    if (bias != nullptr) {
        *bias = at(slot.bias);
    }
    return SUCCESS;
}
