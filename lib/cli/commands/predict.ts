// `multigate predict`: scores of a file's rows in their order, one column per task (of a multiclass task one per class). The
// file is read, scored and written part by part: it may be larger than memory. Ctrl-C, SIGTERM and SIGHUP leave no file.

import { Command } from 'commander'

import type { Dataset } from '../../data/dataset.js'
import { loadModel } from '../../model/load.js'
import { inside, type Model } from '../../model/model.js'
import { classNames, type MulticlassTask } from '../../tasks/multiclass.js'
import { streamPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { type ScoreColumn, type ScorePart, writeScores } from '../scores.js'
import { note } from '../terminal.js'

type Flags = ComputeFlags & DataFlags & { readonly out?: string }

export function predict(done: (code: number) => void): Command {
  const command = new Command('predict')
    .description('score rows with a saved model; labels are not needed')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--out <file>', 'write there instead of CSV to stdout: .csv, .jsonl or .parquet')
  return withCompute(withData(command)).action(async (path: string, flags: Flags) => {
    const ended = (): void => note(flags.out === undefined ? 'interrupted' : `interrupted: ${flags.out} is as it was`)
    done(await untilInterrupted((signal) => run(path, flags, signal), ended))
  })
}

async function run(path: string, flags: Flags, signal: AbortSignal): Promise<number> {
  using model = await loadModel(path, computeOf(flags))
  const parts = streamPart(flags.data, { ...model.csvOptions(), signal }, flags)
  await writeScores(flags.out, scores(model, parts, signal))
  return exitCodes.ok
}

async function* scores(
  model: Model,
  parts: AsyncIterable<Dataset>,
  signal: AbortSignal,
): AsyncGenerator<ScorePart, void, undefined> {
  const tasks = model[inside].config.tasks
  for await (const part of parts) {
    const columns = Object.entries<Float32Array>(await model.predict(part, { signal }))
    yield columns.flatMap(([name, values]) => {
      const task = tasks.find((one) => one.name === name)
      return task?.kind === 'multiclass' ? perClass(task, values) : [{ name, values }]
    })
  }
}

function perClass(task: MulticlassTask, values: Float32Array): ScoreColumn[] {
  const names = classNames(task)
  const rows = values.length / names.length
  return names.map((name, index) => ({
    name: `${task.name}.${name}`,
    values: Float32Array.from({ length: rows }, (_, row) => values[row * names.length + index] ?? Number.NaN),
  }))
}
