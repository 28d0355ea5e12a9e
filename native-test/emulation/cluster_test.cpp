// Clusters, barriers in shared memory and products of a warp: what the emulation runs of them, what it refuses, and that it finds what is
// wrong with a kernel.
#include <cmath>
#include <map>
#include <random>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "../../kernels/cluster.cuh"
#include "testing.h"

namespace carousel {
namespace {

// One product. a is [16, depth] and b [depth, 8] of numbers, as bits; d is [16, 8]. Lanes from `only` on do it at another line.
template <typename Type>
void product(const unsigned* a, const unsigned* b, float* d, int only) {
    constexpr bool single = std::is_same_v<Type, Tf32>;
    constexpr int depth = single ? 8 : 16;
    int lane = static_cast<int>(threadIdx.x) % kWarp;
    int g = lane / 4;
    int t = lane % 4;
    unsigned aWords[4];
    unsigned bWords[2];
    for (int k = 0; k < 4; k++) {
        int row = g + k % 2 * 8;
        int column = single ? t + k / 2 * 4 : 2 * t + k / 2 * 8;
        aWords[k] = a[row * depth + column];
        if (!single) {
            aWords[k] |= a[row * depth + column + 1] << 16;
        }
    }
    for (int k = 0; k < 2; k++) {
        int row = single ? t + 4 * k : 2 * t + 8 * k;
        bWords[k] = b[row * 8 + g];
        if (!single) {
            bWords[k] |= b[(row + 1) * 8 + g] << 16;
        }
    }
    float sums[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t], d[(g + 8) * 8 + 2 * t + 1]};
    if (lane < only) {
        multiply(Type{}, sums, aWords, bWords);
    } else if (only > 0) {
        multiply(Type{}, sums, aWords, bWords);
    }
    if (threadIdx.x < kWarp) {
        d[g * 8 + 2 * t] = sums[0];
        d[g * 8 + 2 * t + 1] = sums[1];
        d[(g + 8) * 8 + 2 * t] = sums[2];
        d[(g + 8) * 8 + 2 * t + 1] = sums[3];
    }
}

// NO_WAIT: only one thread waits, and nobody for it.
enum Defect { NONE, NO_WAIT, NO_MEETING, ONE_BUFFER, NO_EXPECT, WRONG_PARITY };

constexpr unsigned firstValue(unsigned rank, unsigned place) {
    return 1000 * rank + place + 1;
}

constexpr unsigned nextValue(unsigned value, unsigned other, int step) {
    return value * 1664525 + other * 22695477 + static_cast<unsigned>(step);
}

// What the thread takes of all that the cluster has sent.
constexpr unsigned takenFrom(unsigned rank, unsigned place, unsigned all, int step) {
    return (7 * rank + 13 * place + 5 * static_cast<unsigned>(step)) % all;
}

// Each step every block sends its words to every other and to itself, and each thread makes its next words from some of them. Two buffers
// take turns: who sends a step has seen all blocks send the step before, so all of them have read what was sent before that.
template <int cluster, int words, int threads, Defect defect>
void exchange(unsigned* y, int steps) {
    constexpr unsigned own = words * threads;
    constexpr unsigned all = cluster * own;
    requireShared(16 + 2 * all * sizeof(unsigned));
    CAROUSEL_DYNAMIC_SHARED(unsigned long long, barriers);
    unsigned* buffers = reinterpret_cast<unsigned*>(barriers + 2);
    unsigned rank = clusterRank();
    unsigned thread = threadIdx.x;
    if (thread == 0) {
        barrierInit(&barriers[0], 1);
        barrierInit(&barriers[1], 1);
    }
    if (defect == NO_MEETING) {
        __syncthreads();
    } else {
        clusterSync();
    }
    unsigned values[words];
    for (unsigned k = 0; k < words; k++) {
        values[k] = firstValue(rank, thread * words + k);
    }
    for (int step = 0; step < steps; step++) {
        int turn = defect == ONE_BUFFER ? 0 : step % 2;
        unsigned parity = static_cast<unsigned>(defect == ONE_BUFFER ? step : step / 2) % 2;
        unsigned* buffer = buffers + static_cast<unsigned>(turn) * all;
        if (thread == 0 && defect != NO_EXPECT) {
            barrierExpect(&barriers[turn], all * sizeof(unsigned));
        }
        for (unsigned to = 0; to < cluster; to++) {
            sendWords<words>(buffer + rank * own + thread * words, values, &barriers[turn], to);
        }
        if (defect != NO_WAIT || thread == 0) {
            barrierWait(&barriers[turn], defect == WRONG_PARITY ? 1 - parity : parity);
        }
        for (unsigned k = 0; k < words; k++) {
            values[k] = nextValue(values[k], buffer[takenFrom(rank, thread * words + k, all, step)], step);
        }
    }
    for (unsigned k = 0; k < words; k++) {
        y[(blockIdx.x * threads + thread) * words + k] = values[k];
    }
    // Who has not waited is not to end before the others have sent.
    clusterSync();
}

enum LetterDefect { TAGGED, ANY_TAG, ONE_SET, NO_MEETING_OF_READERS };

// The same exchange between all blocks of a launch, by letters in global memory, of which there are two sets in turns.
template <int threads, LetterDefect defect>
void exchangeByMail(unsigned* y, unsigned long long* letters, int steps) {
    unsigned rank = blockIdx.y * gridDim.x + blockIdx.x;
    unsigned all = gridDim.x * gridDim.y * threads;
    unsigned thread = threadIdx.x;
    requireShared(all * sizeof(unsigned));
    CAROUSEL_DYNAMIC_SHARED(unsigned, words);
    unsigned value = firstValue(rank, thread);
    for (int step = 0; step < steps; step++) {
        unsigned long long* set = letters + (defect == ONE_SET ? 0 : step % 2) * all;
        unsigned tag = static_cast<unsigned>(step) + 1;
        post(set + rank * threads + thread, value, tag);
        for (unsigned k = thread; k < all; k += threads) {
            unsigned long long come;
            do {
                come = collect(set + k, tag);
            } while (defect != ANY_TAG && come >> 32 != tag);
            words[k] = static_cast<unsigned>(come);
        }
        __syncthreads();
        value = nextValue(value, words[takenFrom(rank, thread, all, step)], step);
        if (defect != NO_MEETING_OF_READERS) {
            __syncthreads();
        }
    }
    y[rank * threads + thread] = value;
}

void waitForNobody(unsigned long long* letters) {
    if (threadIdx.x == 3) {
        post(letters, 1, 1);
    }
    while (collect(letters, 2) >> 32 != 2) {
    }
}

// Both blocks of the cluster write where they are, and read where the other one is.
void places(unsigned* y) {
    CAROUSEL_DYNAMIC_SHARED(unsigned, word);
    CAROUSEL_SHARED(unsigned, own, 1);
    bool poisoned = word[0] == 0xffffffffu;
    __syncthreads();
    if (threadIdx.x == 3) {
        word[0] = 10 * blockIdx.x + blockIdx.y;
        own[0] = clusterRank();
    }
    clusterSync();
    unsigned block = blockIdx.y * gridDim.x + blockIdx.x;
    y[block * blockDim.x + threadIdx.x] =
            poisoned ? 10000 * word[0] + 100 * own[0] + threadIdx.x + (__syncthreads_or(threadIdx.x == 7) ? 50 : 0) : 0;
}

void noteRank(unsigned* y) {
    y[blockIdx.x] = clusterRank();
    clusterSync();
}

void meetingForSome() {
    if (clusterRank() == 0 || threadIdx.x < 5) {
        clusterSync();
    }
}

// So many bytes of it are written.
void muchDynamic(int needed, int written) {
    requireShared(static_cast<size_t>(needed));
    CAROUSEL_DYNAMIC_SHARED(unsigned char, bytes);
    for (int k = static_cast<int>(threadIdx.x); k < written; k += static_cast<int>(blockDim.x)) {
        bytes[k] = static_cast<unsigned char>(k);
    }
}

void muchOfBoth() {
    CAROUSEL_SHARED(char, own, 30 * 1024);
    own[threadIdx.x] = 0;
}

enum Misuse {
    RANK_OUTSIDE,
    NO_BARRIER_THERE,
    STORE_MISALIGNED,
    STORE_OUTSIDE,
    STORE_BEFORE,
    BARRIER_MISALIGNED,
    BARRIER_OUTSIDE,
    BARRIER_ELSEWHERE,
    MADE_TWICE,
    BARRIER_OVERWRITTEN,
    BARRIER_OVERWRITTEN_BY_A_STORE,
    NO_ARRIVALS,
    TOO_MANY_ARRIVALS,
    WAIT_FOR_NO_BARRIER,
    EXPECT_AT_NO_BARRIER,
    PARITY_OF_2,
    TOO_MANY_BYTES,
    TOO_FEW_BYTES,
    SEND_TO_THE_ENDED,
    NO_MISUSE
};

// Block 0 of two does it; there are 256 bytes.
void misuse(int what) {
    CAROUSEL_DYNAMIC_SHARED(unsigned long long, barrier);
    unsigned* store = reinterpret_cast<unsigned*>(barrier) + 8;
    CAROUSEL_SHARED(unsigned long long, elsewhere, 1);
    if (threadIdx.x == 0) {
        barrierInit(barrier, what == NO_ARRIVALS ? 0 : 1);
    }
    clusterSync();
    if (clusterRank() == 1 && what == SEND_TO_THE_ENDED) {
        return;
    }
    if (clusterRank() == 0 && threadIdx.x == 0) {
        const unsigned one[1] = {1};
        const unsigned two[2] = {1, 2};
        const unsigned four[4] = {1, 2, 3, 4};
        switch (what) {
            case RANK_OUTSIDE: sendWords<1>(store, one, barrier, 2); break;
            case NO_BARRIER_THERE: sendWords<1>(store, one, barrier + 1, 1); break;
            case STORE_MISALIGNED: sendWords<4>(store + 2, four, barrier, 1); break;
            case STORE_OUTSIDE: sendWords<2>(store + 56, two, barrier, 1); break;
            case STORE_BEFORE: sendWords<2>(store - 10, two, barrier, 1); break;
            case BARRIER_MISALIGNED:
                barrierInit(reinterpret_cast<unsigned long long*>(reinterpret_cast<char*>(barrier) + 12), 1);
                break;
            case BARRIER_OUTSIDE: barrierInit(barrier + 32, 1); break;
            case BARRIER_ELSEWHERE: barrierInit(elsewhere, 1); break;
            case MADE_TWICE: barrierInit(barrier, 1); break;
            case BARRIER_OVERWRITTEN:
                *barrier = 0;
                barrierExpect(barrier, 4);
                break;
            case BARRIER_OVERWRITTEN_BY_A_STORE:
                sendWords<2>(reinterpret_cast<unsigned*>(barrier), two, barrier, 1);
                break;
            case TOO_MANY_ARRIVALS:
                barrierExpect(barrier, 4);
                barrierExpect(barrier, 4);
                break;
            case WAIT_FOR_NO_BARRIER: barrierWait(barrier + 1, 0); break;
            case EXPECT_AT_NO_BARRIER: barrierExpect(barrier + 1, 0); break;
            case PARITY_OF_2: barrierWait(barrier, 2); break;
            case TOO_MANY_BYTES: barrierExpect(barrier, 1 << 20); break;
            case TOO_FEW_BYTES:
                barrierExpect(barrier, 8);
                sendWords<1>(store, one, barrier, 0);
                barrierWait(barrier, 0);
                break;
            case SEND_TO_THE_ENDED: sendWords<1>(store, one, barrier, 1); break;
            default: break;
        }
    }
    if (what == BARRIER_OVERWRITTEN_BY_A_STORE) {
        barrierWait(barrier, 0);
    }
    if (what != SEND_TO_THE_ENDED) {
        clusterSync();
    }
}

// Phases of two arrivals each, some of which come before what they wait for, and some after.
void phases(int* y) {
    CAROUSEL_DYNAMIC_SHARED(unsigned long long, barrier);
    unsigned* store = reinterpret_cast<unsigned*>(barrier + 2);
    if (threadIdx.x == 0) {
        barrierInit(barrier, 2);
    }
    __syncthreads();
    // Nothing was before the first phase: its parity has passed.
    barrierWait(barrier, 1);
    __syncthreads();
    for (unsigned phase = 0; phase < 4; phase++) {
        if (threadIdx.x == 0) {
            // Before anybody expects it.
            const unsigned two[2] = {phase, phase + 1};
            sendWords<2>(store, two, barrier, 0);
        }
        if (threadIdx.x % 32 == 0) {
            barrierExpect(barrier, threadIdx.x == 0 ? 0 : 8);
        }
        barrierWait(barrier, phase % 2);
        y[phase * blockDim.x + threadIdx.x] = static_cast<int>(store[0] + store[1]);
        // All must have read it.
        __syncthreads();
    }
}

#define CAROUSEL_TEST_PRODUCT(type, name) \
    CAROUSEL_KERNEL(0, test_product_##name, (const unsigned* a, const unsigned* b, float* d, int only), product<type>, (a, b, d, only))
CAROUSEL_TEST_PRODUCT(Bf16, bf16)
CAROUSEL_TEST_PRODUCT(F16, f16)
CAROUSEL_TEST_PRODUCT(Tf32, tf32)

#define CAROUSEL_TEST_EXCHANGE(name, cluster, words, threads, defect) \
    CAROUSEL_CLUSTER_ENTRY(threads, cluster, test_exchange_##name, (unsigned* y, int steps)) { \
        exchange<cluster, words, threads, defect>(y, steps); \
    }
CAROUSEL_TEST_EXCHANGE(1, 1, 1, 33, NONE)
CAROUSEL_TEST_EXCHANGE(2, 2, 1, 64, NONE)
CAROUSEL_TEST_EXCHANGE(4, 4, 2, 40, NONE)
CAROUSEL_TEST_EXCHANGE(16, 16, 4, 32, NONE)
CAROUSEL_TEST_EXCHANGE(no_wait, 4, 2, 32, NO_WAIT)
CAROUSEL_TEST_EXCHANGE(no_meeting, 4, 2, 32, NO_MEETING)
CAROUSEL_TEST_EXCHANGE(one_buffer, 4, 2, 32, ONE_BUFFER)
CAROUSEL_TEST_EXCHANGE(no_expect, 4, 2, 32, NO_EXPECT)
CAROUSEL_TEST_EXCHANGE(wrong_parity, 4, 2, 32, WRONG_PARITY)

#define CAROUSEL_TEST_MAIL(name, defect) \
    CAROUSEL_GRID_ENTRY(40, test_mail_##name, (unsigned* y, unsigned long long* letters, int steps)) { \
        exchangeByMail<40, defect>(y, letters, steps); \
    }
CAROUSEL_TEST_MAIL(tagged, TAGGED)
CAROUSEL_TEST_MAIL(any_tag, ANY_TAG)
CAROUSEL_TEST_MAIL(one_set, ONE_SET)
CAROUSEL_TEST_MAIL(no_meeting_of_readers, NO_MEETING_OF_READERS)
CAROUSEL_GRID_ENTRY(0, test_wait_for_nobody, (unsigned long long* letters)) {
    waitForNobody(letters);
}

CAROUSEL_CLUSTER_ENTRY(0, 2, test_places, (unsigned* y)) {
    places(y);
}
CAROUSEL_CLUSTER_ENTRY(0, 16, test_rank_of_16, (unsigned* y)) {
    noteRank(y);
}
CAROUSEL_KERNEL(0, test_rank, (unsigned* y), noteRank, (y))
CAROUSEL_CLUSTER_ENTRY(0, 2, test_meeting_for_some, ()) {
    meetingForSome();
}
CAROUSEL_CLUSTER_ENTRY(0, 2, test_misuse, (int what)) {
    misuse(what);
}
CAROUSEL_KERNEL(0, test_much_dynamic, (int needed, int written), muchDynamic, (needed, written))
CAROUSEL_KERNEL(0, test_much_of_both, (), muchOfBoth, ())
CAROUSEL_KERNEL(0, test_phases, (int* y), phases, (y))

// A number of the type nearest to a value, as bits, and what it is.
struct Narrowed {
    unsigned bits;
    double value;
};

Narrowed narrowed(const std::string& type, float value) {
    if (type == "bf16") {
        unsigned bits = __float2bfloat16_rn(value).bits;
        return {bits, floatOf(bits << 16)};
    }
    if (type == "f16") {
        __half half = __float2half_rn(value);
        return {half.bits, __half2float(half)};
    }
    // What the units do not see may be anything.
    unsigned bits = roundTf32(value);
    return {bits | 0x1abc, floatOf(bits)};
}

TEST(Products, AreThoseOfTheMatrices) {
    for (const std::string type : {"bf16", "f16", "tf32"}) {
        unsigned depth = type == "tf32" ? 8 : 16;
        std::mt19937 random(7);
        // f16 also of its smallest numbers.
        for (double scale : {1.0, 3e-7, 1e4}) {
            std::uniform_real_distribution<double> draw(-scale, scale);
            std::vector<unsigned> a(16 * depth);
            std::vector<unsigned> b(depth * 8);
            std::vector<double> aValues(a.size());
            std::vector<double> bValues(b.size());
            for (size_t k = 0; k < a.size(); k++) {
                Narrowed number = narrowed(type, static_cast<float>(draw(random)));
                a[k] = number.bits;
                aValues[k] = number.value;
            }
            for (size_t k = 0; k < b.size(); k++) {
                Narrowed number = narrowed(type, static_cast<float>(draw(random) / scale));
                b[k] = number.bits;
                bValues[k] = number.value;
            }
            std::vector<float> before(16 * 8);
            for (float& value : before) {
                value = static_cast<float>(draw(random));
            }
            for (uint64_t seed = 1; seed <= 4; seed++) {
                std::vector<float> d = before;
                ASSERT_EQ(launch("test_product_" + type, oneBlock(64, seed), a.data(), b.data(), d.data(), 32), "");
                for (unsigned row = 0; row < 16; row++) {
                    for (unsigned column = 0; column < 8; column++) {
                        double sum = before[row * 8 + column];
                        double size = std::abs(sum);
                        for (unsigned k = 0; k < depth; k++) {
                            double term = aValues[row * depth + k] * bValues[k * 8 + column];
                            sum += term;
                            size += std::abs(term);
                        }
                        EXPECT_NEAR(d[row * 8 + column], sum, size * 17 * 6e-8)
                                << type << ' ' << row << ' ' << column << ' ' << scale;
                    }
                }
            }
        }
    }
}

TEST(Products, NeedAllLanesAtOneLine) {
    for (const std::string type : {"bf16", "f16", "tf32"}) {
        std::vector<unsigned> zeros(256, 0);
        std::vector<float> d(128, 0);
        // Some at another line.
        expectError(launch("test_product_" + type, oneBlock(32), zeros.data(), zeros.data(), d.data(), 31),
                "deadlock: 31 in the warp operation");
        // A warp that is not whole.
        expectError(launch("test_product_" + type, oneBlock(31), zeros.data(), zeros.data(), d.data(), 32),
                "deadlock: 31 in the warp operation");
    }
}

TEST(Products, RoundToTheNearestOfTf32) {
    EXPECT_EQ(roundTf32(1), 0x3f800000u);
    // Half way goes away from zero, less does not.
    EXPECT_EQ(roundTf32(floatOf(0x3f801000)), 0x3f802000u);
    EXPECT_EQ(roundTf32(floatOf(0xbf801000)), 0xbf802000u);
    EXPECT_EQ(roundTf32(floatOf(0x3f800fff)), 0x3f800000u);
    EXPECT_EQ(roundTf32(floatOf(0x3fffffff)), 0x40000000u);
    EXPECT_EQ(roundTf32(floatOf(0x7f7fffff)), 0x7f800000u);
    EXPECT_EQ(roundTf32(-INFINITY), 0xff800000u);
    EXPECT_TRUE(std::isnan(floatOf(roundTf32(floatOf(0x7f800001)))));
}

// What the exchange should give, for all clusters of a launch the same.
std::vector<unsigned> exchanged(unsigned cluster, unsigned own, int steps) {
    unsigned all = cluster * own;
    std::vector<unsigned> values(all);
    for (unsigned k = 0; k < all; k++) {
        values[k] = firstValue(k / own, k % own);
    }
    for (int step = 0; step < steps; step++) {
        std::vector<unsigned> sent = values;
        for (unsigned k = 0; k < all; k++) {
            values[k] = nextValue(values[k], sent[takenFrom(k / own, k % own, all, step)], step);
        }
    }
    return values;
}

struct Exchange {
    std::string name;
    unsigned cluster;
    unsigned words;
    unsigned threads;

    // Gives "" or what went wrong.
    std::string run(uint64_t seed, unsigned clusters, int steps) const {
        unsigned own = words * threads;
        std::vector<unsigned> expected = exchanged(cluster, own, steps);
        std::vector<unsigned> y(clusters * cluster * own);
        size_t shared = 16 + 2 * cluster * own * sizeof(unsigned);
        std::string error = launch("test_exchange_" + name, blocks(clusters * cluster, threads, seed, shared), y.data(), steps);
        for (size_t k = 0; error.empty() && k < y.size(); k++) {
            if (y[k] != expected[k % expected.size()]) {
                error = "a wrong result";
            }
        }
        return error;
    }
};

TEST(Clusters, ExchangeThroughSharedMemory) {
    for (const Exchange& exchange : {Exchange{"1", 1, 1, 33}, Exchange{"2", 2, 1, 64}, Exchange{"4", 4, 2, 40}}) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            ASSERT_EQ(exchange.run(seed, 3, 13), "") << exchange.name << ", seed " << seed;
        }
    }
    for (uint64_t seed = 1; seed <= 8; seed++) {
        ASSERT_EQ((Exchange{"16", 16, 4, 32}.run(seed, 2, 7)), "") << seed;
    }
}

