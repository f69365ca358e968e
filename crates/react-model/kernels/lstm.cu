// A long short-term memory over a whole sequence in one launch, and its backward pass in another (arithmetic: src/kernels/lstm.rs).
//
// Width 128: a block keeps all 512 × 128 weights, 256 KB, in registers and shared memory while it walks over the frames of R
// sequences; per frame only the projection is read, and there is one barrier. Lane s of the four threads of unit u adds up, of all
// four gates' sums, the part over h's quarter s; three exchanges leave it the whole sum of gate s. Any other width: a block a sequence,
// weights through the L2 cache.
#include "common.cuh"

#define WIDTH 128u
#define GATES 512u
// Of a thread's 128 weights, those in registers (with two sequences a block: fewer). What is left fits into the shared memory of any
// card of 2020 or later with one sequence, of those for data centres with two.
#define KEPT 80

// eˣ for x ≤ 0, the sigmoid and the hyperbolic tangent as src/kernels/elementary.rs: the last digits of small numbers count.
__device__ __forceinline__ float sigmoid_or_tanh(float x, bool is_tanh) {
    float a = fabsf(x), e = expf(is_tanh ? -2.0f * a : -a);
    float above = 1.0f / (1.0f + e);
    float sigmoid = x < 0.0f ? e * above : above;
    float z = x * x;
    float p = ((((-5.7049887e-3f * z + 2.0639089e-2f) * z - 5.3739718e-2f) * z + 1.3331442e-1f) * z - 3.3333283e-1f) * z;
    float tangent = a < 0.625f ? x + x * p : copysignf((1.0f - e) * above, x);
    return is_tanh ? tangent : sigmoid;
}

__device__ __forceinline__ float squash(float x) { return sigmoid_or_tanh(x, true); }

