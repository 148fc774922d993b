// A configuration file: one JSON object with the words of the API. It names a model and how to train it, and may name the data, which the
// command line can give instead. Errors name the path of the key.

import { access, readFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { z } from 'zod'

import { parseBalancing } from '../balancing/registry.js'
import { describeValue, parseOptions } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import { parseSplit, type SplitOptions } from '../data/split.js'
import { type Feature, parseFeature } from '../features/spec/feature.js'
import { modelClasses } from '../model/classes.js'
import { tuneSettings } from '../model/tune.js'
import { parseOptimizer } from '../optimizers/optimizer.js'
import { parseTask, type Task } from '../tasks/task.js'
import type { CallbackLike } from '../training/callbacks.js'
import { checkpoint, checkpointOptions } from '../training/checkpoint.js'
import { earlyStopping, earlyStoppingOptions } from '../training/early-stopping.js'
import { epochLog, epochLogOptions } from '../training/epoch-log.js'
import { type FitOptions, type FitSettings, fitSettingsSchema, optimizersSchema } from '../training/options.js'
import { reduceOnPlateau, reduceOnPlateauOptions } from '../training/reduce-on-plateau.js'
import { tensorBoard, tensorBoardOptions } from '../training/tensor-board.js'
import { type JsonSource, parsedJson, placeOf, syntaxError } from './json-source.js'

type ClassName = keyof typeof modelClasses

const callbackSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('earlyStopping'), ...earlyStoppingOptions }),
  z.strictObject({ kind: z.literal('checkpoint'), ...checkpointOptions }),
  z.strictObject({ kind: z.literal('epochLog'), ...epochLogOptions }),
  z.strictObject({ kind: z.literal('reduceOnPlateau'), ...reduceOnPlateauOptions }),
  z.strictObject({ kind: z.literal('tensorBoard'), ...tensorBoardOptions }),
])

/** The options of `fit`, passed on unchanged, so that its own defaults apply. */
const fitSchema = fitSettingsSchema.partial().extend({
  optimizer: z.unknown().optional(),
  optimizers: optimizersSchema.default({}),
  callbacks: z.array(callbackSchema).default([]),
})

/** Other keys are the model's own options, which the model checks. */
const configSchema = z.looseObject({
  model: z.enum(Object.keys(modelClasses) as [ClassName, ...ClassName[]]),
  features: z.array(z.record(z.string(), z.unknown())).min(1),
  tasks: z.array(z.unknown()).min(1),
  data: z.string().min(1).optional(),
  csv: z.record(z.string(), z.unknown()).default({}),
  split: z.unknown().optional(),
  report: z.union([z.boolean(), z.string().min(1)]).optional(),
  fit: fitSchema.prefault({}),
  tune: z.strictObject(tuneSettings).optional(),
})

export interface Config {
  readonly model: ClassName
  /** All options of the model's constructor. */
  readonly options: { readonly features: readonly Feature[]; readonly tasks: readonly Task[]; readonly [option: string]: unknown }
  /** The file to train on. In a file, a path is relative to the folder of that file. */
  readonly data: string | undefined
  readonly csv: Readonly<Record<string, unknown>>
  readonly split: SplitOptions | undefined
  /** Where `multigate train` writes its report; false for none. */
  readonly report: string | boolean | undefined
  readonly fit: FitSettings & Pick<FitOptions, 'optimizer' | 'optimizers'> & { readonly callbacks: readonly CallbackLike[] }
  /** The search of `multigate tune`. Names of its space are paths of this configuration. */
  readonly tune: z.output<z.ZodObject<typeof tuneSettings>> | undefined
  /** The configuration as it is written, with the keys of the files that it extends. */
  readonly json: unknown
  /** Runs a check of the configuration. Its error then names the file and line. */
  readonly located: <Result>(check: () => Result) => Result
}

/**
 * Reads a configuration file. `"extends": "other.json"`, a path relative to its own folder, adds the keys of that file that this file
 * lacks.
 * @throws ERR_MULTIGATE_ARGUMENT naming the file and line, and the path of the key.
 */
export async function readConfig(path: string): Promise<Config> {
  const sources: JsonSource[] = []
  const json = await readExtended(resolve(path), sources)
  const located: Config['located'] = (check) => {
    try {
      return check()
    } catch (error) {
      throw error instanceof ArgumentError ? withPlace(error, sources) : error
    }
  }
  return { ...located(() => parseConfig(json)), json, located }
}

/** An error about a key, with the file and line where the key stands. */
function withPlace(error: ArgumentError, sources: readonly JsonSource[]): ArgumentError {
  const place = error.field === undefined ? undefined : placeOf(sources, error.field)
  if (place === undefined) return error
  return new ArgumentError(`${place.path}, line ${place.line}: ${error.message}`, { field: error.field, cause: error })
}

