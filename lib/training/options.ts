// The options of `fit`: their types, and the schema that checks them. Declare a new option in both places below, and read it where it is
// used. The command line takes its part of a configuration from here.

import { z } from 'zod'

import type { BalanceOptions } from '../balancing/registry.js'
import { describeValue } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { amount, frozen, pathSchema } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type Dataset, isDataset } from '../data/dataset.js'
import type { DataPlacement } from '../native/binding.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import { type MeasuringOptions, measuringOptions } from '../runtime/measuring.js'
import { isStream, type RowStream } from '../runtime/parts.js'
import { type CallbackLike, hooks } from './callbacks.js'
import type { ByGroup, WeightGroup } from './groups.js'
import { type GrowOptions, growSchema } from './growth.js'
import type { EmaOptions } from './weight-average.js'

/** How gradients are limited. */
export interface ClipOptions {
  /**
   * The largest size of an element: each becomes min(value, max(-value, g)). In a table, g is the sum over all ids of a row that are equal.
   * g includes penalties. Above 0. Default: any size.
   */
  readonly value?: number | undefined
  /**
   * The largest length (L2 norm) of the whole gradient: all of it is multiplied by min(1, norm / length). The length counts every weight that
   * is trained, penalties included; in a table, the sums over equal ids. Above 0, and not beside `value`. Default: any length.
   */
  readonly norm?: number | undefined
  /**
   * The largest length of each task's gradient of the shared dense parameters, before the tasks are added: its whole gradient is multiplied by
   * min(1, taskNorm / length). The task's own weight is in it; what `balance` makes of the tasks comes after. Not beside a `balance` on the
   * representation, nor `trainingMetrics`. Above 0. Default: any length.
   */
  readonly taskNorm?: number | undefined
}

/** How `fit` reads rows that come in parts. */
export interface StreamOptions {
  /**
   * Bytes of encoded rows in memory, in two shards: one to train on, and one that is read meanwhile. Rows are shuffled within a shard, so
   * more memory shuffles better. Default 256 MiB. Results depend on it, unless all rows fit in half of it.
   */
  readonly memory?: number | undefined
  /**
   * The folder of the scratch file with all encoded rows, 4 bytes a number. Default: the temporary folder of the system, or `/var/tmp` if
   * that is in memory.
   */
  readonly scratch?: FilePath | undefined
}

/** How negative rows are left out of training. */
export interface SampleNegativesOptions {
  /** Columns that together tell rows apart, such as those of a user and an item. A hash of their values decides. */
  readonly by: string | readonly string[]
  /** An integer in [0, 2^32): other seeds keep other rows. Default 0. */
  readonly seed?: number | undefined
}

