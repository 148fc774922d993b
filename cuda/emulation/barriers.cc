// Barriers: of a block, of some of its threads, in shared memory, of a cluster. See machine.h.
#include "cuda/emulation/machine.h"

namespace mg_cuda::emulation {
namespace {

Meeting& arrive_at_named(int number, int threads) {
  if (number < 1 || number >= kNamedBarriers) fail("a named barrier's number must be 1 to 15");
  if (threads <= 0 || threads % kWarp != 0 || threads > static_cast<int>(blockDim.x))
    fail("the threads of a named barrier must be a multiple of 32, at most the block's");
  Meeting& meeting = running().block->named[number];
  if (meeting.arrived == 0) meeting.size = threads;
  if (meeting.size != threads) fail("threads disagree about how many meet at a named barrier");
  arrive_in(meeting);
  return meeting;
}

MemoryBarrierState& state_of(const uint64_t* barrier) {
  Block& block = block_of(barrier, sizeof *barrier);
  const auto found = block.barriers.find(barrier);
  if (found == block.barriers.end()) fail("a barrier in shared memory that nobody has initialised");
  MemoryBarrierState& state = found->second;
  if (!state.made && state.maker != &running())
    fail("a barrier in shared memory is used by others before its maker's fence; call barriers_made first");
  return state;
}

// Ends the phase if all have arrived and all bytes have.
void end_phase(uint64_t* barrier, MemoryBarrierState& state) {
  if (state.left > 0) return;
  if (state.bytes > 0 && !state.meeting.waiting.empty()) load_for(barrier);  // ends the phase if it can
  if (state.left > 0 || state.bytes > 0) return;
  if (state.bytes < 0) fail("more bytes have arrived at a barrier in shared memory than it expects");
  state.phase++;
  state.left = state.arrivals;
  release(state.meeting);
}

}  // namespace

void block_barrier() {
  const Unwatched unwatched;
  Meeting& meeting = running().block->all;
  arrive_in(meeting);
  meeting.arrived == meeting.size ? release(meeting) : wait_in(meeting);
}

void warp_barrier() {
  const Unwatched unwatched;
  Thread& self = running();
  if (!self.fenced.empty()) {
    auto& carried = self.block->warps[static_cast<size_t>(warp())].carried;
    carried.insert(carried.end(), self.fenced.begin(), self.fenced.end());
    self.fenced.clear();
  }
  meet("warp_barrier", {}, nullptr);
}

void named_barrier(int number, int threads) {
  const Unwatched unwatched;
  Meeting& meeting = arrive_at_named(number, threads);
  meeting.arrived == meeting.size ? release(meeting) : wait_in(meeting);
}

void named_arrive(int number, int threads) {
  const Unwatched unwatched;
  Meeting& meeting = arrive_at_named(number, threads);
  if (meeting.arrived == meeting.size) release(meeting);
}

void make_barrier(uint64_t* barrier, int arrivals) {
  const Unwatched unwatched;
  Block& block = *running().block;
  if (!block.has(barrier, sizeof *barrier) || reinterpret_cast<uintptr_t>(barrier) % sizeof *barrier != 0)
    fail("a barrier must be in the block's shared memory, at a multiple of 8 bytes");
  if (arrivals <= 0) fail("a barrier in shared memory needs at least one arrival");
  MemoryBarrierState& state = block.barriers[barrier];
  if (!state.meeting.waiting.empty()) fail("a barrier in shared memory is initialised while threads wait at it");
  state = {};
  state.arrivals = state.left = arrivals, state.maker = &running();
}

void barriers_made() {
  const Unwatched unwatched;
  for (auto& [at, state] : running().block->barriers)
    if (state.maker == &running()) state.made = true;
}

void check_barrier(const uint64_t* barrier) { state_of(barrier); }

void barrier_arrive(uint64_t* barrier) {
  const Unwatched unwatched;
  MemoryBarrierState& state = state_of(barrier);
  if (state.left == 0) fail("more arrivals at a barrier in shared memory than it was initialised for");
  arrive_in(state.meeting);
  state.left--;
  end_phase(barrier, state);
}

void barrier_expect(uint64_t* barrier, int64_t bytes) { state_of(barrier).bytes += bytes; }

void complete_bytes(uint64_t* barrier, size_t bytes) {
  MemoryBarrierState& state = block_of(barrier, sizeof *barrier).barriers[barrier];
  state.bytes -= static_cast<int64_t>(bytes);
  if (state.bytes == 0) end_phase(barrier, state);
}

// Waits as long as it takes: the instruction may.
bool barrier_try_wait(uint64_t* barrier, unsigned parity) {
  const Unwatched unwatched;
  MemoryBarrierState& state = state_of(barrier);
  if (state.phase % 2 == parity && state.left == 0) load_for(barrier);
  state.phase % 2 == parity ? wait_in(state.meeting) : follow(state.meeting);
  return true;
}

unsigned cluster_rank() { return running().block->rank; }
unsigned cluster_size() { return static_cast<unsigned>(machine.blocks.size()); }

char* map_shared(const void* own, unsigned rank) {
  const Block& block = *running().block;
  if (!block.has(own)) fail("map_shared: the address is not in the block's shared memory");
  if (rank >= machine.blocks.size()) fail("map_shared: the cluster has no such block");
  return machine.blocks[rank]->shared + (static_cast<const char*>(own) - block.shared);
}

void cluster_arrive() {
  const Unwatched unwatched;
  Thread& self = running();
  Meeting& meeting = machine.cluster;
  if (self.cluster_arrivals != machine.cluster_phase) fail("a thread arrives at the cluster's barrier again without waiting first");
  self.cluster_arrivals++;
  arrive_in(meeting);
  if (meeting.arrived == meeting.size) machine.cluster_phase++, release(meeting);
}

void cluster_wait() {
  const Unwatched unwatched;
  running().cluster_arrivals > machine.cluster_phase ? wait_in(machine.cluster) : follow(machine.cluster);
}

}  // namespace mg_cuda::emulation
