// See team.h. Regions of a step follow each other within microseconds, and waking a sleeping thread takes longer than many runs.
// So helpers spin during a run and for a while after it: kLinger if the run before came within that time, else kGlance. Then
// they sleep. While spinning they yield the processor to threads that want it.
#include "cpu/team.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace mg {
namespace {

constexpr int kSpins = 256;                                // pauses before yielding the processor
constexpr auto kLinger = std::chrono::microseconds(1000);  // time between two requests of a busy server
constexpr auto kGlance = std::chrono::microseconds(100);   // time between two steps

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

Team& Pool::gather(int threads) {
  Team* team = nullptr;
  {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(threads_.size()) < threads - 1) threads_.emplace_back([this] { helper(); });
    const std::shared_ptr<Team>& spare = spare_team();
    team = spare.get();
    team->wanted_ = threads - 1;
    open_.push_back(spare);
    waiting_.fetch_add(team->wanted_);
  }
  wake_.notify_all();
  return *team;
}

const std::shared_ptr<Team>& Pool::spare_team() {
  // A helper holds at most one team, maybe a closed one. So with this many teams one is free.
  const size_t enough = open_.size() + threads_.size() + 1;
  if (teams_.size() < enough) {
    open_.reserve(enough);
    while (teams_.size() < enough) teams_.push_back(std::make_shared<Team>());
  }
  const auto spare = std::find_if(teams_.begin(), teams_.end(), [](const auto& team) { return team.use_count() == 1; });
  // The last helper released it before this, so its writes are visible.
  std::atomic_thread_fence(std::memory_order_acquire);
  (*spare)->finished_.store(false, std::memory_order_relaxed);
  (*spare)->members_ = 1;
  return *spare;
}

void Pool::dismiss(Team& team) {
  team.finished_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  waiting_.fetch_sub(team.wanted_);
  team.wanted_ = 0;
  open_.erase(std::find_if(open_.begin(), open_.end(), [&](const auto& open) { return open.get() == &team; }));
}

void Pool::helper() {
  using Clock = std::chrono::steady_clock;
  auto linger = kLinger;
  for (;;) {
    std::shared_ptr<Team> team;
    int member = 0;
    {
      const auto begin = Clock::now();
      const auto idle = [this] { return waiting_.load(std::memory_order_relaxed) == 0 && !stopping_.load(std::memory_order_relaxed); };
      for (int spins = 0; idle() && Clock::now() - begin < linger;) relax(spins);
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || waiting_.load() > 0; });
      if (stopping_) return;
      for (const auto& candidate : open_)
        if (candidate->wanted_ > 0) team = candidate;
      if (!team) continue;
      team->wanted_--;
      waiting_.fetch_sub(1);
      member = team->members_++;
      linger = Clock::now() - begin < kLinger ? kLinger : kGlance;
    }
    team->help(member);
  }
}

}  // namespace mg
