// The program of a training step: the network's own part (`Network.rows`), then the update of its weights. Penalties, optimizers and the
// way tables update belong to the step alone; a network is lowered without them.

import type { ParameterGroup, Table, Tensor } from '../core/layout.js'
import { type LoweredProgram, ProgramBuilder, type RateScalar } from '../core/program.js'
import {
  type GradientLimits,
  type MomentNumber,
  type OptimizerRule,
  type Penalty,
  type UpdateInputs,
  type UpdateRule,
  updateFields,
  updateRule,
} from '../layers/update.js'
import type { Network, TableGradient } from '../models/network.js'
import { type CommonOptions, type PenaltyGroup, penaltyOf } from '../models/options.js'
import type { ClipOptions } from './options.js'

/** The rule of some weights, and the scalar input that is their learning rate. */
export interface Training {
  readonly optimizer: OptimizerRule
  readonly rate: RateScalar
}

export interface StepOptions {
  /** How a tensor or a table is trained; null: it stays as it is. Equal answers are the same object. */
  readonly trainingOf: (weights: Tensor | Table) => Training | null
  readonly penaltyOf: (group: PenaltyGroup) => Penalty
  /** Whether every row of a table updates, touched or not. */
  readonly exact: boolean
  /** Whether an average of the weights is kept. */
  readonly averages: boolean
  /** Limits of the gradient, penalties included. */
  readonly clip: Pick<ClipOptions, 'norm' | 'value'>
}

const groupNames: readonly ParameterGroup[] = ['expert', 'gate', 'tower', 'bottom']

/** The options of a model that concern a step. */
export function stepOptions(
  options: CommonOptions,
  trainingOf: StepOptions['trainingOf'],
  { clip = {}, averages = false }: { readonly clip?: ClipOptions | undefined; readonly averages?: boolean | undefined } = {},
): StepOptions {
  return {
    trainingOf,
    penaltyOf: (group) => penaltyOf(options, group),
    exact: options.sparseUpdate === 'exact',
    averages,
    clip,
  }
}

/** Joins the rows of a network and the step into one program with the same layout and buffers. */
export function lowerStep(
  network: Network,
  { trainingOf, penaltyOf: penalties, exact, averages, clip }: StepOptions,
): LoweredProgram {
  const program = ProgramBuilder.after(network.rows, network.parameters)
  const trained = network.parameters.tensors.filter((tensor) => trainingOf(tensor) !== null)
  for (const group of groupNames) emitPenalty(program, network, trained, group, penalties(group))
  const tables = network.gradients.tables.flatMap((gradient) => {
    const training = trainingOf(gradient.table)
    return training === null ? [] : [{ gradient, training, penalty: penalties(`embedding.${gradient.table.name}`) }]
  })
  const ranges = trainedRanges(network, trainingOf)
  const limits = {
    value: clip.value,
    norm: clip.norm === undefined ? undefined : { limit: clip.norm, squares: program.squares() },
  }
  if (limits.norm !== undefined) emitSquares(program, network, ranges, tables, { exact, output: limits.norm.squares })
  emitUpdates(program, network, ranges, { limits, averages })
  for (const { gradient, training, penalty } of tables) {
    const average = averages ? program.average(gradient.table) : undefined
    emitTableUpdate(program, gradient, updateRule(training.optimizer, limits), { penalty, exact, rate: training.rate, average })
  }
  return program.build()
}

/** A table that is trained. */
interface TrainedTable {
  readonly gradient: TableGradient
  readonly training: Training
  readonly penalty: Penalty
}

/** Adds up the squares of everything that the step trains. */
function emitSquares(
  program: ProgramBuilder,
  network: Network,
  ranges: readonly TrainedRange[],
  tables: readonly TrainedTable[],
  { exact, output }: { readonly exact: boolean; readonly output: number },
): void {
  const parameters = ranges.map(({ offset, width }) => ({ ...program.parameters(), offset, width }))
  if (parameters.length > 0) program.op('gradient_squares', { gradients: network.gradients.parameters, parameters, output })
  for (const { gradient, penalty } of tables) {
    program.op('table_squares', { ...tableFields(program, gradient), exact: Number(exact), output, ...penalty })
  }
}

