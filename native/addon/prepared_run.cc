// Prepared runs; see prepared_run.h.
#include "addon/prepared_run.h"

#include <utility>

#include "addon/environment.h"
#include "addon/values.h"

namespace multigate::addon {
namespace {

constexpr int64_t kAlignment = 16;  // in floats: every region starts on a cache line of the block

/// A function that keeps the run alive.
template <Napi::Value (*Callback)(const Napi::CallbackInfo&)>
Napi::Function function_of(Napi::Env env, const char* name, const std::shared_ptr<PreparedRun>& run) {
  auto held = std::make_unique<std::shared_ptr<PreparedRun>>(run);
  Napi::Function function = Napi::Function::New<Callback>(env, name, held.get());
  function.AddFinalizer([](Napi::Env, std::shared_ptr<PreparedRun>* pointer) { delete pointer; }, held.get());
  held.release();
  return function;
}

PreparedRun& run_of(const Napi::CallbackInfo& info) { return **static_cast<std::shared_ptr<PreparedRun>*>(info.Data()); }

}  // namespace

PreparedRun::PreparedRun(Napi::Env env, const std::shared_ptr<Plan>& plan, int64_t capacity, std::vector<std::string> names, int threads)
    : library_(Environment::of(env).library()), plan_(plan), capacity_(capacity), threads_(threads), names_(std::move(names)) {
  plan->check_rows(capacity);
  const ProgramFacts& facts = plan->facts();
  if (plan->scalar_inputs() > 0) throw Failure(Code::argument, "a prepared run takes no scalars; use run() for this program");
  if (names_.size() != facts.row_inputs.size()) {
    throw Failure(Code::argument, text_of("names has ", names_.size(), " entries, expected ", facts.row_inputs.size(), ", one per row input"));
  }
  const auto place = [&](int32_t buffer) {
    const Region region{buffer, plan->buffer(buffer).dtype == MG_I32, floats_};
    floats_ += (capacity * plan->buffer(buffer).width + kAlignment - 1) / kAlignment * kAlignment;
    return region;
  };
  for (const int32_t buffer : facts.row_inputs) inputs_.push_back(place(buffer));
  for (const int32_t buffer : facts.row_outputs) outputs_.push_back(place(buffer));
  block_ = Napi::Persistent(Environment::of(env).new_float_array(env, false, floats_).As<Napi::TypedArray>().ArrayBuffer());
}

Napi::Object PreparedRun::wrap(Napi::Env env, std::shared_ptr<PreparedRun> run) {
  Napi::Array offsets = Napi::Array::New(env);
  uint32_t count = 0;
  for (const auto* regions : {&run->inputs_, &run->outputs_}) {
    for (const Region& region : *regions) offsets.Set(count++, Napi::Number::New(env, static_cast<double>(region.offset) * 4));
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("memory", run->block_.Value());
  object.Set("offsets", offsets);
  object.Set("run", function_of<call_run>(env, "run", run));
  object.Set("dispose", function_of<call_dispose>(env, "dispose", run));
  return object;
}

Napi::Value PreparedRun::call_run(const Napi::CallbackInfo& info) {
  PreparedRun& self = run_of(info);
  const Environment::Scope scope(info.Env(), self.library_);
  return guarded(info.Env(), [&] {
    const int64_t rows = to_integer(Where("rows"), info[0], 0, self.capacity_);
    // No JavaScript runs from here on, so the block's address stays valid.
    const std::shared_ptr<Plan> plan = self.plan();
    float* block = self.block(info.Env());
    if (rows > 0) self.run(plan, rows, block);
    return Napi::Value();
  });
}

std::shared_ptr<Plan> PreparedRun::plan() const {
  std::shared_ptr<Plan> plan = plan_.lock();
  if (plan == nullptr) throw Failure(Code::disposed, "this prepared run or its plan was disposed");
  return plan;
}

float* PreparedRun::block(Napi::Env env) const {
  void* data = nullptr;
  size_t bytes = 0;
  if (napi_get_arraybuffer_info(env, block_.Value(), &data, &bytes) != napi_ok || bytes < static_cast<size_t>(floats_) * 4) {
    throw Failure(Code::argument, "the memory is detached: its ArrayBuffer was transferred away, expected it to stay in place; make new inputs");
  }
  return static_cast<float*>(data);
}

void PreparedRun::run(const std::shared_ptr<Plan>& plan, int64_t rows, float* block) {
  Step step(plan, rows, threads_);
  for (size_t k = 0; k < inputs_.size(); ++k) {
    const Region& input = inputs_[k];
    if (input.ids) {
      step.copy_input(input.buffer, block + input.offset, names_[k]);
    } else {
      step.borrow_input(input.buffer, block + input.offset);
    }
  }
  const bool doubles = plan->backend().element == MG_F64;
  for (const Region& output : outputs_) {
    if (doubles) {
      step.own_output(output.buffer);
    } else {
      step.borrow_output(output.buffer, block + output.offset);
    }
  }
  step.execute();
  if (!doubles) return;
  for (const Region& output : outputs_) {
    const auto* from = static_cast<const double*>(step.output(output.buffer));
    const int64_t count = step.elements(output.buffer);
    for (int64_t i = 0; i < count; ++i) block[output.offset + i] = static_cast<float>(from[i]);
  }
}

Napi::Value PreparedRun::call_dispose(const Napi::CallbackInfo& info) {
  PreparedRun& self = run_of(info);
  self.plan_.reset();
  if (!self.block_.IsEmpty()) napi_detach_arraybuffer(info.Env(), self.block_.Value());
  self.block_.Reset();
  return info.Env().Undefined();
}

}  // namespace multigate::addon
