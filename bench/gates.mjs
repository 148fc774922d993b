// What steering the gates costs: the time of an epoch with each option, beside the plain one, for an MMoE of 20 experts and four tasks.
//   npm run bench:gates -- [--rows 40960] [--rounds 7]
import { parseArgs } from 'node:util'

import { binary, Dataset, MMoE, sparse } from 'multigate'

const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '40960' }, rounds: { type: 'string', default: '7' } },
})
const rows = Number(options.rows)
const rounds = Number(options.rounds)

let state = 1
function random() {
  state = (state * 1103515245 + 12345) % 2147483648
  return state / 2147483648
}

const ids = ['userid', 'feedid', 'authorid', 'singer']
const names = ['read', 'like', 'click', 'forward']
const data = Dataset.fromColumns(
  Object.fromEntries([
    ...ids.map((name) => [name, Int32Array.from({ length: rows }, () => Math.floor(5000 * random()))]),
    ...names.map((name) => [name, Float32Array.from({ length: rows }, () => Number(random() < 0.3))]),
  ]),
)
const gateTemperature = { schedule: 'exponential', start: 4, end: 1, epochs: 10 }
const ways = {
  plain: {},
  temperature: { gateTemperature },
  'noise or dropout': { gateNoise: 0.1 },
  all: { gateTemperature, gateNoise: 0.1, gateDropout: 0.1 },
}
const nets = Object.entries(ways).map(([name, own]) => {
  const net = new MMoE({
    features: ids.map((id) => sparse(id, { dim: 16 })),
    tasks: names.map((task) => binary(task)),
    bottomHiddenUnits: [64],
    towerHiddenUnits: [16],
    numExperts: 20,
    expertHiddenUnits: [32],
    seed: 1,
    ...own,
  })
  return { name, net, seconds: [] }
})
for (let round = 0; round <= rounds; round += 1) {
  for (const { net, seconds } of nets) {
    const before = process.cpuUsage()
    await net.fit(data, { batchSize: 10240, epochs: 2 })
    const { user, system } = process.cpuUsage(before)
    if (round > 0) seconds.push((user + system) / 1e6)
  }
}
const [plain] = nets
const table = nets.map(({ name, seconds }) => {
  const ratios = seconds.map((value, round) => value / plain.seconds[round]).toSorted((one, other) => one - other)
  const middle = ratios[Math.floor(ratios.length / 2)]
  const [least, median, most] = [ratios[0], middle, ratios.at(-1)].map((ratio) => ratio.toFixed(2))
  return { gates: name, 'processor seconds of 2 epochs': Math.min(...seconds).toFixed(3), median, least, most }
})
console.table(table)
