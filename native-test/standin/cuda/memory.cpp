// Device and pinned memory: every allocation in pages of its own between guard bands, poisoned when new and when freed;
// copies and memsets.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "world.h"

namespace carousel::standin {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t BAND = 256;  // also the alignment of what is handed out
constexpr size_t QUARANTINE_BYTES = 32 << 20;
constexpr size_t QUARANTINE_COUNT = 512;
constexpr size_t LARGE = 8 << 20;  // freed memory above this is taken away at once

/// A stretch of reserved addresses from which pages are taken in turn, so that an address is not soon used again.
class Arena {
public:
    Arena() {
        for (size_t size = 1ULL << 43; size >= 1ULL << 33 && start_ == 0; size >>= 1) {
            void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (at != MAP_FAILED) {
                start_ = reinterpret_cast<uintptr_t>(at);
                size_ = size;
                next_ = start_;
            }
        }
    }

    bool contains(uintptr_t address) const { return address >= start_ && address - start_ < size_; }

    /// Pages that can be written, or 0. `taken` holds what is in use, by address.
    uintptr_t take(size_t bytes) {
        for (int round = 0; round < 2; round++) {
            auto at = used_.upper_bound(next_);
            if (at != used_.begin()) {
                auto before = std::prev(at);
                next_ = std::max(next_, before->first + before->second);
            }
            while (next_ + bytes <= start_ + size_) {
                if (at == used_.end() || next_ + bytes <= at->first) {
                    if (mprotect(reinterpret_cast<void*>(next_), bytes, PROT_READ | PROT_WRITE) != 0) {
                        return 0;
                    }
                    uintptr_t result = next_;
                    used_[result] = bytes;
                    next_ += bytes;
                    return result;
                }
                next_ = at->first + at->second;
                ++at;
            }
            next_ = start_;
        }
        return 0;
    }

