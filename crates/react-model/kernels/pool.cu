// Max pooling of clips, and means over pictures.
#include "common.cuh"

// Sizes of clips `[t, h, w, channels]`, of the result, and of the windows.
struct Pool {
    unsigned t, h, w, out_t, out_h, out_w, channels, kernel_t, kernel_h, kernel_w, stride_t, stride_h, stride_w, pad_t, pad_h, pad_w;
};

// The largest of each window, and where in its clip it lies (unless `winners` is null): the first of several; NaN wins. A thread has
// one element of the result. Grid: elements × clips.
template <typename T>
__device__ __forceinline__ void max_pool(const T* __restrict__ x, T* __restrict__ out, unsigned* __restrict__ winners, const Pool& of) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, size = of.out_t * of.out_h * of.out_w * of.channels;
    if (i >= size) return;
    x += static_cast<unsigned long long>(blockIdx.y) * of.t * of.h * of.w * of.channels;
    unsigned c = i % of.channels, rest = i / of.channels;
    unsigned left = rest % of.out_w * of.stride_w - of.pad_w;
    rest /= of.out_w;
    unsigned top = rest % of.out_h * of.stride_h - of.pad_h, start = rest / of.out_h * of.stride_t - of.pad_t;
    float best = 0.0f;
    unsigned winner = 0;
    bool any = false;
    for (unsigned a = 0; a < of.kernel_t; a++) {
        for (unsigned b = 0; b < of.kernel_h; b++) {
            for (unsigned d = 0; d < of.kernel_w; d++) {
                // Before the clip the numbers wrap around.
                unsigned frame = start + a, row = top + b, column = left + d;
                if (frame >= of.t || row >= of.h || column >= of.w) continue;
                unsigned place = ((frame * of.h + row) * of.w + column) * of.channels + c;
                float v = load(x, place);
                if (!any || v > best || v != v) best = v, winner = place;
                any = true;
            }
        }
    }
    unsigned long long at = static_cast<unsigned long long>(blockIdx.y) * size + i;
    store(out, at, best);
    if (winners) winners[at] = winner;
}

// Each element collects from the windows that it won, in their order. Grid: elements of x × clips.
template <typename T>
__device__ __forceinline__ void max_pool_gradient(const T* __restrict__ grad, const unsigned* __restrict__ winners, T* __restrict__ dx,
                                                  const Pool& of) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, size = of.t * of.h * of.w * of.channels;
    if (i >= size) return;
    unsigned long long before = static_cast<unsigned long long>(blockIdx.y) * of.out_t * of.out_h * of.out_w * of.channels;
    grad += before, winners += before;
    unsigned c = i % of.channels, rest = i / of.channels;
    unsigned column = rest % of.w + of.pad_w;
    rest /= of.w;
    unsigned row = rest % of.h + of.pad_h, frame = rest / of.h + of.pad_t;
    // Window o covers o·stride to o·stride + kernel − 1.
    unsigned first_t = frame < of.kernel_t ? 0 : (frame - of.kernel_t) / of.stride_t + 1, last_t = least(frame / of.stride_t + 1, of.out_t);
    unsigned first_h = row < of.kernel_h ? 0 : (row - of.kernel_h) / of.stride_h + 1, last_h = least(row / of.stride_h + 1, of.out_h);
    unsigned first_w = column < of.kernel_w ? 0 : (column - of.kernel_w) / of.stride_w + 1;
    unsigned last_w = least(column / of.stride_w + 1, of.out_w);
    float sum = 0.0f;
    for (unsigned a = first_t; a < last_t; a++) {
        for (unsigned b = first_h; b < last_h; b++) {
            for (unsigned d = first_w; d < last_w; d++) {
                unsigned window = ((a * of.out_h + b) * of.out_w + d) * of.channels + c;
                if (winners[window] == i) sum += load(grad, window);
            }
        }
    }
    store(dx, static_cast<unsigned long long>(blockIdx.y) * size + i, sum);
}

