// Progress of `fit` as a callback: a live bar on a terminal, one plain line per epoch elsewhere. It writes to stderr and leaves stdout
// to results.

import { MultiBar, type SingleBar } from 'cli-progress'
import { z } from 'zod'

import { describeValue, parseOptions } from '../core/check.js'
import { count, decimals, duration, rateText } from '../core/format.js'
import { visible } from '../core/visible.js'
import { metricText } from '../metrics/metric.js'
import type { Evaluation } from '../runtime/evaluate.js'
import type { Callback, FitPlan, StepRecord } from '../training/callbacks.js'
import type { Continuation } from '../training/growth.js'
import type { EpochRecord, History } from '../training/history.js'
import { opposedPairs } from '../training/task-balance.js'
import { headline } from './results.js'
import { unknownLines } from './unknown.js'

/** Where progress is written: any writable stream of Node. */
export interface ProgressStream {
  write(text: string): unknown
  /** Whether the stream is a terminal. */
  readonly isTTY?: boolean | undefined
}

export interface ProgressOptions {
  /** Default: `process.stderr`. */
  readonly stream?: ProgressStream | undefined
  /** Shows a live bar. Default: whether the stream is a terminal. */
  readonly bar?: boolean | undefined
  /** Least time between two drawings of the bar, in milliseconds. Default 100. */
  readonly interval?: number | undefined
}

const schema = z.strictObject({
  stream: z
    .custom<ProgressStream>((value) => typeof (value as { write?: unknown } | null)?.write === 'function', {
      error: ({ input }) => `expected a stream that can be written to, found ${describeValue(input)}`,
    })
    .optional(),
  bar: z.boolean().optional(),
  interval: z.number().min(1).optional(),
})

/**
 * Shows epoch, rows per second, the loss of every task and the time left.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 *
 * @example
 * await model.fit(train, { epochs: 4, callbacks: [progress()] })
 */
export function progress(options: ProgressOptions = {}): Callback {
  const { stream = process.stderr, bar = stream.isTTY, interval = 100 } = parseOptions('progress', schema, options)
  return bar ? new Bar(stream, interval) : new Lines((line) => stream.write(`${visible(line)}\n`))
}

/** Writes one line per epoch. */
class Lines implements Callback {
  readonly #write: (line: string) => void
  #plan: FitPlan | undefined

  constructor(write: (line: string) => void) {
    this.#write = write
  }

  onStart(plan: FitPlan): void {
    this.#plan = plan
    for (const line of opening(plan)) this.#write(line)
  }

  onEpochEnd(record: EpochRecord): void {
    this.#write(epochLine(record, this.#plan))
    for (const line of [...opposedLines(record), ...(record.gates?.warnings ?? [])]) this.#write(line)
    if (record.warning !== undefined) this.#write(record.warning)
  }

  onEnd(history: History): void {
    const last = history.epochs.at(-1)
    if (last !== undefined && last.epoch === this.#plan?.epochsBefore) this.#write(noneLeft(history, last.epoch))
    else if (history.stopReason !== undefined && last !== undefined)
      this.#write(`stopped after epoch ${last.epoch}: ${history.stopReason}`)
    if (last !== undefined && history.weightsEpoch !== last.epoch)
      this.#write(`weights taken back to epoch ${history.weightsEpoch}`)
  }
}

class Bar implements Callback {
  readonly #stream: ProgressStream
  readonly #lines: Lines
  readonly #interval: number
  /** Bars of the current run; lines go above them. */
  #bars: MultiBar | undefined
  #plan: FitPlan | undefined
  #bar: SingleBar | undefined
  #pace = new Pace()
  #drawn = 0

  constructor(stream: ProgressStream, interval: number) {
    this.#stream = stream
    this.#interval = interval
    this.#lines = new Lines((line) => {
      if (this.#bars === undefined) stream.write(`${visible(line)}\n`)
      else this.#bars.log(`${visible(line)}\n`)
    })
  }

  onStart(plan: FitPlan): void {
    this.#plan = plan
    this.#pace = new Pace()
    this.#bars = this.#begin()
    this.#lines.onStart(plan)
  }

  onProgress(step: StepRecord): void {
    const plan = this.#plan
    if (plan === undefined) return
    const now = performance.now()
    this.#pace.add(step, now)
    if (now - this.#drawn < this.#interval && step.rows < plan.trainRows) return
    this.#drawn = now
    this.#bar ??= this.#bars?.create(plan.trainRows, 0)
    this.#bar?.update(step.rows, {
      label: `epoch ${step.epoch}/${plan.epochs}`,
      pace: `${count(this.#pace.rowsPerSecond)} rows/s`,
      left: duration(this.#pace.secondsLeft(plan, step)),
      losses: visible([lossText(step.loss, step.losses), ...changedRate(step, plan)].join('  ')),
    })
  }

  onEpochEnd(record: EpochRecord): void {
    this.#lines.onEpochEnd(record)
  }

  onEnd(history: History): void {
    this.#end()
    this.#lines.onEnd(history)
  }

  onFailure(): void {
    this.#end()
  }

  #begin(): MultiBar {
    return new MultiBar({
      format: '{label} [{bar}] {percentage}%  {pace}  {left} left  {losses}',
      barCompleteChar: '=',
      barIncompleteChar: ' ',
      barsize: 20,
      stream: this.#stream as NodeJS.WriteStream,
      clearOnComplete: true,
      forceRedraw: true,
      fps: 1000 / this.#interval,
      // A killed process restores nothing, so leave the cursor visible and lines wrapping.
      hideCursor: false,
      linewrap: true,
    })
  }

  #end(): void {
    // Without a last drawing the waiting lines would be lost.
    this.#bars?.update()
    this.#bars?.stop()
    this.#bars = undefined
    this.#bar = undefined
  }
}