    void give(uintptr_t mapping, size_t bytes) {
        used_.erase(mapping);
        // Replaces the pages: their memory goes back and nothing may touch them.
        mmap(reinterpret_cast<void*>(mapping), bytes, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }

private:
    uintptr_t start_ = 0;
    size_t size_ = 0;
    uintptr_t next_ = 0;
    std::map<uintptr_t, size_t> used_;
};

Arena& deviceArena() {
    static Arena* arena = new Arena;
    return *arena;
}

Arena& pinnedArena() {
    static Arena* arena = new Arena;
    return *arena;
}

unsigned char patternByte(uint32_t pattern, uintptr_t address) {
    return static_cast<unsigned char>(pattern >> (8 * (address & 3)));
}

void fillPattern(uintptr_t from, uintptr_t to, uint32_t pattern) {
    for (; from < to && (from & 3) != 0; from++) {
        *reinterpret_cast<unsigned char*>(from) = patternByte(pattern, from);
    }
    auto* words = reinterpret_cast<uint32_t*>(from);
    size_t count = (to - from) / 4;
    for (size_t k = 0; k < count; k++) {
        words[k] = pattern;
    }
    for (from += 4 * count; from < to; from++) {
        *reinterpret_cast<unsigned char*>(from) = patternByte(pattern, from);
    }
}

/// The first address that does not hold the pattern, or 0.
uintptr_t differs(uintptr_t from, uintptr_t to, uint32_t pattern) {
    for (; from < to && (from & 3) != 0; from++) {
        if (*reinterpret_cast<unsigned char*>(from) != patternByte(pattern, from)) {
            return from;
        }
    }
    for (; from + 4 <= to; from += 4) {
        if (*reinterpret_cast<uint32_t*>(from) != pattern) {
            for (int k = 0; k < 4; k++) {
                if (*reinterpret_cast<unsigned char*>(from + k) != patternByte(pattern, from + k)) {
                    return from + k;
                }
            }
        }
    }
    for (; from < to; from++) {
        if (*reinterpret_cast<unsigned char*>(from) != patternByte(pattern, from)) {
            return from;
        }
    }
    return 0;
}

void checkGuards(const Allocation& a) {
    const char* kind = a.pinned ? "pinned" : "device";
    uintptr_t before = differs(a.mapping, a.base, GUARD);
    if (before != 0) {
        carousel_standin_misuse("%s allocation %llu of %zu bytes was written %zu bytes before its start", kind,
                static_cast<unsigned long long>(a.number), a.bytes, static_cast<size_t>(a.base - before));
    }
    uintptr_t after = differs(a.base + a.bytes, a.mapping + a.mapped, GUARD);
    if (after != 0) {
        carousel_standin_misuse("%s allocation %llu of %zu bytes was written %zu bytes past its end", kind,
                static_cast<unsigned long long>(a.number), a.bytes, static_cast<size_t>(after - a.base - a.bytes + 1));
    }
}

void leaveQuarantine(Allocation* a) {
    uintptr_t wrong = differs(a->base, a->base + a->bytes, FREED);
    if (wrong != 0) {
        carousel_standin_misuse("%s allocation %llu of %zu bytes was written at byte %zu after it had been freed",
                a->pinned ? "pinned" : "device", static_cast<unsigned long long>(a->number), a->bytes,
                static_cast<size_t>(wrong - a->base));
    }
    world().quarantine.erase(a->base);
    world().quarantineBytes -= a->mapped;
    (a->pinned ? pinnedArena() : deviceArena()).give(a->mapping, a->mapped);
    delete a;
}

Allocation* makeAllocation(Context* context, size_t bytes, bool pinned) {
    size_t mapped = (BAND + bytes + BAND + PAGE - 1) / PAGE * PAGE;
    uintptr_t mapping = (pinned ? pinnedArena() : deviceArena()).take(mapped);
    if (mapping == 0) {
        return nullptr;
    }
    auto* a = new Allocation;
    a->mapping = mapping;
    a->mapped = mapped;
    a->base = mapping + BAND;
    a->bytes = bytes;
    a->number = ++world().allocations;
    a->context = context;
    a->pinned = pinned;
    fillPattern(mapping, a->base, GUARD);
    fillPattern(a->base, a->base + bytes, FRESH);
    fillPattern(a->base + bytes, mapping + mapped, GUARD);
    (pinned ? world().pinned : world().device)[a->base] = a;
    return a;
}

Allocation* find(const std::map<uintptr_t, Allocation*>& in, uintptr_t address) {
    auto at = in.upper_bound(address);
    if (at == in.begin()) {
        return nullptr;
    }
    Allocation* a = std::prev(at)->second;
    return address - a->base <= a->bytes ? a : nullptr;
}

std::string hex(uintptr_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%zx", static_cast<size_t>(value));
    return text;
}

int allocate(CUdeviceptr* result, size_t bytes, Stream* stream, Context* context) {
    (void) stream;
    if (result == nullptr || bytes == 0) {
        return INVALID_VALUE;
    }
    if (bytes > deviceMemory(context->device) || world().deviceBytes + bytes > deviceMemory(context->device)) {
        return OUT_OF_MEMORY;
    }
    Allocation* a = makeAllocation(context, bytes, false);
    if (a == nullptr) {
        return OUT_OF_MEMORY;
    }
    world().deviceBytes += bytes;
    carousel_standin_add(LIVE_ALLOCATIONS, 1);
    carousel_standin_add(LIVE_BYTES, static_cast<int64_t>(bytes));
    uint64_t* words = carousel_standin_control();
    if (word(PEAK_BYTES) < world().deviceBytes) {
        __atomic_store_n(&words[PEAK_BYTES], world().deviceBytes, __ATOMIC_SEQ_CST);
    }
    *result = a->base;
    return SUCCESS;
}

/// The live allocation that starts at the address and is not being freed; null after a report.
Allocation* freeable(CUdeviceptr address, const char* call) {
    auto at = world().device.find(address);
    if (at != world().device.end() && !at->second->leaving) {
        return at->second;
    }
    if (at != world().device.end() || world().quarantine.count(address) != 0) {
        carousel_standin_misuse("%s: double free of %s", call, hex(address).c_str());
    } else {
        carousel_standin_misuse("%s: %s is not the start of an allocation", call, hex(address).c_str());
    }
    return nullptr;
}

/// A failure that a test ordered, as the result of a launch or copy.
int orderedFailure(Context* context) {
    if (word(DROPS) != 0) {
        return SUCCESS;
    }
    if ((word(COUNTED_KINDS) & STICKY_FAILURES) != 0) {
        context->error = LAUNCH_FAILED;
    }
    return LAUNCH_FAILED;
}

struct Copy {
    void* to;
    const void* from;
    size_t bytes;
    bool toDevice;
    bool fromDevice;
    const char* call;
};

std::shared_ptr<Job> copyJob(const Copy& copy) {
    auto job = std::make_shared<Job>();
    job->what = copy.call;
    job->nodeType = NODE_MEMCPY;
    if (copy.toDevice) {
        job->ranges.push_back({copy.to, copy.bytes, true, "destination"});
    }
    if (copy.fromDevice) {
        job->ranges.push_back({copy.from, copy.bytes, false, "source"});
    }
    Copy c = copy;
    job->run = [c] {
        std::memmove(c.to, c.from, c.bytes);
        return std::string();
    };
    return job;
}

int checkCopy(const Copy& copy) {
    if (copy.bytes != 0 && (copy.to == nullptr || copy.from == nullptr)) {
        return INVALID_VALUE;
    }
    for (auto [address, device, name] : {std::tuple(static_cast<const void*>(copy.to), copy.toDevice, "destination"),
                 std::tuple(copy.from, copy.fromDevice, "source")}) {
        Range range{address, copy.bytes, false, name};
        if (device && copy.bytes != 0 && locate(range, copy.call) == nullptr) {
            return INVALID_VALUE;
        }
        if (!device && copy.bytes != 0 && isDeviceAddress(reinterpret_cast<uintptr_t>(address))) {
            carousel_standin_misuse("%s: the %s is a device address where a host address belongs", copy.call, name);
            return INVALID_VALUE;
        }
    }
    return SUCCESS;
}

/// A blocking copy runs in the legacy stream, as on the real device, and is over when the call returns.
int copyNow(const Copy& copy) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result == SUCCESS) {
        result = forbidWhileCapturing(context, copy.call);
    }
    if (result == SUCCESS) {
        result = checkCopy(copy);
    }
    if (result != SUCCESS) {
        return result;
    }
    if (carousel_standin_fails(KIND_COPY, copy.call)) {
        return orderedFailure(context);
    }
    if (copy.bytes == 0) {
        return SUCCESS;
    }
    uint64_t position = 0;
    result = submit(lock, context->legacy, copyJob(copy), &position);
    if (result == SUCCESS && !(copy.toDevice && copy.fromDevice)) {
        carousel_standin_add(HOST_SYNCHRONISATIONS, 1);
        finish(lock, context->legacy, position);
        result = context->error;
    }
    return result;
}

