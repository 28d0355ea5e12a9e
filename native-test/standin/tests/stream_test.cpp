// Devices, contexts, streams and events.
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "device.h"

TEST_F(Device, SaysWhatItIs) {
    int version = 0;
    EXPECT_EQ(0, cuDriverGetVersion(&version));
    EXPECT_EQ(12060, version);
    setWord(DRIVER_VERSION, 12020);
    EXPECT_EQ(0, cuDriverGetVersion(&version));
    EXPECT_EQ(12020, version);
    setWord(DRIVER_VERSION, 0);
    char name[64];
    EXPECT_EQ(0, cuDeviceGetName(name, 64, 0));
    EXPECT_STREQ("Carousel CPU stand-in", name);
    int major = 0;
    int minor = -1;
    EXPECT_EQ(0, cuDeviceGetAttribute(&major, 75, 0));
    EXPECT_EQ(0, cuDeviceGetAttribute(&minor, 76, 0));
    EXPECT_EQ(9, major);
    EXPECT_EQ(0, minor);
    size_t bytes = 0;
    EXPECT_EQ(0, cuDeviceTotalMem_v2(&bytes, 0));
    EXPECT_EQ(1U << 30, bytes);
    EXPECT_EQ(101, cuDeviceGetName(name, 64, 1));
}

TEST_F(Device, ThereMayBeMoreDevicesOrNone) {
    int count = 0;
    EXPECT_EQ(0, cuDeviceGetCount(&count));
    EXPECT_EQ(1, count);
    setWord(DEVICES_PLUS_ONE, 4);
    EXPECT_EQ(0, cuDeviceGetCount(&count));
    EXPECT_EQ(3, count);
    setWord(DEVICES_PLUS_ONE, 1);
    EXPECT_EQ(100, cuInit(0));
    setWord(DEVICES_PLUS_ONE, 0);
    EXPECT_EQ(0, cuInit(0));
}

TEST_F(Device, ErrorsHaveNamesAndTexts) {
    const char* text = nullptr;
    EXPECT_EQ(0, cuGetErrorName(2, &text));
    EXPECT_STREQ("CUDA_ERROR_OUT_OF_MEMORY", text);
    EXPECT_EQ(0, cuGetErrorString(719, &text));
    EXPECT_STREQ("unspecified launch failure", text);
    EXPECT_EQ(1, cuGetErrorName(12345, &text));
    EXPECT_EQ(nullptr, text);
}

TEST_F(Device, AThreadNeedsAContext) {
    std::thread([this] {
        CUdeviceptr p = 0;
        EXPECT_EQ(201, cuMemAlloc_v2(&p, 4));
        EXPECT_EQ(201, cuStreamSynchronize(stream));
        EXPECT_EQ(201, cuCtxSynchronize());
        void* handle = nullptr;
        EXPECT_EQ(1, cublasCreate_v2(&handle));
        EXPECT_EQ(1001, cudnnCreate(&handle));
        EXPECT_EQ(0, cuCtxPushCurrent_v2(context));
        EXPECT_EQ(0, cuStreamSynchronize(stream));
        void* popped = nullptr;
        EXPECT_EQ(0, cuCtxPopCurrent_v2(&popped));
        EXPECT_EQ(context, popped);
        EXPECT_EQ(201, cuStreamSynchronize(stream));
    }).join();
}

TEST_F(Device, APrimaryContextLivesWhileItIsRetained) {
    void* again = nullptr;
    EXPECT_EQ(0, cuDevicePrimaryCtxRetain(&again, 0));
    EXPECT_EQ(context, again);
    EXPECT_EQ(2U, word(RETAINED));
    EXPECT_EQ(0, cuDevicePrimaryCtxRelease_v2(0));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
}

TEST_F(Device, WorkRunsLaterThanTheCallAndInOrder) {
    std::vector<CUdeviceptr> p;
    CUdeviceptr first = allocate(4);
    EXPECT_EQ(0, cuMemsetD32Async(first, 1, 1, stream));
    EXPECT_NE(1U, *at<volatile uint32_t>(first));
    EXPECT_EQ(600, cuStreamQuery(stream));
    for (unsigned k = 2; k <= 100; k++) {
        EXPECT_EQ(0, cuMemsetD32Async(first, k, 1, stream));
    }
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(0, cuStreamQuery(stream));
    EXPECT_EQ(100U, *at<uint32_t>(first));
    free({first});
}

