// A GPU, by the driver API and the PTX that the Java engines load, from the folder that the environment variable
// CAROUSEL_PTX names. libcuda is opened at run time: this builds where there is no driver.
#include <cuda.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>

#include "device.h"

namespace carousel::test::device {

namespace {

// cuda.h turns some names into those of a later version: both macros, so that it can.
#define CAROUSEL_TEXT(name) #name
#define CAROUSEL_DRIVER_NAME(name) CAROUSEL_TEXT(name)
#define CAROUSEL_DRIVER(name) driver<decltype(&name)>(CAROUSEL_DRIVER_NAME(name))

// Throws std::runtime_error.
void* driverFunction(const char* name) {
    static void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) {
        throw std::runtime_error("there is no CUDA driver: libcuda.so.1 cannot be loaded");
    }
    void* function = dlsym(library, name);
    if (function == nullptr) {
        throw std::runtime_error(std::string("the CUDA driver has no ") + name);
    }
    return function;
}

template <typename F>
F driver(const char* name) {
    return reinterpret_cast<F>(driverFunction(name));
}

void check(CUresult result, const std::string& what) {
    if (result != CUDA_SUCCESS) {
        const char* name = nullptr;
        CAROUSEL_DRIVER(cuGetErrorName)(result, &name);
        throw std::runtime_error(what + ": " + (name == nullptr ? "error " + std::to_string(result) : name));
    }
}

class Gpu {
public:
    // Throws std::runtime_error.
    static Gpu& instance() {
        if (!opened) {
            opened.reset(new Gpu());
        }
        return *opened;
    }

    // While the driver still works: it may not when static objects are destroyed.
    static void close() { opened.reset(); }

    bool has(const std::string& name) { return find(name) != nullptr; }

    CUfunction function(const std::string& name) {
        CUfunction function = find(name);
        if (function == nullptr) {
            throw std::runtime_error("there is no kernel " + name);
        }
        return function;
    }

    ~Gpu() {
        for (CUmodule module : modules) {
            CAROUSEL_DRIVER(cuModuleUnload)(module);
        }
        CAROUSEL_DRIVER(cuDevicePrimaryCtxRelease)(device);
    }

private:
    static std::unique_ptr<Gpu> opened;

    // Null when there is none. Allowed all that the device has of shared memory and of blocks in a cluster.
    CUfunction find(const std::string& name) {
        auto found = functions.find(name);
        if (found != functions.end()) {
            return found->second;
        }
        for (CUmodule module : modules) {
            CUfunction function;
            if (CAROUSEL_DRIVER(cuModuleGetFunction)(&function, module, name.c_str()) == CUDA_SUCCESS) {
                int shared = 0;
                int own = 0;
                check(CAROUSEL_DRIVER(cuDeviceGetAttribute)(
                              &shared, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, device),
                        "cuDeviceGetAttribute");
                check(CAROUSEL_DRIVER(cuFuncGetAttribute)(&own, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function),
                        "cuFuncGetAttribute");
                check(CAROUSEL_DRIVER(cuFuncSetAttribute)(
                              function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared - own),
                        "cuFuncSetAttribute");
                if (capability >= 90) {
                    check(CAROUSEL_DRIVER(cuFuncSetAttribute)(
                                  function, CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1),
                            "cuFuncSetAttribute");
                }
                return functions[name] = function;
            }
        }
        return nullptr;
    }

    bool isNewerThanDevice(const std::string& ptx) const {
        size_t target = ptx.find(".target sm_");
        return target != std::string::npos && std::atoi(ptx.c_str() + target + 11) > capability;
    }

