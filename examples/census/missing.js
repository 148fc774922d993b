// Half of the training rows have no income label. Is it better to train on the rows with both labels, or on all rows with the labels that
// there are? Each way trains with some seeds; the table shows the mean test AUC of both tasks and its standard deviation.
//   node examples/census/missing.js --data census-income.csv.gz [--seeds 3] [--epochs 20]

import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { adam, binary, Dataset, dense, earlyStopping, MMoE, SingleTask, sparse } from 'multigate'

const { values: options } = parseArgs({
  options: {
    data: { type: 'string' },
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '20' },
  },
})
if (options.data === undefined) {
  console.error('--data: expected the path of census-income.csv.gz; examples/census/README.md says where to get it')
  process.exit(2)
}

const { features: groups, split } = JSON.parse(readFileSync(new URL('census.json', import.meta.url), 'utf8'))
const [categories, numbers] = groups.map(({ names }) => names)
const labels = ['income_50k', 'marital_stat']
const types = Object.fromEntries([...categories, ...labels].map((name) => [name, 'string']))
const columns = [...categories, ...numbers, ...labels]
const { train, validation, test } = (await Dataset.fromCsv(options.data, { types, columns })).split(split)

/** The training rows, every second one without an income label. */
const texts = (name) => {
  const { codes, dictionary } = train.column(name)
  return Array.from(codes, (code) => dictionary[code] ?? null)
}
const without = Dataset.fromColumns({
  ...Object.fromEntries(numbers.map((name) => [name, train.column(name).values])),
  ...Object.fromEntries([...categories, 'marital_stat'].map((name) => [name, texts(name)])),
  income_50k: texts('income_50k').map((value, row) => (row % 2 === 0 ? value : null)),
})
const withBoth = without.select(Array.from({ length: Math.ceil(without.rows / 2) }, (_, index) => 2 * index))

const income = binary('income_50k', { positive: ' 50000+.' })
const married = binary('never_married', { label: 'marital_stat', positive: ' Never married' })
const features = [...categories.map((name) => sparse(name, { dim: 8 })), ...numbers.map((name) => dense(name))]
const common = { features, towerHiddenUnits: [8], sparseUpdate: 'exact' }
const mixture = (seed) => new MMoE({ ...common, tasks: [income, married], numExperts: 8, expertHiddenUnits: [16], seed })
const single = (task) => (seed) => new SingleTask({ ...common, tasks: [task], bottomHiddenUnits: [128], seed })

const ways = [
  ['MMoE, rows with both labels', withBoth, mixture],
  ['MMoE, all rows', without, mixture],
  ['single task, rows with its label', without, single(income)],
  ['single task, all rows', without, single(married)],
  ['MMoE, all labels', train, mixture],
]

const lines = []
for (const [way, rows, make] of ways) {
  const found = []
  for (let seed = 1; seed <= Number(options.seeds); seed++) {
    const model = make(seed)
    const callbacks = [earlyStopping({ monitor: 'val_auc', patience: 3 })]
    await model.fit(rows, { validation, batchSize: 1024, epochs: Number(options.epochs), optimizer: adam(), callbacks })
    found.push((await model.evaluate(test)).tasks)
    model.dispose()
  }
  const cell = (task) => (found[0][task] === undefined ? '' : spread(found.map((tasks) => tasks[task].auc)))
  lines.push({ way, income_50k: cell('income_50k'), never_married: cell('never_married') })
}
console.table(lines)

function spread(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return `${mean.toFixed(4)} ± ${Math.sqrt(squares / Math.max(1, values.length - 1)).toFixed(4)}`
}
