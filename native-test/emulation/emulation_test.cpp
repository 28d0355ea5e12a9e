// The emulation itself: what it runs, what it refuses, and that it finds what is wrong with a kernel.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <set>
#include <thread>

#include "../../kernels/common.cuh"
#include "testing.h"

CAROUSEL_UNIT(emulation_test)

namespace carousel {
namespace {

void noteOrder(int* order, int* next) {
    // One worker runs a block's threads one at a time.
    order[(*next)++] = static_cast<int>(threadIdx.x);
}

void barrierForSome(int some) {
    if (static_cast<int>(threadIdx.x) < some) {
        __syncthreads();
    }
}

void differentBarriers() {
    if (threadIdx.x % 2 == 0) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

void leaveBeforeSecondBarrier() {
    __syncthreads();
    if (threadIdx.x == 7) {
        return;
    }
    __syncthreads();
}

// Every thread reads what its mirror image wrote.
void reverse(int* y, int forgetBarrier) {
    CAROUSEL_SHARED(int, values, 256);
    values[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (!forgetBarrier) {
        __syncthreads();
    }
    y[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

void countDown(long long* y, int rounds) {
    CAROUSEL_SHARED(long long, values, 1024);
    long long value = threadIdx.x;
    for (int round = 0; round < rounds; round++) {
        __syncthreads();
        values[threadIdx.x] = value;
        __syncthreads();
        value = values[(threadIdx.x + 1) % blockDim.x] + 1;
    }
    y[threadIdx.x] = value;
}

void warpOperations(double* rotated, int* sums, unsigned* ballots, int* any) {
    int thread = static_cast<int>(threadIdx.x);
    rotated[thread] = __shfl_sync(kAllLanes, thread + 0.25, threadIdx.x + 1);
    int sum = thread;
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        sum += __shfl_xor_sync(kAllLanes, sum, lanes);
    }
    sums[thread] = sum;
    __syncwarp(kAllLanes);
    ballots[thread] = __ballot_sync(kAllLanes, thread % 3 == 0);
    any[2 * thread] = __syncthreads_or(thread == 5);
    any[2 * thread + 1] = __syncthreads_or(0);
}

void halfWarps(int* y) {
    unsigned mask = threadIdx.x % 32 < 16 ? 0xffffu : 0xffff0000u;
    y[threadIdx.x] = __shfl_sync(mask, 1, 0);
}

void sharedMemory(double* y) {
    CAROUSEL_DYNAMIC_SHARED(double, dynamic);
    CAROUSEL_SHARED(float, fixed, 8);
    // Both begin as not-a-numbers in every block.
    y[2 * blockIdx.x] = dynamic[3];
    y[2 * blockIdx.x + 1] = fixed[7];
    dynamic[3] = 1;
    fixed[7] = 2;
}

void muchShared(int more) {
    CAROUSEL_SHARED(char, much, 30 * 1024);
    much[threadIdx.x] = 0;
    if (more) {
        CAROUSEL_SHARED(char, evenMore, 19 * 1024);
        evenMore[threadIdx.x] = 0;
    }
}

void noteBlock(int* seen) {
    seen[(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x]++;
}

CAROUSEL_KERNEL(0, test_order, (int* order, int* next), noteOrder, (order, next))
CAROUSEL_KERNEL(0, test_barrier_for_some, (int some), barrierForSome, (some))
CAROUSEL_KERNEL(0, test_different_barriers, (), differentBarriers, ())
CAROUSEL_KERNEL(0, test_leave, (), leaveBeforeSecondBarrier, ())
CAROUSEL_KERNEL(256, test_reverse, (int* y, int forgetBarrier), reverse, (y, forgetBarrier))
CAROUSEL_KERNEL(0, test_count_down, (long long* y, int rounds), countDown, (y, rounds))
CAROUSEL_KERNEL(0, test_warp, (double* rotated, int* sums, unsigned* ballots, int* any), warpOperations,
        (rotated, sums, ballots, any))
CAROUSEL_KERNEL(0, test_half_warps, (int* y), halfWarps, (y))
CAROUSEL_KERNEL(0, test_shared, (double* y), sharedMemory, (y))
CAROUSEL_KERNEL(0, test_much_shared, (int more), muchShared, (more))
CAROUSEL_KERNEL(0, test_blocks, (int* seen), noteBlock, (seen))

using emulation::Launch;

TEST(Emulation, FindsKernelsByNameAndFile) {
    EXPECT_EQ(emulation::find("carousel_fill_f16"), nullptr);
    const emulation::Kernel* fill = emulation::find("carousel_fill_f32");
    ASSERT_NE(fill, nullptr);
    ASSERT_EQ(emulation::parameterCount(*fill), 3u);
    EXPECT_EQ(emulation::parameterSize(*fill, 1), 8u);
    EXPECT_TRUE(emulation::parameterIsPointer(*fill, 0));
    EXPECT_FALSE(emulation::parameterIsPointer(*fill, 2));
    EXPECT_EQ(emulation::parameterSize(*fill, 3), 0u);
    EXPECT_EQ(emulation::blockSize(*fill), 256u);
    std::vector<std::string> lstm = {"carousel_lstm_backward_f32", "carousel_lstm_backward_f64",
            "carousel_lstm_forward_f32", "carousel_lstm_forward_f64", "carousel_lstm_project_backward_f32",
            "carousel_lstm_project_backward_f64", "carousel_lstm_project_forward_f32",
            "carousel_lstm_project_forward_f64"};
    EXPECT_EQ(emulation::kernels("lstm_pointwise"), lstm);
    size_t all = 0;
    for (const char* file : {"activation", "elementwise", "embedding", "loss", "reduce", "update", "lstm_pointwise", "lstm_varied",
                 "lstm_resident", "lstm_resident_inputs", "lstm_cluster", "lstm_cluster_inputs", "lstm_grid"}) {
        all += emulation::kernels(file).size();
    }
    EXPECT_EQ(all, 219u);
}

TEST(Emulation, DrawsTheOrderOfThreadsFromTheSeed) {
    std::set<std::vector<int>> orders;
    for (uint64_t seed : {1, 2, 3, 1}) {
        std::vector<int> order(100, -1);
        int next = 0;
        ASSERT_EQ(launch("test_order", oneBlock(100, seed), order.data(), &next), "");
        orders.insert(order);
        std::sort(order.begin(), order.end());
        std::vector<int> each(100);
        std::iota(each.begin(), each.end(), 0);
        EXPECT_EQ(order, each);
    }
    EXPECT_EQ(orders.size(), 3u);
}

TEST(Emulation, SeesADeadlockAndGoesOnAfterwards) {
    for (int round = 0; round < 3; round++) {
        std::string error = launch("test_barrier_for_some", oneBlock(256), 100);
        EXPECT_NE(error.find("deadlock: 100 at the barrier of line"), std::string::npos) << error;
        EXPECT_NE(error.find("156 of 256 threads have ended"), std::string::npos) << error;
        EXPECT_EQ(launch("test_barrier_for_some", oneBlock(256), 256), "");
        EXPECT_NE(launch("test_leave", oneBlock(64)).find("63 at the barrier"), std::string::npos);
        EXPECT_NE(launch("test_different_barriers", oneBlock(64)).find("32 at the barrier"), std::string::npos);
        std::vector<int> y(32);
        EXPECT_NE(
                launch("test_half_warps", oneBlock(32), y.data()).find("32 in the warp operation"), std::string::npos);
    }
}

TEST(Emulation, AForgottenBarrierShows) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        for (int forget : {0, 1}) {
            std::vector<int> y(256);
            ASSERT_EQ(launch("test_reverse", oneBlock(256, seed), y.data(), forget), "");
            int wrong = 0;
            for (int k = 0; k < 256; k++) {
                wrong += y[static_cast<size_t>(k)] != 255 - k;
            }
            EXPECT_EQ(wrong > 0, forget == 1);
        }
    }
}

TEST(Emulation, RunsManyBarriersWithBlocksOfAnySize) {
    for (unsigned threads : {1u, 2u, 31u, 33u, 256u, 1000u, 1024u}) {
        std::vector<long long> y(threads);
        ASSERT_EQ(launch("test_count_down", oneBlock(threads), y.data(), 100), "");
        for (unsigned k = 0; k < threads; k++) {
            ASSERT_EQ(y[k], (k + 100) % threads + 100);
        }
    }
}

TEST(Emulation, ShufflesAndBallots) {
    for (unsigned threads : {64u, 256u}) {
        for (uint64_t seed = 1; seed <= 4; seed++) {
            std::vector<double> rotated(threads);
            std::vector<int> sums(threads);
            std::vector<unsigned> ballots(threads);
            std::vector<int> any(2 * threads);
            ASSERT_EQ(launch("test_warp", oneBlock(threads, seed), rotated.data(), sums.data(), ballots.data(),
                              any.data()),
                    "");
            for (unsigned k = 0; k < threads; k++) {
                unsigned first = k / 32 * 32;
                unsigned ballot = 0;
                for (unsigned lane = 0; lane < 32; lane++) {
                    ballot |= (first + lane) % 3 == 0 ? 1u << lane : 0;
                }
                EXPECT_EQ(rotated[k], first + (k + 1) % 32 + 0.25);
                EXPECT_EQ(sums[k], static_cast<int>(32 * first + 496));
                EXPECT_EQ(ballots[k], ballot);
                EXPECT_NE(any[2 * k], 0);
                EXPECT_EQ(any[2 * k + 1], 0);
            }
        }
    }
}

TEST(Emulation, SharedMemoryStartsPoisonedAndHasALimit) {
    std::vector<double> y(20, 0);
    Launch launched{{10, 1, 1}, {1, 1, 1}, 4 * sizeof(double), 1};
    ASSERT_EQ(launch("test_shared", launched, y.data()), "");
    for (double value : y) {
        EXPECT_TRUE(std::isnan(value));
    }
    EXPECT_EQ(launch("test_much_shared", oneBlock(256), 0), "");
    expectError(launch("test_much_shared", oneBlock(256), 1), "needs 50176 bytes of its own shared memory but there are 49152");
    // Of the next block nothing is wrong.
    ASSERT_EQ(launch("test_shared", launched, y.data()), "");
    for (double value : y) {
        EXPECT_TRUE(std::isnan(value));
    }
}

TEST(Emulation, RunsEveryBlockOfAGridOnce) {
    std::vector<int> seen(7 * 5 * 3, 0);
    ASSERT_EQ(launch("test_blocks", {{7, 5, 3}, {1, 1, 1}, 0, 9}, seen.data()), "");
    EXPECT_EQ(seen, std::vector<int>(7 * 5 * 3, 1));
}

TEST(Emulation, RefusesBadLaunches) {
    std::vector<int> y(256);
    const emulation::Kernel* kernel = emulation::find("test_reverse");
    int forget = 0;
    int* to = y.data();
    void* params[] = {&to, &forget};
    EXPECT_EQ(emulation::run(*kernel, {{1, 1, 1}, {256, 1, 1}, 0, 1}, params), "");
    EXPECT_NE(emulation::run(*kernel, {{0, 1, 1}, {256, 1, 1}, 0, 1}, params), "");
    EXPECT_NE(emulation::run(*kernel, {{1, 70000, 1}, {256, 1, 1}, 0, 1}, params), "");
    EXPECT_NE(emulation::run(*kernel, {{1, 1, 1}, {128, 1, 1}, 0, 1}, params), "");
    EXPECT_NE(emulation::run(*kernel, {{1, 1, 1}, {128, 2, 1}, 0, 1}, params), "");
    EXPECT_NE(emulation::run(*kernel, {{1, 1, 1}, {256, 1, 1}, 0, 1}, nullptr), "");
    EXPECT_NE(launch("test_barrier_for_some", oneBlock(0), 0), "");
    EXPECT_NE(launch("test_barrier_for_some", oneBlock(1025), 0), "");
}

TEST(Emulation, ManyThreadsMayLaunchAtOnce) {
    std::vector<std::thread> callers;
    std::vector<int> failures(6, 0);
    for (size_t caller = 0; caller < failures.size(); caller++) {
        callers.emplace_back([&, caller] {
            for (uint64_t round = 0; round < 60; round++) {
                std::vector<long long> y(96);
                std::vector<int> seen(40, 0);
                bool good = launch("test_count_down", oneBlock(96, round), y.data(), 20).empty() && y[1] == 41
                        && launch("test_blocks", {{40, 1, 1}, {1, 1, 1}, 0, round}, seen.data()).empty()
                        && seen == std::vector<int>(40, 1) && !launch("test_barrier_for_some", oneBlock(33), 3).empty();
                failures[caller] += good ? 0 : 1;
            }
        });
    }
    for (std::thread& caller : callers) {
        caller.join();
    }
    EXPECT_EQ(failures, std::vector<int>(6, 0));
}

// The least of several, so that a busy machine does not fail it.
TEST(Emulation, ALaunchOfOneBlockIsCheap) {
    int* nothing = nullptr;
    double least = 1e9;
    for (int round = 0; round < 300; round++) {
        auto start = std::chrono::steady_clock::now();
        ASSERT_EQ(launch("carousel_fill_f32", oneBlock(256), nothing, 0LL, 0.0), "");
        std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
        least = std::min(least, spent.count());
    }
    EXPECT_LT(least, 200);
}

}  // namespace
}  // namespace carousel
