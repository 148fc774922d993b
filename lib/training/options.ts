// The options of `fit`: their types, and the schema that checks them. A new option is declared here, twice in sight of each other, and read
// where it is used: the command line takes its part of a configuration from here.

import { z } from 'zod'

import { describeValue } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { frozen, pathSchema } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type Dataset, isDataset } from '../data/dataset.js'
import type { DataPlacement } from '../native/binding.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import { type CallbackLike, hooks } from './callbacks.js'

/** The options of `fit` that are plain data: a configuration file may have them too. */
export interface FitSettings {
  /** Rows of a step. Default 1024. The last batch of an epoch may be smaller. */
  readonly batchSize?: number | undefined
  /** How often all rows are trained on. With `resume` the epochs of the checkpoint count too. Default 1. */
  readonly epochs?: number | undefined
  /** Whether every epoch has its rows in a new order, drawn from the model's seed; a second `fit` goes on drawing. Default true. */
  readonly shuffle?: boolean | undefined
  /**
   * Where the rows of `train` are kept for a GPU. `'device'`: all of them in its memory; ERR_MULTIGATE_OUT_OF_MEMORY where they do not
   * fit. `'host'`: in the host's memory, from where each batch is brought while the device works on the one before. `'auto'`: in the
   * device's memory where they take half of what is free at most. The results are the same to the bit. Default `'auto'`. On other devices
   * `'device'` is an error.
   */
  readonly dataPlacement?: DataPlacement | undefined
}

/** Options of `fit`. */
export interface FitOptions extends FitSettings {
  /** Rows that every epoch is measured on. Early stopping and `val_` monitors need them. Default none. */
  readonly validation?: Dataset | undefined
  /** The update rule and its learning rate. It starts anew with every `fit`. Default `adam()`. */
  readonly optimizer?: Optimizer | undefined
  /** What looks on and takes part, in this order. A function is called after every epoch. Default none. */
  readonly callbacks?: readonly CallbackLike[] | undefined
  /** An `AbortSignal`, looked at between two steps, of short ones ten times a second. The model keeps the weights of the last whole step. */
  readonly signal?: Signal | undefined
  /**
   * A file that a checkpoint of another `fit` has written. This `fit` goes on from there, on a model that is not built yet and has the same
   * options and optimizer; its learning rate alone may differ. Vocabularies, weights and the optimizer's state are the file's. Where the
   * file's epochs leave none of `epochs`, nothing is trained, and `progress` says so. With the same data and options the end is the same to
   * the bit as without the break.
   */
  readonly resume?: FilePath | undefined
}

const settings = {
  batchSize: z.int().min(1).default(1024),
  epochs: z.int().min(1).default(1),
  shuffle: z.boolean().default(true),
  dataPlacement: z.enum(['auto', 'device', 'host']).default('auto'),
} satisfies Readonly<Record<keyof FitSettings, z.ZodType>>

const signal = checkedBy<AbortSignal>(
  'an AbortSignal',
  (value) => isObject(value) && typeof value.aborted === 'boolean',
).optional()

/** Options of a call that computes. */
export const callSchema = z.strictObject({ signal })

/** The options of `fit` that are plain data. */
export const fitSettingsSchema = z.strictObject(settings)

/** All options of `fit`. The optimizer has a check of its own. */
export const fitSchema = z.strictObject({
  ...settings,
  validation: checkedBy<Dataset>('a Dataset', isDataset).optional(),
  optimizer: z.unknown().optional(),
  callbacks: frozen(z.array(checkedBy<CallbackLike>('a function, or an object of functions', isCallback))).default([]),
  signal,
  resume: pathSchema.optional(),
} satisfies Readonly<Record<keyof FitOptions, z.ZodType>>)

/** The plain options, each with its value. */
export type FitValues = z.output<typeof fitSettingsSchema>

function checkedBy<T>(expected: string, check: (value: unknown) => boolean): z.ZodType<T, T> {
  return z.custom<T>(check, { error: ({ input }) => `expected ${expected}, found ${describeValue(input)}` })
}

function isCallback(value: unknown): boolean {
  if (!isObject(value)) return typeof value === 'function'
  return hooks.every((hook) => value[hook] === undefined || typeof value[hook] === 'function')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
