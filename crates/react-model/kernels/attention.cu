// Scaled dot-product attention of many heads, forward and backward; no array of queries × keys lies in memory.
//
//   S = Q·Kᵀ      P = softmax(S/√w)      P̃ = P∘mask      O = P̃·V
//   dV = P̃ᵀ·dO    dP = mask∘(dO·Vᵀ)      dS = P∘(dP − D)/√w, D = rowsum(P∘dP) = rowsum(dO∘O)      dQ = dS·K    dK = dSᵀ·Q
//
// The forward pass walks over the keys with a running maximum and sum of each row (Dao et al., "FlashAttention", 2022) and leaves
// both for the backward pass, which is one kernel over queries for dQ and one over keys for dK and dV: every sum has its order. A row
// that sees one key has P = 1 whatever it holds, and dS = 0 exactly: a rest of rounding is what Adam would blow up.
//
// A block is 128 threads: eight rows of 16 lanes. Thread (r, lane) has rows r + 8·i of what its block keeps and rows lane + 16·j of
// what it walks over; where those are the keys, in steps of 128, its eight are what one call of the generator draws.
// C columns of a head are in shared memory at once. A head of more (C = 64) is walked over in chunks for the products over its
// width, and blockIdx.y says which chunk of the result a block computes.
#include "common.cuh"

#define THREADS 128u
#define LANES 16u
#define STEPS 8u
#define QUERIES 32u    // of a block, forward and dQ
#define KEYS 128u      // of a step over keys
#define BLOCK_KEYS 32u // of a block for dK and dV
#define STEP_QUERIES 64u

// Rows of P and dS in shared memory: two neighbours begin half the banks apart.
#define KEY_PITCH (KEYS + 16u)
#define QUERY_PITCH (STEP_QUERIES + 16u)

// What every kernel is told, and where its head lies.
struct Shape {
    unsigned heads, queries, keys, width, causal;
    // Rows of the array of keys and values from one sequence to the next.
    unsigned kv_rows;
    const unsigned* lengths;

    // How many keys a query of a sequence sees, from the first.
    __device__ __forceinline__ unsigned visible(unsigned sequence, unsigned query) const {
        unsigned length = lengths == nullptr ? keys : lengths[sequence];
        return causal ? least(query + 1 + keys - queries, length) : length;
    }
};

// A matrix whose row is a position of a sequence and whose columns are, from some place on, those of the heads.
__device__ __forceinline__ unsigned long long head_start(unsigned sequence, unsigned length, unsigned row, unsigned offset, unsigned head,
                                                         unsigned width) {
    return static_cast<unsigned long long>(sequence) * length * row + offset + head * width;
}

// N rows of C columns into shared memory, from `rows` and `columns` that there are; zeros beyond.
template <unsigned C, unsigned N>
__device__ __forceinline__ void load_rows(float* to, const float* from, unsigned row, unsigned rows, unsigned columns, bool fours) {
    const unsigned pitch = C + 4;
    if (fours) {
        // As many loads under way as there are registers for.
#pragma unroll 4
        for (unsigned n = 0; n < N * C / 4; n += THREADS) {
            unsigned i = (n + threadIdx.x) / (C / 4), c = (n + threadIdx.x) % (C / 4);
            float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
            if (i < rows && 4 * c < columns) value = load4(from + static_cast<unsigned long long>(i) * row, c);
            store4(to + i * pitch, c, value);
        }
    } else {
        for (unsigned n = threadIdx.x; n < N * C; n += THREADS) {
            unsigned i = n / C, c = n % C;
            to[i * pitch + c] = i < rows && c < columns ? from[static_cast<unsigned long long>(i) * row + c] : 0.0f;
        }
    }
}

// acc[i][j] += Σ over columns of a's row 8·i and b's row 16·j.
template <unsigned C, int I, int J>
__device__ __forceinline__ void row_products(const float* a, const float* b, float acc[I][J]) {
    const unsigned pitch = C + 4;
#pragma unroll 1
    for (unsigned c = 0; c < C / 4; c++) {
        float4 x[I];
#pragma unroll
        for (int i = 0; i < I; i++) x[i] = load4(a + STEPS * i * pitch, c);
#pragma unroll
        for (int j = 0; j < J; j++) {
            float4 y = load4(b + LANES * j * pitch, c);
#pragma unroll
            for (int i = 0; i < I; i++) acc[i][j] += x[i].x * y.x + x[i].y * y.y + x[i].z * y.z + x[i].w * y.w;
        }
    }
}

