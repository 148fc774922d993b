/* The op list: one row per op, with its phase, and one field list per op.
 *
 * The preprocessor makes from it the descriptor structs, the union that a program holds, the names, and the reflection table
 * that reads programs from TypeScript. A backend that lacks an op does not compile (see its kernel table).
 *
 * Rules for every op
 * - A parameter view (kernel, bias, table) names elements of the flat store. The op names a whole GRADIENT buffer as `gradients`; the
 *   parameter's gradient is the same range of that buffer. A program may have several such buffers, for example one per task. Parameter
 *   gradients accumulate (+=). Activation gradients overwrite (=), unless `accumulate` is 1.
 * - A view that an op writes overlaps no other view of the op. Exception: an op may write the same view several times, all but the first
 *   with `accumulate`; the values add up in the order listed.
 * - Each GRADIENT buffer has one reduce_gradients or combine_gradients. One op updates each parameter, moment and table. Several ops may have gradients for the
 *   same weights: in one buffer they add up. If ranges overlap partially, backends that cannot add them up refuse the program.
 * - An opaque buffer (`experts`, `pre` of the mixture) is a whole ACTIVATION. The backend chooses its inner order and size. One forward op
 *   writes it, one backward op of the same topology consumes it, and no other op may name it. Streams and gates must not change in between.
 * - A view with buffer -1 is absent. A SCALAR is the number of a scalar input; -1 is absent. "optional" beside a field allows absence;
 *   beside VIEWS it allows absent entries. scripts/generate-ops.mjs makes lib/core/op-fields.ts from these rows, fields and comments.
 * - Letters: n rows, d input width, h expert width, e experts, g gates, s streams.
 */
#ifndef MULTIGATE_ABI_OPS_H
#define MULTIGATE_ABI_OPS_H

/* One field a line: scripts/generate-ops.mjs reads them. */
/* clang-format off */

/* OP(name, phase). The ops of a program are sorted by phase. A run can stop between any two phases (see mg_run). In order:
 * ROWS runs on any range of rows by itself. The others run once a step, after all rows: GRADIENTS reduces the gradients of parameters;
 * UPDATE applies penalties and updates parameters; TABLES updates the embedding tables. */
#define MG_OPS(OP)                \
  OP(copy_columns, ROWS)          \
  OP(embedding_gather, ROWS)      \
  OP(dense_forward, ROWS)         \
  OP(dense_backward, ROWS)        \
  OP(mixture_forward, ROWS)       \
  OP(mixture_backward, ROWS)      \
  OP(fusion_forward, ROWS)        \
  OP(fusion_backward, ROWS)       \
  OP(dropout, ROWS)               \
  OP(gate_noise, ROWS)            \
  OP(binary_loss, ROWS)           \
  OP(binary_predict, ROWS)        \
  OP(product_loss, ROWS)          \
  OP(product_predict, ROWS)       \
  OP(regression_loss, ROWS)       \
  OP(regression_predict, ROWS)    \
  OP(ziln_loss, ROWS)             \
  OP(ziln_predict, ROWS)          \
  OP(ordinal_loss, ROWS)          \
  OP(ordinal_predict, ROWS)       \
  OP(order_loss, ROWS)            \
  OP(multiclass_loss, ROWS)       \
  OP(multiclass_predict, ROWS)    \
  OP(row_gram, ROWS)              \
  OP(reduce_gradients, GRADIENTS) \
  OP(gradient_gram, GRADIENTS)    \
  OP(combine_gradients, UPDATE)   \
  OP(combine_rows, UPDATE)        \
  OP(penalty, UPDATE)             \
  OP(gradient_squares, UPDATE)    \
  OP(table_squares, UPDATE)       \
  OP(optimize, UPDATE)            \
  OP(embedding_update, TABLES)

/* y[n,w] = x[n,w]. Copies a row input into columns of an activation. */
#define MG_FIELDS_copy_columns(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(x)                                                             \
  VIEW(y)

/* combiner is an mg_combiner. single: y[n,dim] = table[id], ids [n,1]. mean, sum: y[n,dim] = that of table[id] over the ids != 0 of a
 * row of ids [n,length]; a row without ids gives zeros. concat, not pooled: y[n,length*dim]; columns [k dim, (k+1) dim) are table[id] of
 * the row's id k, or zeros if that is 0. Ids are in range: the engine checks them when it assembles the batch. */
#define MG_FIELDS_embedding_gather(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(table)                                                             \
  VIEW(ids)                                                               \
  VIEW(y)                                                                 \
  INT(combiner)