// Under every seed that is not unlucky: half of them for the one that only shows when a block is late.
TEST(Clusters, ShowRaces) {
    constexpr int seeds = 30;
    for (const std::string defect : {"no_wait", "no_meeting", "one_buffer", "no_expect", "wrong_parity"}) {
        int caught = 0;
        int wrong = 0;
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            std::string error = Exchange{defect, 4, 2, 32}.run(seed, 1, 9);
            caught += error.empty() ? 0 : 1;
            wrong += error == "a wrong result" ? 1 : 0;
        }
        EXPECT_GE(caught, defect == "no_meeting" ? seeds / 4 : seeds) << defect;
        EXPECT_EQ(wrong > 0, defect == "no_wait" || defect == "one_buffer") << defect;
    }
}

// Gives "" or what went wrong.
std::string exchangeByMailOf(const std::string& name, uint64_t seed, unsigned x, unsigned y) {
    constexpr unsigned own = 40;
    constexpr int steps = 7;
    std::vector<unsigned> expected = exchanged(x * y, own, steps);
    std::vector<unsigned> result(expected.size());
    std::vector<unsigned long long> letters(2 * expected.size(), 0);
    std::string error = launch("test_mail_" + name, {{x, y, 1}, {own, 1, 1}, expected.size() * sizeof(unsigned), seed}, result.data(),
            letters.data(), steps);
    return !error.empty() ? error : result == expected ? "" : "a wrong result";
}

