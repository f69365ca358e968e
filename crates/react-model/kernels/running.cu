// Attention of a few rows to a sequence that grows: both sums of the softmax are kept, relative to the largest exponent so far
// (src/layers/running.rs).
#include "common.cuh"

// A warp a row, query and head. Of 32 new frames at a time a lane has one for the exponents, then some channels for the sums.
// `weights` are the largest exponent and the sum, `[n, q, heads, 2]`, `values` the weighted sum `[n, q, c]`; both go on in the `next`
// arrays, and `out` is the attention if the sequence ended here.
extern "C" __global__ void react_running_attention(const float* queries, const float* kv, const double* weights, const double* values,
                                                   double* next_weights, double* next_values, float* out, unsigned rows, unsigned q,
                                                   unsigned heads, unsigned width, unsigned frames) {
    unsigned i = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (i >= rows * q * heads) return;
    unsigned head = i % heads, columns = 2 * heads * width;
    unsigned long long start = static_cast<unsigned long long>(i) * width;
    const float* keys = kv + static_cast<unsigned long long>(i / (q * heads)) * frames * columns + head * width;
    double most = weights[2 * i], sum = weights[2 * i + 1];
    for (unsigned c = lane; c < width; c += WARP) next_values[start + c] = values[start + c];
    for (unsigned first = 0; first < frames; first += WARP) {
        unsigned count = least(frames - first, WARP);
        const float* frame = keys + static_cast<unsigned long long>(first) * columns;
        double exponent = -INFINITY;
        if (lane < count) {
            const float* key = frame + lane * columns;
            exponent = 0.0;
#pragma unroll 8
            for (unsigned c = 0; c < width; c++) exponent += static_cast<double>(queries[start + c]) * static_cast<double>(key[c]);
        }
        double top = exponent;
#pragma unroll
        for (unsigned step = WARP / 2; step > 0; step /= 2) top = fmax(top, __shfl_xor_sync(ALL_LANES, top, step));
        top = fmax(top, most);
        double shrink = exp(most - top), factor = lane < count ? exp(exponent - top) : 0.0;
        most = top;
        sum = sum * shrink + warp_sum(factor);
        for (unsigned block = 0; block < width; block += WARP) {
            unsigned c = block + lane;
            double value = c < width ? next_values[start + c] * shrink : 0.0;
            for (unsigned n = 0; n < count; n++) {
                double share = __shfl_sync(ALL_LANES, factor, n);
                if (c < width) value += share * static_cast<double>(frame[n * columns + heads * width + c]);
            }
            if (c < width) next_values[start + c] = value;
        }
    }
    if (lane == 0) {
        next_weights[2 * i] = most;
        next_weights[2 * i + 1] = sum;
    }
    for (unsigned c = lane; c < width; c += WARP) out[start + c] = static_cast<float>(next_values[start + c] / sum);
}
