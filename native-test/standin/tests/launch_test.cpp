// Modules and launches.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "device.h"

namespace {

const char* const ADD_ONE = "carousel_standin_add_one";

class Launch : public Device {
protected:
    void SetUp() override {
        Device::SetUp();
        ASSERT_EQ(0, cuModuleLoadData(&module, ptx({ADD_ONE}).c_str()));
        ASSERT_EQ(0, cuModuleGetFunction(&function, module, ADD_ONE));
    }

    void TearDown() override {
        EXPECT_EQ(0, cuModuleUnload(module));
        Device::TearDown();
    }

    int launch(CUdeviceptr y, long long n, unsigned grid = 1, unsigned block = 256, unsigned shared = 0) {
        void* params[] = {&y, &n};
        return cuLaunchKernel(function, grid, 1, 1, block, 1, 1, shared, stream, params, nullptr);
    }

    void* module = nullptr;
    void* function = nullptr;
};

}  // namespace

TEST_F(Launch, Runs) {
    CUdeviceptr y = upload<float>({1, 2, 3});
    uint64_t before = word(LAUNCHES);
    EXPECT_EQ(0, launch(y, 3));
    EXPECT_EQ(0, launch(y, 2));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ((std::vector<float>{3, 4, 4}), download<float>(y, 3));
    EXPECT_EQ(before + 2, word(LAUNCHES));
    free({y});
}

TEST_F(Launch, TakesAPackedBuffer) {
    CUdeviceptr y = upload<float>({1});
    struct {
        CUdeviceptr y;
        long long n;
    } packed{y, 1};
    size_t bytes = sizeof packed;
    void* extra[] = {reinterpret_cast<void*>(1), &packed, reinterpret_cast<void*>(2), &bytes, nullptr};
    EXPECT_EQ(0, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, extra));
    packed.n = 99;  // the arguments were copied by the call
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(2, download<float>(y, 1)[0]);
    bytes = 12;
    EXPECT_EQ(1, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, nullptr, extra));
    misuse = 1;
    free({y});
}

