// A search as text: a line per trial while it runs, and a table of all trials at the end.

import { z } from 'zod'
import { parseOptions } from '../core/check.js'
import { decimals, duration } from '../core/format.js'
import { anyNumber, list } from '../core/schemas.js'
import { visible } from '../core/visible.js'
import type { Trial, TuneProgress, TuneResult } from '../model/tune.js'
import type { ProgressStream } from './progress.js'
import { table } from './text.js'

const trialSchema = z.looseObject({
  trial: anyNumber,
  choice: z.record(z.string(), z.unknown()),
  value: anyNumber.nullable(),
  epoch: anyNumber.nullable(),
  seconds: anyNumber,
  error: z.string().optional(),
})
const schema = z.looseObject({ trials: list(z.array(trialSchema)), best: trialSchema, monitor: z.string() })

/**
 * Writes a line after every trial of `tune`: its value, the best one so far and the time left.
 * @param options.stream any writable stream of Node. Default: `process.stderr`.
 * @example await tune({ ...options, onTrial: tuneProgress() })
 */
export function tuneProgress(options: { readonly stream?: ProgressStream | undefined } = {}): (progress: TuneProgress) => void {
  const { stream = process.stderr } = options
  return ({ trial, trials, best, monitor, secondsLeft }) => {
    const outcome = trial.value === null ? `failed: ${trial.error}` : `${monitor} ${decimals(trial.value)}`
    const others = [
      ...(best?.value == null ? [] : [`best ${decimals(best.value)} (trial ${best.trial})`]),
      ...(trial.trial < trials ? [`${duration(secondsLeft)} left`] : []),
    ]
    const line = [`trial ${trial.trial}/${trials}`, duration(trial.seconds), outcome, ...others, choiceText(trial)].join('  ')
    stream.write(`${visible(line)}\n`)
  }
}

/**
 * One line per trial, the best first, failed ones last. The chosen one has a star.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `tune`.
 */
export function tuneTable(result: Pick<TuneResult, 'trials' | 'best' | 'monitor'>): string {
  parseOptions('result', schema, result)
  const { trials, best, monitor } = result
  const order = [...trials.filter(({ value }) => value !== null)]
  // The direction of the number: the chosen trial has the best one.
  const highest = order.every(({ value }) => (value ?? 0) <= (best.value ?? 0))
  order.sort((one, other) => (highest ? 1 : -1) * ((other.value ?? 0) - (one.value ?? 0)) || one.trial - other.trial)
  const names = Object.keys(best.choice)
  const rows = [...order, ...trials.filter(({ value }) => value === null)].map((trial) => [
    `${trial.trial}${trial.trial === best.trial ? '*' : ''}`,
    ...names.map((name) => valueText(trial.choice[name])),
    trial.value === null ? (trial.error ?? 'failed') : decimals(trial.value),
    trial.epoch === null ? '-' : String(trial.epoch),
    duration(trial.seconds),
  ])
  return table(['trial', ...names, monitor, 'epoch', 'time'], rows)
}

function choiceText({ choice }: Trial): string {
  return Object.entries(choice)
    .map(([name, value]) => `${name} ${valueText(value)}`)
    .join(' ')
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
