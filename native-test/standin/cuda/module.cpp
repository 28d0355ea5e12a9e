// Modules, functions and kernel launches. A module's PTX is read for its entries only; the code that runs is the kernel
// of that name in the emulation.
#include <cctype>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "world.h"

#ifdef CAROUSEL_STANDIN_KERNELS
#include "launcher.h"
#endif

namespace carousel::standin {
namespace {

// One kernel of the stand-in's own, so that launches can be tried without the emulation: y[k] += 1 for k < n.
const char* const ADD_ONE = "carousel_standin_add_one";

std::string addOne(void** params) {
    float* y = *static_cast<float**>(params[0]);
    long long n = *static_cast<long long*>(params[1]);
    for (long long k = 0; k < n; k++) {
        y[k] += 1;
    }
    return "";
}

#ifdef CAROUSEL_STANDIN_KERNELS

bool isOwn(const Function* function) {
    return function->kernel == ADD_ONE;
}

const void* findKernel(const std::string& name) {
    return name == ADD_ONE ? static_cast<const void*>(ADD_ONE) : emulation::find(name);
}

const emulation::Kernel& kernelOf(const Function* function) {
    return *static_cast<const emulation::Kernel*>(function->kernel);
}

size_t parameterCount(const Function* function) {
    return isOwn(function) ? 2 : emulation::parameterCount(kernelOf(function));
}

size_t parameterSize(const Function* function, size_t index) {
    return isOwn(function) ? 8 : emulation::parameterSize(kernelOf(function), index);
}

bool parameterIsPointer(const Function* function, size_t index) {
    return isOwn(function) ? index == 0 : emulation::parameterIsPointer(kernelOf(function), index);
}

/// Threads that every block must have; 0 for any.
unsigned blockSize(const Function* function) {
    return isOwn(function) ? 0 : emulation::blockSize(kernelOf(function));
}

/// Blocks of a cluster.
unsigned clusterSize(const Function* function) {
    return isOwn(function) ? 1 : emulation::clusterSize(kernelOf(function));
}

std::string runKernel(KernelCall& call, uint64_t seed) {
    if (isOwn(call.function)) {
        return addOne(call.pointers.data());
    }
    emulation::Launch launch{};
    for (int k = 0; k < 3; k++) {
        launch.grid[k] = call.grid[k];
        launch.block[k] = call.block[k];
    }
    launch.sharedBytes = call.sharedBytes;
    launch.seed = seed;
    return emulation::run(kernelOf(call.function), launch, call.pointers.data());
}

#else

const void* findKernel(const std::string& name) {
    return name == ADD_ONE ? ADD_ONE : nullptr;
}

size_t parameterCount(const Function*) {
    return 2;
}

size_t parameterSize(const Function*, size_t) {
    return 8;
}

bool parameterIsPointer(const Function*, size_t index) {
    return index == 0;
}

unsigned blockSize(const Function*) {
    return 0;
}

unsigned clusterSize(const Function*) {
    return 1;
}

std::string runKernel(KernelCall& call, uint64_t) {
    return addOne(call.pointers.data());
}

#endif

constexpr size_t SHARED_DEFAULT = 48 * 1024;
constexpr size_t SHARED_OPT_IN = 227 * 1024;
/// Blocks that a cluster may have on every device of this kind, and on this one unless it is ordered to take fewer.
constexpr unsigned CLUSTER_DEFAULT = 8;
constexpr unsigned CLUSTER_OPT_IN = 16;

bool nameCharacter(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

/// PTX without its comments.
std::string withoutComments(const std::string& text) {
    std::string result;
    for (size_t k = 0; k < text.size(); k++) {
        if (text.compare(k, 2, "//") == 0) {
            while (k < text.size() && text[k] != '\n') {
                k++;
            }
            result += '\n';
        } else if (text.compare(k, 2, "/*") == 0) {
            size_t end = text.find("*/", k + 2);
            k = end == std::string::npos ? text.size() : end + 1;
            result += ' ';
        } else {
            result += text[k];
        }
    }
    return result;
}

/// What follows a directive, or "".
std::string directive(const std::string& text, const std::string& name, size_t& from) {
    size_t at = text.find(name, from);
    if (at == std::string::npos) {
        from = at;
        return "";
    }
    at += name.size();
    while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) {
        at++;
    }
    size_t end = at;
    while (end < text.size() && (nameCharacter(text[end]) || text[end] == '.')) {
        end++;
    }
    from = end;
    return text.substr(at, end - at);
}

/// The newest PTX version, times 10, that a driver reads.
int newestPtx() {
    int driver = 0;
    uint64_t ordered = word(DRIVER_VERSION);
    driver = ordered == 0 ? 12060 : static_cast<int>(ordered);
    int major = driver / 1000;
    int minor = driver % 1000 / 10;
    if (major >= 13) {
        return 90 + minor;
    }
    if (major == 12) {
        return 80 + (minor <= 5 ? minor : minor == 6 ? 5 : minor - 1);
    }
    return major == 11 ? 70 + std::min(minor, 8) : 65;
}

int readPtx(const std::string& image, std::vector<std::string>& entries, std::string& why) {
    std::string text = withoutComments(image);
    size_t at = 0;
    std::string version = directive(text, ".version", at);
    if (version.empty()) {
        why = "no .version";
        return INVALID_IMAGE;
    }
    int number = 0;
    try {
        number = static_cast<int>(std::stod(version) * 10 + 0.5);
    } catch (const std::exception&) {
        why = ".version " + version;
        return INVALID_PTX;
    }
    if (number > newestPtx()) {
        why = ".version " + version + " is newer than the driver";
        return UNSUPPORTED_PTX_VERSION;
    }
    at = 0;
    std::string target = directive(text, ".target", at);
    if (target.compare(0, 3, "sm_") != 0) {
        why = "no .target";
        return INVALID_PTX;
    }
    if (std::atoi(target.c_str() + 3) > 90) {
        why = ".target " + target + " is newer than the device";
        return NO_BINARY_FOR_GPU;
    }
    for (at = 0; at != std::string::npos;) {
        std::string name = directive(text, ".entry", at);
        if (!name.empty()) {
            entries.push_back(name);
        }
    }
    return SUCCESS;
}

/// Writes into the log buffer that the caller may have given (CU_JIT_ERROR_LOG_BUFFER and its size).
void writeLog(unsigned count, const int* options, void** values, const std::string& why) {
    char* buffer = nullptr;
    size_t size = 0;
    for (unsigned k = 0; k < count && options != nullptr && values != nullptr; k++) {
        if (options[k] == 5) {
            buffer = static_cast<char*>(values[k]);
        } else if (options[k] == 6) {
            size = reinterpret_cast<uintptr_t>(values[k]) & 0xffffffffU;
        }
    }
    if (buffer != nullptr && size > 0) {
        std::snprintf(buffer, size, "%s", why.c_str());
    }
}

int load(void** result, const void* image, unsigned count, const int* options, void** values, const char* call) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error == SUCCESS) {
        error = forbidWhileCapturing(context, call);
    }
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr || image == nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, call)) {
        return OUT_OF_MEMORY;
    }
    std::vector<std::string> entries;
    std::string why;
    error = readPtx(static_cast<const char*>(image), entries, why);
    auto* module = new Module;
    module->context = context;
    for (const std::string& name : entries) {
        const void* kernel = findKernel(name);
        if (kernel == nullptr) {
            why = "the emulation has no kernel " + name;
            error = INVALID_PTX;
            break;
        }
        auto* function = new Function;
        function->module = module;
        function->name = name;
        function->kernel = kernel;
        module->functions[name] = function;
    }
    if (error != SUCCESS) {
        std::fprintf(stderr, "carousel stand-in: %s: %s\n", call, why.c_str());
        writeLog(count, options, values, why);
        for (auto& [name, function] : module->functions) {
            delete function;
        }
        delete module;
        return error;
    }
    for (auto& [name, function] : module->functions) {
        world().functions.insert(function);
    }
    world().modules.insert(module);
    context->modules.insert(module);
    carousel_standin_add(LIVE_MODULES, 1);
    *result = module;
    return SUCCESS;
}

