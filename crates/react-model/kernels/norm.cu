// Normalisation of a convolution's output with what follows it, forward and backward (kernels/norm.rs, ops/batch_norm.rs).
//
//   z = (y − mean)·rstd        mean and biased variance per view (run of frames) and channel, over frames and pixels
//   InstanceNorm               out = relu(z)      relu(z) + x      or maxpool(relu(z)): 3×3, stride 2, no padding
//   BatchNorm (AFFINE)         out = relu(γz + β + residual), without relu, or maxpool(relu(γz + β)): 3×3, stride 2, padding 1
//   dy = γ·rstd·(g − Σg/N − z·Σ(g·z)/N)           g = the gradient before the relu
//
// Everything here waits for memory, so arrays are walked as few times as can be: y once for its moments, once for the result; in the
// backward pass y and the gradient once for the two sums and once for dy. y is `[frames, pixels, channels]`; a thread has one vector
// of 128 bits of channels (V elements; 1 where the channels do not divide), and every rows-th pixel of the block's part of a frame,
// so that the statistics stay in registers and a warp reads consecutive addresses. A block has up to 256 channels (blockIdx.z).
#include "common.cuh"

#define BLOCK 256u

// In the table of a place's frame: this place is the frame's first.
#define FIRST 0x80000000u

// ---- Vectors of channels ----------------------------------------------------------------------------------------------------------

template <int V>
__device__ __forceinline__ void read(const float* x, unsigned i, float (&v)[V]) {
    if constexpr (V == 4) {
        float4 a = reinterpret_cast<const float4*>(x)[i];
        v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
    } else {
        v[0] = x[i];
    }
}

template <int V>
__device__ __forceinline__ void read(const bf16* x, unsigned i, float (&v)[V]) {
    if constexpr (V == 8) {
        uint4 a = reinterpret_cast<const uint4*>(x)[i];
        v[0] = low_bf16(a.x), v[1] = high_bf16(a.x), v[2] = low_bf16(a.y), v[3] = high_bf16(a.y);
        v[4] = low_bf16(a.z), v[5] = high_bf16(a.z), v[6] = low_bf16(a.w), v[7] = high_bf16(a.w);
    } else {
        v[0] = from_bf16(x[i]);
    }
}

template <int V>
__device__ __forceinline__ void write(float* x, unsigned i, const float (&v)[V]) {
    if constexpr (V == 4) {
        reinterpret_cast<float4*>(x)[i] = make_float4(v[0], v[1], v[2], v[3]);
    } else {
        x[i] = v[0];
    }
}

template <int V>
__device__ __forceinline__ void write(bf16* x, unsigned i, const float (&v)[V]) {
    if constexpr (V == 8) {
        reinterpret_cast<uint4*>(x)[i] =
            make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    } else {
        x[i] = to_bf16(v[0]);
    }
}

// Statistics are f32 whatever the arrays are: V of them for vector i.
template <int V>
__device__ __forceinline__ void parameters(const float* x, unsigned i, float (&v)[V]) {
#pragma unroll
    for (int j = 0; j < V; j++) v[j] = x[i * V + j];
}

// Numbers of the pixels that won, a byte each.
template <int V>
__device__ __forceinline__ void read_bytes(const unsigned char* x, unsigned i, unsigned (&v)[V]) {
    if constexpr (V == 1) {
        v[0] = x[i];
    } else {
#pragma unroll
        for (int word = 0; word < V / 4; word++) {
            unsigned four = reinterpret_cast<const unsigned*>(x)[i * (V / 4) + word];
#pragma unroll
            for (int j = 0; j < 4; j++) v[word * 4 + j] = four >> (8 * j) & 255u;
        }
    }
}

template <int V>
__device__ __forceinline__ void write_bytes(unsigned char* x, unsigned i, const unsigned (&v)[V]) {
    if constexpr (V == 1) {
        x[i] = static_cast<unsigned char>(v[0]);
    } else {
#pragma unroll
        for (int word = 0; word < V / 4; word++) {
            unsigned four = v[word * 4] | v[word * 4 + 1] << 8 | v[word * 4 + 2] << 16 | v[word * 4 + 3] << 24;
            reinterpret_cast<unsigned*>(x)[i * (V / 4) + word] = four;
        }
    }
}

