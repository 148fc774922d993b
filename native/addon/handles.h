// The classes that JavaScript holds: Memory, Columns, Plan, Step and Texts. Each wraps a reference to an engine object and makes every
// call safe: it checks the type tags of the receiver and of every handle argument.
#pragma once

#include "addon/napi_setup.h"

#include <memory>

#include "addon/environment.h"
#include "addon/values.h"
#include "engine/columns.h"
#include "engine/memory.h"
#include "engine/open_step.h"
#include "engine/plan.h"
#include "engine/texts.h"

namespace multigate::addon {

/// V8's typed arrays end near this length; read larger memories in parts.
constexpr int64_t kMaxReadBytes = INT32_MAX;

/// The base of all classes: tags, recognises and disposes handles.
template <class Handle, class Engine>
class HandleBase : public Napi::ObjectWrap<Handle> {
 public:
  HandleBase(const Napi::CallbackInfo& info, std::shared_ptr<Engine> object);

  /// The engine object of a value that must be a live handle of this class.
  static std::shared_ptr<Engine> object_of(const Where& where, const Napi::Value& value);

  void Finalize(Napi::BasicEnv env) override { release(env); }

 protected:
  // Class entries for DefineClass. node-addon-api's own entries call the member on whatever object the receiver wraps, and V8
  // does not guard accessors.
  template <Napi::Value (Handle::*Method)(const Napi::CallbackInfo&)>
  static Napi::ClassPropertyDescriptor<Handle> instance_method(const char* name) {
    return napi_property_descriptor{name, nullptr, &call<Method>, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  }
  template <Napi::Value (Handle::*Method)(const Napi::CallbackInfo&)>
  static Napi::ClassPropertyDescriptor<Handle> instance_getter(const char* name) {
    return napi_property_descriptor{name, nullptr, nullptr, &call<Method>, nullptr, nullptr, napi_enumerable, nullptr};
  }
  template <Napi::Value (Handle::*Get)(const Napi::CallbackInfo&), Napi::Value (Handle::*Set)(const Napi::CallbackInfo&)>
  static Napi::ClassPropertyDescriptor<Handle> instance_accessor(const char* name) {
    return napi_property_descriptor{name, nullptr, nullptr, &call<Get>, &call<Set>, nullptr, napi_enumerable, nullptr};
  }
  Engine& live() const;
  const std::shared_ptr<Engine>& live_pointer() const;
  /// Bytes to report to the garbage collector.
  void account(Napi::BasicEnv env, int64_t bytes);
  void release(Napi::BasicEnv env);

  std::shared_ptr<Engine> object_;

 private:
  /// Checks the receiver before touching it. Turns every failure into a JavaScript error.
  template <Napi::Value (Handle::*Method)(const Napi::CallbackInfo&)>
  static napi_value call(napi_env env, napi_callback_info raw) {
    try {
      const Napi::CallbackInfo info(env, raw);
      Handle* const handle = guarded(env, [&] { return handle_of(Where("this"), info.This()); });
      const Environment::Scope scope(env, handle->library_);
      return guarded(env, [&] { return (handle->*Method)(info); });
    } catch (const Napi::Error& error) {
      error.ThrowAsJavaScriptException();
      return nullptr;
    }
  }
  static Handle* handle_of(const Where& where, const Napi::Value& value);

  const Library* library_;  // the library that made it
  int64_t accounted_ = 0;
};

class MemoryHandle : public HandleBase<MemoryHandle, Memory> {
 public:
  static constexpr const char* kName = "Memory";
  static const napi_type_tag kTag;
  static Napi::Function define(Napi::Env env);
  explicit MemoryHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value elements(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value initialize(const Napi::CallbackInfo& info);
  Napi::Value initialize_async(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  int64_t elements_ = 0;
};

class ColumnsHandle : public HandleBase<ColumnsHandle, Columns> {
 public:
  static constexpr const char* kName = "Columns";
  static const napi_type_tag kTag;
  static Napi::Function define(Napi::Env env);
  explicit ColumnsHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value rows(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value shuffle_async(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);

  int64_t rows_ = 0;
};

class PlanHandle : public HandleBase<PlanHandle, Plan> {
 public:
  static constexpr const char* kName = "Plan";
  static const napi_type_tag kTag;
  static Napi::Function define(Napi::Env env);
  explicit PlanHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value bind(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value run_async(const Napi::CallbackInfo& info);
  Napi::Value begin(const Napi::CallbackInfo& info);
  Napi::Value prepare(const Napi::CallbackInfo& info);
  Napi::Value info(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
};

class StepHandle : public HandleBase<StepHandle, OpenStep> {
 public:
  static constexpr const char* kName = "Step";
  static const napi_type_tag kTag;
  static Napi::Function define(Napi::Env env);
  explicit StepHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value denominators(const Napi::CallbackInfo& info);
  Napi::Value set_denominators(const Napi::CallbackInfo& info);
  Napi::Value set_weights(const Napi::CallbackInfo& info);
  Napi::Value results(const Napi::CallbackInfo& info);
  Napi::Value read_stored(const Napi::CallbackInfo& info);
  Napi::Value write_stored(const Napi::CallbackInfo& info);
  Napi::Value end(const Napi::CallbackInfo& info);
};

class TextsHandle : public HandleBase<TextsHandle, Texts> {
 public:
  static constexpr const char* kName = "Texts";
  static const napi_type_tag kTag;
  static Napi::Function define(Napi::Env env);
  explicit TextsHandle(const Napi::CallbackInfo& info);

 private:
  Napi::Value size(const Napi::CallbackInfo& info);
  Napi::Value index_of(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value index_of_all(const Napi::CallbackInfo& info);
  Napi::Value add_all(const Napi::CallbackInfo& info);
  Napi::Value at(const Napi::CallbackInfo& info);
  Napi::Value add_from(const Napi::CallbackInfo& info);
  Napi::Value add_bytes(const Napi::CallbackInfo& info);
  Napi::Value read_lengths(const Napi::CallbackInfo& info);
  Napi::Value read_bytes(const Napi::CallbackInfo& info);
  Napi::Value begin_order(const Napi::CallbackInfo& info);
  Napi::Value advance_order(const Napi::CallbackInfo& info);
  Napi::Value end_order(const Napi::CallbackInfo& info);
  /// Reports memory that has been allocated since the last call.
  void account_growth(Napi::Env env);
  TextOrder& order() const;

  int64_t reported_ = 0;
  std::unique_ptr<TextOrder> order_;
};

/// Columns as the ColumnSpecs describe, all zero. @throws Failure.
std::shared_ptr<Columns> read_columns(const Napi::Value& specs, const Napi::Value& rows);

}  // namespace multigate::addon
