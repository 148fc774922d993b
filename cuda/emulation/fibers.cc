// Runs the threads of a block as fibers; see kernel.h. One launch at a time in the process.
//
// A thread runs until it ends, or until it reaches a meeting (a barrier, a warp-wide call) before all others. Then the next one continues,
// without a scheduler in between: first the threads that have not begun, in the launch's order, then those that were woken. The last one
// to reach a meeting wakes the rest. A fiber runs one thread after another as long as they do not wait.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include <sys/mman.h>

#include "cuda/device/runtime.h"
#include "cuda/emulation/kernel.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(MG_SANITIZED)
#include <sanitizer/common_interface_defs.h>
#endif

namespace mg_cuda {

emulation::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr size_t kStackBytes = 256 * 1024;  // AddressSanitizer's frames are large
constexpr int kMostThreads = 1024;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "emulation: %s (block %u, %u; thread %u)\n", what, blockIdx.x, blockIdx.y, threadIdx.x);
  std::abort();
}

// A point to resume from: a stack and the processor's registers.
struct Context {
#if defined(__x86_64__)
  void* stack_pointer = nullptr;
#else
  ucontext_t context{};
#endif
  const void* stack = nullptr;
  size_t stack_bytes = 0;
};

#if defined(__x86_64__)
extern "C" void multigate_switch_stack(void** save, void* to);
// Saves the callee-saved registers. The compiler has saved the rest around the call.
asm(R"(
  .text
  .globl multigate_switch_stack
  .hidden multigate_switch_stack
  .type multigate_switch_stack, @function
multigate_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size multigate_switch_stack, . - multigate_switch_stack
)");
#endif

void prepare(Context& fiber, char* stack, void (*entry)()) {
  fiber.stack = stack, fiber.stack_bytes = kStackBytes;
#if defined(__x86_64__)
  // As if `entry` had just been called: its address is where the switch returns to, with six registers below.
  auto* top = reinterpret_cast<void**>(stack + kStackBytes);
  top[-2] = reinterpret_cast<void*>(entry);
  fiber.stack_pointer = top - 8;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack, fiber.context.uc_stack.ss_size = kStackBytes, fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, entry, 0);
#endif
}

[[maybe_unused]] Context* left_behind = nullptr;  // by the last switch, when AddressSanitizer reports its stack's bounds

void change(Context& from, Context& to) {
#if defined(MG_SANITIZED)
  void* fake_stack = nullptr;
  left_behind = &from;
  __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.stack_bytes);
#endif
#if defined(__x86_64__)
  multigate_switch_stack(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
#if defined(MG_SANITIZED)
  __sanitizer_finish_switch_fiber(fake_stack, &left_behind->stack, &left_behind->stack_bytes);
#endif
}

struct Copy {
  float* to;
  const float* from;
  int bytes, given, group;  // given: bytes to copy; the rest becomes 0
};

struct Thread {
  Context* context = nullptr;  // where it waits
  bool waiting = false;
  unsigned calls = 0;  // warp-wide calls so far: even and odd ones use different words
  std::vector<Copy> copies;
  size_t copied = 0;
  int group = 0;  // the group of copies that is open
};

// Threads that wait for each other: consecutive in the launch's order, from `first` on.
struct Meeting {
  int first = 0, size = 0;
  int live = 0, arrived = 0;
};

struct WarpWords {
  Words words[2][kWarp];
  const char* name[2];
};

struct Machine {
  std::mutex one_launch;
  std::vector<Thread> threads = std::vector<Thread>(kMostThreads);
  std::vector<Context> fibers;
  std::vector<Context*> idle;  // fibers without a thread
  Context host;
  Context* running = nullptr;
  std::vector<int> order;
  size_t begun = 0;  // threads of `order`
  int left = 0;      // threads that have not ended
  int woken[kMostThreads] = {};
  unsigned first_woken = 0, last_woken = 0;
  Meeting block;
  std::vector<Meeting> warps;
  std::vector<WarpWords> words;
  char* shared_memory = nullptr;
  const std::function<void()>* body = nullptr;
  unsigned launches = 0;
} machine;

Thread& running() { return machine.threads[threadIdx.x]; }

// Switches from this fiber to the next.
void go_on() {
  Machine& m = machine;
  Context* from = m.running;
  if (m.begun < m.order.size()) {
    m.running = m.idle.back();
    m.idle.pop_back();
  } else if (m.first_woken != m.last_woken) {
    threadIdx.x = static_cast<unsigned>(m.woken[m.first_woken++ % kMostThreads]);
    m.running = running().context;
  } else if (m.left == 0) {
    m.running = &m.host;
  } else {
    fail("threads wait at a barrier or in a warp-wide call that others never reach");
  }
  if (m.running != from) change(*from, *m.running);
}

void release(Meeting& meeting) {
  Machine& m = machine;
  meeting.arrived = 0;
  for (int i = meeting.first; i < meeting.first + meeting.size; i++) {
    const int thread = m.order[static_cast<size_t>(i)];
    if (std::exchange(m.threads[static_cast<size_t>(thread)].waiting, false)) m.woken[m.last_woken++ % kMostThreads] = thread;
  }
}

void wait(Meeting& meeting) {
  if (++meeting.arrived == meeting.live) return release(meeting);
  Thread& self = running();
  self.waiting = true;
  self.context = machine.running;
  go_on();
}

void leave(Meeting& meeting) {
  if (--meeting.live > 0 && meeting.arrived == meeting.live) release(meeting);
}

