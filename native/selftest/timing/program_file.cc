#include "selftest/timing/program_file.h"

#include <algorithm>

#include "engine/reflect.h"
#include "selftest/json.h"
#include "selftest/safetensors.h"

namespace selftest {
namespace {

template <size_t kCount>
int32_t choice(const Json& value, const char* const (&names)[kCount]) {
  for (size_t i = 0; i < kCount; i++)
    if (value.string == names[i]) return static_cast<int32_t>(i);
  throw JsonError("programs: '" + value.string + "' is not one of the expected names");
}

mg_view view_of(const Json& value) {
  if (value.kind == Json::Kind::null) return {-1, 0, 0};
  if (value.items.size() != 3) throw JsonError("programs: expected a view [buffer, offset, width]");
  return {static_cast<int32_t>(value.items[0].integer()), value.items[1].integer(), value.items[2].integer()};
}

void read_field(const Json& value, multigate::Program& program, mg_op& op, const multigate::Field& field) {
  using multigate::field_of, multigate::FieldType;
  std::vector<mg_view> views;
  std::vector<int64_t> integers;
  switch (field.type) {
    case FieldType::view: field_of<mg_view>(op, field) = view_of(value); break;
    case FieldType::views:
      for (const Json& item : value.items) views.push_back(view_of(item));
      field_of<mg_views>(op, field) = program.keep(std::move(views));
      break;
    case FieldType::integer: field_of<int64_t>(op, field) = value.integer(); break;
    case FieldType::scalar: field_of<int64_t>(op, field) = value.kind == Json::Kind::null ? -1 : value.integer(); break;
    case FieldType::integers:
      for (const Json& item : value.items) integers.push_back(item.integer());
      field_of<mg_ints>(op, field) = program.keep(std::move(integers));
      break;
    case FieldType::real: field_of<double>(op, field) = value.number; break;
  }
}

void read_program(const Json& from, multigate::Program& program) {
  static const char* const kClasses[] = {"rowInput", "rowOutput", "activation", "stored", "parameter", "gradient", "state", "table"};
  static const char* const kTypes[] = {"f32", "i32"};
  for (const Json& buffer : from.at("buffers").items)
    program.buffers.push_back(
        {choice(buffer.at("class"), kClasses), choice(buffer.at("dtype"), kTypes), buffer.at("width").integer(), buffer.at("count").integer()});
  for (const Json& entry : from.at("ops").items) {
    mg_op op{};
    op.kind = multigate::find_op_kind(entry.at("op").string);
    if (op.kind < 0) throw JsonError("programs: there is no op " + entry.at("op").string);
    for (const multigate::Field& field : multigate::op_kinds()[static_cast<size_t>(op.kind)].fields)
      read_field(entry.at(field.name), program, op, field);
    program.ops.push_back(op);
  }
  program.scalar_inputs = static_cast<uint32_t>(from.at("scalars").items.size());
  program.scalar_outputs = static_cast<uint32_t>(from.at("scalarOutputs").integer());
}

}  // namespace

std::vector<std::unique_ptr<Workload>> read_workloads(const std::string& path, const std::string& only) {
  std::vector<std::unique_ptr<Workload>> workloads;
  for (const Json& entry : Json::parse(read_file(path)).items) {
    auto workload = std::make_unique<Workload>();
    workload->name = entry.at("workload").string;
    if (!only.empty() && ("," + only + ",").find("," + workload->name + ",") == std::string::npos) continue;
    workload->mode = entry.at("mode").string;
    workload->rows = entry.at("n").integer();
    workload->flops = entry.at("flops").number, workload->bytes = entry.at("bytes").number;
    read_program(entry.at("program"), workload->program);
    workload->facts = multigate::validate(workload->program);
    for (const Json& scalar : entry.at("program").at("scalars").items) workload->scalars.push_back(scalar.number);
    workloads.push_back(std::move(workload));
  }
  return workloads;
}

}  // namespace selftest
