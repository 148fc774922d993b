// Threads that help a run: one pool per process, shared by every plan, and one team per run.
//
// The thread that runs a plan leads; helpers from the pool join when they are free and take units of work from a counter.
// Nothing waits for a helper that has not come, so any number of runs share the pool without deadlock, and which thread does
// a unit never shows in the result.
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
  // number of threads asked for and distinct among threads at work. work must not throw.
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

  // Open: units may be taken. A helper counts itself in `active` before it looks at `open`; the leader closes, then waits for
  // active == 0, before it touches the region again. (Sequentially consistent on both.)
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
  // The process's pool; it ends with its last user.
  static std::shared_ptr<Pool> shared();
  ~Pool();

  // A team of at most `threads` > 1, the caller its leader until it dismisses it; the pool's own. Teams are used again: nothing is
  // allocated once as many run at once, with as many threads, as ever will.
  Team& gather(int threads);
  void dismiss(Team& team);

 private:
  void helper();
  const std::shared_ptr<Team>& spare_team();  // under the mutex

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Team>> teams_;  // all there are; one that is not open and that no helper holds is free
  std::vector<std::shared_ptr<Team>> open_;
  std::atomic<int> waiting_{0};  // places that open teams still offer
  std::vector<std::thread> threads_;
  std::atomic<bool> stopping_{false};
};

}  // namespace mg
