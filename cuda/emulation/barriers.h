// Barriers of some threads, in shared memory and of a cluster, and bulk copies, on the CPU; see device/barriers.h. Bulk copies arrive as early as
// they can or as late as the waits allow.
#pragma once
#include <functional>

#include "cuda/emulation/kernel.h"

namespace mg_cuda {

namespace emulation {

void named_barrier(int number, int threads);
void named_arrive(int number, int threads);

void make_barrier(uint64_t* barrier, int arrivals);
void barriers_made();
void barrier_arrive(uint64_t* barrier);
void barrier_expect(uint64_t* barrier, int64_t bytes);
bool barrier_try_wait(uint64_t* barrier, unsigned parity);

void bulk_load(void* shared, const void* global, size_t bytes, uint64_t* barrier);
void bulk_store(void* global, const void* shared, size_t bytes);
void bulk_commit();
void bulk_wait(int pending, bool only_reads);

unsigned cluster_rank();
unsigned cluster_size();
char* map_shared(const void* own, unsigned rank);
void cluster_arrive();
void cluster_wait();

// Runs `body` once for every thread of every block. cluster_blocks: neighbours along x that run together.
void run_clusters(Index grid, unsigned cluster_blocks, int threads, size_t shared_bytes, const std::function<void()>& body);

}  // namespace emulation

inline void named_barrier(int number, int threads MG_AND_SITE) { MG_UNLESS_OFF emulation::named_barrier(number, threads); }
inline void named_arrive(int number, int threads MG_AND_SITE) { MG_UNLESS_OFF emulation::named_arrive(number, threads); }

inline void make_barrier(MemoryBarrier* barrier, int arrivals) { emulation::make_barrier(&barrier->word, arrivals); }
inline void barriers_made(MG_SITE) { MG_UNLESS_OFF emulation::barriers_made(); }
inline void barrier_arrive(MemoryBarrier* barrier MG_AND_SITE) { MG_UNLESS_OFF emulation::barrier_arrive(&barrier->word); }
inline void barrier_arrive_at(MemoryBarrier* own, unsigned rank MG_AND_SITE) {
  MG_UNLESS_OFF emulation::barrier_arrive(reinterpret_cast<uint64_t*>(emulation::map_shared(own, rank)));
}
inline void barrier_expect(MemoryBarrier* barrier, uint32_t bytes MG_AND_SITE) { MG_UNLESS_OFF emulation::barrier_expect(&barrier->word, bytes); }
inline bool barrier_try_wait(MemoryBarrier* barrier, uint32_t parity) { return emulation::barrier_try_wait(&barrier->word, parity); }
inline void barrier_wait(MemoryBarrier* barrier, uint32_t parity MG_AND_SITE) { MG_UNLESS_OFF emulation::barrier_try_wait(&barrier->word, parity); }

inline void bulk_load(void* shared, const void* global, uint32_t bytes, MemoryBarrier* barrier) {
  emulation::bulk_load(shared, global, bytes, &barrier->word);
}
inline void bulk_store(void* global, const void* shared, uint32_t bytes) { emulation::bulk_store(global, shared, bytes); }
inline void bulk_commit(MG_SITE) { MG_UNLESS_OFF emulation::bulk_commit(); }
template <int kPending>
void bulk_wait(MG_SITE) {
  MG_UNLESS_OFF emulation::bulk_wait(kPending, false);
}
template <int kPending>
void bulk_wait_read(MG_SITE) {
  MG_UNLESS_OFF emulation::bulk_wait(kPending, true);
}

inline unsigned cluster_rank() { return emulation::cluster_rank(); }
inline unsigned cluster_size() { return emulation::cluster_size(); }
template <class T>
T* map_shared(T* own, unsigned rank) {
  return reinterpret_cast<T*>(emulation::map_shared(own, rank));
}
inline void cluster_arrive(MG_SITE) { MG_UNLESS_OFF emulation::cluster_arrive(); }
inline void cluster_wait(MG_SITE) { MG_UNLESS_OFF emulation::cluster_wait(); }

}  // namespace mg_cuda
