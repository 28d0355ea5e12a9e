// Stream capture, graphs and executables. A captured operation is a node; nothing runs until the executable is
// launched, and then the nodes run in some order that their dependencies allow, drawn from the seed.
#include <algorithm>
#include <iterator>

#include "world.h"

namespace carousel::standin {
namespace {

bool isGraph(const void* handle) {
    return world().graphs.count(handle) != 0 && static_cast<const Graph*>(handle)->alive;
}

bool isNode(const void* handle) {
    return world().nodes.count(handle) != 0 && static_cast<const Node*>(handle)->alive;
}

bool isExecutable(const void* handle) {
    return world().executables.count(handle) != 0 && static_cast<const Executable*>(handle)->alive;
}

Graph* makeGraph() {
    auto* graph = new Graph;
    world().graphs.insert(graph);
    carousel_standin_add(LIVE_GRAPHS, 1);
    return graph;
}

Node* makeNode(Graph* graph, std::shared_ptr<const Job> job, const std::vector<Node*>& after) {
    auto* node = new Node;
    node->id = ++world().nodeIds;
    node->graph = graph;
    node->job = std::move(job);
    node->after = after;
    graph->nodes.push_back(node);
    world().nodes.insert(node);
    return node;
}

void destroyGraph(Graph* graph) {
    constexpr size_t REMEMBERED = 10000;
    for (Node* node : graph->nodes) {
        node->alive = false;
        node->job = nullptr;
        node->after.clear();
        world().deadNodes.push_back(node);
    }
    graph->nodes.clear();
    while (world().deadNodes.size() > REMEMBERED) {
        world().nodes.erase(world().deadNodes.front());
        delete world().deadNodes.front();
        world().deadNodes.pop_front();
    }
    graph->alive = false;
    carousel_standin_add(LIVE_GRAPHS, -1);
}

int usableCapture(Stream* stream) {
    return stream->capture->valid ? SUCCESS : CAPTURE_INVALIDATED;
}

int fillParams(const Node* node, KernelNodeParams* params) {
    if (node->job->nodeType != NODE_KERNEL || params == nullptr) {
        return INVALID_VALUE;
    }
    *params = KernelNodeParams{};
    const KernelCall* call = node->job->kernel.get();
    if (call == nullptr) {
        return SUCCESS;  // a library's kernel: nothing that could be said about it
    }
    params->function = call->function;
    std::copy(call->grid, call->grid + 3, params->grid);
    std::copy(call->block, call->block + 3, params->block);
    params->sharedBytes = call->sharedBytes;
    params->kernelParams = const_cast<void**>(call->pointers.data());
    return SUCCESS;
}

int jobOf(const KernelNodeParams* params, std::shared_ptr<const Job>& job) {
    if (params == nullptr || world().functions.count(params->function) == 0) {
        return INVALID_VALUE;
    }
    return makeKernelJob(params->function, params->grid, params->block, params->sharedBytes, params->kernelParams,
            params->extra, false, job);
}

/// A new kernel may have other arguments and sizes; another function only if it is not a library's.
int replaceable(const Job& before, const Job& after) {
    return before.nodeType == NODE_KERNEL && before.kernel != nullptr && after.kernel != nullptr ? SUCCESS
                                                                                                 : INVALID_VALUE;
}

/// Nodes that a node comes after, itself included.
std::set<Node*> before(Node* node) {
    std::set<Node*> reached{node};
    std::vector<Node*> open{node};
    while (!open.empty()) {
        Node* next = open.back();
        open.pop_back();
        for (Node* other : next->after) {
            if (reached.insert(other).second) {
                open.push_back(other);
            }
        }
    }
    return reached;
}

/// Cooperative launches that may run at the same time must find room together: of two that do not, each may hold what the
/// other one's blocks wait for.
void checkRoom(const Graph* graph) {
    std::vector<Node*> together;
    std::copy_if(graph->nodes.begin(), graph->nodes.end(), std::back_inserter(together),
            [](const Node* node) { return node->job->together > 0; });
    for (Node* node : together) {
        std::set<Node*> earlier = before(node);
        std::map<uint64_t, unsigned> most;  // of each other stream
        for (Node* other : together) {
            if (other->id < node->id && earlier.count(other) == 0) {
                most[other->stream] = std::max(most[other->stream], other->job->together);
            }
        }
        unsigned blocks = node->job->together;
        for (auto [stream, more] : most) {
            blocks += more;
        }
        if (blocks > MULTIPROCESSORS) {
            carousel_standin_misuse("%s: cooperative launches of %u blocks in all may run at the same time on %u multiprocessors",
                    node->job->what.c_str(), blocks, MULTIPROCESSORS);
            return;
        }
    }
}

int wire(const Graph* graph, Executable* executable) {
    for (size_t k = 0; k < graph->nodes.size(); k++) {
        executable->index[graph->nodes[k]->id] = k;
    }
    for (Node* node : graph->nodes) {
        std::vector<size_t> after;
        for (Node* other : node->after) {
            auto found = executable->index.find(other->id);
            if (found == executable->index.end()) {
                return INVALID_VALUE;
            }
            after.push_back(found->second);
        }
        executable->jobs.push_back(node->job);
        executable->after.push_back(after);
        executable->streams.push_back(node->stream);
    }
    return SUCCESS;
}

/// Copies nodes out, as many as there is room for; the rest of the room becomes null.
int giveNodes(const std::vector<Node*>& from, void** nodes, size_t* count, const char* call) {
    if (nodes == nullptr) {
        *count = from.size();
        return SUCCESS;
    }
    // JCuda 12.6 hands over room for its array but a count that nobody has set.
    bool plausible = *count <= from.size() + 65536;
    if (!plausible) {
        carousel_standin_misuse("%s: room for %zu nodes is said to be there", call, *count);
    }
    for (size_t k = 0; k < (plausible ? *count : from.size()); k++) {
        nodes[k] = k < from.size() ? from[k] : nullptr;
    }
    *count = std::min(*count, from.size());
    return SUCCESS;
}

/// Where streams are unruly, a node of the one that runs ahead, otherwise any.
size_t pickNode(const std::vector<size_t>& open, const std::vector<uint64_t>& streams,
        std::map<uint64_t, uint64_t>& turns, uint64_t seed) {
    if (word(UNRULY) == 0) {
        return seed % open.size();
    }
    auto turn = [&](size_t k) { return Turn{streams[open[k]], turns[streams[open[k]]]}; };
    size_t result = 0;
    for (size_t k = 1; k < open.size(); k++) {
        if (runsAhead(turn(k), turn(result))) {
            result = k;
        }
    }
    uint64_t& last = turns[streams[open[result]]];
    last = turns[0] = turns[0] + 1;  // no stream has the number 0
    return result;
}

std::string runGraph(const std::vector<std::shared_ptr<const Job>>& jobs, const std::vector<std::vector<size_t>>& after,
        const std::vector<uint64_t>& streams, uint64_t seed) {
    std::vector<size_t> missing(jobs.size());
    std::vector<std::vector<size_t>> before(jobs.size());
    std::vector<size_t> open;
    std::map<uint64_t, uint64_t> turns;
    for (size_t k = 0; k < jobs.size(); k++) {
        missing[k] = after[k].size();
        for (size_t other : after[k]) {
            before[other].push_back(k);
        }
        if (missing[k] == 0) {
            open.push_back(k);
        }
    }
    while (!open.empty()) {
        seed = mix(seed);
        size_t pick = pickNode(open, streams, turns, seed);
        size_t node = open[pick];
        open[pick] = open.back();
        open.pop_back();
        std::string wrong = jobs[node]->run();
        if (!wrong.empty()) {
            return jobs[node]->what + ": " + wrong;
        }
        for (size_t next : before[node]) {
            if (--missing[next] == 0) {
                open.push_back(next);
            }
        }
    }
    return "";
}

}  // namespace

int addNode(Stream* stream, std::shared_ptr<const Job> job) {
    int result = usableCapture(stream);
    if (result != SUCCESS) {
        return result;
    }
    std::vector<Allocation*> touched;
    if (!locateAll(job->ranges, job->what, touched)) {
        invalidate(*stream->capture, job->what + " touches memory that is not there");
        return ILLEGAL_ADDRESS;
    }
    stream->frontier = {makeNode(stream->capture->graph, std::move(job), stream->frontier)};
    stream->frontier[0]->stream = stream->turn.stream;
    return SUCCESS;
}

void invalidate(Capture& capture, const std::string& why) {
    if (capture.valid) {
        std::fprintf(stderr, "carousel stand-in: a capture became invalid: %s\n", why.c_str());
    }
    capture.valid = false;
}

}  // namespace carousel::standin

