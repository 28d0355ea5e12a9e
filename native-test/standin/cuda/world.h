// The state of the imagined machine: devices, contexts, memory, streams, graphs. All of it is guarded by one mutex,
// which is never held while work runs. Objects that a caller holds by address are never deleted, only marked dead, so
// that a stale handle is recognised instead of meaning something else.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "types.h"

namespace carousel::standin {

/// A stream as one that may go on, by its number and by when its last turn was.
struct Turn {
    uint64_t stream;
    uint64_t last;
};

/// Memory between two guard bands, in pages of its own.
struct Allocation {
    uintptr_t base = 0;
    size_t bytes = 0;
    uintptr_t mapping = 0;
    size_t mapped = 0;
    uint64_t number = 0;
    Context* context = nullptr;
    int pending = 0;       // queued operations that touch it
    bool leaving = false;  // a free is queued
    bool pinned = false;
    bool registered = false;  // pinned by cuMemHostRegister: the memory is the caller's
    bool contains(uintptr_t address, size_t count) const {
        return address >= base && address - base <= bytes && count <= bytes - (address - base);
    }
};

/// A kernel launch with its arguments copied.
struct KernelCall {
    Function* function = nullptr;
    unsigned grid[3] = {1, 1, 1};
    unsigned block[3] = {1, 1, 1};
    unsigned sharedBytes = 0;
    std::vector<unsigned char> bytes;
    std::vector<size_t> offsets;
    std::vector<void*> pointers;  // into bytes
};

/// What a stream does at one place of its queue; immutable once made, shared by queue, graph and executable.
struct Job {
    std::string what;
    int nodeType = NODE_KERNEL;
    std::vector<Range> ranges;
    std::function<std::string()> run;  // "" or what went wrong
    std::shared_ptr<KernelCall> kernel;
    unsigned together = 0;  // blocks of a cooperative launch
};

struct Place {
    Stream* stream;
    uint64_t position;
};

struct Operation {
    std::shared_ptr<const Job> job;
    std::vector<Allocation*> touched;
    std::vector<Place> after;
};

struct Node {
    uint64_t id = 0;
    uint64_t stream = 0;  // the number of the one it was captured from
    Graph* graph = nullptr;
    bool alive = true;
    std::shared_ptr<const Job> job;
    std::vector<Node*> after;
};

struct Graph {
    bool alive = true;
    std::vector<Node*> nodes;
};

struct Executable {
    bool alive = true;
    Context* context = nullptr;
    std::vector<std::shared_ptr<const Job>> jobs;
    std::vector<std::vector<size_t>> after;
    std::vector<uint64_t> streams;  // see Node
    std::map<uint64_t, size_t> index;  // by the id of the node that it was made from
};

struct Capture {
    int mode = 0;
    std::thread::id thread;
    Stream* origin = nullptr;
    bool valid = true;
    Graph* graph = nullptr;
    std::vector<Stream*> streams;
};

struct Stream {
    bool alive = true;
    Turn turn{0, 0};
    Context* context = nullptr;
    bool legacy = false;
    unsigned flags = 0;
    int priority = 0;
    std::deque<Operation> queue;
    uint64_t submitted = 0;
    uint64_t completed = 0;
    bool running = false;  // some thread is at the front of the queue
    bool stopping = false;
    bool workerIdle = false;
    std::condition_variable changed;  // something completed
    std::condition_variable wake;     // for the worker
    std::shared_ptr<Capture> capture;
    std::vector<Node*> frontier;
    bool blocking() const { return !legacy && (flags & 1) == 0; }
};

/// One recording of an event.
struct Mark {
    Place place{nullptr, 0};
    std::atomic<int64_t> nanoseconds{0};
    std::shared_ptr<Capture> capture;  // recorded while capturing
    std::vector<Node*> frontier;
};

struct Event {
    bool alive = true;
    Context* context = nullptr;
    unsigned flags = 0;
    std::shared_ptr<Mark> mark;
};

struct Function {
    Module* module = nullptr;
    std::string name;
    const void* kernel = nullptr;  // carousel::emulation::Kernel
    size_t dynamicSharedLimit = 48 * 1024;
    int carveout = -1;
    bool largeCluster = false;
};

struct Module {
    bool alive = true;
    Context* context = nullptr;
    std::map<std::string, Function*> functions;
};

struct Context {
    bool alive = true;
    bool primary = false;
    CUdevice device = 0;
    unsigned flags = 0;
    int retained = 0;
    int error = 0;  // sticky
    Stream* legacy = nullptr;
    std::set<Stream*> streams;
    std::set<Event*> events;
    std::set<Module*> modules;
    std::set<std::shared_ptr<Capture>> captures;
};

using Lock = std::unique_lock<std::mutex>;

struct World {
    std::mutex mutex;
    bool initialized = false;
    std::map<CUdevice, Context*> primaries;
    std::unordered_set<const void*> contexts, streams, events, modules, functions, graphs, nodes, executables;
    std::map<uintptr_t, Allocation*> device;
    std::map<uintptr_t, Allocation*> pinned;
    std::map<uintptr_t, Allocation*> quarantine;
    std::list<Allocation*> quarantineOrder;
    size_t quarantineBytes = 0;
    size_t deviceBytes = 0;
    uint64_t allocations = 0;
    uint64_t nodeIds = 0;
    uint64_t streamNumbers = 0;
    uint64_t turns = 0;
    std::deque<Node*> deadNodes;  // the one kind of object of which there are so many that the oldest go
    uint64_t launches = 0;
};

/// The one world, never destroyed: workers may outlive main.
World& world();

uint64_t word(int index);
int deviceCount();
uint64_t deviceMemory(CUdevice device);
uint64_t mix(uint64_t value);
/// Whether a stream goes before another where the control block says that streams are unruly.
bool runsAhead(const Turn& stream, const Turn& other);

// memory.cpp
bool isDeviceAddress(uintptr_t address);
/// The live allocation with the range in it; null after a report of misuse.
Allocation* locate(const Range& range, const std::string& what);
/// All allocations that ranges touch, or false after a report.
bool locateAll(const std::vector<Range>& ranges, const std::string& what, std::vector<Allocation*>& found);
Allocation* pinnedAt(const void* address, size_t bytes);
void releaseAllocation(Allocation* allocation);  // world locked
void releaseContextMemory(Context* context);     // world locked
void checkQuarantine();                          // world locked

// stream.cpp
Context* current();
int ready(Context*& context);  // a usable current context, or an error
Stream* startStream(Context* context, unsigned flags, int priority, bool legacy);
/// The stream that a handle means in the context; null if there is none.
Stream* resolve(void* handle, Context* context);
/// Puts a job into the stream, or into the graph while the stream is captured. World locked.
int submit(Lock& lock, Stream* stream, std::shared_ptr<const Job> job, uint64_t* position = nullptr);
/// Returns when the stream has done everything up to the position, helping it on. World locked.
void finish(Lock& lock, Stream* stream, uint64_t position);
void finishAll(Lock& lock, Context* context);
void endStream(Lock& lock, Stream* stream);
/// Refuses calls that a capture forbids, and invalidates the capture.
int forbidWhileCapturing(Context* context, const char* what);

// graph.cpp
int addNode(Stream* stream, std::shared_ptr<const Job> job);
void invalidate(Capture& capture, const std::string& why);

// Of a GPU for which the project is written.
constexpr unsigned MULTIPROCESSORS = 132;

// module.cpp
int makeKernelJob(Function* function, const unsigned* grid, const unsigned* block, unsigned sharedBytes, void** params,
        void** extra, bool cooperative, std::shared_ptr<const Job>& job);

}  // namespace carousel::standin
