// Converts a golden layer to a program: any number of levels, deep experts and gates, fusion between levels; forward and backward.
#pragma once
#include <functional>

#include "selftest/golden/golden.h"

namespace selftest {

/// A row value and its gradient; readers add to the gradient.
struct Signal {
  mg_view value, gradient;
  bool written = false;

  int64_t accumulate() {
    const bool before = written;
    written = true;
    return before;
  }
};

inline mg_view columns(const mg_view& view, int64_t offset, int64_t width) { return {view.buffer, view.offset + offset, width}; }

struct Expert {
  std::string name;
  Signal* stream;
};

struct Gate {
  std::string name;
  Signal* stream;
  std::vector<int64_t> sees;
};

class Lowering {
 public:
  /// `kept`: pre-activations are row outputs. Only the reference tells the place of each.
  Lowering(const GoldenCase& golden, Program& program, bool kept = false)
      : golden_(golden), p_(program), config_(golden.entry.at("config")), kept_(kept) {
    const int64_t codes = MG_SWISH + 1;
    const char* names[] = {"linear", "relu", "tanh", "sigmoid", "gelu", "swish"};
    for (int64_t code = 0; code < codes; code++)
      if (config_.at("activation").string == names[code]) activation_ = code;
    for (const Json& units : config_.at("expert_hidden").items) expert_hidden_.push_back(units.integer());
    for (const Json& units : config_.at("gate_hidden").items) gate_hidden_.push_back(units.integer());
    with_gate_bias_ = config_.at("gate_bias").truth;
  }

  void lower() {
    const int64_t depth = golden_.entry.at("D").integer();
    x_ = {p_.input(depth, golden_.floats("in/x")), p_.output(depth)};
    tasks_ = config_.at("n_task").integer();
    config_.has("n_level") ? lower_levels() : lower_mmoe();
    for (auto step = back_.rbegin(); step != back_.rend(); ++step) (*step)();
    p_.close_store(1);
  }

  const std::map<std::string, mg_view>& outputs() const { return outputs_; }
  const std::map<std::string, mg_view>& weights() const { return weights_; }
  const std::vector<mg_view>& upstream() const { return upstream_; }
  const std::vector<mg_view>& pre_activations() const { return pre_; }
  mg_view dx() const { return x_.gradient; }

 private:
  Signal& signal(mg_view value, mg_view gradient) {
    signals_.push_back({value, gradient});
    return signals_.back();
  }
  Signal& activation(int64_t width) { return signal(p_.activation(width), p_.activation(width)); }

  /// One parameter view for several tensors side by side.
  mg_view weights(const std::vector<std::string>& names) {
    std::vector<float> values;
    std::vector<std::pair<std::string, mg_view>> parts;
    for (const std::string& name : names) {
      const std::vector<float> own = golden_.floats("w/" + name);
      parts.emplace_back(name, mg_view{0, static_cast<int64_t>(values.size()), static_cast<int64_t>(own.size())});
      values.insert(values.end(), own.begin(), own.end());
    }
    const mg_view view = p_.parameter(values);
    for (auto& [name, part] : parts) weights_[name] = {view.buffer, view.offset + part.offset, part.width};
    return view;
  }

  mg_view keep(int64_t width) {
    pre_.push_back(p_.output(width));
    return pre_.back();
  }
  bool needs_pre() const { return activation_ == MG_GELU || activation_ == MG_SWISH; }

  Signal& dense(Signal& x, const std::string& name, int64_t units) {
    Signal& y = activation(units);
    const mg_view kernel = weights({name + ".kernel"}), bias = weights({name + ".bias"});
    const mg_view z = kept_ ? keep(units) : needs_pre() ? p_.activation(units) : kAbsent;
    p_.add(mg_dense_forward{x.value, kernel, bias, z, y.value, activation_});
    back_.push_back([this, &x, &y, kernel, bias, z] {
      const int64_t accumulate = x.accumulate();
      p_.add(mg_dense_backward{x.value, kernel, bias, z, y.value, y.gradient, x.gradient, kGradients, activation_, accumulate});
    });
    return y;
  }

  Signal& hidden(Signal& x, const std::string& name, const std::vector<int64_t>& units, size_t layers) {
    Signal* y = &x;
    for (size_t l = 0; l < layers; l++) y = &dense(*y, name + "." + std::to_string(l), units[l]);
    return *y;
  }

