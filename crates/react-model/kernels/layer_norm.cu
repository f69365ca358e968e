// LayerNorm over the last axis, a warp a row:
//   y = (x − mean)·rstd·γ + β        dx = rstd·(g·γ − mean(g·γ) − z·mean(g·γ·z)),  z = (x − mean)·rstd
// N > 0: rows are whole fours and at most N·128 wide, and stay in registers. N = 0: any width, read again for each sum.
#include "common.cuh"

#define EPSILON 1e-5f

__device__ __forceinline__ float4 operator+(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }
__device__ __forceinline__ float4 operator*(float4 a, float4 b) { return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w); }
__device__ __forceinline__ float sum4(float4 a) { return (a.x + a.y) + (a.z + a.w); }

// A row, zeros beyond its width, becomes z; the reciprocal of its standard deviation.
template <int N>
__device__ __forceinline__ float normalise(float4 z[N], unsigned width, unsigned lane) {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < N; i++) sum += sum4(z[i]);
    float mean = warp_sum(sum) / width;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < N; i++) {
        z[i] = 4 * (i * WARP + lane) < width ? make_float4(z[i].x - mean, z[i].y - mean, z[i].z - mean, z[i].w - mean)
                                             : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        squares += sum4(z[i] * z[i]);
    }
    float rstd = 1.0f / sqrtf(warp_sum(squares) / width + EPSILON);
#pragma unroll
    for (int i = 0; i < N; i++) z[i] = make_float4(z[i].x * rstd, z[i].y * rstd, z[i].z * rstd, z[i].w * rstd);
    return rstd;
}

