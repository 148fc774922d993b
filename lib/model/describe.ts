// A built model in plain words: what tools show. No weights, no vocabularies.

import { elementsOf } from '../core/layout.js'
import { weightsOf } from '../runtime/weights.js'
import { inside, type Model } from './model.js'

export interface ModelDescription {
  readonly model: string
  /** The model's own options as they were written. */
  readonly options: object
  readonly features: readonly {
    readonly name: string
    readonly kind: string
    /** Rows of the embedding table. */
    readonly rows: number | undefined
    /** Columns that it gives the network. */
    readonly width: number
  }[]
  readonly tasks: readonly { readonly name: string; readonly kind: string; readonly weight: number }[]
  readonly weights: readonly { readonly name: string; readonly shape: readonly number[] }[]
  readonly parameters: number
}

/** Describes a model. @throws ERR_MULTIGATE_NOT_BUILT before `fit` or `build`. */
export function describeModel(model: Model): ModelDescription {
  const { config, encoder, runner } = model[inside]
  const weights = weightsOf(runner.network).map(({ name, shape }) => ({ name, shape }))
  return {
    model: config.model,
    options: config.options,
    features: encoder.features.map((feature) => ({
      name: feature.name,
      kind: feature.kind,
      rows: feature.kind === 'dense' ? undefined : feature.rows,
      width: feature.kind === 'dense' ? feature.width : feature.dim,
    })),
    tasks: encoder.tasks.map(({ name, kind, weight }) => ({ name, kind, weight })),
    weights,
    parameters: weights.reduce((sum, { shape }) => sum + elementsOf(shape), 0),
  }
}
