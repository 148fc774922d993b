// Options that every model has: their defaults, their checks and what they mean for the network. A model's file adds its
// own to `commonOptions`. Unknown keys are errors: a misspelt option must not be a silent default.

import { z } from 'zod'
import { activationNames } from '../core/activation.js'
import { initializerNames } from '../core/initializers.js'
import type { ParameterGroup } from '../core/layout.js'
import { largestWidth, mostExperts, mostLayers } from '../core/limits.js'
import { amount, float32, fraction, frozen } from '../core/schemas.js'
import type { Penalty } from '../layers/update.js'

/** Width of a layer. */
export const units = z.int().min(1).max(largestWidth)

/** Widths of hidden layers, first to last. */
export const hiddenUnits = frozen(z.array(units).max(mostLayers))

const activation = z.enum(activationNames)

const perGroup = z.strictObject({
  expert: activation.default('relu'),
  tower: activation.default('relu'),
  bottom: activation.default('relu'),
})

const initializer = z.union([
  z.enum(initializerNames),
  z.strictObject({ kind: z.literal('uniform'), low: float32, high: float32 }),
  z.strictObject({ kind: z.literal('normal'), mean: float32.optional(), deviation: amount }),
])

const penalties = z.strictObject({
  embedding: amount.optional(),
  kernel: amount.optional(),
  expert: amount.optional(),
  gate: amount.optional(),
  tower: amount.optional(),
  bottom: amount.optional(),
})

/** Options of every model beside its features and tasks. */
export const commonOptions = {
  bottomHiddenUnits: hiddenUnits.default([]),
  towerHiddenUnits: hiddenUnits.default([]),
  /** One for experts, towers' hidden layers and bottom, or one for each. */
  activation: z
    .union([activation.transform((name) => ({ expert: name, tower: name, bottom: name })), perGroup])
    .default({ expert: 'relu', tower: 'relu', bottom: 'relu' }),
  l1: penalties.default({}),
  l2: penalties.default({}),
  initializers: z
    .strictObject({
      embedding: initializer.default({ kind: 'uniform', low: -0.05, high: 0.05 }),
      expert: initializer.default('glorotUniform'),
      gate: initializer.default('glorotUniform'),
      tower: initializer.default('glorotUniform'),
      bottom: initializer.default('glorotUniform'),
    })
    .prefault({}),
  lossReduction: z.enum(['valid', 'batch', 'weighted']).default('valid'),
  sparseUpdate: z.enum(['lazy', 'exact']).default('lazy'),
  /** Rate of dropout after every hidden layer of bottom, experts, gates and towers, and after every mix; training only. */
  dropout: fraction.default(0),
  seed: z.int().min(0).default(0),
}

/** Options of experts and gates. */
export const expertOptions = {
  /** Widths of an expert's layers, the last of which is what gates mix. */
  expertHiddenUnits: frozen(z.array(units).min(1).max(mostLayers)),
  /** Widths of a gate's layers before its softmax. */
  gateHiddenUnits: hiddenUnits.default([]),
  /** Whether softmax layers of gates have a bias; the papers' have none. */
  gateBias: z.boolean().default(false),
  /** Divides the logits of gates: above 1 they mix more evenly. */
  gateTemperature: float32.positive().default(1),
}

/** How many experts share a level, or a part of one. */
export const expertCount = z.int().min(0).max(mostExperts)

/** How many experts are each task's own: one number for all tasks, or one per task. */
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
