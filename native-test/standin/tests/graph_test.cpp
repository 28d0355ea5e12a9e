// Stream capture, graphs, executables.
#include <functional>
#include <thread>

#include "device.h"

namespace {

const char* const ADD_ONE = "carousel_standin_add_one";

class Graphs : public Device {
protected:
    void SetUp() override {
        Device::SetUp();
        ASSERT_EQ(0, cuModuleLoadData(&module, ptx({ADD_ONE}).c_str()));
        ASSERT_EQ(0, cuModuleGetFunction(&function, module, ADD_ONE));
        y = upload<float>({0, 0, 0});
    }

    void TearDown() override {
        free({y});
        EXPECT_EQ(0, cuModuleUnload(module));
        Device::TearDown();
    }

    int launch(long long n, void* on) {
        void* params[] = {&y, &n};
        return cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, on, params, nullptr);
    }

    void replay(void* graph, int times) {
        void* executable = nullptr;
        ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
        for (int k = 0; k < times; k++) {
            EXPECT_EQ(0, cuGraphLaunch(executable, stream));
        }
        EXPECT_EQ(0, cuStreamSynchronize(stream));
        EXPECT_EQ(0, cuGraphExecDestroy(executable));
        EXPECT_EQ(0, cuGraphDestroy(graph));
    }

    void* module = nullptr;
    void* function = nullptr;
    CUdeviceptr y = 0;
};

}  // namespace

TEST_F(Graphs, NothingRunsWhileCapturingAndReplayRunsItAll) {
    int status = -1;
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, cuStreamIsCapturing(stream, &status));
    EXPECT_EQ(1, status);
    EXPECT_EQ(0, cuMemsetD32Async(y, 0x3f800000, 3, stream));
    EXPECT_EQ(0, launch(2, stream));
    EXPECT_EQ(0, launch(1, stream));
    void* graph = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(0, cuStreamIsCapturing(stream, &status));
    EXPECT_EQ(0, status);
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ((std::vector<float>{0, 0, 0}), download<float>(y, 3));
    EXPECT_EQ(1U, word(LIVE_GRAPHS));
    uint64_t before = word(GRAPH_LAUNCHES);
    replay(graph, 2);
    EXPECT_EQ((std::vector<float>{3, 2, 1}), download<float>(y, 3));
    EXPECT_EQ(before + 2, word(GRAPH_LAUNCHES));
}

TEST_F(Graphs, CaptureForksAndJoinsThroughEvents) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    CUdeviceptr a = allocate(4);
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, cuMemsetD32Async(a, 1, 1, stream));
    EXPECT_EQ(0, cuEventRecord(event, stream));
    EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
    EXPECT_EQ(0, cuMemsetD32Async(a, 2, 1, other));
    EXPECT_EQ(907, cuEventQuery(event));
    EXPECT_EQ(0, cuEventRecord(event, other));
    EXPECT_EQ(0, cuStreamWaitEvent(stream, event, 0));
    EXPECT_EQ(0, cuMemsetD32Async(a, 3, 1, stream));
    void* graph = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    size_t count = 0;
    EXPECT_EQ(0, cuGraphGetNodes(graph, nullptr, &count));
    EXPECT_EQ(3U, count);
    for (uint64_t seed = 0; seed < 5; seed++) {
        setWord(SEED, seed);
        EXPECT_EQ(0, cuMemsetD32Async(a, 0, 1, stream));
    }
    replay(graph, 1);
    EXPECT_EQ(3U, download<uint32_t>(a, 1)[0]);
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
    free({a});
}

TEST_F(Graphs, AForkHasToBeJoined) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, cuEventRecord(event, stream));
    EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
    EXPECT_EQ(0, launch(1, other));
    void* graph = nullptr;
    EXPECT_EQ(904, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(nullptr, graph);
    EXPECT_EQ(907, cuStreamWaitEvent(stream, event, 0));
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
}

