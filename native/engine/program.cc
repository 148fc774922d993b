// Ownership of a program's lists; see program.h. validate.cc has the checks.
#include "engine/program.h"

#include <utility>

namespace multigate {

mg_views Program::keep(std::vector<mg_view> views) {
  views_.push_back(std::move(views));
  return {views_.back().data(), static_cast<uint32_t>(views_.back().size())};
}

mg_ints Program::keep(std::vector<int64_t> integers) {
  integers_.push_back(std::move(integers));
  return {integers_.back().data(), static_cast<uint32_t>(integers_.back().size())};
}

mg_program Program::abi() const {
  mg_program program{};
  program.buffers = buffers.data();
  program.buffer_count = static_cast<uint32_t>(buffers.size());
  program.ops = ops.data();
  program.op_count = static_cast<uint32_t>(ops.size());
  program.scalar_inputs = scalar_inputs;
  program.scalar_outputs = scalar_outputs;
  return program;
}

const char* class_name(int32_t buffer_class) noexcept {
  static const char* const kNames[] = {"rowInput", "rowOutput", "activation", "stored", "parameter", "gradient", "state", "table"};
  return buffer_class >= MG_ROW_INPUT && buffer_class <= MG_TABLE ? kNames[buffer_class] : "unknown";
}

const char* phase_name(int64_t phase) noexcept {
  static const char* const kNames[MG_PHASE_COUNT] = {"rows", "gradients", "update", "tables"};
  return phase >= 0 && phase < MG_PHASE_COUNT ? kNames[phase] : "unknown";
}

}  // namespace multigate