__device__ __forceinline__ float dot(float4 a, float4 b, float sum) { return sum + a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// Where element i of a vector lies in shared memory: pieces of 32 begin four banks apart, so that lanes that read the same place of
// different pieces meet no conflict.
#define PIECE 36u
__device__ __forceinline__ unsigned place(unsigned i) { return i / 32 * PIECE + i % 32; }

// R sequences from blockIdx.x·R on; of `state` the cells begin at first_cell. Gates (after their functions) and cells are left for a backward pass where wanted.
template <int R, int IN_REGISTERS>
__device__ __forceinline__ void forward_128(const float* projected, const float* weight, const float* state, float* out, float* gates,
                                            float* cells, unsigned batch, unsigned frames, unsigned first_cell) {
    DYNAMIC_SHARED(float, shared);
    const int FOURS = IN_REGISTERS / 16, OTHERS = 8 - FOURS;  // Of the eight fours of h's quarter, for each gate.
    float* others = shared;                                   // [4·OTHERS][512] fours
    float* h = others + OTHERS * 4 * GATES * 4;               // [2][R][4·PIECE], the frame before and this one
    unsigned unit = threadIdx.x / 4, s = threadIdx.x % 4, first = blockIdx.x * R;
    float4 kept[4][FOURS];
#pragma unroll
    for (int gate = 0; gate < 4; gate++) {
        const float* row = weight + (gate * WIDTH + unit) * WIDTH + s * 32;
#pragma unroll
        for (int n = 0; n < FOURS; n++) kept[gate][n] = load4(row, n);
#pragma unroll
        for (int n = 0; n < OTHERS; n++) store4(others, (n * 4 + gate) * GATES + threadIdx.x, load4(row, FOURS + n));
    }
    float c[R], next[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
        // Blocks at the end repeat the last sequence, and write nothing.
        unsigned sequence = least(first + r, batch - 1);
        c[r] = state[first_cell + sequence * WIDTH + unit];
        if (s == 0) h[r * 4 * PIECE + place(unit)] = state[sequence * WIDTH + unit];
        next[r] = projected[static_cast<unsigned long long>(sequence) * frames * GATES + s * WIDTH + unit];
    }
    __syncthreads();
    for (unsigned t = 0; t < frames; t++) {
        const float* before = h + t % 2 * R * 4 * PIECE;
        float* after = h + (t + 1) % 2 * R * 4 * PIECE;
        float sum[R][4], own[R];
#pragma unroll
        for (int r = 0; r < R; r++) {
            own[r] = next[r];
            if (t + 1 < frames) {
                unsigned sequence = least(first + r, batch - 1);
                next[r] = projected[(static_cast<unsigned long long>(sequence) * frames + t + 1) * GATES + s * WIDTH + unit];
            }
#pragma unroll
            for (int gate = 0; gate < 4; gate++) sum[r][gate] = 0.0f;
        }
#pragma unroll
        for (int n = 0; n < FOURS; n++) {
#pragma unroll
            for (int r = 0; r < R; r++) {
                float4 x = load4(before + r * 4 * PIECE + s * PIECE, n);
#pragma unroll
                for (int gate = 0; gate < 4; gate++) sum[r][gate] = dot(kept[gate][n], x, sum[r][gate]);
            }
        }
#pragma unroll
        for (int n = 0; n < OTHERS; n++) {
            float4 x[R];
#pragma unroll
            for (int r = 0; r < R; r++) x[r] = load4(before + r * 4 * PIECE + s * PIECE, FOURS + n);
#pragma unroll
            for (int gate = 0; gate < 4; gate++) {
                float4 w = load4(others, (n * 4 + gate) * GATES + threadIdx.x);
#pragma unroll
                for (int r = 0; r < R; r++) sum[r][gate] = dot(w, x[r], sum[r][gate]);
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            // Lanes s and s ^ 2 share out gates {0, 1} and {2, 3}, then s and s ^ 1 the single ones.
            bool high = s & 2, odd = s & 1;
            float a = (high ? sum[r][2] : sum[r][0]) + __shfl_xor_sync(ALL_LANES, high ? sum[r][0] : sum[r][2], 2);
            float b = (high ? sum[r][3] : sum[r][1]) + __shfl_xor_sync(ALL_LANES, high ? sum[r][1] : sum[r][3], 2);
            float total = (odd ? b : a) + __shfl_xor_sync(ALL_LANES, odd ? a : b, 1);
            float gate = sigmoid_or_tanh(own[r] + total, s == 2);
            unsigned quad = threadIdx.x % WARP / 4 * 4;
            float i = __shfl_sync(ALL_LANES, gate, quad), f = __shfl_sync(ALL_LANES, gate, quad + 1);
            float g = __shfl_sync(ALL_LANES, gate, quad + 2), o = __shfl_sync(ALL_LANES, gate, quad + 3);
            c[r] = f * c[r] + i * g;
            float value = o * squash(c[r]);
            if (s == 0) after[r * 4 * PIECE + place(unit)] = value;
            if (first + r < batch) {
                unsigned long long frame = static_cast<unsigned long long>(first + r) * frames + t;
                if (s == 0) out[frame * WIDTH + unit] = value;
                if (gates != nullptr) {
                    gates[frame * GATES + s * WIDTH + unit] = gate;
                    if (s == 1) cells[frame * WIDTH + unit] = c[r];
                }
            }
        }
        // Only this frame's h is written and only the one before it read: one barrier a frame.
        __syncthreads();
    }
}

#define FORWARD_128(R, IN_REGISTERS)                                                                                            \
    extern "C" __global__ void __launch_bounds__(GATES, 1)                                                                      \
        react_lstm_128_##R(const float* projected, const float* weight, const float* state, float* out, float* gates,           \
                           float* cells, unsigned batch, unsigned frames, unsigned first_cell) {                                \
        forward_128<R, IN_REGISTERS>(projected, weight, state, out, gates, cells, batch, frames, first_cell);                   \
    }
FORWARD_128(1, KEPT)
FORWARD_128(2, KEPT - 16)

// What the gradient of a frame's h and cell makes of it: dp of the four gates, and the gradient of the cell before.
__device__ __forceinline__ void cell_gradient(float i, float f, float g, float o, float past, float cell, float dh, float& dc,
                                              float dp[4]) {
    float squashed = squash(cell);
    float c = dc + dh * o * (1.0f - squashed * squashed);
    dp[0] = c * g * i * (1.0f - i);
    dp[1] = c * past * f * (1.0f - f);
    dp[2] = c * i * (1.0f - g * g);
    dp[3] = dh * squashed * o * (1.0f - o);
    dc = c * f;
}

// dp, h of each frame's past and the first state's gradient. Thread (g, p) of 32 × 16 has of dh's fours the g-th, and of the sums over
// dp's 512 numbers the p-th piece of 32; four exchanges leave the four threads of a unit its whole sum.
template <int R, int IN_REGISTERS>
__device__ __forceinline__ void backward_128(const float* weight, const float* state, const float* gates, const float* cells,
                                             const float* out, const float* grad, float* dp_out, float* before, float* dstate,
                                             unsigned batch, unsigned frames) {
    DYNAMIC_SHARED(float, shared);
    const int ROWS = IN_REGISTERS / 4, OTHERS = 32 - ROWS;
    float* others = shared;                     // [OTHERS][512] fours
    float* dps = others + OTHERS * GATES * 4;   // [2][R][16·PIECE], of odd and even frames
    unsigned unit = threadIdx.x / 4, s = threadIdx.x % 4, p = threadIdx.x % 16, first = blockIdx.x * R;
    const float* rows = weight + p * 32 * WIDTH;
    float4 kept[ROWS];
#pragma unroll
    for (int n = 0; n < ROWS; n++) kept[n] = load4(rows + n * WIDTH, threadIdx.x / 16);
#pragma unroll
    for (int n = 0; n < OTHERS; n++) store4(others, n * GATES + threadIdx.x, load4(rows + (ROWS + n) * WIDTH, threadIdx.x / 16));
    float dh[R], dc[R];
#pragma unroll
    for (int r = 0; r < R; r++) dh[r] = dc[r] = 0.0f;
    for (unsigned t = frames; t-- > 0;) {
        float* now = dps + t % 2 * R * 16 * PIECE;
#pragma unroll
        for (int r = 0; r < R; r++) {
            unsigned sequence = least(first + r, batch - 1);
            unsigned long long frame = static_cast<unsigned long long>(sequence) * frames + t;
            const float* gate = gates + frame * GATES + unit;
            float past = t == 0 ? state[(batch + sequence) * WIDTH + unit] : cells[(frame - 1) * WIDTH + unit];
            float dp[4];
            cell_gradient(gate[0], gate[WIDTH], gate[2 * WIDTH], gate[3 * WIDTH], past, cells[frame * WIDTH + unit],
                          dh[r] + grad[frame * WIDTH + unit], dc[r], dp);
            float own = s == 0 ? dp[0] : s == 1 ? dp[1] : s == 2 ? dp[2] : dp[3];
            now[r * 16 * PIECE + place(s * WIDTH + unit)] = own;
            if (first + r < batch) {
                dp_out[frame * GATES + s * WIDTH + unit] = own;
                if (s == 0) before[frame * WIDTH + unit] = t == 0 ? state[sequence * WIDTH + unit] : out[(frame - 1) * WIDTH + unit];
            }
        }
        __syncthreads();
        float4 sum[R];
#pragma unroll
        for (int r = 0; r < R; r++) sum[r] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
        for (int n = 0; n < 32; n += 4) {
#pragma unroll
            for (int r = 0; r < R; r++) {
                float4 x = load4(now + r * 16 * PIECE + p * PIECE, n / 4);
#pragma unroll
                for (int m = 0; m < 4; m++) {
                    float4 w = n + m < ROWS ? kept[n + m < ROWS ? n + m : 0] : load4(others, (n + m - ROWS) * GATES + threadIdx.x);
                    float factor = m == 0 ? x.x : m == 1 ? x.y : m == 2 ? x.z : x.w;
                    sum[r].x += factor * w.x;
                    sum[r].y += factor * w.y;
                    sum[r].z += factor * w.z;
                    sum[r].w += factor * w.w;
                }
            }
        }
#pragma unroll
        for (int r = 0; r < R; r++) {
            bool high = p & 8, middle = p & 4;
            float a = (high ? sum[r].z : sum[r].x) + __shfl_xor_sync(ALL_LANES, high ? sum[r].x : sum[r].z, 8);
            float b = (high ? sum[r].w : sum[r].y) + __shfl_xor_sync(ALL_LANES, high ? sum[r].y : sum[r].w, 8);
            float total = (middle ? b : a) + __shfl_xor_sync(ALL_LANES, middle ? a : b, 4);
            total += __shfl_xor_sync(ALL_LANES, total, 2);
            dh[r] = total + __shfl_xor_sync(ALL_LANES, total, 1);
        }
    }
#pragma unroll
    for (int r = 0; r < R; r++) {
        if (s == 0 && first + r < batch) {
            dstate[(first + r) * WIDTH + unit] = dh[r];
            dstate[(batch + first + r) * WIDTH + unit] = dc[r];
        }
    }
}

#define BACKWARD_128(R, IN_REGISTERS)                                                                                           \
    extern "C" __global__ void __launch_bounds__(GATES, 1)                                                                      \
        react_lstm_gradient_128_##R(const float* weight, const float* state, const float* gates, const float* cells,            \
                                    const float* out, const float* grad, float* dp, float* before, float* dstate,               \
                                    unsigned batch, unsigned frames) {                                                          \
        backward_128<R, IN_REGISTERS>(weight, state, gates, cells, out, grad, dp, before, dstate, batch, frames);               \
    }
