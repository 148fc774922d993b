// Ops without kernels yet: a program that has one is refused.
#include "cuda/plan.h"

namespace mg_cuda {

#define MG_PENDING(name) \
  void compile_op(PlanBuilder&, const mg_##name&) { throw Fault{MG_UNSUPPORTED, "the CUDA backend has no " #name " yet"}; }

MG_PENDING(embedding_gather)
MG_PENDING(penalty)
MG_PENDING(optimize)
MG_PENDING(embedding_update)

}  // namespace mg_cuda
