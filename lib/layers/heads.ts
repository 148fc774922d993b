// Heads turn a tower's signal into results, by the kind of its task. In training and evaluation: a loss, with its gradient. In
// prediction: a row output named after the task. Losses take logits, never probabilities. Reported losses exclude the task weight.

import type { LossFields, View } from '../core/op-fields.js'
import type { ProgramBuilder } from '../core/program.js'
import type { DenominatorSpec } from '../native/binding.js'
import type { HeadOptions, Link, ValueHead } from '../tasks/kind.js'
import type { Signal, Tape } from './tape.js'

/** A task as a head sees it. */
export interface HeadTask extends HeadOptions {
  readonly kind: TaskKind
  readonly name: string
  /** Weight of the task in the total loss, a scalar input of every step. It scales the gradient, not the reported loss. */
  readonly weight: number
  /** Whether rows have weights. */
  readonly rowWeights: boolean
  /** For a task whose metrics count other labels or row weights than its network takes: whether they count row weights. */
  readonly measured?: { readonly rowWeights: boolean } | undefined
  /** Number of classes of a multiclass task. */
  readonly classes?: number | undefined
  /** A binary task that this one's probability should not exceed, and the weight of its excess in the loss. */
  readonly atMost?: { readonly task: string; readonly weight: number } | undefined
}

export type TaskKind = keyof typeof heads

export type LossReduction = DenominatorSpec['reduction']

interface Head {
  loss(tape: Tape, signal: Signal, task: HeadTask, reduction: LossReduction): void
  predict(program: ProgramBuilder, signal: Signal, task: HeadTask): void
}

/** mg_regression and mg_link in native/abi/multigate.h. */
const regressionCodes = { squared: 0, absolute: 1, huber: 2, logCosh: 3, quantile: 4, poisson: 5, tweedie: 6 } as const
const linkCodes: Readonly<Record<Link, number>> = { identity: 0, exp: 1, expm1: 2 }

/** The plain head of a regression task. */
const squaredError: ValueHead = { form: 'number', loss: 'squared', parameter: 0, link: 'identity', scale: 1, offset: 0 }

/** Each kind of task is one row here. */
const heads = {
  binary: {
    loss(tape, logit, task, reduction) {
      const dlogit = gradientOf(tape, logit)
      const { gamma = 0 } = task
      const fields = lossFields(tape.program, task, reduction, dlogit !== null)
      tape.program.op('binary_loss', { logit: logit.value, dlogit, gamma, ...fields })
    },
    predict(program, logit, { name, offset = 0 }) {
      program.op('binary_predict', { logit: logit.value, y: program.rowOutput(name, 1), offset })
    },
  },
  regression: {
    loss(tape, signal, task, reduction) {
      const { value } = signal
      const gradient = gradientOf(tape, signal)
      const fields = lossFields(tape.program, task, reduction, gradient !== null)
      const { value: head = squaredError } = task
      switch (head.form) {
        case 'number': {
          const { parameter } = head
          const kind = regressionCodes[head.loss]
          tape.program.op('regression_loss', { prediction: value, dprediction: gradient, kind, parameter, ...fields })
          break
        }
        case 'odds':
          tape.program.op('binary_loss', { logit: value, dlogit: gradient, gamma: 0, ...fields })
          break
        case 'ziln':
          tape.program.op('ziln_loss', { logits: value, dlogits: gradient, ...fields })
          break
        case 'buckets':
          tape.program.op('ordinal_loss', { logits: value, dlogits: gradient, ...fields })
      }
    },
    predict(program, { value }, { name, value: head = squaredError }) {
      const y = program.rowOutput(name, 1)
      switch (head.form) {
        case 'number': {
          const { link, scale, offset } = head
          if (link === 'identity' && scale === 1 && offset === 0) program.op('copy_columns', { x: value, y })
          else program.op('regression_predict', { prediction: value, y, link: linkCodes[link], scale, offset })
          break
        }
        case 'odds':
          program.op('regression_predict', { prediction: value, y, link: linkCodes.exp, scale: 1, offset: 0 })
          break
        case 'ziln':
          program.op('ziln_predict', { logits: value, y })
          break
        case 'buckets':
          program.op('ordinal_predict', { logits: value, y, steps: head.steps, unit: head.unit, offset: head.first })
      }
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

/** The row input of labels or row weights as metrics count them, where the network takes others. */
export function measuredInput(input: string): string {
  return `measured ${input}`
}

/** Columns of a task's signal. */
export function headWidth({ classes = 1, value }: Pick<HeadTask, 'classes' | 'value'>): number {
  if (value?.form === 'ziln') return 3
  return value?.form === 'buckets' ? value.steps.length : classes
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

/** Adds to the loss of a task, which must be emitted, that its probability exceeds another one. */
export function emitOrderLoss(tape: Tape, logits: readonly [Signal, Signal], { name }: HeadTask, factor: number): void {
  const { program } = tape
  const learns = tape.training && tape.learns(logits)
  const targets = learns ? logits.map((logit) => logit.target()) : []
  program.op('order_loss', {
    logits: logits.map(({ value }) => value),
    // The op writes both gradients or none: one without a use goes nowhere.
    dlogits: targets.map(({ view }) => view ?? program.activation(1)),
    accumulate: targets.map(({ view, accumulate }) => (view === null ? 0 : accumulate)),
    factor,
    ...program.lossAgain(name),
    taskWeight: learns ? program.taskWeight(name) : null,
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
