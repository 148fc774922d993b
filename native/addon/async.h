// Asynchronous runs of one environment: executed in order on the engine's runner, settled on the JavaScript thread.
//
// Lifetime, the hard part. Runs belong to this queue, which lives on the JavaScript thread; the runner thread only executes a
// run's Step and signals. At environment teardown the cleanup hook stops the runner (waiting for the run under way) and
// drops all runs unsettled. Hooks run last-in first-out and the thread-safe function registers its own when it is created,
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

/// One asynchronous run and the JavaScript values that wait for it.
class AsyncRun {
 public:
  struct Output {
    int32_t buffer;
    int64_t length;
    Napi::Reference<Napi::Value> array;
  };

  AsyncRun(Napi::Env env, std::unique_ptr<Step> step, std::vector<Output> outputs)
      : step_(std::move(step)), outputs_(std::move(outputs)), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void give_way() noexcept { step_->give_way(); }

  /// On the runner's thread; keeps a failure for settle().
  void execute() noexcept;
  /// Back on the JavaScript thread: outputs to their arrays, the step's end, then the promise.
  void settle(Napi::Env env);

 private:
  Napi::Value finish(Napi::Env env);

  std::unique_ptr<Step> step_;
  std::vector<Output> outputs_;
  Napi::Promise::Deferred deferred_;
  std::optional<Failure> failure_;
};

class AsyncQueue {
 public:
  explicit AsyncQueue(Napi::Env env);
  AsyncQueue(const AsyncQueue&) = delete;
  AsyncQueue& operator=(const AsyncQueue&) = delete;

  /// Runs before it give way.
  Napi::Promise post(std::unique_ptr<AsyncRun> run);
  void give_way() noexcept;

 private:
  static void on_signal(napi_env env, napi_value, void* context, void*);
  static void on_cleanup(void* queue);
  void settle_finished(Napi::Env env);

  napi_env env_;
  napi_threadsafe_function signal_ = nullptr;
  std::deque<std::unique_ptr<AsyncRun>> runs_;  // in order; the first `finished_ - settled_` have been executed
  std::atomic<size_t> finished_{0};
  size_t settled_ = 0;
  Runner runner_;
};

}  // namespace multigate::addon