// Means of 3×3 pixels around every pixel, of those inside the picture: `[n, height, width, channels]`. Grid: elements × n.
extern "C" __global__ void react_mean_around_f32(const float* __restrict__ x, float* __restrict__ out, unsigned height, unsigned width,
                                                 unsigned channels) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x, size = height * width * channels;
    if (i >= size) return;
    x += static_cast<unsigned long long>(blockIdx.y) * size;
    unsigned c = i % channels, column = i / channels % width, row = i / channels / width;
    float sum = 0.0f;
    unsigned count = 0;
    for (unsigned tap = 0; tap < 9; tap++) {
        // Above and left of the picture the numbers wrap around.
        unsigned y = row + tap / 3 - 1, z = column + tap % 3 - 1;
        if (y < height && z < width) sum += x[(y * width + z) * channels + c], count++;
    }
    out[static_cast<unsigned long long>(blockIdx.y) * size + i] = sum / count;
}

// Means over a picture: x `[n, pixels, channels]` → f32 `[n, channels]`. Grid: n × channels / 128.
template <typename T>
__device__ __forceinline__ void picture_mean(const T* __restrict__ x, float* __restrict__ out, unsigned pixels, unsigned channels) {
    unsigned c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    x += static_cast<unsigned long long>(blockIdx.x) * pixels * channels;
    float sum = 0.0f;
#pragma unroll 8
    for (unsigned pixel = 0; pixel < pixels; pixel++) sum += load(x, pixel * channels + c);
    out[static_cast<unsigned long long>(blockIdx.x) * channels + c] = sum / pixels;
}

// Its gradient: each pixel gets a share. Grid: n × channels / 128.
template <typename T>
__device__ __forceinline__ void picture_mean_gradient(const float* __restrict__ grad, T* __restrict__ dx, unsigned pixels, unsigned channels) {
    unsigned c = blockIdx.y * blockDim.x + threadIdx.x;
    if (c >= channels) return;
    dx += static_cast<unsigned long long>(blockIdx.x) * pixels * channels;
    float share = grad[static_cast<unsigned long long>(blockIdx.x) * channels + c] / pixels;
#pragma unroll 8
    for (unsigned pixel = 0; pixel < pixels; pixel++) store(dx, pixel * channels + c, share);
}

#define POOL(T, type)                                                                                                                    \
    extern "C" __global__ void react_max_pool_##type(const T* x, T* out, unsigned* winners, unsigned t, unsigned h, unsigned w,          \
                                                     unsigned out_t, unsigned out_h, unsigned out_w, unsigned channels,                  \
                                                     unsigned kernel_t, unsigned kernel_h, unsigned kernel_w, unsigned stride_t,         \
                                                     unsigned stride_h, unsigned stride_w, unsigned pad_t, unsigned pad_h,               \
                                                     unsigned pad_w) {                                                                   \
        max_pool<T>(x, out, winners, {t, h, w, out_t, out_h, out_w, channels, kernel_t, kernel_h, kernel_w, stride_t, stride_h,          \
                                      stride_w, pad_t, pad_h, pad_w});                                                                   \
    }                                                                                                                                    \
    extern "C" __global__ void react_max_pool_gradient_##type(                                                                           \
        const T* grad, const unsigned* winners, T* dx, unsigned t, unsigned h, unsigned w, unsigned out_t, unsigned out_h,               \
        unsigned out_w, unsigned channels, unsigned kernel_t, unsigned kernel_h, unsigned kernel_w, unsigned stride_t,                   \
        unsigned stride_h, unsigned stride_w, unsigned pad_t, unsigned pad_h, unsigned pad_w) {                                          \
        max_pool_gradient<T>(grad, winners, dx, {t, h, w, out_t, out_h, out_w, channels, kernel_t, kernel_h, kernel_w, stride_t,         \
                                                 stride_h, stride_w, pad_t, pad_h, pad_w});                                              \
    }                                                                                                                                    \
    extern "C" __global__ void react_picture_mean_##type(const T* x, float* out, unsigned pixels, unsigned channels) {                   \
        picture_mean<T>(x, out, pixels, channels);                                                                                       \
    }                                                                                                                                    \
    extern "C" __global__ void react_picture_mean_gradient_##type(const float* grad, T* dx, unsigned pixels, unsigned channels) {        \
        picture_mean_gradient<T>(grad, dx, pixels, channels);                                                                            \
    }

POOL(float, f32)
POOL(bf16, bf16)
