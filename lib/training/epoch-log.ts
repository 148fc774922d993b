// A log of the epochs: one line of numbers each, as CSV or as JSON lines. The file is replaced whole after every epoch, so that it never has
// half a line, and a resumed run neither repeats an epoch nor loses one.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { checkWritable, writeAtomically } from '../io/atomic.js'
import { csvField } from '../io/csv.js'
import type { GateRecord } from '../runtime/gate-statistics.js'
import type { Callback } from './callbacks.js'
import type { EpochRecord } from './history.js'
import { keptState } from './monitor.js'

const formats = ['csv', 'jsonl'] as const

/** The schema of the options, also part of the configuration's schema. */
export const epochLogOptions = { path: pathSchema, format: z.enum(formats).optional() }

const schema = z.strictObject(epochLogOptions)
const stateSchema = z.strictObject({ lines: z.array(z.record(z.string(), z.number())) })

export interface EpochLogOptions {
  /** Path or `file:` URL of the file. It is replaced when a run begins, and continued when one is resumed. */
  readonly path: FilePath
  /** `'csv'`: a header, then one line per epoch; a number that an epoch lacks is empty. `'jsonl'`: one object per line. Default: `'jsonl'` for a path that ends so, else `'csv'`. */
  readonly format?: (typeof formats)[number] | undefined
}

/**
 * Writes the numbers of every epoch to a file: `epoch`, `steps`, `seconds`, `rowsPerSecond`, `learningRate`, everything that can be
 * monitored, with `balance` the weights of the tasks as `<task>_weight`, and with `gateStatistics` a part of what they measure: for each gate
 * its entropy and its largest mean weight as `gate.<gate>.entropy` and `gate.<gate>.largest`, for each level the largest correlation of two
 * experts as `expert.similarity`. Models of several levels have the prefix `level.0.` and so on, as in the names of tensors.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, ERR_MULTIGATE_WRITE before the first step if the file cannot be written.
 *
 * @example
 * await model.fit(train, { validation, callbacks: [epochLog({ path: 'epochs.csv' })] })
 */
export function epochLog(options: EpochLogOptions): Callback {
  const { path, format = path.endsWith('.jsonl') ? 'jsonl' : 'csv' } = parseOptions('epochLog', schema, options)
  let lines: Line[] = []
  const write = (): Promise<void> => {
    const text = format === 'csv' ? csvOf(lines) : lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    return writeAtomically(path, (sink) => sink.write(new TextEncoder().encode(text)))
  }
  return {
    async onStart() {
      lines = []
      await checkWritable(path)
    },
    async onEpochEnd(record) {
      lines.push(lineOf(record))
      await write()
    },
    state: () => ({ json: { lines } }),
    async resume({ json }) {
      lines = keptState('epochLog', stateSchema, json).lines
      await write()
    },
  }
}

type Line = Readonly<Record<string, number>>

function lineOf({ epoch, steps, seconds, rowsPerSecond, learningRate, metrics, balance, gates }: EpochRecord): Line {
  const weights = Object.entries(balance?.weights ?? {}).map(([task, weight]) => [`${task}_weight`, weight] as const)
  const numbers = [...weights, ...(gates === undefined ? [] : numbersOf(gates))]
  return { epoch, steps, seconds, rowsPerSecond, learningRate, ...metrics, ...Object.fromEntries(numbers) }
}

function numbersOf({ gates, similarity }: GateRecord): [string, number][] {
  const prefix = (level: number): string => (similarity.length > 1 ? `level.${level}.` : '')
  const ofGates = gates.flatMap(({ level, gate, entropy, experts }): [string, number][] => {
    if (entropy === undefined) return []
    const name = `${prefix(level)}gate.${gate}`
    const largest = Math.max(...experts.map(({ weight }) => weight))
    return [
      [`${name}.entropy`, entropy],
      [`${name}.largest`, largest],
    ]
  })
  const ofLevels = similarity.flatMap((experts, level): [string, number][] => {
    const all = Object.values(experts).flatMap((others) => Object.values(others))
    return all.length > 0 ? [[`${prefix(level)}expert.similarity`, Math.max(...all)]] : []
  })
  return [...ofGates, ...ofLevels]
}

/** A run that measures other numbers than the one it resumes has columns for both. */
function csvOf(lines: readonly Line[]): string {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))]
  const rows = lines.map((line) => names.map((name) => line[name] ?? ''))
  return [names.map(csvField), ...rows].map((row) => `${row.join(',')}\n`).join('')
}