TEST_F(Device, WorkIsDoneWithoutAnybodyWaiting) {
    setWord(WORKER_DELAY, 0);
    CUdeviceptr p = allocate(4);
    EXPECT_EQ(0, cuMemsetD32Async(p, 7, 1, stream));
    for (int k = 0; k < 1000 && cuStreamQuery(stream) == 600; k++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(7U, *at<uint32_t>(p));
    free({p});
}

TEST_F(Device, AWorkerThatWasForestalledGoesOn) {
    setWord(WORKER_DELAY, 1);
    CUdeviceptr p = allocate(4);
    for (int round = 0; round < 50; round++) {
        EXPECT_EQ(0, cuMemsetD8Async(p, 1, 4, stream));
        EXPECT_EQ(0, cuStreamSynchronize(stream));
        // So that the worker wakes and finds nothing.
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        EXPECT_EQ(0, cuMemsetD8Async(p, 2, 4, stream));
        int polls = 0;
        while (cuStreamQuery(stream) == 600 && polls++ < 5000) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        ASSERT_EQ(0, cuStreamQuery(stream)) << "in round " << round;
    }
    free({p});
}

TEST_F(Device, ADestroyedStreamIsRefused) {
    void* other = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 0));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
    EXPECT_EQ(400, cuStreamSynchronize(other));
    EXPECT_EQ(400, cuStreamDestroy_v2(other));
    EXPECT_EQ(400, cuStreamSynchronize(&misuse));
    misuse = 3;
}

TEST_F(Device, TheDefaultStreamWaitsForBlockingStreamsAndTheyForIt) {
    void* blocking = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&blocking, 0));
    CUdeviceptr p = allocate(4);
    EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, blocking));
    EXPECT_EQ(0, cuMemsetD32Async(p, 2, 1, nullptr));
    EXPECT_EQ(0, cuMemsetD32Async(p, 3, 1, blocking));
    EXPECT_EQ(3U, download<uint32_t>(p, 1)[0]) << "a blocking copy runs in the default stream";
    free({p});
    EXPECT_EQ(0, cuStreamDestroy_v2(blocking));
}

TEST_F(Device, TheDefaultStreamDoesNotWaitForOthers) {
    CUdeviceptr p = allocate(4);
    EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, stream));
    EXPECT_NE(1U, download<uint32_t>(p, 1)[0]) << "a non-blocking stream, and nobody has waited";
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    free({p});
}

TEST_F(Device, AStreamWaitsForAnEventOfAnother) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    CUdeviceptr p = allocate(4);
    EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0)) << "never recorded: nothing to wait for";
    for (unsigned k = 0; k < 20; k++) {
        EXPECT_EQ(0, cuMemsetD32Async(p, 2 * k, 1, stream));
        EXPECT_EQ(0, cuEventRecord(event, stream));
        EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        EXPECT_EQ(0, cuMemsetD32Async(p, 2 * k + 1, 1, other));
        EXPECT_EQ(0, cuEventRecord(event, other));
        EXPECT_EQ(0, cuStreamWaitEvent(stream, event, 0));
    }
    EXPECT_EQ(600, cuEventQuery(event));
    EXPECT_EQ(0, cuEventSynchronize(event));
    EXPECT_EQ(0, cuEventQuery(event));
    EXPECT_EQ(39U, *at<uint32_t>(p));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(39U, *at<uint32_t>(p)) << "all of this stream's work was over when the other's last began";
    free({p});
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(400, cuEventQuery(event));
    misuse = 1;
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
}

TEST_F(Device, UnrulyStreamsRunAheadUnlessTheyWait) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    CUdeviceptr p = allocate(4);
    for (uint64_t order : {1, 2}) {
        setWord(UNRULY, order);
        void* first = order == 1 ? stream : other;
        void* second = order == 1 ? other : stream;
        for (bool waits : {true, false}) {
            EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, first));
            EXPECT_EQ(0, cuEventRecord(event, first));
            if (waits) {
                EXPECT_EQ(0, cuStreamWaitEvent(second, event, 0));
            }
            EXPECT_EQ(0, cuMemsetD32Async(p, 2, 1, second));
            EXPECT_EQ(0, cuStreamSynchronize(first));
            EXPECT_EQ(0, cuStreamSynchronize(second));
            EXPECT_EQ(waits ? 2U : 1U, download<uint32_t>(p, 1)[0]) << "order " << order;
        }
    }
    setWord(UNRULY, 3);
    CUdeviceptr q = upload<uint32_t>({0, 0});
    // In turns: p is 1 when the first copy is made, 2 when the second is.
    EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, stream));
    EXPECT_EQ(0, cuMemsetD32Async(p, 2, 1, stream));
    EXPECT_EQ(0, cuMemcpyDtoDAsync_v2(q, p, 4, other));
    EXPECT_EQ(0, cuMemcpyDtoDAsync_v2(q + 4, p, 4, other));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(0, cuStreamSynchronize(other));
    std::vector<uint32_t> seen = download<uint32_t>(q, 2);
    EXPECT_EQ(1U, seen[1] - seen[0]) << "whoever begins";
    free({q});
    // Nobody waits for it, and nothing is lost with the stream.
    EXPECT_EQ(0, cuMemsetD32Async(p, 3, 1, other));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_NE(3U, *at<volatile uint32_t>(p));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
    EXPECT_EQ(3U, *at<uint32_t>(p));
    setWord(UNRULY, 0);
    free({p});
    EXPECT_EQ(0, cuEventDestroy_v2(event));
}