    Gpu() {
        check(CAROUSEL_DRIVER(cuInit)(0), "cuInit");
        check(CAROUSEL_DRIVER(cuDeviceGet)(&device, 0), "cuDeviceGet");
        char name[256] = "";
        check(CAROUSEL_DRIVER(cuDeviceGetName)(name, sizeof name, device), "cuDeviceGetName");
        std::printf("running on %s\n", name);
        int major = 0;
        int minor = 0;
        check(CAROUSEL_DRIVER(cuDeviceGetAttribute)(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device),
                "cuDeviceGetAttribute");
        check(CAROUSEL_DRIVER(cuDeviceGetAttribute)(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device),
                "cuDeviceGetAttribute");
        capability = 10 * major + minor;
        CUcontext context;
        check(CAROUSEL_DRIVER(cuDevicePrimaryCtxRetain)(&context, device), "cuDevicePrimaryCtxRetain");
        check(CAROUSEL_DRIVER(cuCtxSetCurrent)(context), "cuCtxSetCurrent");
        const char* folder = std::getenv("CAROUSEL_PTX");
        if (folder == nullptr) {
            throw std::runtime_error("CAROUSEL_PTX should name the folder of the PTX");
        }
        for (const char* unit : {"activation", "elementwise", "embedding", "loss", "reduce", "update", "lstm_pointwise", "lstm_varied",
                     "lstm_resident", "lstm_resident_inputs", "lstm_cluster", "lstm_cluster_inputs", "lstm_grid"}) {
            std::string path = std::string(folder) + "/" + unit + ".ptx";
            std::ifstream file(path, std::ios::binary);
            std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
            if (isNewerThanDevice(text)) {
                std::printf("%s is for newer GPUs: its tests are skipped\n", path.c_str());
                continue;
            }
            CUmodule module;
            check(CAROUSEL_DRIVER(cuModuleLoadData)(&module, text.c_str()), path);
            modules.push_back(module);
        }
    }

    CUdevice device;
    int capability = 0;
    std::vector<CUmodule> modules;
    std::map<std::string, CUfunction> functions;
};

std::unique_ptr<Gpu> Gpu::opened;

class CloseAfterTests : public testing::Environment {
public:
    void TearDown() override { Gpu::close(); }
};

[[maybe_unused]] const testing::Environment* const closing = testing::AddGlobalTestEnvironment(new CloseAfterTests());

CUdeviceptr pointer(const void* memory) {
    return reinterpret_cast<CUdeviceptr>(memory);
}

}  // namespace

void* allocate(size_t bytes) {
    Gpu::instance();
    CUdeviceptr memory;
    check(CAROUSEL_DRIVER(cuMemAlloc)(&memory, bytes), "cuMemAlloc");
    return reinterpret_cast<void*>(memory);
}

void release(void* memory) {
    CAROUSEL_DRIVER(cuMemFree)(pointer(memory));
}

void upload(void* to, const void* from, size_t bytes) {
    check(CAROUSEL_DRIVER(cuMemcpyHtoD)(pointer(to), from, bytes), "cuMemcpyHtoD");
}

void download(void* to, const void* from, size_t bytes) {
    check(CAROUSEL_DRIVER(cuMemcpyDtoH)(to, pointer(from), bytes), "cuMemcpyDtoH");
}

bool runs(const std::string& kernel) {
    return Gpu::instance().has(kernel);
}

std::string launch(
        const std::string& kernel, Grid grid, unsigned block, uint64_t, void** params, const std::vector<size_t>&) {
    try {
        CUfunction function = Gpu::instance().function(kernel);
        if (grid.together) {
            check(CAROUSEL_DRIVER(cuLaunchCooperativeKernel)(function, grid.x, grid.y, 1, block, 1, 1,
                          static_cast<unsigned>(grid.sharedBytes), nullptr, params),
                    "cuLaunchCooperativeKernel");
            check(CAROUSEL_DRIVER(cuCtxSynchronize)(), "cuCtxSynchronize");
            return "";
        }
        check(CAROUSEL_DRIVER(cuLaunchKernel)(function, grid.x, grid.y, 1, block, 1, 1,
                      static_cast<unsigned>(grid.sharedBytes), nullptr, params, nullptr),
                "cuLaunchKernel");
        check(CAROUSEL_DRIVER(cuCtxSynchronize)(), "cuCtxSynchronize");
        return "";
    } catch (const std::exception& e) {
        return e.what();
    }
}

}  // namespace carousel::test::device
