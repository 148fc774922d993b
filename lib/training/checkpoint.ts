// Checkpoints: writes the model, and what resuming needs, after every epoch or after those that are the best so far.

import { dirname } from 'node:path'

import { checkWritable } from '../io/atomic.js'
import type { Callback } from './callbacks.js'
import { Monitor, type MonitorOptions } from './monitor.js'

export interface CheckpointOptions extends MonitorOptions {
  /** The file; `{epoch}` in it becomes the epoch's number. It is replaced whole or not at all. */
  readonly path: string
  /** Writes only where this has become better. Default: after every epoch. */
  readonly monitor?: string
}

const epochPlace = '{epoch}'

/**
 * Saves the model during `fit`, with the optimizer's state, so that `fit` can be resumed from the file.
 * @throws ERR_MULTIGATE_WRITE, before the first step, where the file cannot be written.
 *
 * @example
 * checkpoint({ path: 'last.safetensors' })
 * checkpoint({ path: 'best.safetensors', monitor: 'val_auc' })
 */
export function checkpoint({ path, ...options }: CheckpointOptions): Callback {
  const monitor = options.monitor === undefined ? undefined : new Monitor(options)
  return {
    async onStart(plan) {
      monitor?.start(plan)
      // Now, and not when the first epoch is over.
      if (!dirname(path).includes(epochPlace)) await checkWritable(path)
    },
    async onEpochEnd(record, control) {
      if (monitor !== undefined && !monitor.improves(record)) return
      await control.save(path.replaceAll(epochPlace, String(record.epoch)))
    },
    state: () => (monitor === undefined ? undefined : { json: monitor.best ?? null }),
    resume({ json }) {
      monitor?.resume(json)
    },
  }
}
