// Programs that would read or write foreign memory, or behave differently on different backends. Each is one good program with one
// change. The error must name the op, the field and what is wrong with it.
#include <functional>
#include <utility>
#include <vector>

#include "selftest/engine.h"
#include "selftest/hostile.h"
#include "selftest/random.h"

namespace selftest {
namespace {

// The numbers of the good program's ops.
enum Op { kGather, kCopy, kMixture, kDrop, kDense, kLoss, kDenseBack, kDropBack, kMixtureBack, kReduce, kPenalty, kOptimize, kTable };

}  // namespace

// An embedding and a float, a mixture with gelu, dropout, a dense layer.
Program good_program() {
  Random random(3);
  Program p("good");
  p.rows = 5;
  const int64_t rows = p.rows;
  const auto place = [](const mg_view& view, int64_t offset, int64_t width) { return mg_view{view.buffer, offset, width}; };
  const mg_view row = p.activation(3), mixed = p.activation(2), dropped = p.activation(2), logit = p.activation(1);
  const mg_view dlogit = p.activation(1), ddropped = p.activation(2), dmixed = p.activation(2), drow = p.stored(2);
  const mg_view experts = p.activation(4), pre = p.activation(4), gates = p.output(2);
  const mg_view table = p.table(2, random.floats(10)), ids = p.ids(1, {0, 1, 4, 4, 2});
  p.add(mg_embedding_gather{table, ids, place(row, 0, 2), 0});
  p.add(mg_copy_columns{p.input(1, random.floats(rows)), place(row, 2, 1)});
  mg_mixture_forward forward{};
  forward.streams = p.list(std::vector<mg_view>{row});
  forward.expert_stream = p.list(std::vector<int64_t>{0, 0}), forward.gate_stream = p.list(std::vector<int64_t>{0});
  forward.gate_offset = p.list(std::vector<int64_t>{0, 2}), forward.gate_expert = p.list(std::vector<int64_t>{0, 1});
  forward.expert_kernel = p.list(std::vector<mg_view>{p.parameter(random.floats(12))});
  forward.expert_bias = p.parameter(random.floats(4));
  forward.gate_kernel = p.list(std::vector<mg_view>{p.parameter(random.floats(6))});
  forward.units = 2, forward.activation = MG_GELU, forward.temperature = 1;
  forward.outputs = p.list(std::vector<mg_view>{mixed}), forward.gates = gates, forward.experts = experts, forward.pre = pre;
  p.add(forward);
  mg_dropout drop{mixed, dropped, 7, 1, p.scalar(3), 0.5};
  p.add(drop);
  const mg_view kernel = p.parameter(random.floats(2)), bias = p.parameter(random.floats(1));
  p.add(mg_dense_forward{dropped, kernel, bias, kAbsent, logit, MG_LINEAR});
  p.add(mg_binary_loss{logit, dlogit, 0, p.input(1, {1, 0, 1, 0, 1}), kAbsent, p.scalar(5), p.scalar_output(), p.scalar(1)});
  p.add(mg_dense_backward{dropped, kernel, bias, kAbsent, logit, dlogit, ddropped, kGradients, MG_LINEAR, 0});
  drop.x = ddropped, drop.y = dmixed;
  p.add(drop);
  mg_mixture_backward backward{};
  backward.streams = forward.streams, backward.expert_stream = forward.expert_stream, backward.gate_stream = forward.gate_stream;
  backward.gate_offset = forward.gate_offset, backward.gate_expert = forward.gate_expert;
  backward.expert_kernel = forward.expert_kernel, backward.expert_bias = forward.expert_bias, backward.gate_kernel = forward.gate_kernel;
  backward.units = 2, backward.activation = MG_GELU, backward.temperature = 1;
  backward.doutputs = p.list(std::vector<mg_view>{dmixed}), backward.dstreams = p.list(std::vector<mg_view>{drow});
  backward.accumulate = p.list(std::vector<int64_t>{0});
  backward.gates = gates, backward.experts = experts, backward.pre = pre, backward.gradients = kGradients;
  p.add(backward);
  p.close_store(1);
  p.add(mg_penalty{p.list(std::vector<mg_view>{kernel, bias}), p.gradients(), p.scalar_output(), 0.1, 0.1});
  mg_optimize optimize{};
  optimize.parameters = p.parameters(), optimize.gradients = p.gradients(), optimize.moment1 = p.state(random.floats(p.store_length));
  optimize.moment2 = optimize.moment3 = optimize.average = kAbsent;
  optimize.momentum = 0.5, optimize.learning_rate = p.scalar(0.1), optimize.step = p.scalar(1);
  p.add(optimize);
  mg_embedding_update update{};
  update.table = table, update.ids = p.list(std::vector<mg_view>{ids}), update.gradients = p.list(std::vector<mg_view>{drow});
  update.combiners = p.list(std::vector<int64_t>{0}), update.moment1 = p.state(random.floats(10));
  update.moment2 = update.moment3 = update.average = kAbsent;
  update.momentum = 0.5, update.learning_rate = optimize.learning_rate, update.step = optimize.step;
  p.add(update);
  return p;
}

namespace {

/// The parts that a case can change.
struct Change {
  multigate::Program& program;

