// One thread of an environment that executes its asynchronous steps in order: never libuv's pool, which is the user's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace multigate {

class Runner {
 public:
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner() { stop(); }

  /// Appends a job, which must not throw. The thread starts with the first. @throws Failure where it cannot start.
  void post(std::function<void()> job);

  /// Waits for the job under way, drops those that have not begun, ends the thread. Idempotent.
  void stop() noexcept;

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace multigate
