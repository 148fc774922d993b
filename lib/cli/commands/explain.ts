// `multigate explain`: why a saved model gives a row of a file its scores. It reads the file up to that row.

import { Command } from 'commander'

import { DataError } from '../../core/errors.js'
import { count } from '../../core/format.js'
import type { Dataset } from '../../data/dataset.js'
import { loadModel } from '../../model/load.js'
import type { Model } from '../../model/model.js'
import { explainTable } from '../../report/explain.js'
import { readPart, streamPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { type ComputeFlags, computeOf, type DataFlags, integer, withCompute, withData } from '../options.js'
import { note, print } from '../terminal.js'

type Flags = ComputeFlags &
  DataFlags & {
    readonly row: number
    readonly background?: string | undefined
    readonly orders?: number | undefined
    readonly json?: boolean | undefined
  }

export function explain(done: (code: number) => void): Command {
  const command = new Command('explain')
    .description('show why a saved model scores a row as it does: values, gates, and the part of each feature')
    .argument('<model>', 'a saved model, .safetensors')
    .requiredOption('--row <n>', 'number of the row, from 0', integer(0))
    .option('--background <file>', 'rows to compare with (default: a row without values)')
    .option('--orders <n>', 'in how many orders features are added (default: 128)', integer(1))
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
  const reading = { ...model.csvOptions(), signal }
  const row = await rowOf(model, flags, signal)
  const { config } = flags
  const background = flags.background === undefined ? undefined : await readPart(flags.background, reading, { config })
  const [explanation] = await model.explain(row, { background, orders: flags.orders, signal })
  if (explanation === undefined) throw new Error('a row has no explanation')
  print(explainTable(explanation))
  if (flags.json === true) print(JSON.stringify(explanation))
  return exitCodes.ok
}

async function rowOf(model: Model, flags: Flags, signal: AbortSignal): Promise<Dataset> {
  let rows = 0
  for await (const part of streamPart(flags.data, { ...model.csvOptions(), signal }, flags)) {
    if (flags.row < rows + part.rows) return part.slice(flags.row - rows, flags.row - rows + 1)
    rows += part.rows
  }
  const message = `--row: expected a row in [0, ${count(rows)}), the rows of ${flags.data}, found ${flags.row}`
  throw new DataError(message, { file: flags.data })
}