/* z = x[n,in] kernel[in,out] + bias[out]; y = activation(z). bias optional. z optional: written if given. gelu and swish need z
 * if a dense_backward follows, because their derivative needs it. */
#define MG_FIELDS_dense_forward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(x)                                                              \
  VIEW(kernel)                                                         \
  VIEW(bias) /* optional */                                            \
  VIEW(z) /* optional */                                               \
  VIEW(y)                                                              \
  INT(activation)

/* dz = dy * activation'(z); dkernel += x^T dz; dbias += sum over rows of dz; dx = dz kernel^T. dx optional. It may be
 * narrower than x: then it is the gradient of the first columns. accumulate 1: dx += . gradients: the GRADIENT buffer of dkernel and dbias;
 * absent: they are not computed. */
#define MG_FIELDS_dense_backward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(x)                                                               \
  VIEW(kernel)                                                          \
  VIEW(bias) /* optional */                                             \
  VIEW(z) /* optional */                                                \
  VIEW(y)                                                               \
  VIEW(dy)                                                              \
  VIEW(dx) /* optional */                                               \
  VIEW(gradients) /* optional */                                        \
  INT(activation)                                                       \
  INT(accumulate)

/* The topology that mixture_forward and mixture_backward share. Each expert and each gate is one dense layer. For a deep expert or
 * gate, put a dense stack before it: the stack's output is a separate stream.
 * streams: s row views. Expert i reads stream expert_stream[i]. Gate j reads stream gate_stream[j] and sees the experts
 * gate_expert[gate_offset[j] .. gate_offset[j+1]) in that order (gate_offset has g+1 entries).
 * expert_kernel: one view per stream, [experts on it, d of it, units], experts in ascending order; absent if no expert
 * reads the stream. expert_bias [e, units]. gate_kernel: one view per gate, [d, experts seen]. gate_bias: one view per gate,
 * [experts seen], or no views. temperature divides the logits, > 0.
 * experts, pre: opaque, [n, e*units] each; forward keeps them for backward. */
#define MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(streams)                                                          \
  INTS(expert_stream)                                                     \
  INTS(gate_stream)                                                       \
  INTS(gate_offset)                                                       \
  INTS(gate_expert)                                                       \
  VIEWS(expert_kernel) /* optional */                                     \
  VIEW(expert_bias)                                                       \
  VIEWS(gate_kernel)                                                      \
  VIEWS(gate_bias)                                                        \
  INT(units)                                                              \
  INT(activation)                                                         \
  FLOAT(temperature)

/* a_i = activation(stream W_i + b_i); p_j = softmax((stream G_j + c_j) / temperature) over the experts seen; outputs_j = sum p_j[i] a_i.
 * outputs: one view per gate, [n, units]. gates: optional, [n, sum of experts seen], all p side by side.
 * experts: optional, keeps a. pre: optional, keeps the pre-activations; gelu and swish need it with experts. */
#define MG_FIELDS_mixture_forward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)      \
  VIEWS(outputs)                                                         \
  VIEW(gates) /* optional */                                             \
  VIEW(experts) /* optional */                                           \
  VIEW(pre) /* optional */

/* Computes from doutputs (one view per gate, absent = zero) the gradients of all parameters, and of each stream with a dstreams
 * view (it may be narrower than the stream). gates: required, as mixture_forward wrote them. experts, pre: as mixture_forward
 * kept them; if absent, the op recomputes the experts. accumulate: one int per stream. gradients: the GRADIENT buffer of the
 * parameters; absent: they are not computed. */
#define MG_FIELDS_mixture_backward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)       \
  VIEWS(doutputs) /* optional */                                          \
  VIEWS(dstreams) /* optional */                                          \
  INTS(accumulate)                                                        \
  VIEW(gates)                                                             \
  VIEW(experts) /* optional */                                            \
  VIEW(pre) /* optional */                                                \
  VIEW(gradients) /* optional */

/* y[n,w] = the sum (kind 0) or the product (kind 1) of inputs[n,w], element by element, in the order listed. */
#define MG_FIELDS_fusion_forward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(inputs)                                                         \
  VIEW(y)                                                               \
  INT(kind)

/* dinputs_i = dy (sum), or dy times the product of the other inputs, by prefix and suffix products (no division). dinputs:
 * one per input; absent: not computed. One that is narrower than its input is the gradient of the first columns. accumulate: one int
 * per input. */
#define MG_FIELDS_fusion_backward(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(inputs)                                                          \
  VIEW(dy)                                                               \
  VIEWS(dinputs) /* optional */                                          \
  INTS(accumulate)                                                       \
  INT(kind)

