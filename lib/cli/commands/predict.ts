// `multigate predict`: scores of a file's rows in their order, one column per task, or per class of a multiclass task. It reads, scores and
// writes part by part, so the file may exceed memory. Ctrl-C, SIGTERM and SIGHUP leave no file.

import { Command, InvalidArgumentError } from 'commander'

import type { Dataset } from '../../data/dataset.js'
import { loadModel } from '../../model/load.js'
import type { Model } from '../../model/model.js'
import { kindOf, type Task } from '../../tasks/task.js'
import { keptSource, type Reading, rowsAtOnce, streamPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { checkKept, KeptRows, keptColumns } from '../kept.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { isParquet, type ScoreColumn, type ScorePart, writeScores } from '../scores.js'
import { note } from '../terminal.js'

type Flags = ComputeFlags & DataFlags & { readonly out?: string; readonly keep?: readonly string[] }

export function predict(done: (code: number) => void): Command {
  const command = new Command('predict')
    .description('score rows with a saved model; labels are not needed')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--out <file>', 'write to this .csv, .jsonl or .parquet file instead of CSV to stdout')
    .option('--keep <columns>', 'columns of the data to copy before the scores, such as id,user', listed)
  return withCompute(withData(command)).action(async (path: string, flags: Flags) => {
    const ended = (): void => note(flags.out === undefined ? 'interrupted' : `interrupted: ${flags.out} is unchanged`)
    done(await untilInterrupted((signal) => run(path, flags, signal), ended))
  })
}

/** Names separated by commas; the option may be repeated. */
function listed(text: string, before: readonly string[] = []): readonly string[] {
  const names = text.split(',').filter((name) => name !== '')
  if (names.length === 0) throw new InvalidArgumentError('Expected column names, such as id,user.')
  return [...new Set([...before, ...names])]
}

async function run(path: string, flags: Flags, signal: AbortSignal): Promise<number> {
  using model = await loadModel(path, computeOf(flags))
  const reading = { ...model.csvOptions(), signal }
  await using kept = await keptRows(model, reading, flags)
  await writeScores(flags.out, scores(model, streamPart(flags.data, reading, flags), kept, signal))
  return exitCodes.ok
}

/** The columns of `--keep`. @throws before the work starts if a column does not exist or has the name of a score column. */
async function keptRows(model: Model, reading: Reading, flags: Flags): Promise<KeptRows | undefined> {
  if (flags.keep === undefined) return undefined
  const source = await keptSource(flags.data, reading, flags)
  const columns = await keptColumns(flags.keep, source)
  checkKept(columns, model.tasks.flatMap(columnNames), { anyCase: isParquet(flags.out) })
  return new KeptRows(columns, source, flags.part === undefined ? rowsAtOnce : undefined)
}

async function* scores(
  model: Model,
  parts: AsyncIterable<Dataset>,
  kept: KeptRows | undefined,
  signal: AbortSignal,
): AsyncGenerator<ScorePart, void, undefined> {
  for await (const part of parts) {
    const before = (await kept?.next(part)) ?? []
    const columns = Object.entries<Float32Array>(await model.predict(part, { signal }))
    const scored = columns.flatMap(([name, values]) => {
      const task = model.tasks.find((one) => one.name === name)
      return task === undefined ? [{ name, values }] : scoreColumns(task, values)
    })
    yield [...before, ...scored]
  }
}

/** Names of a task's score columns: its own name, or `<task>.<class>` for each class. */
function columnNames(task: Task): string[] {
  return (
    kindOf(task)
      .classes(task)
      ?.map((name) => `${task.name}.${name}`) ?? [task.name]
  )
}

function scoreColumns(task: Task, values: Float32Array): ScoreColumn[] {
  const names = columnNames(task)
  const [only, second] = names
  if (only !== undefined && second === undefined) return [{ name: only, values }]
  const rows = values.length / names.length
  return names.map((name, index) => ({
    name,
    values: Float32Array.from({ length: rows }, (_, row) => values[row * names.length + index] ?? Number.NaN),
  }))
}
