// The update rule as the ops take it: which numbers, which scalar inputs, how many moments. The learning rate and the step
// are inputs of every run, so that schedules need no second program.

import type { UpdateRuleFields, View } from '../core/op-fields.js'
import type { ProgramBuilder } from '../core/program.js'

/** A regulariser: l1 sum|w| + l2 sum(w^2), Keras's (no half). */
export interface Penalty {
  readonly l1: number
  readonly l2: number
}

/** An optimizer's rule and constants; the learning rate is not among them. */
export type OptimizerRule =
  | {
      readonly name: 'sgd'
      readonly form: 'keras' | 'torch'
      readonly momentum: number
      readonly nesterov: boolean
    }
  | {
      readonly name: 'adam'
      readonly form: 'keras' | 'torch'
      readonly beta1: number
      readonly beta2: number
      readonly epsilon: number
    }

/** One of the moments that a rule keeps. */
export type MomentNumber = 1 | 2 | 3

export interface UpdateRule {
  /** The moments that it keeps, each as long as the weights. */
  readonly moments: readonly MomentNumber[]
  /** The fields of an `optimize` or `embedding_update` op; `moment` gives the memory of a moment. */
  fields(program: ProgramBuilder, moment: (number: MomentNumber) => View): UpdateRuleFields
}

const ruleCodes = { sgd: 0, adam: 1 } as const
const formCodes = { keras: 0, torch: 1 } as const

/** What no rule uses is 0. */
const noConstants = {
  beta1: 0,
  beta2: 0,
  epsilon: 0,
  momentum: 0,
  nesterov: 0,
  centered: 0,
  weightDecay: 0,
  ftrlL1: 0,
  ftrlL2: 0,
  ftrlL2Shrinkage: 0,
  ftrlPower: 0,
  ftrlBeta: 0,
}

/** The update rule of an optimizer. */
export function updateRule(optimizer: OptimizerRule): UpdateRule {
  const constants =
    optimizer.name === 'adam'
      ? { beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon }
      : { momentum: optimizer.momentum, nesterov: optimizer.nesterov ? 1 : 0 }
  const moments: readonly MomentNumber[] = optimizer.name === 'adam' ? [1, 2] : optimizer.momentum > 0 ? [1] : []
  return {
    moments,
    fields: (program, moment) => {
      const kept = (number: MomentNumber) => (moments.includes(number) ? moment(number) : null)
      return {
        rule: ruleCodes[optimizer.name],
        form: formCodes[optimizer.form],
        learningRate: program.scalarInput('learningRate'),
        step: program.scalarInput('step'),
        ...noConstants,
        ...constants,
        moment1: kept(1),
        moment2: kept(2),
        moment3: kept(3),
      }
    },
  }
}

/** Emits the update of the whole flat store. */
export function updateParameters(program: ProgramBuilder, { fields }: UpdateRule): void {
  program.step('optimize', {
    parameters: program.parameters(),
    gradients: program.gradients(),
    ...fields(program, (number) => program.moment(number)),
  })
}