int copyLater(const Copy& copy, void* handle) {
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
    result = checkCopy(copy);
    if (result != SUCCESS) {
        return result;
    }
    if (carousel_standin_fails(KIND_COPY, copy.call)) {
        return orderedFailure(context);
    }
    if (copy.bytes == 0) {
        return SUCCESS;
    }
    const void* host = copy.toDevice && copy.fromDevice ? nullptr : copy.toDevice ? copy.from : copy.to;
    Allocation* pinned = host == nullptr ? nullptr : pinnedAt(host, copy.bytes);
    bool pageable = host != nullptr && pinned == nullptr;
    auto job = copyJob(copy);
    if (pageable) {
        carousel_standin_misuse("%s: %zu bytes of host memory at %s are not pinned", copy.call, copy.bytes,
                hex(reinterpret_cast<uintptr_t>(host)).c_str());
        if (stream->capture != nullptr) {
            return addNode(stream, job);
        }
    } else if (pinned != nullptr) {
        job->ranges.push_back({host, copy.bytes, !copy.toDevice, "host memory"});
        if (!copy.toDevice && pinned->pending == 0 && stream->capture == nullptr) {
            // Who reads the result before the stream has made it shall see that.
            fillPattern(reinterpret_cast<uintptr_t>(host), reinterpret_cast<uintptr_t>(host) + copy.bytes, FRESH);
        }
    }
    uint64_t position = 0;
    result = submit(lock, stream, job, &position);
    if (result == SUCCESS && pageable) {
        finish(lock, stream, position);  // the memory may be gone when the caller has its answer
        result = context->error;
    }
    return result;
}

