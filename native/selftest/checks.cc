#include "selftest/checks.h"

#include <algorithm>
#include <cmath>

#include "selftest/random.h"

namespace selftest {

void check_parity(Report& report, const std::string& what, const Program& program, const Place& place, const Result& reference) {
  // bfloat16: operands that differ by float32's rounding may round to either side: one in 2^16 of them, by 2^-8 of itself. tf32: operands
  // differ from the reference's float32 by at most 2^-11 of themselves, products by 2^-10; a temperature of 0.5 doubles that. Each product adds its
  // own.
  const double limit = place.precision == MG_PRECISION_F32 ? 1e-5 : place.precision == MG_PRECISION_TF32 ? 2e-3 * program.depth : 1e-3;
  report.compare(what + " on " + place.name, program, run(program, place), reference, limit);
}

namespace {

/// The same rows in another order, with the list that undoes it.
Program shuffled(const Program& program, std::vector<int32_t>& index) {
  Program copy = program;
  const auto rows = static_cast<size_t>(program.rows);
  index.resize(rows);
  for (size_t r = 0; r < rows; r++) index[r] = static_cast<int32_t>((r * 7919 + 13) % rows);
  std::vector<bool> hit(rows, false);  // 7919 is prime, so this is a permutation unless rows is a multiple of it
  for (const int32_t r : index) hit[static_cast<size_t>(r)] = true;
  if (std::find(hit.begin(), hit.end(), false) != hit.end())
    for (size_t r = 0; r < rows; r++) index[r] = static_cast<int32_t>(rows - 1 - r);
  const auto scatter = [&](auto& values, size_t width) {
    auto from = values;
    for (size_t r = 0; r < rows; r++)
      std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(r * width), width,
                  values.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(index[r]) * width));
  };
  for (size_t i = 0; i < copy.buffers.size(); i++) {
    if (copy.buffers[i].buffer_class != MG_ROW_INPUT) continue;
    const auto width = static_cast<size_t>(copy.buffers[i].width);
    copy.buffers[i].dtype == MG_I32 ? scatter(copy.ints[i], width) : scatter(copy.floats[i], width);
  }
  return copy;
}

}  // namespace

void check_bits(Report& report, const std::string& what, const Program& program, const Place& place) {
  const Result one = run(program, place, {1, nullptr});
  for (const int threads : place.threads) {
    const std::string name = what + " on " + place.name + " with " + std::to_string(threads) + " threads";
    report.compare(name, program, run(program, place, {threads, nullptr}), one, 0);
  }
  std::vector<int32_t> index;
  const Program moved = shuffled(program, index);
  report.compare(what + " on " + place.name + " through row_index", program, run(moved, place, {2, index.data(), true}), one, 0);
  if (place.threads.size() > 1)  // devices copy the inputs either way
    report.compare(what + " on " + place.name + " side by side", program, run(program, place, {2, nullptr, true}), one, 0);
}

namespace {

/// sum of output . weights over the pairs, plus the scalar outputs.
double objective(const Program& program, const Result& result) {
  double sum = 0;
  for (const auto& [output, weights] : program.weighted_outputs) {
    const auto& y = result.buffers[static_cast<size_t>(output)];
    const auto& w = program.floats[static_cast<size_t>(weights)];
    for (size_t i = 0; i < y.size(); i++) sum += y[i] * static_cast<double>(w[i]);
  }
  if (program.losses_count)
    for (const double loss : result.scalars) sum += loss;
  return sum;
}

/// d objective / d value by central differences of two steps (Richardson); the error is of order step^4.
double difference(Program& program, const Place& place, float& value, float step) {
  const float at = value;
  const auto slope = [&](float h) {
    value = at + h;
    const double right = static_cast<double>(value), above = objective(program, run(program, place));
    value = at - h;
    const double left = static_cast<double>(value), below = objective(program, run(program, place));
    value = at;
    return (above - below) / (right - left);  // not 2 h, because the sums were rounded to float32
  };
  return (4 * slope(step) - slope(2 * step)) / 3;
}

constexpr int kSamples = 5;

}  // namespace

