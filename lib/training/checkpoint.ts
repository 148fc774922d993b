// Checkpoints: writes the model and what resuming needs, after every epoch, after each new best epoch, or also every few steps.

import { dirname } from 'node:path'

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { checkWritable } from '../io/atomic.js'
import type { Callback, FitControl } from './callbacks.js'
import { keptState, Monitor, type MonitorOptions, monitorOptions, monitorState } from './monitor.js'

/** The schema of the options, also part of the configuration's schema. */
export const checkpointOptions = { ...monitorOptions, path: pathSchema, everySteps: z.int().min(1).optional() }

const schema = z
  .strictObject(checkpointOptions)
  .refine(({ monitor, everySteps }) => monitor === undefined || everySteps === undefined, {
    path: ['everySteps'],
    error: 'expected no number of steps beside a monitor, which has a value per epoch; use two checkpoints',
  })
const stateSchema = z.strictObject(monitorState)

export interface CheckpointOptions extends MonitorOptions {
  /** Path or `file:` URL of the file; `{epoch}` stands for the epoch's number. A write replaces the whole file or nothing. */
  readonly path: FilePath
  /** Writes only when this number has become better. Default: after every epoch. */
  readonly monitor?: MonitorOptions['monitor']
  /**
   * Writes after every so many steps too, so that `fit` can resume in the middle of an epoch. Not beside a `monitor` or `trainingMetrics`.
   * Default: after epochs alone.
   */
  readonly everySteps?: number | undefined
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
 * checkpoint({ path: 'last.safetensors', everySteps: 10_000 })
 */
export function checkpoint(options: CheckpointOptions): Callback {
  const { path, everySteps, ...watched } = parseOptions('checkpoint', schema, options)
  const monitor = watched.monitor === undefined ? undefined : new Monitor(watched)
  const save = (epoch: number, control: FitControl): Promise<void> => control.save(path.replaceAll(epochPlace, String(epoch)))
  return {
    everySteps,
    onSteps: ({ epoch }, control) => save(epoch, control),
    async onStart(plan) {
      monitor?.start(plan)
      // Fail now, not after the first epoch.
      if (!dirname(path).includes(epochPlace)) await checkWritable(path)
    },
    async onEpochSettled(record, control) {
      if (monitor !== undefined && !monitor.improves(record)) return
      await save(record.epoch, control)
    },
    state: () => monitor && { json: monitor.state },
    resume({ json }) {
      monitor?.resume(keptState('checkpoint', stateSchema, json))
    },
  }
}
