// The Columns class of JavaScript: NativeColumns in lib/native/binding.ts.
#include "addon/environment.h"
#include "addon/handles.h"
#include "engine/program.h"
#include "engine/registry.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace multigate::addon {
namespace {

/// One ColumnSpec with every property read; its array's pointer is taken later.
struct ColumnArgument {
  Napi::Value data;
  int64_t width;
  Napi::Value limit;
  bool detach;
};

constexpr int64_t kLarge = int64_t{8} << 20;  // bytes; a few rows that are predicted should not wait for it

/// Takes the memory from an array that was copied, at once; a collection of garbage may be long in coming.
void detach(const Where& where, const Napi::Value& array) {
  const Napi::Env env = array.Env();
  napi_value buffer = nullptr;
  if (napi_get_typedarray_info(env, array, nullptr, nullptr, nullptr, &buffer, nullptr) != napi_ok ||
      napi_detach_arraybuffer(env, buffer) != napi_ok)
    wrong(where, array, "an array whose buffer can be detached");
}

}  // namespace

std::shared_ptr<Columns> read_columns(const Napi::Value& specs, const Napi::Value& rows_value) {
  const Where root("columns");
  const Napi::Array array = to_array(root, specs, kMaxListEntries);
  std::vector<ColumnArgument> arguments;
  const uint32_t length = array.Length();
  for (uint32_t i = 0; i < length; ++i) {
    const Where where(root, static_cast<int64_t>(i));
    const Napi::Object spec = to_object(where, array.Get(i));
    const Napi::Value data = property(spec, "data");
    const int64_t width = to_integer(Where(where, "width"), property(spec, "width"), 1, kMaxRowWidth);
    const Napi::Value detached = property(spec, "detach");
    arguments.push_back({data, width, property(spec, "limit"), !is_absent(detached) && to_boolean(Where(where, "detach"), detached)});
  }
  const int64_t rows = to_integer(Where("rows"), rows_value, 0, kMaxRows);
  std::vector<Column> given;
  for (uint32_t i = 0; i < length; ++i) {
    const Where where(root, static_cast<int64_t>(i));
    const ColumnArgument& argument = arguments[i];
    const Where at(where, "data");
    const bool ids = span_of(at, argument.data, "a Float32Array or Int32Array").type == napi_int32_array;
    const int64_t limit = ids ? to_integer(Where(where, "limit"), argument.limit, 1, int64_t{1} << 31) : 0;
    const Span span = input_span(at, argument.data, ids ? napi_int32_array : napi_float32_array, rows * argument.width);
    given.push_back({ids ? MG_I32 : MG_F32, argument.width, limit, span.data});
  }
  auto columns = std::make_shared<Columns>(rows, std::move(given));
  for (uint32_t i = 0; i < length; ++i)
    if (arguments[i].detach) detach(Where(Where(root, static_cast<int64_t>(i)), "data"), arguments[i].data);
#if defined(__GLIBC__)
  // What was detached, and what encoding left behind, lies between blocks in use: glibc gives it back only if asked.
  if (columns->bytes() >= kLarge) malloc_trim(0);
#endif
  return columns;
}

const napi_type_tag ColumnsHandle::kTag = {0x3b97e5d41c8a4f06ULL, 0x9d20f7c85a1be643ULL};

Napi::Function ColumnsHandle::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {instance_getter<&ColumnsHandle::rows>("rows"), instance_method<&ColumnsHandle::shuffle>("shuffle"),
                      instance_method<&ColumnsHandle::dispose>("dispose")});
}

ColumnsHandle::ColumnsHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<Columns>(); })) {
  rows_ = object_->rows();
  account(info.Env(), object_->bytes());
}

Napi::Value ColumnsHandle::rows(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(rows_));
}

Napi::Value ColumnsHandle::shuffle(const Napi::CallbackInfo& info) {
  constexpr auto kSafe = static_cast<int64_t>(kMaxSafeInteger);
  const int64_t seed = to_integer(Where("seed"), info[0], 0, kSafe);
  const int64_t epoch = to_integer(Where("epoch"), info[1], 0, kSafe);
  live().shuffle(static_cast<uint64_t>(seed), static_cast<uint64_t>(epoch));
  return info.Env().Undefined();
}

Napi::Value ColumnsHandle::dispose(const Napi::CallbackInfo& info) {
  release(info.Env());
  return info.Env().Undefined();
}

}  // namespace multigate::addon
