// What libcuda.so.1 of the stand-in offers to its cuBLAS and cuDNN: the control block, misuse reports, and a place in a
// stream's queue. Nothing outside of these three libraries may use it.
#pragma once

#include <cstddef>
#include <cstdint>

#define STANDIN_EXPORT extern "C" __attribute__((visibility("default")))

namespace carousel::standin {

/// Words of the control block, a file of 64 little-endian 64-bit integers.
enum Word : int {
    MAGIC = 0,
    COUNTABLE_CALLS = 1,
    FAIL_AT = 2,
    COUNTED_KINDS = 3,
    FAILURES = 4,
    LIVE_ALLOCATIONS = 5,
    LIVE_BYTES = 6,
    MISUSE = 7,
    LIVE_STREAMS = 8,
    LIVE_EVENTS = 9,
    LIVE_MODULES = 10,
    LIVE_PINNED = 11,
    LIVE_GRAPHS = 12,
    LIVE_CUBLAS = 13,
    LIVE_CUDNN = 14,
    LIVE_DESCRIPTORS = 15,
    SEED = 16,
    DEVICE_MEMORY = 17,
    PEAK_BYTES = 18,
    LAUNCHES = 19,
    PRODUCTS = 20,
    RNN_CALLS = 21,
    GRAPH_LAUNCHES = 22,
    RETAINED = 23,
    CUDNN_FAILURE_STATUS = 24,
    HOST_SYNCHRONISATIONS = 25,
    DRIVER_VERSION = 26,
    DEVICES_PLUS_ONE = 27,
    LEAKED = 28,             // objects alive when the process ended or when their context was destroyed
    POISON_PADDING = 29,     // not 0: what cuDNN leaves undefined in padded outputs is poison instead of 0
    WORKER_DELAY = 30,       // microseconds that a worker waits before it begins; 0: 50 to 400, drawn
    DROPS = 31,              // not 0: the ordered call does nothing and says that all went well, as if the caller had forgotten it
    UNRULY = 32,             // not 0: workers do nothing, and who waits lets streams run ahead, 1 those made last, 2 those made first; 3: take turns
    HANGS = 33,              // not 0: the ordered launch is accepted, and does not end before this word is 0 again
    LARGEST_CLUSTER = 34,    // blocks of the largest cluster that the device takes when it is allowed; 0 for 16
    WORDS = 64
};

constexpr uint64_t MAGIC_VALUE = 0x4341524f5553454cULL;
constexpr uint64_t STICKY_FAILURES = 1ULL << 62;

/// Kinds of calls that can be counted and made to fail; bits of word COUNTED_KINDS.
enum Kind : uint64_t {
    KIND_ALLOCATION = 1,
    KIND_LAUNCH = 2,
    KIND_COPY = 4,
    KIND_CUDNN = 8,
    KIND_CUBLAS = 16,
    KIND_PINNED = 32,
    KIND_OBJECT = 64,
    KIND_WAIT = 128  // of a stream for an event, which KIND_OBJECT has too
};

/// Patterns of 32 bits; each is a quiet NaN as float and double, two NaNs as half, a number far out of range as int.
constexpr uint32_t FRESH = 0x7ffdfffd;  // allocated and never written
constexpr uint32_t FREED = 0x7ffcfffc;
constexpr uint32_t GUARD = 0x7ffbfffb;

/// A stretch of device memory (or pinned host memory) that an operation touches. Zero bytes: points somewhere into it.
struct Range {
    const void* address;
    size_t bytes;
    bool write;
    const char* name;
};

/// Work for a stream. The stream calls run() as often as the work is to be done (a captured one: at each replay) and
/// drop() at the end.
struct Work {
    void (*run)(void* data);
    void (*drop)(void* data);
    void* data;
    const char* what;
    const Range* ranges;
    int rangeCount;
};

}  // namespace carousel::standin

/// The 64 words; never null.
STANDIN_EXPORT uint64_t* carousel_standin_control();
/// Adds to a word, atomically.
STANDIN_EXPORT void carousel_standin_add(int word, int64_t amount);
/// Counts a call of a kind. True if this one has to fail.
STANDIN_EXPORT bool carousel_standin_fails(uint64_t kind, const char* what);
/// Counts a misuse and says what it was on stderr.
STANDIN_EXPORT void carousel_standin_misuse(const char* format, ...) __attribute__((format(printf, 1, 2)));
/// Puts work at the end of a stream. Takes the data in any case. Returns a CUresult; ranges outside of live memory are
/// misuse.
STANDIN_EXPORT int carousel_standin_enqueue(void* stream, const carousel::standin::Work* work);
/// Whether a range lies in one live device allocation; if not says so as misuse.
STANDIN_EXPORT bool carousel_standin_valid(const carousel::standin::Range* range, const char* what);
/// Whether an address lies in the device's address range, live or not.
STANDIN_EXPORT bool carousel_standin_is_device(const void* address);
/// The calling thread's context, or null.
STANDIN_EXPORT void* carousel_standin_context();
/// 0 if the stream exists and belongs to the context, otherwise a CUresult.
STANDIN_EXPORT int carousel_standin_check_stream(void* stream, void* context);
/// Whether the stream is being captured.
STANDIN_EXPORT bool carousel_standin_capturing(void* stream);
