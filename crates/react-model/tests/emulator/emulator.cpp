// Runs one launch of one kernel on the CPU, to find what a card would hide: reads and writes outside an array, lanes missing at a
// barrier, arrays nobody wrote. Blocks run in turn and in no natural order; the threads of a block are coroutines.
//
// stdin:  name, grid (3), block (3), shared, count of arrays, each: bytes and content; count of arguments, each: kind
//         and value: 0 array (its number), 1 unsigned, 2 float (bits), 3 null, 4 table (count, numbers of arrays), 5 numbers (count, numbers).
// stdout: "ok" and the arrays' contents, or "no" and a sentence. All numbers are 32 bits, little endian; strings: length and bytes.
#include "emulator.h"

#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace {
const size_t PAGE = 4096, STACK = 64 * 1024;
const unsigned char UNWRITTEN = 0xff;  // A NaN in every type of float.

struct Array {
    unsigned char* map;
    size_t map_bytes;
    unsigned char* begin;
    size_t bytes;
};
std::vector<Array> arrays;
std::string launch_name;
const Kernel* kernel;
std::vector<void*> arguments;
unsigned shared_bytes;
dim3 whole_grid, whole_block;

void put(const void* bytes, size_t n) {
    const char* at = static_cast<const char*>(bytes);
    while (n > 0) {
        ssize_t done = write(1, at, n);
        if (done <= 0) _exit(3);
        at += done;
        n -= static_cast<size_t>(done);
    }
}

[[noreturn]] void answer_no(const std::string& what) {
    std::string text = launch_name + ": " + what;
    uint32_t n = static_cast<uint32_t>(text.size());
    put("no", 2);
    put(&n, 4);
    put(text.data(), n);
    _exit(0);
}

std::string here() {
    char text[160] = "";
    if (emulator::current)
        snprintf(text, sizeof text, " (block %u %u %u, thread %u %u %u)", emulator::block_index.x, emulator::block_index.y,
                 emulator::block_index.z, threadIdx.x, threadIdx.y, threadIdx.z);
    return text;
}

// ---- Coroutines -----------------------------------------------------------------------------------------------------------------
#if defined(__x86_64__)
struct Context { void* stack; };
extern "C" void switch_context(Context* from, Context* to);
asm(R"(
.text
.type switch_context, @function
switch_context:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size switch_context, .-switch_context
)");
void prepare(Context* context, unsigned char* stack, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + STACK) - 2;
    *--top = nullptr;  // As if `entry` had been called: the stack is 8 off a multiple of 16.
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    context->stack = top;
}
#else
struct Context { ucontext_t at; };
void switch_context(Context* from, Context* to) { swapcontext(&from->at, &to->at); }
void prepare(Context* context, unsigned char* stack, void (*entry)()) {
    getcontext(&context->at);
    context->at.uc_stack.ss_sp = stack;
    context->at.uc_stack.ss_size = STACK;
    context->at.uc_link = nullptr;
    makecontext(&context->at, entry, 0);
}
#endif

enum class Waits { Nothing, Block, Warp, Done };
struct Coroutine {
    emulator::Thread thread;
    Context context;
    Waits waits;
    unsigned mask;
    const char* what;
};

struct Block {
    std::vector<Coroutine> threads;
    std::vector<emulator::Thread> views;
    unsigned char* stacks = nullptr;
    unsigned char* shared = nullptr;
    size_t shared_map = 0;
    Context scheduler;
    Coroutine* running = nullptr;

    Block();
    ~Block();
    void run(uint3 index);
    bool resume(unsigned i);
    bool release_warps();
};
Block* block;

unsigned char* map(size_t bytes) {
    void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) answer_no("no memory");
    return static_cast<unsigned char*>(at);
}
size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

void thread_main() {
    kernel->call(arguments.data());
    block->running->waits = Waits::Done;
    switch_context(&block->running->context, &block->scheduler);
    abort();
}

Block::Block() : threads(size_t{whole_block.x} * whole_block.y * whole_block.z), views(threads.size()) {
    stacks = map(threads.size() * STACK);
    // Dynamic shared memory ends where reading faults, but for what 16 bytes of alignment leave.
    shared_map = pages(shared_bytes + 16) + PAGE;
    unsigned char* start = map(shared_map);
    mprotect(start + shared_map - PAGE, PAGE, PROT_NONE);
    shared = start + shared_map - PAGE - (shared_bytes + 15) / 16 * 16;
}
Block::~Block() {
    munmap(stacks, threads.size() * STACK);
    munmap(reinterpret_cast<unsigned char*>(reinterpret_cast<uintptr_t>(shared) / PAGE * PAGE), PAGE);
}

