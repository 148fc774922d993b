// Trains an MMoE and a PLE on a click log and compares their AUC with the best possible one: that of the true probabilities, which are
// known because the log was drawn from them. `npm start` runs it.
//   node examples/click-log/main.js [rows] [folder to save the models in]

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { adam, auc, binary, Dataset, dense, earlyStopping, gatesTable, MMoE, PLE, progress, sequence, sparse } from 'multigate'

import { clickLog, taskNames, vocabulary } from './log.js'

const rows = Number(process.argv[2] ?? 1_000_000)
const folder = process.argv[3] ?? 'build'

console.log(`drawing ${rows.toLocaleString('en-US')} impressions ...`)
const { columns, probabilities } = clickLog({ rows, seed: 7 })
const log = Dataset.fromColumns(columns)
const [train, validation, test] = [log.slice(0, rows * 0.8), log.slice(rows * 0.8, rows * 0.9), log.slice(rows * 0.9)]

const common = {
  features: [
    ...['user', 'region', 'age_band', 'item', 'author'].map((name) => sparse(name, { vocabulary: vocabulary[name], dim: 8 })),
    sequence('tags', { vocabulary: vocabulary.tags, dim: 8, maxLength: 4, combiner: 'mean' }),
    dense('hours_old', { transform: 'log1p' }),
  ],
  tasks: taskNames.map((name) => binary(name)),
  towerHiddenUnits: [32],
  seed: 1,
}
const models = [
  new MMoE({ ...common, numExperts: 6, expertHiddenUnits: [64] }),
  new PLE({ ...common, numLevels: 2, numSharedExperts: 2, numSpecificExperts: 1, expertHiddenUnits: [48] }),
]
await mkdir(folder, { recursive: true })
for (const model of models) {
  console.log()
  await run(model, join(folder, `click-log-${model.name.toLowerCase()}.safetensors`))
  model.dispose()
}

async function run(model, path) {
  const history = await model.fit(train, {
    validation,
    batchSize: 2048,
    epochs: 20,
    optimizer: adam({ learningRate: 0.002 }),
    callbacks: [earlyStopping({ monitor: 'val_auc', patience: 2 }), progress()],
  })
  const result = await model.evaluate(test)
  await model.save(path)

  console.log('\ntask      happens  test AUC  best possible  share of what can be known')
  for (const task of taskNames) {
    const best = auc({ scores: probabilities[task].slice(rows * 0.9), labels: columns[task].slice(rows * 0.9) }).value
    const { auc: reached, positives, rows: tested } = result.tasks[task]
    const share = (reached - 0.5) / (best - 0.5)
    const cells = [task.padEnd(8), percent(positives / tested), reached.toFixed(4), best.toFixed(4).padStart(11), percent(share)]
    console.log(cells.join('    '))
  }
  console.log('\nmean weight of each expert at the gate of each task')
  console.log(gatesTable(await model.gates(test)))

  const seconds = history.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
  const perSecond = Math.round((train.rows * history.epochs.length) / seconds)
  console.log(
    `\n${history.epochs.length} epochs in ${seconds.toFixed(0)} s, ${perSecond.toLocaleString('en-US')} rows/s; saved to ${path}`,
  )
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`.padStart(6)
}
