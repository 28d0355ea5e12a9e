#include "launcher.h"

#include "cluster.h"
#include "fiber.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
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
// As many as the largest GPU has multiprocessors.
constexpr unsigned mostTogether = 192;
// Of a block: all of it, and what the kernel declares itself.
constexpr size_t sharedLimit = 227 * 1024;
constexpr size_t pieceLimit = 48 * 1024;
constexpr size_t cacheLine = 64;
// Room for both, and for the band between them.
constexpr size_t sharedCapacity = sharedLimit + pieceLimit + 2 * cacheLine;
constexpr unsigned char poison = 0xff;
constexpr size_t mostPieces = 64;
constexpr size_t mostBarriers = 64;
// What a barrier can count of arrivals and of bytes.
constexpr long long mostBarrierCount = (1 << 20) - 1;

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

enum class Place : unsigned char { warp, barrier, cluster, phase, letter };

// What a thread waits for.
struct Request {
    // Null where the thread has not started, runs, or has ended.
    Fiber* fiber;
    int site;
    Place place;
    // Of a warp operation; the value becomes its result. Of a phase, the value is its barrier's index.
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

    bool complete() const {
        // A product needs all lanes, those that have ended too.
        unsigned wanted = operation >= WarpOperation::multiplyBf16 ? mask : mask & ~ended;
        return arrived != 0 && agreed && arrived == wanted;
    }
};

// What the threads of a block, or of a cluster, wait for together at a barrier.
struct Barrier {
    size_t arrived;
    int site;
    bool agreed;
    bool any;

    void arrive(int where, bool predicate) {
        agreed = arrived == 0 || (agreed && site == where);
        any = (arrived != 0 && any) || predicate;
        site = where;
        arrived++;
    }
};

// A barrier in shared memory: its phase ends when all have arrived and as many bytes have come as are expected.
struct Phases {
    unsigned long long* address;
    unsigned arrivals;
    unsigned missing;
    // Expected and not there yet; below 0 where they came before they were expected.
    long long bytes;
    // How many have ended.
    unsigned past;
    unsigned waiting;

    // What its memory holds, so that it shows when something else has been written there.
    unsigned long long mark() const { return 0x6d62617272696572u ^ reinterpret_cast<uintptr_t>(address); }
};

// Words on their way to the shared memory of a block.
struct Delivery {
    unsigned* to;
    unsigned values[4];
    unsigned words;
    unsigned rank;
    // Of the barrier there.
    unsigned index;
};

// A word on its way to where others look for it.
struct Letter {
    unsigned long long* to;
    unsigned long long whole;
    // From where the launch's first letter goes: this is the same in every run of the program.
    ptrdiff_t place;

    // Another number for each place; the same for all that go there.
    uint64_t drawn(uint64_t order) const { return Random(static_cast<uint64_t>(place) ^ order).next(); }
};

// A block of the cluster that a worker runs.
struct Block {
    struct Piece {
        const void* key;
        void* memory;
    };

    Index index{};
    Barrier meeting{};
    // What the barrier gives whose threads go on.
    bool anyPredicate = false;
    size_t ended = 0;
    // Deliveries on their way to it.
    size_t coming = 0;
    std::vector<Phases> barriers;
    std::vector<Piece> pieces;
    std::unique_ptr<char[]> memory;
    char* dynamicShared = nullptr;
    size_t dynamicBytes = 0;
    // Where the kernel's own pieces begin, and how many bytes of them there are.
    char* pieceShared = nullptr;
    size_t pieceBytes = 0;
    // What may not be poisoned any more.
    size_t touched = 0;

    void prepareShared(size_t bytes);
    void* piece(const void* key, size_t bytes, size_t alignment);
    // Gives "" or what is wrong with what it used.
    std::string checkShared() const;
};

// What one worker runs clusters of blocks with; most are of one block.
class Multiprocessor {
public:
    // Gives "" or what went wrong.
    std::string runCluster(const Kernel& kernel, const Launch& launch, void** params, uint64_t cluster);

    // After an error: threads that still wait never go on, their stacks begin anew.
    void forgetFibers();

