// A log of the epochs: one line of numbers each, as CSV or as JSON lines. The file is replaced whole after every epoch, so that it never has
// half a line, and a resumed run neither repeats an epoch nor loses one.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { checkWritable, writeAtomically } from '../io/atomic.js'
import { csvField } from '../io/csv.js'
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
 * monitored, and with `balance` the weights of the tasks as `<task>_weight`.
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

function lineOf({ epoch, steps, seconds, rowsPerSecond, learningRate, metrics, balance }: EpochRecord): Line {
  const weights = Object.entries(balance?.weights ?? {}).map(([task, weight]) => [`${task}_weight`, weight] as const)
  return { epoch, steps, seconds, rowsPerSecond, learningRate, ...metrics, ...Object.fromEntries(weights) }
}

/** A run that measures other numbers than the one it resumes has columns for both. */
function csvOf(lines: readonly Line[]): string {
  const names = [...new Set(lines.flatMap((line) => Object.keys(line)))]
  const rows = lines.map((line) => names.map((name) => line[name] ?? ''))
  return [names.map(csvField), ...rows].map((row) => `${row.join(',')}\n`).join('')
}
