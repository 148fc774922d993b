#include "selftest/cases/cases.h"

namespace selftest {
namespace {

using Maker = Program (*)(Random&, int64_t rows);

Program dropout_or_towers(Random& random, int64_t rows) { return random.chance(0.5) ? dropout_case(random, rows) : towers_case(random, rows); }

// Forward and backward ops share a case. So do the ops of a step.
constexpr Maker copy_columns = copy_columns_case, embedding_gather = embedding_gather_case, dense_forward = dense_case, dense_backward = dense_case,
                mixture_forward = mixture_case, mixture_backward = mixture_case, fusion_forward = fusion_case, fusion_backward = fusion_case,
                dropout = dropout_or_towers, gate_noise = gate_noise_case, binary_loss = binary_loss_case, binary_predict = binary_predict_case,
                product_loss = product_loss_case, product_predict = product_predict_case, regression_loss = regression_loss_case,
                regression_predict = regression_predict_case, ziln_loss = ziln_loss_case, ziln_predict = ziln_predict_case,
                ordinal_loss = ordinal_loss_case, ordinal_predict = ordinal_predict_case, order_loss = order_loss_case,
                multiclass_loss = multiclass_loss_case, multiclass_predict = multiclass_predict_case, row_gram = row_gram_case,
                reduce_gradients = dense_case, gradient_gram = combine_case, combine_gradients = combine_case, combine_rows = combine_case,
                penalty = penalty_case, gradient_squares = optimize_case, table_squares = embedding_update_case, optimize = optimize_case,
                embedding_update = embedding_update_case;

#define SELFTEST_MAKER(name, phase) name,
constexpr Maker kMakers[] = {MG_OPS(SELFTEST_MAKER)};
#undef SELFTEST_MAKER

#define SELFTEST_NAME(name, phase) #name,
constexpr const char* kNames[] = {MG_OPS(SELFTEST_NAME)};
#undef SELFTEST_NAME

}  // namespace

Program make_case(mg_op_kind op, Random& random, int64_t rows) { return kMakers[op](random, rows); }

const char* op_name(mg_op_kind op) { return kNames[op]; }

void add_before(Program& p, Random& random, mg_view output) {
  p.add(mg_copy_columns{p.input(output.width, random.floats(p.rows * output.width)), output});
  std::erase_if(p.derivatives, [&](const Derivative& d) { return d.gradient == output.buffer; });
}

}  // namespace selftest
