// Code that all handles share; see handles.h.
#include "addon/handles.h"

#include "addon/environment.h"

namespace multigate::addon {

template <class Handle, class Engine>
HandleBase<Handle, Engine>::HandleBase(const Napi::CallbackInfo& info, std::shared_ptr<Engine> object)
    : Napi::ObjectWrap<Handle>(info), object_(std::move(object)), library_(Environment::of(info.Env()).library()) {
  info.This().template As<Napi::Object>().TypeTag(&Handle::kTag);
}

template <class Handle, class Engine>
Handle* HandleBase<Handle, Engine>::handle_of(const Where& where, const Napi::Value& value) {
  if (!value.IsObject() || value.IsFunction() || !value.As<Napi::Object>().CheckTypeTag(&Handle::kTag)) {
    wrong(where, value, std::string("a ") + Handle::kName + " of multigate");
  }
  return Napi::ObjectWrap<Handle>::Unwrap(value.As<Napi::Object>());
}

template <class Handle, class Engine>
std::shared_ptr<Engine> HandleBase<Handle, Engine>::object_of(const Where& where, const Napi::Value& value) {
  const Handle* handle = handle_of(where, value);
  if (handle->object_ == nullptr) throw Failure(Code::disposed, where.text() + " is a " + Handle::kName + " that was disposed");
  return handle->object_;
}

template <class Handle, class Engine>
const std::shared_ptr<Engine>& HandleBase<Handle, Engine>::live_pointer() const {
  if (object_ == nullptr) throw Failure(Code::disposed, std::string("this ") + Handle::kName + " was disposed");
  return object_;
}

template <class Handle, class Engine>
Engine& HandleBase<Handle, Engine>::live() const {
  return *live_pointer();
}

template <class Handle, class Engine>
void HandleBase<Handle, Engine>::account(Napi::BasicEnv env, int64_t bytes) {
  accounted_ += bytes;
  int64_t now = 0;
  napi_adjust_external_memory(env, bytes, &now);
}

template <class Handle, class Engine>
void HandleBase<Handle, Engine>::release(Napi::BasicEnv env) {
  object_.reset();
  if (accounted_ != 0) account(env, -accounted_);
}

template class HandleBase<MemoryHandle, Memory>;
template class HandleBase<ColumnsHandle, Columns>;
template class HandleBase<PlanHandle, Plan>;
template class HandleBase<StepHandle, OpenStep>;
template class HandleBase<TextsHandle, Texts>;

}  // namespace multigate::addon
