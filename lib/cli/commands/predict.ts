// `multigate predict`: scores of a file's rows in their order, one column per task (of a multiclass task one per class). The
// file is read, scored and written part by part: it may be larger than memory. Ctrl-C stops between two parts and leaves no file.

import { Command } from 'commander'

import { AbortedError } from '../../core/errors.js'
import type { Dataset } from '../../data/dataset.js'
import { classNames, type MulticlassTask } from '../../tasks/multiclass.js'
import { loadModel } from '../../training/load.js'
import { inside, type Model } from '../../training/model.js'
import { streamPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { onInterrupt } from '../interrupt.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { type ScoreColumn, type ScorePart, writeScores } from '../scores.js'
import { note } from '../terminal.js'

export function predict(done: (code: number) => void): Command {
  const command = new Command('predict')
    .description('score rows with a saved model; labels are not needed')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--out <file>', 'write there instead of CSV to stdout: .csv, .jsonl or .parquet')
  return withCompute(withData(command)).action(async (path: string, flags: ComputeFlags & DataFlags & { out?: string }) => {
    using interrupt = onInterrupt()
    using model = await loadModel(path, computeOf(flags))
    try {
      await writeScores(flags.out, scores(model, streamPart(flags.data, model.csvOptions(), flags), interrupt.signal))
      done(exitCodes.ok)
    } catch (error) {
      if (!(error instanceof AbortedError)) throw error
      note(flags.out === undefined ? 'interrupted' : `interrupted: ${flags.out} is as it was`)
      done(exitCodes.interrupted)
    }
  })
}

async function* scores(
  model: Model,
  parts: AsyncIterable<Dataset>,
  signal: AbortSignal,
): AsyncGenerator<ScorePart, void, undefined> {
  const tasks = model[inside].config.tasks
  for await (const part of parts) {
    if (signal.aborted) throw new AbortedError('predict')
    const columns = Object.entries<Float32Array>(await model.predict(part))
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
