// The latent samples of a conversation's window.
#include "common.cuh"

// tokens `[rows, 2, width]`, means and ln of variances; z = mean + ε·√variance, `repeat` samples of each row, and the deviations.
extern "C" __global__ void react_latent(const float* tokens, const float* eps, float* deviations, float* z, unsigned total,
                                        unsigned width, unsigned repeat) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= total) return;
    unsigned sample = i / width, channel = i % width, row = sample / repeat;
    const float* token = tokens + row * 2 * width;
    float deviation = expf(0.5f * token[width + channel]);
    z[i] = token[channel] + eps[i] * deviation;
    if (sample % repeat == 0) deviations[row * width + channel] = deviation;
}
