// See team.h. Regions of a step follow each other within microseconds, so helpers spin while a run lasts and for a moment
// after it; then they sleep.
#include "cpu/team.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mg {
namespace {

constexpr int kSpins = 256;                                      // pauses before the processor is offered to others
constexpr auto kLinger = std::chrono::microseconds(100);         // longer than the gap between two steps
inline void relax(int& spins) {
  if (++spins % kSpins == 0) {
    std::this_thread::yield();
    return;
  }
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

void Team::take_units(int member) {
  for (int64_t unit; (unit = next_.fetch_add(1, std::memory_order_relaxed)) < units_;) function_(context_, unit, member);
}

void Team::run(int64_t units, Function function, const void* context) {
  if (units <= 0) return;
  units_ = units, function_ = function, context_ = context;
  next_.store(0, std::memory_order_relaxed);
  const bool alone = units == 1;
  if (!alone) open_.store(true);
  take_units(0);
  if (alone) return;
  open_.store(false);
  for (int spins = 0; active_.load() != 0;) relax(spins);
}

void Team::help(int member) {
  for (int spins = 0; !finished_.load(std::memory_order_relaxed); relax(spins)) {
    if (!open_.load(std::memory_order_relaxed)) continue;
    active_.fetch_add(1);
    if (open_.load()) take_units(member);
    active_.fetch_sub(1);
  }
}

std::shared_ptr<Pool> Pool::shared() {
  static std::mutex mutex;
  static std::weak_ptr<Pool> current;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Pool> pool = current.lock();
  if (!pool) current = pool = std::make_shared<Pool>();
  return pool;
}

Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::shared_ptr<Team> Pool::gather(int threads) {
  std::shared_ptr<Team> team;
  {
    const std::lock_guard lock(mutex_);
    team = spare_team();
    team->wanted_ = threads - 1;
    while (static_cast<int>(threads_.size()) < team->wanted_) threads_.emplace_back([this] { helper(); });
    open_.push_back(team);
    waiting_.fetch_add(team->wanted_);
  }
  wake_.notify_all();
  return team;
}

std::shared_ptr<Team> Pool::spare_team() {
  for (const auto& team : teams_) {
    if (team.use_count() > 1) continue;
    // The last helper let go of it before this: what it wrote is seen.
    std::atomic_thread_fence(std::memory_order_acquire);
    team->finished_.store(false, std::memory_order_relaxed);
    team->members_ = 1;
    return team;
  }
  teams_.push_back(std::make_shared<Team>());
  open_.reserve(teams_.size());
  return teams_.back();
}

void Pool::dismiss(const std::shared_ptr<Team>& team) {
  team->finished_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  waiting_.fetch_sub(team->wanted_);
  team->wanted_ = 0;
  open_.erase(std::remove(open_.begin(), open_.end(), team), open_.end());
}

void Pool::helper() {
  for (;;) {
    std::shared_ptr<Team> team;
    int member = 0;
    {
      const auto until = std::chrono::steady_clock::now() + kLinger;
      for (int spins = 0; waiting_.load(std::memory_order_relaxed) == 0 && std::chrono::steady_clock::now() < until;) relax(spins);
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || waiting_.load() > 0; });
      if (stopping_) return;
      for (const auto& candidate : open_)
        if (candidate->wanted_ > 0) team = candidate;
      if (!team) continue;
      team->wanted_--;
      waiting_.fetch_sub(1);
      member = team->members_++;
    }
    team->help(member);
  }
}

}  // namespace mg
