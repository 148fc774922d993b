// A built model in plain words: what tools show. No weights, no vocabularies.

import { elementsOf } from '../core/layout.js'
import type { ModelConfig } from '../files/format.js'
import type { DataEncoder } from '../runtime/encode.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { weightsOf } from '../runtime/weights.js'

/** A gate and the experts that it weighs, by name. */
export interface GateDescription {
  readonly name: string
  readonly experts: readonly string[]
}

/** An embedding table. */
export interface TableDescription {
  readonly feature: string
  readonly rows: number
  /** Numbers per row. */
  readonly dim: number
  readonly bytes: number
}

/** What `model.describe()` gives. It is plain data and can be written as JSON. */
export interface ModelDescription {
  /** The model's class: `MMoE`. */
  readonly model: string
  /** The model's own options as they were written. */
  readonly options: object
  readonly features: readonly {
    readonly name: string
    readonly kind: string
    /** Rows of the embedding table; undefined for a dense feature. */
    readonly rows: number | undefined
    /** Columns that it gives the network. */
    readonly width: number
  }[]
  readonly tasks: readonly { readonly name: string; readonly kind: string; readonly weight: number }[]
  /** The gates of each level, first level first. Empty for a model without gates. */
  readonly levels: readonly (readonly GateDescription[])[]
  readonly tables: readonly TableDescription[]
  /** Every array of weights, tables too, by the names that a saved file has. */
  readonly weights: readonly { readonly name: string; readonly shape: readonly number[] }[]
  /** Numbers that training changes, embeddings included. */
  readonly parameters: number
  /** Memory of the weights; training takes gradients and the optimizer's moments besides. */
  readonly bytes: number
}

/** Describes a model that is built. */
export function describe(config: ModelConfig, encoder: DataEncoder, { network, compute }: NetworkRunner): ModelDescription {
  const weights = weightsOf(network).map(({ name, shape }) => ({ name, shape }))
  const parameters = weights.reduce((sum, { shape }) => sum + elementsOf(shape), 0)
  const elementBytes = compute.element.BYTES_PER_ELEMENT
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
    levels: network.gateLevels.map((gates) => gates.map(({ name, experts }) => ({ name, experts: [...experts] }))),
    tables: network.tables.map(({ name, rows, dim }) => ({ feature: name, rows, dim, bytes: rows * dim * elementBytes })),
    weights,
    parameters,
    bytes: parameters * elementBytes,
  }
}
