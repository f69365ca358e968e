// What the kernels share. No header but this one: nvcc compiles the kernels to PTX, and the tests' emulator (tests/emulator) compiles
// them as C++, with EMULATOR defined and the words of CUDA given by emulator.h.
//
// Every array of a plan begins at a multiple of 16 bytes, so that a kernel may read 128 bits at a time from its start.
#pragma once

typedef unsigned short bf16;

#define WARP 32u
#define ALL_LANES 0xffffffffu

// Dynamic shared memory as an array of T; its size is the launch's. Once in a kernel.
#ifdef EMULATOR
#define DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(emulator::dynamic_shared())
#else
extern __shared__ __align__(16) unsigned char react_shared[];
#define DYNAMIC_SHARED(T, name) T* name = reinterpret_cast<T*>(react_shared)
#endif

__device__ __forceinline__ unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

__device__ __forceinline__ unsigned cells(unsigned n, unsigned size) { return (n + size - 1) / size; }

// ---- bf16 -----------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ float from_bf16(bf16 x) { return __uint_as_float(static_cast<unsigned>(x) << 16); }

// To the nearest, ties to even; any NaN becomes 0x7fff, as the card's own instruction has it.
__device__ __forceinline__ bf16 to_bf16(float x) {
#ifdef EMULATOR
    unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return static_cast<bf16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
#else
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
    return y;
#endif
}

// Two of them in a word, the first in the low half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
#ifdef EMULATOR
    return static_cast<unsigned>(to_bf16(low)) | static_cast<unsigned>(to_bf16(high)) << 16;
#else
    unsigned y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
#endif
}

__device__ __forceinline__ float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// One interface over both types, for templates.
__device__ __forceinline__ float load(const float* x, unsigned long long i) { return x[i]; }
__device__ __forceinline__ float load(const bf16* x, unsigned long long i) { return from_bf16(x[i]); }
__device__ __forceinline__ void store(float* x, unsigned long long i, float value) { x[i] = value; }
__device__ __forceinline__ void store(bf16* x, unsigned long long i, float value) { x[i] = to_bf16(value); }

// Four elements from index 4·i on, the array's start being aligned.
__device__ __forceinline__ float4 load4(const float* x, unsigned long long i) { return reinterpret_cast<const float4*>(x)[i]; }
__device__ __forceinline__ float4 load4(const bf16* x, unsigned long long i) {
    uint2 pair = reinterpret_cast<const uint2*>(x)[i];
    return make_float4(low_bf16(pair.x), high_bf16(pair.x), low_bf16(pair.y), high_bf16(pair.y));
}
__device__ __forceinline__ void store4(float* x, unsigned long long i, float4 value) { reinterpret_cast<float4*>(x)[i] = value; }
__device__ __forceinline__ void store4(bf16* x, unsigned long long i, float4 value) {
    reinterpret_cast<uint2*>(x)[i] = make_uint2(pack_bf16(value.x, value.y), pack_bf16(value.z, value.w));
}

// ---- Sums in a fixed order: every run gives the same bits -------------------------------------------------------------------------

// Over groups of N neighbouring lanes, a power of two; every lane of a group gets it.
template <unsigned N, typename T>
__device__ __forceinline__ T lanes_sum(T x) {
#pragma unroll
    for (unsigned step = N / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

template <unsigned N>
__device__ __forceinline__ float lanes_max(float x) {
#pragma unroll
    for (unsigned step = N / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, step));
    return x;
}

template <typename T>
__device__ __forceinline__ T warp_sum(T x) {
    return lanes_sum<WARP>(x);
}

__device__ __forceinline__ float warp_max(float x) { return lanes_max<WARP>(x); }

// Over a block of one dimension and whole warps; every thread gets the sum. All threads must call it.
template <typename T>
__device__ __forceinline__ T block_sum(T x) {
    __shared__ T parts[WARP];
    x = warp_sum(x);
    __syncthreads();  // An earlier call's parts have been read.
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    T total = parts[0];
    for (unsigned warp = 1; warp < blockDim.x / WARP; warp++) total += parts[warp];
    return total;
}

__device__ __forceinline__ float block_max(float x) {
    __shared__ float parts[WARP];
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = x;
    __syncthreads();
    float total = parts[0];
    for (unsigned warp = 1; warp < blockDim.x / WARP; warp++) total = fmaxf(total, parts[warp]);
    return total;
}

// ---- Random numbers: Philox 4×32-10, as in react-random --------------------------------------------------------------------------

__device__ __forceinline__ uint4 philox(unsigned key0, unsigned key1, uint4 c) {
#pragma unroll
    for (int round = 0; round < 10; round++) {
        if (round > 0) {
            key0 += 0x9E3779B9u;
            key1 += 0xBB67AE85u;
        }
        unsigned high0 = __umulhi(c.x, 0xD2511F53u), low0 = c.x * 0xD2511F53u;
        unsigned high1 = __umulhi(c.z, 0xCD9E8D57u), low1 = c.z * 0xCD9E8D57u;
        c = make_uint4(high1 ^ c.y ^ key0, low1, high0 ^ c.w ^ key1, low0);
    }
    return c;
}

// A dropout mask (kernels/random.rs). A threshold of 0 and a scale of 1 drop nothing.
struct Drop {
    unsigned key0, key1, site, step, threshold;
    float scale;
};

// The factors, 0 or 1/(1 − p), of eight elements of a row: factor i is that of element (counter / 16)·128 + 16·i + counter % 16.
__device__ __forceinline__ void drop_factors(const Drop& drop, unsigned row, unsigned counter, float factors[8]) {
    uint4 words = philox(drop.key0, drop.key1, make_uint4(counter, row, drop.site, drop.step));
    unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 8; i++) {
        unsigned draw = i % 2 == 0 ? word[i / 2] & 0xffffu : word[i / 2] >> 16;
        factors[i] = draw < drop.threshold ? 0.0f : drop.scale;
    }
}

// The factor of one element of a row.
__device__ __forceinline__ float drop_factor(const Drop& drop, unsigned row, unsigned element) {
    unsigned i = element % 128 / 16;
    uint4 words = philox(drop.key0, drop.key1, make_uint4(element / 128 * 16 + element % 16, row, drop.site, drop.step));
    unsigned word = i / 2 == 0 ? words.x : i / 2 == 1 ? words.y : i / 2 == 2 ? words.z : words.w;
    unsigned draw = i % 2 == 0 ? word & 0xffffu : word >> 16;
    return draw < drop.threshold ? 0.0f : drop.scale;
}
