// Converts weights between the flat store's layout and the combined matrices of the products; see Weights in plan.h.
#pragma once
#include "cuda/plan.h"

namespace mg_cuda {

// Copies all weights of the plan from the store to its packed memory.
void launch_pack(const Context& context);

}  // namespace mg_cuda
