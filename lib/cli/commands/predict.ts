// `multigate predict`: scores of a file's rows in their order, one column per task (of a multiclass task one per class). The
// file is read, scored and written part by part: it may be larger than memory.

import { Command } from 'commander'

import type { Dataset } from '../../data/dataset.js'
import { classNames, type MulticlassTask } from '../../tasks/multiclass.js'
import { loadModel } from '../../training/load.js'
import { inside, type Model } from '../../training/model.js'
import { streamPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { type ScoreColumn, type ScorePart, writeScores } from '../scores.js'

export function predict(done: (code: number) => void): Command {
  const command = new Command('predict')
    .description('score rows with a saved model; labels are not needed')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--out <file>', 'write there instead of CSV to stdout: .csv, .jsonl or .parquet')
  return withCompute(withData(command)).action(async (path: string, flags: ComputeFlags & DataFlags & { out?: string }) => {
    using model = await loadModel(path, computeOf(flags))
    await writeScores(flags.out, scores(model, streamPart(flags.data, flags)))
    done(exitCodes.ok)
  })
}

async function* scores(model: Model, parts: AsyncIterable<Dataset>): AsyncGenerator<ScorePart, void, undefined> {
  const tasks = model[inside].config.tasks
  for await (const part of parts) {
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
