// `multigate predict`: scores of a file's rows as CSV, one line per row in their order, one column per task.

import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Command } from 'commander'

import { loadModel } from '../../training/load.js'
import { readPart } from '../data.js'
import { exitCodes } from '../exit.js'
import { type ComputeFlags, computeOf, type DataFlags, withCompute, withData } from '../options.js'

export function predict(done: (code: number) => void): Command {
  const command = new Command('predict')
    .description('score rows with a saved model; labels are not needed')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--out <file>', 'write there instead of stdout, .csv')
  return withCompute(withData(command)).action(async (path: string, flags: ComputeFlags & DataFlags & { out?: string }) => {
    using model = await loadModel(path, computeOf(flags))
    const data = await readPart(flags.data, flags)
    const lines = Readable.from(csv(await model.predict(data), data.rows))
    if (flags.out === undefined) await pipeline(lines, process.stdout, { end: false })
    else await pipeline(lines, createWriteStream(flags.out))
    done(exitCodes.ok)
  })
}

const linesAtOnce = 10_000

function* csv(scores: Readonly<Record<string, Float32Array>>, rows: number): Generator<string, void, undefined> {
  yield `${Object.keys(scores).map(quoted).join(',')}\n`
  const columns = Object.values(scores)
  for (let start = 0; start < rows; start += linesAtOnce) {
    let text = ''
    for (let row = start; row < Math.min(start + linesAtOnce, rows); row += 1) {
      // Nine digits give the same float32 back.
      text += `${columns.map((column) => Number((column[row] ?? Number.NaN).toPrecision(9))).join(',')}\n`
    }
    yield text
  }
}

function quoted(name: string): string {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}
