// Cases of losses and predictions.
#include <cmath>

#include "selftest/cases/cases.h"

namespace selftest {
namespace {

/// The fields that all losses share. `label` draws labels; one in eight is missing.
template <class Op, class Label>
void fill_loss(Program& p, Random& random, Op& op, Label label) {
  std::vector<float> labels(static_cast<size_t>(p.rows));
  for (float& value : labels) value = random.chance(0.125) ? NAN : static_cast<float>(label());
  op.label = p.input(1, std::move(labels));
  op.weight = kAbsent;
  if (random.chance(0.5)) {
    std::vector<float> rows = random.floats(p.rows, 2);
    for (float& value : rows) value = random.chance(0.1) ? 0 : std::fabs(value);
    op.weight = p.input(1, std::move(rows));
  }
  op.denominator = p.scalar(random.chance(0.05) ? 0 : static_cast<double>(p.rows));
  op.loss = p.scalar_outputs > 0 && random.chance(0.3) ? 0 : p.scalar_output();
  op.task_weight = p.scalar(1);  // so that the gradient is the derivative of the reported loss
  p.losses_count = true;
}

mg_view signal(Program& p, Random& random, int64_t width, mg_view& gradient, double largest = 60) {
  const mg_view x = p.input(width, random.floats(p.rows * width, random.chance(0.2) ? largest : 3));
  gradient = p.output(width);
  p.derivatives.push_back({x.buffer, gradient.buffer});
  return x;
}

int64_t some_losses(Random& random) { return random.chance(0.6) ? 1 : random.chance(0.1) ? 50 : random.between(2, 5); }

double soft_label(Random& random) { return random.chance(0.8) ? static_cast<double>(random.between(0, 1)) : random.unit(); }

}  // namespace

Program binary_loss_case(Random& random, int64_t rows) {
  Program p("binary_loss");
  p.rows = rows;
  for (int64_t i = some_losses(random); i > 0; i--) {
    mg_binary_loss op{};
    op.logit = signal(p, random, 1, op.dlogit);
    fill_loss(p, random, op, [&] { return soft_label(random); });
    p.add(op);
  }
  return p;
}

Program binary_predict_case(Random& random, int64_t rows) {
  Program p("binary_predict");
  p.rows = rows;
  p.add(mg_binary_predict{p.input(1, random.floats(rows, 60)), p.output(1)});
  return p;
}

Program product_loss_case(Random& random, int64_t rows) {
  Program p("product_loss");
  p.rows = rows;
  mg_product_loss op{};
  std::vector<mg_view> logits, dlogits;
  std::vector<int64_t> accumulate;
  const bool adds = random.chance(0.2);
  for (int64_t i = random.chance(0.1) ? 15 : random.between(1, 4); i > 0; i--) {
    dlogits.emplace_back();
    logits.push_back(signal(p, random, 1, dlogits.back()));
    accumulate.push_back(adds && random.chance(0.5));
    if (accumulate.back()) add_before(p, random, dlogits.back());
  }
  op.accumulate = p.list(accumulate);
  op.logits = p.list(logits), op.dlogits = p.list(dlogits);
  fill_loss(p, random, op, [&] { return soft_label(random); });
  p.add(op);
  return p;
}

Program product_predict_case(Random& random, int64_t rows) {
  Program p("product_predict");
  p.rows = rows;
  std::vector<mg_view> logits;
  for (int64_t i = random.between(1, 4); i > 0; i--) logits.push_back(p.input(1, random.floats(rows, 30)));
  p.add(mg_product_predict{p.list(logits), p.output(1)});
  return p;
}

Program squared_loss_case(Random& random, int64_t rows) {
  Program p("squared_loss");
  p.rows = rows;
  for (int64_t i = some_losses(random); i > 0; i--) {
    mg_squared_loss op{};
    op.prediction = signal(p, random, 1, op.dprediction);
    fill_loss(p, random, op, [&] { return 4 * random.unit() - 2; });
    p.add(op);
  }
  return p;
}

Program multiclass_loss_case(Random& random, int64_t rows) {
  Program p("multiclass_loss");
  p.rows = rows;
  const int64_t classes = random.between(2, 40);
  mg_multiclass_loss op{};
  op.logits = signal(p, random, classes, op.dlogits, 8);  // a difference of float32 numbers: no better than 1e-7 of the largest
  fill_loss(p, random, op, [&]() -> double {
    if (random.chance(0.05)) return random.pick<double>({-1, 0.5, static_cast<double>(classes)});  // not a class
    return static_cast<double>(random.between(0, classes - 1));
  });
  p.add(op);
  return p;
}

Program multiclass_predict_case(Random& random, int64_t rows) {
  Program p("multiclass_predict");
  p.rows = rows;
  const int64_t classes = random.between(2, 40);
  p.add(mg_multiclass_predict{p.input(classes, random.floats(rows * classes, 60)), p.output(classes)});
  return p;
}

}  // namespace selftest
