// `multigate evaluate`: losses and metrics of a saved model on a file with labels.

import { Command } from 'commander'
import { loadModel } from '../../model/load.js'
import { resultsTable } from '../../report/results.js'
import { readPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { note, print } from '../terminal.js'

type Flags = ComputeFlags & DataFlags & { readonly json?: boolean }

export function evaluate(done: (code: number) => void): Command {
  const command = new Command('evaluate')
    .description('measure a saved model on labelled data')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--json', 'print one JSON object as the last line of stdout')
  return withCompute(withData(command)).action(async (path: string, flags: Flags) => {
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
  const data = await readPart(flags.data, { ...model.csvOptions({ labels: true }), signal }, flags)
  const result = await model.evaluate(data, { signal })
  const part = flags.part ?? 'data'
  print(resultsTable({ [part]: result }))
  if (flags.json === true)
    print(JSON.stringify({ [part]: result.tasks, loss: result.loss, rows: result.rows, unknownValues: result.unknownValues }))
  return exitCodes.ok
}
