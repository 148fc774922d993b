// Watching one number over the epochs: is this one the best so far? Shared by early stopping and checkpoints.

import { z } from 'zod'

import { checkFailed } from '../core/check.js'
import type { RunPlan } from './callbacks.js'
import type { EpochRecord } from './history.js'

export interface MonitorOptions {
  /** `val_loss`, `val_<task>_<metric>`, `val_<metric>` (mean over tasks), `loss` or `<task>_loss`. */
  readonly monitor?: string
  /** Which way is better; `'auto'`: up for auc and accuracy, down for all else. */
  readonly mode?: 'auto' | 'min' | 'max'
  /** A smaller change than this is none. */
  readonly minDelta?: number
}

const bestSchema = z.strictObject({ epoch: z.int(), value: z.number() }).nullable()

export class Monitor {
  readonly name: string
  /** The best value and its epoch; undefined before the first one. */
  best: { readonly epoch: number; readonly value: number } | undefined
  readonly #sign: 1 | -1
  readonly #minDelta: number

  constructor({ monitor = 'val_loss', mode = 'auto', minDelta = 0 }: MonitorOptions) {
    this.name = monitor
    this.#sign = (mode === 'auto' ? direction(monitor) : mode) === 'max' ? 1 : -1
    this.#minDelta = minDelta
  }

  /** Begins anew. @throws ERR_MULTIGATE_OPTION where the run will not have such a number. */
  start({ monitors }: RunPlan): void {
    this.best = undefined
    if (monitors.includes(this.name)) return
    throw checkFailed(
      'ERR_MULTIGATE_OPTION',
      `monitor: '${this.name}' is not measured in this run; measured: ${monitors.join(', ')}` +
        (this.name.startsWith('val_') && !monitors.includes('val_loss') ? '. fit was given no validation data' : ''),
    )
  }

  /** Goes on from what `best` was in a run that is resumed. */
  resume(best: unknown): void {
    this.best = bestSchema.parse(best) ?? undefined
  }

  /** Takes an epoch in; whether it is the best so far. A number that is undefined is never better. */
  improves({ epoch, metrics }: EpochRecord): boolean {
    const value = metrics[this.name]
    if (value === undefined) return false
    if (this.best !== undefined && this.#sign * (value - this.best.value) <= this.#minDelta) return false
    this.best = { epoch, value }
    return true
  }
}

function direction(monitor: string): 'min' | 'max' {
  return /(^|_)(auc|accuracy)$/.test(monitor) ? 'max' : 'min'
}