void fiber_entry() {
  Machine& m = machine;
#if defined(MG_SANITIZED)
  __sanitizer_finish_switch_fiber(nullptr, &left_behind->stack, &left_behind->stack_bytes);
#endif
  for (Context* const self = m.running;; go_on()) {
    while (m.begun < m.order.size()) {
      threadIdx.x = static_cast<unsigned>(m.order[m.begun++]);
      (*m.body)();
      if (running().copied < running().copies.size()) fail("a thread ended with copies that it did not wait for; call async_wait first");
      m.left--;
      leave(m.warps[static_cast<size_t>(warp())]);
      leave(m.block);
    }
    m.idle.push_back(self);
  }
}

void make_fibers(Machine& m) {
  void* memory = mmap(nullptr, kStackBytes * kMostThreads, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fail("no memory for stacks");
  m.fibers.resize(kMostThreads);
  for (Context& fiber : m.fibers) {
    prepare(fiber, static_cast<char*>(memory) + static_cast<size_t>(&fiber - m.fibers.data()) * kStackBytes, fiber_entry);
    m.idle.push_back(&fiber);
  }
}

// The order in which threads run: warps forwards, backwards or shuffled.
std::vector<int> order_of(int threads, unsigned launch) {
  const int warps = threads / kWarp;
  std::vector<int> order(static_cast<size_t>(warps));
  for (int i = 0; i < warps; i++) order[static_cast<size_t>(i)] = launch % 3 == 1 ? warps - 1 - i : i;
  std::mt19937 random(launch);
  if (launch % 3 == 2)
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random() % i]);
  std::vector<int> result;
  for (const int w : order)
    for (int l = 0; l < kWarp; l++) result.push_back(w * kWarp + (launch % 2 == 0 ? l : kWarp - 1 - l));
  return result;
}

void run_block(int threads) {
  Machine& m = machine;
  m.block = {0, threads, threads, 0};
  m.warps.resize(static_cast<size_t>(threads / kWarp));
  m.words.resize(m.warps.size());
  for (int i = 0; i < threads; i += kWarp) m.warps[static_cast<size_t>(m.order[static_cast<size_t>(i)] / kWarp)] = {i, kWarp, kWarp, 0};
  for (int i = 0; i < threads; i++) {
    Thread& thread = m.threads[static_cast<size_t>(i)];
    thread.calls = 0, thread.copied = 0, thread.group = 0;
    thread.copies.clear();
  }
  m.begun = 0, m.left = threads;
  m.running = &m.host;
  go_on();
}

}  // namespace

void run_grid(Grid grid, int threads, size_t shared_bytes, const std::function<void()>& thread) {
  Machine& m = machine;
  const std::lock_guard lock(m.one_launch);
  if (threads <= 0 || threads % kWarp != 0 || threads > kMostThreads) fail("threads per block must be a multiple of 32, at most 1024");
  if (shared_bytes > device_facts().shared_bytes) fail("more shared memory than a block can have");
  if (grid.x == 0 || grid.y == 0 || grid.y > 65535) fail("a launch without blocks, or with more than 65535 along y");
  if (m.fibers.empty()) make_fibers(m);
  m.body = &thread;
  gridDim = {grid.x, grid.y};
  blockDim = {static_cast<unsigned>(threads), 1};
  m.order = order_of(threads, m.launches++);
  for (blockIdx.y = 0; blockIdx.y < grid.y; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < grid.x; blockIdx.x++) {
      void* shared = nullptr;
      if (posix_memalign(&shared, 16, shared_bytes == 0 ? 1 : shared_bytes) != 0) fail("no memory");
      std::memset(shared, 0xFF, shared_bytes);  // as floats: NaN
      m.shared_memory = static_cast<char*>(shared);
      run_block(threads);
      std::free(shared);
    }
}

const Words* meet(const char* name, const Words& mine, void (*combine)(Words* lanes)) {
  Machine& m = machine;
  const auto w = static_cast<size_t>(warp());
  const unsigned turn = running().calls++ % 2;
  Meeting& meeting = m.warps[w];
  if (meeting.live != kWarp) fail("a warp-wide call after some lanes have ended");
  WarpWords& shared = m.words[w];
  if (meeting.arrived == 0) shared.name[turn] = name;
  if (shared.name[turn] != name) fail("lanes of a warp are in different warp-wide calls");
  shared.words[turn][lane()] = mine;
  if (combine != nullptr && meeting.arrived == kWarp - 1) combine(shared.words[turn]);
  wait(meeting);
  return shared.words[turn];
}

void block_barrier() { wait(machine.block); }

char* shared_memory() { return machine.shared_memory; }

void async_copy(float* shared, const float* global, int bytes, int given) {
  if (reinterpret_cast<uintptr_t>(shared) % static_cast<uintptr_t>(bytes) != 0 ||
      reinterpret_cast<uintptr_t>(global) % static_cast<uintptr_t>(bytes) != 0)
    fail("an asynchronous copy has an address that is not aligned");
  if (given < 0 || given > bytes) fail("an asynchronous copy has a negative byte count, or one above its size");
  running().copies.push_back({shared, global, bytes, given, running().group});
}

void async_commit() { running().group++; }

void async_wait(int pending) {
  Thread& self = running();
  for (; self.copied < self.copies.size() && self.copies[self.copied].group < self.group - pending; self.copied++) {
    const Copy& copy = self.copies[self.copied];
    std::memset(copy.to, 0, static_cast<size_t>(copy.bytes));
    if (copy.given > 0) std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.given));
  }
  if (self.copied == self.copies.size()) self.copies.clear(), self.copied = 0;
}

}  // namespace emulation
}  // namespace mg_cuda