using namespace carousel::standin;

STANDIN_EXPORT CUresult cuStreamBeginCapture_v2(void* handle, int mode) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (mode < 0 || mode > 2) {
        return INVALID_VALUE;
    }
    if (stream->legacy) {
        return CAPTURE_UNSUPPORTED;
    }
    if (stream->capture != nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuStreamBeginCapture")) {
        return LAUNCH_FAILED;
    }
    auto capture = std::make_shared<Capture>();
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    capture->origin = stream;
    capture->graph = makeGraph();
    capture->streams.push_back(stream);
    context->captures.insert(capture);
    stream->capture = capture;
    stream->frontier.clear();
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuStreamEndCapture(void* handle, void** graph) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (graph == nullptr) {
        return INVALID_VALUE;
    }
    *graph = nullptr;
    std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr) {
        return INVALID_VALUE;
    }
    if (capture->origin != stream) {
        invalidate(*capture, "it was ended in another stream than it began");
        return CAPTURE_UNMATCHED;
    }
    if (capture->mode != 2 && capture->thread != std::this_thread::get_id()) {
        return CAPTURE_WRONG_THREAD;
    }
    // Every node must lead to what the origin has waited for.
    std::set<Node*> reached(stream->frontier.begin(), stream->frontier.end());
    std::vector<Node*> open(stream->frontier);
    while (!open.empty()) {
        Node* node = open.back();
        open.pop_back();
        for (Node* other : node->after) {
            if (reached.insert(other).second) {
                open.push_back(other);
            }
        }
    }
    bool joined = reached.size() == capture->graph->nodes.size();
    for (Stream* captured : capture->streams) {
        captured->capture = nullptr;
        captured->frontier.clear();
    }
    context->captures.erase(capture);
    bool ordered = carousel_standin_fails(KIND_OBJECT, "cuStreamEndCapture");
    if (!capture->valid || !joined || ordered) {
        destroyGraph(capture->graph);
        return ordered ? LAUNCH_FAILED : capture->valid ? CAPTURE_UNJOINED : CAPTURE_INVALIDATED;
    }
    *graph = capture->graph;
    return result;
}