Module* liveModule(void* handle) {
    auto* module = static_cast<Module*>(handle);
    return world().modules.count(module) != 0 && module->alive ? module : nullptr;
}

Function* liveFunction(void* handle, const char* call) {
    auto* function = static_cast<Function*>(handle);
    if (world().functions.count(function) == 0) {
        return nullptr;
    }
    if (!function->module->alive) {
        carousel_standin_misuse("%s: the module of %s has been unloaded", call, function->name.c_str());
        return nullptr;
    }
    return function;
}

/// Pointers among the arguments must lead into live memory of the device or pinned memory; so must numbers that look
/// like device addresses.
int checkArguments(const KernelCall& call, Job& job) {
    for (size_t k = 0; k < call.offsets.size(); k++) {
        if (parameterSize(call.function, k) != 8) {
            continue;
        }
        uint64_t value;
        std::memcpy(&value, call.bytes.data() + call.offsets[k], 8);
        auto* address = reinterpret_cast<const void*>(value);
        bool pointer = parameterIsPointer(call.function, k);
        if (isDeviceAddress(value) || (pointer && value != 0 && pinnedAt(address, 0) != nullptr)) {
            job.ranges.push_back({address, 0, true, "argument"});
        } else if (pointer && value != 0) {
            carousel_standin_misuse("%s: argument %zu is neither a device address nor one of pinned memory: %p",
                    job.what.c_str(), k, address);
            return ILLEGAL_ADDRESS;
        }
    }
    std::vector<Allocation*> touched;
    return locateAll(job.ranges, job.what, touched) ? SUCCESS : ILLEGAL_ADDRESS;
}