BACKWARD_128(1, KEPT + 4)
BACKWARD_128(2, KEPT - 16)

// Any width: a block a sequence; a warp adds up a gate's row at a time, its lanes along the row.
extern "C" __global__ void react_lstm_any(const float* projected, const float* weight, const float* state, float* out, float* gates,
                                          float* cells, unsigned width, unsigned batch, unsigned frames,
                                          unsigned first_cell) {
    DYNAMIC_SHARED(float, shared);
    float* h = shared;        // [width]
    float* c = h + width;     // [width]
    float* sums = c + width;  // [4·width]
    unsigned sequence = blockIdx.x, warps = blockDim.x / WARP, lane = threadIdx.x % WARP;
    for (unsigned u = threadIdx.x; u < width; u += blockDim.x) {
        h[u] = state[static_cast<unsigned long long>(sequence) * width + u];
        c[u] = state[first_cell + static_cast<unsigned long long>(sequence) * width + u];
    }
    __syncthreads();
    for (unsigned t = 0; t < frames; t++) {
        unsigned long long frame = static_cast<unsigned long long>(sequence) * frames + t;
        for (unsigned gate = threadIdx.x / WARP; gate < 4 * width; gate += warps) {
            const float* row = weight + static_cast<unsigned long long>(gate) * width;
            float sum = 0.0f;
            for (unsigned k = lane; k < width; k += WARP) sum += row[k] * h[k];
            sum = warp_sum(sum);
            if (lane == 0) sums[gate] = sigmoid_or_tanh(projected[frame * 4 * width + gate] + sum, gate / width == 2);
        }
        __syncthreads();
        for (unsigned u = threadIdx.x; u < width; u += blockDim.x) {
            float i = sums[u], f = sums[width + u], g = sums[2 * width + u], o = sums[3 * width + u];
            c[u] = f * c[u] + i * g;
            h[u] = o * squash(c[u]);
            out[frame * width + u] = h[u];
            if (gates != nullptr) {
                for (unsigned gate = 0; gate < 4; gate++) gates[(frame * 4 + gate) * width + u] = sums[gate * width + u];
                cells[frame * width + u] = c[u];
            }
        }
        __syncthreads();
    }
}

