// What surrounds the products of a linear layer: bias, ReLU and dropout after it, their gradient and the bias' before its own.
#include "common.cuh"

// y + bias in place; four elements a thread where rows are whole fours.
extern "C" __global__ void react_linear_bias(float* y, const float* bias, unsigned columns, unsigned total) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (columns % 4 == 0) {
        if (i >= total / 4) return;
        float4 value = load4(y, i), b = load4(bias, i % (columns / 4));
        store4(y, i, make_float4(value.x + b.x, value.y + b.y, value.z + b.z, value.w + b.w));
    } else if (i < total) {
        y[i] += bias[i % columns];
    }
}

// relu(y + bias)·mask in place. A row of the mask is `span` elements, whole rows of y; a thread takes the eight elements of one call
// of the generator.
extern "C" __global__ void react_linear_relu(float* y, const float* bias, unsigned columns, unsigned total, unsigned span,
                                             unsigned key0, unsigned key1, unsigned site, unsigned step, unsigned threshold,
                                             float scale) {
    Drop drop = {key0, key1, site, step, threshold, scale};
    unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned counters = cells(span, 128) * 16;
    unsigned row = thread / counters, counter = thread % counters;
    unsigned long long first = static_cast<unsigned long long>(row) * span;
    if (first >= total) return;
    float factors[8];
    if (threshold > 0) {
        drop_factors(drop, row, counter, factors);
    } else {
#pragma unroll
        for (int i = 0; i < 8; i++) factors[i] = 1.0f;
    }
#pragma unroll
    for (unsigned i = 0; i < 8; i++) {
        unsigned element = counter / 16 * 128 + 16 * i + counter % 16;
        if (element < span && first + element < total) {
            float value = y[first + element] + bias[element % columns];
            y[first + element] = value <= 0.0f ? 0.0f : value * factors[i];
        }
    }
}

#define COLUMNS 32u
#define ROWS 8u

// Of `grad`, the result y's gradient: dz, before ReLU and dropout (what is positive in y was neither cut nor dropped; without y
// it is grad itself and not written), and its column sums over `per_part` rows, `[parts, columns]`. A block is 8 rows of 32 columns.
extern "C" __global__ void react_linear_gradient(const float* grad, const float* y, float* dz, float* partial, unsigned rows,
                                                 unsigned columns, unsigned per_part, float scale) {
    __shared__ float sums[ROWS][COLUMNS];
    unsigned x = threadIdx.x % COLUMNS, lane = threadIdx.x / COLUMNS;
    unsigned column = blockIdx.x * COLUMNS + x;
    unsigned last = least((blockIdx.y + 1) * per_part, rows);
    float sum = 0.0f;
    if (column < columns) {
#pragma unroll 4
        for (unsigned row = blockIdx.y * per_part + lane; row < last; row += ROWS) {
            unsigned long long i = static_cast<unsigned long long>(row) * columns + column;
            float g = grad[i];
            if (y != nullptr) {
                g = y[i] > 0.0f ? g * scale : 0.0f;
                dz[i] = g;
            }
            sum += g;
        }
    }
    sums[lane][x] = sum;
    __syncthreads();
    if (lane == 0 && column < columns) {
#pragma unroll
        for (unsigned i = 1; i < ROWS; i++) sum += sums[i][x];
        partial[blockIdx.y * columns + column] = sum;
    }
}

// Σ over parts, in f64.
extern "C" __global__ void react_linear_parts(const float* partial, float* out, unsigned parts, unsigned columns) {
    unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    double sum = 0.0;
    for (unsigned part = 0; part < parts; part++) sum += static_cast<double>(partial[part * columns + column]);
    out[column] = static_cast<float>(sum);
}