/* y[n,w] = x / (1 - T / 2^16) if the element is kept, else 0. The same op with x = dy gives dx. T = rate 2^16, rounded to
 * nearest, at most 2^16 - 1. Element (row, c) is kept if half c % 8 of the words of Philox4x32-10 (low halves first) is >= T. key =
 * (seed low, stream), counter = (first_row + row, step, c / 8, seed high | 2 << 22). Words have 32 bits: row and step count modulo 2^32.
 * 0 <= rate < 1, seed < 2^53, stream < 2^32. row: the position in the batch, not in the dataset. step: scalar input, an integer in
 * [0, 2^53], checked by the engine. first_row: from mg_run. */
#define MG_FIELDS_dropout(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(x)                                                        \
  VIEW(y)                                                        \
  INT(seed)                                                      \
  INT(stream)                                                    \
  SCALAR(step)                                                   \
  FLOAT(rate)

/* Noise on the logits of one gate: y[n,e] = x + deviation z, or -1e30 if the element is dropped. Column pair k of a row takes the words
 * w0..w3 of Philox4x32-10: key = (seed low, stream), counter = (first_row + row, step, k, seed high | 3 << 22). Column 2k + i is
 * dropped if w[2+i] < T, T = dropout 2^32, rounded to nearest, at most 2^32 - 1. If that would drop all columns of a row, it drops none.
 * z is normal (Box and Muller): u = (2 floor(w0 / 2^9) + 1) / 2^24, t = (2 floor((w1 mod 2^30) / 2^7) + 1) / 2^24, z_2k = +-sqrt(-2 ln u)
 * cos(pi t / 2), z_2k+1 = +-sqrt(-2 ln u) sin(pi t / 2); bits 31 and 30 of w1 are the two signs, 1 for minus. deviation >= 0,
 * 0 <= dropout < 1; the rest as in dropout. The gradient by x is dy wherever a softmax follows, because that gives dropped elements none. */
#define MG_FIELDS_gate_noise(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(x)                                                           \
  VIEW(y)                                                           \
  INT(seed)                                                         \
  INT(stream)                                                       \
  SCALAR(step)                                                      \
  FLOAT(deviation)                                                  \
  FLOAT(dropout)

/* The fields that all losses share. m = label is not NaN, w = weight or 1, D = scalar input `denominator`. Scalar output
 * `loss` += sum(w m l) / D, without the task weight. Gradients include task_weight, a scalar input that is a finite float32; if it is
 * absent, there is no gradient. If D = 0, no row counts: loss and gradient are 0. label, weight [n,1]; weight and the gradients are
 * optional. */
#define MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(label)                                                 \
  VIEW(weight) /* optional */                                 \
  SCALAR(denominator)                                         \
  INT(loss)                                                   \
  SCALAR(task_weight) /* optional */

/* gamma 0: l = max(z,0) - z y + log1p(exp(-|z|)); dlogit = task_weight w m (sigmoid(z) - y) / D. gamma > 0, the focal loss: with
 * p = sigmoid(z), l = -y (1-p)^gamma log p - (1-y) p^gamma log(1-p), without cancellation. gamma >= 0. logit, dlogit [n,1]. */
#define MG_FIELDS_binary_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logit)                                                        \
  VIEW(dlogit) /* optional */                                        \
  FLOAT(gamma)                                                       \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* y[n,1] = sigmoid(logit[n,1] + offset) */
#define MG_FIELDS_binary_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logit)                                                           \
  VIEW(y)                                                               \
  FLOAT(offset)

/* The binary loss of p = the product of sigmoid(logits_i): l = -y log p - (1 - y) log(1 - p), without cancellation.
 * dlogits_i = task_weight w m sigmoid(-logits_i) (-y + (1 - y) p / (1 - p)) / D. logits, dlogits: [n,1] each; one dlogits
 * per logit, or none. accumulate: one int per logit. */
#define MG_FIELDS_product_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(logits)                                                       \
  VIEWS(dlogits)                                                      \
  INTS(accumulate)                                                    \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* y[n,1] = the product of sigmoid(logits_i) */
#define MG_FIELDS_product_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(logits)                                                          \
  VIEW(y)

/* kind: an mg_regression; d = z - y, a = parameter. squared: l = d^2. absolute: |d|. huber, a > 0: d^2 / 2 where |d| <= a, else
 * a (|d| - a / 2). log_cosh: log(cosh(d)). quantile, 0 < a < 1: max(-a d, (1-a) d). poisson: E(z) - y z. tweedie, 1 < a < 2:
 * E((2-a) z) / (2-a) + y E((1-a) z) / (a-1). E(t) = e^t up to t = 80; above it its tangent there, so that l and its gradient are finite.
 * dprediction = task_weight w m l'(z) / D, 0 at a kink of absolute and quantile. A kind without a parameter ignores it. prediction z,
 * dprediction [n,1]. */
