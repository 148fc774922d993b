// Writes the numbers of every epoch as event files of TensorBoard, training and validation as two runs, so that one chart shows both.

import { join } from 'node:path'
import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import type { FilePath } from '../core/path.js'
import { pathSchema } from '../core/schemas.js'
import { EventFile } from '../io/event-file.js'
import type { Callback } from './callbacks.js'
import type { EpochRecord } from './history.js'

/** The schema of the options, also part of the configuration's schema. */
export const tensorBoardOptions = { dir: pathSchema }

const schema = z.strictObject(tensorBoardOptions)

export interface TensorBoardOptions {
  /** Path or `file:` URL of the run's folder. It and its folders `train` and `validation` are made. Give every run a folder of its own. */
  readonly dir: FilePath
}

/**
 * Writes the numbers of every epoch for TensorBoard, by the number of steps so far. The tags are `loss`, `<task>/loss`, `<metric>`,
 * `<task>/<metric>` and `score`, equal in `train` and `validation`, and in `train` also `learning_rate`, `rows_per_second` and, with
 * `balance`, `<task>/weight`. A resumed run adds a file, whose first record makes TensorBoard drop the steps after the checkpoint.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option; in `fit`, ERR_MULTIGATE_WRITE before the first step if the files cannot be made.
 *
 * @example
 * await model.fit(train, { validation, callbacks: [tensorBoard({ dir: 'runs/first' })] }) // tensorboard --logdir runs
 */
export function tensorBoard(options: TensorBoardOptions): Callback {
  const { dir } = parseOptions('tensorBoard', schema, options)
  let [steps, tasks]: [number, readonly string[]] = [0, []]
  let files: Partial<Record<Run, EventFile>> = {}
  return {
    async onStart(plan) {
      steps = plan.stepsBefore
      tasks = plan.tasks
      const firstStep = steps === 0 ? 0 : steps + 1
      const create = (run: Run): Promise<EventFile> => EventFile.create(join(dir, run), firstStep)
      files = { train: await create('train'), ...(plan.validationRows > 0 && { validation: await create('validation') }) }
    },
    async onEpochEnd(record) {
      steps += record.steps
      const values = valuesOf(record, tasks)
      await files.train?.add({ step: steps, values: values.train })
      await files.validation?.add({ step: steps, values: values.validation })
    },
  }
}

type Run = 'train' | 'validation'

function valuesOf({ metrics, learningRate, rowsPerSecond, balance }: EpochRecord, tasks: readonly string[]) {
  const values: Record<Run, Record<string, number>> = { train: {}, validation: {} }
  for (const [name, value] of Object.entries(metrics)) {
    const { run, tag } = placeOf(name, tasks)
    values[run][tag] = value
  }
  for (const [task, weight] of Object.entries(balance?.weights ?? {})) values.train[`${task}/weight`] = weight
  values.train['learning_rate'] = learningRate
  values.train['rows_per_second'] = rowsPerSecond
  return values
}

/** Where a number that can be monitored belongs. Names of metrics have no underscore. */
function placeOf(name: string, tasks: readonly string[]): { readonly run: Run; readonly tag: string } {
  const end = name.lastIndexOf('_')
  const [owner, metric] = [name.slice(0, Math.max(end, 0)), name.slice(end + 1)]
  if (owner === '') return { run: 'train', tag: metric }
  if (tasks.includes(owner)) return { run: 'train', tag: `${owner}/${metric}` }
  return { run: 'validation', tag: owner === 'val' ? metric : `${owner.slice('val_'.length)}/${metric}` }
}