  /// One level: the mixture writes `outputs`, one per gate.
  void mixture(std::vector<Expert> experts, std::vector<Gate> gates, const std::vector<Signal*>& outputs) {
    const size_t last = expert_hidden_.size() - 1;
    for (Expert& expert : experts) expert.stream = &hidden(*expert.stream, expert.name, expert_hidden_, last);
    for (Gate& gate : gates) gate.stream = &hidden(*gate.stream, gate.name, gate_hidden_, gate_hidden_.size());
    std::vector<Signal*> streams;
    const auto number = [&](Signal* stream) {
      for (size_t s = 0; s < streams.size(); s++)
        if (streams[s] == stream) return static_cast<int64_t>(s);
      streams.push_back(stream);
      return static_cast<int64_t>(streams.size()) - 1;
    };
    std::vector<int64_t> expert_stream, gate_stream, gate_offset{0}, gate_expert;
    std::vector<std::string> biases;
    for (const Expert& expert : experts) {
      expert_stream.push_back(number(expert.stream));
      biases.push_back(expert.name + "." + std::to_string(last) + ".bias");
    }
    std::vector<mg_view> gate_kernels, gate_biases, values, dstreams, outs, douts, expert_kernels;
    for (const Gate& gate : gates) {
      gate_stream.push_back(number(gate.stream));
      gate_expert.insert(gate_expert.end(), gate.sees.begin(), gate.sees.end());
      gate_offset.push_back(static_cast<int64_t>(gate_expert.size()));
      const std::string layer = gate.name + "." + std::to_string(gate_hidden_.size());
      gate_kernels.push_back(weights({layer + ".kernel"}));
      if (with_gate_bias_) gate_biases.push_back(weights({layer + ".bias"}));
    }
    for (size_t s = 0; s < streams.size(); s++) {
      std::vector<std::string> kernels;
      for (size_t i = 0; i < experts.size(); i++)
        if (expert_stream[i] == static_cast<int64_t>(s)) kernels.push_back(experts[i].name + "." + std::to_string(last) + ".kernel");
      expert_kernels.push_back(kernels.empty() ? kAbsent : weights(kernels));
      values.push_back(streams[s]->value);
    }
    for (Signal* output : outputs) outs.push_back(output->value), douts.push_back(output->gradient);
    mg_mixture_forward forward{};
    const auto topology = [&](auto& op) {
      op.streams = p_.list(values), op.expert_stream = p_.list(expert_stream), op.gate_stream = p_.list(gate_stream);
      op.gate_offset = p_.list(gate_offset), op.gate_expert = p_.list(gate_expert);
      op.expert_kernel = p_.list(expert_kernels), op.gate_kernel = p_.list(gate_kernels), op.gate_bias = p_.list(gate_biases);
      op.units = expert_hidden_.back(), op.activation = activation_, op.temperature = 1;
    };
    topology(forward);
    forward.expert_bias = weights(biases);
    forward.outputs = p_.list(outs);
    forward.gates = p_.output(gate_offset.back());
    forward.experts = forward.pre = kAbsent;
    if (kept_) forward.pre = keep(static_cast<int64_t>(experts.size()) * forward.units);
    p_.add(forward);
    for (size_t j = 0; j < gates.size(); j++)
      outputs_["out/" + gates[j].name] = columns(forward.gates, gate_offset[j], gate_offset[j + 1] - gate_offset[j]);
    mg_mixture_backward backward{};
    topology(backward);
    backward.expert_bias = forward.expert_bias, backward.gates = forward.gates;
    backward.experts = backward.pre = kAbsent;
    backward.gradients = kGradients;
    backward.doutputs = p_.list(douts);
    back_.push_back([this, backward, streams]() mutable {
      std::vector<mg_view> dstreams;
      std::vector<int64_t> accumulate;
      for (Signal* stream : streams) dstreams.push_back(stream->gradient), accumulate.push_back(stream->accumulate());
      backward.dstreams = p_.list(dstreams), backward.accumulate = p_.list(accumulate);
      p_.add(backward);
    });
  }

  Signal& task_output(int64_t task) {
    const std::string name = "task." + std::to_string(task);
    const mg_view value = p_.output(expert_hidden_.back());
    outputs_["out/" + name] = value;
    upstream_.push_back(p_.input(value.width, golden_.floats("up/" + name)));
    return signal(value, upstream_.back());
  }

  void lower_mmoe() {
    const int64_t count = config_.at("n_expert").integer(), units = expert_hidden_.back();
    std::vector<Expert> experts;
    std::vector<int64_t> all;
    for (int64_t i = 0; i < count; i++) experts.push_back({"expert." + std::to_string(i), &x_}), all.push_back(i);
    std::vector<Gate> gates;
    std::vector<Signal*> outputs;
    if (config_.has("single_gate")) {  // one mix for all tasks: their upstream gradients are added up
      std::vector<mg_view> ups;
      const mg_view value = p_.output(units), sum = p_.activation(units);
      for (int64_t t = 0; t < tasks_; t++) {
        outputs_["out/task." + std::to_string(t)] = value;
        ups.push_back(p_.input(units, golden_.floats("up/task." + std::to_string(t))));
      }
      upstream_ = ups;
      p_.add(mg_fusion_forward{p_.list(ups), sum, 0});
      gates.push_back({"gate.0", &x_, all});
      outputs.push_back(&signal(value, sum));
    } else {
      for (int64_t t = 0; t < tasks_; t++) {
        gates.push_back({"gate." + std::to_string(t), &x_, all});
        outputs.push_back(&task_output(t));
      }
    }
    mixture(experts, gates, outputs);
  }

