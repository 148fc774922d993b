// Fusion of signals element by element, dropout, and the noise of gates.
#include <algorithm>
#include <cmath>
#include <vector>

#include "reference/state.h"

namespace reference {
namespace {

/// Philox4x32-10.
void philox(uint32_t (&counter)[4], uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter[0], b = uint64_t{0xCD9E8D57u} * counter[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key0, static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key1, static_cast<uint32_t>(a)};
    for (int i = 0; i < 4; i++) counter[i] = next[i];
    key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
  }
}

}  // namespace

void run_op(State& s, const mg_fusion_forward& op) {
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < op.y.width; c++) {
      double value = op.kind == 0 ? 0 : 1;
      for (uint32_t i = 0; i < op.inputs.count; i++) {
        const double x = s.get(op.inputs.items[i], r, c);
        value = op.kind == 0 ? value + x : value * x;
      }
      s.at(op.y, r, c) = value;
    }
}

void run_op(State& s, const mg_fusion_backward& op) {
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < op.dy.width; c++)
      for (uint32_t i = 0; i < op.inputs.count; i++) {
        const mg_view& dinput = op.dinputs.items[i];
        if (!State::has(dinput) || c >= dinput.width) continue;
        double value = s.get(op.dy, r, c);
        for (uint32_t k = 0; op.kind == 1 && k < op.inputs.count; k++)
          if (k != i) value *= s.get(op.inputs.items[k], r, c);
        s.at(dinput, r, c) = value + (op.accumulate.items[i] ? s.at(dinput, r, c) : 0);
      }
}

void run_op(State& s, const mg_dropout& op) {
  const auto seed = static_cast<uint64_t>(op.seed), stream = static_cast<uint64_t>(op.stream);
  const double limit = std::fmin(std::round(op.rate * 65536), 65535);
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < op.x.width; c++) {
      uint32_t counter[4] = {static_cast<uint32_t>(s.run.first_row + r), static_cast<uint32_t>(static_cast<uint64_t>(s.run.scalars_in[op.step])),
                             static_cast<uint32_t>(c / 8), static_cast<uint32_t>(seed >> 32) | 2u << 22};
      philox(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(stream));
      const uint32_t half = counter[c % 8 / 2] >> c % 2 * 16 & 0xFFFF;
      s.at(op.y, r, c) = half >= limit ? s.get(op.x, r, c) / (1 - limit / 65536) : 0;
    }
}

void run_op(State& s, const mg_gate_noise& op) {
  const auto seed = static_cast<uint64_t>(op.seed), stream = static_cast<uint64_t>(op.stream);
  const double limit = std::fmin(std::round(op.dropout * 4294967296.0), 4294967295.0);
  for (int64_t r = 0; r < s.rows(); r++) {
    std::vector<bool> dropped;
    for (int64_t c = 0; c < op.x.width; c++) {
      uint32_t word[4] = {static_cast<uint32_t>(s.run.first_row + r), static_cast<uint32_t>(static_cast<uint64_t>(s.run.scalars_in[op.step])),
                          static_cast<uint32_t>(c / 2), static_cast<uint32_t>(seed >> 32) | 3u << 22};
      philox(word, static_cast<uint32_t>(seed), static_cast<uint32_t>(stream));
      const double u = (2 * std::floor(word[0] / 512.0) + 1) / 16777216, t = (2 * std::floor(word[1] % (1u << 30) / 128.0) + 1) / 16777216;
      const double angle = std::acos(-1.0) / 2 * t, sign = word[1] >> (31 - c % 2) & 1 ? -1 : 1;
      s.at(op.y, r, c) = s.get(op.x, r, c) + op.deviation * sign * std::sqrt(-2 * std::log(u)) * (c % 2 == 0 ? std::cos(angle) : std::sin(angle));
      dropped.push_back(word[2 + c % 2] < limit);
    }
    if (std::find(dropped.begin(), dropped.end(), false) == dropped.end()) continue;
    for (int64_t c = 0; c < op.x.width; c++)
      if (dropped[static_cast<size_t>(c)]) s.at(op.y, r, c) = -1e30;
  }
}

}  // namespace reference
