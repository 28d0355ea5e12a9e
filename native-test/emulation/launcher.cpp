#include "launcher.h"

#include "emulation.h"
#include "fiber.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

__thread carousel::emulation::Index threadIdx;
__thread carousel::emulation::Index blockIdx;
__thread carousel::emulation::Index blockDim;
__thread carousel::emulation::Index gridDim;

namespace carousel::emulation {

struct Kernel {
    std::string name;
    std::string file;
    Description description;
};

namespace {

constexpr unsigned lanes = 32;
constexpr unsigned largestBlock = 1024;
constexpr size_t sharedLimit = 48 * 1024;
constexpr size_t cacheLine = 64;
constexpr size_t mostPieces = 64;

// Never destroyed: kernels may run until the very end of the process.
std::map<std::string, Kernel>& registry() {
    static auto* all = new std::map<std::string, Kernel>();
    return *all;
}

// SplitMix64 (Steele, Lea & Flood 2014).
class Random {
public:
    explicit Random(uint64_t seed) : state(seed) {}

    uint64_t next() {
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
    }

    unsigned below(unsigned bound) { return static_cast<unsigned>((next() >> 32) * bound >> 32); }

    template <typename T>
    void shuffle(std::vector<T>& values) {
        for (size_t i = values.size(); i > 1; i--) {
            std::swap(values[i - 1], values[below(static_cast<unsigned>(i))]);
        }
    }

private:
    uint64_t state;
};

// A stack on which CUDA threads run: one after the other until one has to wait, which then keeps it.
struct Fiber {
    explicit Fiber(unsigned index) : stack(index) {}

    void fetch() const {
#ifndef CAROUSEL_EMULATION_UCONTEXT
        const char* top = static_cast<const char*>(context.stackPointer);
        __builtin_prefetch(top);
        __builtin_prefetch(top + 64);
        __builtin_prefetch(top + 128);
#endif
    }

    Context context;
    unsigned thread = 0;
    Stack stack;
};

// What a thread waits for.
struct Request {
    // Null where the thread has not started, runs, or has ended.
    Fiber* fiber;
    int site;
    bool atBarrier;
    // Of a warp operation; the value becomes its result.
    unsigned char source;
    uint64_t value;
};

// What the threads of a warp wait for together. All that wait must agree.
struct Warp {
    // Bits of lanes.
    unsigned arrived;
    unsigned ended;
    unsigned mask;
    int site;
    WarpOperation operation;
    bool agreed;

    bool complete() const { return arrived != 0 && agreed && arrived == (mask & ~ended); }
};

// What the threads of a block wait for together at a barrier.
struct Barrier {
    size_t arrived;
    int site;
    bool agreed;
    bool any;
};

// What one worker runs blocks with.
class Multiprocessor {
public:
    // Gives "" or what went wrong.
    std::string runBlock(const Kernel& kernel, const Launch& launch, void** params, uint64_t block);

    // After an error: threads that still wait never go on, their stacks begin anew.
    void forgetFibers();

    // These are called on fibers, by way of `current`.
    [[noreturn]] void carry();
    bool waitAtBarrier(int site, bool predicate);
    uint64_t waitInWarp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source);
    void* sharedPiece(const void* key, size_t bytes, size_t alignment);
    void* dynamicSharedMemory() { return dynamicShared; }

private:
    struct Piece {
        const void* key;
        void* memory;
    };

