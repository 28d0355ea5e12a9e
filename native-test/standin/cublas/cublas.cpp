// The stand-in cuBLAS: handles and matrix products. Column-major, C = alpha op(A) op(B) + beta C; C is not read when
// beta is 0, A and B are not when alpha is 0. Every operand has to lie in a live allocation.
#include <algorithm>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "../private.h"
#include "../real.h"

namespace carousel::standin {
namespace {

/// cublasStatus_t
enum Status : int {
    SUCCESS = 0,
    NOT_INITIALIZED = 1,
    ALLOC_FAILED = 3,
    INVALID_VALUE = 7,
    ARCH_MISMATCH = 8,
    MAPPING_ERROR = 11,
    EXECUTION_FAILED = 13,
    INTERNAL_ERROR = 14,
    NOT_SUPPORTED = 15,
    LICENSE_ERROR = 16
};

/// cudaDataType_t
enum Type : int { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };

/// cublasComputeType_t
enum Compute : int {
    COMPUTE_16F = 64,
    COMPUTE_16F_PEDANTIC = 65,
    COMPUTE_32F = 68,
    COMPUTE_32F_PEDANTIC = 69,
    COMPUTE_64F = 70,
    COMPUTE_64F_PEDANTIC = 71,
    COMPUTE_32F_FAST_16F = 74,
    COMPUTE_32F_FAST_16BF = 75,
    COMPUTE_32F_FAST_TF32 = 77
};

enum MathMode : int {
    DEFAULT_MATH = 0,
    TENSOR_OP_MATH = 1,
    PEDANTIC_MATH = 2,
    TF32_MATH = 3,
    NO_REDUCED_REDUCTION = 16
};

struct Handle {
    bool alive = true;
    void* context = nullptr;
    void* stream = nullptr;
    int math = DEFAULT_MATH;
    int pointers = 0;
    int atomics = 0;
};

std::mutex mutex;

std::unordered_set<const void*>& handles() {
    static auto* set = new std::unordered_set<const void*>;
    return *set;
}

Handle* live(void* handle, const char* call) {
    std::lock_guard<std::mutex> lock(mutex);
    if (handles().count(handle) == 0) {
        carousel_standin_misuse("%s: %p is not a cuBLAS handle", call, handle);
        return nullptr;
    }
    auto* it = static_cast<Handle*>(handle);
    if (!it->alive) {
        carousel_standin_misuse("%s: the handle %p has been destroyed", call, handle);
        return nullptr;
    }
    return it;
}

/// What every call begins with.
int begin(void* handle, const char* call, Handle*& it) {
    it = live(handle, call);
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    return carousel_standin_fails(KIND_CUBLAS, call) ? EXECUTION_FAILED : SUCCESS;
}

struct Operand {
    const void* data = nullptr;
    int type = R_32F;
    int transposed = 0;
    long long leading = 1;
    long long stride = 0;
    int rows = 0;  // as stored
    int columns = 0;
};

struct Product {
    int m = 0, n = 0, k = 0, batch = 1;
    Operand a, b, c;
    int compute = COMPUTE_32F;
    bool scalarsOnDevice = false;
    const void* alphaAt = nullptr;
    const void* betaAt = nullptr;
    double alpha = 0, beta = 0;
};

size_t sizeOf(int type) {
    return type == R_64F ? 8 : type == R_32F ? 4 : 2;
}

double readAt(const void* data, int type, size_t index) {
    switch (type) {
        case R_64F:
            return static_cast<const double*>(data)[index];
        case R_32F:
            return static_cast<const float*>(data)[index];
        case R_16F:
            return Half::toFloat(static_cast<const Half*>(data)[index]);
        default:
            return BFloat::toFloat(static_cast<const BFloat*>(data)[index]);
    }
}

void writeAt(void* data, int type, size_t index, double value) {
    switch (type) {
        case R_64F:
            static_cast<double*>(data)[index] = value;
            break;
        case R_32F:
            static_cast<float*>(data)[index] = static_cast<float>(value);
            break;
        case R_16F:
            static_cast<Half*>(data)[index] = Half::fromFloat(static_cast<float>(value));
            break;
        default:
            static_cast<BFloat*>(data)[index] = BFloat::fromFloat(static_cast<float>(value));
            break;
    }
}

template <typename R>
R rounded(R value, int compute) {
    switch (compute) {
        case COMPUTE_32F_FAST_TF32:
            return static_cast<R>(roundToTf32(static_cast<float>(value)));
        case COMPUTE_32F_FAST_16F:
            return static_cast<R>(roundToHalf(static_cast<float>(value)));
        case COMPUTE_32F_FAST_16BF:
            return static_cast<R>(roundToBFloat(static_cast<float>(value)));
        default:
            return value;
    }
}

bool roundsInputs(int compute) {
    return compute >= COMPUTE_32F_FAST_16F && compute <= COMPUTE_32F_FAST_TF32;
}

/// op(X) [rows, columns], column by column without gaps, in R.
template <typename R>
const R* packed(
        const Operand& x, long long item, bool transpose, int rows, int columns, int compute, std::vector<R>& room) {
    constexpr int OWN = sizeof(R) == 8 ? R_64F : R_32F;
    size_t start = static_cast<size_t>(item * x.stride);
    if (!transpose && x.type == OWN && x.leading == rows && !roundsInputs(compute)) {
        return static_cast<const R*>(x.data) + start;
    }
    room.resize(static_cast<size_t>(rows) * static_cast<size_t>(columns));
    auto leading = static_cast<size_t>(x.leading);
    const R* own = x.type == OWN ? static_cast<const R*>(x.data) + start : nullptr;
    for (size_t j = 0; j < static_cast<size_t>(columns); j++) {
        for (size_t i = 0; i < static_cast<size_t>(rows); i++) {
            size_t at = transpose ? i * leading + j : j * leading + i;
            R value = own != nullptr ? own[at] : static_cast<R>(readAt(x.data, x.type, start + at));
            room[j * static_cast<size_t>(rows) + i] = rounded(value, compute);
        }
    }
    return room.data();
}

template <typename R>
void multiply(const Product& p, R alpha, R beta) {
    constexpr int OWN = sizeof(R) == 8 ? R_64F : R_32F;
    thread_local std::vector<R> roomA, roomB, sum;
    auto m = static_cast<size_t>(p.m);
    auto k = static_cast<size_t>(p.k);
    auto n = static_cast<size_t>(p.n);
    sum.resize(m);
    for (long long item = 0; item < p.batch; item++) {
        const R* a = nullptr;
        const R* b = nullptr;
        if (alpha != 0 && k > 0) {
            a = packed(p.a, item, p.a.transposed != 0, p.m, p.k, p.compute, roomA);
            b = packed(p.b, item, p.b.transposed != 0, p.k, p.n, p.compute, roomB);
        }
        for (size_t j = 0; j < n; j++) {
            std::fill(sum.begin(), sum.end(), R(0));
            R* s = sum.data();
            for (size_t l = 0; a != nullptr && l < k; l++) {
                R factor = b[j * k + l];
                const R* column = a + l * m;
                for (size_t i = 0; i < m; i++) {
                    s[i] += column[i] * factor;
                }
            }
            size_t start = static_cast<size_t>(item * p.c.stride) + j * static_cast<size_t>(p.c.leading);
            void* out = const_cast<void*>(p.c.data);
            if (p.c.type == OWN) {
                R* c = static_cast<R*>(out) + start;
                for (size_t i = 0; i < m; i++) {
                    c[i] = beta == 0 ? alpha * s[i] : alpha * s[i] + beta * c[i];
                }
            } else {
                for (size_t i = 0; i < m; i++) {
                    R old = beta == 0 ? R(0) : beta * static_cast<R>(readAt(out, p.c.type, start + i));
                    writeAt(out, p.c.type, start + i, alpha * s[i] + old);
                }
            }
        }
    }
}

int scaleType(int compute) {
    return compute == COMPUTE_64F || compute == COMPUTE_64F_PEDANTIC    ? R_64F
            : compute == COMPUTE_16F || compute == COMPUTE_16F_PEDANTIC ? R_16F
                                                                        : R_32F;
}

void run(void* data) {
    auto* p = static_cast<Product*>(data);
    double alpha = p->alpha;
    double beta = p->beta;
    if (p->scalarsOnDevice) {
        alpha = readAt(p->alphaAt, scaleType(p->compute), 0);
        beta = readAt(p->betaAt, scaleType(p->compute), 0);
    }
    if (scaleType(p->compute) == R_64F) {
        multiply<double>(*p, alpha, beta);
    } else {
        multiply<float>(*p, static_cast<float>(alpha), static_cast<float>(beta));
    }
}

void drop(void* data) {
    delete static_cast<Product*>(data);
}

/// Combinations of types that cuBLAS documents for cublasGemmEx.
bool supported(const Product& p) {
    int a = p.a.type;
    int b = p.b.type;
    int c = p.c.type;
    switch (p.compute) {
        case COMPUTE_16F:
        case COMPUTE_16F_PEDANTIC:
            return a == R_16F && b == R_16F && c == R_16F;
        case COMPUTE_32F:
        case COMPUTE_32F_PEDANTIC:
            return a == b
                    && ((a == R_32F && c == R_32F) || (a == R_16F && (c == R_16F || c == R_32F))
                            || (a == R_16BF && (c == R_16BF || c == R_32F)));
        case COMPUTE_64F:
        case COMPUTE_64F_PEDANTIC:
            return a == R_64F && b == R_64F && c == R_64F;
        case COMPUTE_32F_FAST_16F:
        case COMPUTE_32F_FAST_16BF:
        case COMPUTE_32F_FAST_TF32:
            return a == R_32F && b == R_32F && c == R_32F;
        default:
            return false;
    }
}

bool addRange(std::vector<Range>& ranges, const Operand& x, int batch, bool write, const char* name) {
    if (x.rows == 0 || x.columns == 0) {
        return true;
    }
    auto size = static_cast<long long>(sizeOf(x.type));
    long long last = (static_cast<long long>(x.columns) - 1) * x.leading + x.rows + (batch - 1) * x.stride;
    if (reinterpret_cast<uintptr_t>(x.data) % static_cast<uintptr_t>(size) != 0) {
        carousel_standin_misuse("cublas gemm: %s is not aligned", name);
        return false;
    }
    ranges.push_back({x.data, static_cast<size_t>(last * size), write, name});
    return true;
}

int gemm(void* handle, const char* call, Product p, const void* alpha, const void* beta) {
    Handle* it;
    int status = begin(handle, call, it);
    if (status != SUCCESS) {
        return carousel_standin_control()[DROPS] != 0 ? SUCCESS : status;
    }
    if (p.m < 0 || p.n < 0 || p.k < 0 || p.batch < 0 || p.a.transposed < 0 || p.a.transposed > 2 || p.b.transposed < 0
            || p.b.transposed > 2 || alpha == nullptr || beta == nullptr) {
        return INVALID_VALUE;
    }
    p.a.rows = p.a.transposed == 0 ? p.m : p.k;
    p.a.columns = p.a.transposed == 0 ? p.k : p.m;
    p.b.rows = p.b.transposed == 0 ? p.k : p.n;
    p.b.columns = p.b.transposed == 0 ? p.n : p.k;
    p.c.rows = p.m;
    p.c.columns = p.n;
    for (const Operand* x : {&p.a, &p.b, &p.c}) {
        if (x->leading < std::max(1, x->rows)) {
            return INVALID_VALUE;
        }
    }
    bool overlapping = p.batch > 1 && p.c.stride < (static_cast<long long>(p.n) - 1) * p.c.leading + p.m;
    if (overlapping || p.a.stride < 0 || p.b.stride < 0) {
        return INVALID_VALUE;
    }
    if (!supported(p)) {
        return NOT_SUPPORTED;
    }
    if (it->math == TF32_MATH && p.compute == COMPUTE_32F && p.a.type == R_32F) {
        p.compute = COMPUTE_32F_FAST_TF32;
    }
    if (p.m == 0 || p.n == 0 || p.batch == 0) {
        return SUCCESS;
    }
    std::vector<Range> ranges;
    p.scalarsOnDevice = it->pointers == 1;
    bool readsInputs = true;
    if (p.scalarsOnDevice) {
        p.alphaAt = alpha;
        p.betaAt = beta;
        ranges.push_back({alpha, sizeOf(scaleType(p.compute)), false, "alpha"});
        ranges.push_back({beta, sizeOf(scaleType(p.compute)), false, "beta"});
    } else {
        if (carousel_standin_is_device(alpha) || carousel_standin_is_device(beta)) {
            carousel_standin_misuse("%s: alpha and beta are on the device but the pointer mode is host", call);
            return INVALID_VALUE;
        }
        p.alpha = readAt(alpha, scaleType(p.compute), 0);
        p.beta = readAt(beta, scaleType(p.compute), 0);
        readsInputs = p.alpha != 0;
    }
    bool fine = addRange(ranges, p.c, p.batch, true, "C");
    if (readsInputs) {
        fine = fine && addRange(ranges, p.a, p.batch, false, "A") && addRange(ranges, p.b, p.batch, false, "B");
    }
    if (!fine) {
        return EXECUTION_FAILED;
    }
    Work work{run, drop, new Product(p), call, ranges.data(), static_cast<int>(ranges.size())};
    if (carousel_standin_enqueue(it->stream, &work) != 0) {
        return EXECUTION_FAILED;
    }
    carousel_standin_add(PRODUCTS, 1);
    return SUCCESS;
}

Operand operand(const void* data, int type, int transposed, long long leading, long long stride) {
    Operand x;
    x.data = data;
    x.type = type;
    x.transposed = transposed;
    x.leading = leading;
    x.stride = stride;
    return x;
}

Product product(int m, int n, int k, int batch, int compute, const Operand& a, const Operand& b, const Operand& c) {
    Product p;
    p.m = m;
    p.n = n;
    p.k = k;
    p.batch = batch;
    p.compute = compute;
    p.a = a;
    p.b = b;
    p.c = c;
    return p;
}

struct Text {
    int status;
    const char* name;
    const char* text;
};

const Text TEXTS[] = {
        {SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
        {NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
        {ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
        {INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "an invalid value was passed"},
        {ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH", "a feature that the device architecture lacks is required"},
        {MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
        {EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute"},
        {INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
        {NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "the requested functionality is not supported"},
        {LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "the license check failed"},
};

}  // namespace
}  // namespace carousel::standin

using namespace carousel::standin;

STANDIN_EXPORT int cublasCreate_v2(void** handle) {
    if (handle == nullptr) {
        return INVALID_VALUE;
    }
    void* context = carousel_standin_context();
    if (context == nullptr) {
        return NOT_INITIALIZED;
    }
    if (carousel_standin_fails(KIND_CUBLAS, "cublasCreate")) {
        return ALLOC_FAILED;
    }
    auto* it = new Handle;
    it->context = context;
    std::lock_guard<std::mutex> lock(mutex);
    handles().insert(it);
    carousel_standin_add(LIVE_CUBLAS, 1);
    *handle = it;
    return SUCCESS;
}

STANDIN_EXPORT int cublasDestroy_v2(void* handle) {
    Handle* it = live(handle, "cublasDestroy");
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    it->alive = false;
    carousel_standin_add(LIVE_CUBLAS, -1);
    return SUCCESS;
}

STANDIN_EXPORT int cublasGetVersion_v2(void*, int* version) {
    if (version == nullptr) {
        return INVALID_VALUE;
    }
    *version = 120603;
    return SUCCESS;
}

STANDIN_EXPORT int cublasGetProperty(int type, int* value) {
    const int version[] = {12, 6, 3};
    if (type < 0 || type > 2 || value == nullptr) {
        return INVALID_VALUE;
    }
    *value = version[type];
    return SUCCESS;
}

STANDIN_EXPORT size_t cublasGetCudartVersion() {
    return 12060;
}

STANDIN_EXPORT const char* cublasGetStatusName(int status) {
    for (const Text& text : TEXTS) {
        if (text.status == status) {
            return text.name;
        }
    }
    return "CUBLAS_STATUS_UNKNOWN";
}

STANDIN_EXPORT const char* cublasGetStatusString(int status) {
    for (const Text& text : TEXTS) {
        if (text.status == status) {
            return text.text;
        }
    }
    return "unknown status";
}

STANDIN_EXPORT int cublasSetStream_v2(void* handle, void* stream) {
    Handle* it;
    int status = begin(handle, "cublasSetStream", it);
    if (status != SUCCESS) {
        return status;
    }
    if (carousel_standin_check_stream(stream, it->context) != 0) {
        return INVALID_VALUE;
    }
    it->stream = stream;
    return SUCCESS;
}

STANDIN_EXPORT int cublasGetStream_v2(void* handle, void** stream) {
    Handle* it = live(handle, "cublasGetStream");
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    *stream = it->stream;
    return SUCCESS;
}

STANDIN_EXPORT int cublasSetMathMode(void* handle, int mode) {
    Handle* it;
    int status = begin(handle, "cublasSetMathMode", it);
    if (status != SUCCESS) {
        return status;
    }
    if ((mode & ~NO_REDUCED_REDUCTION) > TF32_MATH || mode < 0) {
        return INVALID_VALUE;
    }
    it->math = mode & ~NO_REDUCED_REDUCTION;
    return SUCCESS;
}

STANDIN_EXPORT int cublasGetMathMode(void* handle, int* mode) {
    Handle* it = live(handle, "cublasGetMathMode");
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    *mode = it->math;
    return SUCCESS;
}

STANDIN_EXPORT int cublasSetPointerMode_v2(void* handle, int mode) {
    Handle* it;
    int status = begin(handle, "cublasSetPointerMode", it);
    if (status != SUCCESS) {
        return status;
    }
    if (mode != 0 && mode != 1) {
        return INVALID_VALUE;
    }
    it->pointers = mode;
    return SUCCESS;
}

STANDIN_EXPORT int cublasGetPointerMode_v2(void* handle, int* mode) {
    Handle* it = live(handle, "cublasGetPointerMode");
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    *mode = it->pointers;
    return SUCCESS;
}

STANDIN_EXPORT int cublasSetAtomicsMode(void* handle, int mode) {
    Handle* it;
    int status = begin(handle, "cublasSetAtomicsMode", it);
    if (status == SUCCESS) {
        it->atomics = mode;
    }
    return status;
}

STANDIN_EXPORT int cublasGetAtomicsMode(void* handle, int* mode) {
    Handle* it = live(handle, "cublasGetAtomicsMode");
    if (it == nullptr) {
        return NOT_INITIALIZED;
    }
    *mode = it->atomics;
    return SUCCESS;
}

STANDIN_EXPORT int cublasSetWorkspace_v2(void* handle, void* workspace, size_t bytes) {
    Handle* it;
    int status = begin(handle, "cublasSetWorkspace", it);
    if (status != SUCCESS) {
        return status;
    }
    if (bytes != 0) {
        Range range{workspace, bytes, true, "workspace"};
        if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0
                || !carousel_standin_valid(&range, "cublasSetWorkspace")) {
            return INVALID_VALUE;
        }
    }
    return SUCCESS;
}

STANDIN_EXPORT int cublasSgemm_v2(void* handle, int transA, int transB, int m, int n, int k, const float* alpha,
        const float* a, int lda, const float* b, int ldb, const float* beta, float* c, int ldc) {
    return gemm(handle, "cublasSgemm",
            product(m, n, k, 1, COMPUTE_32F, operand(a, R_32F, transA, lda, 0), operand(b, R_32F, transB, ldb, 0),
                    operand(c, R_32F, 0, ldc, 0)),
            alpha, beta);
}

STANDIN_EXPORT int cublasDgemm_v2(void* handle, int transA, int transB, int m, int n, int k, const double* alpha,
        const double* a, int lda, const double* b, int ldb, const double* beta, double* c, int ldc) {
    return gemm(handle, "cublasDgemm",
            product(m, n, k, 1, COMPUTE_64F, operand(a, R_64F, transA, lda, 0), operand(b, R_64F, transB, ldb, 0),
                    operand(c, R_64F, 0, ldc, 0)),
            alpha, beta);
}

STANDIN_EXPORT int cublasSgemmStridedBatched(void* handle, int transA, int transB, int m, int n, int k,
        const float* alpha, const float* a, int lda, long long strideA, const float* b, int ldb, long long strideB,
        const float* beta, float* c, int ldc, long long strideC, int batch) {
    return gemm(handle, "cublasSgemmStridedBatched",
            product(m, n, k, batch, COMPUTE_32F, operand(a, R_32F, transA, lda, strideA),
                    operand(b, R_32F, transB, ldb, strideB), operand(c, R_32F, 0, ldc, strideC)),
            alpha, beta);
}

STANDIN_EXPORT int cublasDgemmStridedBatched(void* handle, int transA, int transB, int m, int n, int k,
        const double* alpha, const double* a, int lda, long long strideA, const double* b, int ldb, long long strideB,
        const double* beta, double* c, int ldc, long long strideC, int batch) {
    return gemm(handle, "cublasDgemmStridedBatched",
            product(m, n, k, batch, COMPUTE_64F, operand(a, R_64F, transA, lda, strideA),
                    operand(b, R_64F, transB, ldb, strideB), operand(c, R_64F, 0, ldc, strideC)),
            alpha, beta);
}

STANDIN_EXPORT int cublasGemmEx(void* handle, int transA, int transB, int m, int n, int k, const void* alpha,
        const void* a, int typeA, int lda, const void* b, int typeB, int ldb, const void* beta, void* c, int typeC,
        int ldc, int compute, int) {
    return gemm(handle, "cublasGemmEx",
            product(m, n, k, 1, compute, operand(a, typeA, transA, lda, 0), operand(b, typeB, transB, ldb, 0),
                    operand(c, typeC, 0, ldc, 0)),
            alpha, beta);
}

STANDIN_EXPORT int cublasGemmStridedBatchedEx(void* handle, int transA, int transB, int m, int n, int k,
        const void* alpha, const void* a, int typeA, int lda, long long strideA, const void* b, int typeB, int ldb,
        long long strideB, const void* beta, void* c, int typeC, int ldc, long long strideC, int batch, int compute,
        int) {
    return gemm(handle, "cublasGemmStridedBatchedEx",
            product(m, n, k, batch, compute, operand(a, typeA, transA, lda, strideA),
                    operand(b, typeB, transB, ldb, strideB), operand(c, typeC, 0, ldc, strideC)),
            alpha, beta);
}