int copyArguments(KernelCall& call, void** params, void** extra) {
    const Function* function = call.function;
    size_t count = parameterCount(function);
    size_t end = 0;
    for (size_t k = 0; k < count; k++) {
        size_t size = parameterSize(function, k);
        size_t alignment = std::min<size_t>(size, 8);
        end = (end + alignment - 1) / alignment * alignment;
        call.offsets.push_back(end);
        end += size;
    }
    call.bytes.resize((end + 7) / 8 * 8);
    if (params != nullptr && extra != nullptr) {
        return INVALID_VALUE;
    }
    if (extra != nullptr) {
        const unsigned char* buffer = nullptr;
        size_t size = 0;
        for (size_t k = 0; extra[k] != nullptr; k += 2) {
            if (extra[k] == reinterpret_cast<void*>(1)) {
                buffer = static_cast<const unsigned char*>(extra[k + 1]);
            } else if (extra[k] == reinterpret_cast<void*>(2)) {
                size = *static_cast<size_t*>(extra[k + 1]);
            } else {
                return INVALID_VALUE;
            }
        }
        if ((buffer == nullptr && end != 0) || (size != end && size != call.bytes.size())) {
            carousel_standin_misuse("%s: a parameter buffer of %zu bytes where the kernel takes %zu",
                    function->name.c_str(), size, end);
            return INVALID_VALUE;
        }
        if (end != 0) {
            std::memcpy(call.bytes.data(), buffer, end);
        }
    } else {
        if (params == nullptr && count != 0) {
            return INVALID_VALUE;
        }
        for (size_t k = 0; k < count; k++) {
            if (params[k] == nullptr) {
                carousel_standin_misuse("%s: argument %zu of %zu is missing", function->name.c_str(), k, count);
                return INVALID_VALUE;
            }
            std::memcpy(call.bytes.data() + call.offsets[k], params[k], parameterSize(function, k));
        }
    }
    for (size_t offset : call.offsets) {
        call.pointers.push_back(call.bytes.data() + offset);
    }
    return SUCCESS;
}

