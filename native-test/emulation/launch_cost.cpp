// What a launch costs, in microseconds: the least of many batches, so that a busy machine does not matter much.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "launcher.h"

using namespace carousel::emulation;

namespace {

double microseconds(const char* name, unsigned blocks, unsigned threads, void** params) {
    const Kernel* kernel = find(name);
    if (kernel == nullptr) {
        std::fprintf(stderr, "there is no %s\n", name);
        return -1;
    }
    constexpr int launches = 100;
    double least = 1e9;
    for (int batch = 0; batch < 30; batch++) {
        auto start = std::chrono::steady_clock::now();
        for (int k = 0; k < launches; k++) {
            std::string error = run(*kernel, {{blocks, 1, 1}, {threads, 1, 1}, 0, static_cast<uint64_t>(k)}, params);
            if (!error.empty()) {
                std::fprintf(stderr, "%s\n", error.c_str());
                return -1;
            }
        }
        std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
        least = std::min(least, spent.count() / launches);
    }
    return least;
}

}  // namespace

int main() {
    long long none = 0;
    double zero = 0;
    float* nothing = nullptr;
    void* fill[] = {&nothing, &none, &zero};
    int rows = 0;
    float report[3];
    float* to = report;
    void* lossReport[] = {&nothing, &rows, &to};
    std::printf("empty launch, 1 x 256: %.1f us\n", microseconds("carousel_fill_f32", 1, 256, fill));
    std::printf("empty launch, 64 x 256: %.1f us\n", microseconds("carousel_fill_f32", 64, 256, fill));
    std::printf("4 barriers and 10 shuffles, 1 x 256: %.1f us\n",
            microseconds("carousel_loss_report_f32", 1, 256, lossReport));
}
