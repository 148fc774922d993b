// Made by scripts/generate-ops.mjs from native/abi/ops.h. Change that file and run `npm run generate`.
//
// Every op field by field, so that a forgotten or misspelt field does not compile.

/** Columns of a row buffer or elements of another buffer. */
export interface View {
  readonly buffer: number
  readonly offset: number
  readonly width: number
}

/** A view that may be absent. */
export type OptionalView = View | null

/**
 * y[n,w] = x[n,w]. Copies a row input into columns of an activation.
 */
export type CopyColumnsOpFields = {
  readonly x: View
  readonly y: View
}

/**
 * combiner is an mg_combiner. single: y[n,dim] = table[id], ids [n,1]. mean, sum: y[n,dim] = that of table[id] over the ids != 0 of a
 * row of ids [n,length]; a row without ids gives zeros. concat, not pooled: y[n,length*dim]; columns [k dim, (k+1) dim) are table[id] of
 * the row's id k, or zeros if that is 0. Ids are in range: the engine checks them when it assembles the batch.
 */
export type EmbeddingGatherOpFields = {
  readonly table: View
  readonly ids: View
  readonly y: View
  readonly combiner: number
}

/**
 * z = x[n,in] kernel[in,out] + bias[out]; y = activation(z). bias optional. z optional: written if given. gelu and swish need z
 * if a dense_backward follows, because their derivative needs it.
 */
export type DenseForwardOpFields = {
  readonly x: View
  readonly kernel: View
  readonly bias: OptionalView
  readonly z: OptionalView
  readonly y: View
  readonly activation: number
}

/**
 * dz = dy * activation'(z); dkernel += x^T dz; dbias += sum over rows of dz; dx = dz kernel^T. dx optional. It may be
 * narrower than x: then it is the gradient of the first columns. accumulate 1: dx += . gradients: the GRADIENT buffer of dkernel and dbias;
 * absent: they are not computed.
 */
export type DenseBackwardOpFields = {
  readonly x: View
  readonly kernel: View
  readonly bias: OptionalView
  readonly z: OptionalView
  readonly y: View
  readonly dy: View
  readonly dx: OptionalView
  readonly gradients: OptionalView
  readonly activation: number
  readonly accumulate: number
}

/**
 * The topology that mixture_forward and mixture_backward share. Each expert and each gate is one dense layer. For a deep expert or
 * gate, put a dense stack before it: the stack's output is a separate stream.
 * streams: s row views. Expert i reads stream expert_stream[i]. Gate j reads stream gate_stream[j] and sees the experts
 * gate_expert[gate_offset[j] .. gate_offset[j+1]) in that order (gate_offset has g+1 entries).
 * expert_kernel: one view per stream, [experts on it, d of it, units], experts in ascending order; absent if no expert
 * reads the stream. expert_bias [e, units]. gate_kernel: one view per gate, [d, experts seen]. gate_bias: one view per gate,
 * [experts seen], or no views. temperature divides the logits, > 0.
 * experts, pre: opaque, [n, e*units] each; forward keeps them for backward.
 */
export type MixtureTopologyFields = {
  readonly streams: readonly View[]
  readonly expertStream: readonly number[]
  readonly gateStream: readonly number[]
  readonly gateOffset: readonly number[]
  readonly gateExpert: readonly number[]
  readonly expertKernel: readonly OptionalView[]
  readonly expertBias: View
  readonly gateKernel: readonly View[]
  readonly gateBias: readonly View[]
  readonly units: number
  readonly activation: number
  readonly temperature: number
}

/**
 * a_i = activation(stream W_i + b_i); p_j = softmax((stream G_j + c_j) / temperature) over the experts seen; outputs_j = sum p_j[i] a_i.
 * outputs: one view per gate, [n, units]. gates: optional, [n, sum of experts seen], all p side by side.
 * experts: optional, keeps a. pre: optional, keeps the pre-activations; gelu and swish need it with experts.
 */
export type MixtureForwardOpFields = MixtureTopologyFields & {
  readonly outputs: readonly View[]
  readonly gates: OptionalView
  readonly experts: OptionalView
  readonly pre: OptionalView
}

/**
 * Computes from doutputs (one view per gate, absent = zero) the gradients of all parameters, and of each stream with a dstreams
 * view (it may be narrower than the stream). gates: required, as mixture_forward wrote them. experts, pre: as mixture_forward
 * kept them; if absent, the op recomputes the experts. accumulate: one int per stream. gradients: the GRADIENT buffer of the
 * parameters; absent: they are not computed.
 */