TEST_F(Device, AWaitCanBeForgotten) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    CUdeviceptr p = allocate(4);
    setWord(UNRULY, 1);
    for (uint64_t call : {1, 2}) {
        failAt(call, KIND_WAIT);
        setWord(DROPS, 1);
        EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, stream));
        EXPECT_EQ(0, cuEventRecord(event, stream));
        EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        EXPECT_EQ(0, cuMemsetD32Async(p, 2, 1, other));
        EXPECT_EQ(0, cuStreamSynchronize(stream));
        EXPECT_EQ(0, cuStreamSynchronize(other));
        EXPECT_EQ(call == 2 ? 2U : 1U, download<uint32_t>(p, 1)[0]) << "call " << call;
        setWord(DROPS, 0);
    }
    for (uint64_t kind : {KIND_WAIT, KIND_OBJECT}) {
        failAt(1, kind);
        EXPECT_EQ(719, cuStreamWaitEvent(other, event, 0));
    }
    setWord(UNRULY, 0);
    free({p});
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
}

TEST_F(Device, EventsMeasureTime) {
    void* start = nullptr;
    void* end = nullptr;
    void* untimed = nullptr;
    ASSERT_EQ(0, cuEventCreate(&start, 0));
    ASSERT_EQ(0, cuEventCreate(&end, 0));
    ASSERT_EQ(0, cuEventCreate(&untimed, 2));
    float milliseconds = -1;
    EXPECT_EQ(400, cuEventElapsedTime(&milliseconds, start, end));
    EXPECT_EQ(0, cuEventRecord(start, stream));
    EXPECT_EQ(0,
            cuLaunchHostFunc(
                    stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }, nullptr));
    EXPECT_EQ(0, cuEventRecord(end, stream));
    EXPECT_EQ(0, cuEventRecord(untimed, stream));
    EXPECT_EQ(600, cuEventElapsedTime(&milliseconds, start, end));
    EXPECT_EQ(0, cuEventSynchronize(end));
    EXPECT_EQ(0, cuEventElapsedTime(&milliseconds, start, end));
    EXPECT_LE(2.9, milliseconds);
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(400, cuEventElapsedTime(&milliseconds, start, untimed));
    for (void* event : {start, end, untimed}) {
        EXPECT_EQ(0, cuEventDestroy_v2(event));
    }
}

TEST_F(Device, CountsHostSynchronisations) {
    uint64_t before = word(HOST_SYNCHRONISATIONS);
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(0, cuCtxSynchronize());
    CUdeviceptr p = upload<float>({1});
    EXPECT_EQ(before + 3, word(HOST_SYNCHRONISATIONS));
    free({p});
}

TEST_F(Device, ManyThreadsMayUseManyStreams) {
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < 4; thread++) {
        threads.emplace_back([this, thread] {
            ASSERT_EQ(0, cuCtxSetCurrent(context));
            void* own = nullptr;
            ASSERT_EQ(0, cuStreamCreate(&own, thread % 2));
            for (unsigned k = 0; k < 200; k++) {
                CUdeviceptr p = 0;
                ASSERT_EQ(0, cuMemAlloc_v2(&p, 64));
                ASSERT_EQ(0, cuMemsetD32Async(p, k, 16, own));
                ASSERT_EQ(0, cuStreamSynchronize(own));
                uint32_t value = 0;
                ASSERT_EQ(0, cuMemcpyDtoH_v2(&value, p + 60, 4));
                ASSERT_EQ(k, value);
                ASSERT_EQ(0, cuMemFree_v2(p));
            }
            ASSERT_EQ(0, cuStreamDestroy_v2(own));
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}