int set(CUdeviceptr to, uint64_t value, size_t width, size_t count, void* handle, bool async, const char* call) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Stream* stream = async ? resolve(handle, context) : context->legacy;
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (!async) {
        result = forbidWhileCapturing(context, call);
    }
    if (result != SUCCESS) {
        return result;
    }
    if (to % width != 0) {
        return INVALID_VALUE;
    }
    Range range{reinterpret_cast<void*>(to), width * count, true, "destination"};
    if (count != 0 && locate(range, call) == nullptr) {
        return INVALID_VALUE;
    }
    if (carousel_standin_fails(KIND_COPY, call)) {
        return orderedFailure(context);
    }
    if (count == 0) {
        return SUCCESS;
    }
    auto job = std::make_shared<Job>();
    job->what = call;
    job->nodeType = NODE_MEMSET;
    job->ranges.push_back(range);
    job->run = [=] {
        auto* bytes = reinterpret_cast<unsigned char*>(to);
        if (width == 1) {
            std::memset(bytes, static_cast<int>(value), count);
        } else {
            for (size_t k = 0; k < count; k++) {
                std::memcpy(bytes + k * width, &value, width);
            }
        }
        return std::string();
    };
    return submit(lock, stream, job);
}

int allocatePinned(void** result, size_t bytes) {
    Lock lock(world().mutex);
    Context* context;
    int error = ready(context);
    if (error != SUCCESS) {
        return error;
    }
    if (result == nullptr || bytes == 0) {
        return INVALID_VALUE;
    }
    error = forbidWhileCapturing(context, "cuMemHostAlloc");
    if (error != SUCCESS) {
        return error;
    }
    Allocation* a =
            carousel_standin_fails(KIND_PINNED, "cuMemHostAlloc") ? nullptr : makeAllocation(context, bytes, true);
    if (a == nullptr) {
        return OUT_OF_MEMORY;
    }
    carousel_standin_add(LIVE_PINNED, 1);
    *result = reinterpret_cast<void*>(a->base);
    return SUCCESS;
}

void* host(CUdeviceptr address) {
    return reinterpret_cast<void*>(address);
}

}  // namespace

bool isDeviceAddress(uintptr_t address) {
    return deviceArena().contains(address);
}

Allocation* locate(const Range& range, const std::string& what) {
    auto address = reinterpret_cast<uintptr_t>(range.address);
    Allocation* a = find(isDeviceAddress(address) ? world().device : world().pinned, address);
    if (a != nullptr && !a->leaving && a->contains(address, range.bytes)) {
        return a;
    }
    std::string place =
            what + ": the " + range.name + " at " + hex(address) + " of " + std::to_string(range.bytes) + " bytes";
    if (a != nullptr && !a->leaving) {
        carousel_standin_misuse("%s leaves its allocation %llu of %zu bytes, in which it starts at byte %zu",
                place.c_str(), static_cast<unsigned long long>(a->number), a->bytes,
                static_cast<size_t>(address - a->base));
    } else if (a != nullptr || find(world().quarantine, address) != nullptr) {
        carousel_standin_misuse("%s is in memory that has been freed", place.c_str());
    } else {
        carousel_standin_misuse("%s is not in any allocation", place.c_str());
    }
    return nullptr;
}