// Where a thread works.
struct Lane {
    unsigned first;   // The block's first vector,
    unsigned width;   // how many it has,
    unsigned vector;  // and the thread's own.
    unsigned row, rows;
    bool active;
};

template <int V>
__device__ __forceinline__ Lane lane(unsigned vectors) {
    Lane at;
    at.first = blockIdx.z * (BLOCK / V);
    at.width = least(vectors - at.first, BLOCK / V);
    at.rows = BLOCK / at.width;
    at.row = threadIdx.x / at.width;
    at.vector = at.first + threadIdx.x % at.width;
    at.active = at.row < at.rows;
    return at;
}

// Adds up what the threads of each channel hold, in f64 and in a fixed order; thread c has the sums of the block's channel c.
template <int V>
__device__ __forceinline__ void sum_rows(const Lane& at, const float (&a)[V], const float (&b)[V], double& sum_a, double& sum_b) {
    __shared__ float rows_a[BLOCK * V], rows_b[BLOCK * V];
    __shared__ double groups_a[BLOCK], groups_b[BLOCK];
    unsigned columns = at.width * V, column = threadIdx.x % columns, group = threadIdx.x / columns, groups = BLOCK / columns;
    if (at.active) {
#pragma unroll
        for (int j = 0; j < V; j++) {
            unsigned i = at.row * columns + (at.vector - at.first) * V + j;
            rows_a[i] = a[j], rows_b[i] = b[j];
        }
    }
    __syncthreads();
    sum_a = 0, sum_b = 0;
    if (group < groups) {
        for (unsigned row = group; row < at.rows; row += groups) {
            sum_a += rows_a[row * columns + column];
            sum_b += rows_b[row * columns + column];
        }
    }
    groups_a[threadIdx.x] = sum_a, groups_b[threadIdx.x] = sum_b;
    __syncthreads();
    if (threadIdx.x < columns) {
        for (group = 1; group < groups; group++) {
            sum_a += groups_a[group * columns + threadIdx.x];
            sum_b += groups_b[group * columns + threadIdx.x];
        }
    }
}

// ReLU that lets NaN through.
__device__ __forceinline__ float positive(float z) { return z <= 0.0f ? 0.0f : z; }

// ---- Statistics -------------------------------------------------------------------------------------------------------------------

// Mean and sum of squared deviations of a part of a frame, f64 `[frames, parts, 2, channels]`. A thread sees at most 64 pixels, as
// differences from one of them, so that f32 sums do. Grid: frames × parts × channels / 256.
template <typename T, int V>
__device__ __forceinline__ void moments(const T* __restrict__ y, double* out, unsigned pixels, unsigned vectors, unsigned part_pixels) {
    __shared__ float shifts[BLOCK];
    Lane at = lane<V>(vectors);
    unsigned begin = blockIdx.y * part_pixels, end = least(begin + part_pixels, pixels);
    y += static_cast<unsigned long long>(blockIdx.x) * pixels * vectors * V;
    float shift[V], sum[V], square[V];
#pragma unroll
    for (int j = 0; j < V; j++) shift[j] = 0.0f, sum[j] = 0.0f, square[j] = 0.0f;
    if (at.active) {
        read<V>(y, (begin + end) / 2 * vectors + at.vector, shift);
#pragma unroll 4
        for (unsigned pixel = begin + at.row; pixel < end; pixel += at.rows) {
            float v[V];
            read<V>(y, pixel * vectors + at.vector, v);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float d = v[j] - shift[j];
                sum[j] += d;
                square[j] += d * d;
            }
        }
        if (at.row == 0) {
#pragma unroll
            for (int j = 0; j < V; j++) shifts[(at.vector - at.first) * V + j] = shift[j];
        }
    }
    double s, q;
    sum_rows<V>(at, sum, square, s, q);
    if (threadIdx.x < at.width * V) {
        double count = end - begin;
        unsigned channels = vectors * V;
        out += (static_cast<unsigned long long>(blockIdx.x) * gridDim.y + blockIdx.y) * 2 * channels + at.first * V + threadIdx.x;
        out[0] = shifts[threadIdx.x] + s / count;
        // Rounding must not make it negative.
        double squares = q - s * s / count;
        out[channels] = squares > 0.0 || squares != squares ? squares : 0.0;
    }
}