  template <class Fields>
  Fields& op(int number) {
    return *reinterpret_cast<Fields*>(&program.ops[static_cast<size_t>(number)].fields);
  }
  void insert(int before, const mg_op& added) { program.ops.insert(program.ops.begin() + before, added); }
  void insert(int before, const mg_copy_columns& fields) {
    mg_op added{};
    added.kind = MG_OP_copy_columns, added.fields.copy_columns = fields;
    insert(before, added);
  }
  void again(int number, int before) { insert(before, mg_op(program.ops[static_cast<size_t>(number)])); }
  mg_view buffer(mg_buffer_class kind, int64_t width, int64_t count = 0) {
    program.buffers.push_back({kind, MG_F32, width, count});
    return {static_cast<int32_t>(program.buffers.size()) - 1, 0, count > 0 ? count : width};
  }
  mg_buffer& buffer_of(const mg_view& view) { return program.buffers[static_cast<size_t>(view.buffer)]; }
  mg_view label() { return op<mg_binary_loss>(kLoss).label; }
  mg_mixture_forward& mixture() { return op<mg_mixture_forward>(kMixture); }
  mg_mixture_backward& mixture_back() { return op<mg_mixture_backward>(kMixtureBack); }
  mg_views views(std::vector<mg_view> list) { return program.keep(std::move(list)); }
  mg_ints ints(std::vector<int64_t> list) { return program.keep(std::move(list)); }
};

struct Case {
  const char* name;
  std::function<void(Change&)> change;
  std::vector<const char*> parts;  // of the expected text
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      // Values that one op keeps for another.
      {"a copy out of experts",
       [](Change& c) {
         c.insert(kDrop, {c.mixture().experts, c.buffer(MG_ACTIVATION, 4)});
       },
       {"op 3 (copy_columns)", "x", "buffer 8", "op 2 (mixture_forward)"}},
      {"a copy into experts",
       [](Change& c) {
         c.insert(kDrop, {{c.mixture().gates.buffer, 0, 2}, {c.mixture().experts.buffer, 1, 2}});
       },
       {"op 3 (copy_columns)", "y", "buffer 8", "op 2 (mixture_forward)"}},
      {"a copy into pre",
       [](Change& c) {
         c.insert(kDrop, {{c.mixture().gates.buffer, 0, 2}, {c.mixture().pre.buffer, 0, 2}});
       },
       {"op 3 (copy_columns)", "y", "buffer 9", "op 2 (mixture_forward)"}},
      {"experts that an op has used before",
       [](Change& c) {
         c.insert(kMixture, {{0, 0, 1}, {c.mixture().experts.buffer, 0, 1}});
       },
       {"op 3 (mixture_forward)", "experts", "buffer 8", "op 2 (copy_columns)"}},
      {"two mixtures of one experts",
       [](Change& c) {
         c.again(kMixture, kDrop);
         auto& second = c.op<mg_mixture_forward>(kMixture + 1);
         second.outputs = c.views({c.buffer(MG_ACTIVATION, 2)}), second.gates = kAbsent;
       },
       {"op 3 (mixture_forward)", "experts", "buffer 8"}},
      {"experts and pre in one", [](Change& c) { c.mixture().pre = c.mixture_back().pre = c.mixture().experts; }, {"op 2", "pre", "buffer 8"}},
      {"experts within a wider buffer", [](Change& c) { c.buffer_of(c.mixture().experts).width = 9; }, {"op 2", "experts", "whole buffer", "9"}},
      {"narrow experts", [](Change& c) { c.buffer_of(c.mixture().experts).width = 3, c.mixture().experts.width = 3; }, {"op 2", "experts", "3", "4"}},
      {"experts in a row output",
       [](Change& c) { c.buffer_of(c.mixture().experts).buffer_class = MG_ROW_OUTPUT; },
       {"op 2", "experts", "rowOutput", "activation"}},
      {"pre in a stored buffer", [](Change& c) { c.buffer_of(c.mixture().pre).buffer_class = MG_STORED; }, {"op 2", "pre", "stored", "activation"}},
      {"a backward op of what nobody keeps",
       [](Change& c) { c.mixture().experts = c.mixture().pre = kAbsent; },
       {"op 8 (mixture_backward)", "experts", "buffer 8"}},
      {"a backward op without pre", [](Change& c) { c.mixture_back().pre = kAbsent; }, {"op 8", "pre", "absent"}},
      {"pre that forward does not keep",
       [](Change& c) {
         c.mixture().activation = c.mixture_back().activation = MG_TANH;
         c.mixture().pre = kAbsent;
       },
       {"op 8", "pre", "buffer 9"}},
      {"two backward ops of one mixture", [](Change& c) { c.again(kMixtureBack, kReduce); }, {"op 9", "experts", "used up"}},
      {"a backward op of other units",
       [](Change& c) {
         c.mixture_back().units = 1, c.mixture_back().expert_bias.width = 2, c.mixture_back().doutputs = c.views({{1, 0, 1}});
         c.mixture_back().expert_kernel = c.views({{c.mixture().expert_bias.buffer, 0, 6}});
       },
       {"op 8", "experts", "4 wide", "2"}},
      {"a backward op of another activation", [](Change& c) { c.mixture_back().activation = MG_SWISH; }, {"op 8", "activation", "op 2"}},
      {"a backward op of another temperature", [](Change& c) { c.mixture_back().temperature = 2; }, {"op 8", "temperature", "op 2"}},
      {"a backward op of other seats",
       [](Change& c) {
         c.mixture_back().gate_expert = c.ints({1, 0});
       },
       {"op 8", "gateExpert", "op 2"}},
      {"a backward op of another stream",
       [](Change& c) {
         const mg_view other = c.buffer(MG_ACTIVATION, 3);
         c.insert(kDrop, {c.mixture().streams.items[0], other});
         c.op<mg_mixture_backward>(kMixtureBack + 1).streams = c.views({other});
       },
       {"op 9", "streams", "op 2"}},
      {"a stream that changes in between",
       [](Change& c) {
         c.insert(kDrop, {{c.mixture().gates.buffer, 0, 1}, {0, 2, 1}});
       },
       {"op 9", "streams[0]", "buffer 0", "op 3 (copy_columns)"}},

