// The control block: counters that the tests read, and failures that they order.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "world.h"

namespace carousel::standin {
namespace {

uint64_t* openControl() {
    static uint64_t own[WORDS];
    uint64_t* words = own;
    const char* name = std::getenv("CAROUSEL_STANDIN_CONTROL");
    if (name != nullptr && *name != '\0') {
        int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        struct stat status{};
        if (file >= 0 && fstat(file, &status) == 0) {
            bool large = status.st_size >= static_cast<off_t>(sizeof own) || ftruncate(file, sizeof own) == 0;
            void* mapped = large ? mmap(nullptr, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
            if (mapped != MAP_FAILED) {
                words = static_cast<uint64_t*>(mapped);
            }
        }
        if (words == own) {
            std::fprintf(stderr, "carousel stand-in: the control file %s cannot be used\n", name);
        }
        if (file >= 0) {
            close(file);
        }
    }
    // What is alive is this process's own affair; what the test ordered beforehand stays.
    for (int live : {LIVE_ALLOCATIONS, LIVE_BYTES, LIVE_STREAMS, LIVE_EVENTS, LIVE_MODULES, LIVE_PINNED, LIVE_GRAPHS,
                 LIVE_CUBLAS, LIVE_CUDNN, LIVE_DESCRIPTORS, RETAINED}) {
        words[live] = 0;
    }
    words[MAGIC] = MAGIC_VALUE;
    return words;
}

uint64_t* control() {
    static uint64_t* words = openControl();
    return words;
}

struct LeakLine {
    int word;
    const char* what;
};

__attribute__((destructor)) void reportLeaks() {
    uint64_t leaked = 0;
    for (LeakLine line : {LeakLine{LIVE_ALLOCATIONS, "device allocations"}, LeakLine{LIVE_STREAMS, "streams"},
                 LeakLine{LIVE_EVENTS, "events"}, LeakLine{LIVE_MODULES, "modules"},
                 LeakLine{LIVE_PINNED, "pinned allocations"}, LeakLine{LIVE_GRAPHS, "graphs and executables"},
                 LeakLine{LIVE_CUBLAS, "cuBLAS handles"}, LeakLine{LIVE_CUDNN, "cuDNN handles"},
                 LeakLine{LIVE_DESCRIPTORS, "cuDNN descriptors"}, LeakLine{RETAINED, "retained contexts"}}) {
        uint64_t count = word(line.word);
        if (count != 0) {
            leaked += count;
            std::fprintf(stderr, "carousel stand-in: leak: %llu %s at the end of the process\n",
                    static_cast<unsigned long long>(count), line.what);
        }
    }
    if (world().mutex.try_lock()) {
        checkQuarantine();
        world().mutex.unlock();
    }
    if (leaked != 0) {
        carousel_standin_add(LEAKED, static_cast<int64_t>(leaked));
    }
}

}  // namespace

World& world() {
    static World* it = new World;
    return *it;
}

uint64_t word(int index) {
    return __atomic_load_n(&control()[index], __ATOMIC_SEQ_CST);
}

int deviceCount() {
    uint64_t count = word(DEVICES_PLUS_ONE);
    return count == 0 ? 1 : static_cast<int>(count - 1);
}

uint64_t deviceMemory(CUdevice) {
    uint64_t bytes = word(DEVICE_MEMORY);
    return bytes == 0 ? 1ULL << 30 : bytes;
}

bool runsAhead(const Turn& stream, const Turn& other) {
    switch (word(UNRULY)) {
        case 1:
            return stream.stream > other.stream;
        case 2:
            return stream.stream < other.stream;
        default:
            return stream.last < other.last;
    }
}

uint64_t mix(uint64_t value) {  // splitmix64's finaliser
    value += 0x9e3779b97f4a7c15ULL;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31);
}

}  // namespace carousel::standin

using namespace carousel::standin;

uint64_t* carousel_standin_control() {
    return control();
}

void carousel_standin_add(int word, int64_t amount) {
    __atomic_fetch_add(&control()[word], static_cast<uint64_t>(amount), __ATOMIC_SEQ_CST);
}

bool carousel_standin_fails(uint64_t kind, const char* what) {
    uint64_t* words = control();
    if ((word(COUNTED_KINDS) & kind) == 0) {
        return false;
    }
    uint64_t call = __atomic_add_fetch(&words[COUNTABLE_CALLS], 1, __ATOMIC_SEQ_CST);
    if (call != word(FAIL_AT)) {
        return false;
    }
    carousel_standin_add(FAILURES, 1);
    if (std::getenv("CAROUSEL_STANDIN_TRACE") != nullptr) {
        std::fprintf(stderr, "carousel stand-in: ordered failure of %s, call %llu\n", what,
                static_cast<unsigned long long>(call));
    }
    return true;
}

void carousel_standin_misuse(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    carousel_standin_add(MISUSE, 1);
    std::fprintf(stderr, "carousel stand-in: misuse: %s\n", text);
}