void Block::run(uint3 index) {
    block = this;
    emulator::block_index = index;
    emulator::block_size = whole_block;
    emulator::grid_size = whole_grid;
    memset(shared, UNWRITTEN, (shared_bytes + 15) / 16 * 16);
    unsigned n = static_cast<unsigned>(threads.size());
    for (unsigned i = 0; i < n; i++) {
        Coroutine& c = threads[i];
        emulator::Thread& t = views[i];
        t.index = {i % whole_block.x, i / whole_block.x % whole_block.y, i / whole_block.x / whole_block.y};
        t.lane = i % 32;
        t.exchanges = 0;
        t.warp = &views[i / 32 * 32];
        t.warp_size = n - i / 32 * 32 < 32 ? n - i / 32 * 32 : 32;
        c.waits = Waits::Nothing;
        prepare(&c.context, stacks + size_t{i} * STACK, thread_main);
    }
    // Between barriers threads run upwards and downwards by turns: who needs a barrier that is not there reads what is not yet written.
    for (bool down = index.x % 2 == 1;; down = !down) {
        bool moved = false;
        for (unsigned k = 0; k < n; k++) moved |= resume(down ? n - 1 - k : k);
        moved |= release_warps();
        unsigned done = 0, at_barrier = 0;
        for (const Coroutine& c : threads) {
            done += c.waits == Waits::Done;
            at_barrier += c.waits == Waits::Block;
        }
        if (done == n) break;
        if (at_barrier == n) {
            for (Coroutine& c : threads) c.waits = Waits::Nothing;
        } else if (!moved) {
            for (unsigned i = 0; i < n; i++) {
                if (threads[i].waits == Waits::Done) continue;
                emulator::current = &views[i];
                if (threads[i].waits == Waits::Warp) answer_no(std::string("lanes are missing at ") + threads[i].what + here());
            }
            answer_no("threads are missing at __syncthreads: they returned, or wait elsewhere" + here());
        }
    }
    emulator::current = nullptr;
}

bool Block::resume(unsigned i) {
    Coroutine& c = threads[i];
    if (c.waits != Waits::Nothing) return false;
    running = &c;
    emulator::current = &views[i];
    switch_context(&scheduler, &c.context);
    return true;
}

// Lets go each group of lanes that has come together.
bool Block::release_warps() {
    bool moved = false;
    for (size_t first = 0; first < threads.size(); first += 32) {
        size_t size = threads.size() - first < 32 ? threads.size() - first : 32;
        for (size_t lane = 0; lane < size; lane++) {
            Coroutine& c = threads[first + lane];
            if (c.waits != Waits::Warp) continue;
            unsigned mask = size == 32 ? c.mask : c.mask & ((1u << size) - 1);
            bool together = true;
            for (size_t other = 0; other < size; other++) {
                const Coroutine& o = threads[first + other];
                if (!(mask >> other & 1)) continue;
                together &= o.waits == Waits::Warp && o.mask == c.mask;
                if (o.waits == Waits::Warp && o.mask == c.mask && strcmp(o.what, c.what) != 0) {
                    emulator::current = &views[first + other];
                    answer_no(std::string("lanes of a warp meet at ") + c.what + " and " + o.what + here());
                }
            }
            if (!together) continue;
            for (size_t other = 0; other < size; other++)
                if (mask >> other & 1) threads[first + other].waits = Waits::Nothing;
            moved = true;
        }
    }
    return moved;
}

void wait(Waits waits, unsigned mask, const char* what) {
    Block* mine = block;
    Coroutine* self = mine->running;
    self->waits = waits;
    self->mask = mask;
    self->what = what;
    switch_context(&self->context, &mine->scheduler);
}

// ---- What a kernel must not do ----------------------------------------------------------------------------------------------------

void on_fault(int signal, siginfo_t* info, void*) {
    if (signal == SIGALRM) answer_no("does not end" + here());
    if (signal == SIGFPE) answer_no("divides by zero" + here());
    unsigned char* at = static_cast<unsigned char*>(info->si_addr);
    for (size_t i = 0; i < arrays.size(); i++) {
        const Array& a = arrays[i];
        if (at < a.map || at >= a.map + a.map_bytes) continue;
        answer_no("reads or writes byte " + std::to_string(at - a.begin) + " of array " + std::to_string(i) + ", which has " +
                  std::to_string(a.bytes) + here());
    }
    if (block && at >= block->shared && at < block->shared + shared_bytes + PAGE)
        answer_no("reads or writes byte " + std::to_string(at - block->shared) + " of " + std::to_string(shared_bytes) +
                  " of shared memory" + here());
    char text[64];
    snprintf(text, sizeof text, "reads or writes at %p, outside of every array", static_cast<void*>(at));
    answer_no(text + here());
}

void watch_faults() {
    // Threads' stacks are small, and a fault may be one's overflow.
    stack_t stack = {};
    stack.ss_sp = map(STACK);
    stack.ss_size = STACK;
    sigaltstack(&stack, nullptr);
}