TEST_F(Graphs, ForbiddenCallsInvalidateTheCapture) {
    float value = 1;
    CUdeviceptr p = 0;
    void* event = nullptr;
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    ASSERT_EQ(0, cuEventRecord(event, stream));
    const std::vector<std::pair<int, std::function<int()>>> calls{
            {900, [&] { return cuMemcpyHtoD_v2(y, &value, 4); }},
            {900, [&] { return cuMemAlloc_v2(&p, 4); }},
            {900, [&] { return cuMemFree_v2(y); }},
            {900, [&] { return cuStreamSynchronize(stream); }},
            {900, [&] { return cuStreamQuery(stream); }},
            {900, [&] { return cuCtxSynchronize(); }},
            {801, [&] { return cuMemAllocAsync(&p, 4, stream); }},
            {905, [&] { return cuStreamWaitEvent(stream, event, 0); }},
            {900, [&] { return cuMemsetD8_v2(y, 0, 4); }},
    };
    for (size_t k = 0; k < calls.size(); k++) {
        ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
        EXPECT_EQ(0, launch(1, stream));
        EXPECT_EQ(calls[k].first, calls[k].second()) << "call " << k;
        EXPECT_EQ(901, launch(1, stream));
        int status = 0;
        EXPECT_EQ(0, cuStreamIsCapturing(stream, &status));
        EXPECT_EQ(2, status);
        void* graph = nullptr;
        EXPECT_EQ(901, cuStreamEndCapture(stream, &graph));
        EXPECT_EQ(nullptr, graph);
        EXPECT_EQ(0U, word(LIVE_GRAPHS));
    }
    EXPECT_EQ(0, cuEventDestroy_v2(event));
}

TEST_F(Graphs, TheModeSaysWhoseCallsAreForbidden) {
    CUdeviceptr p = 0;
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    std::thread([&] {
        ASSERT_EQ(0, cuCtxSetCurrent(context));
        EXPECT_EQ(0, cuMemAlloc_v2(&p, 4)) << "another thread may";
        void* graph = nullptr;
        EXPECT_EQ(908, cuStreamEndCapture(stream, &graph));
    }).join();
    void* graph = nullptr;
    EXPECT_EQ(0, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(0, cuGraphDestroy(graph));
    free({p});
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 0));
    std::thread([&] {
        ASSERT_EQ(0, cuCtxSetCurrent(context));
        EXPECT_EQ(900, cuMemAlloc_v2(&p, 4)) << "nobody may";
    }).join();
    EXPECT_EQ(901, cuStreamEndCapture(stream, &graph));
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 2));
    EXPECT_EQ(0, cuMemAlloc_v2(&p, 4)) << "everybody may";
    EXPECT_EQ(0, cuStreamEndCapture(stream, &graph));
    EXPECT_EQ(0, cuGraphDestroy(graph));
    free({p});
}

TEST_F(Graphs, TheDefaultStreamIsNotCaptured) {
    EXPECT_EQ(900, cuStreamBeginCapture_v2(nullptr, 1));
    void* blocking = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&blocking, 0));
    ASSERT_EQ(0, cuStreamBeginCapture_v2(blocking, 2));
    EXPECT_EQ(906, launch(1, nullptr));
    void* graph = nullptr;
    EXPECT_EQ(901, cuStreamEndCapture(blocking, &graph));
    EXPECT_EQ(0, cuStreamDestroy_v2(blocking));
}

