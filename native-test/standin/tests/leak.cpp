// Leaves two allocations, a stream and the primary context behind.
#include "api.h"

int main() {
    void* context = nullptr;
    void* stream = nullptr;
    CUdeviceptr a = 0;
    CUdeviceptr b = 0;
    bool fine = cuInit(0) == 0 && cuDevicePrimaryCtxRetain(&context, 0) == 0 && cuCtxSetCurrent(context) == 0
            && cuMemAlloc_v2(&a, 100) == 0 && cuMemAlloc_v2(&b, 28) == 0 && cuStreamCreate(&stream, 1) == 0;
    return fine ? 0 : 1;
}
