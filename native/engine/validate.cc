// validate(): checks buffers, then each op by the rules in the comments of abi/ops.h, then the program as a whole.
// After adding an op to MG_OPS this file does not compile until check(Checker&, const mg_<op>&) exists.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/checker.h"

namespace multigate {
namespace {

constexpr int64_t kLastActivation = MG_SWISH;
constexpr int64_t kLastCombiner = MG_CONCAT;
constexpr int64_t kMostSteps = 255;               // of ordinal_predict
constexpr int64_t kMaxIdRows = int64_t{1} << 31;  // ids are int32

bool needs_pre_activation(int64_t activation) { return activation == MG_GELU || activation == MG_SWISH; }

void check(Checker& c, const mg_copy_columns& op) {
  const mg_view x = c.row_read("x", op.x, 0);
  c.row_write("y", op.y, x.width);
}

/// Columns that a gather writes.
int64_t gathered_width(Checker& c, FieldName ids, int64_t combiner, int64_t length, int64_t dim) {
  return combiner == MG_CONCAT ? c.product(ids, length, dim, 1, kMaxRowWidth) : dim;
}

void check(Checker& c, const mg_embedding_gather& op) {
  c.within("combiner", op.combiner, 0, kLastCombiner);
  const int64_t rows = c.table("table", op.table);
  const int64_t length = c.ids_read("ids", op.ids, rows, op.combiner);
  c.row_write("y", op.y, gathered_width(c, "ids", op.combiner, length, op.table.width));
}

template <class Dense>
void check_dense_parameters(Checker& c, const Dense& op, int64_t in, int64_t out) {
  c.within("activation", op.activation, 0, kLastActivation);
  c.parameter("kernel", op.kernel, c.product("kernel", in, out));
  if (Checker::present(op.bias)) c.parameter("bias", op.bias, out);
}

void check(Checker& c, const mg_dense_forward& op) {
  const int64_t in = c.row_read("x", op.x, 0).width;
  c.row_write("y", op.y, 0);
  check_dense_parameters(c, op, in, op.y.width);
  if (Checker::present(op.z)) c.row_write("z", op.z, op.y.width);
}

void check(Checker& c, const mg_dense_backward& op) {
  const int64_t in = c.row_read("x", op.x, 0).width;
  const int64_t out = c.row_read("y", op.y, 0).width;
  check_dense_parameters(c, op, in, out);
  if (Checker::present(op.gradients)) c.adds_gradients("gradients", op.gradients);
  c.row_read("dy", op.dy, out);
  c.within("accumulate", op.accumulate, 0, 1);
  if (Checker::present(op.z)) {
    c.row_read("z", op.z, out);
  } else if (needs_pre_activation(op.activation)) {
    c.fail("z", "absent", "the pre-activation, which gelu and swish need");
  }
  if (Checker::present(op.dx)) {
    c.gradient_write("dx", op.dx, in, op.accumulate == 1);
  }
}

/// Sizes that follow from a topology.
struct MixtureShape {
  int64_t streams, experts, gates, seen;
};

template <class Mixture>
MixtureShape check_mixture_gates(Checker& c, const Mixture& op) {
  const MixtureShape shape{op.streams.count, op.expert_stream.count, op.gate_stream.count, op.gate_expert.count};
  if (shape.streams < 1) c.fail("streams", "empty", "at least one view");
  if (shape.experts < 1) c.fail("expertStream", "empty", "at least one expert");
  if (shape.gates < 1) c.fail("gateStream", "empty", "at least one gate");
  for (int64_t i = 0; i < shape.experts; ++i) c.within({"expertStream", i}, op.expert_stream.items[i], 0, shape.streams - 1);
  for (int64_t j = 0; j < shape.gates; ++j) c.within({"gateStream", j}, op.gate_stream.items[j], 0, shape.streams - 1);
  c.length("gateOffset", op.gate_offset, shape.gates + 1, "gates + 1");
  const int64_t* offset = op.gate_offset.items;
  c.within({"gateOffset", 0}, offset[0], 0, 0);
  for (int64_t j = 0; j < shape.gates; ++j) {
    // Each gate sees an expert, so offsets rise. None passes the end of gateExpert.
    c.within({"gateOffset", j + 1}, offset[j + 1], offset[j] + 1, shape.seen);
  }
  c.within({"gateOffset", shape.gates}, offset[shape.gates], shape.seen, shape.seen);
  std::vector<int64_t> seen_by(static_cast<size_t>(shape.experts), -1);
  for (int64_t j = 0; j < shape.gates; ++j) {
    for (int64_t k = offset[j]; k < offset[j + 1]; ++k) {
      const int64_t expert = op.gate_expert.items[k];
      c.within({"gateExpert", k}, expert, 0, shape.experts - 1);
      int64_t& gate = seen_by[static_cast<size_t>(expert)];
      // Kernels rely on this: a gate sees at most `experts` experts.
      if (gate == j) c.fail({"gateExpert", k}, text_of("expert ", expert, ", seen twice by gate ", j), "each expert once per gate");
      gate = j;
    }
  }
  return shape;
}

template <class Mixture>
MixtureShape check_topology(Checker& c, const Mixture& op) {
  const MixtureShape shape = check_mixture_gates(c, op);
  c.within("units", op.units, 1, kMaxRowWidth);
  c.within("activation", op.activation, 0, kLastActivation);
  if (!(op.temperature > 0 && std::isfinite(static_cast<float>(1 / op.temperature)))) {
    c.fail("temperature", text_of(op.temperature), "a number > 0 whose reciprocal is a float32");
  }
  std::vector<int64_t> experts_on(static_cast<size_t>(shape.streams), 0);
  for (int64_t i = 0; i < shape.experts; ++i) ++experts_on[static_cast<size_t>(op.expert_stream.items[i])];
  for (int64_t s = 0; s < shape.streams; ++s) c.row_read({"streams", s}, op.streams.items[s], 0);
  c.length("expertKernel", op.expert_kernel, shape.streams, "one per stream");
  for (int64_t s = 0; s < shape.streams; ++s) {
    const FieldName field("expertKernel", s);
    const mg_view& kernel = op.expert_kernel.items[s];
    const int64_t experts = experts_on[static_cast<size_t>(s)];
    if (experts == 0) {
      if (Checker::present(kernel)) c.fail(field, "a view", "none, because no expert reads this stream");
      continue;
    }
    c.parameter(field, kernel, c.product(field, experts, op.streams.items[s].width, op.units));
  }
  c.parameter("expertBias", op.expert_bias, c.product("units", shape.experts, op.units, 1, kMaxRowWidth));
  c.length("gateKernel", op.gate_kernel, shape.gates, "one per gate");
  if (op.gate_bias.count != 0) c.length("gateBias", op.gate_bias, shape.gates, "one per gate, or none at all");
  for (int64_t j = 0; j < shape.gates; ++j) {
    const int64_t seen = op.gate_offset.items[j + 1] - op.gate_offset.items[j];
    const FieldName field("gateKernel", j);
    c.parameter(field, op.gate_kernel.items[j], c.product(field, op.streams.items[op.gate_stream.items[j]].width, seen));
    if (op.gate_bias.count != 0) c.parameter({"gateBias", j}, op.gate_bias.items[j], seen);
  }
  return shape;
}

/// experts and pre, [n, experts * units]: pre needs experts, and is required if backward will need it.
template <class Mixture, class Use>
void check_kept(Checker& c, const Mixture& op, Use use) {
  const int64_t width = op.expert_bias.width;
  if (!Checker::present(op.experts)) {
    if (Checker::present(op.pre)) c.fail("pre", "a view", "none without experts");
    return;
  }
  use("experts", op.experts, width);
  if (Checker::present(op.pre)) {
    use("pre", op.pre, width);
  } else if (needs_pre_activation(op.activation)) {
    c.fail("pre", "absent", "the pre-activations, which gelu and swish need with experts");
  }
}

bool same(const mg_view& a, const mg_view& b) { return a.buffer == b.buffer && a.offset == b.offset && a.width == b.width; }
bool same(int64_t a, int64_t b) { return a == b; }
bool same(double a, double b) { return a == b; }
template <class List>
bool same(const List& a, const List& b) {
  return std::equal(a.items, a.items + a.count, b.items, b.items + b.count, [](const auto& one, const auto& other) { return same(one, other); });
}

/// Checks that forward kept its values for this topology, and that the streams have not changed since.
void check_pair(Checker& c, const mg_mixture_backward& op, int64_t number) {
  const mg_mixture_forward& forward = c.program().ops[static_cast<size_t>(number)].fields.mixture_forward;
#define MULTIGATE_SAME(name) \
  if (!same(op.name, forward.name)) c.fail(camel_case(#name).c_str(), "another", text_of("that of op ", number, ", whose experts these are"));
  MG_FIELDS_mixture_topology(MULTIGATE_SAME, MULTIGATE_SAME, MULTIGATE_SAME, MULTIGATE_SAME, MULTIGATE_SAME, MULTIGATE_SAME)
#undef MULTIGATE_SAME
      if (!same(op.experts, forward.experts) || !same(op.pre, forward.pre)) {
    const auto where = [](const mg_view& view) { return Checker::present(view) ? text_of("of buffer ", view.buffer) : std::string("absent"); };
    c.fail("pre", where(op.pre), text_of(where(forward.pre), ", as op ", number, " keeps it beside these experts"));
  }
  if (!same(op.gates, forward.gates)) c.fail("gates", "another view", text_of("that of op ", number, ", whose experts these are"));
  c.unchanged_since("gates", op.gates, number);
  for (int64_t s = 0; s < op.streams.count; ++s) c.unchanged_since({"streams", s}, op.streams.items[s], number);
}

void check(Checker& c, const mg_mixture_forward& op) {
  const MixtureShape shape = check_topology(c, op);
  c.length("outputs", op.outputs, shape.gates, "one per gate");
  for (int64_t j = 0; j < shape.gates; ++j) c.row_write({"outputs", j}, op.outputs.items[j], op.units);
  if (Checker::present(op.gates)) c.row_write("gates", op.gates, shape.seen);
  check_kept(c, op, [&](const char* field, const mg_view& view, int64_t width) { c.kept_write(field, view, width); });
}

void check(Checker& c, const mg_mixture_backward& op) {
  const MixtureShape shape = check_topology(c, op);
  if (Checker::present(op.gradients)) c.adds_gradients("gradients", op.gradients);
  c.length("doutputs", op.doutputs, shape.gates, "one per gate");
  for (int64_t j = 0; j < shape.gates; ++j) {
    if (Checker::present(op.doutputs.items[j])) c.row_read({"doutputs", j}, op.doutputs.items[j], op.units);
  }
  c.length("dstreams", op.dstreams, shape.streams, "one per stream");
  c.length("accumulate", op.accumulate, shape.streams, "one per stream");
  for (int64_t s = 0; s < shape.streams; ++s) {
    const mg_view& dstream = op.dstreams.items[s];
    c.within({"accumulate", s}, op.accumulate.items[s], 0, 1);
    if (Checker::present(dstream)) c.gradient_write({"dstreams", s}, dstream, op.streams.items[s].width, op.accumulate.items[s] == 1);
  }
  c.row_read("gates", op.gates, shape.seen);
  check_kept(c, op, [&](const char* field, const mg_view& view, int64_t width) { check_pair(c, op, c.kept_read(field, view, width)); });
}

void check(Checker& c, const mg_fusion_forward& op) {
  c.within("kind", op.kind, 0, 1);
  if (op.inputs.count < 1) c.fail("inputs", "empty", "at least one view");
  c.row_write("y", op.y, 0);
  for (int64_t i = 0; i < op.inputs.count; ++i) c.row_read({"inputs", i}, op.inputs.items[i], op.y.width);
}

void check(Checker& c, const mg_fusion_backward& op) {
  c.within("kind", op.kind, 0, 1);
  if (op.inputs.count < 1) c.fail("inputs", "empty", "at least one view");
  const int64_t width = c.row_read("dy", op.dy, 0).width;
  c.length("dinputs", op.dinputs, op.inputs.count, "one per input");
  c.length("accumulate", op.accumulate, op.inputs.count, "one per input");
  for (int64_t i = 0; i < op.inputs.count; ++i) {
    c.row_read({"inputs", i}, op.inputs.items[i], width);
    c.within({"accumulate", i}, op.accumulate.items[i], 0, 1);
    if (Checker::present(op.dinputs.items[i])) c.gradient_write({"dinputs", i}, op.dinputs.items[i], width, op.accumulate.items[i] == 1);
  }
}

/// What ops that draw random numbers in a step share.
template <class Op>
void check_draws(Checker& c, const Op& op) {
  constexpr int64_t kMaxSeed = (int64_t{1} << 53) - 1;
  const int64_t width = c.row_read("x", op.x, 0).width;
  c.row_write("y", op.y, width);
  c.within("seed", op.seed, 0, kMaxSeed);
  c.within("stream", op.stream, 0, int64_t{0xFFFFFFFF});
  c.step_input("step", op.step);
}

void check(Checker& c, const mg_dropout& op) {
  check_draws(c, op);
  if (!(op.rate >= 0 && op.rate < 1)) c.fail("rate", text_of(op.rate), "a number in [0, 1)");
}

void check(Checker& c, const mg_gate_noise& op) {
  check_draws(c, op);
  if (!(op.deviation >= 0 && op.deviation <= std::numeric_limits<float>::max())) {
    c.fail("deviation", text_of(op.deviation), "a float32 of 0 or more");
  }
  if (!(op.dropout >= 0 && op.dropout < 1)) c.fail("dropout", text_of(op.dropout), "a number in [0, 1)");
}

/// Checks what all losses share. The task weight affects only the gradient.
template <class Loss>
void check_loss(Checker& c, const Loss& op, bool with_gradient) {
  c.input_read("label", op.label, 1);
  if (Checker::present(op.weight)) c.input_read("weight", op.weight, 1);
  c.scalar_input("denominator", op.denominator);
  c.scalar_output("loss", op.loss);
  if (with_gradient || Checker::present(op.task_weight)) c.weight_input("taskWeight", op.task_weight);
}

void check(Checker& c, const mg_binary_loss& op) {
  c.row_read("logit", op.logit, 1);
  if (Checker::present(op.dlogit)) c.row_write("dlogit", op.dlogit, 1);
  if (!(op.gamma >= 0)) c.fail("gamma", text_of(op.gamma), "a number >= 0");
  check_loss(c, op, Checker::present(op.dlogit));
}

void check(Checker& c, const mg_product_loss& op) {
  if (op.logits.count < 1) c.fail("logits", "empty", "at least one view");
  for (int64_t i = 0; i < op.logits.count; ++i) c.row_read({"logits", i}, op.logits.items[i], 1);
  if (op.dlogits.count != 0) {
    c.length("dlogits", op.dlogits, op.logits.count, "one per logit, or none at all");
    c.length("accumulate", op.accumulate, op.logits.count, "one per logit");
    for (int64_t i = 0; i < op.logits.count; ++i) {
      c.within({"accumulate", i}, op.accumulate.items[i], 0, 1);
      c.row_write({"dlogits", i}, op.dlogits.items[i], 1, op.accumulate.items[i] == 1);
    }
  }
  check_loss(c, op, op.dlogits.count != 0);
}

void check(Checker& c, const mg_product_predict& op) {
  if (op.logits.count < 1) c.fail("logits", "empty", "at least one view");
  for (int64_t i = 0; i < op.logits.count; ++i) c.row_read({"logits", i}, op.logits.items[i], 1);
  c.row_write("y", op.y, 1);
}

void check(Checker& c, const mg_regression_loss& op) {
  c.row_read("prediction", op.prediction, 1);
  if (Checker::present(op.dprediction)) c.row_write("dprediction", op.dprediction, 1);
  c.within("kind", op.kind, 0, MG_TWEEDIE);
  const double a = op.parameter;
  if (op.kind == MG_HUBER && !(a > 0)) c.fail("parameter", text_of(a), "a number > 0");
  if (op.kind == MG_QUANTILE && !(a > 0 && a < 1)) c.fail("parameter", text_of(a), "a number in (0, 1)");
  if (op.kind == MG_TWEEDIE && !(a > 1 && a < 2)) c.fail("parameter", text_of(a), "a number in (1, 2)");
  check_loss(c, op, Checker::present(op.dprediction));
}

void check(Checker& c, const mg_regression_predict& op) {
  c.row_read("prediction", op.prediction, 1);
  c.row_write("y", op.y, 1);
  c.within("link", op.link, 0, MG_LINK_EXPM1);
}

void check(Checker& c, const mg_ziln_loss& op) {
  c.row_read("logits", op.logits, 3);
  if (Checker::present(op.dlogits)) c.row_write("dlogits", op.dlogits, 3);
  check_loss(c, op, Checker::present(op.dlogits));
}

void check(Checker& c, const mg_ziln_predict& op) {
  c.row_read("logits", op.logits, 3);
  c.row_write("y", op.y, 1);
}

void check(Checker& c, const mg_ordinal_loss& op) {
  const int64_t width = c.row_read("logits", op.logits, 0).width;
  if (Checker::present(op.dlogits)) c.row_write("dlogits", op.dlogits, width);
  check_loss(c, op, Checker::present(op.dlogits));
}

void check(Checker& c, const mg_ordinal_predict& op) {
  const int64_t width = c.row_read("logits", op.logits, 0).width;
  c.within("logits", width, 1, kMostSteps);
  c.row_write("y", op.y, 1);
  c.length("steps", op.steps, width, "one per logit");
  for (int64_t i = 0; i < width; ++i) c.within({"steps", i}, op.steps.items[i], 0, int64_t{1} << 52);
}

void check(Checker& c, const mg_order_loss& op) {
  c.length("logits", op.logits, 2, "two");
  for (int64_t i = 0; i < 2; ++i) c.row_read({"logits", i}, op.logits.items[i], 1);
  if (op.dlogits.count != 0) {
    c.length("dlogits", op.dlogits, 2, "one per logit, or none at all");
    c.length("accumulate", op.accumulate, 2, "one per logit");
    for (int64_t i = 0; i < 2; ++i) {
      c.within({"accumulate", i}, op.accumulate.items[i], 0, 1);
      c.row_write({"dlogits", i}, op.dlogits.items[i], 1, op.accumulate.items[i] == 1);
    }
  }
  check_loss(c, op, op.dlogits.count != 0);
}

void check(Checker& c, const mg_multiclass_loss& op) {
  const int64_t classes = c.row_read("logits", op.logits, 0).width;
  if (Checker::present(op.dlogits)) c.row_write("dlogits", op.dlogits, classes);
  check_loss(c, op, Checker::present(op.dlogits));
}

void check(Checker& c, const mg_multiclass_predict& op) { c.row_write("y", op.y, c.row_read("logits", op.logits, 0).width); }

void check(Checker& c, const mg_binary_predict& op) {
  c.row_read("logit", op.logit, 1);
  c.row_write("y", op.y, 1);
}

/// The outputs of a Gram matrix: one per pair of `list`.
void check_pairs(Checker& c, const char* field, const mg_views& list, int64_t output) {
  const auto count = static_cast<int64_t>(list.count);
  if (count < 1 || count > kMostGradients) c.fail(field, text_of(count, " views"), text_of("1 to ", kMostGradients));
  c.scalar_output("output", output);
  c.scalar_output("output", output + count * (count + 1) / 2 - 1);
}

void check(Checker& c, const mg_row_gram& op) {
  check_pairs(c, "gradients", op.gradients, op.output);
  for (int64_t i = 0; i < op.gradients.count; ++i) c.row_read({"gradients", i}, op.gradients.items[i], op.gradients.items[0].width);
}

void check(Checker& c, const mg_gradient_gram& op) {
  check_pairs(c, "gradients", op.gradients, op.output);
  for (int64_t i = 0; i < op.gradients.count; ++i) c.whole_gradients({"gradients", i}, op.gradients.items[i]);
  if (op.parameters.count < 1) c.fail("parameters", "empty", "at least one view");
  for (int64_t i = 0; i < op.parameters.count; ++i) c.parameter({"parameters", i}, op.parameters.items[i], 0);
}

/// The scalar inputs of a weighted sum, one per view of `list`.
void check_weights(Checker& c, const char* field, const mg_views& list, int64_t weights) {
  const auto count = static_cast<int64_t>(list.count);
  if (count < 1 || count > kMostGradients) c.fail(field, text_of(count, " views"), text_of("1 to ", kMostGradients));
  for (int64_t i = 0; i < count; ++i) c.weight_input("weights", weights + i);
}

void check(Checker& c, const mg_combine_gradients& op) {
  check_weights(c, "gradients", op.gradients, op.weights);
  for (int64_t i = 0; i < op.gradients.count; ++i) c.whole_gradients({"gradients", i}, op.gradients.items[i]);
  c.makes_whole("y", op.y);
}

void check(Checker& c, const mg_combine_rows& op) {
  check_weights(c, "inputs", op.inputs, op.weights);
  c.stored_write("y", op.y);
  for (int64_t i = 0; i < op.inputs.count; ++i) {
    c.stored_read({"inputs", i}, op.inputs.items[i], op.y.width);
    if (op.inputs.items[i].buffer == op.y.buffer) c.fail({"inputs", i}, "of the buffer of y", "another buffer");
  }
}

void check(Checker& c, const mg_gradient_squares& op) {
  c.whole_gradients("gradients", op.gradients);
  if (op.parameters.count < 1) c.fail("parameters", "empty", "at least one view");
  for (int64_t i = 0; i < op.parameters.count; ++i) c.parameter({"parameters", i}, op.parameters.items[i], 0);
  c.scalar_output("output", op.output);
}

void check(Checker& c, const mg_reduce_gradients& op) { c.makes_whole("gradients", op.gradients); }

void check(Checker& c, const mg_penalty& op) {
  if (Checker::present(op.gradients)) c.whole_gradients("gradients", op.gradients);
  Ranges others;  // threads process different views at once
  for (int64_t i = 0; i < op.parameters.count; ++i) {
    const mg_view& view = op.parameters.items[i];
    c.parameter({"parameters", i}, view, 0);
    if (others.overlaps(view.offset, view.offset + view.width))
      c.fail({"parameters", i}, "an overlap with another view of the op", "elements that no other view has");
    others.add(view.offset, view.offset + view.width);
  }
  c.scalar_output("loss", op.loss);
}

/// Checks the rule's constants and the moments that it needs: of `elements` elements, or of `rows` for a rule of a table's rows. rows 0: no table.
template <class Update>
void check_update(Checker& c, const Update& op, int64_t elements, int64_t rows) {
  c.within("rule", op.rule, 0, MG_RULE_COUNT - 1);
  const bool of_rows = op.rule == MG_ROWWISE_ADAGRAD;
  if (of_rows && rows == 0) c.fail("rule", "row-wise Adagrad", "a rule of single elements: only tables have rows");
  const int64_t numbers = of_rows ? rows : elements;
  c.within("form", op.form, 0, 1);
  c.within("nesterov", op.nesterov, 0, 1);
  c.within("centered", op.centered, 0, 1);
  c.scalar_input("learningRate", op.learning_rate);
  if (!(op.clip_value >= 0)) c.fail("clipValue", text_of(op.clip_value), "a number >= 0");
  if (!(op.clip_norm >= 0)) c.fail("clipNorm", text_of(op.clip_norm), "a number >= 0");
  if (op.clip_norm > 0) c.scalar_output("squares", op.squares);
  if (op.rule == MG_FTRL && !(op.ftrl_power <= 0)) c.fail("ftrlPower", text_of(op.ftrl_power), "a number <= 0");
  c.scalar_input("step", op.step);
  const auto moment = [&](const char* field, const mg_view& view, bool needed) {
    if (Checker::present(view)) {
      c.state(field, view, numbers);
      c.updated_once(field, view);
    } else if (needed) {
      c.fail(field, "absent", text_of("a state of ", numbers, " elements, which this rule needs"));
    }
  };
  const bool momentum = op.momentum != 0;
  moment("moment1", op.moment1, op.rule != MG_SGD || momentum);
  moment("moment2", op.moment2, op.rule == MG_ADAM || op.rule == MG_FTRL || (op.rule == MG_RMSPROP && momentum));
  moment("moment3", op.moment3, op.rule == MG_RMSPROP && op.centered == 1);
  if (!Checker::present(op.average)) return;
  c.state("average", op.average, elements);
  c.updated_once("average", op.average);
  c.scalar_input("averageScale", op.average_scale);
}

/// The occurrences of a table's ids and their gradients.
template <class Op>
void check_occurrences(Checker& c, const Op& op, int64_t rows) {
  c.within("exact", op.exact, 0, 1);
  if (op.ids.count < 1) c.fail("ids", "empty", "at least one row input");
  c.length("gradients", op.gradients, op.ids.count, "one per entry of ids");
  c.length("combiners", op.combiners, op.ids.count, "one per entry of ids");
  for (int64_t i = 0; i < op.ids.count; ++i) {
    c.within({"combiners", i}, op.combiners.items[i], 0, kLastCombiner);
    const int64_t combiner = op.combiners.items[i], length = c.ids_read({"ids", i}, op.ids.items[i], rows, combiner);
    c.stored_read({"gradients", i}, op.gradients.items[i], gathered_width(c, {"ids", i}, combiner, length, op.table.width));
  }
}

void check(Checker& c, const mg_table_squares& op) {
  check_occurrences(c, op, c.table("table", op.table));
  c.scalar_output("output", op.output);
}

void check(Checker& c, const mg_optimize& op) {
  c.parameter_range("parameters", op.parameters);
  c.gradient_range("gradients", op.gradients, op.parameters);
  check_update(c, op, op.parameters.width, 0);
  c.updated_once("parameters", op.parameters);
}

void check(Checker& c, const mg_embedding_update& op) {
  const int64_t rows = c.table("table", op.table);
  c.updated_once("table", op.table);
  check_update(c, op, c.product("table", rows, op.table.width), rows);
  c.scalar_output("loss", op.loss);
  check_occurrences(c, op, rows);
}

void check_op(Checker& c, const mg_op& op) {
  switch (op.kind) {
#define MULTIGATE_CHECK(name, phase) \
  case MG_OP_##name: return check(c, op.fields.name);
    MG_OPS(MULTIGATE_CHECK)
#undef MULTIGATE_CHECK
    default: throw Failure(Code::program, text_of("op kind ", op.kind, " is unknown"));
  }
}

[[noreturn]] void wrong_buffer(size_t number, const char* field, const std::string& found, const std::string& expected) {
  throw Failure(Code::program, text_of("buffer ", number, ": ", field, " is ", found, ", expected ", expected));
}

void check_count(const char* what, size_t found, int64_t low, int64_t high) {
  if (static_cast<int64_t>(found) < low || static_cast<int64_t>(found) > high) {
    throw Failure(Code::program, text_of("the program has ", found, " ", what, ", expected ", low, " to ", high));
  }
}

void check_buffer(size_t number, const mg_buffer& buffer) {
  const int32_t kind = buffer.buffer_class;
  if (kind < MG_ROW_INPUT || kind > MG_TABLE) wrong_buffer(number, "class", text_of(kind), "a buffer class");
  if (buffer.dtype != MG_F32 && !(buffer.dtype == MG_I32 && kind == MG_ROW_INPUT)) {
    wrong_buffer(number, "dtype", text_of(buffer.dtype), kind == MG_ROW_INPUT ? "f32 or i32" : "f32, because only row inputs may be i32");
  }
  const bool rows = is_row_class(kind);
  const int64_t widest = rows || kind == MG_TABLE ? kMaxRowWidth : 1;
  if (buffer.width < 1 || buffer.width > widest) {
    wrong_buffer(number, "width", text_of(buffer.width), widest == 1 ? "1" : text_of("1 to ", widest));
  }
  const int64_t most = rows ? 0 : (kind == MG_TABLE ? kMaxIdRows : kMaxElements);
  const int64_t least = rows ? 0 : 1;
  if (buffer.count < least || buffer.count > most) {
    wrong_buffer(number, "count", text_of(buffer.count), rows ? "0, because the run gives the number of rows" : text_of(least, " to ", most));
  }
}

void take_buffers(const Program& program, ProgramFacts& facts) {
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    const mg_buffer& buffer = program.buffers[i];
    check_buffer(i, buffer);
    const auto number = static_cast<int32_t>(i);
    if (is_row_class(buffer.buffer_class)) {
      facts.row_elements += buffer.width;
    } else {
      facts.bound.push_back(number);
    }
    if (buffer.buffer_class == MG_ROW_INPUT) facts.row_inputs.push_back(number);
    if (buffer.buffer_class == MG_ROW_OUTPUT) facts.row_outputs.push_back(number);
    if (buffer.buffer_class == MG_GRADIENT) facts.gradients.push_back(number);
    if (buffer.buffer_class != MG_PARAMETER) continue;
    if (facts.parameter >= 0) wrong_buffer(i, "class", "a second parameter", "at most one per program");
    facts.parameter = number;
  }
  const int64_t wanted = facts.parameter < 0 ? 0 : program.buffers[static_cast<size_t>(facts.parameter)].count;
  for (const int32_t gradient : facts.gradients) {
    const int64_t found = program.buffers[static_cast<size_t>(gradient)].count;
    if (found != wanted) {
      wrong_buffer(static_cast<size_t>(gradient), "count", text_of(found), text_of(wanted, ", the length of the parameter buffer"));
    }
  }
}

void check_reals(Checker& c, const mg_op& op, const OpKind& kind) {
  for (const Field& field : kind.fields) {
    if (field.type == FieldType::real && !(std::abs(field_of<double>(op, field)) <= std::numeric_limits<float>::max())) {
      c.fail(field.name.c_str(), text_of(field_of<double>(op, field)), "a finite float32");
    }
  }
}

void check_ops(const Program& program, Checker& checker) {
  mg_phase phase = MG_PHASE_ROWS;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const mg_op& op = program.ops[i];
    if (op.kind < 0 || op.kind >= MG_OP_COUNT) throw Failure(Code::program, text_of("op ", i, ": kind ", op.kind, " is unknown"));
    const OpKind& kind = op_kinds()[static_cast<size_t>(op.kind)];
    checker.begin_op(static_cast<int64_t>(i), kind.name);
    if (kind.phase < phase) {
      checker.fail("op", text_of("of phase '", phase_name(kind.phase), "' after one of '", phase_name(phase), "'"), "the phases in their order");
    }
    phase = kind.phase;
    check_reals(checker, op, kind);
    check_op(checker, op);
    checker.check_all_seen();
    checker.end_op();
  }
}

/// Gradients that no op reduces would hold undefined values.
void check_gradients(const ProgramFacts& facts, const Checker& checker) {
  for (const int32_t number : facts.gradients) {
    if (checker.is_whole(number)) continue;
    throw Failure(Code::program, text_of("buffer ", number, " is of class gradient, expected a reduce_gradients or combine_gradients op for it"));
  }
}

/// Finds row outputs with columns that no op writes: a run clears them.
void find_zeroed(const Program& program, ProgramFacts& facts, const Checker& checker) {
  for (const int32_t number : facts.row_outputs) {
    if (!checker.is_written(number, 0, program.buffers[static_cast<size_t>(number)].width)) facts.zeroed.push_back(number);
  }
}

/// Each denominator sets its own scalar. It may be no dropout step and no task weight: those are checked when they arrive.
void check_denominator(const Program& program, size_t number, std::vector<bool>& taken) {
  const mg_denominator& denominator = program.denominators[number];
  const auto fail = [&](const char* field, const std::string& found, const std::string& expected) {
    throw Failure(Code::program, text_of("denominator ", number, ": ", field, " is ", found, ", expected ", expected));
  };
  if (denominator.scalar < 0 || denominator.scalar >= program.scalar_inputs) {
    fail("scalar", text_of(denominator.scalar), text_of("the number of a scalar input, in [0, ", program.scalar_inputs, ")"));
  }
  if (taken[static_cast<size_t>(denominator.scalar)]) {
    fail("scalar", text_of(denominator.scalar),
         "a scalar input that no other denominator sets and that is no step of a dropout and no weight of a task");
  }
  taken[static_cast<size_t>(denominator.scalar)] = true;
  if (denominator.reduction < 0 || denominator.reduction > 2) fail("reduction", text_of(denominator.reduction), "0, 1 or 2");
  const auto column = [&](const char* field, const mg_view& view, bool optional) {
    if (view.buffer == -1) {
      if (!optional) fail(field, "absent", "a view");
      return;
    }
    if (view.buffer < 0 || view.buffer >= static_cast<int64_t>(program.buffers.size())) {
      fail(field, text_of("a view of buffer ", view.buffer), text_of("a buffer in [0, ", program.buffers.size(), ")"));
    }
    const mg_buffer& buffer = program.buffers[static_cast<size_t>(view.buffer)];
    if (buffer.buffer_class != MG_ROW_INPUT || buffer.dtype != MG_F32 || view.width != 1 || view.offset < 0 || view.offset >= buffer.width) {
      fail(field, text_of("columns [", view.offset, ", ", view.offset, " + ", view.width, ") of buffer ", view.buffer),
           "one column of an f32 row input");
    }
  };
  column("label", denominator.label, denominator.reduction == 1);  // 'batch' counts rows and reads nothing
  column("weight", denominator.weight, true);
}

}  // namespace

ProgramFacts validate(const Program& program) {
  check_count("buffers", program.buffers.size(), 1, kMaxBuffers);
  check_count("ops", program.ops.size(), 1, kMaxOps);
  check_count("scalar inputs", program.scalar_inputs, 0, kMaxScalars);
  check_count("scalar outputs", program.scalar_outputs, 0, kMaxScalars);
  check_count("denominators", program.denominators.size(), 0, kMaxScalars);
  ProgramFacts facts;
  facts.id_limit.assign(program.buffers.size(), kMaxIdRows);
  facts.written.assign(program.buffers.size(), false);
  Checker checker(program, facts);
  take_buffers(program, facts);
  check_ops(program, checker);
  check_gradients(facts, checker);
  find_zeroed(program, facts, checker);
  facts.stored.assign(program.buffers.size(), false);
  for (size_t i = 0; i < program.buffers.size(); ++i) {
    facts.stored[i] = program.buffers[i].buffer_class == MG_STORED && checker.is_written(static_cast<int32_t>(i), 0, program.buffers[i].width);
  }
  std::vector<bool> taken(program.scalar_inputs, false);
  for (const auto* scalars : {&facts.steps, &facts.task_weights})
    for (const int32_t scalar : *scalars) taken[static_cast<size_t>(scalar)] = true;
  for (size_t i = 0; i < program.denominators.size(); ++i) check_denominator(program, i, taken);
  return facts;
}

}  // namespace multigate