TEST_F(Graphs, KernelNodesCanBeReadAndChanged) {
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, launch(1, stream));
    void* graph = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    void* node = nullptr;
    size_t count = 1;
    ASSERT_EQ(0, cuGraphGetNodes(graph, &node, &count));
    int type = -1;
    EXPECT_EQ(0, cuGraphNodeGetType(node, &type));
    EXPECT_EQ(0, type);
    KernelNodeParams params{};
    ASSERT_EQ(0, cuGraphKernelNodeGetParams_v2(node, &params));
    EXPECT_EQ(function, params.function);
    EXPECT_EQ(32U, params.block[0]);
    EXPECT_EQ(y, *static_cast<CUdeviceptr*>(params.kernelParams[0]));
    EXPECT_EQ(1, *static_cast<long long*>(params.kernelParams[1]));
    void* executable = nullptr;
    ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
    long long n = 3;
    void* values[] = {&y, &n};
    params.kernelParams = values;
    EXPECT_EQ(0, cuGraphExecKernelNodeSetParams_v2(executable, node, &params));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ((std::vector<float>{1, 1, 1}), download<float>(y, 3));
    n = 2;
    EXPECT_EQ(0, cuGraphKernelNodeSetParams_v2(node, &params));
    struct {
        int result;
        void* node;
        void* from;
    } info{};
    EXPECT_EQ(0, cuGraphExecUpdate_v2(executable, graph, &info));
    EXPECT_EQ(0, cuGraphLaunch(executable, stream));
    EXPECT_EQ(0, cuStreamSynchronize(stream));
    EXPECT_EQ((std::vector<float>{2, 2, 1}), download<float>(y, 3));
    void* empty = nullptr;
    ASSERT_EQ(0, cuGraphCreate(&empty, 0));
    EXPECT_EQ(910, cuGraphExecUpdate_v2(executable, empty, &info));
    EXPECT_EQ(2, info.result);
    EXPECT_EQ(0, cuGraphDestroy(empty));
    EXPECT_EQ(0, cuGraphExecDestroy(executable));
    EXPECT_EQ(0, cuGraphDestroy(graph));
}

TEST_F(Graphs, AGraphCanBeBuiltNodeByNode) {
    void* graph = nullptr;
    ASSERT_EQ(0, cuGraphCreate(&graph, 0));
    long long n = 2;
    void* values[] = {&y, &n};
    KernelNodeParams params{};
    params.function = function;
    std::fill(params.grid, params.grid + 3, 1U);
    std::fill(params.block, params.block + 3, 1U);
    params.kernelParams = values;
    void* first = nullptr;
    void* second = nullptr;
    ASSERT_EQ(0, cuGraphAddKernelNode_v2(&first, graph, nullptr, 0, &params));
    ASSERT_EQ(0, cuGraphAddKernelNode_v2(&second, graph, &first, 1, &params));
    replay(graph, 1);
    EXPECT_EQ((std::vector<float>{2, 2, 0}), download<float>(y, 3));
}

TEST_F(Graphs, UnrulyStreamsRunAheadInAReplay) {
    void* other = nullptr;
    void* event = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    CUdeviceptr p = allocate(4);
    for (bool waits : {true, false}) {
        ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
        EXPECT_EQ(0, cuEventRecord(event, stream));
        EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        EXPECT_EQ(0, cuMemsetD32Async(p, 1, 1, stream));
        if (waits) {
            EXPECT_EQ(0, cuEventRecord(event, stream));
            EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        }
        EXPECT_EQ(0, cuMemsetD32Async(p, 2, 1, other));
        EXPECT_EQ(0, cuEventRecord(event, other));
        EXPECT_EQ(0, cuStreamWaitEvent(stream, event, 0));
        void* graph = nullptr;
        ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
        void* executable = nullptr;
        ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
        for (uint64_t order : {1, 2}) {
            setWord(UNRULY, order);
            EXPECT_EQ(0, cuGraphLaunch(executable, stream));
            EXPECT_EQ(0, cuStreamSynchronize(stream));
            EXPECT_EQ(waits || order == 2 ? 2U : 1U, download<uint32_t>(p, 1)[0]) << "order " << order;
        }
        setWord(UNRULY, 0);
        EXPECT_EQ(0, cuGraphExecDestroy(executable));
        EXPECT_EQ(0, cuGraphDestroy(graph));
    }
    free({p});
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
}