TEST_F(Launch, RefusesWhatTheDeviceCannotDo) {
    CUdeviceptr y = upload<float>({1});
    EXPECT_EQ(1, launch(y, 1, 0));
    EXPECT_EQ(1, launch(y, 1, 1, 0));
    EXPECT_EQ(1, launch(y, 1, 1, 1025));
    EXPECT_EQ(1, launch(y, 1, 1, 256, 48 * 1024 + 1));
    misuse = 4;
    EXPECT_EQ(0, cuFuncSetAttribute(function, 8, 100 * 1024));
    EXPECT_EQ(0, launch(y, 1, 1, 256, 100 * 1024));
    EXPECT_EQ(1, cuFuncSetAttribute(function, 8, 228 * 1024));
    void* params[] = {&y, nullptr};
    EXPECT_EQ(1, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    misuse = 5;
    EXPECT_EQ(400, cuLaunchKernel(module, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    free({y});
}

TEST_F(Launch, HasAsMuchSharedMemoryAsWasAskedFor) {
    CUdeviceptr y = upload<float>({1});
    EXPECT_EQ(0, launch(y, 1, 1, 256, 48 * 1024));
    EXPECT_EQ(1, launch(y, 1, 1, 256, 227 * 1024));
    misuse = 1;
    EXPECT_EQ(0, cuFuncSetAttribute(function, 8, 227 * 1024));
    EXPECT_EQ(0, launch(y, 1, 1, 256, 227 * 1024));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    free({y});
}

TEST_F(Launch, OnlyKernelsWhoseBlocksWaitAreCooperative) {
    CUdeviceptr y = upload<float>({1});
    long long n = 1;
    void* params[] = {&y, &n};
    EXPECT_EQ(1, cuLaunchCooperativeKernel(function, 1, 1, 1, 256, 1, 1, 0, stream, params));
    misuse = 1;
    free({y});
}

TEST_F(Launch, PointersMustBeAlive) {
    CUdeviceptr y = upload<float>({1});
    free({y});
    EXPECT_EQ(700, launch(y, 1));
    float onTheStack = 0;
    EXPECT_EQ(700, launch(reinterpret_cast<CUdeviceptr>(&onTheStack), 1));
    misuse = 2;
    EXPECT_EQ(0, launch(0, 0)) << "null is the kernel's affair";
    EXPECT_EQ(0, cuStreamSynchronize(stream));
}

TEST_F(Launch, AnOverrunIsFoundWhenTheMemoryIsFreed) {
    CUdeviceptr y = upload<float>({1, 2});
    EXPECT_EQ(0, launch(y, 3));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    // A guard band is NaN and stays NaN when 1 is added, but its payload or sign may not: what counts is that a write
    // of a number shows.
    at<float>(y)[2] = 1;
    free({y});
    misuse = 1;
}

TEST_F(Launch, FunctionsTellAboutThemselves) {
    int value = 0;
    EXPECT_EQ(0, cuFuncGetAttribute(&value, 0, function));
    EXPECT_EQ(1024, value);
    EXPECT_EQ(0, cuFuncGetAttribute(&value, 14, function));
    EXPECT_EQ(0, value) << "a cluster of more than 8 has to be allowed";
    EXPECT_EQ(0, cuFuncSetAttribute(function, 14, 1));
    EXPECT_EQ(0, cuFuncGetAttribute(&value, 14, function));
    EXPECT_EQ(1, value);
    EXPECT_EQ(1, cuFuncSetAttribute(function, 14, 2));
    EXPECT_EQ(0, cuFuncGetAttribute(&value, 11, function));
    EXPECT_EQ(0, value) << "it has no cluster";
    EXPECT_EQ(0, cuOccupancyMaxActiveBlocksPerMultiprocessor(&value, function, 256, 0));
    EXPECT_EQ(8, value);
    void* none = nullptr;
    EXPECT_EQ(500, cuModuleGetFunction(&none, module, "carousel_nothing"));
}

TEST_F(Launch, AModuleMustBeUnderstood) {
    void* other = nullptr;
    char log[200] = "";
    int options[] = {5, 6};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log)};
    EXPECT_EQ(218, cuModuleLoadDataEx(&other, ptx({ADD_ONE, "carousel_nothing"}).c_str(), 2, options, values));
    EXPECT_STREQ("the emulation has no kernel carousel_nothing", log);
    EXPECT_EQ(200, cuModuleLoadData(&other, "no PTX at all"));
    EXPECT_EQ(222, cuModuleLoadData(&other, ptx({ADD_ONE}, "9.0").c_str()));
    EXPECT_EQ(209, cuModuleLoadData(&other, ptx({ADD_ONE}, "8.0", "sm_100").c_str()));
    setWord(DRIVER_VERSION, 13000);
    EXPECT_EQ(0, cuModuleLoadData(&other, ptx({ADD_ONE}, "9.0").c_str()));
    setWord(DRIVER_VERSION, 0);
    EXPECT_EQ(2U, word(LIVE_MODULES));
    EXPECT_EQ(0, cuModuleUnload(other));
    EXPECT_EQ(400, cuModuleUnload(other));
    misuse = 1;
}

TEST_F(Launch, AFunctionOfAnUnloadedModuleIsRefused) {
    void* other = nullptr;
    void* its = nullptr;
    ASSERT_EQ(0, cuModuleLoadData(&other, ptx({ADD_ONE}).c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&its, other, ADD_ONE));
    EXPECT_EQ(0, cuModuleUnload(other));
    CUdeviceptr y = 0;
    long long n = 0;
    void* params[] = {&y, &n};
    EXPECT_EQ(400, cuLaunchKernel(its, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    misuse = 1;
}

#ifdef CAROUSEL_STANDIN_KERNELS

TEST_F(Device, LaunchesTheProjectsKernels) {
    void* module = nullptr;
    void* function = nullptr;
    ASSERT_EQ(0, cuModuleLoadData(&module, ptx({"carousel_fill_f32", "carousel_fill_f64"}).c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&function, module, "carousel_fill_f32"));
    CUdeviceptr y = allocate(1000 * 4);
    long long n = 1000;
    double value = 2.5;
    void* params[] = {&y, &n, &value};
    EXPECT_EQ(0, cuLaunchKernel(function, 2, 1, 1, 256, 1, 1, 0, stream, params, nullptr));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(std::vector<float>(1000, 2.5F), download<float>(y, 1000));
    EXPECT_EQ(1, cuLaunchKernel(function, 2, 1, 1, 128, 1, 1, 0, stream, params, nullptr))
            << "blocks of another size than its contract says";
    misuse = 1;
    free({y});
    EXPECT_EQ(0, cuModuleUnload(module));
}

TEST_F(Device, ClustersMustBeWholeAndAllowed) {
    const char* const of8 = "carousel_lstm_cluster_forward_bf16_h256";
    const char* const of16 = "carousel_lstm_cluster_forward_bf16_h512";
    void* module = nullptr;
    void* functionOf8 = nullptr;
    void* functionOf16 = nullptr;
    ASSERT_EQ(0, cuModuleLoadData(&module, ptx({of8, of16}, "8.1", "sm_90").c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&functionOf8, module, of8));
    ASSERT_EQ(0, cuModuleGetFunction(&functionOf16, module, of16));
    int value = 0;
    EXPECT_EQ(0, cuFuncGetAttribute(&value, 11, functionOf16));
    EXPECT_EQ(16, value);
    // No sequences at all: nothing is read or written but R.
    constexpr unsigned shared = 200 * 1024;
    CUdeviceptr R = upload(std::vector<float>(512 * 512 * 2));
    CUdeviceptr none = 0;
    int zero = 0;
    int one = 1;
    double clip = 0;
    void* params[] = {&R, &R, &R, &R, &none, &none, &none, &none, &none, &none, &zero, &none, &zero, &zero, &zero, &one, &zero, &one, &clip};
    auto launch = [&](void* function, unsigned blocks, unsigned threads) {
        return cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, stream, params, nullptr);
    };
    EXPECT_EQ(1, launch(functionOf8, 8, 256)) << "more shared memory than it was allowed";
    EXPECT_EQ(0, cuFuncSetAttribute(functionOf8, 8, shared));
    EXPECT_EQ(0, cuFuncSetAttribute(functionOf16, 8, shared));
    EXPECT_EQ(1, launch(functionOf8, 9, 256));
    EXPECT_EQ(912, launch(functionOf16, 16, 512));
    misuse = 3;
    EXPECT_EQ(0, launch(functionOf8, 16, 256));
    EXPECT_EQ(0, cuFuncSetAttribute(functionOf16, 14, 1));
    EXPECT_EQ(0, launch(functionOf16, 16, 512));
    setWord(LARGEST_CLUSTER, 8);
    EXPECT_EQ(912, launch(functionOf16, 16, 512)) << "a device that takes none as large, which is nobody's mistake";
    EXPECT_EQ(0, launch(functionOf8, 16, 256));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    free({R});
    EXPECT_EQ(0, cuModuleUnload(module));
}

TEST_F(Device, LoadsThePtxThatIsCheckedIn) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(CAROUSEL_PTX)) {
        if (entry.path().extension() != ".ptx") {
            continue;
        }
        std::stringstream text;
        text << std::ifstream(entry.path()).rdbuf();
        void* module = nullptr;
        ASSERT_EQ(0, cuModuleLoadData(&module, text.str().c_str())) << entry.path();
        EXPECT_EQ(0, cuModuleUnload(module));
        files++;
    }
    EXPECT_LT(0, files);
}

#endif