// The same of a row in memory.
template <int N>
__device__ __forceinline__ float normalised(const float* x, unsigned width, unsigned lane, float4 z[N]) {
#pragma unroll
    for (int i = 0; i < N; i++) {
        unsigned four = i * WARP + lane;
        z[i] = 4 * four < width ? load4(x, four) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    return normalise<N>(z, width, lane);
}

__device__ __forceinline__ void statistics(const float* x, unsigned width, unsigned lane, float& mean, float& rstd) {
    float sum = 0.0f;
    for (unsigned c = lane; c < width; c += WARP) sum += x[c];
    mean = warp_sum(sum) / width;
    float squares = 0.0f;
    for (unsigned c = lane; c < width; c += WARP) squares += (x[c] - mean) * (x[c] - mean);
    rstd = 1.0f / sqrtf(warp_sum(squares) / width + EPSILON);
}

template <int N>
__device__ __forceinline__ void forward(const float* x, const float* gamma, const float* beta, float* y, unsigned rows, unsigned width) {
    unsigned row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    x += static_cast<unsigned long long>(row) * width;
    y += static_cast<unsigned long long>(row) * width;
    if constexpr (N > 0) {
        float4 z[N];
        normalised<N>(x, width, lane, z);
#pragma unroll
        for (int i = 0; i < N; i++) {
            unsigned four = i * WARP + lane;
            if (4 * four < width) store4(y, four, z[i] * load4(gamma, four) + load4(beta, four));
        }
    } else {
        float mean, rstd;
        statistics(x, width, lane, mean, rstd);
        for (unsigned c = lane; c < width; c += WARP) y[c] = (x[c] - mean) * rstd * gamma[c] + beta[c];
    }
}

#define FORWARD(name, N)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(256)                                                                           \
        name(const float* x, const float* gamma, const float* beta, float* y, unsigned rows, unsigned width) {                  \
        forward<N>(x, gamma, beta, y, rows, width);                                                                             \
    }
FORWARD(react_layer_norm_128, 1)
FORWARD(react_layer_norm_256, 2)
FORWARD(react_layer_norm_512, 4)
FORWARD(react_layer_norm_any, 0)

// LayerNorm of x + r·mask, for passes without a gradient: the sum never lies in memory. The mask's rows are 8192 elements of the whole
// array. Few elements, so each asks the generator for itself.
__device__ __forceinline__ float with_residual(float x, float r, const Drop& drop, unsigned element) {
    return x + (drop.threshold > 0 ? r * drop_factor(drop, element / 8192, element % 8192) : r);
}

template <int N>
__device__ __forceinline__ void forward_of_sum(const float* x, const float* r, const float* gamma, const float* beta, float* y,
                                               unsigned rows, unsigned width, const Drop& drop) {
    unsigned row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    unsigned start = row * width;
    if constexpr (N > 0) {
        float4 z[N];
#pragma unroll
        for (int i = 0; i < N; i++) {
            unsigned four = i * WARP + lane, first = start + 4 * four;
            z[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (4 * four < width) {
                float4 a = load4(x + start, four), b = load4(r + start, four);
                z[i] = make_float4(with_residual(a.x, b.x, drop, first), with_residual(a.y, b.y, drop, first + 1),
                                   with_residual(a.z, b.z, drop, first + 2), with_residual(a.w, b.w, drop, first + 3));
            }
        }
        normalise<N>(z, width, lane);
#pragma unroll
        for (int i = 0; i < N; i++) {
            unsigned four = i * WARP + lane;
            if (4 * four < width) store4(y + start, four, z[i] * load4(gamma, four) + load4(beta, four));
        }
    } else {
        // A lane reads again only what it has written.
        for (unsigned c = lane; c < width; c += WARP) y[start + c] = with_residual(x[start + c], r[start + c], drop, start + c);
        float mean, rstd;
        statistics(y + start, width, lane, mean, rstd);
        for (unsigned c = lane; c < width; c += WARP) y[start + c] = (y[start + c] - mean) * rstd * gamma[c] + beta[c];
    }
}

#define FORWARD_OF_SUM(name, N)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(256)                                                                           \
        name(const float* x, const float* r, const float* gamma, const float* beta, float* y, unsigned rows, unsigned width,    \
             unsigned key0, unsigned key1, unsigned site, unsigned step, unsigned threshold, float scale) {                     \
        Drop drop = {key0, key1, site, step, threshold, scale};                                                                 \
        forward_of_sum<N>(x, r, gamma, beta, y, rows, width, drop);                                                             \
    }
FORWARD_OF_SUM(react_residual_norm_128, 1)
FORWARD_OF_SUM(react_residual_norm_256, 2)
FORWARD_OF_SUM(react_residual_norm_512, 4)
FORWARD_OF_SUM(react_residual_norm_any, 0)

// dx, and dγ and dβ of the rows of a block, `[blocks, 2, width]`: a warp adds up its rows' in registers (N = 0: in shared memory,
// where a lane has its own columns), then the warps' sums are added in their order.
template <int N>
__device__ __forceinline__ void backward(const float* x, const float* grad, const float* gamma, float* dx, float* partial,
                                         unsigned rows, unsigned width, unsigned per_block) {
    DYNAMIC_SHARED(float, sums);
    unsigned warps = blockDim.x / WARP, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    unsigned first = blockIdx.x * per_block, last = least(first + per_block, rows);
    float* own = sums + warp * 2 * width;
    if constexpr (N > 0) {
        float4 scale[N], dgamma[N], dbeta[N];
#pragma unroll
        for (int i = 0; i < N; i++) {
            unsigned four = i * WARP + lane;
            dgamma[i] = dbeta[i] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            scale[i] = 4 * four < width ? load4(gamma, four) : dbeta[i];
        }
        for (unsigned row = first + warp; row < last; row += warps) {
            unsigned long long start = static_cast<unsigned long long>(row) * width;
            float4 z[N], g[N];
            float rstd = normalised<N>(x + start, width, lane, z);
            float a = 0.0f, b = 0.0f;
#pragma unroll
            for (int i = 0; i < N; i++) {
                unsigned four = i * WARP + lane;
                float4 value = 4 * four < width ? load4(grad + start, four) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                dgamma[i] = dgamma[i] + value * z[i];
                dbeta[i] = dbeta[i] + value;
                g[i] = value * scale[i];
                a += sum4(g[i]);
                b += sum4(g[i] * z[i]);
            }
            a = warp_sum(a) / width;
            b = warp_sum(b) / width;
#pragma unroll
            for (int i = 0; i < N; i++) {
                unsigned four = i * WARP + lane;
                if (4 * four < width) {
                    store4(dx + start, four,
                           make_float4(rstd * (g[i].x - a - z[i].x * b), rstd * (g[i].y - a - z[i].y * b),
                                       rstd * (g[i].z - a - z[i].z * b), rstd * (g[i].w - a - z[i].w * b)));
                }
            }
        }
#pragma unroll
        for (int i = 0; i < N; i++) {
            unsigned four = i * WARP + lane;
            if (4 * four < width) {
                store4(own, four, dgamma[i]);
                store4(own + width, four, dbeta[i]);
            }
        }
    } else {
        for (unsigned c = lane; c < 2 * width; c += WARP) own[c] = 0.0f;
        // A column of dβ may have been cleared by another lane than its own.
        __syncwarp();
        for (unsigned row = first + warp; row < last; row += warps) {
            unsigned long long start = static_cast<unsigned long long>(row) * width;
            float mean, rstd, a = 0.0f, b = 0.0f;
            statistics(x + start, width, lane, mean, rstd);
            for (unsigned c = lane; c < width; c += WARP) {
                float g = grad[start + c], z = (x[start + c] - mean) * rstd;
                a += g * gamma[c];
                b += g * gamma[c] * z;
            }
            a = warp_sum(a) / width;
            b = warp_sum(b) / width;
            for (unsigned c = lane; c < width; c += WARP) {
                float g = grad[start + c], z = (x[start + c] - mean) * rstd;
                own[c] += g * z;
                own[width + c] += g;
                dx[start + c] = rstd * (g * gamma[c] - a - z * b);
            }
        }
    }
    __syncthreads();
    for (unsigned c = threadIdx.x; c < 2 * width; c += blockDim.x) {
        float sum = sums[c];
        for (unsigned w = 1; w < warps; w++) sum += sums[w * 2 * width + c];
        partial[blockIdx.x * 2 * width + c] = sum;
    }
}

#define BACKWARD(name, N)                                                                                                       \
    extern "C" __global__ void __launch_bounds__(256)                                                                           \
        name(const float* x, const float* grad, const float* gamma, float* dx, float* partial, unsigned rows, unsigned width,   \
             unsigned per_block) {                                                                                              \
        backward<N>(x, grad, gamma, dx, partial, rows, width, per_block);                                                       \
    }
BACKWARD(react_layer_norm_gradient_128, 1)
BACKWARD(react_layer_norm_gradient_256, 2)
BACKWARD(react_layer_norm_gradient_512, 4)
BACKWARD(react_layer_norm_gradient_any, 0)

// dγ and dβ: Σ over blocks, in f64. A warp a column, so that many blocks are read at once.
extern "C" __global__ void react_layer_norm_parts(const float* partial, float* dgamma, float* dbeta, unsigned parts, unsigned width) {
    unsigned c = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (c >= 2 * width) return;
    double sum = 0.0;
    for (unsigned part = lane; part < parts; part += WARP) sum += static_cast<double>(partial[part * 2 * width + c]);
    sum = warp_sum(sum);
    if (lane == 0) (c < width ? dgamma[c] : dbeta[c - width]) = static_cast<float>(sum);
}