TEST_F(Graphs, CooperativeLaunchesSideBySideNeedRoomTogether) {
    const std::string name = "carousel_lstm_grid_forward_bf16_h512";
    void* other = nullptr;
    void* event = nullptr;
    void* grid = nullptr;
    void* function = nullptr;
    ASSERT_EQ(0, cuStreamCreate(&other, 1));
    ASSERT_EQ(0, cuEventCreate(&event, 2));
    ASSERT_EQ(0, cuModuleLoadData(&grid, ptx({name}).c_str()));
    ASSERT_EQ(0, cuModuleGetFunction(&function, grid, name.c_str()));
    uint64_t nothing = 0;
    std::vector<void*> params(21, &nothing);  // none of it runs
    auto instantiate = [&](unsigned blocks, bool waits) {
        ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
        EXPECT_EQ(0, cuEventRecord(event, stream));
        EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        EXPECT_EQ(0, cuLaunchCooperativeKernel(function, 96, 1, 1, 256, 1, 1, 0, stream, params.data()));
        if (waits) {
            EXPECT_EQ(0, cuEventRecord(event, stream));
            EXPECT_EQ(0, cuStreamWaitEvent(other, event, 0));
        }
        EXPECT_EQ(0, cuLaunchCooperativeKernel(function, blocks, 1, 1, 256, 1, 1, 0, other, params.data()));
        EXPECT_EQ(0, cuEventRecord(event, other));
        EXPECT_EQ(0, cuStreamWaitEvent(stream, event, 0));
        void* graph = nullptr;
        ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
        void* executable = nullptr;
        EXPECT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
        EXPECT_EQ(0, cuGraphExecDestroy(executable));
        EXPECT_EQ(0, cuGraphDestroy(graph));
    };
    instantiate(32, false);
    instantiate(64, true);
    EXPECT_EQ(0U, word(MISUSE));
    instantiate(64, false);
    misuse = 1;
    EXPECT_EQ(0, cuModuleUnload(grid));
    EXPECT_EQ(0, cuEventDestroy_v2(event));
    EXPECT_EQ(0, cuStreamDestroy_v2(other));
}

TEST_F(Graphs, AReplayMayNotTouchFreedMemory) {
    CUdeviceptr p = allocate(4);
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, cuMemsetD32Async(p, 0, 1, stream));
    void* graph = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    free({p});
    void* executable = nullptr;
    ASSERT_EQ(0, cuGraphInstantiateWithFlags(&executable, graph, 0));
    EXPECT_EQ(700, cuGraphLaunch(executable, stream));
    misuse = 1;
    EXPECT_EQ(0, cuGraphExecDestroy(executable));
    EXPECT_EQ(1, cuGraphExecDestroy(executable));
    misuse = 2;
    EXPECT_EQ(0, cuGraphDestroy(graph));
    EXPECT_EQ(1, cuGraphDestroy(graph));
    misuse = 3;
}

TEST_F(Graphs, CopiesOfPinnedMemoryAreCaptured) {
    void* pinned = nullptr;
    ASSERT_EQ(0, cuMemAllocHost_v2(&pinned, 12));
    auto* values = static_cast<float*>(pinned);
    ASSERT_EQ(0, cuStreamBeginCapture_v2(stream, 1));
    EXPECT_EQ(0, cuMemcpyHtoDAsync_v2(y, pinned, 12, stream));
    EXPECT_EQ(0, launch(3, stream));
    EXPECT_EQ(0, cuMemcpyDtoHAsync_v2(pinned, y, 12, stream));
    void* graph = nullptr;
    ASSERT_EQ(0, cuStreamEndCapture(stream, &graph));
    std::fill(values, values + 3, 5.0F);
    replay(graph, 2);
    EXPECT_EQ(7, values[2]);
    EXPECT_EQ(0, cuMemFreeHost(pinned));
}