// acc[i][w] += Σ over the first n rows of x of factors[8·i][n]·x[n][w], four rows at a time.
template <unsigned C>
__device__ __forceinline__ void add_rows(const float* factors, unsigned factor_pitch, const float* x, unsigned n, float acc[4][C / LANES]) {
    const unsigned pitch = C + 4;
    const int W = C / LANES;
#pragma unroll 2
    for (unsigned k = 0; k < n; k += 4) {
        float4 f[4];
#pragma unroll
        for (int i = 0; i < 4; i++) f[i] = *reinterpret_cast<const float4*>(factors + STEPS * i * factor_pitch + k);
#pragma unroll
        for (int m = 0; m < 4; m++) {
            const float* row = x + (k + m) * pitch;
#pragma unroll
            for (int w = 0; w < W; w++) {
                float value = row[w];
#pragma unroll
                for (int i = 0; i < 4; i++) acc[i][w] += (m == 0 ? f[i].x : m == 1 ? f[i].y : m == 2 ? f[i].z : f[i].w) * value;
            }
        }
    }
}

// log₂ e / √w: exponents are powers of two.
__device__ __forceinline__ float exponent_scale(unsigned width) { return 1.44269504f / sqrtf(static_cast<float>(width)); }

// Scores of the rows that a step looks at; where it has few keys (an attention to a single row, say), only those.
template <unsigned C>
__device__ __forceinline__ void scores(const float* a, const float* b, bool few, float acc[4][8]) {
    if (few) {
        float first[4][1];
#pragma unroll
        for (int i = 0; i < 4; i++) first[i][0] = acc[i][0];
        row_products<C, 4, 1>(a, b, first);
#pragma unroll
        for (int i = 0; i < 4; i++) acc[i][0] = first[i][0];
    } else {
        row_products<C, 4, 8>(a, b, acc);
    }
}

// O and, where wanted, the maximum and the reciprocal sum of each row, `[batch, heads, queries, 2]`.
template <unsigned C>
__device__ __forceinline__ void forward(const float* q, const float* kv, float* out, float* rows_out, unsigned q_row, unsigned kv_row,
                                        unsigned k_offset, unsigned v_offset, const Shape& shape, const Drop& drop) {
    DYNAMIC_SHARED(float, shared);
    const unsigned pitch = C + 4;
    const int W = C / LANES;
    float* qs = shared;
    float* vs = qs + QUERIES * pitch;
    // The keys, then the probabilities: rows of KEY_PITCH.
    float* ks = vs + KEYS * pitch;
    float* ps = ks;
    unsigned tiles = cells(shape.queries, QUERIES), chunks = cells(shape.width, C), width = shape.width;
    unsigned id = blockIdx.x / tiles, sequence = id / shape.heads, head = id % shape.heads;
    unsigned first = blockIdx.x % tiles * QUERIES, queries = least(shape.queries - first, QUERIES);
    unsigned r = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    bool fours = width % 4 == 0;
    q += head_start(sequence, shape.queries, q_row, 0, head, width) + static_cast<unsigned long long>(first) * q_row;
    const float* k = kv + head_start(sequence, shape.kv_rows, kv_row, k_offset, head, width);
    const float* v = kv + head_start(sequence, shape.kv_rows, kv_row, v_offset, head, width) + blockIdx.y * C;
    float scale = exponent_scale(width);
    unsigned seen = shape.visible(sequence, first + queries - 1);

    float o[4][W], most[4], sum[4];
    unsigned visible[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        most[i] = -INFINITY;
        sum[i] = 0.0f;
        visible[i] = shape.visible(sequence, first + least(r + STEPS * i, queries - 1));
#pragma unroll
        for (int w = 0; w < W; w++) o[i][w] = 0.0f;
    }
    for (unsigned start = 0; start < seen; start += KEYS) {
        unsigned keys = least(seen - start, KEYS);
        float s[4][8];
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = 0.0f;
        }
        for (unsigned chunk = 0; chunk < chunks; chunk++) {
            __syncthreads();
            if (chunks > 1 || start == 0) load_rows<C, QUERIES>(qs, q + chunk * C, q_row, queries, width - chunk * C, fours);
            load_rows<C, KEYS>(ks, k + static_cast<unsigned long long>(start) * kv_row + chunk * C, kv_row, keys, width - chunk * C, fours);
            if (chunk == 0) {
                load_rows<C, KEYS>(vs, v + static_cast<unsigned long long>(start) * kv_row, kv_row, keys, width - blockIdx.y * C, fours);
            }
            __syncthreads();
            scores<C>(qs + r * pitch, ks + lane * pitch, keys <= LANES, s);
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float top = most[i];
#pragma unroll
            for (int j = 0; j < 8; j++) {
                if (start + lane + LANES * j >= visible[i]) s[i][j] = -INFINITY;
                top = fmaxf(top, s[i][j]);
            }
            top = lanes_max<LANES>(top);
            float shrink = exp2f((most[i] - top) * scale);
            most[i] = top;
            sum[i] *= shrink;
#pragma unroll
            for (int w = 0; w < W; w++) o[i][w] *= shrink;
            float factors[8];
            if (drop.threshold > 0) {
                drop_factors(drop, id * shape.queries + first + r + STEPS * i, start / 128 * 16 + lane, factors);
            }
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float p = exp2f((s[i][j] - top) * scale);
                sum[i] += p;
                ps[(r + STEPS * i) * KEY_PITCH + lane + LANES * j] = drop.threshold > 0 ? p * factors[j] : p;
            }
        }
        // A row's probabilities are read by the 16 lanes that wrote them.
        __syncwarp();
        add_rows<C>(ps + r * KEY_PITCH, KEY_PITCH, vs + lane * W, cells(keys, 4) * 4, o);
    }
    unsigned columns = shape.heads * width, column = blockIdx.y * C + lane * W;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        float inverse = 1.0f / lanes_sum<LANES>(sum[i]);
        unsigned query = r + STEPS * i;
        if (query < queries) {
            unsigned long long row = static_cast<unsigned long long>(sequence) * shape.queries + first + query;
#pragma unroll
            for (int w = 0; w < W; w++) {
                if (column + w < width) out[row * columns + head * width + column + w] = o[i][w] * inverse;
            }
            if (rows_out != nullptr && lane == 0 && blockIdx.y == 0) {
                row = static_cast<unsigned long long>(id) * shape.queries + first + query;
                rows_out[2 * row] = most[i];
                rows_out[2 * row + 1] = inverse;
            }
        }
    }
}