extern "C" __global__ void react_lstm_gradient_any(const float* weight, const float* state, const float* gates, const float* cells,
                                                   const float* out, const float* grad, float* dp_out, float* before, float* dstate,
                                                   unsigned width, unsigned batch, unsigned frames) {
    DYNAMIC_SHARED(float, shared);
    float* dh = shared;       // [width]
    float* dc = dh + width;   // [width]
    float* dps = dc + width;  // [4·width]
    unsigned sequence = blockIdx.x;
    for (unsigned u = threadIdx.x; u < width; u += blockDim.x) dh[u] = dc[u] = 0.0f;
    __syncthreads();
    for (unsigned t = frames; t-- > 0;) {
        unsigned long long frame = static_cast<unsigned long long>(sequence) * frames + t;
        for (unsigned u = threadIdx.x; u < width; u += blockDim.x) {
            const float* gate = gates + frame * 4 * width + u;
            float past = t == 0 ? state[static_cast<unsigned long long>(batch + sequence) * width + u] : cells[(frame - 1) * width + u];
            float dp[4];
            cell_gradient(gate[0], gate[width], gate[2 * width], gate[3 * width], past, cells[frame * width + u],
                          dh[u] + grad[frame * width + u], dc[u], dp);
            for (unsigned i = 0; i < 4; i++) {
                dps[i * width + u] = dp[i];
                dp_out[(frame * 4 + i) * width + u] = dp[i];
            }
            before[frame * width + u] =
                t == 0 ? state[static_cast<unsigned long long>(sequence) * width + u] : out[(frame - 1) * width + u];
        }
        __syncthreads();
        for (unsigned u = threadIdx.x; u < width; u += blockDim.x) {
            float sum = 0.0f;
#pragma unroll 4
            for (unsigned j = 0; j < 4 * width; j++) sum += dps[j] * weight[static_cast<unsigned long long>(j) * width + u];
            dh[u] = sum;
        }
        __syncthreads();
    }
    for (unsigned u = threadIdx.x; u < width; u += blockDim.x) {
        dstate[static_cast<unsigned long long>(sequence) * width + u] = dh[u];
        dstate[static_cast<unsigned long long>(batch + sequence) * width + u] = dc[u];
    }
}
