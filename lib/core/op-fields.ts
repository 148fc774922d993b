// The ops of native/abi/ops.h as TypeScript types, field by field, so that a forgotten or misspelt field does not compile.
// The meaning of every field is written there.

/** Columns of a row buffer or elements of another buffer. */
export interface View {
  readonly buffer: number
  readonly offset: number
  readonly width: number
}

/** A view that may be absent. */
export type OptionalView = View | null

interface MixtureTopologyFields {
  streams: readonly View[]
  expertStream: readonly number[]
  gateStream: readonly number[]
  gateOffset: readonly number[]
  gateExpert: readonly number[]
  expertKernel: readonly OptionalView[]
  expertBias: View
  gateKernel: readonly View[]
  gateBias: readonly View[]
  units: number
  activation: number
  temperature: number
}

/** The update rule and its constants, as the `optimize` and `embedding_update` ops take them. */
export interface UpdateRuleFields {
  moment1: OptionalView
  moment2: OptionalView
  moment3: OptionalView
  rule: number
  form: number
  nesterov: number
  centered: number
  learningRate: number
  step: number
  beta1: number
  beta2: number
  epsilon: number
  momentum: number
  weightDecay: number
  ftrlL1: number
  ftrlL2: number
  ftrlL2Shrinkage: number
  ftrlPower: number
  ftrlBeta: number
}

/** What all losses share. */
interface LossFields {
  label: View
  weight: OptionalView
  denominator: number
  loss: number
  taskWeight: number
}

export interface RowsOps {
  copy_columns: { x: View; y: View }
  embedding_gather: { table: View; ids: View; y: View; combiner: number }
  dense_forward: { x: View; kernel: View; bias: OptionalView; z: OptionalView; y: View; activation: number }
  dense_backward: {
    x: View
    kernel: View
    bias: OptionalView
    z: OptionalView
    y: View
    dy: View
    dx: OptionalView
    activation: number
    accumulate: number
  }
  mixture_forward: MixtureTopologyFields & {
    outputs: readonly View[]
    gates: OptionalView
    experts: OptionalView
    pre: OptionalView
  }
  mixture_backward: MixtureTopologyFields & {
    doutputs: readonly OptionalView[]
    dstreams: readonly OptionalView[]
    accumulate: readonly number[]
    gates: View
    experts: OptionalView
    pre: OptionalView
  }
  fusion_forward: { inputs: readonly View[]; y: View; kind: number }
  fusion_backward: {
    inputs: readonly View[]
    dy: View
    dinputs: readonly OptionalView[]
    accumulate: readonly number[]
    kind: number
  }
  dropout: { x: View; y: View; seed: number; stream: number; step: number; rate: number }
  binary_loss: LossFields & { logit: View; dlogit: OptionalView }
  binary_predict: { logit: View; y: View }
  product_loss: LossFields & { logits: readonly View[]; dlogits: readonly View[]; accumulate: readonly number[] }
  product_predict: { logits: readonly View[]; y: View }
  squared_loss: LossFields & { prediction: View; dprediction: OptionalView }
  multiclass_loss: LossFields & { logits: View; dlogits: OptionalView }
  multiclass_predict: { logits: View; y: View }
}

export interface StepOps {
  reduce_gradients: { gradients: View }
  penalty: { parameters: readonly View[]; loss: number; l1: number; l2: number }
  optimize: UpdateRuleFields & {
    parameters: View
    gradients: View
  }
  embedding_update: UpdateRuleFields & {
    table: View
    ids: readonly View[]
    gradients: readonly View[]
    combiners: readonly number[]
    exact: number
    loss: number
    l1: number
    l2: number
  }
}