// Sums over 32 lanes of a block of 8 channels × 32 lanes, in a fixed order; every thread gets its channel's.
__device__ __forceinline__ double sum_lanes(double x) {
    __shared__ double lanes[BLOCK];
    __syncthreads();
    lanes[threadIdx.x] = x;
    __syncthreads();
    for (unsigned half = BLOCK / 2; half >= 8; half /= 2) {
        if (threadIdx.x < half) lanes[threadIdx.x] += lanes[threadIdx.x + half];
        __syncthreads();
    }
    return lanes[threadIdx.x % 8];
}

// All parts of a view's frames, and what was seen before, as mean and 1/σ. Grid: views × channels / 8.
//   moments   as above            earlier   mean and squares `[2, channels]` of `earlier_frames` frames before, or null
//   runs      first frame and number of frames of each view, or null: all have `frames`
//   affine    weights packed with γ and β at `row`·channel + `offset`, or null
//   statistics `[views, 2, channels]`: mean, 1/σ; `[4, channels]` with γ, β where there are any
//   merged    mean and squares of one view with what was before, or null      mean, variance   of one view, or null
extern "C" __global__ void __launch_bounds__(256)
    react_statistics(const double* __restrict__ moments, const double* earlier, const unsigned* runs, const float* affine, float* statistics,
                     double* merged, float* mean_of, float* variance_of, unsigned frames, unsigned parts, unsigned pixels,
                     unsigned part_pixels, unsigned channels, unsigned earlier_frames, unsigned row, unsigned offset) {
    unsigned view = blockIdx.x, channel = blockIdx.y * 8 + threadIdx.x % 8;
    unsigned first = runs ? runs[2 * view] : view * frames, count = runs ? runs[2 * view + 1] : frames;
    bool active = channel < channels;
    moments += static_cast<unsigned long long>(first) * parts * 2 * channels + (active ? channel : 0);
    double last = pixels - (parts - 1) * part_pixels, total = static_cast<double>(count + earlier_frames) * pixels;
    unsigned items = active ? count * parts : 0;
    bool before = earlier && active && threadIdx.x / 8 == 0;
    double sum = before ? earlier[channel] * earlier_frames * pixels : 0.0;
    for (unsigned i = threadIdx.x / 8; i < items; i += 32) {
        double n = i % parts + 1 == parts ? last : part_pixels;
        sum += n * moments[static_cast<unsigned long long>(i) * 2 * channels];
    }
    double mean = sum_lanes(sum) / total, squares = 0.0;
    if (before) {
        double d = earlier[channel] - mean;
        squares = earlier[channels + channel] + d * d * earlier_frames * pixels;
    }
    for (unsigned i = threadIdx.x / 8; i < items; i += 32) {
        const double* part = moments + static_cast<unsigned long long>(i) * 2 * channels;
        double n = i % parts + 1 == parts ? last : part_pixels, d = part[0] - mean;
        squares += part[channels] + n * d * d;
    }
    squares = sum_lanes(squares);
    if (!active || threadIdx.x / 8 != 0) return;
    float* own = statistics + static_cast<unsigned long long>(view) * 2 * channels + channel;
    own[0] = static_cast<float>(mean);
    own[channels] = static_cast<float>(1.0 / sqrt(squares / total + 1e-5));
    if (affine) {
        own[2 * channels] = affine[static_cast<unsigned long long>(channel) * row + offset];
        own[3 * channels] = affine[static_cast<unsigned long long>(channel) * row + offset + 1];
    }
    if (merged) merged[channel] = mean, merged[channels + channel] = squares;
    if (mean_of) mean_of[channel] = static_cast<float>(mean);
    if (variance_of) variance_of[channel] = static_cast<float>(squares / total);
}

// The same from a mean and a variance that are given. One thread a channel.
extern "C" __global__ void react_fixed_statistics(const float* mean, const float* variance, const float* affine, float* statistics,
                                                  unsigned channels, unsigned row, unsigned offset) {
    unsigned channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    statistics[channel] = mean[channel];
    statistics[channels + channel] = static_cast<float>(1.0 / sqrt(static_cast<double>(variance[channel]) + 1e-5));
    statistics[2 * channels + channel] = affine[static_cast<unsigned long long>(channel) * row + offset];
    statistics[3 * channels + channel] = affine[static_cast<unsigned long long>(channel) * row + offset + 1];
}

