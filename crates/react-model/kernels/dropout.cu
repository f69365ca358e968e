// Dropout, and the residual connection around it.
#include "common.cuh"

// Elements that share a row of the generator (ops/dropout.rs), and counters of eight elements in it.
#define DROP_ROW 8192u
#define DROP_COUNTERS (DROP_ROW / 8)

// y = x·mask, or residual + x·mask. A thread draws once for eight elements 16 apart: sixteen threads read 64 bytes side by side.
extern "C" __global__ void __launch_bounds__(256)
react_dropout(const float* x, const float* residual, float* y, unsigned n, unsigned key0, unsigned key1, unsigned site, unsigned step,
              unsigned threshold, float scale) {
    unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned row = thread / DROP_COUNTERS, counter = thread % DROP_COUNTERS;
    unsigned long long first = static_cast<unsigned long long>(row) * DROP_ROW + counter / 16 * 128 + counter % 16;
    if (first >= n) return;
    float factors[8];
    if (threshold == 0 && scale == 1.0f) {
#pragma unroll
        for (int i = 0; i < 8; i++) factors[i] = 1.0f;
    } else {
        drop_factors(Drop{key0, key1, site, step, threshold, scale}, row, counter, factors);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
        unsigned long long at = first + 16 * i;
        if (at >= n) continue;
        // Two roundings, as on the CPU: the same bits.
        float value = __fmul_rn(factors[i], x[at]);
        y[at] = residual ? __fadd_rn(value, residual[at]) : value;
    }
}
