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
    op.gamma = random.chance(0.4) ? random.pick<double>({0.5, 1, 2, 5}) : 0;
    fill_loss(p, random, op, [&] { return soft_label(random); });
    p.add(op);
  }
  return p;
}

Program binary_predict_case(Random& random, int64_t rows) {
  Program p("binary_predict");
  p.rows = rows;
  p.add(mg_binary_predict{p.input(1, random.floats(rows, 60)), p.output(1), random.pick<double>({0, -2.5, 1})});
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

Program regression_loss_case(Random& random, int64_t rows) {
  Program p("regression_loss");
  p.rows = rows;
  for (int64_t i = some_losses(random); i > 0; i--) {
    mg_regression_loss op{};
    op.kind = random.chance(0.3) ? MG_SQUARED : random.between(MG_ABSOLUTE, MG_TWEEDIE);
    op.parameter = op.kind == MG_HUBER ? 0.7 : op.kind == MG_QUANTILE ? random.pick<double>({0.1, 0.5, 0.9}) : op.kind == MG_TWEEDIE ? 1.5 : 0;
    if (op.kind == MG_ABSOLUTE || op.kind == MG_HUBER || op.kind == MG_QUANTILE) p.smooth = false;
    const bool counts = op.kind == MG_POISSON || op.kind == MG_TWEEDIE;
    op.prediction = signal(p, random, 1, op.dprediction, counts ? 8 : 60);
    fill_loss(p, random, op, [&] { return counts ? random.pick<double>({0, 0, 1, 2, 7.5}) : 4 * random.unit() - 2; });
    p.add(op);
  }
  return p;
}

Program regression_predict_case(Random& random, int64_t rows) {
  Program p("regression_predict");
  p.rows = rows;
  mg_regression_predict op{};
  op.link = random.between(MG_LINK_IDENTITY, MG_LINK_EXPM1);
  op.scale = random.pick<double>({1, 2.5, 1e-3}), op.offset = random.pick<double>({0, -3, 1});
  op.prediction = p.input(1, random.floats(rows, random.chance(0.2) ? 200 : 5)), op.y = p.output(1);
  p.add(op);
  return p;
}

Program ziln_loss_case(Random& random, int64_t rows) {
  Program p("ziln_loss");
  p.rows = rows;
  for (int64_t i = some_losses(random); i > 0; i--) {
    mg_ziln_loss op{};
    op.logits = signal(p, random, 3, op.dlogits, 6);
    fill_loss(p, random, op, [&] { return random.chance(0.5) ? 0 : std::exp(4 * random.unit() - 2); });
    p.add(op);
  }
  return p;
}

Program ziln_predict_case(Random& random, int64_t rows) {
  Program p("ziln_predict");
  p.rows = rows;
  p.add(mg_ziln_predict{p.input(3, random.floats(rows * 3, random.chance(0.2) ? 60 : 3)), p.output(1)});
  return p;
}

Program ordinal_loss_case(Random& random, int64_t rows) {
  Program p("ordinal_loss");
  p.rows = rows;
  for (int64_t i = some_losses(random); i > 0; i--) {
    mg_ordinal_loss op{};
    const int64_t buckets = random.between(1, 40);
    op.logits = signal(p, random, buckets, op.dlogits);
    fill_loss(p, random, op, [&] { return static_cast<double>(random.between(0, buckets)); });
    p.add(op);
  }
  return p;
}

Program ordinal_predict_case(Random& random, int64_t rows) {
  Program p("ordinal_predict");
  p.rows = rows;
  mg_ordinal_predict op{};
  const int64_t buckets = random.chance(0.1) ? 255 : random.between(1, 30);
  std::vector<int64_t> steps;
  for (int64_t i = 0; i < buckets; i++) steps.push_back(random.chance(0.1) ? int64_t{1} << 52 : random.between(0, 1 << 20));
  op.logits = p.input(buckets, random.floats(rows * buckets, 30)), op.y = p.output(1);
  op.steps = p.list(steps), op.unit = random.pick<double>({1e-6, 0.25}), op.offset = random.pick<double>({0, -3, 1});
  p.add(op);
  return p;
}

Program order_loss_case(Random& random, int64_t rows) {
  Program p("order_loss");
  p.rows = rows;
  p.smooth = false;
  mg_order_loss op{};
  std::vector<mg_view> logits, dlogits;
  std::vector<int64_t> accumulate;
  for (int64_t i = 0; i < 2; i++) {
    dlogits.emplace_back();
    logits.push_back(signal(p, random, 1, dlogits.back()));
    accumulate.push_back(random.chance(0.5));
    if (accumulate.back()) add_before(p, random, dlogits.back());
  }
  op.accumulate = p.list(accumulate), op.logits = p.list(logits), op.dlogits = p.list(dlogits);
  op.factor = random.pick<double>({0.5, 1, 3});
  fill_loss(p, random, op, [&] { return soft_label(random); });
  p.add(op);
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