TEST(Letters, AreExchangedByAllBlocks) {
    for (uint64_t seed = 1; seed <= 30; seed++) {
        ASSERT_EQ(exchangeByMailOf("tagged", seed, 3, 2), "") << seed;
    }
    ASSERT_EQ(exchangeByMailOf("tagged", 1, 1, 1), "");
    ASSERT_EQ(exchangeByMailOf("tagged", 1, 12, 1), "");
}

TEST(Letters, ShowRaces) {
    constexpr int seeds = 30;
    for (const std::string defect : {"any_tag", "one_set", "no_meeting_of_readers"}) {
        int caught = 0;
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            caught += exchangeByMailOf(defect, seed, 3, 2).empty() ? 0 : 1;
        }
        EXPECT_GE(caught, seeds / 2) << defect;
    }
}

TEST(Letters, ThatNobodyPostsAreADeadlock) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        unsigned long long letter = 0;
        expectError(launch("test_wait_for_nobody", blocks(3, 32, seed), &letter), "deadlock: 96 waiting for a letter in line");
    }
    unsigned long long letter = 0;
    expectError(launch("test_wait_for_nobody", blocks(193, 32), &letter), "at most 192 blocks that run at the same time but got 193");
    EXPECT_EQ(emulation::clusterSize(*emulation::find("test_wait_for_nobody")), 0u);
}