    void leave(Fiber& self);
    Context& next();
    void addFiber();
    void makeReady(Fiber* fiber, size_t& batch);
    void releaseBarrierIfComplete();
    void releaseWarpIfComplete(unsigned warp);
    std::string describeDeadlock() const;
    void prepareShared(size_t dynamicBytes);

    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
    // Fibers that may go on, from the last to the first.
    std::vector<Fiber*> ready;
    Random random{0};
    // Whether what was released last goes on before what was ready before; otherwise all have the same chance.
    bool runAhead = false;
    // Threads in the order of their start, and how many have.
    std::vector<unsigned> order;
    size_t started = 0;
    size_t finished = 0;
    Fiber* running = nullptr;
    std::vector<Request> requests;
    std::vector<Warp> warps;
    Barrier meeting{};
    // What the barrier gives whose threads go on.
    bool anyPredicate = false;
    Context scheduler;
    void (*call)(void**) = nullptr;
    void** arguments = nullptr;
    std::vector<Piece> pieces;
    std::unique_ptr<char[]> sharedMemory;
    char* dynamicShared = nullptr;
    size_t sharedUsed = 0;
    size_t sharedWanted = 0;
};

__thread __attribute__((tls_model("initial-exec"))) Multiprocessor* current;

void fiberEntry() {
    current->carry();
}

void Multiprocessor::carry() {
    for (;;) {
        while (started < order.size()) {
            unsigned thread = order[started++];
            running->thread = thread;
            threadIdx = {thread, 0, 0};
            call(arguments);
            thread = running->thread;
            Warp& warp = warps[thread / lanes];
            warp.ended |= 1u << thread % lanes;
            finished++;
            if (warp.arrived != 0) {
                releaseWarpIfComplete(thread / lanes);
            }
            if (!ready.empty()) {
                break;
            }
        }
        Fiber& self = *running;
        idle.push_back(&self);
        leave(self);
    }
}

void Multiprocessor::leave(Fiber& self) {
    Context& to = next();
    // It may be its own turn again.
    if (&to != &self.context) {
        switchContext(self.context, to);
    }
}

// Where to go on when a fiber cannot: another fiber that is ready, a fresh one for threads that have not started, or
// the scheduler.
Context& Multiprocessor::next() {
    bool unstarted = started < order.size();
    if (!ready.empty() && (!unstarted || runAhead || random.below(2) == 0)) {
        running = ready.back();
        ready.pop_back();
        threadIdx = {running->thread, 0, 0};
        // The stacks of a block do not fit the nearest cache. The next ones can be fetched in the meantime.
        size_t count = ready.size();
        if (count > 3) {
            __builtin_prefetch(ready[count - 4]);
            ready[count - 2]->fetch();
        }
        return running->context;
    }
    if (unstarted && !idle.empty()) {
        running = idle.back();
        idle.pop_back();
        return running->context;
    }
    return scheduler;
}

bool Multiprocessor::waitAtBarrier(int site, bool predicate) {
    Fiber& self = *running;
    requests[self.thread] = {&self, site, true, 0, 0};
    meeting.agreed = meeting.arrived == 0 || (meeting.agreed && meeting.site == site);
    meeting.any = (meeting.arrived != 0 && meeting.any) || predicate;
    meeting.site = site;
    meeting.arrived++;
    releaseBarrierIfComplete();
    leave(self);
    return anyPredicate;
}

uint64_t Multiprocessor::waitInWarp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source) {
    Fiber& self = *running;
    unsigned lane = 1u << self.thread % lanes;
    requests[self.thread] = {&self, site, false, static_cast<unsigned char>(source), value};
    Warp& warp = warps[self.thread / lanes];
    bool agrees = warp.arrived == 0 || (warp.agreed && warp.site == site && warp.mask == mask);
    warp.agreed = agrees && (mask & lane) != 0;
    warp.site = site;
    warp.mask = mask;
    warp.operation = operation;
    warp.arrived |= lane;
    releaseWarpIfComplete(self.thread / lanes);
    leave(self);
    return requests[self.thread].value;
}

void Multiprocessor::addFiber() {
    // What runs on fibers must not throw: it has room for all that it puts back.
    idle.reserve(fibers.size() + 1);
    fibers.push_back(std::make_unique<Fiber>(static_cast<unsigned>(fibers.size())));
    Fiber& added = *fibers.back();
    added.stack.prepare(added.context, fiberEntry);
    idle.push_back(&added);
}

void Multiprocessor::forgetFibers() {
    idle.clear();
    for (const auto& fiber : fibers) {
        fiber->stack.prepare(fiber->context, fiberEntry);
        idle.push_back(fiber.get());
    }
}

void Multiprocessor::prepareShared(size_t dynamicBytes) {
    // First the launch's dynamic memory, then the kernel's own pieces. Each of the two is within the limit; together
    // they are checked when the block has ended.
    if (!sharedMemory) {
        sharedMemory = std::make_unique<char[]>(2 * sharedLimit + cacheLine);
        sharedWanted = 2 * sharedLimit;
        pieces.reserve(mostPieces);
    }
    uintptr_t start = reinterpret_cast<uintptr_t>(sharedMemory.get());
    start = (start + cacheLine - 1) / cacheLine * cacheLine;
    dynamicShared = reinterpret_cast<char*>(start);
    // All bits set is a not-a-number in every format. Only what the last block had touched needs it again.
    std::memset(dynamicShared, 0xff, std::max(std::min(sharedWanted, 2 * sharedLimit), dynamicBytes));
    sharedUsed = (dynamicBytes + cacheLine - 1) / cacheLine * cacheLine;
    sharedWanted = sharedUsed;
    pieces.clear();
}

