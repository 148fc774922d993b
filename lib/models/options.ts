// Options that every model has: their defaults, their checks and what they mean for the network. A model's file adds its
// own to `commonOptions`. Unknown keys are errors: a misspelt option must not be a silent default.

import { z } from 'zod'
import { activationNames } from '../core/activation.js'
import { initializerNames } from '../core/initializers.js'
import type { ParameterGroup } from '../core/layout.js'
import { largestWidth, mostExperts, mostLayers } from '../core/limits.js'
import { amount, float32, fraction, frozen } from '../core/schemas.js'
import { blockNames } from '../layers/blocks/registry.js'
import type { Penalty } from '../layers/update.js'

/** Width of a layer. */
export const units = z.int().min(1).max(largestWidth)

/** Widths of hidden layers, first to last. */
export const hiddenUnits = frozen(z.array(units).max(mostLayers))

const activation = z.enum(activationNames)

const perGroup = z.strictObject({
  /** After every layer of an expert and every hidden layer of a gate. Default `'relu'`. */
  expert: activation.default('relu'),
  /** After a tower's hidden layers; its last layer is linear. Default `'relu'`. */
  tower: activation.default('relu'),
  /** After the layers that all tasks share, in front of the experts. Default `'relu'`. */
  bottom: activation.default('relu'),
})

const initializer = z.union([
  z.enum(initializerNames),
  z.strictObject({ kind: z.literal('uniform'), low: float32, high: float32 }),
  z.strictObject({ kind: z.literal('normal'), mean: float32.optional(), deviation: amount }),
])

const penalties = z.strictObject({
  /** Of embedding tables. With `sparseUpdate: 'lazy'` it covers the rows that a batch has. Default 0. */
  embedding: amount.optional(),
  /** Of the kernels of every group below that does not say its own. Biases are never penalised. Default 0. */
  kernel: amount.optional(),
  expert: amount.optional(),
  gate: amount.optional(),
  tower: amount.optional(),
  bottom: amount.optional(),
})

/** Options of every model beside its features and tasks. */
export const commonOptions = {
  /** What stands between the features and the experts. `'mlp'`: dense layers. Default `'mlp'`. */
  bottom: z.enum(blockNames).default('mlp'),
  /** Widths of the layers that all tasks share, between the features and the experts, first to last. Default none. */
  bottomHiddenUnits: hiddenUnits.default([]),
  /** Widths of a tower's hidden layers, first to last. After them comes a linear layer, whose output is the logit. Default none. */
  towerHiddenUnits: hiddenUnits.default([]),
  /** Activations: one name for experts, towers and bottom, or a name for each. Default `'relu'`. */
  activation: z
    .union([activation.transform((name) => ({ expert: name, tower: name, bottom: name })), perGroup])
    .default({ expert: 'relu', tower: 'relu', bottom: 'relu' }),
  /** Adds l1 x the sum of |w| to the loss, by group of weights. Default none. */
  l1: penalties.default({}),
  /** Adds l2 x the sum of w^2 to the loss, by group of weights, as Keras does (no half). Default none. */
  l2: penalties.default({}),
  /** What weights start from, by group: a name, or `{ kind: 'uniform', low, high }` or `{ kind: 'normal', mean, deviation }`. Biases start from 0. */
  initializers: z
    .strictObject({
      /** Default uniform in [-0.05, 0.05), as Keras has it. */
      embedding: initializer.default({ kind: 'uniform', low: -0.05, high: 0.05 }),
      expert: initializer.default('glorotUniform'),
      gate: initializer.default('glorotUniform'),
      tower: initializer.default('glorotUniform'),
      bottom: initializer.default('glorotUniform'),
    })
    .prefault({}),
  /**
   * What the sum of a task's losses over a batch is divided by. `'valid'`: the rows that have a label. `'batch'`: all rows. `'weighted'`: the
   * sum of the weights of the rows that have a label. Default `'valid'`.
   */
  lossReduction: z.enum(['valid', 'batch', 'weighted']).default('valid'),
  /**
   * How an embedding table is updated. `'lazy'`: only the rows that a batch has, at a cost that does not depend on the size of the table.
   * `'exact'`: every row by the dense rule, as if the table were a layer. Default `'lazy'`.
   */
  sparseUpdate: z.enum(['lazy', 'exact']).default('lazy'),
  /** Share of elements that dropout sets to 0, after every hidden layer of bottom, experts, gates and towers, and after every mix. Training only. Default 0. */
  dropout: fraction.default(0),
  /** Initial weights, orders of rows and dropout are drawn from it: the same seed gives the same bits. Below 2^53. Default 0. */
  seed: z.int().min(0).default(0),
}

/** Options of experts and gates. */
export const expertOptions = {
  /** Widths of an expert's layers, first to last. Gates mix the outputs of the last. */
  expertHiddenUnits: frozen(z.array(units).min(1).max(mostLayers)),
  /** Widths of a gate's layers before its softmax, each with a bias. Default none. */
  gateHiddenUnits: hiddenUnits.default([]),
  /** Whether the softmax layers of gates have a bias. Default false, as in the papers. */
  gateBias: z.boolean().default(false),
  /** Divides the logits of gates: above 1 they mix more evenly. Default 1. */
  gateTemperature: float32.positive().default(1),
}

/** How many experts share a level, or a part of one. */
export const expertCount = z.int().min(0).max(mostExperts)

/** How many experts are each task's own: one number for all tasks, or one for each task, in the order of `tasks`. */
export const numSpecificExperts = z.union([expertCount, frozen(z.array(expertCount).min(1))])

const expertSchema = z.strictObject({ ...commonOptions, ...expertOptions })

/** The options of a model with experts, with their defaults filled in. */
export type ExpertOptions = z.output<typeof expertSchema>

const commonSchema = z.strictObject(commonOptions)

/** The common options with their defaults filled in. */
export type CommonOptions = z.output<typeof commonSchema>

/** The penalty of one group: its own key, or `kernel` for all but embeddings, or none. */
export function penaltyOf({ l1, l2 }: CommonOptions, group: ParameterGroup | 'embedding'): Penalty {
  const pick = (option: CommonOptions['l1']): number => option[group] ?? (group === 'embedding' ? undefined : option.kernel) ?? 0
  return { l1: pick(l1), l2: pick(l2) }
}