bool locateAll(const std::vector<Range>& ranges, const std::string& what, std::vector<Allocation*>& found) {
    found.clear();
    for (const Range& range : ranges) {
        Allocation* a = locate(range, what);
        if (a == nullptr) {
            return false;
        }
        found.push_back(a);
    }
    return true;
}

Allocation* pinnedAt(const void* address, size_t bytes) {
    Allocation* a = find(world().pinned, reinterpret_cast<uintptr_t>(address));
    return a != nullptr && a->contains(reinterpret_cast<uintptr_t>(address), bytes) ? a : nullptr;
}

void releaseAllocation(Allocation* a) {
    if (a->registered) {
        world().pinned.erase(a->base);
        carousel_standin_add(LIVE_PINNED, -1);
        delete a;
        return;
    }
    checkGuards(*a);
    if (a->pinned) {
        world().pinned.erase(a->base);
        carousel_standin_add(LIVE_PINNED, -1);
    } else {
        world().device.erase(a->base);
        world().deviceBytes -= a->bytes;
        carousel_standin_add(LIVE_ALLOCATIONS, -1);
        carousel_standin_add(LIVE_BYTES, -static_cast<int64_t>(a->bytes));
    }
    if (a->mapped > LARGE) {
        (a->pinned ? pinnedArena() : deviceArena()).give(a->mapping, a->mapped);
        delete a;
        return;
    }
    fillPattern(a->base, a->base + a->bytes, FREED);
    world().quarantine[a->base] = a;
    world().quarantineOrder.push_back(a);
    world().quarantineBytes += a->mapped;
    while (world().quarantineBytes > QUARANTINE_BYTES || world().quarantineOrder.size() > QUARANTINE_COUNT) {
        Allocation* oldest = world().quarantineOrder.front();
        world().quarantineOrder.pop_front();
        leaveQuarantine(oldest);
    }
}

void checkQuarantine() {
    while (!world().quarantineOrder.empty()) {
        Allocation* oldest = world().quarantineOrder.front();
        world().quarantineOrder.pop_front();
        leaveQuarantine(oldest);
    }
}

void releaseContextMemory(Context* context) {
    std::vector<Allocation*> mine;
    for (auto* in : {&world().device, &world().pinned}) {
        for (auto& [base, a] : *in) {
            if (a->context == context) {
                mine.push_back(a);
            }
        }
    }
    for (Allocation* a : mine) {
        std::fprintf(stderr,
                "carousel stand-in: leak: %s allocation %llu of %zu bytes when its context was destroyed\n",
                a->pinned ? "pinned" : "device", static_cast<unsigned long long>(a->number), a->bytes);
        carousel_standin_add(LEAKED, 1);
        releaseAllocation(a);
    }
    checkQuarantine();
}

}  // namespace carousel::standin

using namespace carousel::standin;

bool carousel_standin_is_device(const void* address) {
    return isDeviceAddress(reinterpret_cast<uintptr_t>(address));
}

bool carousel_standin_valid(const Range* range, const char* what) {
    Lock lock(world().mutex);
    return locate(*range, what) != nullptr;
}

STANDIN_EXPORT CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    size_t all = deviceMemory(context->device);
    if (free != nullptr) {
        *free = all > world().deviceBytes ? all - world().deviceBytes : 0;
    }
    if (total != nullptr) {
        *total = all;
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* address, size_t bytes) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result == SUCCESS) {
        result = forbidWhileCapturing(context, "cuMemAlloc");
    }
    if (result != SUCCESS) {
        return result;
    }
    if (carousel_standin_fails(KIND_ALLOCATION, "cuMemAlloc")) {
        return OUT_OF_MEMORY;
    }
    return allocate(address, bytes, nullptr, context);
}