void* Multiprocessor::sharedPiece(const void* key, size_t bytes, size_t alignment) {
    for (const Piece& piece : pieces) {
        if (piece.key == key) {
            return piece.memory;
        }
    }
    sharedUsed = (sharedUsed + alignment - 1) / alignment * alignment;
    bool fits = sharedUsed + bytes <= 2 * sharedLimit && pieces.size() < mostPieces;
    void* memory = fits ? dynamicShared + sharedUsed : dynamicShared;
    sharedUsed += fits ? bytes : 2 * sharedLimit;
    sharedWanted = sharedUsed;
    if (fits) {
        pieces.push_back({key, memory});
    }
    return memory;
}

// Inserts a fiber that was released together with those from `batch` on; SIZE_MAX for the first one.
void Multiprocessor::makeReady(Fiber* fiber, size_t& batch) {
    if (batch == SIZE_MAX) {
        batch = runAhead ? ready.size() : 0;
    }
    ready.push_back(fiber);
    std::swap(ready.back(), ready[batch + random.below(static_cast<unsigned>(ready.size() - batch))]);
}

// A thread that has ended can never come: on newer GPUs that works, by CUDA's rules it is an error.
void Multiprocessor::releaseBarrierIfComplete() {
    if (meeting.arrived < order.size() || !meeting.agreed) {
        return;
    }
    anyPredicate = meeting.any;
    meeting = {};
    size_t batch = SIZE_MAX;
    for (Request& request : requests) {
        makeReady(request.fiber, batch);
        request.fiber = nullptr;
    }
}

void Multiprocessor::releaseWarpIfComplete(unsigned index) {
    Warp& warp = warps[index];
    if (!warp.complete()) {
        return;
    }
    Request* first = &requests[index * lanes];
    // What a lane gives that takes no part is undefined: all bits set.
    uint64_t given[lanes];
    std::fill(given, given + lanes, ~uint64_t{0});
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < lanes; lane++) {
        if (warp.arrived >> lane & 1) {
            given[lane] = first[lane].value;
            ballot |= static_cast<unsigned>(first[lane].value & 1) << lane;
        }
    }
    size_t batch = SIZE_MAX;
    for (unsigned lane = 0; lane < lanes; lane++) {
        if (warp.arrived >> lane & 1) {
            first[lane].value = warp.operation == WarpOperation::ballot ? ballot : given[first[lane].source];
            makeReady(first[lane].fiber, batch);
            first[lane].fiber = nullptr;
        }
    }
    warp.arrived = 0;
}

std::string Multiprocessor::describeDeadlock() const {
    // How many threads wait where.
    std::map<std::pair<bool, int>, int> places;
    for (const Request& request : requests) {
        if (request.fiber != nullptr) {
            places[{request.atBarrier, request.site}]++;
        }
    }
    std::string text = "deadlock:";
    for (const auto& [place, count] : places) {
        text += ' ' + std::to_string(count)
                + (place.first ? " at the barrier of line " : " in the warp operation of line ")
                + std::to_string(place.second) + ',';
    }
    return text + ' ' + std::to_string(finished) + " of " + std::to_string(order.size()) + " threads have ended";
}

std::string Multiprocessor::runBlock(const Kernel& kernel, const Launch& launch, void** params, uint64_t block) {
    unsigned threads = launch.block[0];
    uint64_t plane = static_cast<uint64_t>(launch.grid[0]) * launch.grid[1];
    gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    blockDim = {threads, 1, 1};
    blockIdx = {static_cast<unsigned>(block % launch.grid[0]), static_cast<unsigned>(block % plane / launch.grid[0]),
            static_cast<unsigned>(block / plane)};
    call = kernel.description.call;
    arguments = params;
    current = this;
    prepareShared(launch.sharedBytes);
    random = Random(launch.seed ^ (block + 1) * 0xd1342543de82ef95u);
    runAhead = random.below(2) == 0;
    order.resize(threads);
    for (unsigned thread = 0; thread < threads; thread++) {
        order[thread] = thread;
    }
    random.shuffle(order);
    requests.assign(threads, Request{});
    warps.assign((threads + lanes - 1) / lanes, Warp{});
    // Lanes that the last warp does not have are as good as ended.
    warps.back().ended = threads % lanes == 0 ? 0 : ~0u << threads % lanes;
    meeting = {};
    ready.clear();
    // No more than there are threads: what runs on fibers never makes it grow.
    ready.reserve(threads);
    started = 0;
    finished = 0;
    while (finished < threads) {
        if (ready.empty() && started == threads) {
            std::string text = describeDeadlock();
            forgetFibers();
            return text;
        }
        if (idle.empty()) {
            addFiber();
        }
        switchContext(scheduler, next());
    }
    if (sharedUsed > sharedLimit) {
        return "the block needs " + std::to_string(sharedUsed) + " bytes of shared memory but there are "
                + std::to_string(sharedLimit);
    }
    return "";
}