#define FORWARD(C)                                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 3) react_attention_##C(                                                  \
        const float* q, const float* kv, const unsigned* lengths, float* out, float* rows, unsigned heads, unsigned queries,    \
        unsigned keys, unsigned width, unsigned causal, unsigned kv_rows, unsigned q_row, unsigned kv_row, unsigned k_offset,   \
        unsigned v_offset, unsigned key0, unsigned key1, unsigned site, unsigned step, unsigned threshold, float scale) {                          \
        Shape shape = {heads, queries, keys, width, causal, kv_rows, lengths};                                                  \
        Drop drop = {key0, key1, site, step, threshold, scale};                                                                 \
        forward<C>(q, kv, out, rows, q_row, kv_row, k_offset, v_offset, shape, drop);                                           \
    }
FORWARD(16)
FORWARD(32)
FORWARD(64)

// D of every row, `[batch, heads, queries]`; a warp a row.
extern "C" __global__ void react_attention_inner(const float* out, const float* grad, float* inner, unsigned heads, unsigned queries,
                                                 unsigned width, unsigned rows) {
    unsigned row = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP, lane = threadIdx.x % WARP;
    if (row >= rows) return;
    // In the order of O's rows, so that neighbours read neighbours.
    unsigned head = row % heads, query = row / heads % queries, sequence = row / heads / queries;
    unsigned long long start = static_cast<unsigned long long>(row) * width;
    float sum = 0.0f;
    for (unsigned c = lane; c < width; c += WARP) sum += out[start + c] * grad[start + c];
    sum = warp_sum(sum);
    if (lane == 0) inner[(sequence * heads + head) * queries + query] = sum;
}

