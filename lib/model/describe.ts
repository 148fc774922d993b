// A built model as plain data for tools, without weights and vocabularies.

import { elementsOf, trainedElements } from '../core/layout.js'
import type { ModelConfig } from '../files/format.js'
import { featuresOfGate, type GateFeatures } from '../models/gate-features.js'
import type { DataEncoder } from '../runtime/encode.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { weightsOf } from '../runtime/weights.js'

/** A gate and the names of the experts that it weighs. */
export interface GateDescription {
  readonly name: string
  readonly experts: readonly string[]
  /** The features that it reads, if `gateFeatures` says so. Absent: it reads what the experts read. */
  readonly features?: readonly string[] | undefined
}

/** An embedding table. */
export interface TableDescription {
  readonly feature: string
  readonly rows: number
  /** Numbers per row. */
  readonly dim: number
  readonly bytes: number
}

/** The result of `model.describe()`: plain data, ready for JSON. */
export interface ModelDescription {
  /** The model's class: `MMoE`. */
  readonly model: string
  /** The model's own options, as the user wrote them. */
  readonly options: object
  readonly features: readonly {
    readonly name: string
    readonly kind: string
    /** Rows of the embedding table; undefined for a dense feature. */
    readonly rows: number | undefined
    /** Columns that the feature takes in the network's input. */
    readonly width: number
  }[]
  readonly tasks: readonly { readonly name: string; readonly kind: string; readonly weight: number }[]
  /** The gates of each level, first level first. Empty if the model has no gates. */
  readonly levels: readonly (readonly GateDescription[])[]
  readonly tables: readonly TableDescription[]
  /** Every array of weights, including tables, by its name in a saved file. */
  readonly weights: readonly { readonly name: string; readonly shape: readonly number[] }[]
  /** The count of trainable numbers, including embeddings. */
  readonly parameters: number
  /** Bytes of the weights. Training also needs gradients and the optimizer's moments. */
  readonly bytes: number
}

/** Describes a built model. */
export function describe(config: ModelConfig, encoder: DataEncoder, { network, compute }: NetworkRunner): ModelDescription {
  const weights = weightsOf(network).map(({ name, shape }) => ({ name, shape }))
  const elements = weights.reduce((sum, { shape }) => sum + elementsOf(shape), 0)
  const ofTables = network.tables.reduce((sum, { rows, dim }) => sum + rows * dim, 0)
  const { gateFeatures = {} } = config.options as { readonly gateFeatures?: GateFeatures }
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
    levels: network.gateLevels.map((gates, level) => {
      return gates.map(({ name, experts }) => {
        const own = level === 0 ? featuresOfGate(gateFeatures, name) : undefined
        return { name, experts: [...experts], ...(own && { features: [...own] }) }
      })
    }),
    tables: network.tables.map(({ name, rows, dim }) => ({ feature: name, rows, dim, bytes: rows * dim * elementBytes })),
    weights,
    parameters: trainedElements(network.parameters.tensors) + ofTables,
    bytes: elements * elementBytes,
  }
}
