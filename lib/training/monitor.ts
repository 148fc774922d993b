// Watches one number over the epochs and tells whether it is the best so far. Early stopping and checkpoints share it.

import { z } from 'zod'

import { ArgumentError } from '../core/errors.js'
import { weightedMean } from '../metrics/weighted-mean.js'
import type { FitPlan } from './callbacks.js'
import { betterOf, type EpochRecord } from './history.js'

export interface MonitorOptions {
  /**
   * `val_loss`, `val_<task>_<metric>`, `val_<metric>` (mean over tasks), `val_score`, `loss` or `<task>_loss`. Or several of them with
   * weights above 0, such as `{ val_read_uauc: 4, val_like_uauc: 3 }`: their weighted mean, which has no value while one of them has none.
   */
  readonly monitor?: string | Readonly<Record<string, number>> | undefined
  /**
   * Which way is better. `'auto'` takes lower for losses and follows each metric's own direction; numbers that are watched together must
   * then have the same. Default `'auto'`.
   */
  readonly mode?: 'auto' | 'min' | 'max' | undefined
  /** An improvement must exceed this to count. Default 0. */
  readonly minDelta?: number | undefined
}

/** The schema of these options, part of a callback's own. */
export const monitorOptions = {
  monitor: z
    .union([
      z.string().min(1),
      z
        .record(z.string().min(1), z.number().positive())
        .refine((parts) => Object.keys(parts).length > 0, { error: 'expected at least one number to watch, found none' }),
    ])
    .optional(),
  mode: z.enum(['auto', 'min', 'max']).optional(),
  minDelta: z.number().min(0).optional(),
}

/** The schema of a monitor's state, part of a callback's own. */
export const monitorState = {
  monitor: z.string(),
  best: z.strictObject({ epoch: z.int(), value: z.number() }).nullable(),
}

type MonitorState = z.output<z.ZodObject<typeof monitorState>>

/** A number that is watched, and its weight among others. */
interface Part {
  readonly name: string
  readonly weight: number
}

export class Monitor {
  /** What is watched, for people and in checkpoints: `val_auc`, or `4 val_read_uauc + 3 val_like_uauc`. */
  readonly name: string
  /** The best value and its epoch; undefined before the first one. */
  best: { readonly epoch: number; readonly value: number } | undefined
  readonly #parts: readonly Part[]
  readonly #mode: NonNullable<MonitorOptions['mode']>
  readonly #minDelta: number

  constructor({ monitor = 'val_loss', mode = 'auto', minDelta = 0 }: MonitorOptions) {
    const weights = typeof monitor === 'string' ? { [monitor]: 1 } : monitor
    this.#parts = Object.entries(weights).map(([name, weight]) => ({ name, weight }))
    this.name = typeof monitor === 'string' ? monitor : this.#parts.map(({ name, weight }) => `${weight} ${name}`).join(' + ')
    this.#mode = mode
    this.#minDelta = minDelta
  }

  /** Begins anew. @throws ERR_MULTIGATE_ARGUMENT if the run will not measure these numbers, or if not all go the same way. */
  start({ monitors }: FitPlan): void {
    this.best = undefined
    const unknown = this.#parts.find(({ name }) => !monitors.includes(name))
    if (unknown !== undefined) {
      throw new ArgumentError(
        `monitor: expected a number that this run measures (${monitors.join(', ')}), found '${unknown.name}'` +
          (unknown.name.startsWith('val_') && !monitors.includes('val_loss') ? '; give fit validation data' : ''),
        { field: 'monitor' },
      )
    }
    const [first, ...others] = this.#parts
    const other = others.find(({ name }) => betterOf(name) !== betterOf(first?.name ?? ''))
    if (other === undefined || this.#mode !== 'auto') return
    throw new ArgumentError(
      `monitor: expected numbers that are better in the same direction, found '${first?.name}' beside '${other.name}'; watch one of them, or set mode`,
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
  improves(record: EpochRecord): boolean {
    const value = this.read(record)
    if (value === undefined) return false
    if (this.best !== undefined && !(this.gain(value, this.best.value) > this.#minDelta)) return false
    this.best = { epoch: record.epoch, value }
    return true
  }

  /** The value of an epoch; undefined if it has none, or is not finite. */
  read({ metrics }: EpochRecord): number | undefined {
    const parts = this.#parts.map(({ name, weight }) => ({ value: metrics[name] ?? NaN, weight }))
    // A single number is watched as it is, to the bit.
    const value = parts.length === 1 ? (parts[0]?.value ?? NaN) : weightedMean(parts)
    return Number.isFinite(value) ? value : undefined
  }

  /** How much better the first value is. */
  gain(value: number, other: number): number {
    const better = this.#mode === 'auto' ? betterOf(this.#parts[0]?.name ?? '') : this.#mode === 'max' ? 'higher' : 'lower'
    if (better === 'one') return Math.abs(other - 1) - Math.abs(value - 1)
    return better === 'higher' ? value - other : other - value
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
