// What balancing costs: the time of an epoch by each way of it, beside the plain step, for four models of four tasks.
//   npm run bench:balance -- [--rows 40960] [--rounds 5]
import { parseArgs } from 'node:util'

import { binary, Dataset, MMoE, OMoE, PLE, SharedBottom, sparse } from 'multigate'

const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '40960' }, rounds: { type: 'string', default: '5' } },
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
const columns = Object.fromEntries([
  ...ids.map((name) => [name, Int32Array.from({ length: rows }, () => Math.floor(5000 * random()))]),
  ...names.map((name) => [name, Float32Array.from({ length: rows }, () => Number(random() < 0.3))]),
])
const data = Dataset.fromColumns(columns)
const common = {
  features: ids.map((name) => sparse(name, { dim: 16 })),
  tasks: names.map((name) => binary(name)),
  bottomHiddenUnits: [64],
  towerHiddenUnits: [16],
  seed: 1,
}
const experts = { expertHiddenUnits: [32] }
const models = {
  SharedBottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [128, 64] }),
  OMoE: () => new OMoE({ ...common, ...experts, numExperts: 20 }),
  MMoE: () => new MMoE({ ...common, ...experts, numExperts: 20 }),
  PLE: () => new PLE({ ...common, ...experts, numSharedExperts: 4, numSpecificExperts: 2 }),
}
const balances = {
  fixed: 'fixed',
  uncertainty: 'uncertainty',
  gls: 'gls',
  famo: 'famo',
  'upgrad, representation': { method: 'upgrad', on: 'representation' },
  'upgrad, parameters': { method: 'upgrad', on: 'parameters' },
}

const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]
const table = []
for (const [model, make] of Object.entries(models)) {
  const seconds = Object.fromEntries(Object.keys(balances).map((name) => [name, []]))
  const net = make()
  await net.fit(data, { batchSize: 10240 })
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, balance] of Object.entries(balances)) {
      const { epochs } = await net.fit(data, { batchSize: 10240, epochs: 2, balance })
      seconds[name].push(epochs[1].seconds)
    }
  }
  net.dispose()
  const plain = median(seconds.fixed)
  for (const [name, all] of Object.entries(seconds)) {
    table.push({
      model,
      balance: name,
      'ms a step': Number(((1000 * median(all) * 10240) / rows).toFixed(2)),
      'x plain': Number((median(all) / plain).toFixed(2)),
      spread: `${(Math.min(...all) / plain).toFixed(2)} to ${(Math.max(...all) / plain).toFixed(2)}`,
    })
  }
}
console.table(table)