// Running statistics, in place: a share of the batch's, its variance times `unbiased`. One thread a channel.
extern "C" __global__ void react_running_statistics(float* running_mean, float* running_variance, const float* mean, const float* variance,
                                                    float momentum, float unbiased, unsigned channels) {
    unsigned channel = blockIdx.x * blockDim.x + threadIdx.x;
    if (channel >= channels) return;
    running_mean[channel] = (1.0f - momentum) * running_mean[channel] + momentum * mean[channel];
    running_variance[channel] = (1.0f - momentum) * running_variance[channel] + momentum * unbiased * variance[channel];
}

// ---- Forward ----------------------------------------------------------------------------------------------------------------------

// A view's statistics for a thread's channels.
template <int V, bool AFFINE>
struct Statistics {
    float mean[V], rstd[V], gamma[AFFINE ? V : 1], beta[AFFINE ? V : 1];

    __device__ __forceinline__ void read(const float* all, unsigned view, unsigned vector, unsigned channels) {
        const float* own = all + static_cast<unsigned long long>(view) * 2 * channels;
        parameters<V>(own, vector, mean);
        parameters<V>(own + channels, vector, rstd);
        if constexpr (AFFINE) {
            parameters<V>(own + 2 * channels, vector, gamma);
            parameters<V>(own + 3 * channels, vector, beta);
        }
    }
    __device__ __forceinline__ float z(int j, float y) const { return (y - mean[j]) * rstd[j]; }
    // What the ReLU sees.
    __device__ __forceinline__ float value(int j, float z) const {
        if constexpr (AFFINE) {
            return z * gamma[j] + beta[j];
        } else {
            return z;
        }
    }
};

// Which frame and which view a place of the result shows.
__device__ __forceinline__ void look_up(const unsigned* frame_of, const unsigned* view_of, unsigned frames, unsigned& frame, unsigned& view,
                                        bool& first) {
    unsigned entry = frame_of ? frame_of[blockIdx.x] : blockIdx.x | FIRST;
    frame = entry & ~FIRST;
    first = entry & FIRST;
    view = view_of ? view_of[blockIdx.x] : blockIdx.x / frames;
}

// Normalised, ReLU, and what is added: before the ReLU (AFFINE) or after it. Grid: places × parts × channels / 256.
template <typename T, int V, bool AFFINE>
__device__ __forceinline__ void normalise(const T* __restrict__ y, const float* __restrict__ statistics, const T* __restrict__ residual,
                                          T* __restrict__ out, const unsigned* frame_of, const unsigned* view_of, unsigned frames,
                                          unsigned pixels, unsigned vectors, unsigned part_pixels, unsigned relu) {
    Lane at = lane<V>(vectors);
    if (!at.active) return;
    unsigned frame, view;
    bool first;
    look_up(frame_of, view_of, frames, frame, view, first);
    Statistics<V, AFFINE> of;
    of.read(statistics, view, at.vector, vectors * V);
    unsigned long long size = static_cast<unsigned long long>(pixels) * vectors * V;
    y += frame * size, out += blockIdx.x * size;
    if (residual) residual += blockIdx.x * size;
    unsigned begin = blockIdx.y * part_pixels, end = least(begin + part_pixels, pixels);
#pragma unroll 2
    for (unsigned pixel = begin + at.row; pixel < end; pixel += at.rows) {
        unsigned i = pixel * vectors + at.vector;
        float v[V], x[V];
        read<V>(y, i, v);
        if (residual) read<V>(residual, i, x);
#pragma unroll
        for (int j = 0; j < V; j++) {
            v[j] = of.value(j, of.z(j, v[j]));
            if (AFFINE && residual) v[j] += x[j];
            if (relu) v[j] = positive(v[j]);
            if (!AFFINE && residual) v[j] += x[j];
        }
        write<V>(out, i, v);
    }
}