export type MixtureBackwardOpFields = MixtureTopologyFields & {
  readonly doutputs: readonly OptionalView[]
  readonly dstreams: readonly OptionalView[]
  readonly accumulate: readonly number[]
  readonly gates: View
  readonly experts: OptionalView
  readonly pre: OptionalView
  readonly gradients: OptionalView
}

/**
 * y[n,w] = the sum (kind 0) or the product (kind 1) of inputs[n,w], element by element, in the order listed.
 */
export type FusionForwardOpFields = {
  readonly inputs: readonly View[]
  readonly y: View
  readonly kind: number
}

/**
 * dinputs_i = dy (sum), or dy times the product of the other inputs, by prefix and suffix products (no division). dinputs:
 * one per input; absent: not computed. One that is narrower than its input is the gradient of the first columns. accumulate: one int
 * per input.
 */
export type FusionBackwardOpFields = {
  readonly inputs: readonly View[]
  readonly dy: View
  readonly dinputs: readonly OptionalView[]
  readonly accumulate: readonly number[]
  readonly kind: number
}

/**
 * y[n,w] = x / (1 - T / 2^16) if the element is kept, else 0. The same op with x = dy gives dx. T = rate 2^16, rounded to
 * nearest, at most 2^16 - 1. Element (row, c) is kept if half c % 8 of the words of Philox4x32-10 (low halves first) is >= T. key =
 * (seed low, stream), counter = (first_row + row, step, c / 8, seed high | 2 << 22). Words have 32 bits: row and step count modulo 2^32.
 * 0 <= rate < 1, seed < 2^53, stream < 2^32. row: the position in the batch, not in the dataset. step: scalar input, an integer in
 * [0, 2^53], checked by the engine. first_row: from mg_run.
 */
export type DropoutOpFields = {
  readonly x: View
  readonly y: View
  readonly seed: number
  readonly stream: number
  readonly step: number
  readonly rate: number
}

/**
 * Noise on the logits of one gate: y[n,e] = x + deviation z, or -1e30 if the element is dropped. Column pair k of a row takes the words
 * w0..w3 of Philox4x32-10: key = (seed low, stream), counter = (first_row + row, step, k, seed high | 3 << 22). Column 2k + i is
 * dropped if w[2+i] < T, T = dropout 2^32, rounded to nearest, at most 2^32 - 1. If that would drop all columns of a row, it drops none.
 * z is normal (Box and Muller): u = (2 floor(w0 / 2^9) + 1) / 2^24, t = (2 floor((w1 mod 2^30) / 2^7) + 1) / 2^24, z_2k = +-sqrt(-2 ln u)
 * cos(pi t / 2), z_2k+1 = +-sqrt(-2 ln u) sin(pi t / 2); bits 31 and 30 of w1 are the two signs, 1 for minus. deviation >= 0,
 * 0 <= dropout < 1; the rest as in dropout. The gradient by x is dy wherever a softmax follows, because that gives dropped elements none.
 */
export type GateNoiseOpFields = {
  readonly x: View
  readonly y: View
  readonly seed: number
  readonly stream: number
  readonly step: number
  readonly deviation: number
  readonly dropout: number
}

/**
 * The fields that all losses share. m = label is not NaN, w = weight or 1, D = scalar input `denominator`. Scalar output
 * `loss` += sum(w m l) / D, without the task weight. Gradients include task_weight, a scalar input that is a finite float32; if it is
 * absent, there is no gradient. If D = 0, no row counts: loss and gradient are 0. label, weight [n,1]; weight and the gradients are
 * optional.
 */
export type LossFields = {
  readonly label: View
  readonly weight: OptionalView
  readonly denominator: number
  readonly loss: number
  readonly taskWeight: number | null
}

/**
 * gamma 0: l = max(z,0) - z y + log1p(exp(-|z|)); dlogit = task_weight w m (sigmoid(z) - y) / D. gamma > 0, the focal loss: with
 * p = sigmoid(z), l = -y (1-p)^gamma log p - (1-y) p^gamma log(1-p), without cancellation. gamma >= 0. logit, dlogit [n,1].
 */
export type BinaryLossOpFields = LossFields & {
  readonly logit: View
  readonly dlogit: OptionalView
  readonly gamma: number
}

/**
 * y[n,1] = sigmoid(logit[n,1] + offset)
 */
export type BinaryPredictOpFields = {
  readonly logit: View
  readonly y: View
  readonly offset: number
}

