// What the reference ops work on: one run of a program with every buffer in double, all rows at once.
//
// Plain loops and no tricks: this backend is the executable specification. Row buffers of the backend's own are [n, width]
// doubles; row inputs are float32 or int32 and are read through row_index and row_stride.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "abi/multigate.h"

namespace reference {

struct State {
  const std::vector<mg_buffer>& buffers;
  std::vector<std::vector<double>>& owned;  // activations, stored buffers and gradients that are not whole, by buffer number
  const mg_run& run;
  bool bfloat16;  // operands of products are rounded to it, where the kernels round them

  int64_t rows() const { return run.rows; }
  static bool has(const mg_view& view) { return view.buffer >= 0; }

  const mg_buffer& buffer(const mg_view& view) const { return buffers[static_cast<size_t>(view.buffer)]; }
  /// Where a row of a row input begins in its data.
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
  /// Column c of a row view of ours or an output, for writing.
  double& at(const mg_view& view, int64_t row, int64_t c) {
    const mg_buffer& b = buffer(view);
    double* data = b.buffer_class == MG_ROW_OUTPUT ? static_cast<double*>(run.data[view.buffer]) : owned[static_cast<size_t>(view.buffer)].data();
    return data[row * b.width + view.offset + c];
  }
  /// What takes part in a product in the place of a value.
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
  /// Elements of a parameter, gradient, state or table view; null for an absent one.
  double* elements(const mg_view& view) const { return has(view) ? static_cast<double*>(run.data[view.buffer]) + view.offset : nullptr; }
  /// What a rows op adds to for a parameter view; null for an absent one.
  double* sum(const mg_view& gradients, const mg_view& view) const {
    return has(view) ? owned[static_cast<size_t>(gradients.buffer)].data() + view.offset : nullptr;
  }
};

double activate(int64_t activation, double z);
/// d activation / dz, from z.
double slope(int64_t activation, double z);
/// The same from the output y where that is enough, so that no z need be kept; z is read for gelu and swish only.
double slope(int64_t activation, double y, double z);

#define MG_DECLARE_REFERENCE_(name, phase) void run_op(State& state, const mg_##name& op);
MG_OPS(MG_DECLARE_REFERENCE_)
#undef MG_DECLARE_REFERENCE_

}  // namespace reference