  void lower_levels() {
    const int64_t levels = config_.at("n_level").integer(), shared = config_.at("n_shared").integer();
    std::vector<Signal*> streams(static_cast<size_t>(tasks_ + 1), &x_);
    for (int64_t v = 0; v < levels; v++) {
      const bool inner = v + 1 < levels;
      const std::string level = "level." + std::to_string(v) + ".";
      std::vector<Expert> experts;
      std::vector<int64_t> shared_ones, specific_ones;
      std::vector<std::vector<int64_t>> own(static_cast<size_t>(tasks_));
      Signal* common = streams[static_cast<size_t>(tasks_)];
      for (int64_t k = 0; k < shared; k++) {
        shared_ones.push_back(static_cast<int64_t>(experts.size()));
        experts.push_back({level + "shared." + std::to_string(k), common});
      }
      for (int64_t t = 0; t < tasks_; t++)
        for (int64_t j = 0; j < config_.at("n_specific").items[static_cast<size_t>(t)].integer(); j++) {
          own[static_cast<size_t>(t)].push_back(static_cast<int64_t>(experts.size()));
          specific_ones.push_back(static_cast<int64_t>(experts.size()));
          experts.push_back({level + "specific." + std::to_string(t) + "." + std::to_string(j), streams[static_cast<size_t>(t)]});
        }
      std::vector<Gate> gates;
      for (int64_t t = 0; t < tasks_; t++) {
        std::vector<int64_t> sees = shared_ones;
        sees.insert(sees.end(), own[static_cast<size_t>(t)].begin(), own[static_cast<size_t>(t)].end());
        gates.push_back({level + "gate." + std::to_string(t), streams[static_cast<size_t>(t)], sees});
      }
      if (inner) {
        std::vector<int64_t> sees = specific_ones;
        sees.insert(sees.end(), shared_ones.begin(), shared_ones.end());
        gates.push_back({level + "gate_shared", common, sees});
      }
      std::vector<Signal*> outputs;
      for (int64_t j = 0; j < tasks_ + (inner ? 1 : 0); j++) outputs.push_back(inner ? &activation(expert_hidden_.back()) : &task_output(j));
      mixture(experts, gates, outputs);
      streams = outputs;
      if (inner && config_.has("fusion")) streams.assign(static_cast<size_t>(tasks_ + 1), &fuse(outputs));
    }
  }

  /// All outputs of a level as one stream: parts such as concat+sum, side by side in that order.
  Signal& fuse(const std::vector<Signal*>& inputs) {
    const int64_t units = expert_hidden_.back(), count = static_cast<int64_t>(inputs.size());
    const std::string how = config_.at("fusion").string + "+";
    std::vector<std::string> parts;
    for (size_t from = 0; from < how.size(); from = how.find('+', from) + 1) parts.push_back(how.substr(from, how.find('+', from) - from));
    int64_t width = 0;
    for (const std::string& part : parts) width += part == "concat" ? count * units : units;
    Signal& fused = activation(width);
    int64_t column = 0;
    for (const std::string& part : parts) {
      if (part == "concat") {
        for (Signal* input : inputs) join(fused, column, {input}, 0), column += units;
      } else {
        join(fused, column, inputs, part == "product");
        column += units;
      }
    }
    return fused;
  }

  /// Columns of `fused` = the sum (kind 0) or product (1) of the inputs. A single input is copied.
  void join(Signal& fused, int64_t column, const std::vector<Signal*>& inputs, int64_t kind) {
    const int64_t units = expert_hidden_.back();
    std::vector<mg_view> values;
    for (Signal* input : inputs) values.push_back(input->value);
    p_.add(mg_fusion_forward{p_.list(values), columns(fused.value, column, units), kind});
    back_.push_back([this, values, inputs, &fused, column, units, kind] {
      std::vector<mg_view> gradients;
      std::vector<int64_t> accumulate;
      for (Signal* input : inputs) gradients.push_back(input->gradient), accumulate.push_back(input->accumulate());
      p_.add(mg_fusion_backward{p_.list(values), columns(fused.gradient, column, units), p_.list(gradients), p_.list(accumulate), kind});
    });
  }

  const GoldenCase& golden_;
  Program& p_;
  const Json& config_;
  std::vector<int64_t> expert_hidden_, gate_hidden_;
  int64_t activation_ = 0, tasks_ = 0;
  bool with_gate_bias_ = false, kept_;
  std::vector<mg_view> upstream_, pre_;
  Signal x_;
  std::deque<Signal> signals_;
  std::vector<std::function<void()>> back_;
  std::map<std::string, mg_view> outputs_, weights_;
};

}  // namespace selftest
