/* The op list: one row per op, with its phase, and one field list per op.
 *
 * From these rows the compiler makes the descriptor structs, the union that a program holds, the names and the reflection
 * table through which programs arrive from TypeScript. A backend that misses an op does not compile (see its kernel table).
 *
 * Rules for every op
 * - A parameter view (kernel, bias, table) names elements of the flat store. Its gradient is the same range of the
 *   GRADIENT buffer. Parameter gradients accumulate (+=); activation gradients overwrite (=), unless `accumulate` is 1.
 * - A view with buffer -1 is absent. "optional" marks the fields where that is allowed.
 * - Letters: n rows, d input width, h expert width, e experts, g gates, s streams.
 */
#ifndef MULTIGATE_ABI_OPS_H
#define MULTIGATE_ABI_OPS_H

/* OP(name, phase). ROWS: any range of rows on its own. STEP: once a step, after all rows. (SEGMENT, all rows first, is
 * part of the contract for ops such as batch norm; no op uses it yet.) */
#define MG_OPS(OP)              \
  OP(copy_columns, ROWS)        \
  OP(embedding_gather, ROWS)    \
  OP(dense_forward, ROWS)       \
  OP(dense_backward, ROWS)      \
  OP(mixture_forward, ROWS)     \
  OP(mixture_backward, ROWS)    \
  OP(binary_loss, ROWS)         \
  OP(binary_predict, ROWS)      \
  OP(reduce_gradients, STEP)    \
  OP(penalty, STEP)             \
  OP(optimize, STEP)            \
  OP(embedding_update, STEP)

/* y[n,w] = x[n,w]; a row input placed into columns of an activation. */
#define MG_FIELDS_copy_columns(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(x)                                                     \
  VIEW(y)

/* y[n,dim] = table[id] (combiner 0, ids [n,1]), or the mean (1) or sum (2) of table[id] over the ids != 0 of a row of
 * ids [n,length]. A row without ids gives zeros. Ids are in range: whoever assembled the batch has checked. */
#define MG_FIELDS_embedding_gather(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(table)                                                     \
  VIEW(ids)                                                       \
  VIEW(y)                                                         \
  INT(combiner)

/* z = x[n,in] kernel[in,out] + bias[out]; y = activation(z). bias optional. z optional: written where given, and required
 * for gelu and swish if a dense_backward follows (their derivative needs it). */
#define MG_FIELDS_dense_forward(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(x)                                                      \
  VIEW(kernel)                                                 \
  VIEW(bias)                                                   \
  VIEW(z)                                                      \
  VIEW(y)                                                      \
  INT(activation)

/* dz = dy * activation'(z); dkernel += x^T dz; dbias += sum over rows of dz; dx = dz kernel^T. dx optional, and may be
 * narrower than x: then it is the gradient of the first columns. accumulate 1: dx += . */
#define MG_FIELDS_dense_backward(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(x)                                                       \
  VIEW(kernel)                                                  \
  VIEW(bias)                                                    \
  VIEW(z)                                                       \
  VIEW(y)                                                       \
  VIEW(dy)                                                      \
  VIEW(dx)                                                      \
  INT(activation)                                               \
  INT(accumulate)

/* The topology that mixture_forward and mixture_backward share.
 * streams: s row views. expert i reads stream expert_stream[i]; gate j reads stream gate_stream[j] and sees the experts
 * gate_expert[gate_offset[j] .. gate_offset[j+1]) in that order (gate_offset has g+1 entries).
 * expert_kernel: one view per stream, [experts on it, d of it, units], experts in ascending order; absent where no expert
 * reads the stream. expert_bias [e, units]. gate_kernel: one view per gate, [d, experts seen]; gate_bias: one view per gate,
 * [experts seen], or no views at all.
 * experts, pre: what forward keeps for backward, [n, e*units] each; their inner order is the backend's own. */
#define MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEWS(streams)                                                  \
  INTS(expert_stream)                                             \
  INTS(gate_stream)                                               \
  INTS(gate_offset)                                               \
  INTS(gate_expert)                                               \
  VIEWS(expert_kernel)                                            \
  VIEW(expert_bias)                                               \
  VIEWS(gate_kernel)                                              \
  VIEWS(gate_bias)                                                \
  INT(units)                                                      \
  INT(activation)

/* a_i = activation(stream W_i + b_i); p_j = softmax(stream G_j + c_j) over the experts seen; outputs_j = sum p_j[i] a_i.
 * outputs: one view per gate, [n, units]. gates: optional, [n, sum of experts seen], all p side by side.
 * experts optional: a is kept there. pre optional: the pre-activations, required with experts for gelu and swish. */
