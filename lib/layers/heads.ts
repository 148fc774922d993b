// Heads turn a tower's signal into results, by the kind of its task. In training and evaluation: a loss, with its gradient. In
// prediction: a row output named after the task. Losses take logits, never probabilities. Reported losses exclude the task weight.

import type { LossFields, View } from '../core/op-fields.js'
import type { ProgramBuilder } from '../core/program.js'
import type { DenominatorSpec } from '../native/binding.js'
import type { Signal, Tape } from './tape.js'

/** A task as a head sees it. */
export interface HeadTask {
  readonly kind: TaskKind
  readonly name: string
  /** Weight of the task in the total loss, a scalar input of every step. It scales the gradient, not the reported loss. */
  readonly weight: number
  /** Whether rows have weights. */
  readonly rowWeights: boolean
  /** Number of classes of a multiclass task. */
  readonly classes?: number | undefined
}

export type TaskKind = keyof typeof heads

export type LossReduction = DenominatorSpec['reduction']

interface Head {
  loss(tape: Tape, signal: Signal, task: HeadTask, reduction: LossReduction): void
  predict(program: ProgramBuilder, signal: Signal, task: HeadTask): void
}

/** Each kind of task is one row here. */
const heads = {
  binary: {
    loss(tape, logit, task, reduction) {
      const dlogit = gradientOf(tape, logit)
      tape.program.op('binary_loss', {
        logit: logit.value,
        dlogit,
        ...lossFields(tape.program, task, reduction, dlogit !== null),
      })
    },
    predict(program, logit, { name }) {
      program.op('binary_predict', { logit: logit.value, y: program.rowOutput(name, 1) })
    },
  },
  regression: {
    loss(tape, prediction, task, reduction) {
      const dprediction = gradientOf(tape, prediction)
      const fields = lossFields(tape.program, task, reduction, dprediction !== null)
      tape.program.op('squared_loss', { prediction: prediction.value, dprediction, ...fields })
    },
    predict(program, prediction, { name }) {
      program.op('copy_columns', { x: prediction.value, y: program.rowOutput(name, 1) })
    },
  },
  multiclass: {
    loss(tape, logits, task, reduction) {
      const dlogits = gradientOf(tape, logits)
      const fields = lossFields(tape.program, task, reduction, dlogits !== null)
      tape.program.op('multiclass_loss', { logits: logits.value, dlogits, ...fields })
    },
    predict(program, logits, { name }) {
      program.op('multiclass_predict', { logits: logits.value, y: program.rowOutput(name, logits.value.width) })
    },
  },
} as const satisfies Readonly<Record<string, Head>>

/** The row input of a task's labels. */
export function labelInput(task: string): string {
  return `label:${task}`
}

/** The row input of a task's row weights. */
export function weightInput(task: string): string {
  return `weight:${task}`
}

/** Columns of a task's signal and of its prediction. */
export function headWidth({ classes = 1 }: Pick<HeadTask, 'classes'>): number {
  return classes
}

/** Emits the loss of a task and, in training, the gradient of its signal. */
export function emitLoss(tape: Tape, signal: Signal, task: HeadTask, reduction: LossReduction): void {
  heads[task.kind].loss(tape, signal, task, reduction)
}

/** Emits the prediction of a task as a row output: a probability, a number, or the probabilities of all classes. */
export function emitPrediction(program: ProgramBuilder, signal: Signal, task: HeadTask): void {
  heads[task.kind].predict(program, signal, task)
}

/** Emits the binary loss of a product of probabilities, given their logits. */
export function emitProductLoss(tape: Tape, logits: readonly Signal[], task: HeadTask, reduction: LossReduction): void {
  const learns = tape.training && tape.learns(logits)
  // The op writes all gradients or none: those that have no use go nowhere.
  const targets = learns ? logits.map((logit) => logit.target()) : []
  tape.program.op('product_loss', {
    logits: logits.map(({ value }) => value),
    // The op writes all gradients or none: one without a use goes nowhere.
    dlogits: targets.map(({ view }) => view ?? tape.program.activation(1)),
    accumulate: targets.map(({ view, accumulate }) => (view === null ? 0 : accumulate)),
    ...lossFields(tape.program, task, reduction, learns),
  })
}

/** Emits a product of probabilities as a row output, given their logits. */
export function emitProduct(program: ProgramBuilder, logits: readonly Signal[], name: string): void {
  program.op('product_predict', { logits: logits.map(({ value }) => value), y: program.rowOutput(name, 1) })
}

function lossFields(program: ProgramBuilder, { name, rowWeights }: HeadTask, reduction: LossReduction, learns: boolean) {
  const label = program.rowInput(labelInput(name), 1)
  const rowWeight = rowWeights ? program.rowInput(weightInput(name), 1) : null
  return {
    label,
    weight: rowWeight,
    ...program.loss(name, { label, weight: rowWeight, reduction }),
    taskWeight: learns ? program.taskWeight(name) : null,
  } satisfies LossFields
}

/** These loss ops overwrite the gradient, so they must be the first or only readers of their signal. */
function gradientOf({ training }: Tape, signal: Signal): View | null {
  if (!training) return null
  const { view, accumulate } = signal.target()
  if (accumulate === 1) throw new Error('a loss would overwrite the gradient of another reader')
  return view
}
