// Asynchronous jobs; see async.h.
#include "addon/async.h"

#include <cstring>
#include <utility>

#include "addon/environment.h"
#include "addon/values.h"

namespace multigate::addon {

AsyncJob::AsyncJob(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)), library_(Environment::of(env).library()) {}

void AsyncJob::execute() noexcept {
  try {
    work();
  } catch (const Failure& failure) {
    failure_ = failure;
  } catch (const std::bad_alloc&) {
    failure_.emplace(Code::out_of_memory, "out of memory");
  } catch (const std::exception& error) {
    failure_.emplace(Code::internal, error.what());
  }
}

void AsyncJob::settle(Napi::Env env) {
  const Environment::Scope scope(env, library_);
  Napi::Value value;
  try {
    if (!failure_) value = result(env);
  } catch (const Failure& caught) {
    failure_ = caught;
  }
  end();  // before the promise settles: its handlers may run the plan again
  if (failure_) {
    deferred_.Reject(to_error(env, *failure_).Value());
  } else {
    deferred_.Resolve(value);
  }
}

Napi::Value AsyncRun::result(Napi::Env env) {
  const Where outputs("outputs");
  // Check all arrays before writing any: a run's outputs arrive together or not at all.
  std::vector<std::pair<Span, const void*>> copies;
  copies.reserve(outputs_.size());
  for (size_t k = 0; k < outputs_.size(); ++k) {
    const Output& output = outputs_[k];
    const Napi::Value array = output.array.Value();
    const Span before = span_of(Where(outputs, static_cast<int64_t>(k)), array, "a typed array");
    if (before.length != output.length) {
      throw Failure(Code::argument, text_of("outputs[", k, "] was ", before.detached ? "detached" : "resized",
                                            " while the run was under way, expected length ", output.length));
    }
    copies.emplace_back(before, step_->output(output.buffer));
  }
  for (const auto& [span, from] : copies) {
    std::memcpy(span.data, from, static_cast<size_t>(span.length) * array_element_bytes(span.type));
  }
  const std::vector<double>& scalars = step_->results();
  Napi::Float64Array result = Napi::Float64Array::New(env, scalars.size());
  if (!scalars.empty()) std::memcpy(result.Data(), scalars.data(), scalars.size() * sizeof(double));
  return result;
}

AsyncQueue::AsyncQueue(Napi::Env env) : env_(env) {
  const napi_value name = Napi::String::New(env, "multigate.run");
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, on_signal, &signal_) != napi_ok ||
      napi_unref_threadsafe_function(env, signal_) != napi_ok ||
      napi_add_env_cleanup_hook(env, on_cleanup, this) != napi_ok) {  // after creating the function: see async.h
    throw Failure(Code::internal, "cannot create the queue of asynchronous runs");
  }
}

void AsyncQueue::give_way() noexcept {
  for (const auto& job : jobs_) job->give_way();
}

Napi::Promise AsyncQueue::post(std::unique_ptr<AsyncJob> job) {
  give_way();
  AsyncJob* executed = job.get();
  const Napi::Promise promise = job->promise();
  jobs_.push_back(std::move(job));
  try {
    runner_.post([this, executed] {
      executed->execute();
      finished_.fetch_add(1, std::memory_order_release);
      napi_call_threadsafe_function(signal_, nullptr, napi_tsfn_nonblocking);
    });
  } catch (...) {
    jobs_.pop_back();
    throw;
  }
  if (jobs_.size() == 1) napi_ref_threadsafe_function(env_, signal_);  // a pending job keeps the process alive
  return promise;
}

void AsyncQueue::on_signal(napi_env env, napi_value, void* context, void*) {
  if (env == nullptr) return;  // the environment is going away
  static_cast<AsyncQueue*>(context)->settle_finished(env);
}

void AsyncQueue::settle_finished(Napi::Env env) {
  while (settled_ < finished_.load(std::memory_order_acquire)) {
    const Napi::HandleScope scope(env);
    const std::unique_ptr<AsyncJob> job = std::move(jobs_.front());
    jobs_.pop_front();
    ++settled_;
    if (jobs_.empty()) napi_unref_threadsafe_function(env_, signal_);
    try {
      job->settle(env);
    } catch (const Napi::Error&) {
      // Resolving fails only when the worker is being terminated: JavaScript may no longer run.
    }
  }
}

void AsyncQueue::on_cleanup(void* queue) {
  auto* self = static_cast<AsyncQueue*>(queue);
  self->give_way();
  self->runner_.stop();
  self->jobs_.clear();
  self->settled_ = self->finished_.load();
}

}  // namespace multigate::addon