STANDIN_EXPORT CUresult cuStreamIsCapturing(void* handle, int* status) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    *status = stream->capture == nullptr ? 0 : stream->capture->valid ? 1 : 2;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphCreate(void** graph, unsigned flags) {
    Lock lock(world().mutex);
    if (!world().initialized) {
        return NOT_INITIALIZED;
    }
    if (graph == nullptr || flags != 0) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphCreate")) {
        return OUT_OF_MEMORY;
    }
    *graph = makeGraph();
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphDestroy(void* handle) {
    Lock lock(world().mutex);
    if (!isGraph(handle)) {
        carousel_standin_misuse("cuGraphDestroy: %p is not a live graph", handle);
        return INVALID_VALUE;
    }
    destroyGraph(static_cast<Graph*>(handle));
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphInstantiateWithFlags(void** result, void* handle, unsigned long long flags) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    if (!isGraph(handle) || result == nullptr || flags > 15) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphInstantiate")) {
        return OUT_OF_MEMORY;
    }
    auto* executable = new Executable;
    executable->context = context;
    error = wire(static_cast<Graph*>(handle), executable);
    if (error != SUCCESS) {
        delete executable;
        return error;
    }
    checkRoom(static_cast<Graph*>(handle));
    world().executables.insert(executable);
    carousel_standin_add(LIVE_GRAPHS, 1);
    *result = executable;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphExecDestroy(void* handle) {
    Lock lock(world().mutex);
    if (!isExecutable(handle)) {
        carousel_standin_misuse("cuGraphExecDestroy: %p is not a live executable", handle);
        return INVALID_VALUE;
    }
    auto* executable = static_cast<Executable*>(handle);
    executable->alive = false;
    executable->jobs.clear();
    executable->after.clear();
    executable->streams.clear();
    executable->index.clear();
    carousel_standin_add(LIVE_GRAPHS, -1);
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphUpload(void* handle, void* streamHandle) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    return isExecutable(handle) && resolve(streamHandle, context) != nullptr ? SUCCESS : INVALID_VALUE;
}