      {"gates that change in between",
       [](Change& c) {
         c.insert(kDrop, {{0, 0, 1}, {c.mixture().gates.buffer, 1, 1}});
       },
       {"op 9", "gates", "op 3 (copy_columns)"}},
      {"gates of another forward op",
       [](Change& c) {
         const mg_view other = c.buffer(MG_ACTIVATION, 2);
         c.insert(kDrop, {{0, 0, 2}, other});
         c.op<mg_mixture_backward>(kMixtureBack + 1).gates = other;
       },
       {"op 9", "gates", "op 2"}},

      // Writes and their order.
      {"accumulation into columns that nobody wrote",
       [](Change& c) { c.mixture_back().accumulate = c.ints({1}); },
       {"op 8", "dstreams[0]", "before"}},
      {"a gradient over the logit", [](Change& c) { c.op<mg_binary_loss>(kLoss).dlogit = c.op<mg_binary_loss>(kLoss).logit; }, {"op 5", "overlap"}},
      {"dx over half of dy",
       [](Change& c) {
         auto& back = c.op<mg_dense_backward>(kDenseBack);
         const mg_view half{back.dx.buffer, 1, 1}, dy = std::exchange(back.dy, half);
         c.insert(kDenseBack, {dy, half});
       },
       {"op 7", "overlap"}},
      {"a row output that is an input",
       [](Change& c) {
         c.insert(kMixture, {{0, 0, 1}, c.op<mg_copy_columns>(kCopy).x});
       },
       {"op 2", "y", "rowInput"}},
      {"dropout in place", [](Change& c) { c.op<mg_dropout>(kDrop).y = c.op<mg_dropout>(kDrop).x; }, {"op 3", "overlap"}},