/**
 * The binary loss of p = the product of sigmoid(logits_i): l = -y log p - (1 - y) log(1 - p), without cancellation.
 * dlogits_i = task_weight w m sigmoid(-logits_i) (-y + (1 - y) p / (1 - p)) / D. logits, dlogits: [n,1] each; one dlogits
 * per logit, or none. accumulate: one int per logit.
 */
export type ProductLossOpFields = LossFields & {
  readonly logits: readonly View[]
  readonly dlogits: readonly View[]
  readonly accumulate: readonly number[]
}

/**
 * y[n,1] = the product of sigmoid(logits_i)
 */
export type ProductPredictOpFields = {
  readonly logits: readonly View[]
  readonly y: View
}

/**
 * kind: an mg_regression; d = z - y, a = parameter. squared: l = d^2. absolute: |d|. huber, a > 0: d^2 / 2 where |d| <= a, else
 * a (|d| - a / 2). log_cosh: log(cosh(d)). quantile, 0 < a < 1: max(-a d, (1-a) d). poisson: E(z) - y z. tweedie, 1 < a < 2:
 * E((2-a) z) / (2-a) + y E((1-a) z) / (a-1). E(t) = e^t up to t = 80; above it its tangent there, so that l and its gradient are finite.
 * dprediction = task_weight w m l'(z) / D, 0 at a kink of absolute and quantile. A kind without a parameter ignores it. prediction z,
 * dprediction [n,1].
 */
export type RegressionLossOpFields = LossFields & {
  readonly prediction: View
  readonly dprediction: OptionalView
  readonly kind: number
  readonly parameter: number
}

/**
 * t = offset + scale prediction[n,1]; y[n,1] = t, or with T = the lesser of t and 88: e^T or e^T - 1. link: an mg_link.
 */
export type RegressionPredictOpFields = {
  readonly prediction: View
  readonly y: View
  readonly link: number
  readonly scale: number
  readonly offset: number
}

/**
 * A zero-inflated lognormal (Wang, Liu and Miao 2019). logits [n,3]: a, mu, r; sigma = log1p(e^r) + 2^-10. With b = [y > 0]:
 * l = max(a,0) - a b + log1p(exp(-|a|)) + b (log(y sigma sqrt(2 pi)) + (log y - mu)^2 / (2 sigma^2)). dlogits = task_weight w m l' / D.
 */
export type ZilnLossOpFields = LossFields & {
  readonly logits: View
  readonly dlogits: OptionalView
}

/**
 * y[n,1] = sigmoid(a) e^T, with T = the lesser of mu + sigma^2 / 2 and 88. logits as in ziln_loss.
 */
export type ZilnPredictOpFields = {
  readonly logits: View
  readonly y: View
}

/**
 * Ordered buckets. logits z, dlogits [n,k]; label: the number of the bucket, an integer in [0,k], or NaN. With b_i = [label > i]:
 * l = the mean over i of max(z_i,0) - z_i b_i + log1p(exp(-|z_i|)); dlogits_i = task_weight w m (sigmoid(z_i) - b_i) / (k D).
 */
export type OrdinalLossOpFields = LossFields & {
  readonly logits: View
  readonly dlogits: OptionalView
}

/**
 * y[n,1] = offset + unit times the sum over i of steps_i sigmoid(z_i). logits z [n,k], k <= 255; steps: k integers in [0, 2^52].
 */
export type OrdinalPredictOpFields = {
  readonly logits: View
  readonly y: View
  readonly steps: readonly number[]
  readonly unit: number
  readonly offset: number
}

/**
 * A probability that should not exceed another: l = factor max(0, sigmoid(z_0) - sigmoid(z_1)). logits, dlogits: two views [n,1], or no
 * dlogits. dlogits = task_weight w m l' / D. accumulate: one int per logit.
 */
export type OrderLossOpFields = LossFields & {
  readonly logits: readonly View[]
  readonly dlogits: readonly View[]
  readonly accumulate: readonly number[]
  readonly factor: number
}

/**
 * l = logsumexp(z) - z_y; dlogits_c = task_weight w m (softmax(z)_c - [c = y]) / D. logits, dlogits [n, classes]. label: the
 * class number or NaN. A number that is no class matches none of them (callers check).
 */
export type MulticlassLossOpFields = LossFields & {
  readonly logits: View
  readonly dlogits: OptionalView
}

/**
 * y[n,classes] = softmax(logits)
 */
