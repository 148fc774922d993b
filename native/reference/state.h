// The state of the reference ops: one run of a program with every buffer in double, all rows at once.
//
// It uses plain loops and no tricks, because this backend is the executable specification. The backend's own row buffers are
// [n, width] doubles. Row inputs are float32 or int32, read through row_index and row_stride.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "abi/multigate.h"

namespace reference {

struct State {
  const std::vector<mg_buffer>& buffers;
  std::vector<std::vector<double>>& owned;  // activations, stored buffers and unreduced gradients, by buffer number
  const mg_run& run;
  bool bfloat16;  // round operands of products to bfloat16 where the kernels do

  int64_t rows() const { return run.rows; }
  static bool has(const mg_view& view) { return view.buffer >= 0; }

  const mg_buffer& buffer(const mg_view& view) const { return buffers[static_cast<size_t>(view.buffer)]; }
  /// The start of a row of a row input in its data.
  int64_t input_row(const mg_buffer& b, int64_t row) const {
    return (run.row_index ? run.row_index[row] : row) * (run.row_stride ? run.row_stride : b.width);
  }

  /// Column c of a row view, for reading.
  double get(const mg_view& view, int64_t row, int64_t c) const {
    const mg_buffer& b = buffer(view);
    if (b.buffer_class != MG_ROW_INPUT) return const_cast<State*>(this)->at(view, row, c);
    const int64_t at = input_row(b, row) + view.offset + c;
    const void* data = run.data[view.buffer];
    return b.dtype == MG_I32 ? static_cast<const int32_t*>(data)[at] : static_cast<double>(static_cast<const float*>(data)[at]);
  }
  int64_t id(const mg_view& view, int64_t row, int64_t c) const {
    return static_cast<const int32_t*>(run.data[view.buffer])[input_row(buffer(view), row) + view.offset + c];
  }
  /// Column c of an own row view or an output, for writing.
  double& at(const mg_view& view, int64_t row, int64_t c) {
    const mg_buffer& b = buffer(view);
    double* data = b.buffer_class == MG_ROW_OUTPUT ? static_cast<double*>(run.data[view.buffer]) : owned[static_cast<size_t>(view.buffer)].data();
    return data[row * b.width + view.offset + c];
  }
  /// The value as an operand of a product, rounded if needed.
  double operand(double value) const {
    if (!bfloat16 || !std::isfinite(value)) return value;
    const auto single = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &single, sizeof bits);
    bits = (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u;
    float rounded;
    std::memcpy(&rounded, &bits, sizeof rounded);
    return static_cast<double>(rounded);
  }
  /// Elements of a parameter, gradient, state or table view; null for an absent view.
  double* elements(const mg_view& view) const { return has(view) ? static_cast<double*>(run.data[view.buffer]) + view.offset : nullptr; }
  /// The gradient that a rows op adds to for a parameter view; null if one of the views is absent.
  double* sum(const mg_view& gradients, const mg_view& view) const {
    return has(view) && has(gradients) ? owned[static_cast<size_t>(gradients.buffer)].data() + view.offset : nullptr;
  }
};

double activate(int64_t activation, double z);
/// d activation / dz, from z.
double slope(int64_t activation, double z);
/// The same from the output y if possible, so that z need not be kept. Reads z only for gelu and swish.
double slope(int64_t activation, double y, double z);

#define MG_DECLARE_REFERENCE_(name, phase) void run_op(State& state, const mg_##name& op);
MG_OPS(MG_DECLARE_REFERENCE_)
#undef MG_DECLARE_REFERENCE_

}  // namespace reference
