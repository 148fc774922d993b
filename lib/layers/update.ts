// The update rule as the ops take it: which numbers, which scalar inputs, how many moments. The learning rate and the step
// are inputs of every run, so that schedules need no second program.

import type { UpdateRuleFields } from '../core/op-fields.js'
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

export interface UpdateRule {
  /** How many moments as long as the weights it keeps. */
  readonly moments: 0 | 1 | 2
  /** The fields of an `optimize` or `embedding_update` op. */
  fields(program: ProgramBuilder): UpdateRuleFields
}

const ruleCodes = { sgd: 0, adam: 1 } as const
const formCodes = { keras: 0, torch: 1 } as const

/** The update rule of an optimizer. */
export function updateRule(optimizer: OptimizerRule): UpdateRule {
  const constants =
    optimizer.name === 'adam'
      ? { beta1: optimizer.beta1, beta2: optimizer.beta2, epsilon: optimizer.epsilon, momentum: 0, nesterov: 0 }
      : { beta1: 0, beta2: 0, epsilon: 0, momentum: optimizer.momentum, nesterov: optimizer.nesterov ? 1 : 0 }
  return {
    moments: optimizer.name === 'adam' ? 2 : optimizer.momentum > 0 ? 1 : 0,
    fields: (program) => ({
      rule: ruleCodes[optimizer.name],
      form: formCodes[optimizer.form],
      learningRate: program.scalarInput('learningRate'),
      step: program.scalarInput('step'),
      ...constants,
    }),
  }
}

/** Emits the update of the whole flat store. */
export function updateParameters(program: ProgramBuilder, { moments, fields }: UpdateRule): void {
  program.step('optimize', {
    parameters: program.parameters(),
    gradients: program.gradients(),
    moment1: moments >= 1 ? program.moment(1) : null,
    moment2: moments >= 2 ? program.moment(2) : null,
    ...fields(program),
  })
}