export type MulticlassPredictOpFields = {
  readonly logits: View
  readonly y: View
}

/**
 * The dot products of t row views [n,w]: scalar output `output` + k += the sum over rows and columns of gradients_i gradients_j, for the k-th
 * pair i <= j in the order (0,0), (0,1) .. (0,t-1), (1,1) .. (t-1,t-1).
 */
export type RowGramOpFields = {
  readonly gradients: readonly View[]
  readonly output: number
}

/**
 * Reduces a GRADIENT buffer: overwrites it (not +=) with the sum over all rows of this run. Its contents before that, in the phase
 * ROWS, are undefined.
 */
export type ReduceGradientsOpFields = {
  readonly gradients: View
}

/**
 * The dot products of t whole GRADIENT buffers over the elements that `parameters` name: outputs and pairs as of row_gram.
 */
export type GradientGramOpFields = {
  readonly gradients: readonly View[]
  readonly parameters: readonly View[]
  readonly output: number
}

/**
 * y = the sum of w_i gradients_i, in the order listed. gradients, y: whole GRADIENT buffers; y becomes whole by this op, and no op adds to it before.
 * weights: w_0, a scalar input; w_i is the i-th after it. Each is a finite float32.
 */
export type CombineGradientsOpFields = {
  readonly gradients: readonly View[]
  readonly y: View
  readonly weights: number
}

/**
 * The same for STORED rows: y[n,w] = the sum of w_i inputs_i[n,w].
 */
export type CombineRowsOpFields = {
  readonly inputs: readonly View[]
  readonly y: View
  readonly weights: number
}

/**
 * For each view of parameters: scalar output `loss` += l1 sum|w| + l2 sum(w^2). If `gradients` is given, their gradient there
 * += l1 sign(w) + 2 l2 w.
 */
export type PenaltyOpFields = {
  readonly parameters: readonly View[]
  readonly gradients: OptionalView
  readonly loss: number
  readonly l1: number
  readonly l2: number
}

/**
 * scalar output `output` += the sum of squares of a whole GRADIENT buffer over the elements that `parameters` name.
 */
export type GradientSquaresOpFields = {
  readonly gradients: View
  readonly parameters: readonly View[]
  readonly output: number
}

/**
 * The same for the gradient that the table's embedding_update would take: sums over equal ids, with the penalty. exact 1: the penalty of
 * every row counts. Fields as there. It changes nothing but the output.
 */
export type TableSquaresOpFields = {
  readonly table: View
  readonly ids: readonly View[]
  readonly gradients: readonly View[]
  readonly combiners: readonly number[]
  readonly exact: number
  readonly output: number
  readonly l1: number
  readonly l2: number
}

/**
 * The update rule and its constants; docs/numerics.md has the formulas. rule: an mg_rule; adam with weight_decay is adamw.
 * form: 0 Keras, 1 torch. learning_rate, step: scalar inputs (step counts from 1). The rule takes the gradient with penalties. clip_norm: if
 * > 0, it is first multiplied by min(1, clip_norm / s), where s is the square root of the scalar output `squares`, which ops before this one
 * have made. clip_value: if > 0, each element is then limited to [-clip_value, clip_value]; NaN stays NaN. average (laid out like the weights):
 * average -= average_scale (change of w); average_scale is a scalar input. Fields that a rule does not use are 0. Moments in
 * order: sgd (momentum); adam (m, v); adagrad (sum of squares); rmsprop (mean square, momentum if it has one, mean gradient if
 * centered); ftrl (n, z); rowwise adagrad (sum of mean squares, one number per row of a table: it is no rule of optimize). beta2 is rho for
 * rmsprop.
 */
export type UpdateRuleFields = {
  readonly moment1: OptionalView
  readonly moment2: OptionalView
  readonly moment3: OptionalView
  readonly average: OptionalView
  readonly rule: number
  readonly form: number
  readonly nesterov: number
  readonly centered: number
  readonly squares: number
  readonly learningRate: number
  readonly step: number
  readonly averageScale: number | null
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
  readonly momentum: number
  readonly weightDecay: number
  readonly clipValue: number
  readonly clipNorm: number
  readonly ftrlL1: number
  readonly ftrlL2: number
  readonly ftrlL2Shrinkage: number
  readonly ftrlPower: number
  readonly ftrlBeta: number
}

/**
 * Updates a range of the dense parameters from the same range of a GRADIENT buffer. Several ops may update ranges that do not overlap; what
 * no op updates stays as it is. Moments: as long as the range; absent if the rule has none.
 */