#define MG_FIELDS_regression_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(prediction)                                                       \
  VIEW(dprediction) /* optional */                                       \
  INT(kind)                                                              \
  FLOAT(parameter)                                                       \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* t = offset + scale prediction[n,1]; y[n,1] = t, or with T = the lesser of t and 88: e^T or e^T - 1. link: an mg_link. */
#define MG_FIELDS_regression_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(prediction)                                                          \
  VIEW(y)                                                                   \
  INT(link)                                                                 \
  FLOAT(scale)                                                              \
  FLOAT(offset)

/* A zero-inflated lognormal (Wang, Liu and Miao 2019). logits [n,3]: a, mu, r; sigma = log1p(e^r) + 2^-10. With b = [y > 0]:
 * l = max(a,0) - a b + log1p(exp(-|a|)) + b (log(y sigma sqrt(2 pi)) + (log y - mu)^2 / (2 sigma^2)). dlogits = task_weight w m l' / D. */
#define MG_FIELDS_ziln_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                     \
  VIEW(dlogits) /* optional */                                     \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* y[n,1] = sigmoid(a) e^T, with T = the lesser of mu + sigma^2 / 2 and 88. logits as in ziln_loss. */
#define MG_FIELDS_ziln_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                        \
  VIEW(y)

/* Ordered buckets. logits z, dlogits [n,k]; label: the number of the bucket, an integer in [0,k], or NaN. With b_i = [label > i]:
 * l = the mean over i of max(z_i,0) - z_i b_i + log1p(exp(-|z_i|)); dlogits_i = task_weight w m (sigmoid(z_i) - b_i) / (k D). */
#define MG_FIELDS_ordinal_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                        \
  VIEW(dlogits) /* optional */                                        \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* y[n,1] = offset + unit times the sum over i of steps_i sigmoid(z_i). logits z [n,k], k <= 255; steps: k integers in [0, 2^52]. */
#define MG_FIELDS_ordinal_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                           \
  VIEW(y)                                                                \
  INTS(steps)                                                            \
  FLOAT(unit)                                                            \
  FLOAT(offset)

/* A probability that should not exceed another: l = factor max(0, sigmoid(z_0) - sigmoid(z_1)). logits, dlogits: two views [n,1], or no
 * dlogits. dlogits = task_weight w m l' / D. accumulate: one int per logit. */
#define MG_FIELDS_order_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(logits)                                                     \
  VIEWS(dlogits)                                                    \
  INTS(accumulate)                                                  \
  FLOAT(factor)                                                     \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* l = logsumexp(z) - z_y; dlogits_c = task_weight w m (softmax(z)_c - [c = y]) / D. logits, dlogits [n, classes]. label: the
 * class number or NaN. A number that is no class matches none of them (callers check). */
