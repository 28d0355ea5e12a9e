// What the tests of the emulation share.
#ifndef CAROUSEL_EMULATION_TESTING_H
#define CAROUSEL_EMULATION_TESTING_H

#include <gtest/gtest.h>

#include <string>

#include "launcher.h"

namespace carousel {

template <typename... A>
std::string launch(const std::string& name, const emulation::Launch& launch, A... arguments) {
    const emulation::Kernel* kernel = emulation::find(name);
    if (kernel == nullptr) {
        return "there is no " + name;
    }
    void* params[] = {static_cast<void*>(&arguments)..., nullptr};
    return emulation::run(*kernel, launch, params);
}

// Blocks along x, each of so many threads.
inline emulation::Launch blocks(unsigned count, unsigned threads, uint64_t seed = 1, size_t sharedBytes = 0) {
    return {{count, 1, 1}, {threads, 1, 1}, sharedBytes, seed};
}

inline emulation::Launch oneBlock(unsigned threads, uint64_t seed = 1) {
    return blocks(1, threads, seed);
}

inline void expectError(const std::string& error, const std::string& part) {
    EXPECT_NE(error.find(part), std::string::npos) << "\"" << error << "\" should say: " << part;
}

}  // namespace carousel

#endif
