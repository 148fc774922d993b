#include "selftest/engine.h"

#include "engine/failure.h"
#include "engine/reflect.h"

namespace selftest {

multigate::Program to_engine(const Program& program) {
  using multigate::FieldType, multigate::field_of;
  multigate::Program result;
  result.buffers = program.buffers;
  result.scalar_inputs = static_cast<uint32_t>(program.scalars.size());
  result.scalar_outputs = static_cast<uint32_t>(program.scalar_outputs);
  for (mg_op op : program.ops) {
    for (const multigate::Field& field : multigate::op_kinds()[static_cast<size_t>(op.kind)].fields) {
      if (field.type == FieldType::views) {
        auto& list = field_of<mg_views>(op, field);
        list = result.keep(std::vector<mg_view>(list.items, list.items + list.count));
      } else if (field.type == FieldType::integers) {
        auto& list = field_of<mg_ints>(op, field);
        list = result.keep(std::vector<int64_t>(list.items, list.items + list.count));
      }
    }
    result.ops.push_back(op);
  }
  return result;
}

std::string refusal(const multigate::Program& program) {
  try {
    multigate::validate(program);
    return "";
  } catch (const multigate::Failure& failure) {
    return failure.what();
  }
}

}  // namespace selftest
