// Checkpoints: writes the model and what resuming needs, after every epoch or after each new best epoch.

import { dirname } from 'node:path'

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { checkWritable } from '../io/atomic.js'
import type { Callback } from './callbacks.js'
import { keptState, Monitor, type MonitorOptions, monitorOptions, monitorState } from './monitor.js'

/** The schema of the options, also part of the configuration's schema. */
export const checkpointOptions = { ...monitorOptions, path: pathSchema }

const schema = z.strictObject(checkpointOptions)
const stateSchema = z.strictObject(monitorState)

export interface CheckpointOptions extends MonitorOptions {
  /** Path or `file:` URL of the file; `{epoch}` stands for the epoch's number. A write replaces the whole file or nothing. */
  readonly path: FilePath
  /** Writes only when this number has become better. Default: after every epoch. */
  readonly monitor?: MonitorOptions['monitor']
}

const epochPlace = '{epoch}'

/**
 * Saves the model and the optimizer's state during `fit`, so that `fit` can resume from the file.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, ERR_MULTIGATE_WRITE before the first step if the file cannot be
 * written.
 *
 * @example
 * checkpoint({ path: 'last.safetensors' })
 * checkpoint({ path: 'best.safetensors', monitor: 'val_auc' })
 */
export function checkpoint(options: CheckpointOptions): Callback {
  const { path, ...watched } = parseOptions('checkpoint', schema, options)
  const monitor = watched.monitor === undefined ? undefined : new Monitor(watched)
  return {
    async onStart(plan) {
      monitor?.start(plan)
      // Fail now, not after the first epoch.
      if (!dirname(path).includes(epochPlace)) await checkWritable(path)
    },
    async onEpochSettled(record, control) {
      if (monitor !== undefined && !monitor.improves(record)) return
      await control.save(path.replaceAll(epochPlace, String(record.epoch)))
    },
    state: () => monitor && { json: monitor.state },
    resume({ json }) {
      monitor?.resume(keptState('checkpoint', stateSchema, json))
    },
  }
}
