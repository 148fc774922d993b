// Early stopping: ends training when a number has not become better for a while, and takes the best weights back.

import { z } from 'zod'

import { checkInteger } from '../core/check.js'
import type { Callback } from './callbacks.js'
import type { Snapshot } from './memories.js'
import { Monitor, type MonitorOptions } from './monitor.js'

const stateSchema = z.strictObject({ best: z.unknown(), waited: z.int().min(0) })

export interface EarlyStoppingOptions extends MonitorOptions {
  /** Epochs without a better value before it stops. Default 3. */
  readonly patience?: number
  /** Ends with the weights of the best epoch, also where all epochs were run. Default true. */
  readonly restoreBest?: boolean
}

/**
 * Stops `fit` when `monitor` has not become better for `patience` epochs.
 *
 * @example
 * await model.fit(train, { validation, callbacks: [earlyStopping({ monitor: 'val_auc', patience: 3 })] })
 */
export function earlyStopping({ patience = 3, restoreBest = true, ...options }: EarlyStoppingOptions = {}): Callback {
  checkInteger('patience', patience, { min: 1 })
  const monitor = new Monitor(options)
  let best: Snapshot | undefined
  let waited = 0
  return {
    onStart(plan) {
      monitor.start(plan)
      best = undefined
      waited = 0
    },
    async onEpoch(record, control) {
      if (monitor.improves(record)) {
        waited = 0
        if (restoreBest) best = await control.snapshot()
        return
      }
      waited += 1
      if (waited < patience) return
      control.stop(`${monitor.name} has not become better for ${waited} ${waited === 1 ? 'epoch' : 'epochs'}`)
    },
    async onEnd(history, control) {
      if (best === undefined || monitor.best === undefined) return
      if (history.weightsOf !== monitor.best.epoch) await control.restore(best, monitor.best.epoch)
      best = undefined
    },
    onFailure() {
      best = undefined
    },
    state: () => ({ json: { best: monitor.best ?? null, waited }, weights: best }),
    resume({ json, weights }) {
      const state = stateSchema.parse(json)
      monitor.resume(state.best)
      waited = state.waited
      best = weights
    },
  }
}
