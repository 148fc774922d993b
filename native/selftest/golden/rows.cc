// Embeddings and losses.
#include <cmath>

#include "selftest/golden/golden.h"

namespace selftest {
namespace {

std::vector<int32_t> integers(const Tensor& tensor) { return {tensor.values.begin(), tensor.values.end()}; }

std::vector<float> column(const Tensor& tensor, int64_t at) {
  const int64_t width = tensor.shape[1];
  std::vector<float> values;
  for (int64_t r = 0; r < tensor.shape[0]; r++) values.push_back(static_cast<float>(tensor.values[static_cast<size_t>(r * width + at)]));
  return values;
}

struct Reduction {
  const char* name;
  int kind;  // as in mg_denominator
};
constexpr Reduction kReductions[] = {{"mean_valid", 0}, {"sum_over_batch_size", 1}, {"weighted_mean", 2}};

double denominator(int kind, const std::vector<float>& labels, const std::vector<float>& weights) {
  double sum = 0;
  for (size_t r = 0; r < labels.size(); r++) {
    const bool counts = !std::isnan(labels[r]);
    sum += kind == 1 ? 1 : counts ? (kind == 0 ? 1 : static_cast<double>(weights[r])) : 0;
  }
  return sum;
}

}  // namespace

// A step of plain gradient descent at rate 1 subtracts exactly the gradient from the table.
void check_embedding(Report& report, const GoldenCase& golden, const std::vector<Place>& places) {
  const int64_t dim = golden.entry.at("dim").integer();
  const char* names[] = {"lookup", "mean", "sum"};
  for (int64_t combiner = 0; combiner < 3; combiner++) {
    const std::string name = names[combiner];
    Program p(name);
    p.rows = golden.rows();
    const int64_t length = combiner == 0 ? 1 : golden.entry.at("L").integer();
    const mg_view table = p.table(dim, golden.floats("in/table"));
    const mg_view ids = p.ids(length, integers(golden.at(combiner == 0 ? "in/ids" : "in/bag")));
    const mg_view y = p.output(dim), gradient = p.stored(dim);
    p.add(mg_embedding_gather{table, ids, y, combiner});
    p.add(mg_copy_columns{p.input(dim, golden.floats("up/" + name)), gradient});
    mg_embedding_update update{};
    update.table = table;
    update.moment1 = update.moment2 = update.moment3 = update.average = kAbsent;
    update.ids = p.list({ids}), update.gradients = p.list({gradient}), update.combiners = p.list(std::vector<int64_t>{combiner});
    update.loss = p.scalar_output();
    update.learning_rate = p.scalar(1), update.step = p.scalar(1);
    p.add(update);
    for (const Place& place : places) {
      const std::string what = golden.id() + " on " + place.name + ": ";
      const Result result = run(p, place);
      if (!result.failure.empty()) {
        report.check(false, what + name, result.failure);
        continue;
      }
      report.compare(what + "out/" + name, result.buffers[static_cast<size_t>(y.buffer)], golden.at("out/" + name).values,
                     golden.tolerance(place, "out"));
      std::vector<double> taken = golden.at("in/table").values;
      for (size_t i = 0; i < taken.size(); i++) taken[i] -= result.buffers[static_cast<size_t>(table.buffer)][i];
      report.compare(what + "g/" + name, taken, golden.at("g/" + name + ".table").values, golden.tolerance(place, "grad"));
    }
  }
}

void check_losses(Report& report, const GoldenCase& golden, const std::vector<Place>& places) {
  const auto& types = golden.entry.at("types").items;
  const std::vector<float> weights = golden.floats("in/sample_weight");
  for (const Reduction& reduction : kReductions)
    for (size_t t = 0; t < types.size(); t++) {
      Program p(golden.id());
      p.rows = golden.rows();
      const auto task = static_cast<int64_t>(t);
      const std::vector<float> labels = column(golden.at("in/labels"), task);
      const mg_view z = p.input(1, column(golden.at("in/logits"), task)), dz = p.output(1);
      const auto fill = [&](auto op) {
        op.label = p.input(1, labels), op.weight = p.input(1, weights);
        op.denominator = p.scalar(denominator(reduction.kind, labels, weights));
        op.loss = p.scalar_output();
        op.task_weight = p.scalar(golden.at("in/task_weight").values[t]);
        p.add(op);
      };
      if (types[t].string == "binary") {
        mg_binary_loss op{};
        op.logit = z, op.dlogit = dz;
        fill(op);
      } else {
        mg_regression_loss op{};
        op.prediction = z, op.dprediction = dz;
        fill(op);
      }
      const std::string name = reduction.name;
      for (const Place& place : places) {
        const std::string what = golden.id() + " on " + place.name + ": " + name + " of task " + std::to_string(t);
        const Result result = run(p, place);
        if (!result.failure.empty()) {
          report.check(false, what, result.failure);
          continue;
        }
        report.compare(what, result.scalars, {golden.at("out/" + name + ".task_loss").values[t]}, golden.tolerance(place, "out"));
        std::vector<double> want;
        for (size_t r = 0; r < labels.size(); r++) want.push_back(golden.at("g/" + name + ".logits").values[r * types.size() + t]);
        report.compare(what + ", gradient", result.buffers[static_cast<size_t>(dz.buffer)], want, golden.tolerance(place, "grad"));
      }
    }
}

void check_multiclass(Report& report, const GoldenCase& golden, const std::vector<Place>& places) {
  const std::vector<float> weights = golden.floats("in/sample_weight");
  std::vector<float> labels;
  for (const double label : golden.at("in/label").values) labels.push_back(label < 0 ? NAN : static_cast<float>(label));
  for (const Reduction& reduction : kReductions) {
    Program p(golden.id());
    p.rows = golden.rows();
    const int64_t classes = golden.entry.at("classes").integer();
    mg_multiclass_loss op{};
    op.logits = p.input(classes, golden.floats("in/logits")), op.dlogits = p.output(classes);
    op.label = p.input(1, labels), op.weight = p.input(1, weights);
    op.denominator = p.scalar(denominator(reduction.kind, labels, weights));
    op.loss = p.scalar_output();
    op.task_weight = p.scalar(1);
    p.add(op);
    const std::string name = reduction.name;
    for (const Place& place : places) {
      const std::string what = golden.id() + " on " + place.name + ": " + name;
      const Result result = run(p, place);
      if (!result.failure.empty()) {
        report.check(false, what, result.failure);
        continue;
      }
      report.compare(what, result.scalars, golden.at("out/" + name + ".total").values, golden.tolerance(place, "out"));
      report.compare(what + ", gradient", result.buffers[static_cast<size_t>(op.dlogits.buffer)], golden.at("g/" + name + ".logits").values,
                     golden.tolerance(place, "grad"));
    }
  }
}

void check_funnel(Report& report, const GoldenCase& golden, const std::vector<Place>& places) {
  Program p(golden.id());
  p.rows = golden.rows();
  const mg_view a = p.input(1, golden.floats("in/ctr_logit")), b = p.input(1, golden.floats("in/cvr_logit"));
  const mg_view da = p.output(1), db = p.output(1), product = p.output(1);
  const mg_view weight = p.input(1, golden.floats("in/sample_weight"));
  const int64_t rows = p.scalar(static_cast<double>(p.rows));
  const auto& task_weight = golden.at("in/task_weight").values;
  p.add(mg_binary_loss{a, da, 0, p.input(1, golden.floats("in/click")), weight, rows, p.scalar_output(), p.scalar(task_weight[0])});
  // db has no earlier reader; da has the click's.
  p.add(mg_product_loss{p.list({a, b}), p.list({da, db}), p.list(std::vector<int64_t>{1, 0}), p.input(1, golden.floats("in/conversion")), weight,
                        rows, p.scalar_output(), p.scalar(task_weight[1])});
  p.add(mg_product_predict{p.list({a, b}), product});
  for (const Place& place : places) {
    const std::string what = golden.id() + " on " + place.name + ": ";
    const Result result = run(p, place);
    if (!result.failure.empty()) {
      report.check(false, what, result.failure);
      continue;
    }
    const double tolerance = golden.tolerance(place, "grad");
    report.compare(what + "losses", result.scalars, golden.at("out/task_loss").values, tolerance);
    report.compare(what + "g/ctr_logit", result.buffers[static_cast<size_t>(da.buffer)], golden.at("g/ctr_logit").values, tolerance);
    report.compare(what + "g/cvr_logit", result.buffers[static_cast<size_t>(db.buffer)], golden.at("g/cvr_logit").values, tolerance);
    report.compare(what + "out/p_ctcvr", result.buffers[static_cast<size_t>(product.buffer)], golden.at("out/p_ctcvr").values, tolerance);
  }
}

}  // namespace selftest
