// Devices, contexts, errors.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "world.h"

namespace carousel::standin {
namespace {

thread_local std::vector<Context*> contextStack;

struct ErrorText {
    int code;
    const char* name;
    const char* text;
};

const ErrorText ERRORS[] = {
        {SUCCESS, "CUDA_SUCCESS", "no error"},
        {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
        {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
        {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
        {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
        {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
        {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
        {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
        {NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
        {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
        {UNSUPPORTED_PTX_VERSION, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
                "the provided PTX was compiled with an unsupported toolchain."},
        {FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
        {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
        {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
        {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
        {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
        {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
        {PRIMARY_CONTEXT_ACTIVE, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE",
                "cannot set while device is active in this process"},
        {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
        {HOST_MEMORY_ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
                "part or all of the requested memory range is already mapped"},
        {HOST_MEMORY_NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
                "pointer does not correspond to a registered memory region"},
        {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
        {COOPERATIVE_LAUNCH_TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE",
                "too many blocks in cooperative launch"},
        {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
        {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
                "operation not permitted when stream is capturing"},
        {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
                "operation failed due to a previous error during capture"},
        {CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE",
                "operation would result in a merge of separate capture sequences"},
        {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED",
                "capture was not ended in the same stream as it began"},
        {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
        {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION",
                "dependency created on uncaptured work in another stream"},
        {CAPTURE_IMPLICIT, "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT",
                "operation would make the legacy stream depend on a capturing blocking stream"},
        {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT",
                "operation not permitted on an event last recorded in a capturing stream"},
        {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD",
                "attempt to terminate a thread-local capture sequence from another thread"},
        {GRAPH_EXEC_UPDATE_FAILURE, "CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE",
                "the graph update was not performed because it included changes which violated constraints specific to "
                "instantiated graph update"},
        {INVALID_CLUSTER_SIZE, "CUDA_ERROR_INVALID_CLUSTER_SIZE", "invalid cluster size"},
        {UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const ErrorText* errorText(int code) {
    for (const ErrorText& error : ERRORS) {
        if (error.code == code) {
            return &error;
        }
    }
    return nullptr;
}

int checkDevice(CUdevice device) {
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    return device < 0 || device >= deviceCount() ? INVALID_DEVICE : SUCCESS;
}

Context* makeContext(CUdevice device, unsigned flags, bool primary) {
    auto* context = new Context;
    context->device = device;
    context->flags = flags;
    context->primary = primary;
    context->legacy = startStream(context, 0, 0, true);
    world().contexts.insert(context);
    return context;
}

void reportAlive(const char* what, size_t count) {
    if (count != 0) {
        std::fprintf(stderr, "carousel stand-in: leak: %zu %s when their context was destroyed\n", count, what);
        carousel_standin_add(LEAKED, static_cast<int64_t>(count));
    }
}

void destroyContext(Lock& lock, Context* context) {
    for (auto& capture : context->captures) {
        for (Stream* stream : capture->streams) {
            stream->capture = nullptr;
        }
    }
    context->captures.clear();
    finishAll(lock, context);
    reportAlive("streams", context->streams.size());
    reportAlive("events", context->events.size());
    reportAlive("modules", context->modules.size());
    std::vector<Stream*> streams(context->streams.begin(), context->streams.end());
    for (Stream* stream : streams) {
        endStream(lock, stream);
    }
    endStream(lock, context->legacy);
    for (Event* event : context->events) {
        event->alive = false;
        carousel_standin_add(LIVE_EVENTS, -1);
    }
    context->events.clear();
    for (Module* module : context->modules) {
        module->alive = false;
        carousel_standin_add(LIVE_MODULES, -1);
    }
    context->modules.clear();
    releaseContextMemory(context);
    context->alive = false;
}

bool isContext(const void* handle) {
    return world().contexts.count(handle) != 0 && static_cast<const Context*>(handle)->alive;
}

int attribute(int which, CUdevice device) {
    switch (which) {
        case 1:
            return 1024;  // MAX_THREADS_PER_BLOCK
        case 2:
            return 1024;  // MAX_BLOCK_DIM_X
        case 3:
            return 1024;
        case 4:
            return 64;
        case 5:
            return 2147483647;  // MAX_GRID_DIM_X
        case 6:
            return 65535;
        case 7:
            return 65535;
        case 8:
            return 48 * 1024;  // MAX_SHARED_MEMORY_PER_BLOCK
        case 9:
            return 65536;  // TOTAL_CONSTANT_MEMORY
        case 10:
            return 32;  // WARP_SIZE
        case 11:
            return 2147483647;  // MAX_PITCH
        case 12:
            return 65536;  // MAX_REGISTERS_PER_BLOCK
        case 13:
            return 1980000;  // CLOCK_RATE
        case 14:
            return 512;  // TEXTURE_ALIGNMENT
        case 15:
            return 1;  // GPU_OVERLAP
        case 16:
            return MULTIPROCESSORS;
        case 19:
            return 1;  // CAN_MAP_HOST_MEMORY
        case 31:
            return 1;  // CONCURRENT_KERNELS
        case 33:
            return device + 1;  // PCI_BUS_ID
        case 36:
            return 2619000;  // MEMORY_CLOCK_RATE
        case 37:
            return 5120;  // GLOBAL_MEMORY_BUS_WIDTH
        case 38:
            return 50 << 20;  // L2_CACHE_SIZE
        case 39:
            return 2048;  // MAX_THREADS_PER_MULTIPROCESSOR
        case 40:
            return 3;  // ASYNC_ENGINE_COUNT
        case 41:
            return 1;  // UNIFIED_ADDRESSING
        case 75:
            return 9;  // COMPUTE_CAPABILITY_MAJOR
        case 76:
            return 0;  // COMPUTE_CAPABILITY_MINOR
        case 78:
            return 1;  // STREAM_PRIORITIES_SUPPORTED
        case 81:
            return 228 * 1024;  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
        case 82:
            return 65536;  // MAX_REGISTERS_PER_MULTIPROCESSOR
        case 95:
            return 1;  // COOPERATIVE_LAUNCH
        case 97:
            return 227 * 1024;  // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
        case 106:
            return 32;  // MAX_BLOCKS_PER_MULTIPROCESSOR
        case 111:
            return 1024;  // RESERVED_SHARED_MEMORY_PER_BLOCK
        case 115:
            return 1;  // MEMORY_POOLS_SUPPORTED
        case 120:
            return 1;  // CLUSTER_LAUNCH
        default:
            return 0;
    }
}

}  // namespace

Context* current() {
    return contextStack.empty() ? nullptr : contextStack.back();
}

int ready(Context*& context) {
    context = nullptr;
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    Context* top = current();
    if (top == nullptr) {
        return INVALID_CONTEXT;
    }
    if (!top->alive) {
        return CONTEXT_IS_DESTROYED;
    }
    context = top;
    return top->error;
}

}  // namespace carousel::standin

using namespace carousel::standin;

STANDIN_EXPORT CUresult cuInit(unsigned flags) {
    carousel_standin_control();
    Lock lock(world().mutex);
    if (flags != 0) {
        return INVALID_VALUE;
    }
    if (deviceCount() == 0) {
        return NO_DEVICE;
    }
    world().initialized = true;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDriverGetVersion(int* version) {
    if (version == nullptr) {
        return INVALID_VALUE;
    }
    *version = word(DRIVER_VERSION) == 0 ? 12060 : static_cast<int>(word(DRIVER_VERSION));
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGetErrorName(CUresult error, const char** name) {
    const ErrorText* found = errorText(error);
    *name = found == nullptr ? nullptr : found->name;
    return found == nullptr ? INVALID_VALUE : SUCCESS;
}

STANDIN_EXPORT CUresult cuGetErrorString(CUresult error, const char** text) {
    const ErrorText* found = errorText(error);
    *text = found == nullptr ? nullptr : found->text;
    return found == nullptr ? INVALID_VALUE : SUCCESS;
}

STANDIN_EXPORT CUresult cuDeviceGetCount(int* count) {
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    *count = deviceCount();
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    int result = checkDevice(ordinal);
    if (result == SUCCESS) {
        *device = ordinal;
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        std::snprintf(name, static_cast<size_t>(length), "Carousel CPU stand-in");
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        std::memcpy(uuid->bytes, "Carousel standin", 16);
        uuid->bytes[15] = static_cast<unsigned char>(device);
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
    return cuDeviceGetUuid_v2(uuid, device);
}

STANDIN_EXPORT CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        *bytes = deviceMemory(device);
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceGetAttribute(int* value, int which, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        *value = attribute(which, device);
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        *major = 9;
        *minor = 0;
    }
    return result;
}

STANDIN_EXPORT CUresult cuDeviceGetPCIBusId(char* text, int length, CUdevice device) {
    int result = checkDevice(device);
    if (result == SUCCESS) {
        std::snprintf(text, static_cast<size_t>(length), "0000:%02x:00.0", device + 1);
    }
    return result;
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxRetain(void** result, CUdevice device) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuDevicePrimaryCtxRetain")) {
        return OUT_OF_MEMORY;
    }
    Context*& primary = world().primaries[device];
    if (primary == nullptr) {
        primary = makeContext(device, 0, true);
    }
    primary->retained++;
    carousel_standin_add(RETAINED, 1);
    *result = primary;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error != SUCCESS) {
        return error;
    }
    Context* primary = world().primaries[device];
    if (primary == nullptr) {
        carousel_standin_misuse("cuDevicePrimaryCtxRelease without a retained context");
        return INVALID_CONTEXT;
    }
    carousel_standin_add(RETAINED, -1);
    if (--primary->retained == 0) {
        world().primaries[device] = nullptr;
        destroyContext(lock, primary);
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error != SUCCESS) {
        return error;
    }
    Context* primary = world().primaries[device];
    if (primary != nullptr) {
        carousel_standin_add(RETAINED, -primary->retained);
        world().primaries[device] = nullptr;
        destroyContext(lock, primary);
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error != SUCCESS) {
        return error;
    }
    Context* primary = world().primaries[device];
    *flags = primary == nullptr ? 0 : primary->flags;
    *active = primary == nullptr ? 0 : 1;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error == SUCCESS && world().primaries[device] != nullptr) {
        world().primaries[device]->flags = flags;
    }
    return error;
}

STANDIN_EXPORT CUresult cuCtxCreate_v2(void** result, unsigned flags, CUdevice device) {
    Lock lock(world().mutex);
    int error = checkDevice(device);
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuCtxCreate")) {
        return OUT_OF_MEMORY;
    }
    Context* context = makeContext(device, flags, false);
    contextStack.push_back(context);
    *result = context;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxDestroy_v2(void* handle) {
    Lock lock(world().mutex);
    if (!isContext(handle) || static_cast<Context*>(handle)->primary) {
        return INVALID_CONTEXT;
    }
    auto* context = static_cast<Context*>(handle);
    destroyContext(lock, context);
    if (current() == context) {
        contextStack.pop_back();
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxPushCurrent_v2(void* handle) {
    Lock lock(world().mutex);
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    if (!isContext(handle)) {
        return INVALID_CONTEXT;
    }
    contextStack.push_back(static_cast<Context*>(handle));
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxPopCurrent_v2(void** handle) {
    if (contextStack.empty()) {
        return INVALID_CONTEXT;
    }
    if (handle != nullptr) {
        *handle = contextStack.back();
    }
    contextStack.pop_back();
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxSetCurrent(void* handle) {
    Lock lock(world().mutex);
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    if (handle != nullptr && !isContext(handle)) {
        return INVALID_CONTEXT;
    }
    if (!contextStack.empty()) {
        contextStack.pop_back();
    }
    if (handle != nullptr) {
        contextStack.push_back(static_cast<Context*>(handle));
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxGetCurrent(void** handle) {
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    *handle = current();
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxGetDevice(CUdevice* device) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context != nullptr) {
        *device = context->device;
    }
    return result;
}

STANDIN_EXPORT CUresult cuCtxGetApiVersion(void*, unsigned* version) {
    *version = 3020;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (least != nullptr) {
        *least = 0;
    }
    if (greatest != nullptr) {
        *greatest = -5;
    }
    return result;
}

STANDIN_EXPORT CUresult cuCtxSynchronize() {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result == SUCCESS) {
        result = forbidWhileCapturing(context, "cuCtxSynchronize");
    }
    if (result != SUCCESS) {
        return result;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuCtxSynchronize")) {
        return LAUNCH_FAILED;
    }
    carousel_standin_add(HOST_SYNCHRONISATIONS, 1);
    finishAll(lock, context);
    return context->error;
}
