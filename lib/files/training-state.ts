// The state of a training run in a file: JSON in the metadata, and tensors named `training.<memory>` and
// `training.callback.<number>.<memory>`.

import { z } from 'zod'

import type { DType } from '../io/tensors.js'
import type { FloatArray } from '../native/binding.js'
import type { Snapshot, WeightMemory } from '../runtime/weights.js'
import type { EpochRecord } from '../training/history.js'
import type { TrainingState, WithinEpoch } from '../training/state.js'

export const drawnSchema = z.strictObject({ epochs: z.int().min(0), steps: z.int().min(0) })

/** Prefix of all these tensors. */
export const trainingPrefix = 'training.'

export function momentTensor(memory: string): string {
  return `${trainingPrefix}${memory}`
}

export function callbackTensor(callback: number, memory: string): string {
  return `${trainingPrefix}callback.${callback}.${memory}`
}

/** The JSON part. `hasWeights`: the callback's weights are among the tensors. */
export const trainingSchema = z.strictObject({
  optimizer: z.looseObject({ name: z.string() }),
  optimizers: z.record(z.string(), z.unknown()).default({}),
  freeze: z.array(z.string()).default([]),
  ema: z.strictObject({ decay: z.number().gt(0).lt(1), warmup: z.boolean() }).optional(),
  steps: z.int().min(0),
  rateFactor: z.number().min(0).default(1),
  balance: z
    .strictObject({ taskWeights: z.record(z.string(), z.number()).nullable(), method: z.looseObject({ method: z.string() }) })
    .optional(),
  epochs: z.array(z.looseObject({ epoch: z.int().min(1) })),
  stopped: z.string().nullable(),
  weightsOf: z.int().min(0),
  within: z
    .strictObject({
      epoch: z.int().min(1),
      step: z.int().min(0),
      rows: z.int().min(0),
      seconds: z.number().min(0),
      order: z.strictObject({
        rows: z.int().min(1),
        batchSize: z.int().min(1),
        shuffle: z.boolean(),
        shardRows: z.int().min(0),
        blockRows: z.int().min(0),
      }),
      losses: z.array(z.number()),
      balance: z.array(z.number()),
      norms: z.array(z.number()).default([]),
    })
    .optional(),
  callbacks: z.array(z.strictObject({ json: z.unknown(), hasWeights: z.boolean() }).nullable()),
})

export function trainingJson(state: TrainingState): z.input<typeof trainingSchema> {
  const callbacks = state.callbacks.map((own) =>
    own === undefined ? null : { json: own.json ?? null, hasWeights: own.weights !== undefined },
  )
  return {
    optimizer: { ...state.optimizer },
    optimizers: { ...state.optimizers },
    freeze: [...state.freeze],
    ema: state.ema,
    steps: state.steps,
    rateFactor: state.rateFactor,
    balance: state.balance,
    epochs: state.epochs.map((epoch) => ({ ...epoch })),
    stopped: state.stopReason ?? null,
    weightsOf: state.weightsEpoch,
    within: state.within && within(state.within),
    callbacks,
  }
}

function within(place: WithinEpoch): NonNullable<z.input<typeof trainingSchema>['within']> {
  return { ...place, losses: [...place.losses], balance: [...place.balance], norms: [...place.norms] }
}

/**
 * Epochs as written. Files older than `learningRate` had one rate for all steps. Files older than `reasons` have only the reason for an
 * undefined AUC, as `aucReason`.
 */
export function epochsOf(json: z.output<typeof trainingSchema>): EpochRecord[] {
  const { learningRate } = json.optimizer
  return json.epochs.map((read) => {
    const epoch: (typeof json.epochs)[number] = { learningRate, ...read }
    const { data: validation } = oldValidation.safeParse(epoch['validation'])
    if (validation === undefined) return epoch as unknown as EpochRecord
    const tasks = Object.entries(validation.tasks).map(([task, { aucReason, reasons, ...result }]) => {
      return [task, { ...result, reasons: reasons ?? (aucReason === undefined ? {} : { auc: aucReason }) }]
    })
    return { ...epoch, validation: { ...validation, tasks: Object.fromEntries(tasks) } } as unknown as EpochRecord
  })
}

const oldValidation = z.looseObject({
  tasks: z.record(
    z.string(),
    z.looseObject({ aucReason: z.string().optional(), reasons: z.record(z.string(), z.string()).optional() }),
  ),
})

/** A tensor of floats to write, in chunks. */
export interface FloatSource {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: DType
  readonly chunks: () => Iterable<FloatArray>
}

/** Its tensors, moments first. */
export function trainingTensors(state: TrainingState, memories: WeightMemory, dtype: DType): FloatSource[] {
  const moments = memories.moments().map((place): FloatSource => {
    return { name: momentTensor(place.memory), shape: place.shape, dtype, chunks: () => memories.passing(place) }
  })
  const remembered = state.callbacks.flatMap((own, index) => snapshotTensors(index, own?.weights, dtype))
  return [...moments, ...remembered]
}

function snapshotTensors(callback: number, snapshot: Snapshot | undefined, dtype: DType): FloatSource[] {
  return [...(snapshot ?? [])].map(([memory, parts]) => ({
    name: callbackTensor(callback, memory),
    shape: [parts.reduce((sum, { length }) => sum + length, 0)],
    dtype,
    chunks: () => parts,
  }))
}
