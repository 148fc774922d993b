// Every method of balancing on one table: three tasks that share two layers, one with numbers twenty times as large.
//   node examples/balancing/main.js [ROWS]
import { binary, Dataset, dense, regression, SharedBottom } from 'multigate'

const rows = Number(process.argv[2] ?? 20000)
const width = 6

/** Normal numbers from a seed. */
function normals(seed) {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

function table(seed) {
  const random = normals(seed)
  const x = Array.from({ length: rows }, () => Float32Array.from({ length: width }, random))
  const near = x.map((v) => Math.sin(2 * v[0]) + v[1] * v[2])
  const noise = () => 0.1 * random()
  return Dataset.fromColumns({
    x,
    near: near.map((value) => value + noise()),
    far: near.map((value, row) => Number(x[row][3] - value + noise() > 0)),
    size: x.map((v) => 20 * v[4] * v[5] + noise()),
  })
}

const [train, test] = [table(1), table(2)]
const tasks = [regression('near'), binary('far'), regression('size')]
const gradients = ['gradnorm', 'pcgrad', 'cagrad', 'mgda', 'upgrad', 'nashMtl', 'alignedMtl', 'imtlG']
const losses = ['fixed', 'uncertainty', 'dwa', 'rlw', 'gls', 'imtlL', 'famo', { method: 'stch', warmUp: 2 }]
const balances = [...losses, ...gradients, { method: 'upgrad', on: 'representation' }]

const lines = []
for (const balance of balances) {
  const model = new SharedBottom({ features: [dense('x', { width })], tasks, bottomHiddenUnits: [32, 16], seed: 3 })
  const { epochs } = await model.fit(train, { batchSize: 256, epochs: 8, balance })
  const { near, far, size } = (await model.evaluate(test)).tasks
  const cosine = epochs.at(-1).balance?.cosines?.near?.size
  lines.push({
    balance: typeof balance === 'string' ? balance : Object.values(balance).join(', '),
    'rmse near': near.rmse.toFixed(3),
    'auc far': far.auc.toFixed(4),
    'rmse size': size.rmse.toFixed(2),
    'cosine near, size': cosine?.toFixed(2) ?? '',
    seconds: epochs.reduce((sum, epoch) => sum + epoch.seconds, 0).toFixed(1),
  })
  model.dispose()
}
console.table(lines)