/** `sources`: every file read, each before the file it extends. */
async function readExtended(path: string, sources: JsonSource[]): Promise<unknown> {
  const json = withPath(path, await readJson(path, sources))
  if (typeof json !== 'object' || json === null || !('extends' in json)) return json
  const { extends: from, ...own } = json
  const base = resolve(dirname(path), parseOptions(`${path}: extends`, z.string().min(1), from))
  if (sources.some((source) => source.path === base)) {
    throw new ArgumentError(
      `config.extends: expected files that do not extend each other, found that ${path} extends ${describeValue(from)}, which extends it; remove one of the two`,
      { field: 'config.extends' },
    )
  }
  return { ...((await readExtended(base, sources)) as object), ...own }
}

/** A configuration whose data are found from any folder. */
function withPath(path: string, json: unknown): unknown {
  if (typeof json !== 'object' || json === null || !('data' in json) || typeof json.data !== 'string' || json.data === '')
    return json
  return { ...json, data: resolve(dirname(path), json.data) }
}

/** Names of the file that `train` reads if it is given none, the first one first. */
export const defaultConfigs = ['multigate.jsonc', 'multigate.json'] as const

/** The configuration in the working folder. @throws ERR_MULTIGATE_ARGUMENT if there is none. */
export async function defaultConfig(): Promise<string> {
  for (const name of defaultConfigs) {
    const found = await access(name).then(
      () => true,
      () => false,
    )
    if (found) return name
  }
  throw new ArgumentError(
    `config: expected a configuration file, found none given and no ${defaultConfigs.join(' or ')} in ${resolve()}; name a file or make one of these`,
    { field: 'config' },
  )
}

/** The name of a configuration without its ending. */
export function nameOfConfig(path: string): string {
  return basename(path).replace(/\.jsonc?$/i, '')
}

/** Checks a configuration. @throws ERR_MULTIGATE_ARGUMENT naming the path of the key: `config.fit.epochs`. */
export function parseConfig(json: unknown): Omit<Config, 'located' | 'json'> {
  const { model, features, tasks, data, csv, split, report, fit, tune, ...own } = parseOptions('config', configSchema, json)
  const { optimizer, optimizers, callbacks, ...settings } = fit
  if (settings.balance !== undefined) parseBalancing(settings.balance, 'config.fit.balance')
  const optimizerOf = (value: unknown, name: string) => parseOptimizer(value, `config.fit.${name}`)
  return {
    model,
    options: {
      ...own,
      features: features.flatMap((feature, index) => featuresOf(feature, `config.features[${index}]`)),
      tasks: tasks.map((task, index) => parseTask(task, `config.tasks[${index}]`)),
    },
    data,
    csv,
    split: split === undefined ? undefined : parseSplit(split, 'config.split'),
    report,
    tune,
    fit: {
      ...settings,
      optimizer: optimizer === undefined ? undefined : optimizerOf(optimizer, 'optimizer'),
      optimizers: Object.fromEntries(
        Object.entries(optimizers).map(([group, value]) => [group, optimizerOf(value, `optimizers.${group}`)]),
      ),
      callbacks: callbacks.map(callbackOf),
    },
  }
}

/** One feature, or one per name in `names`, equal in everything else. */
function featuresOf({ names, ...feature }: Readonly<Record<string, unknown>>, what: string): Feature[] {
  if (names === undefined) return [parseFeature(feature, what)]
  const list = parseOptions(`${what}.names`, z.array(z.string().min(1)).min(1), names)
  return list.map((name) => parseFeature({ ...feature, name }, what))
}

const callbacks = { earlyStopping, checkpoint, epochLog, reduceOnPlateau, tensorBoard } as const

function callbackOf({ kind, ...options }: z.output<typeof callbackSchema>): CallbackLike {
  return callbacks[kind](options as never)
}

/** A configuration as it is written, with other values at some paths, such as `fit.batchSize` or `features.0.dim`. */
export function withValues(json: unknown, values: Readonly<Record<string, unknown>>): unknown {
  const copy: unknown = structuredClone(json)
  for (const [path, value] of Object.entries(values)) setAt(copy, path, value)
  return copy
}

function setAt(json: unknown, path: string, value: unknown): void {
  const keys = path.split('.')
  let place = json as Record<string, unknown>
  for (const [index, key] of keys.entries()) {
    const last = index === keys.length - 1
    if (!last && place[key] === undefined) place[key] = {}
    const inner = last ? place : place[key]
    if (typeof inner !== 'object' || inner === null || key === '__proto__') {
      const field = `config.tune.space.${path}`
      throw new ArgumentError(`${field}: expected the path of an option, found that '${key}' has none inside`, { field })
    }
    if (last) place[key] = value
    else place = inner as Record<string, unknown>
  }
}

/** The object without keys whose value is undefined. */
export function defined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T
}

async function readJson(path: string, sources: JsonSource[]): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new ArgumentError(`config: cannot read ${describeValue(path)}: ${messageOf(cause)}`, { field: 'config', cause })
  }
  const source = { path, text }
  sources.push(source)
  const problem = syntaxError(source)
  if (problem !== undefined) {
    throw new ArgumentError(`config: ${path} is not JSON: line ${problem.line}, column ${problem.column}: ${problem.what}`, {
      field: 'config',
    })
  }
  return parsedJson(source)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
