// Launches the kernels of kernels/*.cu on the CPU.
//
// A launch runs on this library's own worker threads. A worker takes a block at a time and runs its CUDA threads as
// fibers; between two barriers they run one after the other in an order drawn from the seed, and so do the blocks. A
// thread that meets no barrier runs straight through. The same launch with the same seed runs in the same order,
// however many workers there are.
//
// What is an error here and not on a GPU: a barrier that some threads of a block do not reach, threads that wait at
// different barriers, a block of any other size than the kernel's contract says. What is left of a launch after an
// error is undefined, as on a GPU.
//
// Safe to call from any thread, several at a time, JVM threads included: nothing runs on the caller's stack but the
// wait, no signal handler is set, nothing throws, exits or aborts. The workers live until the process ends: a shared
// library that holds this must not be unloaded (link it with -z nodelete).
#ifndef CAROUSEL_EMULATION_LAUNCHER_H
#define CAROUSEL_EMULATION_LAUNCHER_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace carousel::emulation {

struct Kernel;

// The kernel of this name, null when there is none.
const Kernel* find(const std::string& name);

// The names of all kernels that kernels/<file>.cu defines, sorted.
std::vector<std::string> kernels(const std::string& file);

struct Launch {
    unsigned grid[3];
    unsigned block[3];
    // Dynamic shared memory.
    size_t sharedBytes;
    // Of the order of threads and blocks.
    uint64_t seed;
};

// Runs a kernel to its end. `params` holds a pointer to each argument, as for cuLaunchKernel. Gives "" or what went
// wrong.
std::string run(const Kernel& kernel, const Launch& launch, void** params);

size_t parameterCount(const Kernel& kernel);
// In bytes.
size_t parameterSize(const Kernel& kernel, size_t index);
// Whether an argument is a device pointer.
bool parameterIsPointer(const Kernel& kernel, size_t index);
// The number of threads in x that every block must have; y and z are 1. 0 where a kernel takes any block.
unsigned blockSize(const Kernel& kernel);

}  // namespace carousel::emulation

#endif