// One launch on its way through the workers.
struct Job {
    const Kernel& kernel;
    const Launch& launch;
    void** params;
    std::vector<uint32_t> order;
    std::atomic<size_t> next{0};
    // Set once a block has failed: the remaining ones are not run.
    std::atomic<bool> failed{false};
    // The rest is guarded by the pool's mutex.
    size_t workers = 0;
    std::string error;
    std::condition_variable left;
};

class Pool {
public:
    // Never destroyed, see launcher.h.
    static Pool& instance() {
        static auto* pool = new Pool();
        return *pool;
    }

    std::string run(const Kernel& kernel, const Launch& launch, void** params);

private:
    Pool();
    void work();
    void runBlocks(Job& job, Multiprocessor& multiprocessor);

    std::mutex mutex;
    std::condition_variable wanted;
    std::deque<Job*> jobs;
    size_t threads = 0;
};

Pool::Pool() {
    // Signals that are sent to the process are for its other threads. Those that a fault raises here stay, so that they
    // are reported.
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) {
        sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    unsigned count = std::min(std::max(std::thread::hardware_concurrency(), 1u), 8u);
    try {
        while (threads < count) {
            std::thread(&Pool::work, this).detach();
            threads++;
        }
    } catch (const std::exception&) {
        // Fewer do as well; run() refuses when there is none.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::work() {
    auto* multiprocessor = new Multiprocessor();
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
        wanted.wait(lock, [this] { return !jobs.empty(); });
        Job& job = *jobs.front();
        if (job.next >= job.order.size()) {
            jobs.pop_front();
            continue;
        }
        job.workers++;
        lock.unlock();
        runBlocks(job, *multiprocessor);
        lock.lock();
        if (!jobs.empty() && jobs.front() == &job) {
            jobs.pop_front();
        }
        if (--job.workers == 0) {
            job.left.notify_one();
        }
    }
}

void Pool::runBlocks(Job& job, Multiprocessor& multiprocessor) {
    // Blocks that take no time are not worth another worker's waking.
    constexpr std::chrono::microseconds worthIt(60);
    size_t blocks = job.order.size();
    bool alone = true;
    size_t done = 0;
    auto start = std::chrono::steady_clock::now();
    for (size_t k; (k = job.next++) < blocks;) {
        std::string error;
        if (!job.failed) {
            try {
                error = multiprocessor.runBlock(job.kernel, job.launch, job.params, job.order[k]);
            } catch (const std::exception& e) {
                multiprocessor.forgetFibers();
                error = e.what();
            }
        }
        if (!error.empty() && !job.failed.exchange(true)) {
            std::lock_guard<std::mutex> lock(mutex);
            job.error = job.kernel.name + ", block " + std::to_string(job.order[k]) + ": " + error;
        }
        done++;
        if (alone && (done & (done - 1)) == 0 && k + 1 < blocks) {
            auto spent = std::chrono::steady_clock::now() - start;
            if (spent * (blocks - k - 1) > worthIt * done) {
                wanted.notify_all();
                alone = false;
            }
        }
    }
}

std::string Pool::run(const Kernel& kernel, const Launch& launch, void** params) {
    if (threads == 0) {
        return "no worker thread could be started";
    }
    Job job{kernel, launch, params, {}, {}, {}, 0, {}, {}};
    job.order.resize(static_cast<size_t>(launch.grid[0]) * launch.grid[1] * launch.grid[2]);
    for (size_t block = 0; block < job.order.size(); block++) {
        job.order[block] = static_cast<uint32_t>(block);
    }
    Random(launch.seed).shuffle(job.order);
    std::unique_lock<std::mutex> lock(mutex);
    jobs.push_back(&job);
    wanted.notify_one();
    job.left.wait(lock, [&job] { return job.workers == 0 && job.next >= job.order.size(); });
    jobs.erase(std::remove(jobs.begin(), jobs.end(), &job), jobs.end());
    return job.error;
}