TEST(Clusters, RunTheirBlocksTogether) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        constexpr unsigned threads = 40;
        std::vector<unsigned> y(6 * 3 * threads);
        emulation::Launch launched{{6, 3, 1}, {threads, 1, 1}, 4, seed};
        ASSERT_EQ(launch("test_places", launched, y.data()), "");
        for (unsigned k = 0; k < y.size(); k++) {
            unsigned block = k / threads;
            ASSERT_EQ(y[k], 10000 * (10 * (block % 6) + block / 6) + 100 * (block % 2) + k % threads + 50);
        }
    }
}

TEST(Clusters, MayBeLarge) {
    std::vector<unsigned> y(32);
    ASSERT_EQ(launch("test_rank_of_16", blocks(32, 1024), y.data()), "");
    for (unsigned k = 0; k < 32; k++) {
        EXPECT_EQ(y[k], k % 16);
    }
    ASSERT_EQ(launch("test_rank", blocks(32, 100), y.data()), "");
    EXPECT_EQ(y, std::vector<unsigned>(32, 0));
}

TEST(Clusters, KnowTheirSize) {
    EXPECT_EQ(emulation::clusterSize(*emulation::find("test_rank_of_16")), 16u);
    EXPECT_EQ(emulation::clusterSize(*emulation::find("test_rank")), 1u);
    expectError(launch("test_misuse", blocks(3, 32, 1, 256), +NO_MISUSE),
            "grid[0] should be a multiple of the cluster's 2 blocks but got 3");
    EXPECT_EQ(launch("test_misuse", blocks(4, 32, 1, 256), +NO_MISUSE), "");
}

