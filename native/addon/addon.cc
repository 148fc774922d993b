// The module: exports `NativeBinding` of lib/native/binding.ts and holds the state of an environment.
#include "addon/environment.h"
#include "addon/handles.h"
#include "addon/program_reader.h"
#include "engine/registry.h"

namespace multigate::addon {
namespace {

constexpr int64_t kMaxPeakThreads = 4096;

Napi::Value isas(const Napi::CallbackInfo& info) {
  Napi::Array names = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (const char* const* name = mg_cpu_isas(); *name != nullptr; ++name) names.Set(count++, Napi::String::New(info.Env(), *name));
  return names;
}

Napi::Value list_devices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  uint32_t count = 0;
  for (const DeviceReport& report : devices()) {
    Napi::Object device = Napi::Object::New(env);
    device.Set("name", Napi::String::New(env, report.name));
    device.Set("available", Napi::Boolean::New(env, report.available));
    device.Set("reason", Napi::String::New(env, report.reason));
    if (report.info.name[0] != 0) device.Set("processor", Napi::String::New(env, report.info.name));
    if (report.info.capability[0] != 0) device.Set("capability", Napi::String::New(env, report.info.capability));
    const auto set_bytes = [&](const char* name, int64_t bytes) {
      if (bytes > 0) device.Set(name, Napi::Number::New(env, static_cast<double>(bytes)));
    };
    set_bytes("memoryBytes", report.info.memory_bytes);
    set_bytes("freeBytes", report.info.free_bytes);
    list.Set(count++, device);
  }
  return list;
}

Napi::Value count_processors(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), processors()); }

Napi::Value give_way(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).give_way();
  return info.Env().Undefined();
}

Napi::Value create_memory(const Napi::CallbackInfo& info) {
  const std::string device = to_string(Where("device"), info[0]);
  const int64_t elements = to_integer(Where("elements"), info[1], 1, static_cast<int64_t>(kMaxSafeInteger));
  Environment& environment = Environment::of(info.Env());
  return environment.wrap(environment.memory, std::make_shared<Memory>(backend_named(device), elements));
}

Napi::Value create_columns(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  return environment.wrap(environment.columns, read_columns(info[0], info[1]));
}

Napi::Value create_texts(const Napi::CallbackInfo& info) {
  Environment& environment = Environment::of(info.Env());
  return environment.wrap(environment.texts, std::make_shared<Texts>());
}

mg_precision to_precision(const Napi::Value& value) {
  static const char* const kPrecisions[] = {"float32", "bfloat16", "tf32", nullptr};  // in the order of mg_precision
  if (value.IsUndefined()) return MG_PRECISION_F32;
  return static_cast<mg_precision>(to_choice(Where("options.precision"), value, kPrecisions));
}

Napi::Value compile(const Napi::CallbackInfo& info) {
  const std::string device = to_string(Where("device"), info[0]);
  const Program program = read_program(info[1]);
  std::string isa;
  mg_precision precision = MG_PRECISION_F32;
  if (!info[2].IsUndefined()) {
    const Napi::Object options = to_object(Where("options"), info[2]);
    const Napi::Value chosen = property(options, "isa");
    if (!chosen.IsUndefined()) isa = to_string(Where("options.isa"), chosen);
    if (!chosen.IsUndefined() && isa.empty()) wrong(Where("options.isa"), chosen, "the name of an ISA");
    precision = to_precision(property(options, "precision"));
  }
  Environment& environment = Environment::of(info.Env());
  return environment.wrap(environment.plan, std::make_shared<Plan>(backend_named(device), program, isa, precision));
}

Napi::Value measure_peak(const Napi::CallbackInfo& info) {
  const std::string isa = to_string(Where("isa"), info[0]);
  const auto threads = static_cast<int>(to_integer(Where("threads"), info[1], 1, kMaxPeakThreads));
  return Napi::Number::New(info.Env(), peak(isa, threads));
}

/// A function that throws the errors of the library in its data, or plain ones if there is none.
template <Napi::Value (*Body)(const Napi::CallbackInfo&)>
Napi::Value call(const Napi::CallbackInfo& info) {
  const Environment::Scope scope(info.Env(), static_cast<const Library*>(info.Data()));
  return guarded(info.Env(), [&] { return Body(info); });
}

template <Napi::Value (*Body)(const Napi::CallbackInfo&)>
void add(Napi::Object exports, const char* name, const Library* library) {
  exports.Set(name, Napi::Function::New<call<Body>>(exports.Env(), name, const_cast<Library*>(library)));
}

Napi::Value throw_as(const Napi::CallbackInfo& info);

Napi::Object fill(Napi::Object exports, const Library* library) {
  exports.Set("abiVersion", Napi::Number::New(exports.Env(), MG_ABI_VERSION));
  add<throw_as>(exports, "throwAs", library);
  add<isas>(exports, "isas", library);
  add<list_devices>(exports, "devices", library);
  add<count_processors>(exports, "processors", library);
  add<give_way>(exports, "giveWay", library);
  add<create_memory>(exports, "createMemory", library);
  add<create_columns>(exports, "createColumns", library);
  add<create_texts>(exports, "createTexts", library);
  add<compile>(exports, "compile", library);
  add<measure_peak>(exports, "peak", library);
  return exports;
}

Napi::Value throw_as(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) wrong(Where("errorClass"), info[0], "a class");
  const Library& library = Environment::of(info.Env()).add_library(info[0].As<Napi::Function>());
  return fill(Napi::Object::New(info.Env()), &library);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  return fill(exports, nullptr);
}

}  // namespace

Environment::Environment(Napi::Env env)
    : memory(Napi::Persistent(MemoryHandle::define(env))),
      columns(Napi::Persistent(ColumnsHandle::define(env))),
      plan(Napi::Persistent(PlanHandle::define(env))),
      step(Napi::Persistent(StepHandle::define(env))),
      texts(Napi::Persistent(TextsHandle::define(env))),
      float32_(Napi::Persistent(env.Global().Get("Float32Array").As<Napi::Function>())),
      float64_(Napi::Persistent(env.Global().Get("Float64Array").As<Napi::Function>())) {}

const Library& Environment::add_library(Napi::Function error_class) {
  libraries_.push_back({Napi::Weak(error_class)});
  return libraries_.back();
}

AsyncQueue& Environment::queue(Napi::Env env) {
  if (queue_ == nullptr) queue_ = std::make_unique<AsyncQueue>(env);
  return *queue_;
}

Napi::Value Environment::new_float_array(Napi::Env env, bool doubles, int64_t length) {
  try {
    return (doubles ? float64_ : float32_).New({Napi::Number::New(env, static_cast<double>(length))});
  } catch (const Napi::Error&) {
    throw Failure(Code::out_of_memory, text_of("cannot allocate an array of ", length, " elements"));
  }
}

NODE_API_MODULE(multigate, initialize)

}  // namespace multigate::addon
