// Losses with one thread per row: several of the same kernel are one launch, with one grid row per loss.
#pragma once
#include <array>
#include <memory>

#include "cuda/ops/joined.h"
#include "cuda/ops/loss_rows.h"

namespace mg_cuda {

struct SimpleRows {
  LossRows shared;
  RowPointer z, dz;
  double parameter;
  int64_t kind;  // of a regression loss
};

struct LossAndSlope {
  double loss, slope;
};

__device__ __forceinline__ double softplus_of(double z) { return fmax(z, 0.0) + log1p(exp(-fabs(z))); }
__device__ __forceinline__ double sigmoid_of(double z) { return 1 / (1 + exp(-z)); }

// A loss of one number per row, in double: element(z, y) is its l and dl/dz.
template <class Element>
__device__ __forceinline__ void each_simple_row(const SimpleRows& own, const Element& element) {
  double loss = 0;
  for (int64_t r = grid_thread(); r < own.shared.rows; r += grid_threads()) {
    const LossRow row = loss_row(own.shared, r);
    float slope = 0;
    if (row.weight != 0) {
      const LossAndSlope at = element(static_cast<double>(own.z.data[r * own.z.stride]), static_cast<double>(row.label));
      loss += static_cast<double>(row.weight) * at.loss;
      slope = static_cast<float>(static_cast<double>(row.slope) * at.slope);
    }
    if (own.dz.data != nullptr) own.dz.data[r * own.dz.stride] = slope;
  }
  put_partial(own.shared, loss);
}

struct SimpleLoss : LossFields {
  void (*kernel)(Some<SimpleRows>);
  mg_view z, dz;
  double parameter;
  int64_t kind;

  template <class Fields>
  SimpleLoss(const Fields& op, void (*run)(Some<SimpleRows>), const mg_view& from, const mg_view& to, double own, int64_t own_kind)
      : LossFields(op, 1), kernel(run), z(from), dz(to), parameter(own), kind(own_kind) {}

  std::array<mg_view, 1> reads() const { return {z}; }
  std::array<mg_view, 1> writes() const { return {dz}; }
  bool joins(const SimpleLoss& other) const { return kernel == other.kernel; }

  static void launch(const Context& context, const std::vector<SimpleLoss>& losses) {
    const auto blocks = static_cast<unsigned>(losses[0].blocks(context.rows));
    for_some(
        losses,
        [&](const SimpleLoss& loss) {
          return SimpleRows{loss.rows(context), context.at(loss.z), context.at(loss.dz), loss.parameter, loss.kind};
        },
        [&](const Some<SimpleRows>& some, unsigned count) {
          context.stream.launch(losses[0].kernel, {blocks, count}, LossRows::kThreads, kSharedBytes, some);
        });
  }
};

template <class Fields>
void add_simple_loss(PlanBuilder& builder, const Fields& op, void (*kernel)(Some<SimpleRows>), const mg_view& z, const mg_view& dz,
                     double parameter = 0, int64_t kind = 0) {
  builder.add(std::make_unique<Joined<SimpleLoss>>(SimpleLoss(op, kernel, z, dz, parameter, kind)));
}

}  // namespace mg_cuda
