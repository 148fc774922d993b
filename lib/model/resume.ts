// Resumes from a checkpoint. The file must be of the same model, so that training continues exactly as it would have.

import { isDeepStrictEqual } from 'node:util'

import { describeValue } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { Feature } from '../features/spec/feature.js'
import type { ModelConfig } from '../files/format.js'
import type { ModelFile } from '../files/read.js'
import type { ModelDefinition } from '../models/definition.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { NetworkRunner } from '../runtime/runner.js'
import type { Resumed } from '../training/fit.js'
import type { GroupOptions } from '../training/groups.js'
import type { TrainingState } from '../training/state.js'

/** @throws ERR_MULTIGATE_ARGUMENT naming the first option, feature or task that differs from the file. */
export function checkSameModel(
  file: ModelFile,
  config: ModelConfig,
  features: readonly Feature[],
  definition: ModelDefinition<never>,
): void {
  // Both sides have their defaults filled in, so a default that is written out makes no difference.
  const parse = (options: object): object => definition.parse(options as never)
  const theirs = {
    model: file.model,
    ...(file.model === config.model && file.check(() => parse(file.options))),
    features: file.encoder.encoders.map(({ feature }) => feature),
    tasks: file.tasks,
  }
  const ours = { model: config.model, ...parse(config.options), features, tasks: config.tasks }
  checkSame(plain(theirs), plain(ours), (name, expected, found) => {
    return `expected ${name} ${expected}, as in ${file.path}, found ${found} in this model; make the model with the checkpoint's options`
  })
}

/**
 * The optimizers' moments depend on all their numbers except the learning rates, which may change, and on the groups of weights.
 * @throws ERR_MULTIGATE_ARGUMENT naming the first number that differs from the file.
 */
export function checkSameOptimizer(file: ModelFile, training: TrainingState, own: GroupOptions): void {
  checkSame(trainedBy(training), trainedBy(own), (name, expected, found) => {
    const next = "pass the optimizers and frozen groups of the checkpoint's run; only learning rates may differ"
    return `expected ${name} ${expected}, as in ${file.path}, found ${found} in this fit; ${next}`
  })
}

function trainedBy({ optimizer, optimizers, freeze }: Omit<GroupOptions, 'rates'>): Fields {
  const groups = Object.entries(optimizers).map(([group, one]) => [group, one && ofMoments(one)])
  return { optimizer: ofMoments(optimizer), optimizers: Object.fromEntries(groups), freeze: [...new Set(freeze)].sort() }
}

/** Compare name and form first: other numbers depend on them. */
function ofMoments({ name, learningRate: _, ...numbers }: Optimizer): Fields {
  return { name, ...('form' in numbers && { form: numbers.form }), ...numbers }
}

/** What a resumed run starts from. */
export function resumed(file: ModelFile, state: TrainingState, runner: NetworkRunner): Resumed {
  return { state, readMoments: (program: LoweredProgram) => file.readMoments(program, runner) }
}

type Fields = Readonly<Record<string, unknown>>

/** Compares inside objects and lists, so that the message names the exact difference. */
function checkSame(
  theirs: Fields,
  ours: Fields,
  message: (name: string, expected: string, found: string) => string,
  prefix = '',
): void {
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [expected, found] = [theirs[key], ours[key]]
    if (isDeepStrictEqual(expected, found)) continue
    const name = `${prefix}${key}`
    if (isFields(expected) && isFields(found)) checkSame(expected, found, message, `${name}.`)
    throw new ArgumentError(`fit.resume: ${message(name, describeValue(expected), describeValue(found))}`, {
      field: 'fit.resume',
    })
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

/** The value as a file would give it back. */
function plain(value: object): Fields {
  return JSON.parse(JSON.stringify(value)) as Fields
}
