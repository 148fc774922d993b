// Trains an MMoE on a click log and sets its AUC beside the best that anyone could reach: the AUC of the true
// probabilities, which are known because the log was drawn from them. Run it with `npm start`.

import { adam, auc, binary, Dataset, dense, earlyStopping, historyTable, MMoE, progress, sequence, sparse } from 'multigate'

import { clickLog, taskNames } from './log.js'

const world = { users: 2000, items: 1500, authors: 150, tags: 40, seed: 7 }
const rows = 600_000
const path = 'click-log.safetensors'

console.log(`drawing ${rows.toLocaleString('en-US')} impressions of ${world.items} items on ${world.users} users ...`)
const { columns, probabilities } = clickLog({ ...world, rows })
const log = Dataset.fromColumns(columns)
const train = log.slice(0, rows * 0.8)
const validation = log.slice(rows * 0.8, rows * 0.9)
const test = log.slice(rows * 0.9)

const model = new MMoE({
  features: [
    sparse('user', { vocabulary: world.users, dim: 8 }),
    sparse('item', { vocabulary: world.items, dim: 8 }),
    sparse('author', { vocabulary: world.authors, dim: 8 }),
    sequence('tags', { vocabulary: world.tags, dim: 8, maxLength: 4, combiner: 'mean' }),
    dense('hours_old', { transform: 'log1p' }),
  ],
  tasks: taskNames.map((name) => binary(name)),
  numExperts: 6,
  expertHiddenUnits: [64],
  towerHiddenUnits: [16],
  l2: { embedding: 2e-6 },
  seed: 1,
})

const history = await model.fit(train, {
  validation,
  batchSize: 2048,
  epochs: 12,
  optimizer: adam({ learningRate: 0.002 }),
  callbacks: [earlyStopping({ monitor: 'val_auc', patience: 2 }), progress()],
})
const result = await model.evaluate(test)
await model.save(path)

console.log(`\n${historyTable(history)}\n`)
console.log('task      happens  test AUC  best possible  of what can be known')
for (const task of taskNames) {
  const labels = Float64Array.from(columns[task].slice(rows * 0.9))
  const best = auc({ scores: probabilities[task].slice(rows * 0.9), labels }).value
  const reached = result.tasks[task].auc
  const share = (reached - 0.5) / (best - 0.5)
  const happens = result.tasks[task].positives / result.rows
  console.log(
    `${task.padEnd(8)}  ${percent(happens, 1)}    ${reached.toFixed(4)}         ${best.toFixed(4)}                 ${percent(share, 0)}`,
  )
}
const seconds = history.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
const perSecond = Math.round((train.rows * history.epochs.length) / seconds).toLocaleString('en-US')
console.log(`\n${history.epochs.length} epochs in ${seconds.toFixed(1)} s, ${perSecond} rows/s; saved to ${path}`)
model.dispose()

function percent(share, digits) {
  return `${(100 * share).toFixed(digits)}%`.padStart(6)
}
