// Learning rates that change from step to step, as plain data. A schedule is a function of the number of steps done, so it needs no state
// and a resumed run continues it exactly. A new one is an interface, a member of the union, and a row in each table.

import { z } from 'zod'

import { amount, float32 } from '../core/schemas.js'

interface Schedule {
  /** Size of a step when the schedule begins, after any warm-up. */
  readonly rate: number
  /**
   * Steps in which the rate first rises in a straight line: step k of them takes `rate` x k / `warmup`. The schedule begins after them.
   * Default 0. (Goyal et al., 2017)
   */
  readonly warmup?: number | undefined
}

interface Falling extends Schedule {
  /** The rate falls no lower. Default 0. */
  readonly end?: number | undefined
}

/** r(t) = rate. Useful with `warmup`. */
export interface ConstantSchedule extends Schedule {
  readonly schedule: 'constant'
}

/** r(t) = max(end, rate x factor^floor(t / every)). */
export interface StepSchedule extends Falling {
  readonly schedule: 'step'
  /** Steps between two changes. */
  readonly every: number
  /** Default 0.1. */
  readonly factor?: number | undefined
}

/** r(t) = max(end, rate x factor^(t / every)). */
export interface ExponentialSchedule extends Falling {
  readonly schedule: 'exponential'
  /** Steps in which the rate is multiplied by `factor` once. */
  readonly every: number
  readonly factor: number
}

/** r(t) = end + (rate - end) (1 - min(t, steps) / steps)^power. */
export interface PolynomialSchedule extends Falling {
  readonly schedule: 'polynomial'
  /** Steps to the end. Later ones take `end`. */
  readonly steps: number
  /** Default 1: a straight line. */
  readonly power?: number | undefined
}

/** r(t) = end + (rate - end) (1 + cos(pi min(t, steps) / steps)) / 2. */
export interface CosineSchedule extends Falling {
  readonly schedule: 'cosine'
  /** Steps to the end. Later ones take `end`. */
  readonly steps: number
}

/**
 * Cycles of a cosine (SGDR; Loshchilov and Hutter, 2017). Cycle i = 0, 1, ... has L = steps x growth^i steps. In its step u = 0, 1, ...:
 * r = end + (max(rate x decay^i, end) - end) (1 + cos(pi u / L)) / 2.
 */
export interface CosineRestartsSchedule extends Falling {
  readonly schedule: 'cosineRestarts'
  /** Steps of the first cycle. */
  readonly steps: number
  /** How much longer each cycle is than the one before. Default 1. */
  readonly growth?: number | undefined
  /** How much of the rate is left after each cycle. Default 1. */
  readonly decay?: number | undefined
}

/**
 * One rise and one fall (Smith and Topin, 2018), along cosines as in PyTorch: from `start` to `rate` in the first a = rise x steps - 1
 * steps, then to `end` at t = steps - 1. r(t) = from + (to - from) (1 - cos(pi s)) / 2, where s goes from 0 to 1 in each part. It has no
 * `warmup`: the rise is one.
 */
export interface OneCycleSchedule {
  readonly schedule: 'oneCycle'
  /** The largest rate. */
  readonly rate: number
  /** Steps of the cycle. Later ones take `end`. */
  readonly steps: number
  /** Share of the steps in which the rate rises. Default 0.3. */
  readonly rise?: number | undefined
  /** Default `rate` / 25. */
  readonly start?: number | undefined
  /** Default `start` / 10000. */
  readonly end?: number | undefined
}

/**
 * A rate by step. t counts the optimizer's steps before this one (and after the warm-up): the first has t = 0. Every `fit` counts anew;
 * a resumed one goes on.
 */
export type LearningRateSchedule =
  | ConstantSchedule
  | StepSchedule
  | ExponentialSchedule
  | PolynomialSchedule
  | CosineSchedule
  | CosineRestartsSchedule
  | OneCycleSchedule

/** One rate for all steps, or a schedule. */
export type LearningRate = number | LearningRateSchedule

/** A schedule with every number filled in. */
type Whole<One> = One extends object ? { readonly [Key in keyof One]-?: Exclude<One[Key], undefined> } : One

type Name = LearningRateSchedule['schedule']
type WholeSchedule<One extends Name = Name> = Whole<Extract<LearningRateSchedule, { schedule: One }>>

const positive = float32.gt(0)
const steps = z.int().min(1)
const begin = { rate: positive, warmup: z.int().min(0).default(0) }
const falling = { ...begin, end: amount.default(0) }
const oneCycle = {
  rate: positive,
  steps: z.int().min(2),
  rise: positive.lt(1).default(0.3),
  start: amount.optional(),
  end: amount.optional(),
}