std::string badLaunch(const Kernel& kernel, const Launch& launch, void** params) {
    std::string text = kernel.name + ": ";
    uint64_t blocks = 1;
    for (int axis = 0; axis < 3; axis++) {
        uint64_t limit = axis == 0 ? 0x7fffffff : 0xffff;
        if (launch.grid[axis] < 1 || launch.grid[axis] > limit) {
            return text + "grid[" + std::to_string(axis) + "] should be in the [1, " + std::to_string(limit)
                    + "] range but got " + std::to_string(launch.grid[axis]);
        }
        blocks *= launch.grid[axis];
    }
    if (blocks > 0x7fffffff) {
        return text + "more blocks than the emulation can order: " + std::to_string(blocks);
    }
    unsigned wanted = kernel.description.blockSize;
    if (launch.block[1] != 1 || launch.block[2] != 1 || launch.block[0] < 1 || launch.block[0] > largestBlock
            || (wanted != 0 && launch.block[0] != wanted)) {
        return text + "the block should be "
                + (wanted != 0 ? std::to_string(wanted) : "1 to " + std::to_string(largestBlock)) + " x 1 x 1 but got "
                + std::to_string(launch.block[0]) + " x " + std::to_string(launch.block[1]) + " x "
                + std::to_string(launch.block[2]);
    }
    if (launch.sharedBytes > sharedLimit) {
        return text + "at most " + std::to_string(sharedLimit) + " bytes of shared memory but got "
                + std::to_string(launch.sharedBytes);
    }
    if (params == nullptr && kernel.description.parameters > 0) {
        return text + "no arguments";
    }
    return "";
}

}  // namespace

bool barrier(int site, bool predicate) {
    return current->waitAtBarrier(site, predicate);
}

uint64_t warp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source) {
    return current->waitInWarp(site, operation, mask, value, source);
}

void* sharedPiece(const void* key, size_t bytes, size_t alignment) {
    return current->sharedPiece(key, bytes, alignment);
}

void* dynamicSharedMemory() {
    return current->dynamicSharedMemory();
}

Registration::Registration(const Description& description) {
    // From the path of the source: its name without folder and extension.
    std::string file = description.file;
    file = file.substr(file.find_last_of('/') + 1);
    file = file.substr(0, file.find('.'));
    registry()[description.name] = {description.name, file, description};
}

std::string run(const Kernel& kernel, const Launch& launch, void** params) {
    try {
        std::string text = badLaunch(kernel, launch, params);
        return text.empty() ? Pool::instance().run(kernel, launch, params) : text;
    } catch (const std::exception& e) {
        return kernel.name + ": " + e.what();
    }
}

size_t parameterCount(const Kernel& kernel) {
    return kernel.description.parameters;
}

size_t parameterSize(const Kernel& kernel, size_t index) {
    return index < kernel.description.parameters ? kernel.description.sizes[index] : 0;
}

bool parameterIsPointer(const Kernel& kernel, size_t index) {
    return index < kernel.description.parameters && kernel.description.pointers[index];
}

unsigned blockSize(const Kernel& kernel) {
    return kernel.description.blockSize;
}

}  // namespace carousel::emulation

// Each of kernels/*.cu defines one of these. Named here, they come along when a program is linked against the archive,
// and with them the kernels, which nothing else names.
#define CAROUSEL_UNITS(unit) unit(activation) unit(elementwise) unit(embedding) unit(loss) unit(reduce) unit(update) unit(lstm_pointwise) unit(lstm_varied)
#define CAROUSEL_DECLARE_UNIT(name) void carousel_unit_##name();
#define CAROUSEL_NAME_UNIT(name) &carousel_unit_##name,
CAROUSEL_UNITS(CAROUSEL_DECLARE_UNIT)

namespace carousel::emulation {

__attribute__((used)) void (*const units[])() = {CAROUSEL_UNITS(CAROUSEL_NAME_UNIT)};

const Kernel* find(const std::string& name) {
    auto found = registry().find(name);
    return found == registry().end() ? nullptr : &found->second;
}

std::vector<std::string> kernels(const std::string& file) {
    std::vector<std::string> names;
    for (const auto& [name, kernel] : registry()) {
        if (kernel.file == file) {
            names.push_back(name);
        }
    }
    return names;
}

}  // namespace carousel::emulation
