// The options of every model: their defaults, checks and effects on the network. A model's file adds its own to `commonOptions`.
// Unknown keys are errors, because a misspelt option must not silently become a default.

import { z } from 'zod'
import { activationNames } from '../core/activation.js'
import { initializerNames } from '../core/initializers.js'
import type { ParameterGroup } from '../core/layout.js'
import { largestWidth, mostExperts, mostLayers } from '../core/limits.js'
import { amount, float32, fraction, frozen } from '../core/schemas.js'
import { blockNames } from '../layers/blocks/registry.js'
import type { Penalty } from '../layers/update.js'
import { featureList } from './gate-features.js'

/** Width of a layer. */
export const units = z.int().min(1).max(largestWidth)

/** Widths of hidden layers, first to last. */
export const hiddenUnits = frozen(z.array(units).max(mostLayers))

const activation = z.enum(activationNames)

const perGroup = z.strictObject({
  /** Activation of every layer of an expert and every hidden layer of a gate. Default `'relu'`. */
  expert: activation.default('relu'),
  /** Activation of a tower's hidden layers; its last layer is linear. Default `'relu'`. */
  tower: activation.default('relu'),
  /** Activation of the shared layers in front of the experts. Default `'relu'`. */
  bottom: activation.default('relu'),
})

const initializer = z.union([
  z.enum(initializerNames),
  z.strictObject({ kind: z.literal('uniform'), low: float32, high: float32 }),
  z.strictObject({ kind: z.literal('normal'), mean: float32.optional(), deviation: amount }),
])

/** A penalty per group of weights. */
export interface PenaltyOptions {
  /** Penalty of embedding tables. With `sparseUpdate: 'lazy'` it covers only the rows that a batch has. Default 0. */
  readonly embedding?: number | undefined
  /** Penalty of the table of one feature, such as `embedding.userid`. Default: that of `embedding`. */
  readonly [feature: `embedding.${string}`]: number | undefined
  /** Penalty of the kernels of every group below without its own value. Biases are never penalised. Default 0. */
  readonly kernel?: number | undefined
  readonly expert?: number | undefined
  readonly gate?: number | undefined
  readonly tower?: number | undefined
  readonly bottom?: number | undefined
}

/** A group of weights with its own penalty. */
export type PenaltyGroup = ParameterGroup | 'embedding' | `embedding.${string}`

const penaltyNames = ['embedding', 'kernel', 'expert', 'gate', 'tower', 'bottom'] as const
const ofFeature = 'embedding.'

const penalties = z
  .object(Object.fromEntries(penaltyNames.map((name) => [name, amount.optional()])))
  .catchall(amount.optional())
  .superRefine((options, { issues }) => {
    const keys = Object.keys(options).filter((key) => !penaltyNames.includes(key as 'kernel') && !key.startsWith(ofFeature))
    if (keys.length > 0) issues.push({ code: 'unrecognized_keys', keys, path: [], input: options })
  }) as unknown as z.ZodType<PenaltyOptions, PenaltyOptions>

const dropoutPerGroup = z.strictObject({
  /** After hidden layers of the bottom. Default 0. */
  bottom: fraction.default(0),
  /** After hidden layers of experts; the last layer counts as `mix`. Default 0. */
  expert: fraction.default(0),
  /** After hidden layers of gates. Default 0. */
  gate: fraction.default(0),
  /** After hidden layers of towers. Default 0. */
  tower: fraction.default(0),
  /** After every mix of experts. Default 0. */
  mix: fraction.default(0),
})

/** Within float32, and so that 1 / temperature divides what dropout leaves of a logit without overflow. */
const temperature = float32.min(1e-6).max(1e6)

const temperatureSchedule = z
  .strictObject({
    schedule: z.enum(['linear', 'exponential', 'cosine']),
    start: temperature,
    end: temperature.default(1),
    epochs: z.int().min(1),
  })
  .overwrite((schedule) => Object.freeze(schedule))