STANDIN_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    if (address == 0) {
        return result;
    }
    int forbidden = forbidWhileCapturing(context, "cuMemFree");
    if (forbidden != SUCCESS) {
        return forbidden;
    }
    Allocation* a = freeable(address, "cuMemFree");
    if (a == nullptr) {
        return INVALID_VALUE;
    }
    if (a->pending != 0) {
        carousel_standin_misuse("cuMemFree: allocation %llu of %zu bytes is freed while %d queued operations touch it",
                static_cast<unsigned long long>(a->number), a->bytes, a->pending);
        a->leaving = true;
        finishAll(lock, context);
    }
    releaseAllocation(a);
    return result;
}

STANDIN_EXPORT CUresult cuMemAllocAsync(CUdeviceptr* address, size_t bytes, void* handle) {
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
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "cuMemAllocAsync: the stand-in makes no memory nodes");
        return NOT_SUPPORTED;
    }
    if (carousel_standin_fails(KIND_ALLOCATION, "cuMemAllocAsync")) {
        return OUT_OF_MEMORY;
    }
    return allocate(address, bytes, stream, context);
}

STANDIN_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, void* handle) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    if (address == 0) {
        return INVALID_VALUE;
    }
    Stream* stream = resolve(handle, context);
    if (stream == nullptr) {
        return INVALID_HANDLE;
    }
    if (stream->capture != nullptr) {
        invalidate(*stream->capture, "cuMemFreeAsync: the stand-in makes no memory nodes");
        return NOT_SUPPORTED;
    }
    Allocation* a = freeable(address, "cuMemFreeAsync");
    if (a == nullptr) {
        return INVALID_VALUE;
    }
    a->leaving = true;
    auto job = std::make_shared<Job>();
    job->what = "cuMemFreeAsync";
    job->run = [a] {
        Lock inner(world().mutex);
        if (a->pending != 0) {
            carousel_standin_misuse(
                    "cuMemFreeAsync: allocation %llu of %zu bytes is freed while %d operations of other streams touch "
                    "it",
                    static_cast<unsigned long long>(a->number), a->bytes, a->pending);
        }
        releaseAllocation(a);
        return std::string();
    };
    int submitted = submit(lock, stream, job);
    return result != SUCCESS ? result : submitted;
}

STANDIN_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr address) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    Allocation* a = find(world().device, address);
    if (a == nullptr || a->leaving || address >= a->base + a->bytes) {
        return NOT_FOUND;
    }
    if (base != nullptr) {
        *base = a->base;
    }
    if (bytes != nullptr) {
        *bytes = a->bytes;
    }
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuMemHostAlloc(void** result, size_t bytes, unsigned flags) {
    return (flags & ~7U) != 0 ? static_cast<int>(INVALID_VALUE) : allocatePinned(result, bytes);
}

STANDIN_EXPORT CUresult cuMemAllocHost_v2(void** result, size_t bytes) {
    return allocatePinned(result, bytes);
}

STANDIN_EXPORT CUresult cuMemFreeHost(void* address) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    auto at = world().pinned.find(reinterpret_cast<uintptr_t>(address));
    if (at == world().pinned.end() || at->second->registered) {
        carousel_standin_misuse("cuMemFreeHost: %s is not the start of a pinned allocation",
                hex(reinterpret_cast<uintptr_t>(address)).c_str());
        return INVALID_VALUE;
    }
    Allocation* a = at->second;
    if (a->pending != 0) {
        carousel_standin_misuse("cuMemFreeHost: pinned allocation %llu is freed while %d queued operations touch it",
                static_cast<unsigned long long>(a->number), a->pending);
        finishAll(lock, context);
    }
    releaseAllocation(a);
    return result;
}

