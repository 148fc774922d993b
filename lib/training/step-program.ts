// The program of a training step: the network's own part (`Network.rows`), then the update of its weights. Penalties, optimizer and the
// way tables update belong to the step alone; a network is lowered without them.

import type { ParameterGroup } from '../core/layout.js'
import { type LoweredProgram, ProgramBuilder } from '../core/program.js'
import { type OptimizerRule, type Penalty, type UpdateRule, updateFields, updateRule } from '../layers/update.js'
import type { Network, TableGradient } from '../models/network.js'
import { type CommonOptions, penaltyOf } from '../models/options.js'

/** Groups of weights with their own penalty. */
export type PenaltyGroup = ParameterGroup | 'embedding'

export interface StepOptions {
  readonly optimizer: OptimizerRule
  readonly penalties: Readonly<Record<PenaltyGroup, Penalty>>
  /** Whether every row of a table updates, touched or not. */
  readonly exact: boolean
}

const groups: readonly ParameterGroup[] = ['expert', 'gate', 'tower', 'bottom']

/** The options of a model that concern a step. */
export function stepOptions(options: CommonOptions, optimizer: OptimizerRule): StepOptions {
  const of = (group: PenaltyGroup): Penalty => penaltyOf(options, group)
  return {
    optimizer,
    penalties: { expert: of('expert'), gate: of('gate'), tower: of('tower'), bottom: of('bottom'), embedding: of('embedding') },
    exact: options.sparseUpdate === 'exact',
  }
}

/** Joins the rows of a network and the step into one program with the same layout and buffers. */
export function lowerStep(network: Network, { optimizer, penalties, exact }: StepOptions): LoweredProgram {
  const program = ProgramBuilder.after(network.rows, network.parameters)
  const rule = updateRule(optimizer)
  for (const group of groups) emitPenalty(program, network, group, penalties[group])
  emitUpdate(program, network, rule)
  for (const gradient of network.gradients.tables)
    emitTableUpdate(program, gradient, rule, { penalty: penalties.embedding, exact })
  return program.build()
}

/** Penalises kernels only, never biases. */
function emitPenalty(
  program: ProgramBuilder,
  { parameters, gradients }: Network,
  group: ParameterGroup,
  { l1, l2 }: Penalty,
): void {
  const kernels = parameters.tensors.filter((tensor) => tensor.group === group && tensor.role === 'kernel')
  if ((l1 === 0 && l2 === 0) || kernels.length === 0) return
  const views = kernels.map((tensor) => program.parameter(tensor))
  program.op('penalty', { parameters: views, gradients: gradients.parameters, loss: program.penalty(group), l1, l2 })
}

/** Updates the whole flat store. */
function emitUpdate(program: ProgramBuilder, { gradients }: Network, rule: UpdateRule): void {
  program.op('optimize', {
    parameters: program.parameters(),
    gradients: gradients.parameters,
    ...updateFields(program, rule, (number, initial) => program.moment(number, initial)),
  })
}

/** Updates a table from the gradients of its gathered rows. */
export function emitTableUpdate(
  program: ProgramBuilder,
  { table, inputs }: TableGradient,
  rule: UpdateRule,
  { penalty, exact }: { readonly penalty: Penalty; readonly exact: boolean },
): void {
  program.op('embedding_update', {
    table: program.table(table),
    ids: inputs.map(({ ids }) => ids),
    gradients: inputs.map(({ gradient }) => gradient),
    combiners: inputs.map(({ combiner }) => combiner),
    exact: exact ? 1 : 0,
    loss: program.penalty(table.name),
    l1: penalty.l1,
    l2: penalty.l2,
    ...updateFields(program, rule, (number, initial) => program.tableMoment(table, number, initial)),
  })
}
