// `multigate verify`: checks that this machine computes correct results. Exit code 1 if a place fails.

import { Command } from 'commander'

import { table } from '../../report/text.js'
import { type PlaceReport, placesOf, verify as verifyPlace } from '../../verify/verify.js'
import { exitCodes } from '../exit.js'
import { integer } from '../options.js'
import { print, status } from '../terminal.js'

export function verify(done: (code: number) => void): Command {
  return new Command('verify')
    .description('check every instruction set and GPU of this machine against the float64 reference')
    .option('--levels <n>', 'random levels to check in each place', integer(1), 40)
    .option('--json', 'print one JSON object as the last line of stdout')
    .action(async ({ levels, json = false }: { levels: number; json?: boolean }) => {
      const reports: PlaceReport[] = []
      for (const place of placesOf()) {
        status(`${nameOf(place)} ...`)
        reports.push(await verifyPlace(place, levels))
      }
      status('')
      print(reportTable(reports))
      if (json) print(JSON.stringify({ places: reports }))
      done(reports.every(({ passed }) => passed) ? exitCodes.ok : exitCodes.failed)
    })
}

function nameOf({ device, isa }: Pick<PlaceReport, 'device' | 'isa'>): string {
  return isa === undefined ? device : `${device} ${isa}`
}

function reportTable(reports: readonly PlaceReport[]): string {
  const header = ['where', 'precision', 'outputs and gradients', 'at most', 'after training', 'at most', 'any threads', '']
  return table(
    header,
    reports.map((report) => [
      nameOf(report),
      report.precision,
      report.levelError.toExponential(1),
      report.levelLimit.toExponential(0),
      report.trainingError.toExponential(1),
      report.trainingLimit.toExponential(0),
      report.sameBits ? 'same bits' : 'OTHER BITS',
      report.passed ? 'passed' : 'FAILED',
    ]),
  )
}
