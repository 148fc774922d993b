// Shared memory as the threads see it, and as matrix instructions and bulk copies see it; asynchronous and bulk copies. See machine.h.
//
// Threads write shared memory with plain stores, so their writes show as differences from an earlier copy. What is new at a fence, and when
// another warp goes on, is the running thread's, or another lane's of its warp: lanes do the same, so it does not matter. A fence takes the
// values along, a barrier after it shows them.
#include <algorithm>
#include <iterator>
#include <utility>

#include "cuda/emulation/machine.h"

namespace mg_cuda::emulation {
namespace {

constexpr size_t kPieces[] = {4096, 128};  // bytes compared at a time

// Calls work(place) for the words of [at, past) that differ.
template <class Work>
void each_difference(const char* a, const char* b, size_t at, size_t past, size_t level, const Work& work) {
  const size_t piece = level < std::size(kPieces) ? kPieces[level] : 4;
  for (; at < past; at += piece) {
    const size_t end = std::min(at + piece, past);
    if (std::memcmp(a + at, b + at, end - at) == 0) continue;
    if (piece == 4)
      work(at);
    else
      each_difference(a, b, at, end, level + 1, work);
  }
}

uint16_t name_of(const Thread& thread) { return static_cast<uint16_t>(thread.block->rank * kMostThreads + thread.number + 1); }

void finish(const Copy& copy) {
  std::memset(copy.to, 0, static_cast<size_t>(copy.bytes));
  if (copy.given > 0) std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.given));
}

bool is_aligned(const void* at, size_t bytes) { return reinterpret_cast<uintptr_t>(at) % bytes == 0; }

// The sources of the thread's groups of bulk stores are read until at most `pending` are left.
void read_sources(Thread& self, int pending) {
  for (BulkStore& store : self.stores)
    if (!store.read && store.group < self.store_group - pending) {
      const char* const seen = self.block->view.seen.data() + (store.from - self.block->shared);
      store.data.assign(seen, seen + store.bytes);
      store.read = true;
    }
}

void write_stores(Thread& self, int pending) {
  read_sources(self, pending);
  for (; self.stored < self.stores.size() && self.stores[self.stored].group < self.store_group - pending; self.stored++) {
    const BulkStore& store = self.stores[self.stored];
    std::memcpy(store.to, store.data.data(), store.bytes);
  }
  if (self.stored == self.stores.size()) self.stores.clear(), self.stored = 0;
}

void run_load(const BulkLoad& load) {
  write_async(*load.block, load.to, load.from, load.bytes);
  complete_bytes(load.barrier, load.bytes);
}

}  // namespace

void begin_view(Block& block) {
  AsyncView& view = block.view;
  if (view.active()) return;
  const size_t bytes = block.bytes / 4 * 4 + 4;  // not empty
  view.seen.assign(bytes, '\xFF'), view.last.assign(bytes, '\xFF');
  view.writer.assign(bytes / 4, 0);
}

void settle(Block& block, Thread& thread, bool fence) {
  const Unwatched unwatched;
  AsyncView& view = block.view;
  const uint16_t name = name_of(thread);
  each_difference(block.shared, view.last.data(), 0, block.bytes / 4 * 4, 0, [&](size_t at) {
    std::memcpy(view.last.data() + at, block.shared + at, 4);
    if (std::exchange(view.writer[at / 4], name) != name) thread.unfenced.push_back({&block, static_cast<uint32_t>(at), 0});
  });
  if (!fence) return;
  for (Word word : thread.unfenced) {
    AsyncView& of_word = word.block->view;
    if (of_word.writer[word.at / 4] != name) continue;  // somebody else has written it since
    of_word.writer[word.at / 4] = 0;
    std::memcpy(&word.value, of_word.last.data() + word.at, 4);
    thread.fenced.push_back(word);
  }
  thread.unfenced.clear();
}

void settle_all(Thread& thread, bool fence) {
  for (const auto& block : machine.blocks)
    if (block->view.active() && block->left > 0) settle(*block, thread, fence);
}

void see(const std::vector<Word>& words) {
  for (const Word& word : words) std::memcpy(word.block->view.seen.data() + word.at, &word.value, 4);
}