#define MG_FIELDS_multiclass_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                           \
  VIEW(dlogits) /* optional */                                           \
  MG_FIELDS_loss(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* y[n,classes] = softmax(logits) */
#define MG_FIELDS_multiclass_predict(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(logits)                                                              \
  VIEW(y)

/* The dot products of t row views [n,w]: scalar output `output` + k += the sum over rows and columns of gradients_i gradients_j, for the k-th
 * pair i <= j in the order (0,0), (0,1) .. (0,t-1), (1,1) .. (t-1,t-1). */
#define MG_FIELDS_row_gram(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(gradients)                                                \
  INT(output)

/* Reduces a GRADIENT buffer: overwrites it (not +=) with the sum over all rows of this run. Its contents before that, in the phase
 * ROWS, are undefined. */
#define MG_FIELDS_reduce_gradients(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) VIEW(gradients)

/* The dot products of t whole GRADIENT buffers over the elements that `parameters` name: outputs and pairs as of row_gram. */
#define MG_FIELDS_gradient_gram(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(gradients)                                                     \
  VIEWS(parameters)                                                    \
  INT(output)

/* y = the sum of w_i gradients_i, in the order listed. gradients, y: whole GRADIENT buffers; y becomes whole by this op, and no op adds to it before.
 * weights: w_0, a scalar input; w_i is the i-th after it. Each is a finite float32. */
#define MG_FIELDS_combine_gradients(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(gradients)                                                         \
  VIEW(y)                                                                  \
  SCALAR(weights)

/* The same for STORED rows: y[n,w] = the sum of w_i inputs_i[n,w]. */
#define MG_FIELDS_combine_rows(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(inputs)                                                       \
  VIEW(y)                                                             \
  SCALAR(weights)

/* For each view of parameters: scalar output `loss` += l1 sum|w| + l2 sum(w^2). If `gradients` is given, their gradient there
 * += l1 sign(w) + 2 l2 w. */
#define MG_FIELDS_penalty(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEWS(parameters)                                              \
  VIEW(gradients) /* optional */                                 \
  INT(loss)                                                      \
  FLOAT(l1)                                                      \
  FLOAT(l2)

/* scalar output `output` += the sum of squares of a whole GRADIENT buffer over the elements that `parameters` name. */
#define MG_FIELDS_gradient_squares(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(gradients)                                                         \
  VIEWS(parameters)                                                       \
  INT(output)

/* The same for the gradient that the table's embedding_update would take: sums over equal ids, with the penalty. exact 1: the penalty of
 * every row counts. Fields as there. It changes nothing but the output. */
#define MG_FIELDS_table_squares(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(table)                                                          \
  VIEWS(ids)                                                           \
  VIEWS(gradients)                                                     \
  INTS(combiners)                                                      \
  INT(exact)                                                           \
  INT(output)                                                          \
  FLOAT(l1)                                                            \
  FLOAT(l2)

/* The update rule and its constants; docs/numerics.md has the formulas. rule: an mg_rule; adam with weight_decay is adamw.
 * form: 0 Keras, 1 torch. learning_rate, step: scalar inputs (step counts from 1). The rule takes the gradient with penalties. clip_norm: if
 * > 0, it is first multiplied by min(1, clip_norm / s), where s is the square root of the scalar output `squares`, which ops before this one
 * have made. clip_value: if > 0, each element is then limited to [-clip_value, clip_value]; NaN stays NaN. average (laid out like the weights):
 * average -= average_scale (change of w); average_scale is a scalar input. Fields that a rule does not use are 0. Moments in
 * order: sgd (momentum); adam (m, v); adagrad (sum of squares); rmsprop (mean square, momentum if it has one, mean gradient if
 * centered); ftrl (n, z); rowwise adagrad (sum of mean squares, one number per row of a table: it is no rule of optimize). beta2 is rho for
 * rmsprop. */
#define MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(moment1) /* optional */                                       \
  VIEW(moment2) /* optional */                                       \
  VIEW(moment3) /* optional */                                       \
  VIEW(average) /* optional */                                       \
  INT(rule)                                                          \
  INT(form)                                                          \
  INT(nesterov)                                                      \
  INT(centered)                                                      \
  INT(squares)                                                       \
  SCALAR(learning_rate)                                              \
  SCALAR(step)                                                       \
  SCALAR(average_scale) /* optional */                               \
  FLOAT(beta1)                                                       \
  FLOAT(beta2)                                                       \
  FLOAT(epsilon)                                                     \
  FLOAT(momentum)                                                    \
  FLOAT(weight_decay)                                                \
  FLOAT(clip_value)                                                  \
  FLOAT(clip_norm)                                                   \
  FLOAT(ftrl_l1)                                                     \
  FLOAT(ftrl_l2)                                                     \
  FLOAT(ftrl_l2_shrinkage)                                           \
  FLOAT(ftrl_power)                                                  \
  FLOAT(ftrl_beta)

/* Updates a range of the dense parameters from the same range of a GRADIENT buffer. Several ops may update ranges that do not overlap; what
 * no op updates stays as it is. Moments: as long as the range; absent if the rule has none. */
#define MG_FIELDS_optimize(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(parameters)                                                \
  VIEW(gradients)                                                 \
  MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

/* Sums the gradients of each id of the batch in row order (features in the order listed), adds the penalty and updates the
 * rows of one table. ids: the row inputs that were gathered from the table. gradients: the matching columns of a STORED buffer.
 * combiners: as in embedding_gather. mean: each id gets d / count. concat: each id gets its own columns of d, and each column of ids
 * counts as a feature. Id 0 gets nothing, unless the combiner is single: there it is like any other id.
 * exact 0: updates only rows whose id occurs, and the penalty covers only them.
 * exact 1: updates every row by the dense rule, and the penalty covers the table. loss: scalar output of the penalty. */
#define MG_FIELDS_embedding_update(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR) \
  VIEW(table)                                                             \
  VIEWS(ids)                                                              \
  VIEWS(gradients)                                                        \
  INTS(combiners)                                                         \
  INT(exact)                                                              \
  INT(loss)                                                               \
  FLOAT(l1)                                                               \
  FLOAT(l2)                                                               \
  MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT, SCALAR)

#endif
