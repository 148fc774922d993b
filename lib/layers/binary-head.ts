// The head of a binary task: a logit becomes a loss with its gradient, or a probability. Logits enter the loss, never
// probabilities; the loss it reports is unweighted by the task.

import type { ProgramBuilder } from '../core/program.js'
import type { DenominatorSpec } from '../native/binding.js'
import type { Signal, Tape } from './tape.js'

export interface BinaryHead {
  readonly name: string
  /** Weight of the task in the total loss; the gradient has it, the reported loss has not. */
  readonly weight: number
  /** Whether rows carry a weight. */
  readonly rowWeights: boolean
  readonly lossReduction: DenominatorSpec['reduction']
}

/** Emits the loss of a task and, in training, the gradient of its logit. */
export function binaryLoss(tape: Tape, logit: Signal, { name, weight, rowWeights, lossReduction }: BinaryHead): void {
  const { program, training } = tape
  const label = program.rowInput(`label:${name}`, 1)
  const rowWeight = rowWeights ? program.rowInput(`weight:${name}`, 1) : null
  program.rows('binary_loss', {
    logit: logit.value,
    label,
    weight: rowWeight,
    dlogit: training ? logit.target().view : null,
    denominator: program.denominator(`denominator:${name}`, label, rowWeight, lossReduction),
    loss: program.scalarOutput(`loss:${name}`),
    taskWeight: weight,
  })
}

/** Emits the probability of a task as a row output. */
export function binaryPrediction(program: ProgramBuilder, logit: Signal, { name }: Pick<BinaryHead, 'name'>): void {
  program.rows('binary_predict', { logit: logit.value, y: program.rowOutput(name, 1) })
}