/// The same, which does not begin while it is ordered to hang.
std::shared_ptr<const Job> endless(const std::shared_ptr<const Job>& job) {
    auto made = std::make_shared<Job>(*job);
    made->run = [job] {
        while (word(HANGS) != 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return job->run();
    };
    return made;
}

int launch(void* handle, const unsigned* grid, const unsigned* block, unsigned sharedBytes, void* streamHandle,
        void** params, void** extra, bool cooperative = false) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Function* function = liveFunction(handle, "cuLaunchKernel");
    Stream* stream = function == nullptr ? nullptr : resolve(streamHandle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    std::shared_ptr<const Job> job;
    result = makeKernelJob(function, grid, block, sharedBytes, params, extra, cooperative, job);
    if (result != SUCCESS) {
        if (stream->capture != nullptr) {
            invalidate(*stream->capture, "a launch was refused");
        }
        return result;
    }
    if (carousel_standin_fails(KIND_LAUNCH, function->name.c_str())) {
        if (word(DROPS) != 0) {
            return SUCCESS;
        }
        if (word(HANGS) != 0) {
            return submit(lock, stream, endless(job));
        }
        if ((word(COUNTED_KINDS) & STICKY_FAILURES) != 0) {
            context->error = LAUNCH_FAILED;
        }
        return LAUNCH_FAILED;
    }
    result = submit(lock, stream, job);
    if (result == SUCCESS) {
        carousel_standin_add(LAUNCHES, 1);
    }
    return result;
}

}  // namespace

int makeKernelJob(Function* function, const unsigned* grid, const unsigned* block, unsigned sharedBytes, void** params,
        void** extra, bool cooperative, std::shared_ptr<const Job>& job) {
    uint64_t threads = 1;
    for (int k = 0; k < 3; k++) {
        bool gridFits = grid[k] > 0 && grid[k] <= (k == 0 ? 2147483647U : 65535U);
        bool blockFits = block[k] > 0 && block[k] <= (k == 2 ? 64U : 1024U);
        if (!gridFits || !blockFits) {
            carousel_standin_misuse("%s: grid (%u, %u, %u), block (%u, %u, %u) is not possible", function->name.c_str(),
                    grid[0], grid[1], grid[2], block[0], block[1], block[2]);
            return INVALID_VALUE;
        }
        threads *= block[k];
    }
    if (threads > 1024 || sharedBytes > function->dynamicSharedLimit) {
        carousel_standin_misuse("%s: %llu threads a block with %u bytes of shared memory are not possible",
                function->name.c_str(), static_cast<unsigned long long>(threads), sharedBytes);
        return INVALID_VALUE;
    }
    unsigned demanded = blockSize(function);
    if (demanded != 0 && (block[0] != demanded || block[1] != 1 || block[2] != 1)) {
        carousel_standin_misuse("%s: blocks of (%u, %u, %u) threads where the kernel is written for %u",
                function->name.c_str(), block[0], block[1], block[2], demanded);
        return INVALID_VALUE;
    }
    unsigned cluster = clusterSize(function);
    if ((cluster == 0) != cooperative) {
        // Legal, but then nothing says that the blocks find room at the same time.
        carousel_standin_misuse("%s: %s", function->name.c_str(),
                cooperative ? "a cooperative launch of a kernel whose blocks do not wait for each other"
                            : "its blocks wait for each other, which only a cooperative launch allows");
        return INVALID_VALUE;
    }
    if (cooperative && static_cast<uint64_t>(grid[0]) * grid[1] * grid[2] > MULTIPROCESSORS) {
        return COOPERATIVE_LAUNCH_TOO_LARGE;
    }
    if (cluster > (function->largeCluster ? CLUSTER_OPT_IN : CLUSTER_DEFAULT)) {
        carousel_standin_misuse("%s: clusters of %u blocks, more than the %u that need no attribute", function->name.c_str(),
                cluster, CLUSTER_DEFAULT);
        return INVALID_CLUSTER_SIZE;
    }
    if (word(LARGEST_CLUSTER) != 0 && cluster > word(LARGEST_CLUSTER)) {
        return INVALID_CLUSTER_SIZE;
    }
    if (cluster > 1 && grid[0] % cluster != 0) {
        carousel_standin_misuse("%s: a grid of %u blocks where clusters have %u", function->name.c_str(), grid[0], cluster);
        return INVALID_VALUE;
    }
    auto call = std::make_shared<KernelCall>();
    call->function = function;
    std::memcpy(call->grid, grid, sizeof call->grid);
    std::memcpy(call->block, block, sizeof call->block);
    call->sharedBytes = sharedBytes;
    int result = copyArguments(*call, params, extra);
    if (result != SUCCESS) {
        return result;
    }
    auto made = std::make_shared<Job>();
    made->what = function->name;
    made->nodeType = NODE_KERNEL;
    made->kernel = call;
    made->together = cooperative ? grid[0] * grid[1] * grid[2] : 0;
    result = checkArguments(*call, *made);
    if (result != SUCCESS) {
        return result;
    }
    static std::atomic<uint64_t> runs{0};
    made->run = [call] { return runKernel(*call, mix(word(SEED) + mix(++runs))); };
    job = made;
    return SUCCESS;
}

}  // namespace carousel::standin