STANDIN_EXPORT CUresult cuGraphLaunch(void* handle, void* streamHandle) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Stream* stream = resolve(streamHandle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (!isExecutable(handle)) {
        carousel_standin_misuse("cuGraphLaunch: %p is not a live executable", handle);
        return INVALID_VALUE;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "cuGraphLaunch: the stand-in makes no child graphs");
        return NOT_SUPPORTED;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphLaunch")) {
        return LAUNCH_FAILED;
    }
    auto* executable = static_cast<Executable*>(handle);
    auto job = std::make_shared<Job>();
    job->what = "cuGraphLaunch";
    for (auto& node : executable->jobs) {
        for (const Range& range : node->ranges) {
            job->ranges.push_back(range);
        }
    }
    uint64_t seed = mix(word(SEED) ^ mix(++world().launches));
    job->run = [jobs = executable->jobs, after = executable->after, streams = executable->streams, seed] {
        return runGraph(jobs, after, streams, seed);
    };
    result = submit(lock, stream, job);
    if (result == SUCCESS) {
        carousel_standin_add(GRAPH_LAUNCHES, 1);
    }
    return result;
}

STANDIN_EXPORT CUresult cuGraphGetNodes(void* handle, void** nodes, size_t* count) {
    Lock lock(world().mutex);
    if (!isGraph(handle) || count == nullptr) {
        return INVALID_VALUE;
    }
    return giveNodes(static_cast<Graph*>(handle)->nodes, nodes, count, "cuGraphGetNodes");
}

STANDIN_EXPORT CUresult cuGraphGetRootNodes(void* handle, void** nodes, size_t* count) {
    Lock lock(world().mutex);
    if (!isGraph(handle) || count == nullptr) {
        return INVALID_VALUE;
    }
    std::vector<Node*> roots;
    for (Node* node : static_cast<Graph*>(handle)->nodes) {
        if (node->after.empty()) {
            roots.push_back(node);
        }
    }
    return giveNodes(roots, nodes, count, "cuGraphGetRootNodes");
}

STANDIN_EXPORT CUresult cuGraphNodeGetDependencies(void* handle, void** nodes, size_t* count) {
    Lock lock(world().mutex);
    if (!isNode(handle) || count == nullptr) {
        return INVALID_VALUE;
    }
    return giveNodes(static_cast<Node*>(handle)->after, nodes, count, "cuGraphNodeGetDependencies");
}

