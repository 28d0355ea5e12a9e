#include <cstdlib>

#include "device.h"
#include "launcher.h"

namespace carousel::test::device {

void* allocate(size_t bytes) {
    // As aligned as device memory is.
    return std::aligned_alloc(256, (bytes + 255) / 256 * 256);
}

void release(void* memory) {
    std::free(memory);
}

void upload(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
}

void download(void* to, const void* from, size_t bytes) {
    std::memcpy(to, from, bytes);
}

bool runs(const std::string&) {
    return true;
}

std::string launch(const std::string& name, Grid grid, unsigned block, uint64_t seed, void** params,
        const std::vector<size_t>& sizes) {
    const emulation::Kernel* kernel = emulation::find(name);
    if (kernel == nullptr) {
        return "there is no kernel " + name;
    }
    if (emulation::parameterCount(*kernel) != sizes.size()) {
        return name + " has " + std::to_string(emulation::parameterCount(*kernel)) + " parameters";
    }
    for (size_t k = 0; k < sizes.size(); k++) {
        if (emulation::parameterSize(*kernel, k) != sizes[k]) {
            return "parameter " + std::to_string(k) + " of " + name + " has another type";
        }
    }
    // No two launches of the program run in the same order; in the next run of the program they do.
    static uint64_t launches = 0;
    return emulation::run(*kernel, {{grid.x, grid.y, 1}, {block, 1, 1}, grid.sharedBytes, seed + 1000 * launches++}, params);
}

}  // namespace carousel::test::device
