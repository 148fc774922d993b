// The emulated machine from inside; kernels see kernel.h, barriers.h and warpgroup.h.
//
// A launch runs its clusters one after another. The blocks of a cluster (one block, if the launch has no clusters) run together: each of
// their threads is a fiber. `machine.thread` is the one that runs.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#if defined(MG_RACES)
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

#include "cuda/device/barriers.h"
#include "cuda/device/warpgroup.h"

namespace mg_cuda::emulation {

inline constexpr int kMostThreads = 1024;  // of a block
inline constexpr int kNamedBarriers = 16;  // of a block; 0 is block_barrier's

struct Context;
struct Block;

// Ends the process with a message that names the running thread.
[[noreturn]] void fail(const char* what);

// A copy from global to shared memory by a thread. given: bytes to copy; the rest becomes 0.
struct Copy {
  char* to;
  const char* from;
  int bytes, given, group;
};

// A word of shared memory that a thread has published with a fence; others' matrix instructions and bulk copies see it after a barrier.
struct Word {
  Block* block;
  uint32_t at, value;
};

// A bulk copy from shared to global memory.
struct BulkStore {
  char* to;
  const char* from;
  size_t bytes;
  int group;
  bool read;  // the source, into `data`
  std::vector<char> data;
};

// Sums in registers whose matrix steps are under way. Until their wait the registers themselves hold kPoison.
struct PendingSums {
  float* registers = nullptr;  // null: free
  int count = 0, steps = 0;
  bool poisoned = false;
  std::array<float, 128> values;
};

// Registers that a thread's steps have used, with their contents at its last warpgroup_begin().
struct KnownRegisters {
  const void* registers;
  int bytes;
  std::array<char, 512> contents;
};

struct Thread {
  unsigned number = 0;  // in its block
  Block* block = nullptr;
  Context* context = nullptr;  // where it waits
  bool began = false;          // has called begin_kernel()
  unsigned calls = 0;          // warp-wide calls so far: even and odd ones use different words
  std::vector<Copy> copies;
  size_t copied = 0;
  int group = 0;  // the group of copies that is open
  std::vector<BulkStore> stores;
  size_t stored = 0;
  int store_group = 0;
  std::vector<Word> fenced;    // since its last barrier
  std::vector<Word> unfenced;  // written before its last fence or barrier; the values are unused
  unsigned cluster_arrivals = 0;
  // Of warpgroup instructions.
  size_t events = 0, steps = 0;
  int step_group = 0;
  bool may_step = false;  // has called warpgroup_begin() since its last wait
  std::vector<PendingSums> sums;
  std::vector<KnownRegisters> known;
};

// Threads that wait for each other. `carried`: what those that have arrived have fenced.
struct Meeting {
  int size = 0, arrived = 0;
  std::vector<Thread*> waiting;
  std::vector<Word> carried;
  unsigned releases = 0;
  char orders[2] = {};  // stand for the order that it makes, this time and the next
};

struct WarpWords {
  Words words[2][kWarp];
  const char* name[2];
};

// A barrier in shared memory; see device/barriers.h.
struct MemoryBarrierState {
  int arrivals = 0, left = 0;  // of a phase
  int64_t bytes = 0;           // expected and not yet arrived
  unsigned phase = 0;
  const Thread* maker = nullptr;
  bool made = false;  // others may use it
  Meeting meeting;
};

struct BulkLoad {
  Block* block;
  char* to;
  const char* from;
  size_t bytes;
  uint64_t* barrier;
};

// What matrix instructions and bulk copies see of shared memory: a second copy, which only fences and barriers update. It begins when a block
// first uses one of them.
struct AsyncView {
  std::vector<char> seen;
  std::vector<char> last;        // shared memory when somebody last looked for changes
  std::vector<uint16_t> writer;  // of words that nobody has fenced yet: the thread's number + 1
  bool active() const { return !seen.empty(); }
};

// A step of a warp.
struct Step {
  int count = 0;  // sums of a lane
  int group = 0;
  bool accumulate = false, a_in_registers = false;
  Cores a{}, b{};
  std::vector<char> operands;  // at the issue: as the matrix instructions and as the threads see them
  const uint32_t* registers[kWarp] = {};
  uint32_t words[kWarp][4];  // of `registers`, at the issue
  int sums[kWarp] = {};      // numbers in the lanes' lists
};

struct WarpgroupEvent {
  const char* name;
  const char *a, *b;
  int a_across, b_across, count, accumulate;
  bool operator==(const WarpgroupEvent&) const = default;
};

struct Block {
  Index index;
  unsigned rank = 0;  // in its cluster
  int left = 0;       // threads that have not ended
  char* shared = nullptr;
  size_t bytes = 0;
  Meeting all;
  Meeting named[kNamedBarriers];
  std::vector<Meeting> warps;
  std::vector<WarpWords> words;
  std::map<const void*, MemoryBarrierState> barriers;
  AsyncView view;
  std::vector<std::vector<WarpgroupEvent>> events;        // of each warpgroup, in order
  std::vector<std::vector<std::unique_ptr<Step>>> steps;  // of each warp, pending; done ones are null

  bool has(const void* at, size_t count = 1) const {
    const auto* const first = static_cast<const char*>(at);
    return first >= shared && first + count <= shared + bytes;
  }
};

struct Machine {
  Thread* thread = nullptr;
  std::vector<std::unique_ptr<Block>> blocks;  // of the running cluster
  std::vector<BulkLoad> loads;                 // under way
  Meeting cluster;
  unsigned cluster_phase = 0;
  std::vector<std::unique_ptr<Step>> used_steps;  // to use again
  bool early = false;                             // whether copies arrive as early as they can, or as late
};
extern Machine machine;

// While it lives, ThreadSanitizer ignores what the running thread does: it is the machine, not the kernel.
struct Unwatched {
#if defined(MG_RACES)
  Unwatched() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__); }
  ~Unwatched() { AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  Unwatched() {}
  ~Unwatched() {}
#endif
};

inline Thread& running() { return *machine.thread; }

// Waits until somebody releases `meeting`.
void wait_in(Meeting& meeting);
// Lets the threads that wait go on; what had been fenced is then seen.
void release(Meeting& meeting);
// Orders the running thread after the last release, which it did not have to wait for.
void follow(Meeting& meeting);
// Counts the running thread; takes along what it has fenced.
void arrive_in(Meeting& meeting);

// shared.cc
void settle(Block& block, Thread& thread, bool fence);  // finds what has changed in shared memory: `thread` wrote it
void settle_all(Thread& thread, bool fence);            // in all blocks of the cluster
void begin_view(Block& block);
void see(const std::vector<Word>& words);
void write_async(Block& block, char* to, const void* from, size_t bytes);  // by the asynchronous view, so both see it
Block& block_of(const void* shared, size_t bytes);                         // the cluster's block that has these bytes
bool load_for(const uint64_t* barrier);                                    // runs the bulk loads of a barrier; false: there are none
void check_copies_done(Thread& thread);

// barriers.cc
void check_barrier(const uint64_t* barrier);
void complete_bytes(uint64_t* barrier, size_t bytes);

// warpgroup.cc
void check_steps_done(const Thread& thread);
void check_events(const Thread& thread);  // after all threads of its block

}  // namespace mg_cuda::emulation