      // Ops that run once a step.
      {"no reduce_gradients",
       [](Change& c) { c.program.ops.erase(c.program.ops.begin() + kReduce); },
       {"op 9 (penalty)", "gradients", "reduce_gradients"}},
      {"no step ops", [](Change& c) { c.program.ops.resize(kReduce); }, {"buffer", "gradient", "reduce_gradients"}},
      {"penalties before the gradients are whole",
       [](Change& c) { std::swap(c.program.ops[kReduce], c.program.ops[kPenalty]); },
       {"op 9 (penalty)", "reduce_gradients"}},
      {"gradients made whole twice", [](Change& c) { c.again(kReduce, kPenalty); }, {"op 10 (reduce_gradients)", "gradients", "op 9", "once"}},
      {"gradients that nobody makes whole",
       [](Change& c) { c.buffer(MG_GRADIENT, 1, c.buffer_of(c.op<mg_optimize>(kOptimize).gradients).count); },
       {"class gradient", "reduce_gradients"}},
      {"an update from gradients that are not whole",
       [](Change& c) {
         auto& gradients = c.op<mg_optimize>(kOptimize).gradients;
         gradients.buffer = c.buffer(MG_GRADIENT, 1, gradients.width).buffer;
       },
       {"op 11 (optimize)", "gradients", "reduce_gradients"}},
      {"a penalty for gradients that are not whole",
       [](Change& c) {
         auto& gradients = c.op<mg_penalty>(kPenalty).gradients;
         gradients.buffer = c.buffer(MG_GRADIENT, 1, gradients.width).buffer;
       },
       {"op 10 (penalty)", "gradients", "reduce_gradients"}},
      {"gradients of another length",
       [](Change& c) { c.buffer_of(c.op<mg_optimize>(kOptimize).gradients).count -= 1; },
       {"buffer", "count", "parameter"}},
      {"a part of the gradients",
       [](Change& c) { c.op<mg_dense_backward>(kDenseBack).gradients.width -= 1; },
       {"op 6 (dense_backward)", "gradients", "all"}},
      {"a mixture's part of the gradients",
       [](Change& c) { c.mixture_back().gradients.offset += 1, c.mixture_back().gradients.width -= 1; },
       {"op 8 (mixture_backward)", "gradients", "all"}},
      {"tables before parameters",
       [](Change& c) { std::swap(c.program.ops[kTable], c.program.ops[kOptimize]); },
       {"op 12 (optimize)", "'update'", "'tables'"}},
      {"an activation after the step", [](Change& c) { std::swap(c.program.ops[kDenseBack], c.program.ops[kReduce]); }, {"'rows'", "'gradients'"}},
      {"a gradient without a task weight",
       [](Change& c) { c.op<mg_binary_loss>(kLoss).task_weight = -1; },
       {"op 5 (binary_loss)", "taskWeight", "absent"}},
      {"a task weight that is no scalar input", [](Change& c) { c.op<mg_binary_loss>(kLoss).task_weight = 99; }, {"op 5", "taskWeight", "99"}},
      {"no denominator", [](Change& c) { c.op<mg_binary_loss>(kLoss).denominator = -1; }, {"op 5", "denominator", "absent"}},
      {"a denominator that weighs a task",
       [](Change& c) {
         c.program.denominators = {{c.op<mg_binary_loss>(kLoss).task_weight, c.label(), kAbsent, 0}};
       },
       {"denominator 0", "scalar", "weight of a task"}},
      {"a penalty of one parameter twice",
       [](Change& c) {
         const mg_view all = c.op<mg_optimize>(kOptimize).parameters;
         c.op<mg_penalty>(kPenalty).parameters = c.views({{all.buffer, 0, 4}, {all.buffer, 3, 2}});
       },
       {"op 10", "parameters[1]", "overlap"}},
      {"gradients of other parameters",
       [](Change& c) { c.op<mg_optimize>(kOptimize).gradients.offset = 1, c.op<mg_optimize>(kOptimize).gradients.width -= 1; },
       {"op 11 (optimize)", "gradients", "parameters"}},
      {"parameters past the store",
       [](Change& c) { c.op<mg_optimize>(kOptimize).parameters.offset = 1; },
       {"op 11 (optimize)", "parameters", "range"}},
      {"gradients limited to less than nothing", [](Change& c) { c.op<mg_optimize>(kOptimize).clip_value = -1; }, {"op 11", "clipValue", "-1"}},
      {"a length below nothing", [](Change& c) { c.op<mg_optimize>(kOptimize).clip_norm = -1; }, {"op 11", "clipNorm", "-1"}},
      {"a length of no output",
       [](Change& c) { c.op<mg_optimize>(kOptimize).clip_norm = 1, c.op<mg_optimize>(kOptimize).squares = 99; },
       {"op 11", "squares", "99"}},
      {"an average of no state",
       [](Change& c) { c.op<mg_optimize>(kOptimize).average = c.op<mg_optimize>(kOptimize).parameters; },
       {"op 11", "average"}},
      {"two optimizers", [](Change& c) { c.again(kOptimize, kTable); }, {"op 12 (optimize)", "already"}},
      {"two updates of one table", [](Change& c) { c.again(kTable, kTable); }, {"op 13 (embedding_update)", "table", "already"}},
      {"two tables with one moment",
       [](Change& c) {
         const mg_view other{c.buffer(MG_TABLE, 2, 5).buffer, 0, 2};
         c.again(kTable, kTable);
         c.op<mg_embedding_update>(kTable + 1).table = other;
       },
       {"op 13", "moment1", "already"}},
      {"a table with the optimizer's moment",
       [](Change& c) {
         auto& moment = c.op<mg_embedding_update>(kTable).moment1;
         moment = {c.op<mg_optimize>(kOptimize).moment1.buffer, 3, 10};
       },
       {"op 12", "moment1", "already"}},
      {"moments that overlap",
       [](Change& c) {
         auto& op = c.op<mg_optimize>(kOptimize);
         op.rule = 1, op.moment2 = op.moment1;
       },
       {"op 11", "moment2", "already"}},
      {"a backward op without a gradient buffer",
       [](Change& c) { c.buffer_of(c.op<mg_optimize>(kOptimize).gradients).buffer_class = MG_STATE; },
       {"op 6", "gradient"}},