// dQ, into rows of `dq_row`.
template <unsigned C>
__device__ __forceinline__ void queries_gradient(const float* q, const float* kv, const float* grad, const float* rows, const float* inner,
                                                 float* dq, unsigned q_row, unsigned kv_row, unsigned k_offset, unsigned v_offset,
                                                 const Shape& shape, const Drop& drop) {
    DYNAMIC_SHARED(float, shared);
    const unsigned pitch = C + 4;
    const int W = C / LANES;
    float* qs = shared;
    float* gs = qs + QUERIES * pitch;
    float* ks = gs + QUERIES * pitch;
    // The values, then dS: rows of KEY_PITCH.
    float* vs = ks + KEYS * pitch;
    float* ds = vs;
    unsigned tiles = cells(shape.queries, QUERIES), chunks = cells(shape.width, C), width = shape.width;
    unsigned id = blockIdx.x / tiles, sequence = id / shape.heads, head = id % shape.heads;
    unsigned first = blockIdx.x % tiles * QUERIES, queries = least(shape.queries - first, QUERIES);
    unsigned r = threadIdx.x / LANES, lane = threadIdx.x % LANES, columns = shape.heads * width;
    bool fours = width % 4 == 0;
    unsigned long long start_q = head_start(sequence, shape.queries, q_row, 0, head, width) + static_cast<unsigned long long>(first) * q_row;
    q += start_q;
    dq += start_q;
    grad += head_start(sequence, shape.queries, columns, 0, head, width) + static_cast<unsigned long long>(first) * columns;
    const float* k = kv + head_start(sequence, shape.kv_rows, kv_row, k_offset, head, width);
    const float* v = kv + head_start(sequence, shape.kv_rows, kv_row, v_offset, head, width);
    float scale = exponent_scale(width), by_root = 1.0f / sqrtf(static_cast<float>(width));
    unsigned seen = shape.visible(sequence, first + queries - 1);

    float acc[4][W], most[4], inverse[4], mean[4];
    unsigned visible[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        unsigned query = first + least(r + STEPS * i, queries - 1);
        unsigned long long row = static_cast<unsigned long long>(id) * shape.queries + query;
        most[i] = rows[2 * row];
        inverse[i] = rows[2 * row + 1];
        mean[i] = inner[row];
        visible[i] = shape.visible(sequence, query);
#pragma unroll
        for (int w = 0; w < W; w++) acc[i][w] = 0.0f;
    }
    for (unsigned start = 0; start < seen; start += KEYS) {
        unsigned keys = least(seen - start, KEYS);
        unsigned long long place = static_cast<unsigned long long>(start) * kv_row;
        float s[4][8], dp[4][8];
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 8; j++) s[i][j] = dp[i][j] = 0.0f;
        }
        for (unsigned chunk = 0; chunk < chunks; chunk++) {
            unsigned rest = width - chunk * C;
            __syncthreads();
            if (chunks > 1 || start == 0) {
                load_rows<C, QUERIES>(qs, q + chunk * C, q_row, queries, rest, fours);
                load_rows<C, QUERIES>(gs, grad + chunk * C, columns, queries, rest, fours);
            }
            load_rows<C, KEYS>(ks, k + place + chunk * C, kv_row, keys, rest, fours);
            load_rows<C, KEYS>(vs, v + place + chunk * C, kv_row, keys, rest, fours);
            __syncthreads();
            scores<C>(qs + r * pitch, ks + lane * pitch, keys <= LANES, s);
            scores<C>(gs + r * pitch, vs + lane * pitch, keys <= LANES, dp);
        }
        __syncthreads();
        if (chunks > 1) load_rows<C, KEYS>(ks, k + place + blockIdx.y * C, kv_row, keys, width - blockIdx.y * C, fours);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float factors[8];
            if (drop.threshold > 0) {
                drop_factors(drop, id * shape.queries + first + r + STEPS * i, start / 128 * 16 + lane, factors);
            }
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float p = start + lane + LANES * j < visible[i] ? exp2f((s[i][j] - most[i]) * scale) * inverse[i] : 0.0f;
                float masked = drop.threshold > 0 ? dp[i][j] * factors[j] : dp[i][j];
                ds[(r + STEPS * i) * KEY_PITCH + lane + LANES * j] = visible[i] > 1 ? p * (masked - mean[i]) * by_root : 0.0f;
            }
        }
        __syncthreads();
        add_rows<C>(ds + r * KEY_PITCH, KEY_PITCH, ks + lane * W, cells(keys, 4) * 4, acc);
    }
    unsigned column = blockIdx.y * C + lane * W;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        unsigned query = r + STEPS * i;
        if (query < queries) {
#pragma unroll
            for (int w = 0; w < W; w++) {
                if (column + w < width) dq[static_cast<unsigned long long>(query) * q_row + column + w] = acc[i][w];
            }
        }
    }
}