// The largest of each 3×3 pixels, stride 2, `padding` 0 or 1 pixel, normalised, ReLU; and which of the nine it was (the first of
// several), unless `winners` is null. InstanceNorm finds it before it normalises, as z grows with y; γ may be negative.
template <typename T, int V, bool AFFINE>
__device__ __forceinline__ void normalise_pool(const T* __restrict__ y, const float* __restrict__ statistics, T* __restrict__ out,
                                               unsigned char* __restrict__ winners, const unsigned* frame_of, const unsigned* view_of,
                                               unsigned frames, unsigned height, unsigned width, unsigned out_height, unsigned out_width,
                                               unsigned padding, unsigned vectors, unsigned part_pixels) {
    Lane at = lane<V>(vectors);
    if (!at.active) return;
    unsigned frame, view;
    bool first;
    look_up(frame_of, view_of, frames, frame, view, first);
    Statistics<V, AFFINE> of;
    of.read(statistics, view, at.vector, vectors * V);
    unsigned windows = out_height * out_width;
    unsigned long long size = static_cast<unsigned long long>(windows) * vectors * V;
    y += frame * (static_cast<unsigned long long>(height) * width * vectors * V), out += blockIdx.x * size;
    bool keep = winners && first;
    if (keep) winners += frame * size;
    unsigned begin = blockIdx.y * part_pixels, end = least(begin + part_pixels, windows);
    for (unsigned window = begin + at.row; window < end; window += at.rows) {
        unsigned top = 2 * (window / out_width) - padding, left = 2 * (window % out_width) - padding;
        float best[V];
        unsigned winner[V];
#pragma unroll
        for (int j = 0; j < V; j++) best[j] = -__int_as_float(0x7f800000), winner[j] = padding ? 4 : 0;
#pragma unroll
        for (unsigned tap = 0; tap < 9; tap++) {
            unsigned row = top + tap / 3, column = left + tap % 3;
            // Above and left of the picture the numbers wrap around.
            if (row >= height || column >= width) continue;
            float v[V];
            read<V>(y, (row * width + column) * vectors + at.vector, v);
#pragma unroll
            for (int j = 0; j < V; j++) {
                if constexpr (AFFINE) v[j] = of.value(j, of.z(j, v[j]));
                bool better = v[j] > best[j] || v[j] != v[j];
                best[j] = better ? v[j] : best[j];
                winner[j] = better ? tap : winner[j];
            }
        }
        unsigned i = window * vectors + at.vector;
#pragma unroll
        for (int j = 0; j < V; j++) best[j] = positive(AFFINE ? best[j] : of.z(j, best[j]));
        write<V>(out, i, best);
        if (keep) write_bytes<V>(winners, i, winner);
    }
}

// ---- Backward ---------------------------------------------------------------------------------------------------------------------

// Σg and Σg·z of a part of a place, f64 `[places, parts, 2, channels]`. Without statistics z is y itself: that of a pooled result is
// the winners' own. Where the ReLU saw a residual too, the result tells what it cut; `y` and `result` may be null. With POOL, y is
// read where the winners lie. Grid: places × parts × channels / 256.
template <typename T, int V, bool AFFINE, bool POOL>
__device__ __forceinline__ void gradient_sums(const T* __restrict__ y, const float* __restrict__ statistics, const T* __restrict__ result,
                                              const T* __restrict__ grad, const unsigned char* __restrict__ winners, double* sums,
                                              const unsigned* frame_of, const unsigned* view_of, unsigned frames, unsigned pixels,
                                              unsigned vectors, unsigned part_pixels, unsigned relu, unsigned height, unsigned width,
                                              unsigned out_width, unsigned padding) {
    Lane at = lane<V>(vectors);
    float first_sum[V], second_sum[V];
#pragma unroll
    for (int j = 0; j < V; j++) first_sum[j] = 0.0f, second_sum[j] = 0.0f;
    unsigned channels = vectors * V;
    unsigned begin = blockIdx.y * part_pixels, end = least(begin + part_pixels, pixels);
    if (at.active) {
        unsigned frame, view;
        bool first;
        look_up(frame_of, view_of, frames, frame, view, first);
        Statistics<V, AFFINE> of;
        if (statistics) {
            of.read(statistics, view, at.vector, channels);
        } else {
#pragma unroll
            for (int j = 0; j < V; j++) of.mean[j] = 0.0f, of.rstd[j] = 1.0f;
        }
        unsigned long long size = static_cast<unsigned long long>(pixels) * channels;
        if (y) y += frame * (POOL ? static_cast<unsigned long long>(height) * width * channels : size);
        if (result) result += blockIdx.x * size;
        if (POOL) winners += frame * size;
        grad += blockIdx.x * size;
#pragma unroll 2
        for (unsigned pixel = begin + at.row; pixel < end; pixel += at.rows) {
            unsigned i = pixel * vectors + at.vector;
            float v[V], g[V], kept[V];
            if constexpr (POOL) {
                unsigned winner[V], top = 2 * (pixel / out_width) - padding, left = 2 * (pixel % out_width) - padding;
                read_bytes<V>(winners, i, winner);
#pragma unroll
                for (int j = 0; j < V; j++) {
                    unsigned place = (top + winner[j] / 3) * width + left + winner[j] % 3;
                    v[j] = load(y, place * channels + at.vector * V + j);
                }
            } else if (y) {
                read<V>(y, i, v);
            } else {
#pragma unroll
                for (int j = 0; j < V; j++) v[j] = 0.0f;
            }
            read<V>(grad, i, g);
            if (result) read<V>(result, i, kept);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float z = of.z(j, v[j]), seen = result ? kept[j] : of.value(j, z);
                float gradient = !relu || seen > 0.0f ? g[j] : 0.0f;
                first_sum[j] += gradient;
                second_sum[j] += gradient * z;
            }
        }
    }
    double a, b;
    sum_rows<V>(at, first_sum, second_sum, a, b);
    if (threadIdx.x < at.width * V) {
        sums += (static_cast<unsigned long long>(blockIdx.x) * gridDim.y + blockIdx.y) * 2 * channels + at.first * V + threadIdx.x;
        sums[0] = a;
        sums[channels] = b;
    }
}

