// Watching one number over the epochs: is this one the best so far? Shared by early stopping and checkpoints.

import { z } from 'zod'

import { ArgumentError } from '../core/errors.js'
import type { FitPlan } from './callbacks.js'
import { betterOf, type EpochRecord } from './history.js'

export interface MonitorOptions {
  /** `val_loss`, `val_<task>_<metric>`, `val_<metric>` (mean over tasks), `loss` or `<task>_loss`. */
  readonly monitor?: string | undefined
  /** Which way is better; `'auto'`, the default: down for losses, else the way that the metric says, such as down for errors. */
  readonly mode?: 'auto' | 'min' | 'max' | undefined
  /** A change that is not larger than this is none. Default 0. */
  readonly minDelta?: number | undefined
}

/** Their schema, to be spread into a callback's own. */
export const monitorOptions = {
  monitor: z.string().min(1).optional(),
  mode: z.enum(['auto', 'min', 'max']).optional(),
  minDelta: z.number().min(0).optional(),
}

/** What a monitor remembers, to be spread into a callback's own. */
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

  /** Begins anew. @throws ERR_MULTIGATE_ARGUMENT where the run will not have such a number. */
  start({ monitors }: FitPlan): void {
    this.best = undefined
    if (monitors.includes(this.name)) return
    throw new ArgumentError(
      `monitor: '${this.name}' is not measured in this run; measured: ${monitors.join(', ')}` +
        (this.name.startsWith('val_') && !monitors.includes('val_loss') ? '. fit was given no validation data' : ''),
      { field: 'monitor' },
    )
  }

  get state(): MonitorState {
    return { monitor: this.name, best: this.best ?? null }
  }

  /**
   * Goes on from a run that is resumed.
   * @throws ERR_MULTIGATE_ARGUMENT where that run watched another number: its best is none of this one's.
   */
  resume({ monitor, best }: MonitorState): void {
    if (monitor !== this.name) {
      const message = `fit.resume: the checkpoint's run had a callback that watches '${monitor}' here, this one watches '${this.name}'`
      throw new ArgumentError(message, { field: 'fit.resume' })
    }
    this.best = best ?? undefined
  }

  /** Takes an epoch in; whether it is the best so far. A number that is undefined, or not finite, is never better. */
  improves({ epoch, metrics }: EpochRecord): boolean {
    const value = metrics[this.name]
    if (value === undefined || !Number.isFinite(value)) return false
    if (this.best !== undefined && this.#sign * (value - this.best.value) <= this.#minDelta) return false
    this.best = { epoch, value }
    return true
  }
}

/**
 * What a callback has kept in a checkpoint.
 * @throws ERR_MULTIGATE_ARGUMENT where another kind of callback has kept it: states belong to places in the list.
 */
export function keptState<State>(callback: string, schema: z.ZodType<State>, json: unknown): State {
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const message =
    `fit.resume: expected what ${callback} keeps, found what another callback has kept; ` +
    "pass the callbacks of the checkpoint's run, in their order"
  throw new ArgumentError(message, { field: 'fit.resume', cause: result.error })
}