#define QUERIES_GRADIENT(C)                                                                                                     \
    extern "C" __global__ void __launch_bounds__(THREADS, 3) react_attention_queries_##C(                                          \
        const float* q, const float* kv, const unsigned* lengths, const float* grad, const float* rows, const float* inner,     \
        float* dq, unsigned heads, unsigned queries, unsigned keys, unsigned width, unsigned causal, unsigned kv_rows,          \
        unsigned q_row, unsigned kv_row, unsigned k_offset, unsigned v_offset, unsigned key0, unsigned key1, unsigned site, unsigned step,      \
        unsigned threshold, float scale) {                                                                                      \
        Shape shape = {heads, queries, keys, width, causal, kv_rows, lengths};                                                  \
        Drop drop = {key0, key1, site, step, threshold, scale};                                                                 \
        queries_gradient<C>(q, kv, grad, rows, inner, dq, q_row, kv_row, k_offset, v_offset, shape, drop);                      \
    }
QUERIES_GRADIENT(16)
QUERIES_GRADIENT(32)
QUERIES_GRADIENT(64)

// dK and dV, into rows of `kv_row`. A thread's keys are r + 8·i of its block's 32, its queries lane + 16·j of a step's 64.
template <unsigned C>
__device__ __forceinline__ void keys_gradient(const float* q, const float* kv, const float* grad, const float* rows, const float* inner,
                                              float* dkv, unsigned q_row, unsigned kv_row, unsigned k_offset, unsigned v_offset,
                                              const Shape& shape, const Drop& drop) {
    DYNAMIC_SHARED(float, shared);
    const unsigned pitch = C + 4;
    const int W = C / LANES;
    float* ks = shared;
    float* vs = ks + BLOCK_KEYS * pitch;
    float* qs = vs + BLOCK_KEYS * pitch;
    float* gs = qs + STEP_QUERIES * pitch;
    // P̃ᵀ, then dSᵀ: rows of QUERY_PITCH, each written and read by 16 lanes of one warp.
    float* ps = gs + STEP_QUERIES * pitch;
    unsigned tiles = cells(shape.keys, BLOCK_KEYS), chunks = cells(shape.width, C), width = shape.width;
    unsigned id = blockIdx.x / tiles, sequence = id / shape.heads, head = id % shape.heads;
    unsigned first = blockIdx.x % tiles * BLOCK_KEYS, keys = least(shape.keys - first, BLOCK_KEYS);
    unsigned r = threadIdx.x / LANES, lane = threadIdx.x % LANES, columns = shape.heads * width;
    bool fours = width % 4 == 0;
    q += head_start(sequence, shape.queries, q_row, 0, head, width);
    grad += head_start(sequence, shape.queries, columns, 0, head, width);
    unsigned long long skip = static_cast<unsigned long long>(first) * kv_row;
    unsigned long long k = head_start(sequence, shape.kv_rows, kv_row, k_offset, head, width) + skip;
    unsigned long long v = head_start(sequence, shape.kv_rows, kv_row, v_offset, head, width) + skip;
    float scale = exponent_scale(width), by_root = 1.0f / sqrtf(static_cast<float>(width));
    // The first query that sees any of these keys.
    unsigned begin = 0, hidden = shape.keys - shape.queries;
    if (shape.causal && first > hidden) begin = first - hidden;
    if (shape.lengths != nullptr && first >= shape.lengths[sequence]) begin = shape.queries;

    float dk[4][W], dv[4][W];
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int w = 0; w < W; w++) dk[i][w] = dv[i][w] = 0.0f;
    }
    for (unsigned start = begin; start < shape.queries; start += STEP_QUERIES) {
        unsigned queries = least(shape.queries - start, STEP_QUERIES);
        const float* q_rows = q + static_cast<unsigned long long>(start) * q_row;
        const float* grad_rows = grad + static_cast<unsigned long long>(start) * columns;
        float s[4][4], dp[4][4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) s[i][j] = dp[i][j] = 0.0f;
        }
        for (unsigned chunk = 0; chunk < chunks; chunk++) {
            unsigned rest = width - chunk * C;
            __syncthreads();
            if (chunks > 1 || start == begin) {
                load_rows<C, BLOCK_KEYS>(ks, kv + k + chunk * C, kv_row, keys, rest, fours);
                load_rows<C, BLOCK_KEYS>(vs, kv + v + chunk * C, kv_row, keys, rest, fours);
            }
            load_rows<C, STEP_QUERIES>(qs, q_rows + chunk * C, q_row, queries, rest, fours);
            load_rows<C, STEP_QUERIES>(gs, grad_rows + chunk * C, columns, queries, rest, fours);
            __syncthreads();
            row_products<C, 4, 4>(ks + r * pitch, qs + lane * pitch, s);
            row_products<C, 4, 4>(vs + r * pitch, gs + lane * pitch, dp);
        }
        if (chunks > 1) {
            unsigned rest = width - blockIdx.y * C;
            __syncthreads();
            load_rows<C, STEP_QUERIES>(qs, q_rows + blockIdx.y * C, q_row, queries, rest, fours);
            load_rows<C, STEP_QUERIES>(gs, grad_rows + blockIdx.y * C, columns, queries, rest, fours);
            __syncthreads();
        }
        // s becomes dS, and P̃ goes where its product reads it.