STANDIN_EXPORT CUresult cuGraphNodeGetType(void* handle, int* type) {
    Lock lock(world().mutex);
    if (!isNode(handle) || type == nullptr) {
        return INVALID_VALUE;
    }
    *type = static_cast<Node*>(handle)->job->nodeType;
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphAddKernelNode_v2(
        void** result, void* handle, void* const* dependencies, size_t count, const KernelNodeParams* params) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    if (!isGraph(handle) || result == nullptr || (count > 0 && dependencies == nullptr)) {
        return INVALID_VALUE;
    }
    auto* graph = static_cast<Graph*>(handle);
    std::vector<Node*> after;
    for (size_t k = 0; k < count; k++) {
        if (!isNode(dependencies[k]) || static_cast<Node*>(dependencies[k])->graph != graph) {
            return INVALID_VALUE;
        }
        after.push_back(static_cast<Node*>(dependencies[k]));
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphAddKernelNode")) {
        return OUT_OF_MEMORY;
    }
    std::shared_ptr<const Job> job;
    error = jobOf(params, job);
    if (error != SUCCESS) {
        return error;
    }
    *result = makeNode(graph, job, after);
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphKernelNodeGetParams_v2(void* handle, KernelNodeParams* params) {
    Lock lock(world().mutex);
    return isNode(handle) ? fillParams(static_cast<Node*>(handle), params) : static_cast<int>(INVALID_VALUE);
}

STANDIN_EXPORT CUresult cuGraphKernelNodeSetParams_v2(void* handle, const KernelNodeParams* params) {
    Lock lock(world().mutex);
    if (!isNode(handle)) {
        return INVALID_VALUE;
    }
    std::shared_ptr<const Job> job;
    int result = jobOf(params, job);
    auto* node = static_cast<Node*>(handle);
    if (result == SUCCESS) {
        result = replaceable(*node->job, *job);
    }
    if (result == SUCCESS) {
        node->job = job;
    }
    return result;
}

STANDIN_EXPORT CUresult cuGraphExecKernelNodeSetParams_v2(
        void* handle, void* nodeHandle, const KernelNodeParams* params) {
    Lock lock(world().mutex);
    if (!isExecutable(handle) || !isNode(nodeHandle)) {
        return INVALID_VALUE;
    }
    auto* executable = static_cast<Executable*>(handle);
    auto found = executable->index.find(static_cast<Node*>(nodeHandle)->id);
    if (found == executable->index.end()) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphExecKernelNodeSetParams")) {
        return UNKNOWN;
    }
    std::shared_ptr<const Job> job;
    int result = jobOf(params, job);
    if (result == SUCCESS) {
        result = replaceable(*executable->jobs[found->second], *job);
    }
    if (result == SUCCESS) {
        executable->jobs[found->second] = job;
    }
    return result;
}

namespace carousel::standin {

/// CUgraphExecUpdateResultInfo
struct UpdateInfo {
    int result;
    void* node;
    void* from;
};

}  // namespace carousel::standin

STANDIN_EXPORT CUresult cuGraphExecUpdate_v2(void* handle, void* graphHandle, UpdateInfo* info) {
    Lock lock(world().mutex);
    if (!isExecutable(handle) || !isGraph(graphHandle)) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_OBJECT, "cuGraphExecUpdate")) {
        return UNKNOWN;
    }
    auto* executable = static_cast<Executable*>(handle);
    Executable other;
    bool same = wire(static_cast<Graph*>(graphHandle), &other) == SUCCESS && other.after == executable->after;
    for (size_t k = 0; same && k < other.jobs.size(); k++) {
        same = other.jobs[k]->nodeType == executable->jobs[k]->nodeType;
    }
    constexpr int TOPOLOGY_CHANGED = 2;
    if (info != nullptr) {
        *info = UpdateInfo{same ? 0 : TOPOLOGY_CHANGED, nullptr, nullptr};
    }
    if (!same) {
        return GRAPH_EXEC_UPDATE_FAILURE;
    }
    executable->jobs = other.jobs;
    return SUCCESS;
}
