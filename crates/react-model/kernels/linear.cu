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

// ---- Few rows: a conversation's windows, and whatever else is small ------------------------------------------------------------------

// Of eight sums over a warp's lanes the one of number lane / 4.
__device__ __forceinline__ float eight_sums(const float x[8], unsigned lane) {
    float four[4], two[2];
    bool high = lane & 16;
#pragma unroll
    for (int i = 0; i < 4; i++) four[i] = (high ? x[4 + i] : x[i]) + __shfl_xor_sync(ALL_LANES, high ? x[i] : x[4 + i], 16);
    high = lane & 8;
#pragma unroll
    for (int i = 0; i < 2; i++) two[i] = (high ? four[2 + i] : four[i]) + __shfl_xor_sync(ALL_LANES, high ? four[i] : four[2 + i], 8);
    high = lane & 4;
    float one = (high ? two[1] : two[0]) + __shfl_xor_sync(ALL_LANES, high ? two[0] : two[1], 4);
    return lanes_sum<4>(one);
}

__device__ __forceinline__ float dot4(float4 a, float4 b, float sum) {
    return sum + (a.x * b.x + a.y * b.y) + (a.z * b.z + a.w * b.w);
}

// A lane's part of one output of eight rows. Rows of x, then those of x2, lie one after the other.
template <bool FOURS>
__device__ __forceinline__ void few_rows(const float* x, const float* x2, unsigned inputs, unsigned inputs2, const float* w,
                                         unsigned first_row, unsigned rows, unsigned lane, float sums[8]) {
    const unsigned each = FOURS ? 4 : 1;
#pragma unroll
    for (int r = 0; r < 8; r++) sums[r] = 0.0f;
#pragma unroll 2
    for (unsigned k = lane * each; k < inputs + inputs2; k += WARP * each) {
        const float* from = k < inputs ? x + k : x2 + (k - inputs);
        unsigned pitch = k < inputs ? inputs : inputs2;
        if constexpr (FOURS) {
            float4 factor = load4(w + k, 0);
#pragma unroll
            for (int r = 0; r < 8; r++) sums[r] = dot4(load4(from + least(first_row + r, rows - 1) * pitch, 0), factor, sums[r]);
        } else {
            float factor = w[k];
#pragma unroll
            for (int r = 0; r < 8; r++) sums[r] += from[least(first_row + r, rows - 1) * pitch] * factor;
        }
    }
}

// Up to three linear layers of the same rows (x, x2 side by side): y = x·Wᵀ + b + addend, then ReLU where it is asked for. Of W's
// rows of `row` numbers those from `first` on are used. A warp has one column and eight rows, its lanes go along the inputs: the
// weights come from the L2 cache once for eight rows, and all loads are under way together. Row r of part i's result begins at
// start + r / frames · pitch + r % frames · width; its addend at r · addend_row.
#define PART(i)                                                                                                                 \
    const float *w##i, const float *b##i, const float *addend##i, float *y##i, unsigned columns##i, unsigned addend_row##i,     \
        unsigned start##i, unsigned pitch##i, unsigned width##i
#define TAKE(i, before)                                                                                                         \
    {                                                                                                                           \
        w = w##i, b = b##i, addend = addend##i, y = y##i, addend_row = addend_row##i, start = start##i, pitch = pitch##i;       \
        width = width##i, column -= before;                                                                                     \
    }
