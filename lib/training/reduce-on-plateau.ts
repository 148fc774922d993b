// Reduce on plateau: lowers the learning rate when a number has stopped improving.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { amount, fraction } from '../core/schemas.js'
import type { Callback } from './callbacks.js'
import { keptState, Monitor, type MonitorOptions, monitorOptions, monitorState } from './monitor.js'

/** The schema of the options, also part of the configuration's schema. */
export const reduceOnPlateauOptions = {
  ...monitorOptions,
  factor: fraction.gt(0).optional(),
  patience: z.int().min(1).optional(),
  cooldown: z.int().min(0).optional(),
  lowest: amount.optional(),
}

const schema = z.strictObject(reduceOnPlateauOptions)
const stateSchema = z.strictObject({ ...monitorState, waited: z.int().min(0), cooling: z.int().min(0) })

export interface ReduceOnPlateauOptions extends MonitorOptions {
  /** What is left of the rate. Default 0.1. */
  readonly factor?: number | undefined
  /** How many epochs without a better value to wait before lowering the rate. Default 2. */
  readonly patience?: number | undefined
  /** Epochs after a change that are not counted. Default 0. */
  readonly cooldown?: number | undefined
  /** The rate is not lowered below this. Default 0. */
  readonly lowest?: number | undefined
}

/**
 * Multiplies the learning rate by `factor` when `monitor` has not become better for `patience` epochs. The later rates of a schedule change
 * too. Epochs count as in Keras's `ReduceLROnPlateau`.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, if the run does not measure `monitor`.
 *
 * @example
 * await model.fit(train, { validation, callbacks: [reduceOnPlateau({ monitor: 'val_auc', factor: 0.5 })] })
 */
export function reduceOnPlateau(options: ReduceOnPlateauOptions = {}): Callback {
  const parsed = parseOptions('reduceOnPlateau', schema, options)
  const { factor = 0.1, patience = 2, cooldown = 0, lowest = 0, ...watched } = parsed
  const monitor = new Monitor(watched)
  let [waited, cooling] = [0, 0]
  return {
    onStart(plan) {
      monitor.start(plan)
      waited = cooling = 0
    },
    onEpochEnd(record, control) {
      if (cooling > 0) {
        cooling -= 1
        waited = 0
      }
      if (monitor.improves(record)) {
        waited = 0
        return
      }
      if (cooling > 0) return
      waited += 1
      if (waited < patience) return
      const rate = control.learningRate()
      if (rate <= lowest) return
      control.learningRate(Math.max(rate * factor, lowest))
      waited = 0
      cooling = cooldown
    },
    state: () => ({ json: { ...monitor.state, waited, cooling } }),
    resume({ json }) {
      const state = keptState('reduceOnPlateau', stateSchema, json)
      monitor.resume(state)
      waited = state.waited
      cooling = state.cooling
    },
  }
}
