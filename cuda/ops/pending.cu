// Ops without kernels yet: a program that has one is refused.
#include "cuda/plan.h"

namespace mg_cuda {

#define MG_PENDING(name) \
  void compile_op(PlanBuilder&, const mg_##name&) { throw Fault{MG_UNSUPPORTED, "the CUDA backend has no " #name " yet"}; }

MG_PENDING(dense_forward)
MG_PENDING(dense_backward)
MG_PENDING(mixture_forward)
MG_PENDING(mixture_backward)
MG_PENDING(fusion_forward)
MG_PENDING(fusion_backward)
MG_PENDING(dropout)
MG_PENDING(binary_loss)
MG_PENDING(binary_predict)
MG_PENDING(product_loss)
MG_PENDING(product_predict)
MG_PENDING(squared_loss)
MG_PENDING(multiclass_loss)
MG_PENDING(multiclass_predict)

}  // namespace mg_cuda