TEST(Clusters, MeetAsAWhole) {
    for (uint64_t seed = 1; seed <= 5; seed++) {
        expectError(launch("test_meeting_for_some", blocks(2, 32, seed)), "deadlock: 37 at the cluster's barrier of line");
        EXPECT_EQ(launch("test_meeting_for_some", blocks(2, 5, seed)), "");
    }
}

TEST(Clusters, SayWhatIsMisused) {
    std::map<int, std::string> errors{
            {RANK_OUTSIDE, "thread 0 of rank 0: sends to rank 2 of a cluster of 2"},
            {NO_BARRIER_THERE, "there is no barrier at byte 8 of rank 1"},
            {STORE_MISALIGNED, "a store at byte 40 of dynamic shared memory, which should be a multiple of 16"},
            {STORE_OUTSIDE, "a store outside the block's 256 bytes"},
            {STORE_BEFORE, "a store outside the block's 256 bytes"},
            {BARRIER_MISALIGNED, "a barrier at byte 12 of dynamic shared memory, which should be a multiple of 8"},
            {BARRIER_OUTSIDE, "a barrier outside the block's 256 bytes"},
            {BARRIER_ELSEWHERE, "a barrier outside the block's 256 bytes"},
            {MADE_TWICE, "a barrier that has been made is made again"},
            {BARRIER_OVERWRITTEN, "something else was written where a barrier is"},
            {BARRIER_OVERWRITTEN_BY_A_STORE, "something else was written where a barrier of rank 1 is"},
            {NO_ARRIVALS, "a barrier of 0 arrivals, which should be 1 to 1048575"},
            {TOO_MANY_ARRIVALS, "arrives at a barrier where all 1 of the phase have arrived"},
            {WAIT_FOR_NO_BARRIER, "there is no barrier at byte 8 of rank 0"},
            {EXPECT_AT_NO_BARRIER, "there is no barrier at byte 8 of rank 0"},
            {PARITY_OF_2, "waits for parity 2, which should be 0 or 1"},
            {TOO_MANY_BYTES, "a barrier expects 1048576 bytes, more than the 1048575 it can count"},
            {TOO_FEW_BYTES, "phase 0 at rank 0 lacks 0 arrivals and 4 bytes"},
    };
    for (int what = 0; what < NO_MISUSE; what++) {
        for (uint64_t seed = 1; seed <= 8 && what != SEND_TO_THE_ENDED; seed++) {
            ASSERT_EQ(errors.count(what), 1u);
            expectError(launch("test_misuse", blocks(2, 32, seed, 256), what), errors[what]);
        }
    }
    // The order of threads decides which it is, or whether it goes well this time.
    std::set<std::string> seen;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        std::string error = launch("test_misuse", blocks(2, 32, seed, 256), +SEND_TO_THE_ENDED);
        seen.insert(error.substr(error.find_last_of(':') + 1));
    }
    EXPECT_EQ(seen.count(" sends to rank 1, which has ended"), 1u);
    EXPECT_EQ(seen.count(" rank 1 ended while 1 stores were on their way to it"), 1u);
}