/** Options of every model, without features and tasks. */
export const commonOptions = {
  /** The block between the features and the experts. `'mlp'`: dense layers. Default `'mlp'`. */
  bottom: z.enum(blockNames).default('mlp'),
  /** Widths of the shared layers between the features and the experts, first to last. Default: none. */
  bottomHiddenUnits: hiddenUnits.default([]),
  /** Widths of a tower's hidden layers, first to last. A linear layer follows, whose output is the logit. Default: none. */
  towerHiddenUnits: hiddenUnits.default([]),
  /** Activations: one name for experts, towers and bottom, or one name for each. Default `'relu'`. */
  activation: z
    .union([activation.transform((name) => ({ expert: name, tower: name, bottom: name })), perGroup])
    .default({ expert: 'relu', tower: 'relu', bottom: 'relu' }),
  /** Adds l1 x sum of |w| to the loss, per group of weights. Default: none. */
  l1: penalties.default({}),
  /** Adds l2 x sum of w^2 to the loss, per group of weights, without a half, as in Keras. Default: none. */
  l2: penalties.default({}),
  /** Start values per group: a name, `{ kind: 'uniform', low, high }` or `{ kind: 'normal', mean, deviation }`. Biases start from 0. */
  initializers: z
    .strictObject({
      /** Default: uniform in [-0.05, 0.05), as in Keras. */
      embedding: initializer.default({ kind: 'uniform', low: -0.05, high: 0.05 }),
      expert: initializer.default('glorotUniform'),
      gate: initializer.default('glorotUniform'),
      tower: initializer.default('glorotUniform'),
      bottom: initializer.default('glorotUniform'),
    })
    .prefault({}),
  /**
   * The divisor of the sum of a task's losses over a batch. `'valid'`: the number of labelled rows. `'batch'`: the number of all rows.
   * `'weighted'`: the sum of the weights of the labelled rows. Default `'valid'`.
   */
  lossReduction: z.enum(['valid', 'batch', 'weighted']).default('valid'),
  /**
   * How embedding tables are updated. `'lazy'`: only the rows that a batch has; the cost does not depend on the size of the table.
   * `'exact'`: every row by the dense rule, as for a layer. Default `'lazy'`.
   */
  sparseUpdate: z.enum(['lazy', 'exact']).default('lazy'),
  /**
   * Share of elements that dropout zeroes in training: one for every hidden layer and every mix, or one for each of
   * `{ bottom, expert, gate, tower, mix }`. Default 0.
   */
  dropout: z
    .union([fraction.transform((rate) => ({ bottom: rate, expert: rate, gate: rate, tower: rate, mix: rate })), dropoutPerGroup])
    .prefault(0),
  /** Seed of initial weights, orders of rows and dropout. The same seed gives the same bits. Below 2^53. Default 0. */
  seed: z.int().min(0).default(0),
}

/** Options of experts and gates. */
export const expertOptions = {
  /** Widths of an expert's layers, first to last. Gates mix the outputs of the last one. */
  expertHiddenUnits: frozen(z.array(units).min(1).max(mostLayers)),
  /** Widths of a gate's hidden layers before its softmax, each with a bias. Default: none. */
  gateHiddenUnits: hiddenUnits.default([]),
  /** Whether the gates' softmax layers have a bias. Default false, as in the papers. */
  gateBias: z.boolean().default(false),
  /**
   * Divisor of the gates' logits: a number, or a schedule by epoch, `{ schedule: 'exponential', start: 5, end: 1, epochs: 10 }`. Above 1 they
   * mix more evenly. Default 1.
   */
  gateTemperature: z.union([float32.positive(), temperatureSchedule]).default(1),
  /** Standard deviation of the Gaussian noise that training adds to the gates' logits, before their temperature. Default 0. */
  gateNoise: amount.max(1e6).default(0),
  /**
   * Probability that an expert has no weight for a row of a gate in training; the weights of the others sum to 1. If it would leave a row
   * no expert, the row keeps all. Default 0.
   */
  gateDropout: fraction.default(0),
  /**
   * Features that the gates read, side by side and without the bottom, while experts read all: one list of names for all gates, or one per
   * task, `{ like: ['userid'] }`; gates of other tasks then read what the experts read. In a PLE it is for the gates of the first level. Those
   * of later levels read outputs of the level before. The gate that belongs to no task takes the one list. Default: what the experts read.
   */
  gateFeatures: z.union([featureList, z.record(z.string(), featureList)]).optional(),
}

/** Number of experts of a level, or of a part of one. */
export const expertCount = z.int().min(0).max(mostExperts)

/** Number of each task's own experts: one number for all tasks, or one per task in the order of `tasks`. */
export const numSpecificExperts = z.union([expertCount, frozen(z.array(expertCount).min(1))])

const expertSchema = z.strictObject({ ...commonOptions, ...expertOptions })

/** The options of a model with experts, with defaults filled in. */
export type ExpertOptions = z.output<typeof expertSchema>

const commonSchema = z.strictObject(commonOptions)

/** The common options, with defaults filled in. */
export type CommonOptions = z.output<typeof commonSchema>

/** The penalty of one group: its own key, else `embedding` for a feature, `kernel` for what is no embedding, else 0. */
export function penaltyOf({ l1, l2 }: CommonOptions, group: PenaltyGroup): Penalty {
  const others = group === 'embedding' || group.startsWith(ofFeature) ? 'embedding' : 'kernel'
  const pick = (option: PenaltyOptions): number => option[group] ?? option[others] ?? 0
  return { l1: pick(l1), l2: pick(l2) }
}

/** Features that a penalty names, with the path of the option. */
export function penalisedFeatures(options: CommonOptions): { readonly path: string; readonly feature: string }[] {
  return (['l1', 'l2'] as const).flatMap((option) =>
    Object.keys(options[option]).flatMap((key) =>
      key.startsWith(ofFeature) ? [{ path: `${option}.${key}`, feature: key.slice(ofFeature.length) }] : [],
    ),
  )
}
