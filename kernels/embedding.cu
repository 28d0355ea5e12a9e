// Rows of a table by their number, and their gradients.
//
//   embedding_forward    y[m, :] = table[ids[m], :]; not-a-numbers where the id is outside of [0, vocabulary)
//   embedding_backward   dTable[ids[m], :] += dy[m, :] for m = 0, 1, ... in turn; ids outside are skipped
//   ids [rows], table and dTable [vocabulary, width], y and dy [rows, width]
//
// Versions: one of each.
//   embedding_backward 1   One block a row of dy. The block of the first row that has an id does the work of all rows
//                          with that id, in their order, so no two blocks write the same row of the table and no
//                          atomics are needed: the sum is the same in every run. Looking for earlier rows stops at the
//                          first one found, so common ids, whose blocks are many, cost little. Ids are read 256 at a
//                          time and a ballot says which rows of the 256 are meant.
//
// Launch: blocks of 256. embedding_forward: any grid of one dimension. embedding_backward: grid = rows; any other is
// correct, too.
#include "common.cuh"

CAROUSEL_UNIT(embedding)

namespace carousel {

template <typename R>
__device__ __forceinline__ void embedding_forward(
        const int* ids, const R* table, R* y, int rows, int vocabulary, int width) {
    long long n = static_cast<long long>(rows) * width;
    for (long long e = firstElement(); e < n; e += elementStride()) {
        Place place = placeOf(e, width);
        int id = ids[place.row];
        bool known = id >= 0 && id < vocabulary;
        y[e] = known ? table[static_cast<long long>(id) * width + place.column] : notANumber<R>();
    }
}

// Whether a row before `row` has this id. The same answer on all threads.
__device__ __forceinline__ bool appearsBefore(const int* ids, int row, int id) {
    for (int end = row; end > 0; end -= kBlock) {
        int earlier = end - 1 - static_cast<int>(threadIdx.x);
        if (__syncthreads_or(earlier >= 0 && ids[earlier] == id)) {
            return true;
        }
    }
    return false;
}

template <typename R>
__device__ __forceinline__ void embedding_backward(
        const int* ids, const R* dy, R* dTable, int rows, int vocabulary, int width) {
    constexpr int warps = kBlock / kWarp;
    CAROUSEL_SHARED(unsigned, meant, warps);
    int thread = static_cast<int>(threadIdx.x);
    for (int m = static_cast<int>(blockIdx.x); m < rows; m += static_cast<int>(gridDim.x)) {
        int id = ids[m];
        if (id < 0 || id >= vocabulary || appearsBefore(ids, m, id)) {
            continue;
        }
        R* sums = dTable + static_cast<long long>(id) * width;
        for (int first = m; first < rows; first += kBlock) {
            bool isMeant = first + thread < rows && ids[first + thread] == id;
            unsigned ballot = __ballot_sync(kAllLanes, isMeant);
            if (thread % kWarp == 0) {
                meant[thread / kWarp] = ballot;
            }
            __syncthreads();
            for (int k = thread; k < width; k += kBlock) {
                R sum = sums[k];
                // Unrolled, it spills registers on sm_80.
                CAROUSEL_NO_UNROLL
                for (int warp = 0; warp < warps; warp++) {
                    for (unsigned bits = meant[warp]; bits != 0; bits &= bits - 1) {
                        long long row = first + warp * kWarp + __ffs(static_cast<int>(bits)) - 1;
                        sum += dy[row * width + k];
                    }
                }
                sums[k] = sum;
            }
            // All must have read what is meant before the next 256 rows.
            __syncthreads();
        }
    }
}

CAROUSEL_KERNELS(kBlock, embedding_forward, (const int* ids, const R* table, R* y, int rows, int vocabulary, int width),
        (ids, table, y, rows, vocabulary, width))
CAROUSEL_KERNELS(kBlock, embedding_backward,
        (const int* ids, const R* dy, R* dTable, int rows, int vocabulary, int width),
        (ids, dy, dTable, rows, vocabulary, width))

}  // namespace carousel
