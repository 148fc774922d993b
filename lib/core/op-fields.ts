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
}

/** The update rule and its constants, as the `optimize` and `embedding_update` ops take them. */
export interface UpdateRuleFields {
  rule: number
  form: number
  nesterov: number
  learningRate: number
  step: number
  beta1: number
  beta2: number
  epsilon: number
  momentum: number
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
  binary_loss: {
    logit: View
    label: View
    weight: OptionalView
    dlogit: OptionalView
    denominator: number
    loss: number
    taskWeight: number
  }
  binary_predict: { logit: View; y: View }
}

export interface StepOps {
  reduce_gradients: { gradients: View }
  penalty: { parameters: readonly View[]; loss: number; l1: number; l2: number }
  optimize: UpdateRuleFields & {
    parameters: View
    gradients: View
    moment1: OptionalView
    moment2: OptionalView
  }
  embedding_update: UpdateRuleFields & {
    table: View
    moment1: OptionalView
    moment2: OptionalView
    ids: readonly View[]
    gradients: readonly View[]
    combiners: readonly number[]
    exact: number
    loss: number
    l1: number
    l2: number
  }
}
