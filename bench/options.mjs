// What the options of a step cost: the processor time of an epoch with each of them beside the plain step, for MMoE on one thread. With --batch:
// rows per second and the memory of the process with batches of that size, to compare sizes in processes of their own.
//   npm run bench:options -- [--rows 81920] [--rounds 7] [--batch 10240]
import { parseArgs } from 'node:util'

import { adam, MMoE, rowwiseAdagrad } from 'multigate'

import { batchSize, besidePlain, clicks, common, experts, median, processorSeconds } from './steps.mjs'

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '81920' },
    rounds: { type: 'string', default: '7' },
    batch: { type: 'string' },
  },
})
const rows = Number(options.rows)
const rounds = Number(options.rounds)
const data = clicks(rows, 50_000)
const net = new MMoE({ ...common, ...experts, ...(options.batch === undefined && { threads: 1 }) })
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
  await net.fit(data, { batchSize })
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, step] of Object.entries(steps))
      seconds[name].push(await processorSeconds(net, data, { optimizer, ...step }))
  }
  console.table(besidePlain(seconds, rows))
} else {
  await net.build(data)
  const before = process.resourceUsage().maxRSS
  const { epochs } = await net.fit(data, { batchSize: Number(options.batch), epochs: rounds, optimizer })
  const rates = epochs.slice(1).map(({ rowsPerSecond }) => Math.round(rowsPerSecond))
  console.table([
    {
      batchSize: Number(options.batch),
      'rows a second': median(rates),
      least: Math.min(...rates),
      most: Math.max(...rates),
      'MiB more than before fit': Math.round((process.resourceUsage().maxRSS - before) / 1024),
    },
  ])
}
