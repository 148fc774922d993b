// What balancing costs: the time of an epoch by each way of it, beside the plain step, for four models of four tasks.
//   npm run bench:balance -- [--rows 40960] [--rounds 5]
import { parseArgs } from 'node:util'

import { MMoE, OMoE, PLE, SharedBottom } from 'multigate'

import { batchSize, besidePlain, clicks, common, experts } from './steps.mjs'

const { values: options } = parseArgs({
  options: { rows: { type: 'string', default: '40960' }, rounds: { type: 'string', default: '5' } },
})
const rows = Number(options.rows)
const rounds = Number(options.rounds)
const data = clicks(rows, 5000)
const { expertHiddenUnits } = experts
const models = {
  SharedBottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [128, 64] }),
  OMoE: () => new OMoE({ ...common, ...experts }),
  MMoE: () => new MMoE({ ...common, ...experts }),
  PLE: () => new PLE({ ...common, expertHiddenUnits, numSharedExperts: 4, numSpecificExperts: 2 }),
}
const balances = {
  fixed: 'fixed',
  uncertainty: 'uncertainty',
  gls: 'gls',
  famo: 'famo',
  'upgrad, representation': { method: 'upgrad', on: 'representation' },
  'upgrad, parameters': { method: 'upgrad', on: 'parameters' },
}

const table = []
for (const [model, make] of Object.entries(models)) {
  const seconds = Object.fromEntries(Object.keys(balances).map((name) => [name, []]))
  const net = make()
  await net.fit(data, { batchSize })
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, balance] of Object.entries(balances)) {
      const { epochs } = await net.fit(data, { batchSize, epochs: 2, balance })
      seconds[name].push(epochs[1].seconds)
    }
  }
  net.dispose()
  table.push(...besidePlain(seconds, rows).map((row) => ({ model, ...row })))
}
console.table(table)
