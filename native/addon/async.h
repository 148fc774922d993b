// Asynchronous jobs of one environment, runs above all: executed in order on the engine's runner, settled on the JavaScript thread.
//
// Lifetime, the hard part. Jobs belong to this queue, which lives on the JavaScript thread; the runner thread only executes a
// job's work and signals. At environment teardown the cleanup hook stops the runner (waiting for the job under way) and
// drops all jobs unsettled. Hooks run last-in first-out and the thread-safe function registers its own when it is created,
// so ours must be added after: then nothing signals a function that is gone.
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

/// Work that is executed on the runner's thread, and the promise that waits for it.
class AsyncJob {
 public:
  explicit AsyncJob(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  AsyncJob(const AsyncJob&) = delete;
  AsyncJob& operator=(const AsyncJob&) = delete;
  virtual ~AsyncJob() = default;

  Napi::Promise promise() const { return deferred_.Promise(); }
  virtual void give_way() noexcept {}

  /// On the runner's thread; keeps a failure for settle().
  void execute() noexcept;
  /// Back on the JavaScript thread: the result, the work's end, then the promise.
  void settle(Napi::Env env);

 protected:
  virtual void work() = 0;
  virtual Napi::Value result(Napi::Env env) = 0;
  /// Lets go of what the work had in use.
  virtual void end() noexcept = 0;

 private:
  Napi::Promise::Deferred deferred_;
  std::optional<Failure> failure_;
};

/// Work without a result: a Shuffle, a Drawing.
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

/// A run and the arrays that it writes.
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

  /// Jobs before it give way.
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
