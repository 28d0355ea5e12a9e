// Failures that a test orders.
#include <chrono>
#include <thread>

#include "device.h"

TEST_F(Device, TheKthAllocationFails) {
    CUdeviceptr p = 0;
    failAt(2, KIND_ALLOCATION);
    EXPECT_EQ(0, cuMemAlloc_v2(&p, 4));
    free({p});
    void* pinned = nullptr;
    EXPECT_EQ(0, cuMemAllocHost_v2(&pinned, 4)) << "another kind";
    EXPECT_EQ(0, cuMemFreeHost(pinned));
    EXPECT_EQ(2, cuMemAllocAsync(&p, 4, stream));
    EXPECT_EQ(0, cuMemAlloc_v2(&p, 4));
    free({p});
    EXPECT_EQ(3U, word(COUNTABLE_CALLS));
    EXPECT_EQ(1U, word(FAILURES));
}

TEST_F(Device, APinnedAllocationFails) {
    void* pinned = nullptr;
    failAt(1, KIND_PINNED);
    EXPECT_EQ(2, cuMemHostAlloc(&pinned, 4, 0));
    EXPECT_EQ(0, cuMemHostAlloc(&pinned, 4, 0));
    EXPECT_EQ(0, cuMemFreeHost(pinned));
}

TEST_F(Device, ACopyFailsAndTheContextSurvives) {
    CUdeviceptr p = upload<float>({1});
    float value = 5;
    failAt(1, KIND_COPY);
    EXPECT_EQ(719, cuMemcpyDtoH_v2(&value, p, 4));
    EXPECT_EQ(5, value);
    EXPECT_EQ(0, cuMemcpyDtoH_v2(&value, p, 4));
    failAt(1, KIND_COPY);
    EXPECT_EQ(719, cuMemsetD8Async(p, 0, 4, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(1, download<float>(p, 1)[0]);
    free({p});
}

TEST_F(Device, AStickyFailureEndsTheContext) {
    CUdeviceptr p = upload<float>({1});
    failAt(1, KIND_COPY | STICKY_FAILURES);
    EXPECT_EQ(719, cuMemsetD8Async(p, 0, 4, stream));
    CUdeviceptr q = 0;
    EXPECT_EQ(719, cuStreamSynchronize(stream));
    EXPECT_EQ(719, cuMemAlloc_v2(&q, 4));
    EXPECT_EQ(719, cuMemFree_v2(p)) << "but what can be given back is";
    EXPECT_EQ(0U, word(LIVE_ALLOCATIONS));
    EXPECT_EQ(719, cuStreamDestroy_v2(stream));
    EXPECT_EQ(0, cuDevicePrimaryCtxRelease_v2(0));
    ASSERT_EQ(0, cuDevicePrimaryCtxRetain(&context, 0));
    ASSERT_EQ(0, cuCtxSetCurrent(context));
    ASSERT_EQ(0, cuStreamCreate(&stream, 1)) << "a new context is well";
}

TEST_F(Device, ALaunchFails) {
    void* module = nullptr;
    void* function = nullptr;
    ASSERT_EQ(0, cuModuleLoadData(&module, ptx({"carousel_standin_add_one"}).c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&function, module, "carousel_standin_add_one"));
    CUdeviceptr y = upload<float>({1});
    long long n = 1;
    void* params[] = {&y, &n};
    failAt(1, KIND_LAUNCH);
    EXPECT_EQ(719, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    EXPECT_EQ(0, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(2, download<float>(y, 1)[0]);
    free({y});
    EXPECT_EQ(0, cuModuleUnload(module));
}

TEST_F(Device, ALaunchHangsUntilItIsToldToEnd) {
    setWord(WORKER_DELAY, 1);
    void* module = nullptr;
    void* function = nullptr;
    ASSERT_EQ(0, cuModuleLoadData(&module, ptx({"carousel_standin_add_one"}).c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&function, module, "carousel_standin_add_one"));
    CUdeviceptr y = upload<float>({1});
    long long n = 1;
    void* params[] = {&y, &n};
    setWord(HANGS, 1);
    failAt(2, KIND_LAUNCH);
    for (int k = 0; k < 3; k++) {
        EXPECT_EQ(0, cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, params, nullptr));
    }
    EXPECT_EQ(1U, word(FAILURES));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(600, cuStreamQuery(stream));
    EXPECT_EQ(2, *at<float>(y)) << "nothing behind it begins";
    setWord(HANGS, 0);
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(4, download<float>(y, 1)[0]);
    free({y});
    EXPECT_EQ(0, cuModuleUnload(module));
}

TEST_F(Device, CallsForObjectsFail) {
    void* object = nullptr;
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(2, cuStreamCreate(&object, 0));
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(2, cuEventCreate(&object, 0));
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(719, cuStreamSynchronize(stream));
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(2, cuModuleLoadData(&object, ptx({}).c_str()));
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(719, cuStreamBeginCapture_v2(stream, 1));
    failAt(2, KIND_OBJECT);
    EXPECT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(719, cuStreamEndCapture(stream, &object));
    EXPECT_EQ(nullptr, object);
    failAt(1, KIND_OBJECT);
    EXPECT_EQ(2, cuDevicePrimaryCtxRetain(&object, 0));
}

TEST_F(Device, LibraryCallsFail) {
    void* handle = nullptr;
    failAt(1, KIND_CUBLAS);
    EXPECT_EQ(3, cublasCreate_v2(&handle));
    EXPECT_EQ(0, cublasCreate_v2(&handle));
    failAt(1, KIND_CUBLAS);
    EXPECT_EQ(13, cublasSetStream_v2(handle, stream));
    EXPECT_EQ(0, cublasDestroy_v2(handle));
    failAt(1, KIND_CUDNN);
    EXPECT_EQ(5000, cudnnCreate(&handle));
    setWord(CUDNN_FAILURE_STATUS, 3000);
    failAt(2, KIND_CUDNN);
    EXPECT_EQ(0, cudnnCreate(&handle));
    void* descriptor = nullptr;
    EXPECT_EQ(3000, cudnnCreateTensorDescriptor(&descriptor));
    EXPECT_EQ(0, cudnnDestroy(handle));
}
