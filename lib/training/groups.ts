// Groups of weights in training: which ones stay as they are, and the optimizer and learning rate of the others. A group is named by its
// part of the model (`tower`), or by its task or feature as well (`tower.like`, `embedding.userid`). The longer name goes before.

import { isDeepStrictEqual } from 'node:util'

import { describeValue, invalidArgument } from '../core/check.js'
import { nearest } from '../core/did-you-mean.js'
import { ArgumentError } from '../core/errors.js'
import type { Table, Tensor } from '../core/layout.js'
import type { RateScalar } from '../core/program.js'
import type { Optimizer } from '../optimizers/optimizer.js'
import type { Training } from './step-program.js'

/** A part of a model, the tower of a task, or the embedding of a feature. */
export type WeightGroup = 'embedding' | 'bottom' | 'expert' | 'gate' | 'tower' | `embedding.${string}` | `tower.${string}`

const groupNames: readonly WeightGroup[] = ['embedding', 'bottom', 'expert', 'gate', 'tower']

/** Values by group. */
export type ByGroup<Value> = { readonly [Group in WeightGroup]?: Value | undefined }

/** How weights are trained. */
export interface GroupOptions {
  readonly optimizer: Optimizer
  /** Optimizers of groups. */
  readonly optimizers: ByGroup<Optimizer>
  /** Factors of the learning rates of groups. */
  readonly rates: ByGroup<number>
  /** Groups that stay as they are. */
  readonly freeze: readonly WeightGroup[]
}

/** A learning rate of a step: a multiple of an optimizer's. */
export interface RateSource {
  readonly optimizer: Optimizer
  readonly factor: number
}

export class Groups {
  readonly options: GroupOptions
  readonly #trainings: Training[] = []
  readonly #rates = new Map<RateScalar, RateSource>()

  constructor(options: GroupOptions) {
    this.options = options
    this.#trainingOf(options.optimizer, 1)
  }

  /** The rates that `of` has named, the optimizer's own first. */
  get rates(): ReadonlyMap<RateScalar, RateSource> {
    return this.#rates
  }

  /** How a tensor or a table is trained; null: it stays as it is. Equal answers are the same object. */
  readonly of = (weights: Tensor | Table): Training | null => {
    const names = namesOf(weights)
    const { optimizer, optimizers, rates, freeze } = this.options
    if (isTemperature(weights) || names.some((name) => freeze.includes(name))) return null
    const first = <Value>(values: ByGroup<Value>): Value | undefined => {
      const name = names.find((one) => values[one] !== undefined)
      return name && values[name]
    }
    return this.#trainingOf(first(optimizers) ?? optimizer, first(rates) ?? 1)
  }

  #trainingOf(wanted: Optimizer, factor: number): Training {
    const sources = [...this.#rates.values()]
    const optimizer = sources.find((source) => isDeepStrictEqual(source.optimizer, wanted))?.optimizer ?? wanted
    const known = sources.findIndex((source) => source.optimizer === optimizer && source.factor === factor)
    if (known >= 0) return this.#trainings[known] as Training
    const { length } = this.#trainings
    const training: Training = { optimizer, rate: length === 0 ? 'learningRate' : `learningRate:${length}` }
    this.#rates.set(training.rate, { optimizer, factor })
    this.#trainings.push(training)
    return training
  }
}

/** No optimizer trains a temperature. */
function isTemperature(weights: Tensor | Table): boolean {
  return 'group' in weights && weights.temperature !== undefined
}

/** The groups of a tensor or a table, the longest name first. */
function namesOf(weights: Tensor | Table): WeightGroup[] {
  if (!('group' in weights)) return [`embedding.${weights.name}`, 'embedding']
  const { group, task } = weights
  return group === 'tower' && task !== undefined ? [`tower.${task}`, group] : [group]
}

/** A model's features with an embedding, and its tasks. */
export interface Grouped {
  readonly embedded: readonly string[]
  readonly tasks: readonly string[]
}

/**
 * Checks that a model has the groups, and that each optimizer can train its own.
 * @throws ERR_MULTIGATE_ARGUMENT naming the field below `fit`.
 */
export function checkGroups({ optimizer, optimizers, rates, freeze }: GroupOptions, { embedded, tasks }: Grouped): void {
  const known: string[] = [
    ...groupNames,
    ...embedded.map((feature) => `embedding.${feature}`),
    ...tasks.map((task) => `tower.${task}`),
  ]
  const check = (field: string, name: string): void => {
    if (known.includes(name)) return
    const [nearby] = nearest(name, known, 1)
    const message = `expected a group of the model's weights (${known.join(', ')}), found ${describeValue(name)}`
    throw new ArgumentError(`fit.${field}: ${message}; did you mean '${nearby}'?`, { field: `fit.${field}` })
  }
  freeze.forEach((name, index) => {
    check(`freeze[${index}]`, name)
  })
  for (const name of Object.keys(rates)) check(`rates.${name}`, name)
  for (const name of Object.keys(optimizers)) check(`optimizers.${name}`, name)
  checkRows('optimizer', optimizer)
  for (const [name, own] of Object.entries(optimizers)) {
    if (name !== 'embedding' && !name.startsWith('embedding.')) checkRows(`optimizers.${name}`, own)
  }
}

/** Weights other than embeddings have no rows: a kernel's would be its inputs, and a bias has none. */
function checkRows(field: string, optimizer: Optimizer | undefined): void {
  if (optimizer?.name !== 'rowwiseAdagrad') return
  const next = 'pass it as optimizers: { embedding: rowwiseAdagrad() }, beside another optimizer for the other weights'
  throw invalidArgument(`fit.${field}`, 'an optimizer of single weights', optimizer.name, next)
}
