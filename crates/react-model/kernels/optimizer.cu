// AdamW over all parameters at once, the norm of their gradients, and the average of the weights.
//
// Parameters are cut into chunks of a few thousand elements, a block each, so that the largest and the smallest keep the card equally
// busy. Of a chunk the table says: the parameter's row in the tables of addresses, the first element, how many, and the parameter's own.
#include "common.cuh"

template <typename T>
__device__ __forceinline__ T* row_of(const unsigned long long* table, unsigned row) {
    return reinterpret_cast<T*>(table[row]);
}

__device__ __forceinline__ double squares(float4 g) {
    double x = g.x, y = g.y, z = g.z, w = g.w;
    return (x * x + y * y) + (z * z + w * w);
}

// Σ g² of each chunk.
extern "C" __global__ void __launch_bounds__(256)
react_adamw_norm(const unsigned long long* gradients, const unsigned* chunks, double* partial) {
    uint4 chunk = reinterpret_cast<const uint4*>(chunks)[blockIdx.x];
    const float* g = row_of<const float>(gradients, chunk.x) + chunk.y;
    double sum = 0;
    if (chunk.w % 4 == 0) {
        for (unsigned i = threadIdx.x; i < chunk.z / 4; i += 256) sum += squares(load4(g, i));
    } else {
        for (unsigned i = threadIdx.x; i < chunk.z; i += 256) sum += static_cast<double>(g[i]) * g[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block: the norm and, from 1 on, the first parameter whose gradient is not finite, both told in `said`; it stays in `stopped`,
// and no later step moves anything. `scale` is what gradients are multiplied by so that their norm is at most `limit`.
extern "C" __global__ void __launch_bounds__(256)
react_adamw_decide(const double* partial, const unsigned* chunks, const unsigned* places, unsigned count, unsigned* stopped, float* said,
                   float* scale, float limit) {
    __shared__ unsigned first;
    if (threadIdx.x == 0) first = count;
    __syncthreads();
    double sum = 0;
    unsigned bad = count;
    for (unsigned i = threadIdx.x; i < count; i += 256) {
        double part = partial[i];
        // Neither infinite nor NaN: their difference with themselves is not 0.
        if (part - part != 0 && bad == count) bad = i;
        sum += part;
    }
    // A minimum is the same in any order.
    if (bad < count) atomicMin(&first, bad);
    double total = block_sum(sum);
    if (threadIdx.x > 0) return;
    if (first < count && *stopped == 0) *stopped = 1 + places[chunks[4 * first]];
    double norm = sqrt(total), factor = limit / (norm + 1e-6);
    said[0] = static_cast<float>(norm);
    said[1] = static_cast<float>(*stopped);
    *scale = factor < 1 ? static_cast<float>(factor) : 1.0f;
}

struct AdamW {
    float beta1, beta2, rest1, rest2, epsilon, inverse_root, keep, size, scale;

    __device__ __forceinline__ void move(float g, float& m, float& v, float& p) const {
        g *= scale;
        m = beta1 * m + rest1 * g;
        v = beta2 * v + rest2 * g * g;
        p = p * keep - size * m / (sqrtf(v) * inverse_root + epsilon);
    }
};

// θ, m and v of every parameter; `rates`: 1/√(1 − β₂ᵗ), then of each parameter 1 − lr·λ and lr/(1 − β₁ᵗ).
extern "C" __global__ void __launch_bounds__(256)
react_adamw(const unsigned long long* parameters, const unsigned long long* moments, const unsigned long long* gradients,
            const unsigned* chunks, const float* rates, const float* scale, const unsigned* stopped, float beta1, float beta2, float rest1,
            float rest2, float epsilon) {
    if (*stopped) return;
    uint4 chunk = reinterpret_cast<const uint4*>(chunks)[blockIdx.x];
    AdamW step{beta1, beta2, rest1, rest2, epsilon, rates[0], rates[1 + 2 * chunk.x], rates[2 + 2 * chunk.x], *scale};
    float* p = row_of<float>(parameters, chunk.x) + chunk.y;
    float* m = row_of<float>(moments, chunk.x) + chunk.y;
    float* v = m + chunk.w;
    const float* g = row_of<const float>(gradients, chunk.x) + chunk.y;
    if (chunk.w % 4 == 0) {
        for (unsigned i = threadIdx.x; i < chunk.z / 4; i += 256) {
            float4 gs = load4(g, i), ms = load4(m, i), vs = load4(v, i), ps = load4(p, i);
            step.move(gs.x, ms.x, vs.x, ps.x);
            step.move(gs.y, ms.y, vs.y, ps.y);
            step.move(gs.z, ms.z, vs.z, ps.z);
            step.move(gs.w, ms.w, vs.w, ps.w);
            store4(m, i, ms);
            store4(v, i, vs);
            store4(p, i, ps);
        }
    } else {
        for (unsigned i = threadIdx.x; i < chunk.z; i += 256) {
            float mi = m[i], vi = v[i], pi = p[i];
            step.move(g[i], mi, vi, pi);
            m[i] = mi;
            v[i] = vi;
            p[i] = pi;
        }
    }
}

// θ̄ + rate·(θ − θ̄).
extern "C" __global__ void __launch_bounds__(256)
react_ema(const unsigned long long* averages, const unsigned long long* weights, const unsigned* chunks, float rate) {
    uint4 chunk = reinterpret_cast<const uint4*>(chunks)[blockIdx.x];
    float* a = row_of<float>(averages, chunk.x) + chunk.y;
    const float* w = row_of<const float>(weights, chunk.x) + chunk.y;
    for (unsigned i = threadIdx.x; i < chunk.z; i += 256) a[i] += rate * (w[i] - a[i]);
}
