// The Columns class of JavaScript: NativeColumns in lib/native/binding.ts.
#include "addon/environment.h"
#include "addon/handles.h"
#include "engine/program.h"
#include "engine/registry.h"

namespace multigate::addon {

std::shared_ptr<Columns> read_columns(const Napi::Value& specs, const Napi::Value& rows) {
  static const char* const kTypes[] = {"f32", "i32", nullptr};
  const Where root("columns");
  const Napi::Array array = to_array(root, specs, kMaxListEntries);
  std::vector<Column> columns;
  const uint32_t length = array.Length();
  for (uint32_t i = 0; i < length; ++i) {
    const Where where(root, static_cast<int64_t>(i));
    const Napi::Object spec = to_object(where, array.Get(i));
    const bool ids = to_choice(Where(where, "type"), property(spec, "type"), kTypes) == 1;
    const int64_t width = to_integer(Where(where, "width"), property(spec, "width"), 1, kMaxRowWidth);
    const Napi::Value limit = property(spec, "limit");
    columns.push_back({ids ? MG_I32 : MG_F32, width, ids ? to_integer(Where(where, "limit"), limit, 1, int64_t{1} << 31) : 0});
  }
  return std::make_shared<Columns>(to_integer(Where("rows"), rows, 0, kMaxRows), std::move(columns));
}

const napi_type_tag ColumnsHandle::kTag = {0x3b97e5d41c8a4f06ULL, 0x9d20f7c85a1be643ULL};

Napi::Function ColumnsHandle::define(Napi::Env env) {
  return DefineClass(env, kName,
                     {instance_getter<&ColumnsHandle::rows>("rows"), instance_method<&ColumnsHandle::write>("write"),
                      instance_method<&ColumnsHandle::shuffle_async>("shuffleAsync"), instance_method<&ColumnsHandle::dispose>("dispose")});
}

ColumnsHandle::ColumnsHandle(const Napi::CallbackInfo& info)
    : HandleBase(info, guarded(info.Env(), [&] { return Environment::of(info.Env()).take_pending<Columns>(); })) {
  rows_ = object_->rows();
  account(info.Env(), object_->bytes());
}

Napi::Value ColumnsHandle::rows(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), static_cast<double>(rows_)); }

Napi::Value ColumnsHandle::write(const Napi::CallbackInfo& info) {
  const int64_t start = to_integer(Where("start"), info[0]);
  const Where root("data");
  const Napi::Array array = to_array(root, info[1], kMaxListEntries);
  std::vector<Napi::Value> data;
  const uint32_t length = array.Length();
  for (uint32_t i = 0; i < length; ++i) data.push_back(array.Get(i));
  // No JavaScript runs from here on, so the arrays' addresses stay valid.
  const std::vector<Column>& columns = live().columns();
  if (data.size() != columns.size()) {
    throw Failure(Code::argument, text_of("data has ", data.size(), " entries, expected ", columns.size(), ", one per column"));
  }
  int64_t rows = 0;
  std::vector<const void*> values;
  for (size_t k = 0; k < columns.size(); ++k) {
    const Where where(root, static_cast<int64_t>(k));
    const auto type = columns[k].dtype == MG_I32 ? napi_int32_array : napi_float32_array;
    // The first array gives the number of rows.
    if (k == 0) rows = span_of(where, data[k], array_type_name(type)).length / columns[k].width;
    values.push_back(input_span(where, data[k], type, rows * columns[k].width).data);
  }
  live().write(start, rows, values);
  return info.Env().Undefined();
}

Napi::Value ColumnsHandle::shuffle_async(const Napi::CallbackInfo& info) {
  const uint64_t seed = to_key(Where("seed"), info[0]);
  const uint64_t epoch = to_key(Where("epoch"), info[1]);
  AsyncQueue& queue = Environment::of(info.Env()).queue(info.Env());
  return queue.post(std::make_unique<AsyncWork<Shuffle>>(info.Env(), std::make_unique<Shuffle>(live_pointer(), seed, epoch)));
}

Napi::Value ColumnsHandle::dispose(const Napi::CallbackInfo& info) {
  release(info.Env());
  return info.Env().Undefined();
}

}  // namespace multigate::addon
