// A test with the primary context current. It ends with nothing alive and with just the misuse that it expected.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "api.h"

using namespace carousel::standin;

inline uint64_t word(int index) {
    return __atomic_load_n(&carousel_standin_control()[index], __ATOMIC_SEQ_CST);
}

inline void setWord(int index, uint64_t value) {
    __atomic_store_n(&carousel_standin_control()[index], value, __ATOMIC_SEQ_CST);
}

/// PTX whose entries have these names.
inline std::string ptx(const std::vector<std::string>& names, const std::string& version = "8.0",
        const std::string& target = "sm_75") {
    std::string text = "// made for a test: .entry not_this_one\n.version " + version + "\n.target " + target
            + "\n.address_size 64\n";
    for (const std::string& name : names) {
        text += ".visible .entry " + name + "(\n\t.param .u64 " + name + "_param_0\n)\n{\n\tret;\n}\n";
    }
    return text;
}

class Device : public testing::Test {
protected:
    void SetUp() override {
        for (int k : {COUNTABLE_CALLS, FAIL_AT, COUNTED_KINDS, FAILURES, MISUSE, LEAKED, CUDNN_FAILURE_STATUS,
                     DEVICE_MEMORY, POISON_PADDING, UNRULY, HANGS, LARGEST_CLUSTER}) {
            setWord(k, 0);
        }
        setWord(WORKER_DELAY, 1000000);  // what nobody waits for does not happen, however slow the machine
        ASSERT_EQ(0, cuInit(0));
        ASSERT_EQ(0, cuDevicePrimaryCtxRetain(&context, 0));
        ASSERT_EQ(0, cuCtxSetCurrent(context));
        ASSERT_EQ(0, cuStreamCreate(&stream, 1));
    }

    void TearDown() override {
        for (int k : {FAIL_AT, COUNTED_KINDS}) {
            setWord(k, 0);
        }
        EXPECT_EQ(0, cuStreamDestroy_v2(stream));
        EXPECT_EQ(0, cuDevicePrimaryCtxRelease_v2(0));
        EXPECT_EQ(0, cuCtxSetCurrent(nullptr));
        EXPECT_EQ(misuse, word(MISUSE));
        EXPECT_EQ(leaked, word(LEAKED));
        for (int live : {LIVE_ALLOCATIONS, LIVE_BYTES, LIVE_STREAMS, LIVE_EVENTS, LIVE_MODULES, LIVE_PINNED,
                     LIVE_GRAPHS, LIVE_CUBLAS, LIVE_CUDNN, LIVE_DESCRIPTORS, RETAINED}) {
            EXPECT_EQ(0U, word(live)) << "word " << live;
        }
    }

    CUdeviceptr allocate(size_t bytes) {
        CUdeviceptr result = 0;
        EXPECT_EQ(0, cuMemAlloc_v2(&result, bytes));
        return result;
    }

    template <typename T>
    CUdeviceptr upload(const std::vector<T>& values) {
        CUdeviceptr result = allocate(std::max<size_t>(values.size(), 1) * sizeof(T));
        EXPECT_EQ(0, cuMemcpyHtoD_v2(result, values.data(), values.size() * sizeof(T)));
        return result;
    }

    template <typename T>
    std::vector<T> download(CUdeviceptr from, size_t count) {
        std::vector<T> result(count);
        EXPECT_EQ(0, cuMemcpyDtoH_v2(result.data(), from, count * sizeof(T)));
        return result;
    }

    void free(std::initializer_list<CUdeviceptr> addresses) {
        for (CUdeviceptr address : addresses) {
            EXPECT_EQ(0, cuMemFree_v2(address));
        }
    }

    /// Orders the k-th call of these kinds to fail.
    void failAt(uint64_t call, uint64_t kinds) {
        setWord(COUNTABLE_CALLS, 0);
        setWord(FAIL_AT, call);
        setWord(COUNTED_KINDS, kinds);
    }

    void* context = nullptr;
    void* stream = nullptr;
    uint64_t misuse = 0;  // that the test expects
    uint64_t leaked = 0;
};

template <typename T>
T* at(CUdeviceptr address) {
    return reinterpret_cast<T*>(address);
}
