// Checkpoints: writes the model, and what resuming needs, after every epoch or after those that are the best so far.

import type { Callback } from './callbacks.js'
import { Monitor, type MonitorOptions } from './monitor.js'

export interface CheckpointOptions extends MonitorOptions {
  /** The file; `{epoch}` in it becomes the epoch's number. It is replaced whole or not at all. */
  readonly path: string
  /** Writes only where this has become better. Default: after every epoch. */
  readonly monitor?: string
}

/**
 * Saves the model during `fit`, with the optimizer's state, so that `fit` can be resumed from the file.
 *
 * @example
 * checkpoint({ path: 'last.safetensors' })
 * checkpoint({ path: 'best.safetensors', monitor: 'val_auc' })
 */
export function checkpoint({ path, ...options }: CheckpointOptions): Callback {
  const monitor = options.monitor === undefined ? undefined : new Monitor(options)
  return {
    onStart(plan) {
      monitor?.start(plan)
    },
    async onEpochEnd(record, control) {
      if (monitor !== undefined && !monitor.improves(record)) return
      await control.save(path.replaceAll('{epoch}', String(record.epoch)))
    },
    state: () => (monitor === undefined ? undefined : { json: monitor.best ?? null }),
    resume({ json }) {
      monitor?.resume(json)
    },
  }
}
