// What stands around cuDNN's convolutions: weights in its layout and type, their gradients back, a bias.
#include "common.cuh"

// Sizes of a weight `[o, c, kt, kh, kw]` (`row` apart for each o), and of the same as `[o, kt, rows, columns, padded]` over cells of
// stride_y×stride_x pixels (input.cu): tap (y, x) lies in cell ((y + shift_y) / stride_y, …). Cells of one pixel are the plain case.
struct Sizes {
    unsigned channels, time, height, width, row, rows, columns, padded, stride_y, stride_x, shift_y, shift_x;
};

// A weight as cuDNN reads it; zeros where a cell or the padded channels have no tap. One thread an element of the result.
template <typename T>
__device__ __forceinline__ void weight(const float* __restrict__ w, T* __restrict__ out, unsigned n, const Sizes& of) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned channel = i % of.padded, place = channel / of.channels, c = channel % of.channels;
    unsigned rest = i / of.padded, column = rest % of.columns;
    rest /= of.columns;
    unsigned row = rest % of.rows;
    rest /= of.rows;
    unsigned t = rest % of.time, o = rest / of.time;
    // Before the first tap the numbers wrap around.
    unsigned y = row * of.stride_y + place / of.stride_x - of.shift_y, x = column * of.stride_x + place % of.stride_x - of.shift_x;
    bool inside = place < of.stride_y * of.stride_x && y < of.height && x < of.width;
    store(out, i, inside ? w[static_cast<unsigned long long>(o) * of.row + ((c * of.time + t) * of.height + y) * of.width + x] : 0.0f);
}

// Its gradient, the other way round, as f32. One thread a tap.
template <typename T>
__device__ __forceinline__ void weight_gradient(const T* __restrict__ dw, float* __restrict__ out, unsigned n, const Sizes& of) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned x = i % of.width + of.shift_x, rest = i / of.width;
    unsigned y = rest % of.height + of.shift_y;
    rest /= of.height;
    unsigned t = rest % of.time;
    rest /= of.time;
    unsigned c = rest % of.channels, o = rest / of.channels;
    unsigned channel = (y % of.stride_y * of.stride_x + x % of.stride_x) * of.channels + c;
    unsigned cell = ((o * of.time + t) * of.rows + y / of.stride_y) * of.columns + x / of.stride_x;
    unsigned taps = of.channels * of.time * of.height * of.width;
    out[static_cast<unsigned long long>(o) * of.row + i % taps] = load(dw, static_cast<unsigned long long>(cell) * of.padded + channel);
}

#define WEIGHT(T, type)                                                                                                                  \
    extern "C" __global__ void react_weight_##type(const float* w, T* out, unsigned n, unsigned channels, unsigned time, unsigned height, \
                                                   unsigned width, unsigned row, unsigned rows, unsigned columns, unsigned padded,       \
                                                   unsigned stride_y, unsigned stride_x, unsigned shift_y, unsigned shift_x) {           \
        weight<T>(w, out, n, {channels, time, height, width, row, rows, columns, padded, stride_y, stride_x, shift_y, shift_x});         \
    }                                                                                                                                    \
    extern "C" __global__ void react_weight_gradient_##type(                                                                             \
        const T* dw, float* out, unsigned n, unsigned channels, unsigned time, unsigned height, unsigned width, unsigned row,            \
        unsigned rows, unsigned columns, unsigned padded, unsigned stride_y, unsigned stride_x, unsigned shift_y, unsigned shift_x) {    \
        weight_gradient<T>(dw, out, n, {channels, time, height, width, row, rows, columns, padded, stride_y, stride_x, shift_y, shift_x}); \
    }

WEIGHT(float, f32)
WEIGHT(bf16, bf16)

// y += bias, then ReLU where it is asked for (NaN goes through), in place: y `[rows, channels]`. Grid: rows / 16 blocks of 256 threads.
template <typename T>
__device__ __forceinline__ void add_bias(T* y, const float* __restrict__ bias, unsigned rows, unsigned channels, unsigned relu) {
    unsigned first = blockIdx.x * 16, count = least(rows - first, 16u);
    y += static_cast<unsigned long long>(first) * channels;
    for (unsigned i = threadIdx.x; i < count * channels; i += blockDim.x) {
        float v = load(y, i) + bias[i % channels];
        store(y, i, relu && v <= 0.0f ? 0.0f : v);
    }
}

extern "C" __global__ void react_bias_f32(float* y, const float* bias, unsigned rows, unsigned channels, unsigned relu) {
    add_bias(y, bias, rows, channels, relu);
}
extern "C" __global__ void react_bias_bf16(bf16* y, const float* bias, unsigned rows, unsigned channels, unsigned relu) {
    add_bias(y, bias, rows, channels, relu);
}
