// `multigate evaluate`: losses and metrics of a saved model on a file that has labels.

import { Command } from 'commander'

import { resultsTable } from '../../report/results.js'
import { loadModel } from '../../training/load.js'
import { readPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'
import { print } from '../terminal.js'

export function evaluate(done: (code: number) => void): Command {
  const command = new Command('evaluate')
    .description('measure a saved model on labelled data')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--json', 'print one JSON object as the last line of stdout')
  return withCompute(withData(command)).action(async (path: string, flags: ComputeFlags & DataFlags & { json?: boolean }) => {
    using model = await loadModel(path, computeOf(flags))
    const result = await model.evaluate(await readPart(flags.data, model.csvOptions({ labels: true }), flags))
    const part = flags.part ?? 'data'
    print(resultsTable({ [part]: result }))
    if (flags.json === true)
      print(JSON.stringify({ [part]: result.tasks, loss: result.loss, rows: result.rows, unknownValues: result.unknownValues }))
    done(exitCodes.ok)
  })
}
