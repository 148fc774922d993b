// Asynchronous jobs of one environment, mostly runs. The engine's runner executes them in order; the JavaScript thread settles them.
//
// Lifetime. This queue owns the jobs and lives on the JavaScript thread. The runner thread only executes a job's work and
// signals. At environment teardown the cleanup hook stops the runner (it waits for the running job) and drops all jobs
// unsettled. Hooks run last-in first-out, and the thread-safe function registers its own hook when it is created. Add our
// hook after that: then nothing signals a function that is gone.
#pragma once

#include "addon/napi_setup.h"

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "engine/runner.h"

namespace multigate::addon {

struct Library;

/// Work for the runner's thread, and the promise that waits for it.
class AsyncJob {
 public:
  explicit AsyncJob(Napi::Env env);
  AsyncJob(const AsyncJob&) = delete;
  AsyncJob& operator=(const AsyncJob&) = delete;
  virtual ~AsyncJob() = default;

  Napi::Promise promise() const { return deferred_.Promise(); }
  virtual void give_way() noexcept {}

  /// Runs on the runner's thread. Keeps a failure for settle().
  void execute() noexcept;
  /// Runs on the JavaScript thread: takes the result, ends the work, then settles the promise.
  void settle(Napi::Env env);

 protected:
  virtual void work() = 0;
  virtual Napi::Value result(Napi::Env env) = 0;
  /// Releases what the work used.
  virtual void end() noexcept = 0;

 private:
  Napi::Promise::Deferred deferred_;
  const Library* library_;  // the library that asked for it
  std::optional<Failure> failure_;
};

/// Work without a result: a Shuffle or a Drawing.
template <class Work>
class AsyncWork : public AsyncJob {
 public:
  AsyncWork(Napi::Env env, std::unique_ptr<Work> work) : AsyncJob(env), work_(std::move(work)) {}

 protected:
  void work() override { work_->execute(); }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }
  void end() noexcept override { work_.reset(); }

 private:
  std::unique_ptr<Work> work_;
};

/// A run and the arrays it writes.
class AsyncRun : public AsyncJob {
 public:
  struct Output {
    int32_t buffer;
    int64_t length;
    Napi::Reference<Napi::Value> array;
  };

  AsyncRun(Napi::Env env, std::unique_ptr<Step> step, std::vector<Output> outputs)
      : AsyncJob(env), step_(std::move(step)), outputs_(std::move(outputs)) {}

  void give_way() noexcept override { step_->give_way(); }

 protected:
  void work() override { step_->execute(); }
  Napi::Value result(Napi::Env env) override;
  void end() noexcept override { step_.reset(); }

 private:
  std::unique_ptr<Step> step_;
  std::vector<Output> outputs_;
};

class AsyncQueue {
 public:
  explicit AsyncQueue(Napi::Env env);
  AsyncQueue(const AsyncQueue&) = delete;
  AsyncQueue& operator=(const AsyncQueue&) = delete;

  /// Asks the jobs before it to yield.
  Napi::Promise post(std::unique_ptr<AsyncJob> job);
  void give_way() noexcept;

 private:
  static void on_signal(napi_env env, napi_value, void* context, void*);
  static void on_cleanup(void* queue);
  void settle_finished(Napi::Env env);

  napi_env env_;
  napi_threadsafe_function signal_ = nullptr;
  std::deque<std::unique_ptr<AsyncJob>> jobs_;  // in order; the first `finished_ - settled_` have been executed
  std::atomic<size_t> finished_{0};
  size_t settled_ = 0;
  Runner runner_;
};

}  // namespace multigate::addon