      // Numbers.
      {"a denominator set twice",
       [](Change& c) {
         c.program.denominators = {{1, c.label(), kAbsent, 0}, {1, c.label(), kAbsent, 0}};
       },
       {"denominator 1", "scalar"}},
      {"a denominator that counts steps",
       [](Change& c) {
         c.program.denominators = {{0, c.label(), kAbsent, 0}};
       },
       {"denominator 0", "scalar", "step"}},
      {"a temperature that float32 cannot divide by", [](Change& c) { c.mixture().temperature = 1e-39; }, {"op 2", "temperature", "1e-39"}},
      {"a penalty beyond float32", [](Change& c) { c.op<mg_penalty>(kPenalty).l2 = 1e39; }, {"op 10", "l2", "1e+39"}},
      {"rows of experts too wide for a buffer",
       [](Change& c) {
         const mg_view all = c.op<mg_optimize>(kOptimize).parameters;
         c.buffer_of(all).count = c.buffer_of(c.op<mg_optimize>(kOptimize).gradients).count = int64_t{1} << 40;
         c.mixture().units = (int64_t{1} << 24), c.mixture().expert_kernel = c.views({{all.buffer, 0, 3 * (int64_t{1} << 25)}});
       },
       {"op 2", "units", "16777216"}},
      {"more weights than can be packed",
       [](Change& c) {
         const mg_view all = c.op<mg_optimize>(kOptimize).parameters;
         c.buffer_of(all).count = c.buffer_of(c.op<mg_optimize>(kOptimize).gradients).count = int64_t{1} << 58;
         const mg_view wide = c.buffer(MG_ACTIVATION, 1 << 24), wider = c.buffer(MG_ACTIVATION, 1 << 24);
         c.insert(kMixture, {{0, 0, 1}, {wide.buffer, 0, 1}});
         mg_op dense{};
         dense.kind = MG_OP_dense_forward;
         for (int i = 0; i < 70; i++) {
           dense.fields.dense_forward = {{wide.buffer, 0, 1}, {all.buffer, 0, 1 << 24}, kAbsent, kAbsent, wider, 0};
           c.insert(kMixture + 1, dense);
           dense.fields.dense_forward = {wider, {all.buffer, 0, int64_t{1} << 48}, kAbsent, kAbsent, wide, 0};
           c.insert(kMixture + 2, dense);
         }
       },
       {"kernel", "together"}},
      {"a shape that overflows",
       [](Change& c) {
         c.mixture().units = int64_t{1} << 24;
         c.mixture().expert_stream = c.ints(std::vector<int64_t>(1 << 16, 0));
         const mg_view x = c.op<mg_copy_columns>(kCopy).x;
         c.buffer_of(x).width = 1 << 24;
         c.mixture().streams = c.views({{x.buffer, 0, 1 << 24}});
       },
       {"op 2", "expertKernel[0]", "65536 x 16777216 x 16777216"}},
      {"no units", [](Change& c) { c.mixture().units = 0; }, {"op 2", "units", "0"}},
      {"views of nothing", [](Change& c) { c.op<mg_copy_columns>(kCopy).x.width = 0; }, {"op 1", "x", "[0, 0 + 0)"}},
      {"an offset that overflows", [](Change& c) { c.op<mg_copy_columns>(kCopy).x.offset = INT64_MAX; }, {"op 1", "x", "9223372036854775807"}},
      {"topology of extreme numbers",
       [](Change& c) {
         c.mixture().expert_stream = c.ints({0, INT64_MIN});
       },
       {"op 2", "expertStream[1]"}},
      {"offsets of extreme numbers",
       [](Change& c) {
         c.mixture().gate_offset = c.ints({0, INT64_MAX});
       },
       {"op 2", "gateOffset[1]"}},
  };
  return all;
}

/// The reference adds the gradients of several ops for one parameter. The others do so only for the same weights, and say so.
const std::vector<Case>& unsupported() {
  static const std::vector<Case> all = {
      {"a kernel with two backward ops, one of them without its bias",
       [](Change& c) {
         c.again(kDenseBack, kDropBack);
         c.op<mg_dense_backward>(kDenseBack).bias = kAbsent;
       },
       {"same parameter gradient"}},
      {"a kernel over its bias",
       [](Change& c) {
         auto& forward = c.op<mg_dense_forward>(kDense);
         auto& back = c.op<mg_dense_backward>(kDenseBack);
         forward.bias = back.bias = {forward.kernel.buffer, forward.kernel.offset + 1, 1};
       },
       {"same parameter gradient"}},
      {"a kernel that is an expert's bias",
       [](Change& c) {
         auto& forward = c.op<mg_dense_forward>(kDense);
         auto& back = c.op<mg_dense_backward>(kDenseBack);
         forward.kernel = back.kernel = {forward.kernel.buffer, c.mixture().expert_bias.offset + 1, 2};
       },
       {"same parameter gradient"}},
  };
  return all;
}

std::string compile(const multigate::Program& program, const Place& place) {
  const mg_program compiled = program.abi();
  const mg_compile_options choice{place.isa.empty() ? nullptr : place.isa.c_str(), MG_PRECISION_F32};
  mg_plan* plan = nullptr;
  mg_error error{};
  if (place.backend->compile(&compiled, &choice, &plan, &error) != MG_OK) return error.text;
  place.backend->destroy(plan);
  return "";
}

multigate::Program changed(const Program& good, const Case& one) {
  multigate::Program program = to_engine(good);
  Change change{program};
  one.change(change);
  return program;
}

void check_text(Report& report, const std::string& what, const std::string& text, const std::vector<const char*>& parts) {
  bool ok = !text.empty();
  for (const char* part : parts) ok = ok && text.find(part) != std::string::npos;
  report.check(ok, what, text.empty() ? "accepted" : text);
}

}  // namespace

