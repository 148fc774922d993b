// Watches one number over the epochs and tells whether it is the best so far. Early stopping and checkpoints share it.

import { z } from 'zod'

import { ArgumentError } from '../core/errors.js'
import type { FitPlan } from './callbacks.js'
import { betterOf, type EpochRecord } from './history.js'

export interface MonitorOptions {
  /** `val_loss`, `val_<task>_<metric>`, `val_<metric>` (mean over tasks), `loss` or `<task>_loss`. */
  readonly monitor?: string | undefined
  /** Which way is better. `'auto'` takes lower for losses and follows each metric's own direction. Default `'auto'`. */
  readonly mode?: 'auto' | 'min' | 'max' | undefined
  /** An improvement must exceed this to count. Default 0. */
  readonly minDelta?: number | undefined
}

/** The schema of these options, part of a callback's own. */
export const monitorOptions = {
  monitor: z.string().min(1).optional(),
  mode: z.enum(['auto', 'min', 'max']).optional(),
  minDelta: z.number().min(0).optional(),
}

/** The schema of a monitor's state, part of a callback's own. */
export const monitorState = {
  monitor: z.string(),
  best: z.strictObject({ epoch: z.int(), value: z.number() }).nullable(),
}

type MonitorState = z.output<z.ZodObject<typeof monitorState>>

export class Monitor {
  readonly name: string
  /** The best value and its epoch; undefined before the first one. */
  best: { readonly epoch: number; readonly value: number } | undefined
  readonly #sign: 1 | -1
  readonly #minDelta: number

  constructor({ monitor = 'val_loss', mode = 'auto', minDelta = 0 }: MonitorOptions) {
    this.name = monitor
    this.#sign = (mode === 'auto' ? betterOf(monitor) === 'higher' : mode === 'max') ? 1 : -1
    this.#minDelta = minDelta
  }

  /** Begins anew. @throws ERR_MULTIGATE_ARGUMENT if the run will not measure this number. */
  start({ monitors }: FitPlan): void {
    this.best = undefined
    if (monitors.includes(this.name)) return
    throw new ArgumentError(
      `monitor: expected a number that this run measures (${monitors.join(', ')}), found '${this.name}'` +
        (this.name.startsWith('val_') && !monitors.includes('val_loss') ? '; give fit validation data' : ''),
      { field: 'monitor' },
    )
  }

  get state(): MonitorState {
    return { monitor: this.name, best: this.best ?? null }
  }

  /**
   * Restores the state of the run that is resumed.
   * @throws ERR_MULTIGATE_ARGUMENT if that run watched another number, whose best value means nothing here.
   */
  resume({ monitor, best }: MonitorState): void {
    if (monitor !== this.name) {
      const message =
        `fit.resume: expected a callback that watches '${monitor}' at this place, as in the checkpoint's run, found '${this.name}'; ` +
        "pass the callbacks of the checkpoint's run, in their order"
      throw new ArgumentError(message, { field: 'fit.resume' })
    }
    this.best = best ?? undefined
  }

  /** Records an epoch and returns whether it is the best so far. An undefined or non-finite number is never better. */
  improves({ epoch, metrics }: EpochRecord): boolean {
    const value = metrics[this.name]
    if (value === undefined || !Number.isFinite(value)) return false
    if (this.best !== undefined && this.#sign * (value - this.best.value) <= this.#minDelta) return false
    this.best = { epoch, value }
    return true
  }
}

/**
 * The state that a callback kept in a checkpoint.
 * @throws ERR_MULTIGATE_ARGUMENT if another kind of callback kept it. States belong to places in the list.
 */
export function keptState<State>(callback: string, schema: z.ZodType<State>, json: unknown): State {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const message =
    `fit.resume: expected the state of ${callback}, found that of another callback; ` +
    "pass the callbacks of the checkpoint's run, in their order"
  throw new ArgumentError(message, { field: 'fit.resume', cause: result.error })
}