void check_gradients(Report& report, const std::string& what, const Program& original, const Place& place) {
  if (!original.smooth) return;  // a step may cross a kink
  Program program = original;
  Random random(99);
  const Result result = run(program, place);
  if (!result.failure.empty()) return report.check(false, what, result.failure);
  // A few elements of one tensor. The gradient comes from a backend; the differences use the values that it computed from.
  const auto compare = [&](const std::string& tensor, std::vector<float>& values, const std::vector<double>& gradient, float step, size_t width = 1,
                           size_t gradient_width = 1) {
    std::vector<double> got, want;
    double scale = 0;
    for (const double value : gradient) scale = std::max(scale, std::fabs(value));
    for (int k = 0; k < kSamples; k++) {
      const auto at = static_cast<size_t>(random.between(0, static_cast<int64_t>(gradient.size()) - 1));
      want.push_back(difference(program, place, values[at / gradient_width * width + at % gradient_width], step));
      got.push_back(gradient[at]);
    }
    // Relative to the largest gradient, so that elements near zero are not held to their own size.
    got.push_back(scale + 1e-3), want.push_back(scale + 1e-3);
    report.compare(what + ", gradient of " + tensor + " by finite differences", got, want, 1e-6);
  };
  const auto width_of = [&](int32_t buffer) { return static_cast<size_t>(program.buffers[static_cast<size_t>(buffer)].width); };
  for (const Derivative& d : program.derivatives)
    compare("input " + std::to_string(d.input), program.floats[static_cast<size_t>(d.input)], result.buffers[static_cast<size_t>(d.gradient)],
            0x1.0p-9f, width_of(d.input), width_of(d.gradient));
  for (const int32_t table : program.moved_tables) {
    std::vector<float>& values = program.floats[static_cast<size_t>(table)];
    std::vector<double> gradient(values.begin(), values.end());
    for (size_t i = 0; i < gradient.size(); i++) gradient[i] -= result.buffers[static_cast<size_t>(table)][i];
    compare("table " + std::to_string(table), values, gradient, 0x1.0p-9f);
  }
  if (program.gradient_buffer >= 0 && !program.weighted_outputs.empty())
    compare("the parameters", program.floats[static_cast<size_t>(program.parameter_buffer)],
            result.buffers[static_cast<size_t>(program.gradient_buffer)], 0x1.0p-9f);
}

namespace {

/// Calls work(number, buffer) for the program's buffers of a class.
template <class Work>
void each_buffer(const Program& program, int32_t kind, const Work& work) {
  for (size_t i = 0; i < program.buffers.size(); i++)
    if (program.buffers[i].buffer_class == kind) work(static_cast<int32_t>(i), program.buffers[i]);
}

std::vector<double> times(std::vector<double> values, double factor) {
  for (double& value : values) value *= factor;
  return values;
}

}  // namespace

void check_phases(Report& report, const std::string& what, const Program& program, const Place& place) {
  const Result one = run(program, place);
  if (!one.failure.empty()) return report.check(false, what, one.failure);
  const auto touch = [&](const Between& step) {
    if (step.next > MG_PHASE_GRADIENTS)
      each_buffer(program, MG_GRADIENT, [&](int32_t number, const mg_buffer& buffer) { step.write(number, step.read(buffer, number)); });
    each_buffer(program, MG_STORED, [&](int32_t number, const mg_buffer& buffer) {
      const int64_t half = program.rows / 2;
      for (const auto& [first, rows] : {std::pair{int64_t{0}, half}, std::pair{half, program.rows - half}})
        if (rows > 0) step.write_stored(buffer, number, first, step.read_stored(buffer, number, first, rows));
    });
  };
  for (const std::vector<int>& cuts : {std::vector<int>{1}, {2}, {3}, {1, 2, 3}}) {
    std::string name = what + " on " + place.name + " cut before phase";
    for (const int cut : cuts) name += " " + std::to_string(cut);
    report.compare(name, program, run(program, place, {2, nullptr, false, cuts, touch}), one, 0);
  }
}

void check_between(Report& report, const std::string& what, const Program& program, const Place& place, const Place& reference) {
  const auto change = [&](const Between& step) {
    if (step.next == MG_PHASE_UPDATE)
      each_buffer(program, MG_GRADIENT, [&](int32_t number, const mg_buffer& buffer) { step.write(number, times(step.read(buffer, number), 2)); });
    if (step.next == MG_PHASE_GRADIENTS)
      each_buffer(program, MG_STORED, [&](int32_t number, const mg_buffer& buffer) {
        const int64_t first = program.rows / 3;
        step.write_stored(buffer, number, first, times(step.read_stored(buffer, number, first, program.rows - first), -2));
      });
  };
  const RunOptions cut{2, nullptr, false, {MG_PHASE_GRADIENTS, MG_PHASE_UPDATE}, change};
  report.compare(what + " changed between phases on " + place.name, program, run(program, place, cut), run(program, reference, cut), 1e-5);
}

}  // namespace selftest
