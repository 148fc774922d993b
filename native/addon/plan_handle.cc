// The Plan class of JavaScript: NativePlan in lib/native/binding.ts.
#include <cstring>

#include "addon/environment.h"
#include "addon/handles.h"
#include "addon/prepared_run.h"
#include "addon/request.h"

namespace multigate::addon {

const napi_type_tag PlanHandle::kTag = {0xd4620a9bf7153ce8ULL, 0x71e8b3542fc9d60aULL};

Napi::Function PlanHandle::define(Napi::Env env) {
  return DefineClass(
      env, kName,
      {instance_method<&PlanHandle::bind>("bind"), instance_method<&PlanHandle::run>("run"), instance_method<&PlanHandle::run_async>("runAsync"),
       instance_method<&PlanHandle::begin>("begin"), instance_method<&PlanHandle::prepare>("prepare"), instance_method<&PlanHandle::info>("info"),
       instance_method<&PlanHandle::dispose>("dispose")});
}

PlanHandle::PlanHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<Plan>(); })) {}

Napi::Value PlanHandle::bind(const Napi::CallbackInfo& info) {
  const int64_t buffer = to_integer(Where("buffer"), info[0]);
  live().bind(buffer, MemoryHandle::object_of(Where("memory"), info[1]));
  return info.Env().Undefined();
}

Napi::Value PlanHandle::run(const Napi::CallbackInfo& info) {
  const Request request = read_request(info[0]);
  // No JavaScript runs from here on, so checked facts stay true.
  Step step(live_pointer(), request.rows, request.threads, request.steps);
  fill_in_place(request, live(), step);
  step.set_limit(std::chrono::milliseconds(request.milliseconds));
  step.execute();
  const std::vector<double>& scalars = step.results();
  Napi::Float64Array result = Napi::Float64Array::New(info.Env(), scalars.size());
  if (!scalars.empty()) std::memcpy(result.Data(), scalars.data(), scalars.size() * sizeof(double));
  return result;
}

Napi::Value PlanHandle::run_async(const Napi::CallbackInfo& info) {
  const Request request = read_request(info[0]);
  AsyncQueue& queue = Environment::of(info.Env()).queue(info.Env());
  auto step = std::make_unique<Step>(live_pointer(), request.rows, request.threads, request.steps);
  std::vector<AsyncRun::Output> outputs = fill_by_copy(request, live(), *step);
  step->set_limit(std::chrono::milliseconds(request.milliseconds));
  return queue.post(std::make_unique<AsyncRun>(info.Env(), std::move(step), std::move(outputs)));
}

Napi::Value PlanHandle::begin(const Napi::CallbackInfo& info) {
  const Request request = read_open_request(info[0]);
  Environment& environment = Environment::of(info.Env());
  auto step = std::make_unique<Step>(live_pointer(), request.rows, request.threads);
  fill_open(request, live(), *step);
  return environment.wrap(environment.step, std::make_shared<OpenStep>(std::move(step)));
}

Napi::Value PlanHandle::prepare(const Napi::CallbackInfo& info) {
  const int64_t rows = to_integer(Where("rows"), info[0], 1, kMaxRows);
  const Where where("names");
  const Napi::Array array = to_array(where, info[1], kMaxBuffers);
  const uint32_t length = array.Length();
  std::vector<std::string> names;
  for (uint32_t i = 0; i < length; ++i) names.push_back(to_string(Where(where, i), array.Get(i)));
  const auto threads = static_cast<int>(to_integer(Where("threads"), info[2], 1, kMaxThreads));
  return PreparedRun::wrap(info.Env(), std::make_shared<PreparedRun>(info.Env(), live_pointer(), rows, std::move(names), threads));
}

Napi::Value PlanHandle::info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const PlanInfo found = live().info(to_integer(Where("rows"), info[0]));
  Napi::Object result = Napi::Object::New(env);
  result.Set("blockRows", Napi::Number::New(env, static_cast<double>(found.block_rows)));
  result.Set("slots", Napi::Number::New(env, static_cast<double>(found.slots)));
  result.Set("arenaBytes", Napi::Number::New(env, static_cast<double>(found.arena_bytes)));
  result.Set("storedBytes", Napi::Number::New(env, static_cast<double>(found.stored_bytes)));
  result.Set("emulated", Napi::Boolean::New(env, found.emulated));
  result.Set("isa", Napi::String::New(env, found.isa));
  return result;
}

Napi::Value PlanHandle::dispose(const Napi::CallbackInfo& info) {
  if (object_ != nullptr) object_->retire();
  release(info.Env());  // a running step holds the plan until it ends
  return info.Env().Undefined();
}

}  // namespace multigate::addon
