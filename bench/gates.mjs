// What steering the gates costs: the processor time of an epoch with each option, beside the plain one, for an MMoE of four tasks.
//   npm run bench:gates -- [--rows 40960] [--rounds 7]
import { parseArgs } from 'node:util'

import { MMoE } from 'multigate'

import { batchSize, besidePlain, clicks, common, experts, processorSeconds } from './steps.mjs'

const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '40960' }, rounds: { type: 'string', default: '7' } },
})
const rows = Number(options.rows)
const rounds = Number(options.rounds)
const data = clicks(rows, 5000)
const gateTemperature = { schedule: 'exponential', start: 4, end: 1, epochs: 10 }
const ways = {
  plain: {},
  temperature: { gateTemperature },
  'noise or dropout': { gateNoise: 0.1 },
  all: { gateTemperature, gateNoise: 0.1, gateDropout: 0.1 },
}
const nets = Object.entries(ways).map(([name, own]) => [name, new MMoE({ ...common, ...experts, ...own })])
const seconds = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
for (const [, net] of nets) await net.fit(data, { batchSize })
for (let round = 0; round < rounds; round += 1) {
  for (const [name, net] of nets) seconds[name].push(await processorSeconds(net, data))
}
console.table(besidePlain(seconds, rows))