export type OptimizeOpFields = UpdateRuleFields & {
  readonly parameters: View
  readonly gradients: View
}

/**
 * Sums the gradients of each id of the batch in row order (features in the order listed), adds the penalty and updates the
 * rows of one table. ids: the row inputs that were gathered from the table. gradients: the matching columns of a STORED buffer.
 * combiners: as in embedding_gather. mean: each id gets d / count. concat: each id gets its own columns of d, and each column of ids
 * counts as a feature. Id 0 gets nothing, unless the combiner is single: there it is like any other id.
 * exact 0: updates only rows whose id occurs, and the penalty covers only them.
 * exact 1: updates every row by the dense rule, and the penalty covers the table. loss: scalar output of the penalty.
 */
export type EmbeddingUpdateOpFields = UpdateRuleFields & {
  readonly table: View
  readonly ids: readonly View[]
  readonly gradients: readonly View[]
  readonly combiners: readonly number[]
  readonly exact: number
  readonly loss: number
  readonly l1: number
  readonly l2: number
}

/** What a run can be cut at, in the order of a step. */
export const phases = ['rows', 'gradients', 'update', 'tables'] as const

export type Phase = (typeof phases)[number]

/** The fields of every op, by its name. */
export interface OpFields {
  readonly copy_columns: CopyColumnsOpFields
  readonly embedding_gather: EmbeddingGatherOpFields
  readonly dense_forward: DenseForwardOpFields
  readonly dense_backward: DenseBackwardOpFields
  readonly mixture_forward: MixtureForwardOpFields
  readonly mixture_backward: MixtureBackwardOpFields
  readonly fusion_forward: FusionForwardOpFields
  readonly fusion_backward: FusionBackwardOpFields
  readonly dropout: DropoutOpFields
  readonly gate_noise: GateNoiseOpFields
  readonly binary_loss: BinaryLossOpFields
  readonly binary_predict: BinaryPredictOpFields
  readonly product_loss: ProductLossOpFields
  readonly product_predict: ProductPredictOpFields
  readonly regression_loss: RegressionLossOpFields
  readonly regression_predict: RegressionPredictOpFields
  readonly ziln_loss: ZilnLossOpFields
  readonly ziln_predict: ZilnPredictOpFields
  readonly ordinal_loss: OrdinalLossOpFields
  readonly ordinal_predict: OrdinalPredictOpFields
  readonly order_loss: OrderLossOpFields
  readonly multiclass_loss: MulticlassLossOpFields
  readonly multiclass_predict: MulticlassPredictOpFields
  readonly row_gram: RowGramOpFields
  readonly reduce_gradients: ReduceGradientsOpFields
  readonly gradient_gram: GradientGramOpFields
  readonly combine_gradients: CombineGradientsOpFields
  readonly combine_rows: CombineRowsOpFields
  readonly penalty: PenaltyOpFields
  readonly gradient_squares: GradientSquaresOpFields
  readonly table_squares: TableSquaresOpFields
  readonly optimize: OptimizeOpFields
  readonly embedding_update: EmbeddingUpdateOpFields
}

export type OpName = keyof OpFields

/** The phase of every op. */
export const phaseOf = {
  copy_columns: 'rows',
  embedding_gather: 'rows',
  dense_forward: 'rows',
  dense_backward: 'rows',
  mixture_forward: 'rows',
  mixture_backward: 'rows',
  fusion_forward: 'rows',
  fusion_backward: 'rows',
  dropout: 'rows',
  gate_noise: 'rows',
  binary_loss: 'rows',
  binary_predict: 'rows',
  product_loss: 'rows',
  product_predict: 'rows',
  regression_loss: 'rows',
  regression_predict: 'rows',
  ziln_loss: 'rows',
  ziln_predict: 'rows',
  ordinal_loss: 'rows',
  ordinal_predict: 'rows',
  order_loss: 'rows',
  multiclass_loss: 'rows',
  multiclass_predict: 'rows',
  row_gram: 'rows',
  reduce_gradients: 'gradients',
  gradient_gram: 'gradients',
  combine_gradients: 'update',
  combine_rows: 'update',
  penalty: 'update',
  gradient_squares: 'update',
  table_squares: 'update',
  optimize: 'update',
  embedding_update: 'tables',
} as const satisfies Readonly<Record<OpName, Phase>>

/** An op of a program: its name and its fields. */
export type Op = { [Name in OpName]: { readonly op: Name } & OpFields[Name] }[OpName]