void write_async(Block& block, char* to, const void* from, size_t bytes) {
  const auto at = static_cast<size_t>(to - block.shared);
  for (void* copy : {static_cast<void*>(to), static_cast<void*>(block.view.seen.data() + at), static_cast<void*>(block.view.last.data() + at)})
    std::memcpy(copy, from, bytes);
  std::fill_n(block.view.writer.begin() + static_cast<int64_t>(at / 4), bytes / 4, uint16_t{0});
}

Block& block_of(const void* shared, size_t bytes) {
  for (const auto& block : machine.blocks)
    if (block->has(shared, bytes)) {
      if (block->left == 0) fail("shared memory of a block that has ended");
      return *block;
    }
  fail("an address is not in shared memory");
}

void shared_written() {
  const Unwatched unwatched;
  for (const auto& block : machine.blocks) begin_view(*block);
  settle_all(running(), true);
}

void async_copy(float* shared, const float* global, int bytes, int given) {
  if (!is_aligned(shared, static_cast<size_t>(bytes)) || !is_aligned(global, static_cast<size_t>(bytes)))
    fail("an asynchronous copy has an address that is not aligned");
  if (given < 0 || given > bytes) fail("an asynchronous copy has a negative byte count, or one above its size");
  Thread& self = running();
  self.copies.push_back({reinterpret_cast<char*>(shared), reinterpret_cast<const char*>(global), bytes, given, self.group});
  if (machine.early) finish(self.copies.back());
}

void async_commit() { running().group++; }

void async_wait(int pending) {
  Thread& self = running();
  for (; self.copied < self.copies.size() && self.copies[self.copied].group < self.group - pending; self.copied++)
    if (!machine.early) finish(self.copies[self.copied]);
  if (self.copied == self.copies.size()) self.copies.clear(), self.copied = 0;
}

void bulk_load(void* shared, const void* global, size_t bytes, uint64_t* barrier) {
  const Unwatched unwatched;
  if (!is_aligned(shared, 16) || !is_aligned(global, 16) || bytes % 16 != 0) fail("a bulk copy's addresses and size must be multiples of 16 bytes");
  Block& block = block_of(shared, bytes);
  begin_view(block);
  check_barrier(barrier);
  const BulkLoad load{&block, static_cast<char*>(shared), static_cast<const char*>(global), bytes, barrier};
  if (machine.early)
    run_load(load);
  else
    machine.loads.push_back(load);
}

bool load_for(const uint64_t* barrier) {
  std::vector<BulkLoad> mine;
  std::erase_if(machine.loads, [&](const BulkLoad& load) {
    if (load.barrier == barrier) mine.push_back(load);
    return load.barrier == barrier;
  });
  for (const BulkLoad& load : mine) run_load(load);
  return !mine.empty();
}

void bulk_store(void* global, const void* shared, size_t bytes) {
  const Unwatched unwatched;
  if (!is_aligned(shared, 16) || !is_aligned(global, 16) || bytes % 16 != 0) fail("a bulk copy's addresses and size must be multiples of 16 bytes");
  Thread& self = running();
  if (!self.block->has(shared, bytes)) fail("a bulk copy's source is not in the block's shared memory");
  begin_view(*self.block);
  self.stores.push_back({static_cast<char*>(global), static_cast<const char*>(shared), bytes, self.store_group, false, {}});
  if (machine.early) read_sources(self, -1);
}

void bulk_commit() { running().store_group++; }

void bulk_wait(int pending, bool only_reads) {
  const Unwatched unwatched;
  if (only_reads)
    read_sources(running(), pending);
  else
    write_stores(running(), pending);
}

void check_copies_done(Thread& thread) {
  const Unwatched unwatched;
  if (thread.copied < thread.copies.size()) fail("a thread ended with copies that it did not wait for; call async_wait first");
  for (const BulkStore& store : thread.stores)
    if (!store.read) fail("a thread ended with bulk copies from shared memory under way; call bulk_wait_read first");
  write_stores(thread, 0);
}

}  // namespace mg_cuda::emulation
