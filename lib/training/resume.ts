// Going on from a checkpoint: the file must be of the same model, so that what follows is what would have followed.

import { isDeepStrictEqual } from 'node:util'

import { describeValue } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { LoweredProgram } from '../core/program.js'
import type { Feature } from '../features/feature.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { Resumed } from './fit.js'
import type { ModelFile } from './model-file.js'
import type { NetworkRunner } from './network-runner.js'
import type { ModelConfig } from './save.js'
import type { TrainingState } from './training-state.js'

/** @throws ERR_MULTIGATE_ARGUMENT naming the first option, feature or task that is another in the file. */
export function checkSameModel(file: ModelFile, config: ModelConfig, features: readonly Feature[]): void {
  const theirs = {
    model: file.model,
    ...file.options,
    features: file.encoder.encoders.map(({ feature }) => feature),
    tasks: file.tasks,
  }
  const ours = { model: config.model, ...config.options, features, tasks: config.tasks }
  checkSame(file.path, '', plain(theirs), plain(ours))
}

/** @throws ERR_MULTIGATE_ARGUMENT where the moments in the file are another optimizer's. */
export function checkSameOptimizer(file: ModelFile, { optimizer }: TrainingState, own: Optimizer): void {
  checkSame(file.path, 'optimizer.', { name: optimizer.name }, { name: own.name })
}

/** What a run takes up. */
export function resumed(file: ModelFile, state: TrainingState, runner: NetworkRunner): Resumed {
  return { state, readMoments: (program: LoweredProgram) => file.readMoments(program, runner) }
}

type Fields = Readonly<Record<string, unknown>>

/** Objects and lists are gone into, so that the message names what differs. */
function checkSame(path: string, prefix: string, theirs: Fields, ours: Fields): void {
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [found, expected] = [theirs[key], ours[key]]
    if (isDeepStrictEqual(found, expected)) continue
    const name = `${prefix}${key}`
    if (isFields(found) && isFields(expected)) checkSame(path, `${name}.`, found, expected)
    const message = `fit.resume: ${path} was trained with ${name} ${describeValue(found)}, this model has ${describeValue(expected)}`
    throw new ArgumentError(message, { field: 'fit.resume' })
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

/** As it would be read from a file. */
function plain(value: object): Fields {
  return JSON.parse(JSON.stringify(value)) as Fields
}
