// Runs the threads of a cluster of blocks as fibers; see kernel.h. One launch at a time in the process.
//
// A thread runs until it ends, or until it reaches a meeting (a barrier, a warp-wide call) before all others. Then the next one continues,
// without a scheduler in between: first the threads that have not begun, in the cluster's order, then those that were woken, in turn or the
// latest first. The last one to reach a meeting wakes the rest. A fiber runs one thread after another as long as they do not wait.
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include <sys/mman.h>

#include "cuda/device/runtime.h"
#include "cuda/emulation/machine.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(MG_SANITIZED)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(MG_RACES)
#include <sanitizer/tsan_interface.h>
#endif

namespace mg_cuda {

emulation::Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

Machine machine;

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

namespace {

constexpr size_t kStackBytes = 256 * 1024;  // AddressSanitizer's frames are large
constexpr unsigned kMostClusterBlocks = 8;

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

// ThreadSanitizer's view of a thread. Its threads are those of the kernel: they are ordered by barriers and warp-wide calls alone, although they
// run one after another. So each has a stack of its own.
#if defined(MG_RACES)
constexpr bool kSeesRaces = true;
struct Watched {
  void* fiber = nullptr;
};
void watch(const Watched& to) { __tsan_switch_to_fiber(to.fiber, __tsan_switch_to_fiber_no_sync); }
void gives(void* order) { __tsan_release(order); }
void takes(void* order) { __tsan_acquire(order); }
#else
constexpr bool kSeesRaces = false;
struct Watched {};
void watch(const Watched&) {}
void gives(void*) {}
void takes(void*) {}
#endif

struct Scheduler {
  std::mutex one_launch;
  std::vector<Context> fibers;
  std::vector<Context*> idle;  // fibers without a thread
  char* stacks = nullptr;
  Context host;
  Context* running = nullptr;
  std::vector<Thread> threads;
  std::vector<Thread*> order;  // in which threads begin
  size_t begun = 0;            // threads of `order`
  int left = 0;                // threads that have not ended
  std::vector<Thread*> woken;  // a ring
  size_t first_woken = 0, past_woken = 0;
  bool latest_first = false;  // which of the woken threads goes on: a warp runs as far ahead as it can, or all go on in turn
  const std::function<void()>* body = nullptr;
  unsigned launches = 0;
  std::vector<Watched> watched;  // of `threads`
  Watched watched_host;
  char beginning, ending;  // of a cluster's threads, for takes and gives
} scheduler;

size_t index_of(const Thread& thread) { return static_cast<size_t>(&thread - scheduler.threads.data()); }

void set_running(Thread& thread) {
  Thread* const last = machine.thread;
  if (last != nullptr && (last->block != thread.block || last->number / kWarp != thread.number / kWarp)) settle_all(*last, false);
  machine.thread = &thread;
  threadIdx.x = thread.number;
  blockIdx = thread.block->index;
  if (kSeesRaces) watch(scheduler.watched[index_of(thread)]);
}

// Switches from this fiber to the next.
void go_on() {
  Scheduler& s = scheduler;
  Context* from = s.running;
  if (s.begun < s.order.size()) {
    if (kSeesRaces) {
      s.running = &s.fibers[index_of(*s.order[s.begun])];
    } else {
      s.running = s.idle.back();
      s.idle.pop_back();
    }
  } else if (s.first_woken != s.past_woken) {
    set_running(*s.woken[(s.latest_first ? --s.past_woken : s.first_woken++) % s.woken.size()]);
    s.running = running().context;
  } else if (s.left == 0) {
    s.running = &s.host;
    watch(s.watched_host);
  } else {
    fail("threads wait at a barrier or in a warp-wide call that others never reach");
  }
  if (s.running != from) change(*from, *s.running);
}

}  // namespace

void wait_in(Meeting& meeting) {
  Thread& self = running();
  char* const order = &meeting.orders[meeting.releases % 2];
  meeting.waiting.push_back(&self);
  self.context = scheduler.running;
  go_on();
  takes(order);
}

void release(Meeting& meeting) {
  Scheduler& s = scheduler;
  meeting.arrived = 0;
  takes(&meeting.orders[meeting.releases++ % 2]);
  for (Thread* thread : meeting.waiting) s.woken[s.past_woken++ % s.woken.size()] = thread;
  meeting.waiting.clear();
  if (!meeting.carried.empty()) see(meeting.carried), meeting.carried.clear();
}

void follow(Meeting& meeting) { takes(&meeting.orders[(meeting.releases + 1) % 2]); }

void count_in(Meeting& meeting) {
  meeting.arrived++;
  gives(&meeting.orders[meeting.releases % 2]);
}

void arrive_in(Meeting& meeting) {
  Thread& self = running();
  count_in(meeting);
  meeting.carried.insert(meeting.carried.end(), self.fenced.begin(), self.fenced.end());
  self.fenced.clear();
}

namespace {

void leave(Meeting& meeting) {
  if (--meeting.size > 0 && meeting.arrived == meeting.size) release(meeting);
}

void leave_cluster(const Thread& thread) {
  Meeting& cluster = machine.cluster;
  if (thread.cluster_arrivals > machine.cluster_phase) cluster.arrived--;  // it has arrived and does not wait
  if (--cluster.size == 0 || cluster.arrived < cluster.size) return;
  machine.cluster_phase++;
  release(cluster);
}

// Its memory is gone: others that still read it get NaN.
void end_block(Block& block) {
  std::memset(block.shared, 0xFF, block.bytes);
  for (const Thread& thread : scheduler.threads)
    if (thread.block == &block) check_events(thread);
  for (const BulkLoad& load : machine.loads)
    if (load.block == &block) fail("a block ended with bulk copies on their way to its shared memory; wait for their barrier first");
}

void fiber_entry() {
  Scheduler& s = scheduler;
#if defined(MG_SANITIZED)
  __sanitizer_finish_switch_fiber(nullptr, &left_behind->stack, &left_behind->stack_bytes);
#endif
  for (Context* const self = s.running;; go_on()) {
    while (s.begun < s.order.size() && (!kSeesRaces || self == &s.fibers[index_of(*s.order[s.begun])])) {
      set_running(*s.order[s.begun++]);
      takes(&s.beginning);
      (*s.body)();
      gives(&s.ending);
      const Unwatched unwatched;
      Thread& thread = running();
      Block& block = *thread.block;
      check_copies_done(thread);
      check_steps_done(thread);
      s.left--;
      leave(block.warps[thread.number / kWarp]);
      leave(block.all);
      leave_cluster(thread);
      if (--block.left == 0) end_block(block);
    }
    if (!kSeesRaces) s.idle.push_back(self);
  }
}

void make_fibers(Scheduler& s, size_t count) {
  constexpr size_t kMost = kMostThreads * kMostClusterBlocks;
  if (s.stacks == nullptr) {
    void* memory = mmap(nullptr, kStackBytes * kMost, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for stacks");
    s.stacks = static_cast<char*>(memory);
    s.fibers.reserve(kMost);
  }
  while (s.fibers.size() < count) {
    Context& fiber = s.fibers.emplace_back();
    prepare(fiber, s.stacks + (s.fibers.size() - 1) * kStackBytes, fiber_entry);
    s.idle.push_back(&fiber);
  }
#if defined(MG_RACES)
  s.watched_host.fiber = __tsan_get_current_fiber();
  while (s.watched.size() < count) s.watched.push_back({__tsan_create_fiber(0)});
#endif
}

// The order in which the threads of a cluster begin: warps forwards, backwards or shuffled, and their lanes forwards or backwards.
void order_threads(Scheduler& s, int threads, unsigned seed) {
  const int warps = threads / kWarp * static_cast<int>(machine.blocks.size());
  std::vector<int> order(static_cast<size_t>(warps));
  for (int i = 0; i < warps; i++) order[static_cast<size_t>(i)] = seed % 3 == 1 ? warps - 1 - i : i;
  if (seed % 3 == 2) {
    std::minstd_rand random(seed);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[random() % i]);
  }
  s.order.clear();
  for (const int w : order)
    for (int l = 0; l < kWarp; l++) s.order.push_back(&s.threads[static_cast<size_t>(w * kWarp + (seed % 2 == 0 ? l : kWarp - 1 - l))]);
}

void reset(Meeting& meeting, int size) {
  meeting.size = size, meeting.arrived = 0;
  meeting.waiting.clear(), meeting.carried.clear();
}

void begin_block(Block& block, int threads, size_t shared_bytes) {
  void* shared = nullptr;
  if (posix_memalign(&shared, 128, shared_bytes == 0 ? 1 : shared_bytes) != 0) fail("no memory");
  std::memset(shared, 0xFF, shared_bytes);  // as floats: NaN
  block.shared = static_cast<char*>(shared), block.bytes = shared_bytes;
  block.left = threads;
  reset(block.all, threads);
  for (Meeting& meeting : block.named) reset(meeting, 0);
  const auto warps = static_cast<size_t>(threads / kWarp);
  block.warps.resize(warps), block.words.resize(warps);
  for (Meeting& meeting : block.warps) reset(meeting, kWarp);
  block.barriers.clear();
  block.view.seen.clear();
  for (auto& events : block.events) events.clear();
  for (auto& steps : block.steps) steps.clear();
}

void begin_thread(Thread& thread, Block& block, unsigned number) {
  thread.number = number, thread.block = &block;
  thread.calls = 0, thread.cluster_arrivals = 0;
  thread.copied = 0, thread.group = 0, thread.copies.clear();
  thread.stored = 0, thread.store_group = 0, thread.stores.clear();
  thread.fenced.clear(), thread.unfenced.clear();
  thread.events = 0, thread.steps = 0, thread.step_group = 0, thread.may_step = false;
  thread.sums.clear(), thread.known.clear();
}

}  // namespace

void run_clusters(Index grid, unsigned cluster_blocks, int threads, size_t shared_bytes, const std::function<void()>& body) {
  Scheduler& s = scheduler;
  Machine& m = machine;
  const std::lock_guard lock(s.one_launch);
  if (threads <= 0 || threads % kWarp != 0 || threads > kMostThreads) fail("threads per block must be a multiple of 32, at most 1024");
  if (shared_bytes > device_facts().shared_bytes) fail("more shared memory than a block can have");
  if (grid.x == 0 || grid.y == 0 || grid.y > 65535) fail("a launch without blocks, or with more than 65535 along y");
  if (cluster_blocks == 0 || cluster_blocks > kMostClusterBlocks || grid.x % cluster_blocks != 0)
    fail("a cluster has 1 to 8 blocks, and the blocks along x are whole clusters");
  const size_t count = static_cast<size_t>(threads) * cluster_blocks;
  make_fibers(s, count);
  s.body = &body;
  gridDim = grid;
  blockDim = {static_cast<unsigned>(threads), 1};
  s.threads.resize(count), s.woken.resize(count);
  s.first_woken = s.past_woken = 0;
  while (m.blocks.size() < cluster_blocks) m.blocks.push_back(std::make_unique<Block>());
  m.blocks.resize(cluster_blocks);
  unsigned seed = s.launches++;
  for (unsigned y = 0; y < grid.y; y++)
    for (unsigned x = 0; x < grid.x; x += cluster_blocks, seed++) {
      for (unsigned rank = 0; rank < cluster_blocks; rank++) {
        Block& block = *m.blocks[rank];
        block.index = {x + rank, y}, block.rank = rank;
        begin_block(block, threads, shared_bytes);
        for (int i = 0; i < threads; i++)
          begin_thread(s.threads[static_cast<size_t>(rank) * threads + static_cast<size_t>(i)], block, static_cast<unsigned>(i));
      }
      m.thread = nullptr;
      reset(m.cluster, static_cast<int>(count));
      m.cluster_phase = 0;
      const unsigned mixed = seed * 2654435761u >> 8;
      m.early = mixed / 6 % 2 != 0, s.latest_first = mixed / 12 % 2 != 0;
      order_threads(s, threads, mixed);
      s.begun = 0, s.left = static_cast<int>(count);
      s.running = &s.host;
      gives(&s.beginning);
      go_on();
      takes(&s.ending);
      for (auto& block : m.blocks) std::free(block->shared);
    }
}

void begin_kernel() { running().began = true; }

std::function<void()> that_begins(std::function<void()> thread) {
  return [thread = std::move(thread)] {
    running().began = false;
    thread();
    if (!running().began) fail("a kernel ended without begin_kernel()");
  };
}

void run_grid(Grid grid, int threads, size_t shared_bytes, const std::function<void()>& thread) {
  run_clusters({grid.x, grid.y}, 1, threads, shared_bytes, thread);
}

const Words* meet(const char* name, const Words& mine, void (*combine)(Words* lanes)) {
  const Unwatched unwatched;
  Block& block = *running().block;
  const auto w = static_cast<size_t>(warp());
  const unsigned turn = running().calls++ % 2;
  Meeting& meeting = block.warps[w];
  if (meeting.size != kWarp) fail("a warp-wide call after some lanes have ended");
  WarpWords& shared = block.words[w];
  if (meeting.arrived == 0) shared.name[turn] = name;
  if (shared.name[turn] != name) fail("lanes of a warp are in different warp-wide calls");
  shared.words[turn][lane()] = mine;
  count_in(meeting);
  if (meeting.arrived < kWarp) {
    wait_in(meeting);
  } else {
    if (combine != nullptr) combine(shared.words[turn]);
    release(meeting);
  }
  return shared.words[turn];
}

char* shared_memory() { return running().block->shared; }

}  // namespace emulation
}  // namespace mg_cuda