using namespace carousel::standin;

STANDIN_EXPORT CUresult cuModuleLoadData(void** module, const void* image) {
    return load(module, image, 0, nullptr, nullptr, "cuModuleLoadData");
}

STANDIN_EXPORT CUresult cuModuleLoadDataEx(
        void** module, const void* image, unsigned count, int* options, void** values) {
    return load(module, image, count, options, values, "cuModuleLoadDataEx");
}

STANDIN_EXPORT CUresult cuModuleLoad(void** module, const char* file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
        return FILE_NOT_FOUND;
    }
    std::stringstream text;
    text << in.rdbuf();
    return load(module, text.str().c_str(), 0, nullptr, nullptr, "cuModuleLoad");
}

STANDIN_EXPORT CUresult cuModuleUnload(void* handle) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    Module* module = liveModule(handle);
    if (module == nullptr) {
        carousel_standin_misuse("cuModuleUnload: %p is not a loaded module", handle);
        return INVALID_HANDLE;
    }
    finishAll(lock, context);
    module->alive = false;
    module->context->modules.erase(module);
    carousel_standin_add(LIVE_MODULES, -1);
    return result;
}

STANDIN_EXPORT CUresult cuModuleGetLoadingMode(int* mode) {
    *mode = 1;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuModuleGetFunction(void** result, void* handle, const char* name) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    Module* module = liveModule(handle);
    if (module == nullptr || result == nullptr || name == nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuModuleGetFunction")) {
        return NOT_FOUND;
    }
    auto found = module->functions.find(name);
    if (found == module->functions.end()) {
        return NOT_FOUND;
    }
    *result = found->second;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuFuncGetModule(void** result, void* handle) {
    Lock lock(world().mutex);
    Function* function = liveFunction(handle, "cuFuncGetModule");
    if (function == nullptr) {
        return INVALID_HANDLE;
    }
    *result = function->module;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuFuncGetAttribute(int* value, int attribute, void* handle) {
    Lock lock(world().mutex);
    Function* function = liveFunction(handle, "cuFuncGetAttribute");
    if (function == nullptr) {
        return INVALID_HANDLE;
    }
    switch (attribute) {
        case 0:
            *value = 1024;
            return SUCCESS;  // MAX_THREADS_PER_BLOCK
        case 1:              // SHARED_SIZE_BYTES
        case 2:              // CONST_SIZE_BYTES
        case 3:
            *value = 0;
            return SUCCESS;  // LOCAL_SIZE_BYTES
        case 4:
            *value = 32;
            return SUCCESS;  // NUM_REGS
        case 5:
            *value = 75;
            return SUCCESS;  // PTX_VERSION
        case 6:
            *value = 90;
            return SUCCESS;  // BINARY_VERSION
        case 7:
            *value = 0;
            return SUCCESS;  // CACHE_MODE_CA
        case 8:
            *value = static_cast<int>(function->dynamicSharedLimit);
            return SUCCESS;
        case 9:
            *value = function->carveout;
            return SUCCESS;
        case 11:  // REQUIRED_CLUSTER_WIDTH, 0 where the launch says it
            *value = clusterSize(function) <= 1 ? 0 : static_cast<int>(clusterSize(function));
            return SUCCESS;
        case 12:  // REQUIRED_CLUSTER_HEIGHT
        case 13:  // REQUIRED_CLUSTER_DEPTH
            *value = clusterSize(function) <= 1 ? 0 : 1;
            return SUCCESS;
        case 14:
            *value = function->largeCluster ? 1 : 0;
            return SUCCESS;  // NON_PORTABLE_CLUSTER_SIZE_ALLOWED
        default:
            return INVALID_VALUE;
    }
}

STANDIN_EXPORT CUresult cuFuncSetAttribute(void* handle, int attribute, int value) {
    Lock lock(world().mutex);
    Function* function = liveFunction(handle, "cuFuncSetAttribute");
    if (function == nullptr) {
        return INVALID_HANDLE;
    }
    if (attribute == 8 && value >= 0 && static_cast<size_t>(value) <= SHARED_OPT_IN) {
        function->dynamicSharedLimit = std::max<size_t>(static_cast<size_t>(value), SHARED_DEFAULT);
        return SUCCESS;
    }
    if (attribute == 9 && value >= -1 && value <= 100) {
        function->carveout = value;
        return SUCCESS;
    }
    if (attribute == 14 && (value == 0 || value == 1)) {
        function->largeCluster = value == 1;
        return SUCCESS;
    }
    return INVALID_VALUE;
}

STANDIN_EXPORT CUresult cuFuncSetCacheConfig(void* handle, int) {
    Lock lock(world().mutex);
    return liveFunction(handle, "cuFuncSetCacheConfig") == nullptr ? INVALID_HANDLE : SUCCESS;
}

STANDIN_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        int* blocks, void* handle, int blockSize, size_t shared, unsigned) {
    Lock lock(world().mutex);
    Function* function = liveFunction(handle, "cuOccupancyMaxActiveBlocksPerMultiprocessor");
    if (function == nullptr) {
        return INVALID_HANDLE;
    }
    if (blocks == nullptr || blockSize <= 0) {
        return INVALID_VALUE;
    }
    size_t byThreads = blockSize > 1024 ? 0 : 2048 / static_cast<size_t>((blockSize + 31) / 32 * 32);
    size_t byShared = shared > function->dynamicSharedLimit ? 0 : 228 * 1024 / (shared + 1024);
    *blocks = static_cast<int>(std::min<size_t>({byThreads, byShared, 32}));
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(
        int* blocks, void* function, int blockSize, size_t shared) {
    return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, blockSize, shared, 0);
}

STANDIN_EXPORT CUresult cuLaunchKernel(void* function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
        unsigned blockY, unsigned blockZ, unsigned sharedBytes, void* stream, void** params, void** extra) {
    unsigned grid[] = {gridX, gridY, gridZ};
    unsigned block[] = {blockX, blockY, blockZ};
    return launch(function, grid, block, sharedBytes, stream, params, extra);
}

STANDIN_EXPORT CUresult cuLaunchCooperativeKernel(void* function, unsigned gridX, unsigned gridY, unsigned gridZ,
        unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes, void* stream, void** params) {
    unsigned grid[] = {gridX, gridY, gridZ};
    unsigned block[] = {blockX, blockY, blockZ};
    return launch(function, grid, block, sharedBytes, stream, params, nullptr, true);
}
