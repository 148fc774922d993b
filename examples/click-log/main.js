// Trains an MMoE on a click log and sets its AUC beside the best that anyone could reach: the AUC of the true
// probabilities, which are known because the log was drawn from them. `npm start` runs it.
//   node examples/click-log/main.js [rows] [file to save the model in]

import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { adam, auc, binary, Dataset, dense, earlyStopping, MMoE, progress, sequence, sparse } from 'multigate'

import { clickLog, taskNames, vocabulary } from './log.js'

const rows = Number(process.argv[2] ?? 1_000_000)
const path = process.argv[3] ?? 'build/click-log.safetensors'

console.log(`drawing ${rows.toLocaleString('en-US')} impressions ...`)
const { columns, probabilities } = clickLog({ rows, seed: 7 })
const log = Dataset.fromColumns(columns)
const [train, validation, test] = [log.slice(0, rows * 0.8), log.slice(rows * 0.8, rows * 0.9), log.slice(rows * 0.9)]

const model = new MMoE({
  features: [
    ...['user', 'region', 'age_band', 'item', 'author'].map((name) => sparse(name, { vocabulary: vocabulary[name], dim: 8 })),
    sequence('tags', { vocabulary: vocabulary.tags, dim: 8, maxLength: 4, combiner: 'mean' }),
    dense('hours_old', { transform: 'log1p' }),
  ],
  tasks: taskNames.map((name) => binary(name)),
  numExperts: 6,
  expertHiddenUnits: [64],
  towerHiddenUnits: [32],
  seed: 1,
})
const history = await model.fit(train, {
  validation,
  batchSize: 2048,
  epochs: 20,
  optimizer: adam({ learningRate: 0.002 }),
  callbacks: [earlyStopping({ monitor: 'val_auc', patience: 2 }), progress()],
})
const result = await model.evaluate(test)
await mkdir(dirname(path), { recursive: true })
await model.save(path)

console.log('\ntask      happens  test AUC  best possible  share of what can be known')
for (const task of taskNames) {
  const best = auc({ scores: probabilities[task].slice(rows * 0.9), labels: columns[task].slice(rows * 0.9) }).value
  const { auc: reached, positives, rows: tested } = result.tasks[task]
  const share = (reached - 0.5) / (best - 0.5)
  const cells = [
    task.padEnd(8),
    percent(positives / tested, 1),
    reached.toFixed(4),
    best.toFixed(4).padStart(11),
    percent(share, 1),
  ]
  console.log(cells.join('    '))
}
const seconds = history.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
const perSecond = Math.round((train.rows * history.epochs.length) / seconds)
console.log(
  `\n${history.epochs.length} epochs in ${seconds.toFixed(0)} s, ${perSecond.toLocaleString('en-US')} rows/s; saved to ${path}`,
)

function percent(share, digits) {
  return `${(100 * share).toFixed(digits)}%`.padStart(6)
}
model.dispose()