void check_hostile_programs(Report& report, const std::vector<Place>& places) {
  const Program good = good_program();
  const std::string found = refusal(to_engine(good));
  report.check(found.empty(), "programs: a good one", found);
  for (const Case& one : cases()) check_text(report, std::string("programs: ") + one.name, refusal(changed(good, one)), one.parts);
  const Case accepted[] = {
      {"a dense layer with two backward ops", [](Change& c) { c.again(kDenseBack, kDropBack); }, {}},
      {"a penalty of the loss alone", [](Change& c) { c.op<mg_penalty>(kPenalty).gradients = kAbsent; }, {}},
      {"a loss without gradient and task weight",
       [](Change& c) {
         c.program.ops.resize(kLoss + 1);
         c.op<mg_binary_loss>(kLoss).dlogit = kAbsent, c.op<mg_binary_loss>(kLoss).task_weight = -1;
         for (mg_buffer& buffer : c.program.buffers)
           if (buffer.buffer_class == MG_GRADIENT) buffer.buffer_class = MG_STATE;
       },
       {}},
  };
  for (const Case& one : accepted) {
    const multigate::Program program = changed(good, one);
    const std::string refused = refusal(program);
    report.check(refused.empty(), std::string("programs: ") + one.name, refused);
    for (const Place& place : places) {
      const std::string text = compile(program, place);
      report.check(text.empty(), std::string("programs on ") + place.name + ": " + one.name, text);
    }
  }
  for (const Case& one : unsupported()) {
    const multigate::Program program = changed(good, one);
    const std::string refused = refusal(program);
    report.check(refused.empty(), std::string("programs: ") + one.name, refused);
    for (const Place& place : places)
      check_text(report, std::string("programs on ") + place.name + ": " + one.name, compile(program, place), one.parts);
  }
}

}  // namespace selftest
