// What the options of a step cost: the processor time of an epoch with each of them beside the plain step, for MMoE on one thread. With --batch:
// rows per second and the memory of the process with batches of that size, to compare sizes in processes of their own.
//   npm run bench:options -- [--rows 81920] [--rounds 7] [--batch 10240]
import { parseArgs } from 'node:util'

import { adam, binary, Dataset, MMoE, rowwiseAdagrad, sparse } from 'multigate'

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '81920' },
    rounds: { type: 'string', default: '7' },
    batch: { type: 'string' },
  },
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
    ...ids.map((name) => [name, Int32Array.from({ length: rows }, () => Math.floor(50_000 * random()))]),
    ...names.map((name) => [name, Float32Array.from({ length: rows }, () => Number(random() < 0.3))]),
  ]),
)
const net = new MMoE({
  features: ids.map((name) => sparse(name, { dim: 16 })),
  tasks: names.map((name) => binary(name)),
  bottomHiddenUnits: [64],
  expertHiddenUnits: [32],
  numExperts: 20,
  towerHiddenUnits: [16],
  seed: 1,
  ...(options.batch === undefined && { threads: 1 }),
})

const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]
const optimizer = adam({ learningRate: 0.001 })

if (options.batch === undefined) {
  const steps = {
    plain: {},
    'adagrad of rows': { optimizers: { embedding: rowwiseAdagrad() } },
    'clip.value': { clip: { value: 0.01 } },
    'clip.norm': { clip: { norm: 0.01 } },
    'clip.taskNorm': { clip: { taskNorm: 0.01 } },
    ema: { ema: {} },
  }
  const seconds = Object.fromEntries(Object.keys(steps).map((name) => [name, []]))
  await net.fit(data, { batchSize: 10240 })
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, step] of Object.entries(steps)) {
      const used = []
      const callbacks = [() => void used.push(process.cpuUsage())]
      await net.fit(data, { batchSize: 10240, epochs: 2, optimizer, callbacks, ...step })
      const { user, system } = process.cpuUsage(used[0])
      seconds[name].push((user + system) / 1e6)
    }
  }
  const plain = median(seconds.plain)
  console.table(
    Object.entries(seconds).map(([step, all]) => ({
      step,
      'ms a step': Number(((1000 * median(all) * 10240) / rows).toFixed(2)),
      'x plain': Number((median(all) / plain).toFixed(2)),
      spread: `${(Math.min(...all) / plain).toFixed(2)} to ${(Math.max(...all) / plain).toFixed(2)}`,
    })),
  )
} else {
  const batchSize = Number(options.batch)
  await net.build(data)
  const before = process.resourceUsage().maxRSS
  const { epochs } = await net.fit(data, { batchSize, epochs: rounds, optimizer })
  const rates = epochs.slice(1).map(({ rowsPerSecond }) => Math.round(rowsPerSecond))
  console.table([
    {
      batchSize,
      'rows a second': median(rates),
      least: Math.min(...rates),
      most: Math.max(...rates),
      'MiB more than before fit': Math.round((process.resourceUsage().maxRSS - before) / 1024),
    },
  ])
}