/** Rows per second of all steps so far, and the time left at that speed. */
class Pace {
  #start = performance.now()
  #rows = 0
  #epoch = 0
  #inEpoch = 0
  rowsPerSecond = 0

  add({ epoch, rows }: StepRecord, now: number): void {
    this.#rows += epoch === this.#epoch ? rows - this.#inEpoch : rows
    this.#epoch = epoch
    this.#inEpoch = rows
    this.rowsPerSecond = (1000 * this.#rows) / Math.max(now - this.#start, 1)
  }

  /** An upper bound: early stopping may end the run sooner. */
  secondsLeft({ epochs, trainRows }: FitPlan, { epoch, rows }: StepRecord): number {
    return ((epochs - epoch + 1) * trainRows - rows) / Math.max(this.rowsPerSecond, 1)
  }
}

function opening(plan: FitPlan): string[] {
  const { unknownValues } = plan
  const { model, parameters, device, isa, threads, fallback, trainRows, validationRows, batchSize, encodedRowsPerSecond } = plan
  const place = device === 'reference' ? device : `${device} (${isa})`
  const where = device === 'cpu' ? `${place}, ${threads} ${threads === 1 ? 'thread' : 'threads'}` : place
  const rows = `${count(trainRows)} rows${validationRows > 0 ? `, ${count(validationRows)} for validation` : ''}`
  return [
    `${model}: ${count(parameters)} parameters; ${rows}, encoded at ${count(encodedRowsPerSecond)} rows/s; batches of ${count(batchSize)}; ${where}`,
    ...continuationLines(plan.continues),
    ...(fallback === undefined ? [] : [`the GPU of this machine is not used: ${fallback}`]),
    ...unknownLines('training data', unknownValues.training),
    ...unknownLines('validation data', unknownValues.validation),
  ]
}

function continuationLines(continues: Continuation | undefined): string[] {
  if (continues === undefined) return []
  const { from, optimizerSteps, freshBecause, vocabularies, meansRefreshed } = continues
  const optimizer =
    optimizerSteps === undefined
      ? `the optimizer starts anew, because ${freshBecause}`
      : `the optimizer goes on after step ${optimizerSteps}`
  const changes = Object.entries(vocabularies).map(([feature, { added, evicted, values }]) => {
    return `${feature}: ${count(added)} new, ${count(evicted)} evicted, ${count(values)} now`
  })
  return [
    `${from === undefined ? 'goes on with the weights of this model' : `goes on from ${from}`}: ${optimizer}`,
    ...(changes.length === 0 ? [] : [`vocabularies: ${changes.join('; ')}`]),
    ...(meansRefreshed ? ['means of dense features are those of these rows'] : []),
  ]
}

/** The learning rate, if it may differ from step to step. */
function changedRate({ learningRate }: EpochRecord | StepRecord, plan: FitPlan | undefined): string[] {
  return plan === undefined || learningRate === plan.learningRate ? [] : [`rate ${rateText(learningRate)}`]
}

function epochLine(record: EpochRecord, plan: FitPlan | undefined): string {
  const { epoch, loss, tasks, training, validation, seconds, rowsPerSecond } = record
  const losses = Object.fromEntries(Object.entries(tasks).map(([task, result]) => [task, result.loss]))
  const of = `epoch ${epoch}/${plan?.epochs ?? epoch}`
  const pace = [`${duration(seconds)}`, `${count(rowsPerSecond)} rows/s`]
  const parts = [of, ...pace, ...changedRate(record, plan), lossText(loss, losses)]
  if (training !== undefined) parts.push(...headlines(training.tasks, ''))
  if (validation !== undefined) {
    parts.push(`val loss ${decimals(validation.loss)}`, ...headlines(validation.tasks, 'val '))
    if (validation.score !== undefined) parts.push(`val score ${decimals(validation.score)}`)
  }
  return parts.join('  ')
}

function opposedLines({ balance }: EpochRecord): string[] {
  return opposedPairs(balance).map(({ task, other, cosine }) => {
    return `${task} and ${other} pull against each other: the mean cosine of their gradients is ${cosine.toFixed(2)}`
  })
}

/** The headline metrics of tasks, those of one kind together: `val auc click 0.7123 buy 0.6514`. */
function headlines(tasks: Evaluation['tasks'], prefix: string): string[] {
  const found = Object.entries(tasks).map(([task, result]) => ({ task, shown: headline(result) }))
  return [...new Set(found.flatMap(({ shown }) => shown?.metric ?? []))].map((metric) => {
    const own = found.flatMap(({ task, shown }) =>
      shown?.metric === metric ? [`${task} ${metricText(metric, shown.value)}`] : [],
    )
    return `${prefix}${metric.display.heading} ${own.join(' ')}`
  })
}

/** The line of a resumed run that had no epoch to train. */
function noneLeft({ stopReason }: History, epoch: number): string {
  return stopReason === undefined
    ? `nothing left to train: the checkpoint is at epoch ${epoch}; set epochs to more than ${epoch} to go on`
    : `nothing left to train: the run of the checkpoint stopped after epoch ${epoch}: ${stopReason}; load it with loadModel to train it further`
}

function lossText(loss: number, losses: Readonly<Record<string, number>>): string {
  const tasks = Object.entries(losses).map(([task, value]) => `${task} ${decimals(value)}`)
  return `loss ${decimals(loss)}${tasks.length > 1 ? ` (${tasks.join(' ')})` : ''}`
}