const schemas = {
  constant: z.strictObject({ schedule: z.literal('constant'), ...begin }),
  step: z.strictObject({ schedule: z.literal('step'), ...falling, every: steps, factor: positive.max(1).default(0.1) }),
  exponential: z.strictObject({ schedule: z.literal('exponential'), ...falling, every: steps, factor: positive.max(1) }),
  polynomial: z.strictObject({ schedule: z.literal('polynomial'), ...falling, steps, power: positive.default(1) }),
  cosine: z.strictObject({ schedule: z.literal('cosine'), ...falling, steps }),
  cosineRestarts: z.strictObject({
    schedule: z.literal('cosineRestarts'),
    ...falling,
    steps,
    growth: float32.min(1).default(1),
    decay: positive.max(1).default(1),
  }),
  oneCycle: z.strictObject({ schedule: z.literal('oneCycle'), ...oneCycle }).transform(({ start, end, ...cycle }) => {
    const from = start ?? cycle.rate / 25
    return { ...cycle, start: from, end: end ?? from / 10_000 }
  }),
} satisfies { readonly [One in Name]: z.ZodType<WholeSchedule<One>, unknown> }

const { constant, step, exponential, polynomial, cosine, cosineRestarts } = schemas
const named = z.looseObject({ schedule: z.enum(Object.keys(schemas) as [Name, ...Name[]]) })
const scheduleSchema = named
  .pipe(z.discriminatedUnion('schedule', [constant, step, exponential, polynomial, cosine, cosineRestarts, schemas.oneCycle]))
  .superRefine((schedule, { issues }) => {
    if (!('end' in schedule) || schedule.end <= schedule.rate) return
    const message = `expected at most rate, ${schedule.rate}, found ${schedule.end}`
    issues.push({ code: 'custom', path: ['end'], message, input: schedule.end })
  })
  .overwrite((schedule) => Object.freeze(schedule))

/** A rate >= 0, or a schedule. */
export const learningRateSchema = z.union([amount, scheduleSchema])

/** The same for rules that divide by the rate. */
export const positiveRateSchema = z.union([
  positive,
  scheduleSchema.refine((schedule) => lowest(schedule) > 0, {
    path: ['end'],
    error: 'expected a number > 0, because this rule divides by the rate',
  }),
])

/** A bound below the rates of a schedule. */
function lowest(schedule: WholeSchedule): number {
  const lows = [schedule.rate, ...('end' in schedule ? [schedule.end] : []), ...('start' in schedule ? [schedule.start] : [])]
  return Math.min(...lows)
}

/** Rates by t, without warm-up. */
const rates: { readonly [One in Name]: (schedule: WholeSchedule<One>, t: number) => number } = {
  constant: ({ rate }) => rate,
  step: ({ rate, end, every, factor }, t) => Math.max(end, rate * factor ** Math.floor(t / every)),
  exponential: ({ rate, end, every, factor }, t) => Math.max(end, rate * factor ** (t / every)),
  polynomial: ({ rate, end, steps, power }, t) => end + (rate - end) * (1 - Math.min(t, steps) / steps) ** power,
  cosine: ({ rate, end, steps }, t) => along(rate, end, Math.min(t, steps) / steps),
  cosineRestarts({ rate, end, steps, growth, decay }, t) {
    const { cycle, share } = cycleAt(t / steps, growth)
    return along(Math.max(rate * decay ** cycle, end), end, share)
  },
  oneCycle({ rate, steps, rise, start, end }, t) {
    const [top, last] = [rise * steps - 1, steps - 1]
    if (t >= last) return end
    return t < top ? along(start, rate, t / top) : along(rate, end, (t - top) / (last - top))
  },
}

/** The cycle after `time` lengths of the first one, and the share of it that is over. */
function cycleAt(time: number, growth: number): { readonly cycle: number; readonly share: number } {
  if (growth === 1) return { cycle: Math.floor(time), share: time - Math.floor(time) }
  // Cycles before number i take (growth^i - 1) / (growth - 1). Rounding may put a first step into the cycle before.
  const before = (cycle: number): number => (growth ** cycle - 1) / (growth - 1)
  let cycle = Math.floor(Math.log1p(time * (growth - 1)) / Math.log(growth))
  if (before(cycle + 1) <= time) cycle += 1
  return { cycle, share: (time - before(cycle)) / growth ** cycle }
}

/** From one number to another along half a cosine; `share` goes from 0 to 1. */
function along(from: number, to: number, share: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2
}

/** The rate of the step that follows `done` steps. */
export function rateAfter(learningRate: LearningRate, done: number): number {
  if (typeof learningRate === 'number') return learningRate
  const schedule = learningRate as WholeSchedule
  const warmup = 'warmup' in schedule ? schedule.warmup : 0
  if (done < warmup) return schedule.rate * ((done + 1) / warmup)
  const rate = rates[schedule.schedule] as (schedule: WholeSchedule, t: number) => number
  return rate(schedule, done - warmup)
}