// The sums of a view's places, over N = frames × pixels: `means` `[views, 2, channels]`; zeros where the statistics are fixed.
// `ends` has the first place of each view and the end, or is null: all have `frames`. Where `packed` is not null, γ's and β's
// gradients go to `row`·channel + `offset`; `plain` gets Σg. Grid: views × channels / 8.
extern "C" __global__ void __launch_bounds__(256)
    react_gradient_means(const double* __restrict__ sums, const unsigned* ends, float* means, float* packed, float* plain, unsigned frames,
                         unsigned parts, unsigned pixels, unsigned channels, unsigned fixed, unsigned row, unsigned offset) {
    unsigned view = blockIdx.x, channel = blockIdx.y * 8 + threadIdx.x % 8;
    unsigned first = ends ? ends[view] : view * frames, count = ends ? ends[view + 1] - first : frames;
    bool active = channel < channels;
    sums += static_cast<unsigned long long>(first) * parts * 2 * channels + (active ? channel : 0);
    unsigned items = active ? count * parts : 0;
    double a = 0.0, b = 0.0;
    for (unsigned i = threadIdx.x / 8; i < items; i += 32) {
        a += sums[static_cast<unsigned long long>(i) * 2 * channels];
        b += sums[static_cast<unsigned long long>(i) * 2 * channels + channels];
    }
    a = sum_lanes(a), b = sum_lanes(b);
    if (!active || threadIdx.x / 8 != 0) return;
    double total = static_cast<double>(count) * pixels;
    if (means) {
        float* own = means + static_cast<unsigned long long>(view) * 2 * channels + channel;
        own[0] = fixed ? 0.0f : static_cast<float>(a / total);
        own[channels] = fixed ? 0.0f : static_cast<float>(b / total);
    }
    if (packed) {
        packed[static_cast<unsigned long long>(channel) * row + offset] = static_cast<float>(b);
        packed[static_cast<unsigned long long>(channel) * row + offset + 1] = static_cast<float>(a);
    }
    if (plain) plain[channel] = static_cast<float>(a);
}

// What of a pooled gradient reaches a pixel: that of the windows, up to four, that it won.
template <typename T, int V>
__device__ __forceinline__ void unpool(const T* __restrict__ grad, const unsigned char* __restrict__ winners, unsigned pixel, unsigned width,
                                       unsigned out_height, unsigned out_width, unsigned padding, unsigned vectors, unsigned vector,
                                       float (&g)[V]) {
    unsigned row = pixel / width + padding, column = pixel % width + padding;
#pragma unroll
    for (int j = 0; j < V; j++) g[j] = 0.0f;
    // An odd row lies in the middle of one row of windows; an even one is the first of one and the last of the one above.
#pragma unroll
    for (unsigned above = 0; above < 2; above++) {
        unsigned oy = row / 2 - above;
        if (oy >= out_height || (above && row % 2)) continue;
#pragma unroll
        for (unsigned before = 0; before < 2; before++) {
            unsigned ox = column / 2 - before;
            if (ox >= out_width || (before && column % 2)) continue;
            unsigned i = (oy * out_width + ox) * vectors + vector, tap = (row - 2 * oy) * 3 + column - 2 * ox;
            unsigned winner[V];
            float of_window[V];
            read_bytes<V>(winners, i, winner);
            read<V>(grad, i, of_window);
#pragma unroll
            for (int j = 0; j < V; j++) g[j] += winner[j] == tap ? of_window[j] : 0.0f;
        }
    }
}

