// How long each call blocks the thread for timers and requests.
//   npm run bench -- gaps [--rows 10000000] [--table 5000000] [--json FILE]

import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { Command } from 'commander'
import { gaps } from '../dist/bench/gaps.js'
import { gapTable } from '../dist/cli/commands/bench.js'
import { integer } from '../dist/cli/options.js'

/** The command, which prints a table. */
export function gapsCommand() {
  return new Command('gaps')
    .description('the longest gap of a timer of 5 ms while each call runs')
    .option('--rows <n>', 'rows of the data', integer(100), 1_000_000)
    .option('--table <n>', 'rows of an embedding table of 64 numbers each', integer(2), 100_000)
    .option('--json <file>', 'write the results there too')
    .action(async ({ json, ...options }) => {
      const results = await printGaps(options)
      if (json)
        writeFileSync(json, `${JSON.stringify({ node: process.version, cpu: cpus()[0]?.model, ...options, results }, null, 2)}\n`)
    })
}

/** Runs them and prints the table. */
export async function printGaps({ rows = 1_000_000, table = 100_000 } = {}) {
  const results = []
  for await (const result of gaps({ rows, table })) results.push(result)
  console.log(gapTable(results))
  return results
}