#pragma unroll
        for (int j = 0; j < 4; j++) {
            unsigned query = start + least(lane + LANES * j, queries - 1);
            unsigned long long row = static_cast<unsigned long long>(id) * shape.queries + query;
            float most = rows[2 * row], inverse = rows[2 * row + 1], mean = inner[row];
            unsigned visible = lane + LANES * j < queries ? shape.visible(sequence, query) : 0;
            float factors[4] = {1.0f, 1.0f, 1.0f, 1.0f};
            if (drop.threshold > 0) {
                // Of the eight draws of a call two are of these 32 keys: halves of the word that is theirs.
#pragma unroll
                for (int l = 0; l < 2; l++) {
                    uint4 words = philox(drop.key0, drop.key1,
                                         make_uint4(first / 128 * 16 + r + STEPS * l, static_cast<unsigned>(row), drop.site, drop.step));
                    unsigned part = first % 128 / 32;
                    unsigned word = part == 0 ? words.x : part == 1 ? words.y : part == 2 ? words.z : words.w;
                    factors[l] = (word & 0xffffu) < drop.threshold ? 0.0f : drop.scale;
                    factors[l + 2] = word >> 16 < drop.threshold ? 0.0f : drop.scale;
                }
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                float p = first + r + STEPS * i < visible ? exp2f((s[i][j] - most) * scale) * inverse : 0.0f;
                ps[(r + STEPS * i) * QUERY_PITCH + lane + LANES * j] = p * factors[i];
                s[i][j] = visible > 1 ? p * (dp[i][j] * factors[i] - mean) * by_root : 0.0f;
            }
        }
        unsigned fours_of_queries = cells(queries, 4) * 4;
        __syncwarp();
        add_rows<C>(ps + r * QUERY_PITCH, QUERY_PITCH, gs + lane * W, fours_of_queries, dv);
        __syncwarp();
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) ps[(r + STEPS * i) * QUERY_PITCH + lane + LANES * j] = s[i][j];
        }
        __syncwarp();
        add_rows<C>(ps + r * QUERY_PITCH, QUERY_PITCH, qs + lane * W, fours_of_queries, dk);
        __syncwarp();
    }
    unsigned column = blockIdx.y * C + lane * W;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        unsigned key = r + STEPS * i;
        if (key < keys) {
            unsigned long long place = static_cast<unsigned long long>(key) * kv_row + column;
#pragma unroll
            for (int w = 0; w < W; w++) {
                if (column + w < width) {
                    dkv[k + place + w] = dk[i][w];
                    dkv[v + place + w] = dv[i][w];
                }
            }
        }
    }
}

#define KEYS_GRADIENT(C)                                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS, 3) react_attention_keys_##C(                                             \
        const float* q, const float* kv, const unsigned* lengths, const float* grad, const float* rows, const float* inner,     \
        float* dkv, unsigned heads, unsigned queries, unsigned keys, unsigned width, unsigned causal, unsigned kv_rows,         \
        unsigned q_row, unsigned kv_row, unsigned k_offset, unsigned v_offset, unsigned key0, unsigned key1, unsigned site, unsigned step,      \
        unsigned threshold, float scale) {                                                                                      \
        Shape shape = {heads, queries, keys, width, causal, kv_rows, lengths};                                                  \
        Drop drop = {key0, key1, site, step, threshold, scale};                                                                 \
        keys_gradient<C>(q, kv, grad, rows, inner, dkv, q_row, kv_row, k_offset, v_offset, shape, drop);                        \
    }
KEYS_GRADIENT(16)
KEYS_GRADIENT(32)
KEYS_GRADIENT(64)
