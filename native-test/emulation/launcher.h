// Launches the kernels of kernels/*.cu on the CPU.
//
// A launch runs on this library's own worker threads. A worker takes a block at a time and runs its CUDA threads as
// fibers; between two barriers they run one after the other in an order drawn from the seed, and so do the blocks. A
// thread that meets no barrier runs straight through. The same launch with the same seed runs in the same order,
// however many workers there are.
//
// A kernel may run in clusters of blocks, or all blocks of a launch together (cluster.h). Their threads are all fibers of one
// worker, so that the blocks really run at the same time and not in any order that would do without it. What one block
// sends to another, and letters in global memory, lie in a queue until some time later, and come in any order: depending
// on the seed soon, now and then, or not before no thread can go on, and that for all blocks or for one that falls behind.
// A kernel that does not wait for what it reads, or sends to where another block still reads, gives wrong results under
// most seeds. A product of a warp (mma) is the exact products' sum in float, in the order of k; a GPU adds in an order and
// with a rounding of its own.
//
// What is an error here and not on a GPU: a barrier that some threads of a block, or of a cluster, do not reach, threads
// that wait at different barriers, products in which a lane does not take part, a block of any other size than the
// kernel's contract says, and what PTX leaves undefined: to send to a block that has ended or ends before it has come, to
// use a barrier in shared memory that was not made, that was made twice or in whose place something else was written, or
// at which more arrive than a phase has, addresses that are not aligned or not in the launch's dynamic shared memory, and
// writing closely behind that. What is left of a launch after an error is undefined, as on a GPU.
//
// What it cannot see: that other memory is ordered more weakly on a GPU than here. A plain store that another thread reads
// without a barrier between shows by the order of threads only.
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
// The number of blocks along x that run together; 1 for most kernels, 0 where all blocks of a launch do.
unsigned clusterSize(const Kernel& kernel);

}  // namespace carousel::emulation

#endif
