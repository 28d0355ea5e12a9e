#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

namespace carousel::emulation {

namespace {

// Kernels are shallow; the C library's mathematics takes a few hundred bytes. Pages that are never touched cost
// nothing.
constexpr size_t stackBytes = 128 * 1024;
constexpr size_t colourBytes = 320;
constexpr unsigned colours = 16;
// A process has only so many mappings. The threads of a large cluster are as shallow as those of a block, all of which have
// a guard; the mappings of those without one are merged.
constexpr unsigned mostGuards = 1024;

}  // namespace

Stack::Stack(unsigned colour) {
    size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes = stackBytes + page;
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        throw std::bad_alloc();
    }
    memory = static_cast<char*>(mapped);
    if (colour < mostGuards) {
        // Should the system not have it, there is no guard, and no harm either.
        (void) mprotect(memory, page, PROT_NONE);
    }
    usable = bytes - colour % colours * colourBytes;
}

Stack::~Stack() {
    munmap(memory, bytes);
}

#ifdef CAROUSEL_EMULATION_UCONTEXT

void switchContext(Context& from, Context& to) {
    swapcontext(&from.state, &to.state);
}

void Stack::prepare(Context& context, void (*entry)()) {
    getcontext(&context.state);
    context.state.uc_stack.ss_sp = memory;
    context.state.uc_stack.ss_size = usable;
    context.state.uc_link = nullptr;
    makecontext(&context.state, entry, 0);
}

#else

// What a called function must preserve goes onto the stack that is left and comes from the one that is entered; `ret`
// then returns to where that one was left. The floating-point modes are the same in all kernels and stay.
extern "C" void carousel_emulation_switch(void** from, void* to) __attribute__((visibility("hidden")));
__asm__(R"(
    .text
    .globl carousel_emulation_switch
    .hidden carousel_emulation_switch
    .type carousel_emulation_switch, @function
    .p2align 4
carousel_emulation_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size carousel_emulation_switch, . - carousel_emulation_switch
)");

void switchContext(Context& from, Context& to) {
    carousel_emulation_switch(&from.stackPointer, to.stackPointer);
}

void Stack::prepare(Context& context, void (*entry)()) {
    // As if `entry` had been called from nowhere: its return address, 0, lies where the ABI wants it, 8 past a multiple
    // of 16.
    uintptr_t top = (reinterpret_cast<uintptr_t>(memory) + usable) & ~uintptr_t{15};
    void** slot = reinterpret_cast<void**>(top);
    *--slot = nullptr;
    *--slot = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; saved++) {
        *--slot = nullptr;
    }
    context.stackPointer = slot;
}

#endif

}  // namespace carousel::emulation
