// One thread per environment that executes its asynchronous steps in order. It does not use libuv's pool, which belongs to the user.
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

  /// Appends a job, which must not throw. The first job starts the thread. @throws Failure if it cannot start.
  void post(std::function<void()> job);

  /// Waits for the running job, drops those that have not begun and ends the thread. Idempotent.
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
