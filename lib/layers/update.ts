// The update rule in the form of the ops: constants, scalar inputs and moments. Learning rate and step are inputs of every run, so a
// schedule needs no second program.

import type { UpdateRuleFields, View } from '../core/op-fields.js'
import type { ProgramBuilder, RateScalar } from '../core/program.js'

/** A penalty l1 sum|w| + l2 sum(w^2), without a half, as in Keras. */
export interface Penalty {
  readonly l1: number
  readonly l2: number
}

/** An optimizer's rule and constants, without the learning rate. */
export type OptimizerRule =
  | { readonly name: 'sgd'; readonly form: Form; readonly momentum: number; readonly nesterov: boolean }
  | ({ readonly name: 'adam' } & AdamConstants)
  | ({ readonly name: 'adamw'; readonly weightDecay: number } & AdamConstants)
  | { readonly name: 'adagrad'; readonly form: Form; readonly initialAccumulator: number; readonly epsilon: number }
  | {
      readonly name: 'rmsprop'
      readonly form: Form
      readonly rho: number
      readonly momentum: number
      readonly centered: boolean
      readonly epsilon: number
    }
  | {
      readonly name: 'ftrl'
      readonly learningRatePower: number
      readonly initialAccumulator: number
      readonly l1: number
      readonly l2: number
      readonly l2Shrinkage: number
      readonly beta: number
    }
  | { readonly name: 'rowwiseAdagrad'; readonly initialAccumulator: number; readonly epsilon: number }

type Form = 'keras' | 'torch'

interface AdamConstants {
  readonly form: Form
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** Number of a moment that a rule keeps. */
export type MomentNumber = 1 | 2 | 3

/** Codes in the ops. */
const codes = { sgd: 0, adam: 1, adagrad: 2, rmsprop: 3, ftrl: 4, rowwiseAdagrad: 5, keras: 0, torch: 1 } as const

/** Constants that a rule does not use are 0. */
const noConstants = {
  form: codes.keras,
  beta1: 0,
  beta2: 0,
  epsilon: 0,
  momentum: 0,
  nesterov: 0,
  centered: 0,
  weightDecay: 0,
  clipValue: 0,
  clipNorm: 0,
  squares: 0,
  ftrlL1: 0,
  ftrlL2: 0,
  ftrlL2Shrinkage: 0,
  ftrlPower: 0,
  ftrlBeta: 0,
}

/** An optimizer in the form of the ops. */
export interface UpdateRule {
  readonly rule: number
  readonly constants: Readonly<Record<keyof typeof noConstants, number>>
  /** Start value of each moment that the rule keeps. A moment has a number per weight, or per row of a table. */
  readonly moments: ReadonlyMap<MomentNumber, number>
  /** Whether the rule takes whole rows of a table, and has a number per row in each moment. */
  readonly ofRows: boolean
}

/** How a rule limits the gradient before it takes it. */
export interface GradientLimits {
  /** The largest size of an element. */
  readonly value?: number | undefined
  /** The largest length of the whole gradient, and the scalar output that is the sum of its squares. */
  readonly norm?: { readonly limit: number; readonly squares: number } | undefined
}

/** The update rule of an optimizer. */
export function updateRule(optimizer: OptimizerRule, { value = 0, norm }: GradientLimits = {}): UpdateRule {
  const { constants, ...own } = unlimited(optimizer)
  return { ...own, constants: { ...constants, clipValue: value, clipNorm: norm?.limit ?? 0, squares: norm?.squares ?? 0 } }
}

function unlimited(optimizer: OptimizerRule): UpdateRule {
  switch (optimizer.name) {
    case 'sgd': {
      const { form, momentum, nesterov } = optimizer
      return rule(codes.sgd, { form: codes[form], momentum, nesterov: Number(nesterov) }, momentum > 0 ? [[1, 0]] : [])
    }
    case 'adam':
    case 'adamw': {
      const { form, beta1, beta2, epsilon } = optimizer
      const weightDecay = optimizer.name === 'adamw' ? optimizer.weightDecay : 0
      return rule(codes.adam, { form: codes[form], beta1, beta2, epsilon, weightDecay }, [
        [1, 0],
        [2, 0],
      ])
    }
    case 'adagrad': {
      const { form, epsilon, initialAccumulator } = optimizer
      return rule(codes.adagrad, { form: codes[form], epsilon }, [[1, initialAccumulator]])
    }
    case 'rmsprop': {
      const { form, rho, momentum, centered, epsilon } = optimizer
      const constants = { form: codes[form], beta2: rho, momentum, centered: Number(centered), epsilon }
      return rule(codes.rmsprop, constants, [
        [1, 0],
        ...(momentum > 0 ? [[2, 0] as const] : []),
        ...(centered ? [[3, 0] as const] : []),
      ])
    }
    case 'ftrl': {
      const { l1, l2, l2Shrinkage, learningRatePower, beta, initialAccumulator } = optimizer
      const constants = { ftrlL1: l1, ftrlL2: l2, ftrlL2Shrinkage: l2Shrinkage, ftrlPower: learningRatePower, ftrlBeta: beta }
      return rule(codes.ftrl, constants, [
        [1, initialAccumulator],
        [2, 0],
      ])
    }
    case 'rowwiseAdagrad':
      return { ...rule(codes.rowwiseAdagrad, { epsilon: optimizer.epsilon }, [[1, optimizer.initialAccumulator]]), ofRows: true }
  }
}

/** What an update needs besides its rule. */
export interface UpdateInputs {
  /** The scalar input of the learning rate. Default 'learningRate'. */
  readonly rate?: RateScalar | undefined
  /** Where an average of the weights is kept. Default: nowhere. */
  readonly average?: View | undefined
}

/** Fields of an `optimize` or `embedding_update` op. `moment` returns the memory of a moment, filled with its start value. */
export function updateFields(
  program: ProgramBuilder,
  { rule, constants, moments }: UpdateRule,
  moment: (number: MomentNumber, initial: number) => View,
  { rate = 'learningRate', average }: UpdateInputs = {},
): UpdateRuleFields {
  const kept = (number: MomentNumber) => {
    const initial = moments.get(number)
    return initial === undefined ? null : moment(number, initial)
  }
  return {
    rule,
    learningRate: program.scalar(rate),
    step: program.scalar('step'),
    ...constants,
    moment1: kept(1),
    moment2: kept(2),
    moment3: kept(3),
    average: average ?? null,
    averageScale: average === undefined ? null : program.scalar('averageScale'),
  }
}

function rule(
  code: number,
  constants: Partial<UpdateRule['constants']>,
  moments: readonly (readonly [MomentNumber, number])[],
): UpdateRule {
  return { rule: code, constants: { ...noConstants, ...constants }, moments: new Map(moments), ofRows: false }
}
