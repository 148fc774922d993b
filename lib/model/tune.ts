// Random search (Bergstra and Bengio 2012): draws settings, trains a model with each, and keeps the one with the best validation rows. A
// file of trials makes it resumable: choices follow from the seed alone, so a killed search loses only the trial that it was in.

import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'

import { describeValue, guarded, invalidArgument, parseOptions, wrongArgument } from '../core/check.js'
import { FormatError, MultigateError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import type { Signal } from '../core/slices.js'
import { type Dataset, isDataset } from '../data/dataset.js'
import { checkWritable, writeAtomically } from '../io/atomic.js'
import type { Evaluation } from '../runtime/evaluate.js'
import type { Callback, CallbackLike } from '../training/callbacks.js'
import { Monitor, type MonitorOptions, monitorOptions } from '../training/monitor.js'
import { type FitOptions, signalOption } from '../training/options.js'
import type { Model } from './model.js'
import { type ChoiceOf, choicesOf, type Space, spaceSchema } from './space.js'

/** A model, as far as a search needs it. */
export type TunedModel = Pick<Model, 'fit' | 'evaluate' | 'dispose'>

/** What a choice stands for. */
export interface Setting<Trained extends TunedModel = TunedModel> {
  /** A new model. The search disposes of it, unless it is the chosen one. */
  readonly model: Trained
  /** How to train it. The validation rows and the signal are those of the search. */
  readonly fit?: Omit<FitOptions, 'validation' | 'signal' | 'resume'> | undefined
}

export interface TuneOptions<Ranges extends Space = Space, Trained extends TunedModel = TunedModel>
  extends Pick<MonitorOptions, 'mode'> {
  readonly train: Dataset
  /** Rows to choose by. */
  readonly validation: Dataset
  /** Rows to measure the chosen model on, once, after all trials. Default: none. */
  readonly test?: Dataset | undefined
  /** What to choose from: a range per name, of `oneOf`, `uniform`, `logUniform` or `integers`. */
  readonly space: Ranges
  /** Makes the model of a choice. `trial` counts from 1. The same choice must make the same setting. */
  readonly create: (choice: ChoiceOf<Ranges>, trial: number) => Setting<Trained> | Promise<Setting<Trained>>
  /** How many choices to try; fewer if the space has fewer. */
  readonly trials: number
  /** Seed of the choices, an integer in [0, 2^53). The first choices do not depend on `trials`. Default 0. */
  readonly seed?: number | undefined
  /** The number to choose by, as early stopping watches it: at the epoch that the trial's weights come from. Default `'val_loss'`. */
  readonly monitor?: MonitorOptions['monitor']
  /** Path or `file:` URL of a file of trials, one JSON object a line. A search continues from it. Default: nothing is kept. */
  readonly path?: FilePath | undefined
  /**
   * Ends a trial after an epoch in which its best value so far is worse than the median of those of the trials before it at that epoch.
   * Begins after five trials, and in a trial after its second epoch: slow starts often end well. Default false.
   */
  readonly prune?: boolean | undefined
  /** Called after every trial, such as `tuneProgress()`. */
  readonly onTrial?: ((progress: TuneProgress) => unknown) | undefined
  /** An `AbortSignal`. The trials that are done stay in the file. */
  readonly signal?: Signal | undefined
}

/** A trial that is over. */
export interface Trial<Choice = Readonly<Record<string, unknown>>> {
  /** Number of the trial, from 1. */
  readonly trial: number
  readonly choice: Choice
  /** The number to choose by; null if the trial failed. */
  readonly value: number | null
  /** The epoch that `value` and the weights belong to. */
  readonly epoch: number | null
  /** The best value so far after every epoch; null before the first. */
  readonly curve: readonly (number | null)[]
  readonly seconds: number
  /** Why it failed: training diverged, memory ran out, or the number had no value. */
  readonly error?: string | undefined
}

/** Where a search is, after a trial. */
export interface TuneProgress<Choice = Readonly<Record<string, unknown>>> {
  readonly trial: Trial<Choice>
  /** How many trials there will be. */
  readonly trials: number
  /** The best trial so far; undefined if all have failed. */
  readonly best: Trial<Choice> | undefined
  /** What is watched. */
  readonly monitor: string
  /** An estimate, by the trials of this run. */
  readonly secondsLeft: number
}

/** What a search has found. */
export interface TuneResult<Choice = Readonly<Record<string, unknown>>, Trained extends TunedModel = TunedModel> {
  readonly trials: readonly Trial<Choice>[]
  readonly best: Trial<Choice>
  readonly monitor: string
  /** The model of the best trial, trained. The caller disposes of it. */
  readonly model: Trained
  /** Its measurements on the test rows, if there are any. */
  readonly test: Evaluation | undefined
}

const dataset = z.custom<Dataset>(isDataset, { error: ({ input }) => `expected a Dataset, found ${describeValue(input)}` })
const isFunction = (value: unknown): boolean => typeof value === 'function'
/** The options that are plain data. A configuration may have them too. */
export const tuneSettings = {
  space: spaceSchema,
  trials: z.int().min(1),
  seed: z.int().min(0).default(0),
  monitor: monitorOptions.monitor,
  mode: monitorOptions.mode,
  prune: z.boolean().default(false),
}

const schema = z.strictObject({
  ...tuneSettings,
  train: dataset,
  validation: dataset,
  test: dataset.optional(),
  create: z.custom<TuneOptions['create']>(isFunction, { error: 'expected a function of a choice' }),
  path: pathSchema.optional(),
  onTrial: z.custom<NonNullable<TuneOptions['onTrial']>>(isFunction, { error: 'expected a function' }).optional(),
  signal: signalOption,
})

type Parsed = z.output<typeof schema>

const trialSchema = z.strictObject({
  trial: z.int(),
  choice: z.record(z.string(), z.unknown()),
  value: z.number().nullable(),
  epoch: z.int().nullable(),
  curve: z.array(z.number().nullable()),
  seconds: z.number(),
  error: z.string().optional(),
})

/**
 * Tries settings that a seed draws from a space, and chooses by validation rows. The same seed, space and data give the same trials and the
 * same choice, in one run or in several. A trial that diverges is recorded and not chosen.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option, or for a file of another search; ERR_MULTIGATE_DIVERGED if all trials failed; what
 * `create` throws, and `fit` for other reasons.
 *
 * @example
 * const { best, model, test: measured } = await tune({
 *   train, validation, test, trials: 20, seed: 1, path: 'trials.jsonl', monitor: 'val_auc', onTrial: tuneProgress(),
 *   space: { units: oneOf(16, 32), rate: logUniform(1e-4, 1e-2) },
 *   create: ({ units, rate }) => ({
 *     model: new MMoE({ features, tasks, numExperts: 8, expertHiddenUnits: [units] }),
 *     fit: { epochs: 20, optimizer: adam({ learningRate: rate }), callbacks: [earlyStopping({ monitor: 'val_auc' })] },
 *   }),
 * })
 */
export async function tune<const Ranges extends Space, Trained extends TunedModel>(
  options: TuneOptions<Ranges, Trained>,
): Promise<TuneResult<ChoiceOf<Ranges>, Trained>> {
  const parsed = parseOptions('tune', schema, options as never)
  return (await new Search(parsed).run()) as unknown as TuneResult<ChoiceOf<Ranges>, Trained>
}

/** A model that a trial has trained. */
interface Held {
  readonly trial: Trial
  readonly setting: Setting
}

class Search {
  readonly #options: Parsed
  readonly #watched: MonitorOptions
  readonly #monitor: Monitor
  #trials: Trial[] = []
  /** The models of trials before. */
  readonly #used = new WeakSet<object>()

  constructor(options: Parsed) {
    this.#options = options
    this.#watched = { monitor: options.monitor, mode: options.mode }
    this.#monitor = new Monitor(this.#watched)
  }

  async run(): Promise<TuneResult> {
    const { space, trials, seed, path, onTrial, test, signal } = this.#options
    const choices = choicesOf(space, trials, seed)
    if (path !== undefined) this.#trials = await this.#read(path, choices)
    let held: Held | undefined
    let seconds = 0
    const begun = this.#trials.length
    try {
      for (const [index, choice] of choices.entries()) {
        if (index < begun) continue
        const done = await this.#try(choice, index + 1)
        this.#trials.push(done.trial)
        held = this.#keep(held, done)
        seconds += done.trial.seconds
        if (path !== undefined) await this.#write(path)
        const secondsLeft = (seconds / (index + 1 - begun)) * (choices.length - index - 1)
        const best = this.#best()
        await onTrial?.({ trial: done.trial, trials: choices.length, best, monitor: this.#monitor.name, secondsLeft })
      }
      const best = this.#best()
      if (best === undefined) throw this.#allFailed()
      // The best trial may be one of an earlier run. The same setting trains the same model again.
      held ??= await this.#try(best.choice, best.trial)
      const { model, fit: { groups, metrics, score } = {} } = held.setting
      const measured = test && (await model.evaluate(test, { groups, metrics, score, signal }))
      return { trials: this.#trials, best, monitor: this.#monitor.name, model, test: measured }
    } catch (error) {
      held?.setting.model.dispose()
      throw error
    }
  }

  /** Trains the model of a choice. */
  async #try(choice: Trial['choice'], number: number): Promise<Held> {
    const { create, train, validation, signal, prune } = this.#options
    const setting = checkSetting(await create(choice as never, number))
    if (this.#used.has(setting.model))
      throw invalidArgument('tune.create().model', 'a new model for each trial', 'the model of a trial before')
    this.#used.add(setting.model)
    const started = performance.now()
    const watch = new Watch(this.#watched, prune ? this.#trials.slice(0, number - 1).map(({ curve }) => curve) : [])
    const end = (value: number | null, epoch: number | null, error?: string): Held => {
      const seconds = (performance.now() - started) / 1000
      const outcome = { value, epoch, curve: watch.curve, seconds, ...(error !== undefined && { error }) }
      return { setting, trial: { trial: number, choice, ...outcome } }
    }
    try {
      const callbacks: readonly CallbackLike[] = [...(setting.fit?.callbacks ?? []), watch]
      const { epochs, weightsEpoch } = await setting.model.fit(train, { ...setting.fit, callbacks, validation, signal })
      const record = epochs.find(({ epoch }) => epoch === weightsEpoch)
      const value = record === undefined ? undefined : this.#monitor.read(record)
      if (value === undefined) return end(null, null, `${this.#monitor.name} has no value after epoch ${weightsEpoch}`)
      return end(value, weightsEpoch)
    } catch (error) {
      if (isFailure(error)) return end(null, null, error.message)
      setting.model.dispose()
      throw error
    }
  }

  /** Keeps the model of the best trial of all, and disposes of others. */
  #keep(held: Held | undefined, done: Held): Held | undefined {
    const best = this.#best()
    const kept = [held, done].find((one) => one !== undefined && one.trial === best)
    for (const one of [held, done]) if (one !== kept) one?.setting.model.dispose()
    return kept
  }

  #best(): Trial | undefined {
    let best: Trial | undefined
    for (const trial of this.#trials) {
      if (trial.value === null) continue
      if (best?.value == null || this.#monitor.gain(trial.value, best.value) > 0) best = trial
    }
    return best
  }

  #allFailed(): MultigateError {
    const last = this.#trials.at(-1)
    const message = `tune: all ${this.#trials.length} trials failed, the last one so: ${last?.error}; try lower learning rates`
    return new MultigateError('ERR_MULTIGATE_DIVERGED', message)
  }

  /** What makes two searches the same: the first line of the file. */
  #head(): object {
    const { space, seed, prune, train, validation, mode = 'auto' } = this.#options
    const rows = { train: train.rows, validation: validation.rows }
    return { search: { seed, space, monitor: this.#monitor.name, mode, prune, rows } }
  }

  async #write(path: string): Promise<void> {
    const lines = [this.#head(), ...this.#trials].map((line) => `${JSON.stringify(line)}\n`)
    await writeAtomically(path, (sink) => sink.write(new TextEncoder().encode(lines.join(''))))
  }

  /** The trials of a file. @throws ERR_MULTIGATE_ARGUMENT if it belongs to another search; ERR_MULTIGATE_FORMAT if it is damaged. */
  async #read(path: string, choices: readonly Trial['choice'][]): Promise<Trial[]> {
    await checkWritable(path)
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    const [head, ...lines] = text.split('\n').filter((line) => line !== '')
    if (head === undefined) return []
    if (!isDeepStrictEqual(parsedLine(path, head), JSON.parse(JSON.stringify(this.#head())))) {
      const next = 'pass the space, seed, monitor and data of that search, or another path'
      throw wrongArgument('tune.path', `expected a file of this search or none, found another one in ${path}; ${next}`)
    }
    const trials = lines.map((line, index) => {
      const result = trialSchema.safeParse(parsedLine(path, line))
      if (!result.success || result.data.trial !== index + 1) throw damaged(path)
      return result.data
    })
    if (trials.some(({ choice }, index) => index < choices.length && !isDeepStrictEqual(choice, choices[index])))
      throw damaged(path)
    return trials.slice(0, choices.length)
  }
}

/** Watches a trial: its best value after every epoch, and whether to end it. */
class Watch implements Callback {
  readonly curve: (number | null)[] = []
  readonly #monitor: Monitor
  readonly #others: readonly Trial['curve'][]

  constructor(watched: MonitorOptions, others: readonly Trial['curve'][]) {
    this.#monitor = new Monitor(watched)
    this.#others = others
  }

  onStart(plan: Parameters<NonNullable<Callback['onStart']>>[0]): void {
    this.#monitor.start(plan)
  }

  onEpochEnd(...[record, control]: Parameters<NonNullable<Callback['onEpochEnd']>>): void {
    this.#monitor.improves(record)
    const best = this.#monitor.best?.value ?? null
    this.curve.push(best)
    // A trial that ended before this epoch would have kept its best value.
    const others = this.#others.flatMap((curve) => curve[record.epoch - 1] ?? curve.at(-1) ?? [])
    if (record.epoch < firstCompared || others.length < fewestTrials || best === null) return
    const median = others.toSorted((a, b) => a - b)[others.length >> 1] ?? NaN
    if (this.#monitor.gain(median, best) > 0) control.stop('its values are worse than the median of the trials before it')
  }
}

/** How many trials there must be to compare with. */
const fewestTrials = 5

/** The first epoch that is compared. */
const firstCompared = 3

/** Whether a trial may end so without ending the search. */
function isFailure(error: unknown): error is MultigateError {
  return (
    error instanceof MultigateError && (error.code === 'ERR_MULTIGATE_DIVERGED' || error.code === 'ERR_MULTIGATE_OUT_OF_MEMORY')
  )
}

function checkSetting(setting: unknown): Setting {
  return guarded('tune.create', undefined, () => {
    const { model, fit } = (setting ?? {}) as Partial<Setting>
    if (typeof model?.fit !== 'function') throw invalidArgument('tune.create()', '{ model, fit }', setting)
    return { model, fit }
  })
}

function parsedLine(path: string, line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw damaged(path)
  }
}

function damaged(path: string): FormatError {
  return new FormatError(
    `${path}: expected the trials of a search, one JSON object a line, found something else; choose another path`,
    {
      file: path,
    },
  )
}