    // These are called on fibers, by way of `current`.
    [[noreturn]] void carry();
    bool waitAtBarrier(int site, bool predicate);
    uint64_t waitInWarp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source);
    void waitForCluster(int site);
    void* sharedPiece(const void* key, size_t bytes, size_t alignment) { return here->piece(key, bytes, alignment); }
    void* dynamicSharedMemory() { return here->dynamicShared; }
    void requireShared(size_t bytes);
    unsigned rank() const { return static_cast<unsigned>(here - blocks.data()); }
    void initBarrier(unsigned long long* address, unsigned arrivals);
    void expect(unsigned long long* address, unsigned bytes);
    void waitForPhase(int site, unsigned long long* address, unsigned parity);
    void send(unsigned* to, const unsigned* values, unsigned words, unsigned long long* barrier, unsigned rank);
    void post(unsigned long long* letter, unsigned word, unsigned tag);
    unsigned long long collect(int site, const unsigned long long* letter, unsigned tag);

private:
    void leave(Fiber& self);
    Context& next();
    void enter(Fiber* fiber);
    void addFiber();
    void makeReady(Fiber* fiber, size_t& batch);
    void releaseBarrierIfComplete();
    void releaseWarpIfComplete(unsigned warp);
    void endPhaseIfComplete(Block& block, Phases& phases);
    void endBlock(const Block& block);
    void deliver(bool allWait);
    void deliverOne(std::vector<Delivery>& from);
    bool isLate(unsigned rank);
    void lookAgain();
    void deliverLetters();
    size_t offsetOf(const void* address, size_t bytes, const char* what);
    Phases& phasesAt(Block& block, unsigned long long* address);
    void note(const char* format, ...) __attribute__((format(printf, 2, 3)));
    [[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 2, 3)));
    std::string describeDeadlock() const;

    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
    // Fibers that may go on, from the last to the first.
    std::vector<Fiber*> ready;
    Random random{0};
    // Whether what was released last goes on before what was ready before; otherwise all have the same chance.
    bool runAhead = false;
    // Whether the blocks of a cluster begin, and go on after they have met, one after the other.
    bool byBlock = false;
    // Threads in the order of their start, and how many have. A thread's number is its block's rank times `pitch` and
    // its place in the block.
    std::vector<unsigned> order;
    size_t started = 0;
    size_t finished = 0;
    Fiber* running = nullptr;
    std::vector<Request> requests;
    std::vector<Warp> warps;
    // Those of the cluster come first; there may be more from an earlier one.
    std::vector<Block> blocks;
    unsigned cluster = 1;
    unsigned threads = 0;
    unsigned pitch = 0;
    // That of the running thread.
    Block* here = nullptr;
    Barrier gathering{};
    // What is on its way: some comes at any time, some when nothing else can go on.
    std::vector<Delivery> prompt;
    std::vector<Delivery> late;
    enum class Lateness { none, all, oneBlock, any } lateness = Lateness::none;
    unsigned lateRank = 0;
    // Those that come when nothing else can go on, from the first posted to the last; the others lie where they belong at once.
    std::vector<Letter> letters;
    const unsigned long long* firstLetter = nullptr;
    // Threads that wait for letters, and whether some were posted since they looked.
    std::vector<unsigned> collectors;
    bool posted = false;
    // Whether next() has more to look at than threads.
    bool attention = false;
    // What is wrong; empty as long as nothing is.
    char failure[400] = "";
    Context abandoned;
    Context scheduler;
    void (*call)(void**) = nullptr;
    void** arguments = nullptr;
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
            enter(running);
            call(arguments);
            thread = running->thread;
            Warp& warp = warps[thread / lanes];
            warp.ended |= 1u << thread % lanes;
            finished++;
            if (cluster > 1 && ++here->ended == threads) {
                endBlock(*here);
            }
            if (warp.arrived != 0) {
                releaseWarpIfComplete(thread / lanes);
            }
            if (!ready.empty() || attention) {
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

// Makes it known to the kernel who runs.
void Multiprocessor::enter(Fiber* fiber) {
    if (cluster == 1) {
        threadIdx = {fiber->thread, 0, 0};
        return;
    }
    unsigned rank = fiber->thread / pitch;
    here = &blocks[rank];
    blockIdx = here->index;
    threadIdx = {fiber->thread - rank * pitch, 0, 0};
}

// Where to go on when a fiber cannot: another fiber that is ready, a fresh one for threads that have not started, or
// the scheduler.
Context& Multiprocessor::next() {
    bool unstarted = started < order.size();
    if (__builtin_expect(attention, false)) {
        deliver(ready.empty() && !unstarted);
        if (failure[0] != 0) {
            return scheduler;
        }
    }
    if (__builtin_expect(ready.empty() && !unstarted && posted, false)) {
        lookAgain();
    }
    if (!ready.empty() && (!unstarted || runAhead || random.below(2) == 0)) {
        running = ready.back();
        ready.pop_back();
        enter(running);
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
    requests[self.thread] = {&self, site, Place::barrier, 0, 0};
    here->meeting.arrive(site, predicate);
    releaseBarrierIfComplete();
    leave(self);
    return here->anyPredicate;
}

uint64_t Multiprocessor::waitInWarp(int site, WarpOperation operation, unsigned mask, uint64_t value, unsigned source) {
    Fiber& self = *running;
    unsigned lane = 1u << self.thread % lanes;
    requests[self.thread] = {&self, site, Place::warp, static_cast<unsigned char>(source), value};
    Warp& warp = warps[self.thread / lanes];
    bool agrees = warp.arrived == 0
            || (warp.agreed && warp.site == site && warp.mask == mask && warp.operation == operation);
    warp.agreed = agrees && (mask & lane) != 0;
    warp.site = site;
    warp.mask = mask;
    warp.operation = operation;
    warp.arrived |= lane;
    releaseWarpIfComplete(self.thread / lanes);
    leave(self);
    return requests[self.thread].value;
}

void Multiprocessor::waitForCluster(int site) {
    Fiber& self = *running;
    requests[self.thread] = {&self, site, Place::cluster, 0, 0};
    gathering.arrive(site, false);
    if (gathering.arrived == order.size() && gathering.agreed) {
        gathering = {};
        size_t batch = SIZE_MAX;
        unsigned first = random.below(cluster);
        for (unsigned k = 0; k < cluster; k++) {
            unsigned member = (first + k) % cluster;
            batch = byBlock ? SIZE_MAX : batch;
            for (unsigned thread = 0; thread < threads; thread++) {
                Request& request = requests[member * pitch + thread];
                makeReady(request.fiber, batch);
                request.fiber = nullptr;
            }
        }
    }
    leave(self);
}

// The first thing that is wrong counts.
void Multiprocessor::note(const char* format, ...) {
    attention = true;
    if (failure[0] != 0) {
        return;
    }
    va_list values;
    va_start(values, format);
    std::vsnprintf(failure, sizeof failure, format, values);
    va_end(values);
}

// What is wrong with the running thread, which never goes on.
void Multiprocessor::fail(const char* format, ...) {
    int length = cluster == 1 ? std::snprintf(failure, sizeof failure, "thread %u: ", threadIdx.x)
                              : std::snprintf(failure, sizeof failure, "thread %u of rank %u: ", threadIdx.x, rank());
    va_list values;
    va_start(values, format);
    std::vsnprintf(failure + length, sizeof failure - static_cast<size_t>(length), format, values);
    va_end(values);
    switchContext(abandoned, scheduler);
    __builtin_unreachable();
}

void Multiprocessor::requireShared(size_t bytes) {
    if (here->dynamicBytes < bytes) {
        fail("needs %zu bytes of dynamic shared memory but the launch has %zu", bytes, here->dynamicBytes);
    }
}

// Where in the block's dynamic shared memory it is; it must lie there, a multiple of its size from the beginning.
size_t Multiprocessor::offsetOf(const void* address, size_t bytes, const char* what) {
    uintptr_t offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(here->dynamicShared);
    if (offset > here->dynamicBytes || here->dynamicBytes - offset < bytes) {
        fail("%s outside the block's %zu bytes of dynamic shared memory", what, here->dynamicBytes);
    }
    if (offset % bytes != 0) {
        fail("%s at byte %zu of dynamic shared memory, which should be a multiple of %zu", what,
                static_cast<size_t>(offset), bytes);
    }
    return offset;
}

Phases& Multiprocessor::phasesAt(Block& block, unsigned long long* address) {
    for (Phases& phases : block.barriers) {
        if (phases.address == address) {
            if (*address != phases.mark()) {
                fail("something else was written where a barrier is");
            }
            return phases;
        }
    }
    fail("there is no barrier at byte %td of rank %td", reinterpret_cast<char*>(address) - block.dynamicShared,
            &block - blocks.data());
}

void Multiprocessor::initBarrier(unsigned long long* address, unsigned arrivals) {
    offsetOf(address, sizeof *address, "a barrier");
    for (const Phases& phases : here->barriers) {
        if (phases.address == address) {
            fail("a barrier that has been made is made again");
        }
    }
    if (arrivals < 1 || arrivals > mostBarrierCount) {
        fail("a barrier of %u arrivals, which should be 1 to %lld", arrivals, mostBarrierCount);
    }
    if (here->barriers.size() == here->barriers.capacity()) {
        fail("more than the %zu barriers that the emulation has room for", here->barriers.size());
    }
    here->barriers.push_back({address, arrivals, arrivals, 0, 0, 0});
    *address = here->barriers.back().mark();
}

void Multiprocessor::expect(unsigned long long* address, unsigned bytes) {
    offsetOf(address, sizeof *address, "a barrier");
    Phases& phases = phasesAt(*here, address);
    if (phases.missing == 0) {
        fail("arrives at a barrier where all %u of the phase have arrived", phases.arrivals);
    }
    phases.bytes += bytes;
    if (phases.bytes > mostBarrierCount) {
        fail("a barrier expects %lld bytes, more than the %lld it can count", phases.bytes, mostBarrierCount);
    }
    phases.missing--;
    endPhaseIfComplete(*here, phases);
}

void Multiprocessor::waitForPhase(int site, unsigned long long* address, unsigned parity) {
    Fiber& self = *running;
    offsetOf(address, sizeof *address, "a barrier");
    Phases& phases = phasesAt(*here, address);
    if (parity > 1) {
        fail("waits for parity %u, which should be 0 or 1", parity);
    }
    if (phases.past % 2 != parity) {
        return;
    }
    phases.waiting++;
    requests[self.thread] = {&self, site, Place::phase, 0, static_cast<uint64_t>(&phases - here->barriers.data())};
    leave(self);
}

void Multiprocessor::endPhaseIfComplete(Block& block, Phases& phases) {
    if (phases.missing != 0 || phases.bytes != 0) {
        return;
    }
    phases.past++;
    phases.missing = phases.arrivals;
    if (phases.waiting == 0) {
        return;
    }
    phases.waiting = 0;
    uint64_t index = static_cast<uint64_t>(&phases - block.barriers.data());
    size_t first = static_cast<size_t>(&block - blocks.data()) * pitch;
    size_t batch = SIZE_MAX;
    for (size_t thread = first; thread < first + threads; thread++) {
        Request& request = requests[thread];
        if (request.fiber != nullptr && request.place == Place::phase && request.value == index) {
            makeReady(request.fiber, batch);
            request.fiber = nullptr;
        }
    }
}

void Multiprocessor::send(
        unsigned* to, const unsigned* values, unsigned words, unsigned long long* barrier, unsigned rank) {
    size_t place = offsetOf(to, words * sizeof *to, "a store");
    size_t itsBarrier = offsetOf(barrier, sizeof *barrier, "a barrier");
    if (rank >= cluster) {
        fail("sends to rank %u of a cluster of %u", rank, cluster);
    }
    Block& target = blocks[rank];
    if (target.ended == threads) {
        fail("sends to rank %u, which has ended", rank);
    }
    Phases& phases = phasesAt(target, reinterpret_cast<unsigned long long*>(target.dynamicShared + itsBarrier));
    Delivery delivery{reinterpret_cast<unsigned*>(target.dynamicShared + place), {}, words, rank,
            static_cast<unsigned>(&phases - target.barriers.data())};
    std::copy(values, values + words, delivery.values);
    try {
        (isLate(rank) ? late : prompt).push_back(delivery);
    } catch (const std::exception& e) {
        fail("%s", e.what());
    }
    target.coming++;
    attention = true;
}

bool Multiprocessor::isLate(unsigned rank) {
    switch (lateness) {
        case Lateness::none: return false;
        case Lateness::all: return true;
        case Lateness::oneBlock: return rank == lateRank;
        default: return random.below(2) == 0;
    }
}

void Multiprocessor::post(unsigned long long* to, unsigned word, unsigned tag) {
    firstLetter = firstLetter == nullptr ? to : firstLetter;
    Letter letter{to, static_cast<unsigned long long>(tag) << 32 | word, to - firstLetter};
    // Letters for one place keep their order: all of them are late, or none.
    if (lateness == Lateness::any ? letter.drawn(lateRank) % 2 == 0 : isLate(rank())) {
        try {
            letters.push_back(letter);
        } catch (const std::exception& e) {
            fail("%s", e.what());
        }
        attention = true;
        return;
    }
    *to = letter.whole;
    posted = !collectors.empty();
}

// Those for about three of four places.
void Multiprocessor::deliverLetters() {
    uint64_t order = random.next();
    size_t kept = 0;
    for (const Letter& letter : letters) {
        if (letter.drawn(order) % 4 == 0) {
            letters[kept++] = letter;
        } else {
            *letter.to = letter.whole;
            posted = !collectors.empty();
        }
    }
    letters.resize(kept);
}

// A thread that finds nothing looks again at once, now and then, and else when no other can go on: it must not keep them from it.
unsigned long long Multiprocessor::collect(int site, const unsigned long long* letter, unsigned tag) {
    if (*letter >> 32 == tag || random.below(8) == 0) {
        return *letter;
    }
    Fiber& self = *running;
    requests[self.thread] = {&self, site, Place::letter, 0, 0};
    collectors.push_back(self.thread);
    leave(self);
    return *letter;
}

void Multiprocessor::lookAgain() {
    posted = false;
    size_t batch = SIZE_MAX;
    for (unsigned thread : collectors) {
        makeReady(requests[thread].fiber, batch);
        requests[thread].fiber = nullptr;
    }
    collectors.clear();
}

void Multiprocessor::endBlock(const Block& block) {
    if (block.coming > 0) {
        note("rank %td ended while %zu stores were on their way to it", &block - blocks.data(), block.coming);
    }
}

// Some of what is on its way, now and then; where all threads wait, one after the other until one of them can go on.
void Multiprocessor::deliver(bool allWait) {
    if (allWait) {
        while (ready.empty() && failure[0] == 0 && !(prompt.empty() && late.empty())) {
            deliverOne(prompt.empty() ? late : prompt);
        }
        while (ready.empty() && failure[0] == 0 && !posted && !letters.empty()) {
            deliverLetters();
        }
    } else if (!prompt.empty() && random.below(4) == 0) {
        for (size_t count = 1 + random.below(static_cast<unsigned>(prompt.size())); count > 0 && failure[0] == 0; count--) {
            deliverOne(prompt);
        }
    }
    attention = failure[0] != 0 || !prompt.empty() || !late.empty() || !letters.empty();
}

void Multiprocessor::deliverOne(std::vector<Delivery>& from) {
    std::swap(from[random.below(static_cast<unsigned>(from.size()))], from.back());
    Delivery delivery = from.back();
    from.pop_back();
    Block& block = blocks[delivery.rank];
    block.coming--;
    std::memcpy(delivery.to, delivery.values, delivery.words * sizeof(unsigned));
    Phases& phases = block.barriers[delivery.index];
    phases.bytes -= static_cast<long long>(delivery.words * sizeof(unsigned));
    if (*phases.address != phases.mark()) {
        note("something else was written where a barrier of rank %u is", delivery.rank);
    } else if (phases.bytes < -mostBarrierCount) {
        note("more bytes came to a barrier of rank %u than the %lld it can count", delivery.rank, mostBarrierCount);
    } else {
        endPhaseIfComplete(block, phases);
    }
}

void Multiprocessor::addFiber() {
    // What runs on fibers must not throw: it has room for all that it puts back.
    if (idle.capacity() < fibers.size() + 1) {
        idle.reserve(2 * fibers.size() + lanes);
    }
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

void Block::prepareShared(size_t bytes) {
    // First the launch's dynamic memory and a band that must stay as it is, then the kernel's own pieces. Each of the
    // two is within its limit; together they are checked when the block has ended.
    if (!memory) {
        memory = std::make_unique<char[]>(sharedCapacity + cacheLine);
        touched = sharedCapacity;
        pieces.reserve(mostPieces);
        barriers.reserve(mostBarriers);
    }
    uintptr_t start = reinterpret_cast<uintptr_t>(memory.get());
    start = (start + cacheLine - 1) / cacheLine * cacheLine;
    dynamicShared = reinterpret_cast<char*>(start);
    dynamicBytes = bytes;
    // All bits set is a not-a-number in every format. Only what the last block had touched needs it again.
    std::memset(dynamicShared, poison, touched);
    pieceShared = dynamicShared + (bytes + cacheLine - 1) / cacheLine * cacheLine + cacheLine;
    pieceBytes = 0;
    touched = static_cast<size_t>(pieceShared - dynamicShared);
    pieces.clear();
    barriers.clear();
}

void* Block::piece(const void* key, size_t bytes, size_t alignment) {
    for (const Piece& piece : pieces) {
        if (piece.key == key) {
            return piece.memory;
        }
    }
    size_t offset = (pieceBytes + alignment - 1) / alignment * alignment;
    pieceBytes = offset + bytes;
    if (pieceBytes > pieceLimit || pieces.size() == mostPieces) {
        // An error, when the block has ended. Until then it may lie over others.
        pieceBytes = std::max(pieceBytes, pieceLimit + 1);
        offset = 0;
    }
    touched = static_cast<size_t>(pieceShared - dynamicShared) + std::min(pieceBytes, pieceLimit);
    if (pieces.size() < mostPieces) {
        pieces.push_back({key, pieceShared + offset});
    }
    return pieceShared + offset;
}

std::string Block::checkShared() const {
    size_t used = dynamicBytes + pieceBytes;
    if (pieceBytes > pieceLimit || used > sharedLimit) {
        bool own = pieceBytes > pieceLimit;
        return "the block needs " + std::to_string(own ? pieceBytes : used) + (own ? " bytes of its own" : " bytes of")
                + " shared memory but there are " + std::to_string(own ? pieceLimit : sharedLimit);
    }
    for (const char* band = dynamicShared + dynamicBytes; dynamicBytes > 0 && band < pieceShared; band++) {
        if (static_cast<unsigned char>(*band) != poison) {
            return "something was written behind the launch's " + std::to_string(dynamicBytes)
                    + " bytes of dynamic shared memory";
        }
    }
    return "";
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
    Barrier& meeting = here->meeting;
    if (meeting.arrived < threads || !meeting.agreed) {
        return;
    }
    here->anyPredicate = meeting.any;
    meeting = {};
    size_t batch = SIZE_MAX;
    Request* first = &requests[rank() * pitch];
    for (Request* request = first; request < first + threads; request++) {
        makeReady(request->fiber, batch);
        request->fiber = nullptr;
    }
}

void Multiprocessor::releaseWarpIfComplete(unsigned index) {
    Warp& warp = warps[index];
    if (!warp.complete()) {
        return;
    }
    Request* first = &requests[index * lanes];
    size_t batch = SIZE_MAX;
    if (warp.operation >= WarpOperation::multiplyBf16) {
        // Many products follow each other. Mostly the warp goes on at once, while its stacks are in the nearest cache.
        batch = random.below(8) == 0 ? SIZE_MAX : ready.size();
        const Fragments* fragments[lanes];
        for (unsigned lane = 0; lane < lanes; lane++) {
            fragments[lane] = reinterpret_cast<const Fragments*>(first[lane].value);
        }
        multiplyLanes(warp.operation, fragments);
    }
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
    std::map<std::pair<Place, int>, int> places;
    const Request* example = nullptr;
    for (const Request& request : requests) {
        if (request.fiber != nullptr) {
            places[{request.place, request.site}]++;
            example = example == nullptr && request.place == Place::phase ? &request : example;
        }
    }
    constexpr const char* names[] = {" in the warp operation of line ", " at the barrier of line ",
            " at the cluster's barrier of line ", " waiting for a phase in line ", " waiting for a letter in line "};
    std::string text = "deadlock:";
    for (const auto& [place, count] : places) {
        text += ' ' + std::to_string(count) + names[static_cast<size_t>(place.first)] + std::to_string(place.second)
                + ',';
    }
    text += ' ' + std::to_string(finished) + " of " + std::to_string(order.size()) + " threads have ended";
    if (example != nullptr) {
        size_t member = static_cast<size_t>(example - requests.data()) / pitch;
        const Phases& phases = blocks[member].barriers[example->value];
        text += "; phase " + std::to_string(phases.past) + " at rank " + std::to_string(member) + " lacks "
                + std::to_string(phases.missing) + " arrivals and " + std::to_string(phases.bytes) + " bytes";
    }
    return text;
}

size_t blocksOf(const Launch& launch) {
    return static_cast<size_t>(launch.grid[0]) * launch.grid[1] * launch.grid[2];
}

// Blocks that run at the same time.
size_t clusterOf(const Kernel& kernel, const Launch& launch) {
    return kernel.description.cluster == 0 ? blocksOf(launch) : kernel.description.cluster;
}

std::string Multiprocessor::runCluster(const Kernel& kernel, const Launch& launch, void** params, uint64_t number) {
    cluster = static_cast<unsigned>(clusterOf(kernel, launch));
    threads = launch.block[0];
    pitch = (threads + lanes - 1) / lanes * lanes;
    uint64_t block = number * cluster;
    uint64_t plane = static_cast<uint64_t>(launch.grid[0]) * launch.grid[1];
    gridDim = {launch.grid[0], launch.grid[1], launch.grid[2]};
    blockDim = {threads, 1, 1};
    blockIdx = {static_cast<unsigned>(block % launch.grid[0]), static_cast<unsigned>(block % plane / launch.grid[0]),
            static_cast<unsigned>(block / plane)};
    call = kernel.description.call;
    arguments = params;
    current = this;
    random = Random(launch.seed ^ (block + 1) * 0xd1342543de82ef95u);
    runAhead = random.below(2) == 0;
    if (blocks.size() < cluster) {
        blocks.resize(cluster);
    }
    for (unsigned member = 0; member < cluster; member++) {
        Block& prepared = blocks[member];
        prepared.prepareShared(launch.sharedBytes);
        uint64_t index = block + member;
        prepared.index = {static_cast<unsigned>(index % launch.grid[0]),
                static_cast<unsigned>(index % plane / launch.grid[0]), static_cast<unsigned>(index / plane)};
        prepared.meeting = {};
        prepared.ended = 0;
        prepared.coming = 0;
    }
    here = &blocks[0];
    size_t all = static_cast<size_t>(cluster) * threads;
    order.resize(all);
    for (unsigned member = 0; member < cluster; member++) {
        unsigned* first = order.data() + member * threads;
        std::iota(first, first + threads, member * pitch);
    }
    random.shuffle(order);
    requests.assign(static_cast<size_t>(cluster) * pitch, Request{});
    warps.assign(requests.size() / lanes, Warp{});
    for (size_t last = pitch / lanes - 1; last < warps.size(); last += pitch / lanes) {
        // Lanes that a block's last warp does not have are as good as ended.
        warps[last].ended = threads % lanes == 0 ? 0 : ~0u << threads % lanes;
    }
    gathering = {};
    prompt.clear();
    late.clear();
    letters.clear();
    firstLetter = nullptr;
    attention = false;
    failure[0] = 0;
    byBlock = cluster > 1 && random.below(2) == 0;
    if (byBlock) {
        unsigned first = random.below(cluster);
        std::stable_sort(order.begin(), order.end(), [this, first](unsigned a, unsigned b) {
            return (a / pitch + first) % cluster < (b / pitch + first) % cluster;
        });
    }
    lateness = static_cast<Lateness>(random.below(4));
    lateRank = random.below(cluster);
    ready.clear();
    // No more than there are threads: what runs on fibers never makes it grow.
    ready.reserve(all);
    collectors.clear();
    collectors.reserve(kernel.description.cluster == 0 ? all : 0);
    posted = false;
    started = 0;
    finished = 0;
    while (finished < all && failure[0] == 0) {
        if (idle.empty()) {
            addFiber();
        }
        Context& to = next();
        if (&to != &scheduler) {
            switchContext(scheduler, to);
        } else if (failure[0] == 0 && started == all) {
            std::string text = describeDeadlock();
            forgetFibers();
            return text;
        }
    }
    if (cluster == 1) {
        endBlock(blocks[0]);
    }
    if (failure[0] != 0) {
        forgetFibers();
        return failure;
    }
    for (const Letter& letter : letters) {
        *letter.to = letter.whole;
    }
    for (unsigned member = 0; member < cluster; member++) {
        std::string text = blocks[member].checkShared();
        if (!text.empty()) {
            return text;
        }
    }
    return "";
}

// One launch on its way through the workers.
struct Job {
    const Kernel& kernel;
    const Launch& launch;
    void** params;
    // Of clusters; a block alone is one.
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
                error = multiprocessor.runCluster(job.kernel, job.launch, job.params, job.order[k]);
            } catch (const std::exception& e) {
                multiprocessor.forgetFibers();
                error = e.what();
            }
        }
        if (!error.empty() && !job.failed.exchange(true)) {
            std::lock_guard<std::mutex> lock(mutex);
            job.error = job.kernel.name + (job.kernel.description.cluster == 1 ? ", block " : ", cluster ")
                    + std::to_string(job.order[k]) + ": " + error;
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
    job.order.resize(blocksOf(launch) / clusterOf(kernel, launch));
    for (size_t cluster = 0; cluster < job.order.size(); cluster++) {
        job.order[cluster] = static_cast<uint32_t>(cluster);
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
    unsigned cluster = kernel.description.cluster;
    if (cluster == 0 && blocks > mostTogether) {
        return text + "at most " + std::to_string(mostTogether) + " blocks that run at the same time but got "
                + std::to_string(blocks);
    }
    if (cluster > 1 && launch.grid[0] % cluster != 0) {
        return text + "grid[0] should be a multiple of the cluster's " + std::to_string(cluster) + " blocks but got "
                + std::to_string(launch.grid[0]);
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

void requireShared(size_t bytes) {
    current->requireShared(bytes);
}

unsigned clusterRank() {
    return current->rank();
}

void clusterSync(int site) {
    current->waitForCluster(site);
}

void barrierInit(unsigned long long* barrier, unsigned arrivals) {
    current->initBarrier(barrier, arrivals);
}

void barrierExpect(unsigned long long* barrier, unsigned bytes) {
    current->expect(barrier, bytes);
}

void barrierWait(unsigned long long* barrier, unsigned parity, int site) {
    current->waitForPhase(site, barrier, parity);
}

void send(unsigned* to, const unsigned* values, unsigned words, unsigned long long* barrier, unsigned rank) {
    current->send(to, values, words, barrier, rank);
}

void post(unsigned long long* letter, unsigned word, unsigned tag) {
    current->post(letter, word, tag);
}

unsigned long long collect(const unsigned long long* letter, unsigned tag, int site) {
    return current->collect(site, letter, tag);
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

unsigned clusterSize(const Kernel& kernel) {
    return kernel.description.cluster;
}

}  // namespace carousel::emulation

// Each of kernels/*.cu defines one of these. Named here, they come along when a program is linked against the archive,
// and with them the kernels, which nothing else names.
#define CAROUSEL_UNITS(unit) unit(activation) unit(elementwise) unit(embedding) unit(loss) unit(reduce) unit(update) unit(lstm_pointwise) unit(lstm_varied) \
    unit(lstm_resident) unit(lstm_resident_inputs) unit(lstm_cluster) unit(lstm_cluster_inputs) unit(lstm_grid)
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
