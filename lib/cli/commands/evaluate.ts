// `multigate evaluate`: losses and metrics of a saved model on a file with labels.

import { Command } from 'commander'
import { loadModel } from '../../model/load.js'
import { resultsTable } from '../../report/results.js'
import type { Evaluation } from '../../runtime/evaluate.js'
import { measuringOf } from '../../runtime/measuring.js'
import { readConfig } from '../config.js'
import { readPart, streamedPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import {
  type ComputeFlags,
  computeOf,
  type DataFlags,
  type MeasuringFlags,
  measuringFrom,
  withCompute,
  withData,
  withMeasuring,
} from '../options.js'
import { note, print } from '../terminal.js'

type Flags = ComputeFlags & DataFlags & MeasuringFlags & { readonly stream?: boolean; readonly json?: boolean }

export function evaluate(done: (code: number) => void): Command {
  const command = new Command('evaluate')
    .description('measure a saved model on labelled data')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--stream', 'read the rows in parts, for files larger than memory')
    .option('--json', 'print one JSON object as the last line of stdout')
  return withCompute(withMeasuring(withData(command))).action(async (path: string, flags: Flags) => {
    done(
      await untilInterrupted(
        (signal) => run(path, flags, signal),
        () => note('interrupted'),
      ),
    )
  })
}

async function run(path: string, flags: Flags, signal: AbortSignal): Promise<number> {
  using model = await loadModel(path, computeOf(flags))
  const config = flags.config === undefined ? undefined : await readConfig(flags.config)
  const measuring = measuringFrom(flags, config?.fit)
  measuringOf('evaluate', model.tasks, measuring)
  const reading = { ...model.csvOptions({ labels: true, groups: measuring.groups }), signal }
  const data = await (flags.stream === true ? streamedPart : readPart)(flags.data, reading, flags)
  const result = await model.evaluate(data, { ...measuring, signal })
  const part = flags.part ?? 'data'
  print(resultsTable({ [part]: result }))
  if (flags.json === true)
    print(
      JSON.stringify({
        [part]: result.tasks,
        ...scoreIn(result),
        loss: result.loss,
        rows: result.rows,
        unknownValues: result.unknownValues,
      }),
    )
  return exitCodes.ok
}

/** The score as JSON, null if it is undefined. */
function scoreIn(result: Evaluation): { score?: number | null } {
  return 'score' in result ? { score: result.score ?? null } : {}
}
