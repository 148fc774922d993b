// Threads that help a run: one pool per process, shared by every plan, and one team per run.
//
// The thread that runs a plan leads. Helpers from the pool join when they are free and take units of work from a counter.
// Nothing waits for a helper that has not joined, so any number of runs can share the pool without deadlock. Results do not
// depend on which thread runs a unit.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace mg {

class Team {
 public:
  // Calls work(unit, member) for every unit in [0, units), in any order, and returns when all are done. member is below the
  // requested number of threads and distinct among active threads. work must not throw.
  template <class Work>
  void parallel(int64_t units, const Work& work) {
    run(
        units, [](const void* context, int64_t unit, int member) { (*static_cast<const Work*>(context))(unit, member); }, &work);
  }

 private:
  friend class Pool;
  using Function = void (*)(const void* context, int64_t unit, int member);

  void run(int64_t units, Function function, const void* context);
  void take_units(int member);
  void help(int member);

  // While open, helpers may take units. A helper counts itself in `active` before it reads `open`. The leader closes, then waits
  // for active == 0, before it touches the region again. (Both are sequentially consistent.)
  std::atomic<bool> open_{false}, finished_{false};
  std::atomic<int> active_{0};
  std::atomic<int64_t> next_{0};
  int64_t units_ = 0;
  Function function_ = nullptr;
  const void* context_ = nullptr;
  int wanted_ = 0, members_ = 1;  // under the pool's mutex; member 0 is the leader
};

class Pool {
 public:
  // The process's pool. It ends with its last user.
  static std::shared_ptr<Pool> shared();
  ~Pool();

  // A team of at most `threads` > 1. The caller leads it until it dismisses it; the pool owns it. Teams are reused: allocation stops
  // once the largest number of concurrent runs and threads has occurred.
  Team& gather(int threads);
  void dismiss(Team& team);

 private:
  void helper();
  const std::shared_ptr<Team>& spare_team();  // hold the mutex

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Team>> teams_;  // all teams; one is free if it is not open and no helper holds it
  std::vector<std::shared_ptr<Team>> open_;
  std::atomic<int> waiting_{0};  // free places in open teams
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
};

}  // namespace mg