TEST(Barriers, CountArrivalsAndBytes) {
    for (uint64_t seed = 1; seed <= 30; seed++) {
        std::vector<int> y(4 * 64);
        ASSERT_EQ(launch("test_phases", blocks(1, 64, seed, 32), y.data()), "");
        for (int k = 0; k < 4 * 64; k++) {
            ASSERT_EQ(y[static_cast<size_t>(k)], 2 * (k / 64) + 1);
        }
    }
}

TEST(SharedMemory, IsAsLargeAsOnTheGpu) {
    int most = 227 * 1024;
    for (int bytes : {4, 100, 48 * 1024 + 1, most}) {
        EXPECT_EQ(launch("test_much_dynamic", blocks(3, 64, 1, static_cast<size_t>(bytes)), bytes, bytes), "");
        expectError(launch("test_much_dynamic", blocks(1, 64, 1, static_cast<size_t>(bytes)), bytes + 1, bytes),
                "needs " + std::to_string(bytes + 1) + " bytes of dynamic shared memory but the launch has "
                        + std::to_string(bytes));
        expectError(launch("test_much_dynamic", blocks(1, 64, 1, static_cast<size_t>(bytes)), bytes, bytes + 3),
                "something was written behind the launch's " + std::to_string(bytes) + " bytes");
    }
    expectError(launch("test_much_dynamic", blocks(1, 64, 1, static_cast<size_t>(most) + 1), 0, 0),
            "at most 232448 bytes of shared memory but got 232449");
    EXPECT_EQ(launch("test_much_of_both", blocks(1, 64, 1, 197 * 1024)), "");
    expectError(launch("test_much_of_both", blocks(1, 64, 1, 197 * 1024 + 1)),
            "the block needs 232449 bytes of shared memory but there are 232448");
}

}  // namespace
}  // namespace carousel
