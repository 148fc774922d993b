#include "selftest/fuzz/trial.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/open_step.h"
#include "engine/reflect.h"

namespace selftest {
namespace {

constexpr int64_t kMostElements = 1 << 16, kMostWork = 2'000'000, kMostColumns = 1 << 14;

template <class Number>
void extend(std::vector<Number>& values, int64_t count, Random& random, int64_t below) {
  while (static_cast<int64_t>(values.size()) < count) {
    if constexpr (std::is_integral_v<Number>)
      values.push_back(static_cast<Number>(random.between(0, below - 1)));
    else
      values.push_back(random.floats(1).front());
  }
  values.resize(static_cast<size_t>(count));
  if constexpr (std::is_integral_v<Number>)
    for (Number& id : values) id = static_cast<Number>(id % below);
}

double norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

double distance(const std::vector<double>& one, const std::vector<double>& other) {
  double sum = 0;
  for (size_t i = 0; i < one.size(); i++) sum += (one[i] - other[i]) * (one[i] - other[i]);
  return std::sqrt(sum);
}

}  // namespace

Trial::Trial(const multigate::Program& program, const Program& values, uint64_t seed)
    : program_(program), facts_(multigate::validate(program)), rows_(values.rows), floats_(program.buffers.size()), ints_(program.buffers.size()) {
  int64_t work = facts_.weights * rows_, columns = facts_.row_elements, elements = 0;
  for (const mg_buffer& buffer : program.buffers)
    if (!multigate::is_row_class(buffer.buffer_class)) elements += std::min(multigate::element_count(buffer), kMostElements + 1);
  for (const mg_op& op : program.ops)
    if (op.kind == MG_OP_embedding_update) work += int64_t{op.fields.embedding_update.ids.count} * rows_ * op.fields.embedding_update.table.width;
  too_large_ = work > kMostWork || elements > kMostElements || columns > kMostColumns;
  if (too_large_) return;
  Random random(seed);
  draw(values, random);
}

void Trial::draw(const Program& values, Random& random) {
  for (size_t i = 0; i < program_.buffers.size(); i++) {
    const mg_buffer& buffer = program_.buffers[i];
    if (i < values.floats.size()) floats_[i] = values.floats[i], ints_[i] = values.ints[i];
    if (buffer.dtype == MG_I32)
      extend(ints_[i], rows_ * buffer.width, random, facts_.id_limit[i]), floats_[i].clear();
    else if (buffer.buffer_class == MG_ROW_INPUT)
      extend(floats_[i], rows_ * buffer.width, random, 0);
    else if (!multigate::is_row_class(buffer.buffer_class))
      extend(floats_[i], multigate::element_count(buffer), random, 0);
  }
  scalars_ = values.scalars;
  scalars_.resize(program_.scalar_inputs, 1);
}

void Trial::nudge() {
  std::vector<bool> exact(program_.buffers.size(), false);  // a label may be a class number
  const auto keep = [&](const auto& op) {
    if constexpr (requires { op.label; }) exact[static_cast<size_t>(op.label.buffer)] = true;
  };
  for (const mg_op& op : program_.ops) {
#define SELFTEST_KEEP(name, phase) \
  if (op.kind == MG_OP_##name) keep(op.fields.name);
    MG_OPS(SELFTEST_KEEP)
#undef SELFTEST_KEEP
  }
  Random random(11);
  for (size_t i = 0; i < floats_.size(); i++)
    for (float& value : floats_[i])
      if (!exact[i]) value *= 1 + static_cast<float>(random.between(-4, 4)) * 0x1p-22f;
}

Trial Trial::nudged() const {
  Trial copy = *this;
  copy.nudge();
  return copy;
}

Result Trial::run(const Place& place, int threads, bool from_columns, bool in_phases) const {
  using namespace multigate;
  Result result;
  const bool doubles = place.backend->element == MG_F64;
  const auto plan = std::make_shared<Plan>(*place.backend, program_, place.isa, place.precision);
  std::vector<std::shared_ptr<Memory>> memories(program_.buffers.size());
  for (const int32_t number : facts_.bound) {
    const auto i = static_cast<size_t>(number);
    memories[i] = std::make_shared<Memory>(*place.backend, multigate::element_count(program_.buffers[i]));
    memories[i]->write_converted(0, floats_[i].data(), false, multigate::element_count(program_.buffers[i]));
    plan->bind(number, memories[i]);
  }
  std::vector<std::vector<double>> outputs(program_.buffers.size());  // room for either type
  {
    auto own = std::make_unique<Step>(plan, rows_, threads);
    Step& step = *own;
    std::vector<Column> columns;
    std::vector<int64_t> column_of;
    std::vector<const void*> all_values;
    for (const int32_t number : facts_.row_inputs) {
      const auto i = static_cast<size_t>(number);
      const mg_buffer& buffer = program_.buffers[i];
      const void* values = buffer.dtype == MG_I32 ? static_cast<const void*>(ints_[i].data()) : floats_[i].data();
      column_of.push_back(static_cast<int64_t>(columns.size()));
      columns.push_back({buffer.dtype, buffer.width, buffer.dtype == MG_I32 ? facts_.id_limit[i] : 0});
      all_values.push_back(values);
      if (!from_columns) step.copy_input(number, values, "fuzz");
    }
    std::shared_ptr<Columns> set;
    if (from_columns) {
      set = std::make_shared<Columns>(rows_, std::move(columns));
      set->write(0, rows_, all_values);
      Shuffle(set, 1, 1).execute();
      step.use_columns(set, column_of, 0, true, MG_DATA_AUTO);
    }
    for (const int32_t number : facts_.row_outputs) {
      auto& room = outputs[static_cast<size_t>(number)];
      room.assign(static_cast<size_t>(step.elements(number)), NAN);
      step.borrow_output(number, room.data());
    }
    step.set_scalars(scalars_.data());
    if (in_phases) {
      OpenStep open(std::move(own));
      for (int phase = MG_PHASE_ROWS; phase < MG_PHASE_COUNT; phase++) {
        open.begin(phase, phase);
        open.execute();
        open.end_run();
      }
      result.scalars = open.results();
    } else {
      step.execute();
      result.scalars = step.results();
    }
  }
  result.buffers.resize(program_.buffers.size());
  const auto widened = [&](std::vector<double>& values, int64_t count) {
    std::vector<double> wide(static_cast<size_t>(count));
    const auto* narrow = reinterpret_cast<const float*>(values.data());
    for (size_t k = 0; k < wide.size(); k++) wide[k] = doubles ? values[k] : static_cast<double>(narrow[k]);
    values = std::move(wide);
  };
  for (const int32_t number : facts_.row_outputs) {
    const auto i = static_cast<size_t>(number);
    result.buffers[i] = std::move(outputs[i]);
    widened(result.buffers[i], rows_ * program_.buffers[i].width);
  }
  for (const int32_t number : facts_.bound) {
    const auto i = static_cast<size_t>(number);
    const int64_t count = multigate::element_count(program_.buffers[i]);
    result.buffers[i].resize(static_cast<size_t>(count));
    memories[i]->read(0, result.buffers[i].data(), count);
    widened(result.buffers[i], count);
  }
  return result;
}

std::string Trial::compare(const Place& place, bool from_columns) const {
  const Place reference{"reference", mg_reference_backend(), "", place.precision};
  const Result want = run(reference, 1, from_columns), near = nudged().run(reference, 1, from_columns);
  Result got, again;
  try {
    got = run(place, 1, from_columns), again = run(place, 3, from_columns);
  } catch (const multigate::Failure& failure) {
    if (failure.code == multigate::Code::unsupported) return "";
    throw;
  }
  const auto finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double x) { return std::abs(x) < 1e12; });
  };
  // Beyond that float32 overflows and the reference does not: check only that any number of threads gives the same bits.
  bool comparable = finite(want.scalars) && finite(near.scalars);
  for (size_t i = 0; i < want.buffers.size(); i++) comparable = comparable && finite(want.buffers[i]) && finite(near.buffers[i]);
  const double least = place.precision == MG_PRECISION_BF16 ? 2e-2 : 1e-4;
  const auto differ = [](const std::vector<double>& one, const std::vector<double>& other) {
    for (size_t i = 0; i < one.size(); i++)
      if (one[i] != other[i] && !(std::isnan(one[i]) && std::isnan(other[i]))) return true;
    return false;
  };
  if (facts_.row_outputs.empty()) {
    const Result cut = run(place, 2, from_columns, true);
    bool other = differ(got.scalars, cut.scalars);
    for (size_t i = 0; i < got.buffers.size(); i++) other = other || differ(got.buffers[i], cut.buffers[i]);
    if (other) return place.name + ": in phases it gives other bits";
  }
  const auto check = [&](const std::string& what, const std::vector<double>& result, const std::vector<double>& threaded,
                         const std::vector<double>& right, const std::vector<double>& moved) -> std::string {
    if (differ(result, threaded)) return what + ": 3 threads give other bits";
    if (!comparable) return "";
    const double allowed = least * (norm(right) + 1e-3 * std::sqrt(static_cast<double>(right.size()))) + 1000 * distance(right, moved);
    const double error = distance(result, right);
    if (error <= allowed) return "";
    size_t worst = 0;
    for (size_t i = 0; i < result.size(); i++)
      if (!(std::abs(result[i] - right[i]) <= std::abs(result[worst] - right[worst]))) worst = i;
    return multigate::text_of(what, ": error ", error, ", allowed ", allowed, ", worst at ", worst, ": got ", result[worst], ", want ", right[worst]);
  };
  for (size_t i = 0; i < want.buffers.size(); i++) {
    const std::string text =
        check(multigate::text_of(place.name, ", buffer ", i), got.buffers[i], again.buffers[i], want.buffers[i], near.buffers[i]);
    if (!text.empty()) return text;
  }
  return check(place.name + ", scalars", got.scalars, again.scalars, want.scalars, near.scalars);
}

}  // namespace selftest