/** The options of `fit` that are plain data, those of measuring for the validation rows. A configuration file may have them too. */
export interface FitSettings extends MeasuringOptions {
  /** Rows per step. Default 1024. The last batch of an epoch may be smaller. */
  readonly batchSize?: number | undefined
  /** How many times to train on all rows. With `resume`, the epochs of the checkpoint count too. Default 1. */
  readonly epochs?: number | undefined
  /** Whether to shuffle the rows in every epoch. The model's seed gives the orders; a second `fit` draws further ones. Default true. */
  readonly shuffle?: boolean | undefined
  /**
   * Where the rows of `train` are kept for a GPU. `'device'`: all in its memory, with ERR_MULTIGATE_OUT_OF_MEMORY if they do not fit.
   * `'host'`: in the host's memory; each batch is copied while the device works on the one before. `'auto'`: in the device's memory if
   * they take at most half of what is free. Results are the same to the bit. Default `'auto'`. On other devices `'device'` is an error.
   */
  readonly dataPlacement?: DataPlacement | undefined
  /**
   * How the tasks' gradients are weighed against each other: `'uncertainty'`, `{ method: 'cagrad', c: 0.4 }` and so on; docs/balancing.md
   * lists the methods. They start from the tasks' own weights. Default `'fixed'`: these weights alone.
   */
  readonly balance?: BalanceOptions | undefined
  /**
   * Also measures the metrics of tasks, but not those of groups, on the predictions made while training, each before the update of its step
   * and with dropout: `EpochRecord.training`, and the monitors `<metric>` and `<task>_<metric>`. It keeps the predictions of an epoch, and
   * each step is a run of its own, which makes steps of a few hundred rows slower. Not beside a `balance` on parameters. Default false.
   */
  readonly trainingMetrics?: boolean | undefined
  /**
   * Also measures after every epoch how the gates use the experts, on a fixed sample of at most 1024 training rows: `EpochRecord.gates`.
   * `progress` says what is wrong: a gate that uses one expert, an expert that no gate uses, two experts that do the same. It changes no bit
   * of the training. Default false.
   */
  readonly gateStatistics?: boolean | undefined
  /**
   * Groups of weights that stay as they are, to the bit: `'embedding'`, `'bottom'`, `'expert'`, `'gate'`, `'tower'`, the tower of a task
   * (`'tower.like'`) or the embedding of a feature (`'embedding.userid'`). They have no moments and take no penalty, and gradients that
   * only they would need are not computed. Default: none.
   */
  readonly freeze?: readonly WeightGroup[] | undefined
  /**
   * Factors of the learning rate by group, named as in `freeze`. The factor of a tower or a feature goes before that of its group. Above 0.
   * Default: 1 for all.
   */
  readonly rates?: ByGroup<number> | undefined
  /**
   * Leaves negative rows out of training, in every epoch the same ones: a binary task with `negativeRate: r` keeps a label 0 with probability
   * r, and its other labels. A label that is left out is as if it were missing, and rows without any label are dropped. All tasks share the
   * draw of a row. Vocabularies and means are those of all rows. Default: all rows train.
   */
  readonly sampleNegatives?: SampleNegativesOptions | undefined
  /** How rows are read that come in parts. A dataset does not need it. */
  readonly stream?: StreamOptions | undefined
  /** Limits gradients before the optimizers see them. Default: no limit. */
  readonly clip?: ClipOptions | undefined
  /**
   * Keeps an exponential moving average of the weights (Polyak and Juditsky, 1992). Validation, checkpoints, `control.snapshot` and the model
   * after `fit` have the averaged weights; the steps go on with their own. `control.restore` sets both. It takes as much memory again as the
   * weights. Default: no average.
   */
  readonly ema?: EmaOptions | undefined
  /**
   * Weights of tasks in the loss of this `fit`, in place of those of the tasks. A weight of 0 stops a task: freeze its tower too, so that
   * penalties and decay do not move it. Default: those of the tasks.
   */
  readonly taskWeights?: Readonly<Record<string, number>> | undefined
  /**
   * `'epoch'`: draws the embedding tables anew before every epoch but the first, moments included, while the dense weights go on. Large tables
   * overfit in their second epoch; tables drawn anew cannot (Liu et al., 2023, "Multi-Epoch learning for deep Click-Through Rate prediction
   * models"). Frozen tables stay. Rows of values that the training rows do not have are drawn anew too. Default: none is.
   */
  readonly resetEmbeddings?: 'epoch' | undefined
  /**
   * Lets fitted vocabularies take the values that are new in the training rows: of a model with weights, or with `from`. New values get rows
   * at the end of their table, drawn from the seed; old ones keep theirs. `minCount` counts the training rows of this `fit` alone. Given,
   * hashed and bucketed vocabularies stay. On a new model it begins to count days. Default false.
   */
  readonly grow?: boolean | GrowOptions | undefined
}

/** Options of `fit`. */
export interface FitOptions extends FitSettings {
  /**
   * Rows to measure after every epoch, a dataset or rows in parts, which are read once. Early stopping and `val_` monitors need them. Default:
   * none.
   */
  readonly validation?: Dataset | RowStream | undefined
  /** The update rule and its learning rate. Every `fit` starts it anew. Default `adam()`. */
  readonly optimizer?: Optimizer | undefined
  /** Other optimizers of groups of weights, named as in `freeze`, each with its own learning rate. Default: `optimizer` for all. */
  readonly optimizers?: ByGroup<Optimizer> | undefined
  /** Callbacks, called in this order. A plain function is called after every epoch. Default: none. */
  readonly callbacks?: readonly CallbackLike[] | undefined
  /** An `AbortSignal`, checked between steps, at most ten times a second. The model keeps the weights of the last whole step. */
  readonly signal?: Signal | undefined
  /**
   * A file that a checkpoint of another `fit` wrote. This `fit` continues from it. The model must be unbuilt and have the same options and
   * optimizer; only the learning rate may differ. Vocabularies, weights and the optimizer's state come from the file. If the file already
   * has all `epochs`, nothing is trained, and `progress` says so. With the same data and options the result equals that of an
   * uninterrupted run to the bit.
   */
  readonly resume?: FilePath | undefined
  /**
   * A model file or a checkpoint to train further on other rows. The model must be unbuilt and have the same options; dropout, penalties,
   * `lossReduction`, `sparseUpdate`, weights of tasks and `minCount` may differ. Weights and encoders come from the file. The optimizer goes on
   * from a checkpoint if it is the same apart from learning rates, and otherwise starts anew; `progress` says which. Epochs, callbacks and
   * `balance` begin anew.
   */
  readonly from?: FilePath | undefined
}

