// Searches for a good setting on the validation rows of the census table, then trains it with three seeds and shows the test AUC of both
// tasks beside those of expected.json. The test rows are read at the end alone.
//   node examples/census/tune.js --data census-income.csv.gz [--trials 40] [--path trials.jsonl]
// With --path the search can be ended and resumed.

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  adam,
  binary,
  Dataset,
  dense,
  earlyStopping,
  integers,
  logUniform,
  MMoE,
  oneOf,
  PLE,
  SharedBottom,
  sparse,
  tune,
  tuneProgress,
  tuneTable,
  uniform,
} from 'multigate'

const { values: options } = parseArgs({
  options: { data: { type: 'string' }, trials: { type: 'string', default: '40' }, path: { type: 'string' } },
})
if (options.data === undefined) {
  console.error('--data: expected the path of census-income.csv.gz; examples/census/README.md says where to get it')
  process.exit(2)
}

const read = (name) => JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'))
const [{ features: groups, split }, { models: expected }] = [read('census.json'), read('expected.json')]
const [categories, numbers] = groups.map(({ names }) => names)
const types = Object.fromEntries([...categories, 'income_50k', 'marital_stat'].map((name) => [name, 'string']))
const { train, validation, test } = (await Dataset.fromCsv(options.data, { types })).split(split)

const tasks = [
  binary('income_50k', { positive: ' 50000+.' }),
  binary('never_married', { label: 'marital_stat', positive: ' Never married' }),
]

const space = {
  body: oneOf('MMoE', 'PLE', 'SharedBottom'),
  units: oneOf(16, 32, 64),
  experts: oneOf(2, 4),
  tower: oneOf(8, 32),
  dim: oneOf(4, 8, 16),
  // Numbers as they are, their logarithms, or these and an embedding of each value beside them.
  numbers: oneOf('plain', 'logarithms', 'both'),
  dropout: uniform(0, 0.5),
  l2: logUniform(1e-7, 1e-4),
  rate: logUniform(5e-4, 5e-3),
  batch: oneOf(512, 1024, 2048),
  patience: integers(2, 4),
}

const bodies = {
  MMoE: (common, { units, experts }) => new MMoE({ ...common, numExperts: 2 * experts, expertHiddenUnits: [units] }),
  PLE: (common, { units, experts }) => {
    const own = { numSharedExperts: experts, numSpecificExperts: experts / 2, expertHiddenUnits: [units] }
    return new PLE({ ...common, ...own, numLevels: 2 })
  },
  SharedBottom: (common, { units }) => new SharedBottom({ ...common, bottomHiddenUnits: [4 * units] }),
}

function setting(choice, seed = 1) {
  const { body, tower, dim, dropout, l2, rate, batch, patience } = choice
  const common = {
    features: featuresOf(choice),
    tasks,
    towerHiddenUnits: [tower],
    dropout,
    l2: { embedding: l2 },
    seed,
    threads: 1,
  }
  const callbacks = [earlyStopping({ monitor: 'val_auc', patience })]
  const fit = { batchSize: batch, epochs: 20, optimizer: adam({ learningRate: rate }), callbacks }
  return { model: bodies[body]({ ...common, sparseUpdate: 'exact' }, { ...choice, dim }), fit }
}

function featuresOf({ dim, numbers: form }) {
  const transform = form === 'plain' ? 'standardize' : 'log1pStandardize'
  return [
    ...categories.map((name) => sparse(name, { dim })),
    ...numbers.map((name) => dense(name, { transform })),
    ...(form === 'both' ? numbers.map((name) => sparse(`${name} value`, { column: name, dim, minCount: 5 })) : []),
  ]
}

const { model, ...result } = await tune({
  train,
  validation,
  space,
  trials: Number(options.trials),
  seed: 1,
  path: options.path,
  monitor: 'val_auc',
  prune: true,
  create: (choice) => setting(choice),
  onTrial: tuneProgress(),
})
model.dispose()
console.log(tuneTable(result))

await measure(`trial ${result.best.trial}`, result.best.choice)
// What the numbers' embeddings do: the other models of expected.json have none.
await measure('the same with plain numbers', { ...result.best.choice, numbers: 'plain' })

async function measure(title, choice) {
  const found = []
  for (const seed of [1, 2, 3]) {
    const { model, fit } = setting(choice, seed)
    await model.fit(train, { ...fit, validation })
    found.push((await model.evaluate(test)).tasks)
    model.dispose()
  }
  console.log(`\ntest AUC of ${title}, three seeds`)
  for (const { name } of tasks) {
    const aucs = found.map((tasks) => tasks[name].auc)
    const mean = aucs.reduce((sum, auc) => sum + auc, 0) / aucs.length
    const deviation = Math.sqrt(aucs.reduce((sum, auc) => sum + (auc - mean) ** 2, 0) / (aucs.length - 1))
    console.log(`${name}  ${mean.toFixed(4)} ± ${deviation.toFixed(4)}  (${aucs.map((auc) => auc.toFixed(4)).join(' ')})`)
    for (const [other, row] of Object.entries(expected)) {
      if (row[name] === undefined) continue
      const difference = mean - row[name]
      console.log(`  ${other.padEnd(20)} ${row[name].toFixed(4)}  ${difference >= 0 ? '+' : ''}${difference.toFixed(4)}`)
    }
  }
}