STANDIN_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* device, void* address, unsigned flags) {
    Lock lock(world().mutex);
    if (device == nullptr || flags != 0 || pinnedAt(address, 0) == nullptr) {
        return INVALID_VALUE;
    }
    *device = reinterpret_cast<CUdeviceptr>(address);
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuMemHostGetFlags(unsigned* flags, void* address) {
    Lock lock(world().mutex);
    if (flags == nullptr || pinnedAt(address, 0) == nullptr) {
        return INVALID_VALUE;
    }
    *flags = 2;  // CU_MEMHOSTALLOC_DEVICEMAP
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuMemHostRegister_v2(void* address, size_t bytes, unsigned) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (result != SUCCESS) {
        return result;
    }
    auto base = reinterpret_cast<uintptr_t>(address);
    if (address == nullptr || bytes == 0 || isDeviceAddress(base)) {
        return INVALID_VALUE;
    }
    auto after = world().pinned.lower_bound(base);
    bool overlaps =
            (after != world().pinned.end() && after->first < base + bytes) || find(world().pinned, base) != nullptr;
    if (overlaps) {
        return HOST_MEMORY_ALREADY_REGISTERED;
    }
    if (carousel_standin_fails(KIND_PINNED, "cuMemHostRegister")) {
        return OUT_OF_MEMORY;
    }
    auto* a = new Allocation;
    a->base = base;
    a->bytes = bytes;
    a->number = ++world().allocations;
    a->context = context;
    a->pinned = true;
    a->registered = true;
    world().pinned[base] = a;
    carousel_standin_add(LIVE_PINNED, 1);
    return SUCCESS;
}

STANDIN_EXPORT CUresult cuMemHostUnregister(void* address) {
    Lock lock(world().mutex);
    Context* context;
    int result = ready(context);
    if (context == nullptr) {
        return result;
    }
    auto at = world().pinned.find(reinterpret_cast<uintptr_t>(address));
    if (at == world().pinned.end() || !at->second->registered) {
        return HOST_MEMORY_NOT_REGISTERED;
    }
    if (at->second->pending != 0) {
        carousel_standin_misuse("cuMemHostUnregister while %d queued operations touch the memory", at->second->pending);
        finishAll(lock, context);
    }
    releaseAllocation(at->second);
    return result;
}

STANDIN_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, size_t bytes) {
    return copyNow({host(to), from, bytes, true, false, "cuMemcpyHtoD"});
}

STANDIN_EXPORT CUresult cuMemcpyDtoH_v2(void* to, CUdeviceptr from, size_t bytes) {
    return copyNow({to, host(from), bytes, false, true, "cuMemcpyDtoH"});
}

STANDIN_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    return copyNow({host(to), host(from), bytes, true, true, "cuMemcpyDtoD"});
}

STANDIN_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, void* stream) {
    return copyLater({host(to), from, bytes, true, false, "cuMemcpyHtoDAsync"}, stream);
}

STANDIN_EXPORT CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, void* stream) {
    return copyLater({to, host(from), bytes, false, true, "cuMemcpyDtoHAsync"}, stream);
}

STANDIN_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, void* stream) {
    return copyLater({host(to), host(from), bytes, true, true, "cuMemcpyDtoDAsync"}, stream);
}

STANDIN_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
    return set(to, value, 1, count, nullptr, false, "cuMemsetD8");
}

STANDIN_EXPORT CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t count) {
    return set(to, value, 2, count, nullptr, false, "cuMemsetD16");
}

STANDIN_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
    return set(to, value, 4, count, nullptr, false, "cuMemsetD32");
}

STANDIN_EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, void* stream) {
    return set(to, value, 1, count, stream, true, "cuMemsetD8Async");
}

STANDIN_EXPORT CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, void* stream) {
    return set(to, value, 2, count, stream, true, "cuMemsetD16Async");
}

STANDIN_EXPORT CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, void* stream) {
    return set(to, value, 4, count, stream, true, "cuMemsetD32Async");
}