#define MG_FIELDS_mixture_forward(VIEW, VIEWS, INT, INTS, FLOAT) \
  MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT)      \
  VIEWS(outputs)                                                 \
  VIEW(gates)                                                    \
  VIEW(experts)                                                  \
  VIEW(pre)

/* From doutputs (one view per gate, absent = zero) the gradients of all parameters and, where a dstreams view is given, of
 * the streams (may be narrower than the stream). gates: as mixture_forward wrote them (required). experts and pre: as
 * mixture_forward kept them; absent: experts are computed again. accumulate: one int per stream. */
#define MG_FIELDS_mixture_backward(VIEW, VIEWS, INT, INTS, FLOAT) \
  MG_FIELDS_mixture_topology(VIEW, VIEWS, INT, INTS, FLOAT)       \
  VIEWS(doutputs)                                                 \
  VIEWS(dstreams)                                                 \
  INTS(accumulate)                                                \
  VIEW(gates)                                                     \
  VIEW(experts)                                                   \
  VIEW(pre)

/* l = max(z,0) - z y + log1p(exp(-|z|)), m = label is not NaN, w = weight or 1, D = scalar input `denominator`.
 * scalar output `loss` += sum(w m l) / D (unweighted by task); dlogit = task_weight w m (sigmoid(z) - y) / D.
 * D = 0 means that no row counts: loss and gradient are 0. logit, label, weight, dlogit [n,1]; weight, dlogit optional. */
#define MG_FIELDS_binary_loss(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(logit)                                                \
  VIEW(label)                                                \
  VIEW(weight)                                               \
  VIEW(dlogit)                                               \
  INT(denominator)                                           \
  INT(loss)                                                  \
  FLOAT(task_weight)

/* y[n,1] = sigmoid(logit[n,1]) */
#define MG_FIELDS_binary_predict(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(logit)                                                   \
  VIEW(y)

/* Makes the GRADIENT buffer whole: from here on it holds the sum over all rows of this run (it is overwritten, not added
 * to). The first step op of every program that has parameter gradients. */
#define MG_FIELDS_reduce_gradients(VIEW, VIEWS, INT, INTS, FLOAT) VIEW(gradients)

/* For each view of parameters: scalar output `loss` += l1 sum|w| + l2 sum(w^2); gradient += l1 sign(w) + 2 l2 w, if the
 * program has a GRADIENT buffer. */
#define MG_FIELDS_penalty(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEWS(parameters)                                      \
  INT(loss)                                              \
  FLOAT(l1)                                              \
  FLOAT(l2)

/* The update rule and its constants. rule: 0 sgd, 1 adam. form: 0 Keras, 1 torch. learning_rate, step: scalar inputs (step
 * counts from 1). What a rule does not use is 0. */
#define MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT) \
  INT(rule)                                                  \
  INT(form)                                                  \
  INT(nesterov)                                              \
  INT(learning_rate)                                         \
  INT(step)                                                  \
  FLOAT(beta1)                                               \
  FLOAT(beta2)                                               \
  FLOAT(epsilon)                                             \
  FLOAT(momentum)

/* Updates all dense parameters from the GRADIENT buffer. moment1, moment2: as long as parameters; absent where the rule has
 * none (sgd: moment1 only with momentum). */
#define MG_FIELDS_optimize(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(parameters)                                        \
  VIEW(gradients)                                         \
  VIEW(moment1)                                           \
  VIEW(moment2)                                           \
  MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT)

/* Sums the gradients of each id of the batch in row order (features in the order listed), adds the penalty and updates the
 * rows of one table. ids: the row inputs that were gathered from it; gradients: the matching columns of a STORED buffer;
 * combiners: as in embedding_gather (mean: each id gets d / count; id 0 of combiners 1 and 2 gets nothing).
 * exact 0: only rows whose id occurs move (combiner 0 counts id 0 as any other), the penalty covers them alone.
 * exact 1: every row moves by the dense rule, the penalty covers the table. loss: scalar output of the penalty. */
#define MG_FIELDS_embedding_update(VIEW, VIEWS, INT, INTS, FLOAT) \
  VIEW(table)                                                     \
  VIEW(moment1)                                                   \
  VIEW(moment2)                                                   \
  VIEWS(ids)                                                      \
  VIEWS(gradients)                                                \
  INTS(combiners)                                                 \
  INT(exact)                                                      \
  INT(loss)                                                       \
  FLOAT(l1)                                                       \
  FLOAT(l2)                                                       \
  MG_FIELDS_update_rule(VIEW, VIEWS, INT, INTS, FLOAT)

#endif