// dy of every frame from all places that show it. `first_place` and `places` list them (MANY), otherwise place and frame are one.
// `through`, unless null, gets what goes on to the residual: before the ReLU (AFFINE), or around it. Grid: frames × parts ×
// channels / 256. dy may be y itself: a vector of y is read once, by the thread that writes dy there.
template <typename T, int V, bool AFFINE, bool POOL, bool MANY>
__device__ __forceinline__ void gradient(const T* y, const float* __restrict__ statistics, const float* __restrict__ means,
                                         const T* __restrict__ result, const T* __restrict__ grad,
                                         const unsigned char* __restrict__ winners, T* dy, T* __restrict__ through,
                                         const unsigned* first_place, const unsigned* places, const unsigned* view_of, unsigned frames,
                                         unsigned pixels, unsigned vectors, unsigned part_pixels, unsigned relu, unsigned width,
                                         unsigned out_height, unsigned out_width, unsigned padding) {
    Lane at = lane<V>(vectors);
    if (!at.active) return;
    unsigned frame = blockIdx.x, channels = vectors * V;
    unsigned begin = blockIdx.y * part_pixels, end = least(begin + part_pixels, pixels);
    unsigned long long size = static_cast<unsigned long long>(pixels) * channels;
    unsigned long long out_size = POOL ? static_cast<unsigned long long>(out_height) * out_width * channels : size;
    unsigned from = MANY ? first_place[frame] : 0, to = MANY ? first_place[frame + 1] : 1;
    y += frame * size, dy += frame * size;
    if (result) result += frame * size;
    if (through) through += frame * size;
    if (POOL) winners += frame * out_size;
    Statistics<V, AFFINE> of;
    float first[V], second[V];
    if constexpr (!MANY) {
        unsigned view = view_of ? view_of[frame] : frame / frames;
        of.read(statistics, view, at.vector, channels);
        parameters<V>(means + static_cast<unsigned long long>(view) * 2 * channels, at.vector, first);
        parameters<V>(means + static_cast<unsigned long long>(view) * 2 * channels + channels, at.vector, second);
    }
    for (unsigned pixel = begin + at.row; pixel < end; pixel += at.rows) {
        unsigned i = pixel * vectors + at.vector;
        float v[V], sum[V];
        read<V>(y, i, v);
#pragma unroll
        for (int j = 0; j < V; j++) sum[j] = 0.0f;
        for (unsigned entry = from; entry < to; entry++) {
            unsigned place = MANY ? places[entry] : frame;
            if constexpr (MANY) {
                unsigned view = view_of ? view_of[place] : place / frames;
                of.read(statistics, view, at.vector, channels);
                parameters<V>(means + static_cast<unsigned long long>(view) * 2 * channels, at.vector, first);
                parameters<V>(means + static_cast<unsigned long long>(view) * 2 * channels + channels, at.vector, second);
            }
            float g[V], kept[V];
            if constexpr (POOL) {
                unpool<T, V>(grad + place * out_size, winners, pixel, width, out_height, out_width, padding, vectors, at.vector, g);
            } else {
                read<V>(grad + place * out_size, i, g);
            }
            if constexpr (!AFFINE && !POOL) {
                if (through) write<V>(through, i, g);
            }
            if (AFFINE && result) read<V>(result, i, kept);
#pragma unroll
            for (int j = 0; j < V; j++) {
                float z = of.z(j, v[j]), seen = AFFINE && result ? kept[j] : of.value(j, z);
                g[j] = !relu || seen > 0.0f ? g[j] : 0.0f;
                float factor = of.rstd[j];
                if constexpr (AFFINE) factor *= of.gamma[j];
                sum[j] += factor * (g[j] - first[j] - z * second[j]);
            }
            if constexpr (AFFINE && !POOL) {
                if (through) write<V>(through, i, g);
            }
        }
        write<V>(dy, i, sum);
    }
}