extern "C" __global__ void __launch_bounds__(128)
    react_linear_few(const float* x, const float* x2, unsigned inputs, unsigned inputs2, unsigned rows, unsigned frames,
                     unsigned first, unsigned row, unsigned relu, PART(0), PART(1), PART(2)) {
    unsigned column = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (column >= columns0 + columns1 + columns2) return;
    const float *w, *b, *addend;
    float* y;
    unsigned addend_row, start, pitch, width;
    if (column < columns0) {
        TAKE(0, 0)
    } else if (column < columns0 + columns1) {
        TAKE(1, columns0)
    } else {
        TAKE(2, columns0 + columns1)
    }
    w += static_cast<unsigned long long>(column) * row + first;
    unsigned first_row = blockIdx.y * 8;
    float sums[8];
    if (inputs % 4 == 0 && inputs2 % 4 == 0 && first % 4 == 0 && row % 4 == 0) {
        few_rows<true>(x, x2, inputs, inputs2, w, first_row, rows, lane, sums);
    } else {
        few_rows<false>(x, x2, inputs, inputs2, w, first_row, rows, lane, sums);
    }
    float sum = eight_sums(sums, lane);
    unsigned r = first_row + lane / 4;
    if (lane % 4 > 0 || r >= rows) return;
    if (b != nullptr) sum += b[column];
    if (addend != nullptr) sum += addend[r * addend_row + column];
    if (relu > 0 && sum <= 0.0f) sum = 0.0f;
    y[start + static_cast<unsigned long long>(r / frames) * pitch + r % frames * width + column] = sum;
}

#define MOST_COLUMNS 512u

// y = LayerNorm(residual + x·Wᵀ + b)·γ + β of few rows and at most 512 columns, a block a row. Row r takes row r / repeat of x.
extern "C" __global__ void __launch_bounds__(MOST_COLUMNS, 1)
    react_linear_norm(const float* x, const float* weight, const float* bias, const float* residual, const float* gamma, const float* beta,
                      float* y, unsigned inputs, unsigned columns, unsigned repeat) {
    __shared__ float values[MOST_COLUMNS];
    unsigned row = blockIdx.x, lane = threadIdx.x % WARP, i = threadIdx.x;
    x += row / repeat * inputs;
    residual += row * columns;
    for (unsigned first = i / WARP * 8; first < columns; first += MOST_COLUMNS / WARP * 8) {
        float sums[8];
#pragma unroll
        for (int c = 0; c < 8; c++) sums[c] = 0.0f;
        if (inputs % 4 == 0) {
            for (unsigned k = lane; k < inputs / 4; k += WARP) {
                float4 factor = load4(x, k);
#pragma unroll
                for (int c = 0; c < 8; c++) {
                    sums[c] = dot4(load4(weight + least(first + c, columns - 1) * inputs, k), factor, sums[c]);
                }
            }
        } else {
            for (unsigned k = lane; k < inputs; k += WARP) {
#pragma unroll
                for (int c = 0; c < 8; c++) sums[c] += weight[least(first + c, columns - 1) * inputs + k] * x[k];
            }
        }
        float sum = eight_sums(sums, lane);
        unsigned column = first + lane / 4;
        if (lane % 4 == 0 && column < columns) values[column] = sum + bias[column] + residual[column];
    }
    __syncthreads();
    float value = i < columns ? values[i] : 0.0f;
    float mean = block_sum(value) / columns;
    value = i < columns ? value - mean : 0.0f;
    float rstd = 1.0f / sqrtf(block_sum(value * value) / columns + 1e-5f);
    if (i < columns) y[static_cast<unsigned long long>(row) * columns + i] = value * rstd * gamma[i] + beta[i];
}

// Outputs that a block of the weights' gradient has, rows that a block of the input's has, and columns of either that are worked on at
// once, by each of four groups of threads.
#define GRADIENT_OUTPUTS 8u
#define GRADIENT_ROWS 4u
#define GRADIENT_COLUMNS 128u
#define GROUPS 4u

// The gradient before ReLU and dropout of element i of a result y, where there is one.
__device__ __forceinline__ float before_relu(const float* grad, const float* y, unsigned i, float scale) {
    if (y == nullptr) return grad[i];
    return y[i] > 0.0f ? grad[i] * scale : 0.0f;
}

