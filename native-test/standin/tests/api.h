// The parts of the driver API, cuBLAS and cuDNN that the tests call, as the stand-ins export them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../private.h"

using CUdeviceptr = unsigned long long;

struct KernelNodeParams {
    void* function;
    unsigned grid[3];
    unsigned block[3];
    unsigned sharedBytes;
    void** kernelParams;
    void** extra;
    void* kernel;
    void* context;
};

extern "C" {
int cuInit(unsigned);
int cuDriverGetVersion(int*);
int cuGetErrorName(int, const char**);
int cuGetErrorString(int, const char**);
int cuDeviceGetCount(int*);
int cuDeviceGet(int*, int);
int cuDeviceGetName(char*, int, int);
int cuDeviceTotalMem_v2(size_t*, int);
int cuDeviceGetAttribute(int*, int, int);
int cuDevicePrimaryCtxRetain(void**, int);
int cuDevicePrimaryCtxRelease_v2(int);
int cuCtxCreate_v2(void**, unsigned, int);
int cuCtxDestroy_v2(void*);
int cuCtxSetCurrent(void*);
int cuCtxGetCurrent(void**);
int cuCtxPushCurrent_v2(void*);
int cuCtxPopCurrent_v2(void**);
int cuCtxSynchronize();
int cuMemGetInfo_v2(size_t*, size_t*);
int cuMemAlloc_v2(CUdeviceptr*, size_t);
int cuMemFree_v2(CUdeviceptr);
int cuMemAllocAsync(CUdeviceptr*, size_t, void*);
int cuMemFreeAsync(CUdeviceptr, void*);
int cuMemHostAlloc(void**, size_t, unsigned);
int cuMemAllocHost_v2(void**, size_t);
int cuMemFreeHost(void*);
int cuMemHostRegister_v2(void*, size_t, unsigned);
int cuMemHostUnregister(void*);
int cuMemcpyHtoD_v2(CUdeviceptr, const void*, size_t);
int cuMemcpyDtoH_v2(void*, CUdeviceptr, size_t);
int cuMemcpyDtoD_v2(CUdeviceptr, CUdeviceptr, size_t);
int cuMemcpyHtoDAsync_v2(CUdeviceptr, const void*, size_t, void*);
int cuMemcpyDtoHAsync_v2(void*, CUdeviceptr, size_t, void*);
int cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, size_t, void*);
int cuMemsetD8_v2(CUdeviceptr, unsigned char, size_t);
int cuMemsetD16_v2(CUdeviceptr, unsigned short, size_t);
int cuMemsetD32_v2(CUdeviceptr, unsigned, size_t);
int cuMemsetD8Async(CUdeviceptr, unsigned char, size_t, void*);
int cuMemsetD32Async(CUdeviceptr, unsigned, size_t, void*);
int cuStreamCreate(void**, unsigned);
int cuStreamDestroy_v2(void*);
int cuStreamQuery(void*);
int cuStreamSynchronize(void*);
int cuStreamWaitEvent(void*, void*, unsigned);
int cuLaunchHostFunc(void*, void (*)(void*), void*);
int cuEventCreate(void**, unsigned);
int cuEventDestroy_v2(void*);
int cuEventRecord(void*, void*);
int cuEventQuery(void*);
int cuEventSynchronize(void*);
int cuEventElapsedTime(float*, void*, void*);
int cuModuleLoadData(void**, const void*);
int cuModuleLoadDataEx(void**, const void*, unsigned, int*, void**);
int cuModuleUnload(void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuFuncGetAttribute(int*, int, void*);
int cuFuncSetAttribute(void*, int, int);
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int*, void*, int, size_t);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
int cuLaunchCooperativeKernel(
        void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**);
int cuStreamBeginCapture_v2(void*, int);
int cuStreamEndCapture(void*, void**);
int cuStreamIsCapturing(void*, int*);
int cuGraphCreate(void**, unsigned);
int cuGraphDestroy(void*);
int cuGraphAddKernelNode_v2(void**, void*, void* const*, size_t, const KernelNodeParams*);
int cuGraphInstantiateWithFlags(void**, void*, unsigned long long);
int cuGraphExecDestroy(void*);
int cuGraphLaunch(void*, void*);
int cuGraphUpload(void*, void*);
int cuGraphGetNodes(void*, void**, size_t*);
int cuGraphNodeGetType(void*, int*);
int cuGraphKernelNodeGetParams_v2(void*, KernelNodeParams*);
int cuGraphKernelNodeSetParams_v2(void*, const KernelNodeParams*);
int cuGraphExecKernelNodeSetParams_v2(void*, void*, const KernelNodeParams*);
int cuGraphExecUpdate_v2(void*, void*, void*);

int cublasCreate_v2(void**);
int cublasDestroy_v2(void*);
int cublasSetStream_v2(void*, void*);
int cublasSetMathMode(void*, int);
int cublasSetPointerMode_v2(void*, int);
int cublasSetWorkspace_v2(void*, void*, size_t);
int cublasSgemm_v2(
        void*, int, int, int, int, int, const float*, const float*, int, const float*, int, const float*, float*, int);
int cublasGemmEx(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int, int, const void*,
        void*, int, int, int, int);
int cublasGemmStridedBatchedEx(void*, int, int, int, int, int, const void*, const void*, int, int, long long,
        const void*, int, int, long long, const void*, void*, int, int, long long, int, int, int);

const char* cudnnGetErrorString(int);
int cudnnCreate(void**);
int cudnnDestroy(void*);
int cudnnSetStream(void*, void*);
int cudnnCreateTensorDescriptor(void**);
int cudnnDestroyTensorDescriptor(void*);
int cudnnSetTensorNdDescriptor(void*, int, int, const int*, const int*);
int cudnnGetTensorNdDescriptor(void*, int, int*, int*, int*, int*);
int cudnnCreateDropoutDescriptor(void**);
int cudnnDestroyDropoutDescriptor(void*);
int cudnnSetDropoutDescriptor(void*, void*, float, void*, size_t, unsigned long long);
int cudnnCreateRNNDescriptor(void**);
int cudnnDestroyRNNDescriptor(void*);
int cudnnSetRNNDescriptor_v8(void*, int, int, int, int, int, int, int, int, int, int, int, int, void*, unsigned);
int cudnnRNNSetClip_v8(void*, int, int, double, double);
int cudnnRNNSetClip_v9(void*, int, double, double);
int cudnnBuildRNNDynamic(void*, void*, int);
int cudnnCreateRNNDataDescriptor(void**);
int cudnnDestroyRNNDataDescriptor(void*);
int cudnnSetRNNDataDescriptor(void*, int, int, int, int, int, const int*, void*);
int cudnnGetRNNWeightSpaceSize(void*, void*, size_t*);
int cudnnGetRNNTempSpaceSizes(void*, void*, int, void*, size_t*, size_t*);
int cudnnGetRNNWeightParams(void*, void*, int, size_t, const void*, int, void*, void**, void*, void**);
int cudnnRNNForward(void*, void*, int, const int*, void*, const void*, void*, void*, void*, const void*, void*, void*,
        const void*, void*, size_t, const void*, size_t, void*, size_t, void*);
int cudnnRNNBackwardData_v8(void*, void*, const int*, void*, const void*, const void*, void*, void*, void*, const void*,
        const void*, void*, void*, const void*, const void*, void*, size_t, const void*, size_t, void*, size_t, void*);
int cudnnRNNBackwardWeights_v8(void*, void*, int, const int*, void*, const void*, void*, const void*, void*,
        const void*, size_t, void*, size_t, void*, size_t, void*);
}
