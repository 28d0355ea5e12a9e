// Stacks of their own for CUDA threads, and the switch between them.
#ifndef CAROUSEL_EMULATION_FIBER_H
#define CAROUSEL_EMULATION_FIBER_H

#include <cstddef>

#if !defined(CAROUSEL_EMULATION_UCONTEXT) && !(defined(__x86_64__) && defined(__ELF__))
#define CAROUSEL_EMULATION_UCONTEXT
#endif
#ifdef CAROUSEL_EMULATION_UCONTEXT
#include <ucontext.h>
#endif

namespace carousel::emulation {

// Where a suspended flow of control goes on.
struct Context {
#ifdef CAROUSEL_EMULATION_UCONTEXT
    ucontext_t state;
#else
    void* stackPointer;
#endif
};

// Suspends the running flow as `from` and goes on with `to`.
void switchContext(Context& from, Context& to);

// A stack, those of the first colours with a page below them that faults.
class Stack {
public:
    // Throws std::bad_alloc. `colour` spreads the hot ends of many stacks over the sets of the cache.
    explicit Stack(unsigned colour);
    ~Stack();
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;

    // Makes `context` begin with `entry`, which must never return. Whatever was on the stack is forgotten.
    void prepare(Context& context, void (*entry)());

private:
    char* memory;
    size_t bytes;
    size_t usable;
};

}  // namespace carousel::emulation

#endif
