// Going on from a checkpoint: the file must be of the same model, so that what follows is what would have followed.

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
import type { TrainingState } from '../training/state.js'

/** @throws ERR_MULTIGATE_ARGUMENT naming the first option, feature or task that is another in the file. */
export function checkSameModel(
  file: ModelFile,
  config: ModelConfig,
  features: readonly Feature[],
  definition: ModelDefinition<never>,
): void {
  // With defaults filled in on both sides: whether one is written out does not matter.
  const parse = (options: object): object => definition.parse(options as never)
  const theirs = {
    model: file.model,
    ...(file.model === config.model && file.check(() => parse(file.options))),
    features: file.encoder.encoders.map(({ feature }) => feature),
    tasks: file.tasks,
  }
  const ours = { model: config.model, ...parse(config.options), features, tasks: config.tasks }
  checkSame(plain(theirs), plain(ours), (name, found, expected) => {
    return `${file.path} was trained with ${name} ${found}, this model has ${expected}`
  })
}

/**
 * Every number of an optimizer gives its moments their meaning, but for the learning rate: that may be another from here on.
 * @throws ERR_MULTIGATE_ARGUMENT naming the first that is another in the file.
 */
export function checkSameOptimizer(file: ModelFile, { optimizer }: TrainingState, own: Optimizer): void {
  checkSame({ optimizer: ofMoments(optimizer) }, { optimizer: ofMoments(own) }, (name, found, expected) => {
    const next = "pass the optimizer of the checkpoint's run; its learningRate alone may be another"
    return `${file.path} was trained with ${name} ${found}, this fit has ${expected}; ${next}`
  })
}

/** Name and form first: other numbers follow from them. */
function ofMoments({ name, learningRate: _, ...numbers }: Optimizer): Fields {
  return { name, ...('form' in numbers && { form: numbers.form }), ...numbers }
}

/** What a run takes up. */
export function resumed(file: ModelFile, state: TrainingState, runner: NetworkRunner): Resumed {
  return { state, readMoments: (program: LoweredProgram) => file.readMoments(program, runner) }
}

type Fields = Readonly<Record<string, unknown>>

/** Objects and lists are gone into, so that the message names what differs. */
function checkSame(
  theirs: Fields,
  ours: Fields,
  message: (name: string, found: string, expected: string) => string,
  prefix = '',
): void {
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [found, expected] = [theirs[key], ours[key]]
    if (isDeepStrictEqual(found, expected)) continue
    const name = `${prefix}${key}`
    if (isFields(found) && isFields(expected)) checkSame(found, expected, message, `${name}.`)
    throw new ArgumentError(`fit.resume: ${message(name, describeValue(found), describeValue(expected))}`, {
      field: 'fit.resume',
    })
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

/** As it would be read from a file. */
function plain(value: object): Fields {
  return JSON.parse(JSON.stringify(value)) as Fields
}
