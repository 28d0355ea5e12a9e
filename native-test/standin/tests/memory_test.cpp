// Memory: poison, guard bands, use after free, ranges, pinned memory, copies and memsets.
#include <cstring>
#include <fstream>

#include "device.h"

TEST_F(Device, NewMemoryIsNaNInEveryFormat) {
    CUdeviceptr p = allocate(64);
    for (double value : download<double>(p, 8)) {
        EXPECT_TRUE(std::isnan(value));
    }
    for (float value : download<float>(p, 16)) {
        EXPECT_TRUE(std::isnan(value));
    }
    for (uint16_t half : download<uint16_t>(p, 32)) {
        EXPECT_TRUE((half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0);
    }
    free({p});
}

TEST_F(Device, AddressesAreAlignedAndNotSoonUsedAgain) {
    CUdeviceptr p = allocate(1);
    EXPECT_EQ(0U, p % 256);
    free({p});
    CUdeviceptr q = allocate(1);
    EXPECT_NE(p, q);
    free({q});
}

TEST_F(Device, AWritePastTheEndIsFoundWhenFreed) {
    CUdeviceptr p = allocate(10);
    at<char>(p)[10] = 1;
    free({p});
    misuse = 1;
}

TEST_F(Device, AWriteBeforeTheStartIsFoundWhenFreed) {
    CUdeviceptr p = allocate(10);
    at<char>(p)[-1] = 1;
    free({p});
    misuse = 1;
}

TEST_F(Device, GuardBandsAreCheckedWhenTheContextGoes) {
    void* other = nullptr;
    ASSERT_EQ(0, cuCtxCreate_v2(&other, 0, 0));
    CUdeviceptr p = allocate(16);
    at<float>(p)[4] = 1;
    EXPECT_EQ(0, cuCtxDestroy_v2(other));
    ASSERT_EQ(0, cuCtxSetCurrent(context));
    misuse = 1;
    leaked = 1;
}

TEST_F(Device, AWriteAfterFreeIsFound) {
    CUdeviceptr p = allocate(100);
    free({p});
    at<float>(p)[3] = 1;
    misuse = 1;  // found when the context is destroyed
}

TEST_F(Device, UseAfterFreeIsRefused) {
    CUdeviceptr p = allocate(100);
    free({p});
    EXPECT_NE(0, cuMemsetD8_v2(p, 0, 4));
    char text[4];
    EXPECT_NE(0, cuMemcpyDtoH_v2(text, p, 4));
    misuse = 2;
}

TEST_F(Device, DoubleFreeIsRefused) {
    CUdeviceptr p = allocate(100);
    free({p});
    EXPECT_EQ(1, cuMemFree_v2(p));
    EXPECT_EQ(1, cuMemFree_v2(p + 4));
    EXPECT_EQ(0, cuMemFree_v2(0));
    misuse = 2;
}

TEST_F(Device, CopiesAndMemsetsStayInsideTheirAllocation) {
    CUdeviceptr p = allocate(100);
    std::vector<char> host(200);
    EXPECT_EQ(1, cuMemcpyHtoD_v2(p, host.data(), 101));
    EXPECT_EQ(1, cuMemcpyDtoH_v2(host.data(), p + 1, 100));
    EXPECT_EQ(1, cuMemsetD32_v2(p, 0, 26));
    EXPECT_EQ(1, cuMemcpyDtoD_v2(p, p + 50, 51));
    misuse = 4;
    EXPECT_EQ(1, cuMemsetD32_v2(p + 2, 0, 1)) << "not aligned";
    free({p});
}

TEST_F(Device, HostAndDeviceAddressesAreNotTakenForEachOther) {
    CUdeviceptr p = allocate(16);
    char text[16];
    EXPECT_EQ(1, cuMemcpyDtoH_v2(at<char>(p), p, 16));
    EXPECT_EQ(1, cuMemcpyHtoD_v2(reinterpret_cast<CUdeviceptr>(text), text, 16));
    misuse = 2;
    free({p});
}

TEST_F(Device, CopiesAndMemsetsDoTheirWork) {
    CUdeviceptr p = upload<float>({1, 2, 3, 4});
    CUdeviceptr q = allocate(16);
    EXPECT_EQ(0, cuMemcpyDtoD_v2(q, p, 16));
    EXPECT_EQ((std::vector<float>{1, 2, 3, 4}), download<float>(q, 4));
    EXPECT_EQ(0, cuMemsetD32_v2(q, 0x40400000, 2));
    EXPECT_EQ((std::vector<float>{3, 3, 3, 4}), download<float>(q, 4));
    EXPECT_EQ(0, cuMemsetD16_v2(q, 0x3c00, 2));
    EXPECT_EQ(0x3c003c00U, download<uint32_t>(q, 1)[0]);
    EXPECT_EQ(0, cuMemsetD8Async(q, 0, 16, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(std::vector<float>(4), download<float>(q, 4));
    EXPECT_EQ(0, cuMemsetD8_v2(q, 0, 0));
    free({p, q});
}

TEST_F(Device, MemoryRunsOut) {
    setWord(DEVICE_MEMORY, 1000);
    CUdeviceptr p = allocate(600);
    CUdeviceptr q = 0;
    EXPECT_EQ(2, cuMemAlloc_v2(&q, 500));
    size_t available = 0;
    size_t total = 0;
    EXPECT_EQ(0, cuMemGetInfo_v2(&available, &total));
    EXPECT_EQ(400U, available);
    EXPECT_EQ(1000U, total);
    EXPECT_EQ(1, cuMemAlloc_v2(&q, 0));
    free({p});
    q = allocate(1000);
    free({q});
}

TEST_F(Device, CountsWhatIsAlive) {
    CUdeviceptr p = allocate(600);
    CUdeviceptr q = allocate(24);
    EXPECT_EQ(2U, word(LIVE_ALLOCATIONS));
    EXPECT_EQ(624U, word(LIVE_BYTES));
    EXPECT_LE(624U, word(PEAK_BYTES));
    free({p, q});
}

TEST_F(Device, FreeingWhatQueuedWorkTouchesIsMisuse) {
    CUdeviceptr p = allocate(64);
    EXPECT_EQ(0, cuMemsetD8Async(p, 0, 64, stream));
    EXPECT_EQ(0, cuMemFree_v2(p));
    misuse = 1;
}

TEST_F(Device, AsynchronousAllocationsFollowTheStream) {
    CUdeviceptr p = 0;
    EXPECT_EQ(0, cuMemAllocAsync(&p, 64, stream));
    EXPECT_EQ(0, cuMemsetD8Async(p, 0, 64, stream));
    EXPECT_EQ(0, cuMemFreeAsync(p, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(0U, word(LIVE_ALLOCATIONS));
    EXPECT_NE(0, cuMemsetD8Async(p, 0, 64, stream));
    EXPECT_EQ(1, cuMemFreeAsync(p, stream));
    misuse = 2;
}

TEST_F(Device, UseAfterAnAsynchronousFreeIsMisuseEvenBeforeItRan) {
    CUdeviceptr p = 0;
    EXPECT_EQ(0, cuMemAllocAsync(&p, 64, stream));
    EXPECT_EQ(0, cuMemFreeAsync(p, stream));
    EXPECT_NE(0, cuMemsetD8Async(p, 0, 64, stream));
    misuse = 1;
    EXPECT_EQ(0, cuStreamSynchronize(stream));
}

TEST_F(Device, AResultIsPoisonUntilTheStreamHasMadeIt) {
    CUdeviceptr p = upload<float>({1, 2});
    void* pinned = nullptr;
    ASSERT_EQ(0, cuMemAllocHost_v2(&pinned, 8));
    auto* result = static_cast<volatile float*>(pinned);
    result[0] = 5;
    EXPECT_EQ(0, cuMemcpyDtoHAsync_v2(pinned, p, 8, stream));
    EXPECT_TRUE(std::isnan(result[0]));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(1, result[0]);
    EXPECT_EQ(0, cuMemFreeHost(pinned));
    free({p});
}

TEST_F(Device, AnUploadReadsItsSourceLaterThanTheCall) {
    CUdeviceptr p = allocate(4);
    void* pinned = nullptr;
    ASSERT_EQ(0, cuMemHostAlloc(&pinned, 4, 0));
    *static_cast<float*>(pinned) = 1;
    EXPECT_EQ(0, cuMemcpyHtoDAsync_v2(p, pinned, 4, stream));
    *static_cast<float*>(pinned) = 2;  // too early
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(2, download<float>(p, 1)[0]);
    EXPECT_EQ(0, cuMemFreeHost(pinned));
    free({p});
}

TEST_F(Device, AsynchronousCopiesOfPageableMemoryAreMisuse) {
    CUdeviceptr p = allocate(8);
    std::vector<float> host{1, 2};
    EXPECT_EQ(0, cuMemcpyHtoDAsync_v2(p, host.data(), 8, stream));
    host.assign(2, 0);
    EXPECT_EQ(0, cuMemcpyDtoHAsync_v2(host.data(), p, 8, stream));
    EXPECT_EQ(2, host[1]) << "but they are done, at once";
    misuse = 2;
    free({p});
}

TEST_F(Device, RegisteredMemoryIsPinned) {
    CUdeviceptr p = allocate(8);
    std::vector<float> host{1, 2};
    EXPECT_EQ(0, cuMemHostRegister_v2(host.data(), 8, 0));
    EXPECT_EQ(712, cuMemHostRegister_v2(host.data(), 8, 0));
    EXPECT_EQ(0, cuMemcpyHtoDAsync_v2(p, host.data(), 8, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ(1U, word(LIVE_PINNED));
    EXPECT_EQ(0, cuMemHostUnregister(host.data()));
    EXPECT_EQ(713, cuMemHostUnregister(host.data()));
    free({p});
}

TEST_F(Device, PinnedMemoryHasGuardBandsToo) {
    void* pinned = nullptr;
    ASSERT_EQ(0, cuMemAllocHost_v2(&pinned, 10));
    static_cast<char*>(pinned)[10] = 1;
    EXPECT_EQ(0, cuMemFreeHost(pinned));
    EXPECT_EQ(1, cuMemFreeHost(pinned));
    misuse = 2;
}

TEST_F(Device, FreeingPinnedMemoryThatQueuedWorkTouchesIsMisuse) {
    CUdeviceptr p = allocate(8);
    void* pinned = nullptr;
    ASSERT_EQ(0, cuMemAllocHost_v2(&pinned, 8));
    std::memset(pinned, 0, 8);
    EXPECT_EQ(0, cuMemcpyHtoDAsync_v2(p, pinned, 8, stream));
    EXPECT_EQ(0, cuMemFreeHost(pinned));
    misuse = 1;
    free({p});
}

TEST_F(Device, MemoryIsGivenBackToTheSystem) {
    auto resident = [] {
        size_t size = 0;
        size_t pages = 0;
        std::ifstream("/proc/self/statm") >> size >> pages;
        return pages * 4096;
    };
    size_t before = resident();
    for (int k = 0; k < 20; k++) {
        CUdeviceptr p = allocate(20 << 20);
        free({p});
    }
    EXPECT_LT(resident(), before + (60 << 20));
}

TEST_F(Device, LeaksAreCountedWhenTheContextGoes) {
    void* other = nullptr;
    ASSERT_EQ(0, cuCtxCreate_v2(&other, 0, 0));
    allocate(16);
    void* event = nullptr;
    EXPECT_EQ(0, cuEventCreate(&event, 0));
    EXPECT_EQ(0, cuCtxDestroy_v2(other));
    ASSERT_EQ(0, cuCtxSetCurrent(context));
    leaked = 2;
}
