// The Step class of JavaScript: NativeStep in lib/native/binding.ts.
#include <cstring>
#include <utility>

#include "addon/environment.h"
#include "addon/handles.h"
#include "addon/request.h"

namespace multigate::addon {
namespace {

constexpr const char* kPhases[] = {"rows", "gradients", "update", "tables", nullptr};  // in the order of mg_phase
static_assert(std::size(kPhases) == MG_PHASE_COUNT + 1);

/// Runs phases of a step on the runner's thread.
class AsyncPhases : public AsyncJob {
 public:
  AsyncPhases(Napi::Env env, std::shared_ptr<OpenStep> step) : AsyncJob(env), step_(std::move(step)) {}

 protected:
  void work() override { step_->execute(); }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }
  void end() noexcept override {
    if (step_ != nullptr) step_->end_run();
    step_.reset();
  }

 private:
  std::shared_ptr<OpenStep> step_;
};

Napi::Value to_array(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(double));
  return array;
}

bool has_doubles(const OpenStep& step) { return step.plan().backend().element == MG_F64; }

}  // namespace

const napi_type_tag StepHandle::kTag = {0x3be7f0a65d9c4218ULL, 0xc2718e4fb0a3d95eULL};

Napi::Function StepHandle::define(Napi::Env env) {
  return DefineClass(
      env, kName,
      {instance_method<&StepHandle::run>("run"), instance_accessor<&StepHandle::denominators, &StepHandle::set_denominators>("denominators"),
       instance_method<&StepHandle::set_weights>("setWeights"), instance_getter<&StepHandle::results>("results"), instance_method<&StepHandle::read_stored>("readStored"),
       instance_method<&StepHandle::write_stored>("writeStored"), instance_method<&StepHandle::end>("end")});
}

StepHandle::StepHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<OpenStep>(); })) {}

Napi::Value StepHandle::run(const Napi::CallbackInfo& info) {
  const int first = to_choice(Where("first"), info[0], kPhases);
  const int last = info[1].IsUndefined() ? first : to_choice(Where("last"), info[1], kPhases);
  AsyncQueue& queue = Environment::of(info.Env()).queue(info.Env());
  const std::shared_ptr<OpenStep> step = live_pointer();
  auto job = std::make_unique<AsyncPhases>(info.Env(), step);
  step->begin(first, last);
  try {
    return queue.post(std::move(job));
  } catch (...) {
    step->end_run();  // it was never queued
    throw;
  }
}

Napi::Value StepHandle::denominators(const Napi::CallbackInfo& info) { return to_array(info.Env(), live().denominators()); }

Napi::Value StepHandle::set_denominators(const Napi::CallbackInfo& info) {
  const Span span = span_of(Where("denominators"), info[0], "a Float64Array");
  const Span values = input_span(Where("denominators"), info[0], napi_float64_array, span.length);
  live().set_denominators(static_cast<const double*>(values.data), values.length);
  return info.Env().Undefined();
}

Napi::Value StepHandle::set_weights(const Napi::CallbackInfo& info) {
  const int64_t first = to_integer(Where("scalar"), info[0]);
  const Span span = span_of(Where("values"), info[1], "a Float64Array");
  const Span values = input_span(Where("values"), info[1], napi_float64_array, span.length);
  live().set_weights(first, static_cast<const double*>(values.data), values.length);
  return info.Env().Undefined();
}

Napi::Value StepHandle::results(const Napi::CallbackInfo& info) { return to_array(info.Env(), live().results()); }

Napi::Value StepHandle::read_stored(const Napi::CallbackInfo& info) {
  const int64_t buffer = to_integer(Where("buffer"), info[0]);
  const int64_t first_row = to_integer(Where("firstRow"), info[1]);
  const int64_t rows = to_integer(Where("rows"), info[2]);
  const int64_t count = live().stored_elements(buffer, first_row, rows);
  const bool doubles = has_doubles(live());
  const int64_t most = kMaxReadBytes / (doubles ? 8 : 4);
  if (count > most) throw Failure(Code::argument, text_of("rows is ", rows, ", expected at most ", most, " elements at a time"));
  const Napi::Value result = Environment::of(info.Env()).new_float_array(info.Env(), doubles, count);
  const Span span = output_span(Where("result"), result, doubles ? napi_float64_array : napi_float32_array, count);
  live().read_stored(buffer, first_row, rows, span.data);
  return result;
}

Napi::Value StepHandle::write_stored(const Napi::CallbackInfo& info) {
  const int64_t buffer = to_integer(Where("buffer"), info[0]);
  const int64_t first_row = to_integer(Where("firstRow"), info[1]);
  const Where where("values");
  const napi_typedarray_type type = has_doubles(live()) ? napi_float64_array : napi_float32_array;
  const Span span = span_of(where, info[2], array_type_name(type));
  const int64_t width = live().stored_elements(buffer, first_row, 1), rows = span.length / width;
  const Span values = input_span(where, info[2], type, std::max<int64_t>(rows, 1) * width);
  live().write_stored(buffer, first_row, rows, values.data);
  return info.Env().Undefined();
}

Napi::Value StepHandle::end(const Napi::CallbackInfo& info) {
  if (object_ != nullptr) object_->check_idle();
  release(info.Env());
  return info.Env().Undefined();
}

}  // namespace multigate::addon
