// Dense layers, column copies and the activations.
#include <cmath>

#include "reference/state.h"

namespace reference {
namespace {

double sigmoid(double z) { return z >= 0 ? 1 / (1 + std::exp(-z)) : std::exp(z) / (1 + std::exp(z)); }
double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }
double normal_density(double z) { return std::exp(-0.5 * z * z) / std::sqrt(2 * M_PI); }

}  // namespace

double activate(int64_t activation, double z) {
  switch (activation) {
    case MG_RELU: return z > 0 || std::isnan(z) ? z : 0;
    case MG_TANH: return std::tanh(z);
    case MG_SIGMOID: return sigmoid(z);
    case MG_GELU: return z * normal_cdf(z);
    case MG_SWISH: return z * sigmoid(z);
    default: return z;
  }
}

double slope(int64_t activation, double y, double z) {
  switch (activation) {
    case MG_RELU: return y > 0 ? 1 : 0;
    case MG_TANH: return 1 - y * y;
    case MG_SIGMOID: return y * (1 - y);
    case MG_GELU: return normal_cdf(z) + z * normal_density(z);
    case MG_SWISH: return sigmoid(z) * (1 + z * (1 - sigmoid(z)));
    default: return 1;
  }
}

double slope(int64_t activation, double z) { return slope(activation, activate(activation, z), z); }

void run_op(State& s, const mg_copy_columns& op) {
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < op.x.width; c++) s.at(op.y, r, c) = s.get(op.x, r, c);
}

void run_op(State& s, const mg_dense_forward& op) {
  const double *kernel = s.elements(op.kernel), *bias = s.elements(op.bias);
  const int64_t in = op.x.width, out = op.y.width;
  for (int64_t r = 0; r < s.rows(); r++)
    for (int64_t c = 0; c < out; c++) {
      double z = bias ? bias[c] : 0;
      for (int64_t k = 0; k < in; k++) z += s.operand(s.get(op.x, r, k)) * s.operand(kernel[k * out + c]);
      if (State::has(op.z)) s.at(op.z, r, c) = z;
      s.at(op.y, r, c) = activate(op.activation, z);
    }
}

void run_op(State& s, const mg_dense_backward& op) {
  const double* kernel = s.elements(op.kernel);
  double *dkernel = s.sum(op.gradients, op.kernel), *dbias = s.sum(op.gradients, op.bias);
  const int64_t in = op.x.width, out = op.dy.width;
  std::vector<double> dz(static_cast<size_t>(out));
  for (int64_t r = 0; r < s.rows(); r++) {
    for (int64_t c = 0; c < out; c++) {
      const double y = s.get(op.y, r, c), z = State::has(op.z) ? s.get(op.z, r, c) : y;
      dz[static_cast<size_t>(c)] = s.get(op.dy, r, c) * slope(op.activation, y, z);
    }
    for (int64_t c = 0; c < out; c++) {
      if (dbias) dbias[c] += dz[static_cast<size_t>(c)];
      dz[static_cast<size_t>(c)] = s.operand(dz[static_cast<size_t>(c)]);
      for (int64_t k = 0; dkernel && k < in; k++) dkernel[k * out + c] += s.operand(s.get(op.x, r, k)) * dz[static_cast<size_t>(c)];
    }
    for (int64_t k = 0; k < op.dx.width; k++) {
      if (!State::has(op.dx)) break;
      double dx = op.accumulate ? s.at(op.dx, r, k) : 0;
      for (int64_t c = 0; c < out; c++) dx += dz[static_cast<size_t>(c)] * s.operand(kernel[k * out + c]);
      s.at(op.dx, r, k) = dx;
    }
  }
}

}  // namespace reference
