// The Memory class of JavaScript: NativeMemory in lib/native/binding.ts.
#include "addon/environment.h"
#include "addon/handles.h"
#include "addon/request.h"
#include "engine/registry.h"

namespace multigate::addon {
namespace {

Initializer read_initializer(const Where& where, const Napi::Value& value) {
  static const char* const kKinds[] = {"uniform", "normal", "constant", nullptr};
  const Napi::Object object = to_object(where, value);
  const auto number = [&](const char* name) { return to_finite(Where(where, name), property(object, name)); };
  switch (to_choice(Where(where, "kind"), property(object, "kind"), kKinds)) {
    case 0: {
      const double low = number("low");
      const double high = number("high");
      if (low > high) throw Failure(Code::argument, text_of(where.text(), ".high is ", high, ", expected at least low, ", low));
      return {Initializer::Kind::uniform, low, high};
    }
    case 1: {
      const double mean = number("mean");
      const double deviation = number("deviation");
      if (deviation < 0) throw Failure(Code::argument, text_of(where.text(), ".deviation is ", deviation, ", expected 0 or more"));
      const bool truncated = to_boolean(Where(where, "truncated"), property(object, "truncated"));
      return {truncated ? Initializer::Kind::truncated_normal : Initializer::Kind::normal, mean, deviation};
    }
    default: return {Initializer::Kind::constant, number("value"), 0};
  }
}

}  // namespace

const napi_type_tag MemoryHandle::kTag = {0x8f1d2c6b7e3a4951ULL, 0xa6c40b9d53e8f172ULL};

Napi::Function MemoryHandle::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {instance_getter<&MemoryHandle::elements>("elements"), instance_method<&MemoryHandle::write>("write"),
                      instance_method<&MemoryHandle::read>("read"), instance_method<&MemoryHandle::initialize>("initialize"),
                      instance_method<&MemoryHandle::initialize_async>("initializeAsync"), instance_method<&MemoryHandle::dispose>("dispose")});
}

MemoryHandle::MemoryHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<Memory>(); })) {
  elements_ = object_->elements();
  if (is_host_backend(object_->backend())) {
    account(info.Env(), elements_ * static_cast<int64_t>(element_bytes(object_->backend())));
  }
}

Napi::Value MemoryHandle::elements(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(elements_)); }

Napi::Value MemoryHandle::write(const Napi::CallbackInfo& info) {
  const int64_t offset = to_integer(Where("offset"), info[0]);
  const Where values("values");
  const Span span = span_of(values, info[1], "a Float32Array or Float64Array");
  if (span.type != napi_float32_array && span.type != napi_float64_array) {
    throw Failure(Code::argument, text_of("values is a ", array_type_name(span.type), ", expected a Float32Array or Float64Array"));
  }
  if (span.detached)
    throw Failure(Code::argument, "values is detached: its ArrayBuffer was transferred away, expected a Float32Array or Float64Array");
  live().write_converted(offset, span.data, span.type == napi_float64_array, span.length);
  return info.Env().Undefined();
}

Napi::Value MemoryHandle::read(const Napi::CallbackInfo& info) {
  const int64_t offset = to_integer(Where("offset"), info[0]);
  const int64_t count = to_integer(Where("count"), info[1]);
  const bool doubles = live().backend().element == MG_F64;
  live().check_range(offset, count);
  const int64_t most = kMaxReadBytes / (doubles ? 8 : 4);
  if (count > most) throw Failure(Code::argument, text_of("count is ", count, ", expected at most ", most, " elements at a time"));
  const bool given = !info[2].IsUndefined();
  const Napi::Value result = given ? info[2] : Environment::of(info.Env()).new_float_array(info.Env(), doubles, count);
  const Span span = output_span(Where("into"), result, doubles ? napi_float64_array : napi_float32_array, count);
  live().read(offset, span.data, count);
  return result;
}

Napi::Value MemoryHandle::initialize(const Napi::CallbackInfo& info) {
  const int64_t offset = to_integer(Where("offset"), info[0]);
  const int64_t count = to_integer(Where("count"), info[1]);
  const Initializer initializer = read_initializer(Where("initializer"), info[2]);
  const uint64_t seed = to_key(Where("seed"), info[3]);
  const uint64_t stream = to_key(Where("stream"), info[4]);
  live().initialize(offset, count, WeightStream(initializer, seed, stream));
  return info.Env().Undefined();
}

Napi::Value MemoryHandle::initialize_async(const Napi::CallbackInfo& info) {
  const Where root("drawing");
  const Napi::Object drawing = to_object(root, info[0]);
  const auto given = [&](const char* name) { return property(drawing, name); };
  const auto integer = [&](const char* name) { return to_integer(Where(root, name), given(name)); };
  const Drawing::Range range{integer("offset"), integer("count"), static_cast<int64_t>(to_key(Where(root, "first"), given("first")))};
  const Initializer initializer = read_initializer(Where(root, "initializer"), given("initializer"));
  const uint64_t seed = to_key(Where(root, "seed"), given("seed"));
  const uint64_t stream = to_key(Where(root, "stream"), given("stream"));
  const auto threads = static_cast<int>(to_integer(Where(root, "threads"), given("threads"), 1, kMaxThreads));
  // No JavaScript runs from here on.
  live();
  AsyncQueue& queue = Environment::of(info.Env()).queue(info.Env());
  auto work = std::make_unique<Drawing>(object_, range, WeightStream(initializer, seed, stream), threads);
  return queue.post(std::make_unique<AsyncWork<Drawing>>(info.Env(), std::move(work)));
}

Napi::Value MemoryHandle::dispose(const Napi::CallbackInfo& info) {
  if (object_ != nullptr) object_->dispose();  // plans bound to it will find it disposed
  release(info.Env());
  return info.Env().Undefined();
}

}  // namespace multigate::addon