// ---- Kernels by type and vector ---------------------------------------------------------------------------------------------------

#define KERNEL extern "C" __global__ void __launch_bounds__(256)

#define FORWARD(T, V, AFFINE, name, name_pool)                                                                                           \
    KERNEL name(const T* y, const float* statistics, const T* residual, T* out, const unsigned* frame_of, const unsigned* view_of,       \
                unsigned frames, unsigned pixels, unsigned vectors, unsigned part_pixels, unsigned relu) {                               \
        normalise<T, V, AFFINE>(y, statistics, residual, out, frame_of, view_of, frames, pixels, vectors, part_pixels, relu);            \
    }                                                                                                                                    \
    KERNEL name_pool(const T* y, const float* statistics, T* out, unsigned char* winners, const unsigned* frame_of,                      \
                     const unsigned* view_of, unsigned frames, unsigned height, unsigned width, unsigned out_height,                     \
                     unsigned out_width, unsigned padding, unsigned vectors, unsigned part_pixels) {                                     \
        normalise_pool<T, V, AFFINE>(y, statistics, out, winners, frame_of, view_of, frames, height, width, out_height, out_width,       \
                                     padding, vectors, part_pixels);                                                                     \
    }

#define SUMS(T, V, AFFINE, POOL, name)                                                                                                   \
    KERNEL name(const T* y, const float* statistics, const T* result, const T* grad, const unsigned char* winners, double* sums,         \
                const unsigned* frame_of, const unsigned* view_of, unsigned frames, unsigned pixels, unsigned vectors,                   \
                unsigned part_pixels, unsigned relu, unsigned height, unsigned width, unsigned out_width, unsigned padding) {            \
        gradient_sums<T, V, AFFINE, POOL>(y, statistics, result, grad, winners, sums, frame_of, view_of, frames, pixels, vectors,        \
                                          part_pixels, relu, height, width, out_width, padding);                                         \
    }

#define GRADIENT(T, V, AFFINE, POOL, MANY, name)                                                                                         \
    KERNEL name(const T* y, const float* statistics, const float* means, const T* result, const T* grad, const unsigned char* winners,   \
                T* dy, T* through, const unsigned* first_place, const unsigned* places, const unsigned* view_of, unsigned frames,        \
                unsigned pixels, unsigned vectors, unsigned part_pixels, unsigned relu, unsigned width, unsigned out_height,             \
                unsigned out_width, unsigned padding) {                                                                                  \
        gradient<T, V, AFFINE, POOL, MANY>(y, statistics, means, result, grad, winners, dy, through, first_place, places, view_of,       \
                                           frames, pixels, vectors, part_pixels, relu, width, out_height, out_width, padding);           \
    }

#define ALL(T, V, suffix)                                                                                                                \
    KERNEL react_moments_##suffix(const T* y, double* out, unsigned pixels, unsigned vectors, unsigned part_pixels) {                    \
        moments<T, V>(y, out, pixels, vectors, part_pixels);                                                                             \
    }                                                                                                                                    \
    FORWARD(T, V, false, react_norm_##suffix, react_norm_pool_##suffix)                                                                  \
    FORWARD(T, V, true, react_affine_##suffix, react_affine_pool_##suffix)                                                               \
    SUMS(T, V, false, false, react_norm_sums_##suffix)                                                                                   \
    SUMS(T, V, true, false, react_affine_sums_##suffix)                                                                                  \
    SUMS(T, V, true, true, react_affine_pool_sums_##suffix)                                                                              \
    GRADIENT(T, V, false, false, false, react_norm_gradient_##suffix)                                                                    \
    GRADIENT(T, V, false, false, true, react_norm_gradient_of_many_##suffix)                                                             \
    GRADIENT(T, V, false, true, false, react_norm_pool_gradient_##suffix)                                                                \
    GRADIENT(T, V, false, true, true, react_norm_pool_gradient_of_many_##suffix)                                                         \
    GRADIENT(T, V, true, false, false, react_affine_gradient_##suffix)                                                                   \
    GRADIENT(T, V, true, true, false, react_affine_pool_gradient_##suffix)

ALL(float, 4, f32x4)
ALL(float, 1, f32)
ALL(bf16, 8, bf16x8)
ALL(bf16, 1, bf16)
