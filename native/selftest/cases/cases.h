// Random cases, one maker per op or pair of ops. After adding an op to MG_OPS this does not compile until the op has a row in
// kMakers (cases.cc).
#pragma once
#include "selftest/program.h"
#include "selftest/random.h"

namespace selftest {

/// Makes a case of an op with at most `rows` rows, and odd widths and row counts.
Program make_case(mg_op_kind op, Random& random, int64_t rows);

const char* op_name(mg_op_kind op);

/// Gives a row output values that a later op adds to. It is then the gradient of nothing.
void add_before(Program& program, Random& random, mg_view output);

Program copy_columns_case(Random&, int64_t rows);
Program embedding_gather_case(Random&, int64_t rows);
Program dense_case(Random&, int64_t rows);
Program mixture_case(Random&, int64_t rows);
Program towers_case(Random&, int64_t rows);
Program fusion_case(Random&, int64_t rows);
Program dropout_case(Random&, int64_t rows);
Program gate_noise_case(Random&, int64_t rows);
Program binary_loss_case(Random&, int64_t rows);
Program binary_predict_case(Random&, int64_t rows);
Program product_loss_case(Random&, int64_t rows);
Program product_predict_case(Random&, int64_t rows);
Program regression_loss_case(Random&, int64_t rows);
Program regression_predict_case(Random&, int64_t rows);
Program ziln_loss_case(Random&, int64_t rows);
Program ziln_predict_case(Random&, int64_t rows);
Program ordinal_loss_case(Random&, int64_t rows);
Program ordinal_predict_case(Random&, int64_t rows);
Program order_loss_case(Random&, int64_t rows);
Program multiclass_loss_case(Random&, int64_t rows);
Program multiclass_predict_case(Random&, int64_t rows);
Program row_gram_case(Random&, int64_t rows);
Program combine_case(Random&, int64_t rows);
Program penalty_case(Random&, int64_t rows);
Program optimize_case(Random&, int64_t rows);
Program embedding_update_case(Random&, int64_t rows);

}  // namespace selftest
