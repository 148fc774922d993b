// Reading programs; see program_reader.h.
#include "addon/program_reader.h"

#include <utility>

#include "addon/values.h"
#include "engine/reflect.h"

namespace multigate::addon {
namespace {

constexpr const char* kClasses[] = {"rowInput", "rowOutput", "activation", "stored", "parameter", "gradient", "state", "table", nullptr};
constexpr const char* kTypes[] = {"f32", "i32", nullptr};  // mg_dtype
constexpr const char* kReductions[] = {"valid", "batch", "weighted", nullptr};

mg_view read_view(const Where& where, const Napi::Value& value) {
  if (value.IsNull()) return {-1, 0, 0};
  if (!value.IsObject() || value.IsFunction()) wrong(where, value, "a view { buffer, offset, width }, or null");
  const auto object = value.As<Napi::Object>();
  mg_view view{};
  view.buffer = static_cast<int32_t>(to_integer(Where(where, "buffer"), property(object, "buffer"), 0, kMaxBuffers));
  view.offset = to_integer(Where(where, "offset"), property(object, "offset"));
  view.width = to_integer(Where(where, "width"), property(object, "width"));
  return view;
}

/// Calls `read` for every entry of an array, each in its own handle scope because programs may be long.
template <class Read>
void for_entries(const Where& where, const Napi::Value& value, int64_t longest, Read read) {
  const Napi::Array array = to_array(where, value, longest);
  const uint32_t length = array.Length();
  for (uint32_t i = 0; i < length; ++i) {
    const Napi::HandleScope scope(array.Env());
    read(Where(where, static_cast<int64_t>(i)), array.Get(i));
  }
}

std::vector<mg_view> read_views(const Where& where, const Napi::Value& value) {
  std::vector<mg_view> views;
  for_entries(where, value, kMaxListEntries, [&](const Where& at, const Napi::Value& entry) { views.push_back(read_view(at, entry)); });
  return views;
}

std::vector<int64_t> read_integers(const Where& where, const Napi::Value& value) {
  std::vector<int64_t> integers;
  for_entries(where, value, kMaxListEntries, [&](const Where& at, const Napi::Value& entry) { integers.push_back(to_integer(at, entry)); });
  return integers;
}

void read_field(const Where& where, const Napi::Value& value, Program& program, mg_op& op, const Field& field) {
  switch (field.type) {
    case FieldType::view: field_of<mg_view>(op, field) = read_view(where, value); return;
    case FieldType::views: field_of<mg_views>(op, field) = program.keep(read_views(where, value)); return;
    case FieldType::integer: field_of<int64_t>(op, field) = to_integer(where, value); return;
    case FieldType::scalar: field_of<int64_t>(op, field) = value.IsNull() ? -1 : to_integer(where, value); return;
    case FieldType::integers: field_of<mg_ints>(op, field) = program.keep(read_integers(where, value)); return;
    case FieldType::real: field_of<double>(op, field) = to_finite(where, value); return;
  }
}

mg_op read_op(const Where& where, const Napi::Value& value, Program& program) {
  const Napi::Object object = to_object(where, value);
  const Napi::Value name = property(object, "op");
  mg_op op{};
  op.kind = find_op_kind(to_string(Where(where, "op"), name));
  if (op.kind < 0) wrong(Where(where, "op"), name, "the name of an op");
  for (const Field& field : op_kinds()[static_cast<size_t>(op.kind)].fields) {
    read_field(Where(where, field.name.c_str()), property(object, field.name.c_str()), program, op, field);
  }
  return op;
}

mg_buffer read_buffer(const Where& where, const Napi::Value& value) {
  const Napi::Object object = to_object(where, value);
  mg_buffer buffer{};
  buffer.buffer_class = to_choice(Where(where, "class"), property(object, "class"), kClasses);
  buffer.dtype = to_choice(Where(where, "dtype"), property(object, "dtype"), kTypes);
  buffer.width = to_integer(Where(where, "width"), property(object, "width"));
  buffer.count = to_integer(Where(where, "count"), property(object, "count"));
  return buffer;
}

mg_denominator read_denominator(const Where& where, const Napi::Value& value) {
  const Napi::Object object = to_object(where, value);
  mg_denominator denominator{};
  denominator.scalar = to_integer(Where(where, "scalar"), property(object, "scalar"));
  denominator.label = read_view(Where(where, "label"), property(object, "label"));
  denominator.weight = read_view(Where(where, "weight"), property(object, "weight"));
  denominator.reduction = to_choice(Where(where, "reduction"), property(object, "reduction"), kReductions);
  return denominator;
}

Program read(const Napi::Value& spec) {
  const Where root("program");
  const Napi::Object object = to_object(root, spec);
  Program program;
  for_entries(Where(root, "buffers"), property(object, "buffers"), kMaxBuffers,
              [&](const Where& at, const Napi::Value& entry) { program.buffers.push_back(read_buffer(at, entry)); });
  for_entries(Where(root, "ops"), property(object, "ops"), kMaxOps,
              [&](const Where& at, const Napi::Value& entry) { program.ops.push_back(read_op(at, entry, program)); });
  program.scalar_inputs = static_cast<uint32_t>(to_integer(Where(root, "scalarInputs"), property(object, "scalarInputs"), 0, kMaxScalars));
  program.scalar_outputs = static_cast<uint32_t>(to_integer(Where(root, "scalarOutputs"), property(object, "scalarOutputs"), 0, kMaxScalars));
  for_entries(Where(root, "denominators"), property(object, "denominators"), kMaxScalars,
              [&](const Where& at, const Napi::Value& entry) { program.denominators.push_back(read_denominator(at, entry)); });
  return program;
}

}  // namespace

Program read_program(const Napi::Value& spec) {
  try {
    return read(spec);
  } catch (const Failure& failure) {
    throw Failure(failure.code == Code::argument ? Code::program : failure.code, failure.what());
  }
}

}  // namespace multigate::addon