const settings = {
  batchSize: z.int().min(1).default(1024),
  epochs: z.int().min(1).default(1),
  shuffle: z.boolean().default(true),
  dataPlacement: z.enum(['auto', 'device', 'host']).default('auto'),
  freeze: frozen(z.array(z.string() as unknown as z.ZodType<WeightGroup, WeightGroup>)).default([]),
  rates: z.record(z.string(), amount.gt(0).optional()).default({}) as unknown as z.ZodType<ByGroup<number>>,
  sampleNegatives: z
    .strictObject({
      by: z
        .union([z.string().min(1), frozen(z.array(z.string().min(1)).min(1))])
        .transform((by) => (typeof by === 'string' ? [by] : by)),
      seed: z
        .int()
        .min(0)
        .max(2 ** 32 - 1)
        .default(0),
    })
    .optional(),
  stream: z
    .strictObject({
      memory: z
        .int()
        .min(1)
        .default(2 ** 28),
      scratch: pathSchema.optional(),
    })
    .prefault({}),
  clip: z
    .strictObject({ value: amount.gt(0).optional(), norm: amount.gt(0).optional(), taskNorm: amount.gt(0).optional() })
    .refine(({ value, norm }) => value === undefined || norm === undefined, {
      path: ['norm'],
      error: 'expected no norm beside value: limit the elements or the length, not both',
    })
    .default({}),
  ema: z.strictObject({ decay: z.number().gt(0).lt(1).default(0.999), warmup: z.boolean().default(true) }).optional(),
  taskWeights: z.record(z.string(), amount).default({}),
  resetEmbeddings: z.literal('epoch').optional(),
  grow: growSchema.default(false),
  balance: z.custom<BalanceOptions>(() => true).optional(),
  trainingMetrics: z.boolean().default(false),
  gateStatistics: z.boolean().default(false),
  ...measuringOptions,
} satisfies Readonly<Record<keyof FitSettings, z.ZodType>>

/** The schema of a `signal`. */
export const signalOption = checkedBy<Signal>(
  'an AbortSignal',
  (value) => isObject(value) && typeof value.aborted === 'boolean',
).optional()

/** Optimizers by group. `parseOptimizer` checks each. */
export const optimizersSchema = z.record(z.string(), z.unknown())

/** Options of a call that computes. */
export const callSchema = z.strictObject({ signal: signalOption })

/** Options of `evaluate`. */
export const evaluateSchema = callSchema.extend({
  ...measuringOptions,
  stream: z.strictObject({ scratch: pathSchema.optional() }).default({}),
})

/** The options of `fit` that are plain data. */
export const fitSettingsSchema = z.strictObject(settings)

/** All options of `fit`. `parseOptimizer` checks the optimizer. */
export const fitSchema = z.strictObject({
  ...settings,
  validation: checkedBy<Dataset | RowStream>(
    'a Dataset, or rows in parts',
    (value) => isDataset(value) || isStream(value),
  ).optional(),
  optimizer: z.unknown().optional(),
  optimizers: optimizersSchema.optional(),
  callbacks: frozen(z.array(checkedBy<CallbackLike>('a function, or an object of functions', isCallback))).default([]),
  signal: signalOption,
  resume: pathSchema.optional(),
  from: pathSchema.optional(),
} satisfies Readonly<Record<keyof FitOptions, z.ZodType>>)

/** The plain options, with defaults filled in. */
export type FitValues = z.output<typeof fitSettingsSchema>

function checkedBy<T>(expected: string, check: (value: unknown) => boolean): z.ZodType<T, T> {
  return z.custom<T>(check, { error: ({ input }) => `expected ${expected}, found ${describeValue(input)}` })
}

function isCallback(value: unknown): boolean {
  if (!isObject(value)) return typeof value === 'function'
  const { everySteps } = value
  if (everySteps !== undefined && !(Number.isInteger(everySteps) && (everySteps as number) >= 1)) return false
  return hooks.every((hook) => value[hook] === undefined || typeof value[hook] === 'function')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