// All gradients of a layer of at most 64 rows in one launch: the first `of_weights` blocks compute dW and db, those after them dx.
// `grad` is the gradient of y, which is given where ReLU follows.
extern "C" __global__ void __launch_bounds__(GROUPS * GRADIENT_COLUMNS, 1)
    react_linear_few_gradient(const float* x, const float* w, const float* grad, const float* y, float* dw, float* db, float* dx,
                              unsigned rows, unsigned inputs, unsigned outputs, unsigned of_weights, float scale) {
    // dW: dz of all rows and the block's outputs; dx: dz of the block's rows and all outputs, then the groups' sums.
    DYNAMIC_SHARED(float, dz);
    unsigned group = threadIdx.x / GRADIENT_COLUMNS, thread = threadIdx.x % GRADIENT_COLUMNS;
    if (blockIdx.x < of_weights) {
        unsigned first = blockIdx.x * GRADIENT_OUTPUTS;
        for (unsigned i = threadIdx.x; i < rows * GRADIENT_OUTPUTS; i += blockDim.x) {
            unsigned row = i / GRADIENT_OUTPUTS, output = first + i % GRADIENT_OUTPUTS;
            dz[i] = output < outputs ? before_relu(grad, y, row * outputs + output, scale) : 0.0f;
        }
        __syncthreads();
        if (threadIdx.x < GRADIENT_OUTPUTS && first + threadIdx.x < outputs) {
            float sum = 0.0f;
            for (unsigned row = 0; row < rows; row++) sum += dz[row * GRADIENT_OUTPUTS + threadIdx.x];
            db[first + threadIdx.x] = sum;
        }
        unsigned output = first + group * 2;
        for (unsigned k = thread; k < inputs; k += GRADIENT_COLUMNS) {
            float sums[2] = {0.0f, 0.0f};
#pragma unroll 8
            for (unsigned row = 0; row < rows; row++) {
                float value = x[row * inputs + k];
                sums[0] += value * dz[row * GRADIENT_OUTPUTS + group * 2];
                sums[1] += value * dz[row * GRADIENT_OUTPUTS + group * 2 + 1];
            }
#pragma unroll
            for (unsigned i = 0; i < 2; i++) {
                if (output + i < outputs) dw[static_cast<unsigned long long>(output + i) * inputs + k] = sums[i];
            }
        }
        return;
    }
    unsigned first = (blockIdx.x - of_weights) * GRADIENT_ROWS;
    float* parts = dz + GRADIENT_ROWS * outputs;  // [GROUPS][GRADIENT_ROWS][GRADIENT_COLUMNS]
    for (unsigned i = threadIdx.x; i < GRADIENT_ROWS * outputs; i += blockDim.x) {
        unsigned row = first + i / outputs;
        dz[i] = row < rows ? before_relu(grad, y, row * outputs + i % outputs, scale) : 0.0f;
    }
    for (unsigned start = 0; start < inputs; start += GRADIENT_COLUMNS) {
        __syncthreads();
        unsigned k = start + thread;
        float sums[GRADIENT_ROWS];
#pragma unroll
        for (unsigned r = 0; r < GRADIENT_ROWS; r++) sums[r] = 0.0f;
        if (k < inputs) {
#pragma unroll 8
            for (unsigned output = group; output < outputs; output += GROUPS) {
                float factor = w[static_cast<unsigned long long>(output) * inputs + k];
#pragma unroll
                for (unsigned r = 0; r < GRADIENT_ROWS; r++) sums[r] += dz[r * outputs + output] * factor;
            }
        }
#pragma unroll
        for (unsigned r = 0; r < GRADIENT_ROWS; r++) parts[(group * GRADIENT_ROWS + r) * GRADIENT_COLUMNS + thread] = sums[r];
        __syncthreads();
        // A group adds up one row.
        if (k < inputs && first + group < rows) {
            float sum = 0.0f;
#pragma unroll
            for (unsigned g = 0; g < GROUPS; g++) sum += parts[(g * GRADIENT_ROWS + group) * GRADIENT_COLUMNS + thread];
            dx[static_cast<unsigned long long>(first + group) * inputs + k] = sum;
        }
    }
}
