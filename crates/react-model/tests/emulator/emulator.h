// The words of CUDA for kernels compiled as C++: a block's threads are coroutines that change places at barriers and shuffles.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define EMULATOR 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static
#define __constant__ static const

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) double2 { double x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

namespace emulator {
// What a thread sees of itself.
struct Thread {
    uint3 index;
    unsigned lane;
    // Eight words that lanes hand each other, twice: a lane can be one exchange ahead of another.
    unsigned words[2][8];
    unsigned exchanges;
    Thread* warp;  // Its warp's first thread.
    unsigned warp_size;
};
extern Thread* current;
extern uint3 block_index;
extern dim3 block_size, grid_size;

void* dynamic_shared();
void block_barrier();
// Waits for the lanes of `mask`; `what` names the operation, which must be the same for all of them.
void warp_barrier(unsigned mask, const char* what);
[[noreturn]] void fail(const char* what);

// Gives the lanes of `mask` each other's words: those of lane l are at exchanged(l) until the next exchange but one.
template <typename T>
unsigned exchange(unsigned mask, const T& value, const char* what) {
    static_assert(sizeof(T) <= 32);
    Thread* me = current;
    if (!(mask >> me->lane & 1)) fail("a lane takes part in a warp's operation whose mask leaves it out");
    unsigned half = me->exchanges++ % 2;
    std::memcpy(me->words[half], &value, sizeof(T));
    warp_barrier(mask, what);
    return half;
}

template <typename T>
T word_of(unsigned lane, unsigned half) {
    T value;
    std::memcpy(&value, current->warp[lane].words[half], sizeof(T));
    return value;
}

// What lane `from` gave; a lane that takes no part gives nothing that is defined.
template <typename T>
T shuffle(unsigned mask, T value, unsigned from, bool valid, const char* what) {
    unsigned half = exchange(mask, value, what);
    if (!valid) return value;
    if (from >= current->warp_size || !(mask >> from & 1)) fail("a shuffle reads a lane that takes no part in it");
    return word_of<T>(from, half);
}
}  // namespace emulator

#define threadIdx (emulator::current->index)
#define blockIdx (emulator::block_index)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)

inline void __syncthreads() { emulator::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { emulator::exchange(mask, 0u, "__syncwarp"); }

template <typename T>
T __shfl_sync(unsigned mask, T value, unsigned from, unsigned width = 32) {
    unsigned base = emulator::current->lane / width * width;
    return emulator::shuffle(mask, value, base + from % width, true, "__shfl_sync");
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned with, unsigned width = 32) {
    unsigned from = emulator::current->lane ^ with;
    return emulator::shuffle(mask, value, from, from / width <= emulator::current->lane / width, "__shfl_xor_sync");
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, unsigned width = 32) {
    unsigned lane = emulator::current->lane;
    return emulator::shuffle(mask, value, lane + by, lane % width + by < width, "__shfl_down_sync");
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, unsigned width = 32) {
    unsigned lane = emulator::current->lane;
    return emulator::shuffle(mask, value, lane - by, lane % width >= by, "__shfl_up_sync");
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    unsigned half = emulator::exchange(mask, static_cast<unsigned>(predicate != 0), "__ballot_sync"), votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        if (mask >> lane & 1) votes |= emulator::word_of<unsigned>(lane, half) << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == mask; }
inline unsigned __activemask() { emulator::fail("__activemask is not portable: give the mask"); }

// Threads run in turn: nothing comes between reading and writing.
inline unsigned atomicMin(unsigned* at, unsigned value) {
    unsigned old = *at;
    if (value < old) *at = value;
    return old;
}

template <typename T>
inline T __ldg(const T* at) { return *at; }
template <typename T>
inline T __ldcs(const T* at) { return *at; }
template <typename T>
inline void __stcs(T* at, T value) { *at = value; }
template <typename T>
inline void __stcg(T* at, T value) { *at = value; }

inline float __uint_as_float(unsigned bits) { float x; std::memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; std::memcpy(&bits, &x, 4); return bits; }
inline float __int_as_float(int bits) { float x; std::memcpy(&x, &bits, 4); return x; }
inline int __float_as_int(float x) { int bits; std::memcpy(&bits, &x, 4); return bits; }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline float __saturatef(float x) { return x < 0 || x != x ? 0.0f : x > 1 ? 1.0f : x; }
inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
inline unsigned __float2uint_rn(float x) { return static_cast<unsigned>(rintf(x)); }
inline int min(int a, int b) { return a < b ? a : b; }
inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

// A kernel by name; the arguments come as pointers to their values.
struct Kernel {
    const char* name;
    unsigned count;
    const char* types;  // One letter each: p(ointer), u(nsigned), f(loat).
    void (*call)(void** arguments);
};

template <typename T>
constexpr char letter() {
    if (std::is_pointer<T>::value) return 'p';
    if (std::is_same<T, unsigned>::value) return 'u';
    if (std::is_same<T, float>::value) return 'f';
    return '?';
}

template <auto F>
struct Entry;
template <typename... A, void (*F)(A...)>
struct Entry<F> {
    static constexpr char types[] = {letter<A>()..., 0};
    template <size_t... I>
    static void spread(void** arguments, std::index_sequence<I...>) { F(*static_cast<A*>(arguments[I])...); }
    static void call(void** arguments) { spread(arguments, std::index_sequence_for<A...>()); }
    static constexpr Kernel kernel(const char* name) { return {name, sizeof...(A), types, &call}; }
};

extern const Kernel kernels[];
extern const unsigned kernel_count;
