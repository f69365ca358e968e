// Kernels for the emulator's own tests.
#include "common.cuh"

extern "C" __global__ void react_reverse_shared(const float* x, float* y, unsigned*, unsigned n) {
    DYNAMIC_SHARED(float, row);
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    row[threadIdx.x] = i < n ? x[i] : -1.0f;
    __syncthreads();
    if (i < n) y[i] = row[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void react_reverse_shuffles(const float* x, float* y, unsigned*, unsigned n) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    float value = i < n ? x[i] : -1.0f;
    for (unsigned step = 16; step > 0; step /= 2) value = __shfl_xor_sync(ALL_LANES, value, step);
    if (i < n) y[i] = value;
}

extern "C" __global__ void react_sum(const float* x, float* y, unsigned*, unsigned) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = block_sum(x[i]);
}

extern "C" __global__ void react_votes(const float* x, float* y, unsigned*, unsigned) {
    unsigned votes = __popc(__ballot_sync(ALL_LANES, threadIdx.x % 3 == 0));
    y[threadIdx.x] = __shfl_sync(ALL_LANES, static_cast<float>(votes), 0);
    if (threadIdx.x / 32 == 1) y[threadIdx.x] = 11.0f;
}

extern "C" __global__ void react_leaves_half(const float*, float* y, unsigned*, unsigned n) {
    if (threadIdx.x < n / 2) y[threadIdx.x] = 0.0f;
}

extern "C" __global__ void react_reads_behind(const float* x, float* y, unsigned*, unsigned n) { y[threadIdx.x] = x[n + 4]; }

extern "C" __global__ void react_writes_behind(const float*, float* y, unsigned*, unsigned n) { y[n] = 0.0f; }

extern "C" __global__ void react_writes_before(const float*, float* y, unsigned*, unsigned) { y[-1] = 0.0f; }

extern "C" __global__ void react_null(const float*, float* y, unsigned*, unsigned) { *static_cast<volatile float*>(nullptr) = y[0]; }

extern "C" __global__ void react_beyond_shared(const float*, float* y, unsigned*, unsigned) {
    DYNAMIC_SHARED(float, row);
    y[threadIdx.x] = row[threadIdx.x];
}

extern "C" __global__ void react_missing_at_barrier(const float*, float* y, unsigned*, unsigned n) {
    if (threadIdx.x >= n) return;
    __syncthreads();
    y[threadIdx.x] = 0.0f;
}

extern "C" __global__ void react_missing_lane(const float* x, float* y, unsigned*, unsigned) {
    if (threadIdx.x < 20) y[threadIdx.x] = __shfl_xor_sync(ALL_LANES, x[threadIdx.x], 1);
}

extern "C" __global__ void react_reads_absent_lane(const float* x, float* y, unsigned*, unsigned) {
    if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], 16);
}

extern "C" __global__ void react_table(const unsigned long long* table, unsigned n) {
    if (threadIdx.x < n) reinterpret_cast<float*>(table[threadIdx.x])[1] += 10.0f;
}
