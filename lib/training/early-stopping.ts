// Early stopping: ends training when a number has stopped improving, and restores the best weights.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { Snapshot } from '../runtime/weights.js'
import type { Callback } from './callbacks.js'
import { keptState, Monitor, type MonitorOptions, monitorOptions, monitorState } from './monitor.js'

/** The schema of the options, also part of the configuration's schema. */
export const earlyStoppingOptions = {
  ...monitorOptions,
  patience: z.int().min(1).optional(),
  restoreBest: z.boolean().optional(),
}

const schema = z.strictObject(earlyStoppingOptions)
const stateSchema = z.strictObject({ ...monitorState, waited: z.int().min(0) })

export interface EarlyStoppingOptions extends MonitorOptions {
  /** How many epochs without a better value to wait before stopping. Default 3. */
  readonly patience?: number | undefined
  /** Restores the weights of the best epoch at the end, even if all epochs ran. Default true. */
  readonly restoreBest?: boolean | undefined
}

/**
 * Stops `fit` when `monitor` has not become better for `patience` epochs.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, if the run does not measure `monitor`.
 *
 * @example
 * await model.fit(train, { validation, callbacks: [earlyStopping({ monitor: 'val_auc', patience: 3 })] })
 */
export function earlyStopping(options: EarlyStoppingOptions = {}): Callback {
  const { patience = 3, restoreBest = true, ...watched } = parseOptions('earlyStopping', schema, options)
  const monitor = new Monitor(watched)
  let best: Snapshot | undefined
  let waited = 0
  return {
    onStart(plan) {
      monitor.start(plan)
      best = undefined
      waited = 0
    },
    async onEpochEnd(record, control) {
      if (monitor.improves(record)) {
        waited = 0
        if (restoreBest) best = await control.snapshot()
        return
      }
      waited += 1
      if (waited < patience) return
      const what = monitor.best === undefined ? 'has had no value' : 'has not become better'
      control.stop(`${monitor.name} ${what} for ${waited} ${waited === 1 ? 'epoch' : 'epochs'}`)
    },
    async onEnd(history, control) {
      if (best === undefined || monitor.best === undefined) return
      if (history.weightsEpoch !== monitor.best.epoch) await control.restore(best, monitor.best.epoch)
      best = undefined
    },
    onFailure() {
      best = undefined
    },
    state: () => ({ json: { ...monitor.state, waited }, weights: best }),
    resume({ json, weights }) {
      const state = keptState('earlyStopping', stateSchema, json)
      monitor.resume(state)
      waited = state.waited
      best = weights
    },
  }
}
