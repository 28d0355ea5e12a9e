// Where the tests run the kernels: the CPU emulation (device_emulation.cpp) or a GPU (device_cuda.cpp). A test sees
// only this.
#ifndef CAROUSEL_TEST_DEVICE_H
#define CAROUSEL_TEST_DEVICE_H

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace carousel::test {

struct Grid {
    unsigned x = 1;
    unsigned y = 1;
    // Dynamic shared memory of each block.
    size_t sharedBytes = 0;
    // Whether all blocks have to run at the same time.
    bool together = false;
};

// What differs between the devices.
namespace device {
void* allocate(size_t bytes);
void release(void* memory);
void upload(void* to, const void* from, size_t bytes);
void download(void* to, const void* from, size_t bytes);
// Whether the device can run it: not all GPUs have clusters.
bool runs(const std::string& kernel);
// Launches and waits. `sizes` are those of the arguments, checked where the device can. Gives "" or what went wrong.
std::string launch(const std::string& kernel, Grid grid, unsigned block, uint64_t seed, void** params,
        const std::vector<size_t>& sizes);
}  // namespace device

// Device memory for values of a type, between two guard bands. The values lie a multiple of sizeof(T) but of nothing
// larger away from an aligned address: views into a model's flat buffer do, too. What is wrong with a buffer at the end
// of its life is a failure of the test.
template <typename T>
class Buffer {
public:
    // Poisoned: all bits set, which is a not-a-number.
    explicit Buffer(size_t count) : count(count), bytes((count + 1) * sizeof(T) + 2 * guardBytes) {
        memory = device::allocate(bytes);
        std::vector<unsigned char> image(bytes, poison);
        device::upload(memory, image.data(), bytes);
    }

    explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) { write(values); }

    ~Buffer() {
        expectGuards();
        if (isInput) {
            std::vector<T> now = values();
            EXPECT_TRUE(count == 0 || std::memcmp(now.data(), before.data(), count * sizeof(T)) == 0)
                    << "a kernel changed its input";
        }
        device::release(memory);
    }

    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    // Nothing may change these values from now on.
    Buffer& keep() {
        before = values();
        isInput = true;
        return *this;
    }

    T* address() const { return reinterpret_cast<T*>(static_cast<char*>(memory) + guardBytes) + 1; }

    void write(const std::vector<T>& values) {
        if (count > 0) {
            device::upload(address(), values.data(), count * sizeof(T));
        }
    }

    std::vector<T> values() const {
        std::vector<T> result(count);
        if (count > 0) {
            device::download(result.data(), address(), count * sizeof(T));
        }
        return result;
    }

private:
    static constexpr size_t guardBytes = 512;
    static constexpr unsigned char poison = 0xff;

    void expectGuards() const {
        std::vector<unsigned char> image(bytes);
        device::download(image.data(), memory, bytes);
        size_t first = guardBytes + sizeof(T);
        size_t end = first + count * sizeof(T);
        for (size_t k = 0; k < bytes; k++) {
            if ((k < first || k >= end) && image[k] != poison) {
                ADD_FAILURE() << "a kernel wrote " << (k < first ? "before" : "after") << " a buffer of " << count
                              << " elements";
                return;
            }
        }
    }

    size_t count;
    size_t bytes;
    void* memory;
    bool isInput = false;
    std::vector<T> before;
};

// A buffer that kernels must not change.
template <typename T>
class Input {
public:
    explicit Input(const std::vector<T>& values) : buffer(values) { buffer.keep(); }
    const T* address() const { return buffer.address(); }

private:
    Buffer<T> buffer;
};

// One of the ways in which a kernel must give the same bits: a scheduling seed, and a grid other than the usual one.
struct Way {
    uint64_t seed;
    // 0 is as many blocks as give every thread one turn.
    unsigned blocks;

    unsigned grid(long long usual) const { return blocks != 0 ? blocks : usual < 1 ? 1 : static_cast<unsigned>(usual); }
};

inline long long blocksFor(long long elements, long long each = 256) {
    return (elements + each - 1) / each;
}

template <typename... A>
void launch(const std::string& kernel, const Way& way, Grid grid, unsigned block, A... arguments) {
    void* params[] = {static_cast<void*>(&arguments)..., nullptr};
    std::string error = device::launch(kernel, grid, block, way.seed, params, {sizeof(A)...});
    ASSERT_EQ(error, "") << kernel;
}

// Runs `once`, which takes a way and gives vectors of results, in every way; all must give the same bits. Returns them.
template <typename F>
auto everyWay(F once) {
    auto first = once(Way{1, 0});
    for (Way way : {Way{2, 0}, Way{3, 0}, Way{4, 1}, Way{5, 3}}) {
        auto again = once(way);
        EXPECT_EQ(again.size(), first.size());
        for (size_t k = 0; k < first.size() && k < again.size(); k++) {
            bool same = first[k].size() == again[k].size()
                    && (first[k].empty()
                            || std::memcmp(first[k].data(), again[k].data(), first[k].size() * sizeof(first[k][0]))
                                    == 0);
            EXPECT_TRUE(same) << "result " << k << " depends on the order of threads (seed " << way.seed << ", blocks "
                              << way.blocks << ')';
        }
    }
    return first;
}

}  // namespace carousel::test

#endif
