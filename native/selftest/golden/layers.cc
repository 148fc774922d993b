// Layers of gated experts, forward and backward, in both precisions.
#include <algorithm>
#include <cmath>

#include "selftest/checks.h"
#include "selftest/golden/lowering.h"

namespace selftest {
namespace {

std::vector<double> rows_of(const Program& program, const Result& result, const mg_view& view) {
  const auto& all = result.buffers[static_cast<size_t>(view.buffer)];
  const auto stride = static_cast<size_t>(program.buffers[static_cast<size_t>(view.buffer)].width);
  std::vector<double> values;
  for (size_t r = 0; r < static_cast<size_t>(program.rows); r++)
    for (size_t c = 0; c < static_cast<size_t>(view.width); c++) values.push_back(all[r * stride + static_cast<size_t>(view.offset) + c]);
  return values;
}

/// Compares with golden values. `backward` 0: skips gradients.
void compare(Report& report, const GoldenCase& golden, const Program& program, const Lowering& layer, const Place& place, double forward,
             double backward) {
  const Result result = run(program, place);
  const std::string what = golden.id() + " on " + place.name + ": ";
  if (!result.failure.empty()) return report.check(false, what, result.failure);
  for (const auto& [name, view] : layer.outputs()) report.compare(what + name, rows_of(program, result, view), golden.at(name).values, forward);
  if (backward == 0) return;
  report.compare(what + "g/x", rows_of(program, result, layer.dx()), golden.at("g/x").values, backward);
  const auto& gradient = result.buffers[static_cast<size_t>(program.gradient_buffer)];
  for (const auto& [name, view] : layer.weights()) {
    const auto from = gradient.begin() + static_cast<std::ptrdiff_t>(view.offset);
    report.compare(what + "g/" + name, {from, from + static_cast<std::ptrdiff_t>(view.width)}, golden.at("g/" + name).values, backward);
  }
}

/// Removes rows from the gradients whose pre-activation is so near relu's kink that rounding decides its side.
void leave_out_kinks(const GoldenCase& golden, const Place& reference, Program& program, const Lowering& layer) {
  Program probe(golden.id());
  probe.rows = golden.rows();
  Lowering kept(golden, probe, true);
  kept.lower();
  const Result result = run(probe, reference);
  for (const mg_view& z : kept.pre_activations()) {
    const std::vector<double> values = rows_of(probe, result, z);
    for (size_t i = 0; i < values.size(); i++) {
      if (std::fabs(values[i]) > 1e-5) continue;
      const auto row = static_cast<std::ptrdiff_t>(i) / z.width;
      for (const mg_view& up : layer.upstream()) {
        auto& rows = program.floats[static_cast<size_t>(up.buffer)];
        std::fill_n(rows.begin() + row * up.width, up.width, 0.0f);
      }
    }
  }
}

}  // namespace

void check_layer(Report& report, const GoldenCase& golden, const std::vector<Place>& places) {
  Program program(golden.id());
  program.rows = golden.rows();
  Lowering layer(golden, program);
  layer.lower();
  for (const Place& place : places) compare(report, golden, program, layer, place, golden.tolerance(place, "out"), golden.tolerance(place, "grad"));

  const bool relu = golden.entry.at("config").at("activation").string == "relu";
  std::vector<Place> rounded = places;  // the first place is the reference
  for (Place& place : rounded) {
    place.precision = MG_PRECISION_BF16;
    place.name += " bfloat16";
    compare(report, golden, program, layer, place, 1e-2, relu ? 0 : 3e-2);
  }
  if (relu) leave_out_kinks(golden, rounded.front(), program, layer);
  const Result want = run(program, rounded.front());
  for (size_t i = 1; i < rounded.size(); i++) check_parity(report, golden.id(), program, rounded[i], want);
}

}  // namespace selftest