/** Penalises kernels only, never biases. */
function emitPenalty(
  program: ProgramBuilder,
  { gradients }: Network,
  tensors: readonly Tensor[],
  group: ParameterGroup,
  { l1, l2 }: Penalty,
): void {
  const kernels = tensors.filter((tensor) => tensor.group === group && tensor.role === 'kernel')
  if ((l1 === 0 && l2 === 0) || kernels.length === 0) return
  const views = kernels.map((tensor) => program.parameter(tensor))
  program.op('penalty', { parameters: views, gradients: gradients.parameters, loss: program.penalty(group), l1, l2 })
}

/** Consecutive elements of the flat store that are trained alike. */
interface TrainedRange {
  readonly training: Training
  readonly offset: number
  readonly width: number
}

/** Updates the flat store: one op if all weights are trained alike. */
function emitUpdates(
  program: ProgramBuilder,
  network: Network,
  ranges: readonly TrainedRange[],
  { limits, averages }: { readonly limits: GradientLimits; readonly averages: boolean },
): void {
  const optimizers = [...new Set(ranges.map(({ training }) => training.optimizer))]
  optimizers.forEach((optimizer, number) => {
    const own = ranges.filter(({ training }) => training.optimizer === optimizer)
    const elements = own.reduce((sum, { width }) => sum + width, 0)
    let at = 0
    for (const { training, offset, width } of own) {
      const from = at
      at += width
      // Moments of an optimizer lie side by side in one memory: weights that it does not train have none.
      const moment = (which: MomentNumber, initial: number) => {
        const { buffer } = program.moment(number === 0 ? `moment${which}` : `moment${which}@${number}`, elements, initial)
        return { buffer, offset: from, width }
      }
      program.op('optimize', {
        parameters: { ...program.parameters(), offset, width },
        gradients: { ...network.gradients.parameters, offset, width },
        ...updateFields(program, updateRule(optimizer, limits), moment, {
          rate: training.rate,
          average: averages ? { ...program.average(), offset, width } : undefined,
        }),
      })
    }
  })
}

function trainedRanges({ parameters: { tensors, elements } }: Network, trainingOf: StepOptions['trainingOf']): TrainedRange[] {
  const ranges: TrainedRange[] = []
  tensors.forEach((tensor, index) => {
    const training = trainingOf(tensor)
    if (training === null) return
    const end = tensors[index + 1]?.offset ?? elements
    const last = ranges.at(-1)
    const joins = last?.training === training && last.offset + last.width === tensor.offset
    const offset = joins ? last.offset : tensor.offset
    if (joins) ranges.pop()
    ranges.push({ training, offset, width: end - offset })
  })
  return ranges
}

/** A table, and where its gradients come from. */
function tableFields(program: ProgramBuilder, { table, inputs }: TableGradient) {
  return {
    table: program.table(table),
    ids: inputs.map(({ ids }) => ids),
    gradients: inputs.map(({ gradient }) => gradient),
    combiners: inputs.map(({ combiner }) => combiner),
  }
}

/** Updates a table from the gradients of its gathered rows. */
export function emitTableUpdate(
  program: ProgramBuilder,
  gradient: TableGradient,
  rule: UpdateRule,
  { penalty, exact, ...inputs }: UpdateInputs & { readonly penalty: Penalty; readonly exact: boolean },
): void {
  const { table } = gradient
  program.op('embedding_update', {
    ...tableFields(program, gradient),
    exact: exact ? 1 : 0,
    loss: program.penalty(table.name),
    l1: penalty.l1,
    l2: penalty.l2,
    ...updateFields(
      program,
      rule,
      (number, initial) => program.tableMoment(table, number, { initial, perRow: rule.ofRows }),
      inputs,
    ),
  })
}
