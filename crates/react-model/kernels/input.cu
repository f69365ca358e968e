// Pictures as tensor cores want them. A convolution of few channels with a stride of s is one of s²·c channels without a stride over
// cells of s×s pixels: an array that is smaller than one with each pixel's three channels padded to eight, and a product twice as
// dense. 7×7, stride 2 on 3 channels becomes 4×4 on 12 (f32) or 16 (bf16). The zeros around the picture are part of the array, because
// a kernel that is filled up to whole cells is not symmetric.
//
// Bytes are scaled to (x/255 − 0.5)/0.5 = x·2/255 − 1 on the way.
#include "common.cuh"

__device__ __forceinline__ float pixel(const unsigned char* x, unsigned i) { return x[i] * (2.0f / 255.0f) - 1.0f; }
__device__ __forceinline__ float pixel(const float* x, unsigned i) { return x[i]; }
__device__ __forceinline__ float pixel(const bf16* x, unsigned i) { return from_bf16(x[i]); }

// Frames `[n, height, width, channels]` → `[n, rows, columns, V·vectors]`: channel (dy·stride_x + dx)·channels + c of a cell is channel
// c of the pixel dy below and dx right of the cell's first; the rest are zeros. `top` and `left` pixels lie before the picture. A
// thread writes 128 bits. Grid: frames × cells. CHANNELS and STRIDE are constants of the usual case, 0 otherwise.
template <typename S, typename T, unsigned CHANNELS, unsigned STRIDE>
__device__ __forceinline__ void cells_of(const S* __restrict__ x, T* __restrict__ out, unsigned height, unsigned width, unsigned channels,
                                         unsigned stride_y, unsigned stride_x, unsigned top, unsigned left, unsigned rows, unsigned columns,
                                         unsigned vectors) {
    constexpr int V = 16 / sizeof(T);
    if constexpr (CHANNELS > 0) channels = CHANNELS, stride_y = STRIDE, stride_x = STRIDE, vectors = (CHANNELS * STRIDE * STRIDE + V - 1) / V;
    unsigned i = blockIdx.y * blockDim.x + threadIdx.x;
    if (i >= rows * columns * vectors) return;
    x += static_cast<unsigned long long>(blockIdx.x) * height * width * channels;
    out += static_cast<unsigned long long>(blockIdx.x) * rows * columns * vectors * V;
    unsigned cell = i / vectors, first = i % vectors * V;
    unsigned y0 = cell / columns * stride_y - top, x0 = cell % columns * stride_x - left;
    float v[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
        unsigned channel = first + j, place = channel / channels;
        // Above and left of the picture the numbers wrap around.
        unsigned row = y0 + place / stride_x, column = x0 + place % stride_x;
        bool inside = place < stride_y * stride_x && row < height && column < width;
        v[j] = inside ? pixel(x, (row * width + column) * channels + channel % channels) : 0.0f;
    }
    if constexpr (V == 4) {
        reinterpret_cast<float4*>(out)[i] = make_float4(v[0], v[1], v[2], v[3]);
    } else {
        reinterpret_cast<uint4*>(out)[i] =
            make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    }
}

#define CELLS(S, T, from, to)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(256)                                                                                    \
        react_cells_##from##_##to(const S* x, T* out, unsigned height, unsigned width, unsigned channels, unsigned stride_y,             \
                                  unsigned stride_x, unsigned top, unsigned left, unsigned rows, unsigned columns, unsigned vectors) {   \
        if (channels == 3 && stride_y == 2 && stride_x == 2) {                                                                           \
            cells_of<S, T, 3, 2>(x, out, height, width, channels, stride_y, stride_x, top, left, rows, columns, vectors);                \
        } else {                                                                                                                         \
            cells_of<S, T, 0, 0>(x, out, height, width, channels, stride_y, stride_x, top, left, rows, columns, vectors);                \
        }                                                                                                                                \
    }

CELLS(unsigned char, float, u8, f32)
CELLS(unsigned char, bf16, u8, bf16)
CELLS(float, float, f32, f32)
CELLS(bf16, bf16, bf16, bf16)