// What lies right before and behind the arrays, where no page ends.
void check_surroundings() {
    for (size_t i = 0; i < arrays.size(); i++) {
        const Array& a = arrays[i];
        for (unsigned char* at = a.map + PAGE; at < a.begin; at++)
            if (*at != UNWRITTEN) answer_no("writes before array " + std::to_string(i) + ", at byte " + std::to_string(at - a.begin));
        for (unsigned char* at = a.begin + a.bytes; at < a.map + a.map_bytes - PAGE; at++)
            if (*at != UNWRITTEN) answer_no("writes behind array " + std::to_string(i) + ", at byte " + std::to_string(at - a.begin));
    }
}

// ---- The launch --------------------------------------------------------------------------------------------------------------------

void get(void* bytes, size_t n) {
    char* at = static_cast<char*>(bytes);
    while (n > 0) {
        ssize_t done = read(0, at, n);
        if (done <= 0) answer_no("the launch's description ends early");
        at += done;
        n -= static_cast<size_t>(done);
    }
}
uint32_t number() {
    uint32_t x;
    get(&x, 4);
    return x;
}

// An array that ends where a page does, but for what alignment to 16 bytes leaves; `fill` writes its content.
template <typename F>
Array place(size_t bytes, F fill) {
    Array a;
    a.bytes = bytes;
    size_t rounded = (bytes + 15) / 16 * 16, inner = pages(rounded + 1);
    a.map_bytes = inner + 2 * PAGE;
    a.map = map(a.map_bytes);
    a.begin = a.map + PAGE + inner - rounded;
    memset(a.map + PAGE, UNWRITTEN, inner);
    fill(a.begin);
    mprotect(a.map, PAGE, PROT_NONE);
    mprotect(a.map + PAGE + inner, PAGE, PROT_NONE);
    return a;
}

void read_arrays() {
    uint32_t count = number();
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = number();
        arrays.push_back(place(bytes, [=](unsigned char* at) { get(at, bytes); }));
    }
}

// A table of numbers or addresses: no kernel writes to it.
void* constant(bool addresses) {
    uint32_t count = number();
    Array a = place(size_t{count} * (addresses ? 8 : 4), [=](unsigned char* at) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t value = number();
            uint64_t address = addresses ? reinterpret_cast<uint64_t>(arrays[value].begin) : 0;
            memcpy(at + size_t{i} * (addresses ? 8 : 4), addresses ? static_cast<void*>(&address) : &value, addresses ? 8 : 4);
        }
    });
    mprotect(a.map + PAGE, a.map_bytes - 2 * PAGE, PROT_READ);
    return a.begin;
}

void read_arguments() {
    uint32_t count = number();
    std::string types;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t kind = number();
        void** value = new void*(nullptr);
        if (kind == 0) {
            *value = arrays[number()].begin;
        } else if (kind == 1 || kind == 2) {
            uint32_t bits = number();
            memcpy(value, &bits, 4);
        } else if (kind == 4 || kind == 5) {
            *value = constant(kind == 4);
        }
        types += kind == 1 ? 'u' : kind == 2 ? 'f' : 'p';
        arguments.push_back(value);
    }
    if (types != kernel->types) answer_no("takes arguments " + std::string(kernel->types) + ", is given " + types);
}

void run_blocks() {
    uint64_t n = uint64_t{whole_grid.x} * whole_grid.y * whole_grid.z;
    auto index = [](uint64_t i) {
        return uint3{static_cast<unsigned>(i % whole_grid.x), static_cast<unsigned>(i / whole_grid.x % whole_grid.y),
                     static_cast<unsigned>(i / whole_grid.x / whole_grid.y)};
    };
    // Every block once, in steps of a prime that does not divide their number.
    uint64_t step = 7919;
    while (n % step == 0) step = step == 7919 ? 104729 : step + 2;
    Block one;
    for (uint64_t i = 0, at = n / 2; i < n; i++, at = (at + step) % n) one.run(index(at));
}
}  // namespace

namespace emulator {
Thread* current = nullptr;
uint3 block_index;
dim3 block_size, grid_size;
void* dynamic_shared() {
    if (shared_bytes == 0) answer_no("uses shared memory, but the launch has none");
    return block->shared;
}
void block_barrier() { wait(Waits::Block, 0, ""); }
void warp_barrier(unsigned mask, const char* what) { wait(Waits::Warp, mask, what); }
void fail(const char* what) { answer_no(what + here()); }
}  // namespace emulator

int main() {
    std::string name(number(), ' ');
    get(&name[0], name.size());
    launch_name = name;
    for (unsigned i = 0; i < kernel_count; i++)
        if (name == kernels[i].name) kernel = &kernels[i];
    if (!kernel) answer_no("no such kernel");
    for (unsigned* at : {&whole_grid.x, &whole_grid.y, &whole_grid.z, &whole_block.x, &whole_block.y, &whole_block.z, &shared_bytes})
        *at = number();
    read_arrays();
    read_arguments();
    watch_faults();
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGALRM}) sigaction(signal, &action, nullptr);
    alarm(300);
    run_blocks();
    check_surroundings();
    put("ok", 2);
    for (const Array& a : arrays) put(a.begin, a.bytes);
    return 0;
}
