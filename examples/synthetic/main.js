// Two regression tasks of a chosen relatedness, as in the MMoE paper: which model copes with tasks that differ?
//   node examples/synthetic/main.js [rows] [seeds]

import { adam, Dataset, dense, MMoE, OMoE, regression, SharedBottom } from 'multigate'

const rows = Number(process.argv[2] ?? 20_000)
const seeds = Number(process.argv[3] ?? 3)
const width = 100
const [low, high] = [
  [1, 0.8, 0.6],
  [0.5, 1.5, 2.5],
] // phases and frequencies of the sines

function numbers(seed) {
  let state = seed >>> 0
  const uniform = () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}

/** Columns x0, x1, ... and the targets y0 and y1 of two tasks whose weights have this cosine. */
function draw(cosine, seed) {
  const normal = numbers(seed)
  const unit = () => {
    const vector = Array.from({ length: width }, normal)
    const norm = Math.hypot(...vector)
    return vector.map((value) => value / norm)
  }
  const u1 = unit()
  const raw = unit()
  const along = raw.reduce((sum, value, k) => sum + value * u1[k], 0)
  const rest = raw.map((value, k) => value - along * u1[k])
  const norm = Math.hypot(...rest)
  const weights = [u1, u1.map((value, k) => cosine * value + Math.sqrt(1 - cosine ** 2) * (rest[k] / norm))]
  const x = Array.from({ length: width }, () => Float32Array.from({ length: rows }, normal))
  const labels = weights.map((weight) =>
    Float32Array.from({ length: rows }, (_, row) => {
      const sum = weight.reduce((total, value, k) => total + value * x[k][row], 0)
      return sum + high.reduce((total, frequency, k) => total + Math.sin(frequency * sum + low[k]), 0) + 0.01 * normal()
    }),
  )
  return Dataset.fromColumns({ ...Object.fromEntries(x.map((values, k) => [`x${k}`, values])), y0: labels[0], y1: labels[1] })
}

const common = {
  features: Array.from({ length: width }, (_, k) => dense(`x${k}`, { transform: 'none' })),
  tasks: [regression('y0'), regression('y1')],
  towerHiddenUnits: [8],
}
const models = {
  'shared bottom': (seed) => new SharedBottom({ ...common, seed, bottomHiddenUnits: [113] }),
  OMoE: (seed) => new OMoE({ ...common, seed, numExperts: 8, expertHiddenUnits: [16] }),
  MMoE: (seed) => new MMoE({ ...common, seed, numExperts: 8, expertHiddenUnits: [16] }),
}

console.log(`${rows.toLocaleString('en-US')} rows, ${seeds} seeds; mean squared error of both tasks on a fifth of the rows`)
console.log(
  `cosine   ${Object.keys(models)
    .map((name) => name.padStart(14))
    .join('')}`,
)
for (const cosine of [0.5, 0.9, 1]) {
  const cells = []
  for (const create of Object.values(models)) {
    let sum = 0
    for (let seed = 1; seed <= seeds; seed++) {
      const data = draw(cosine, 100 * seed)
      const model = create(seed)
      await model.fit(data.slice(0, rows * 0.8), { batchSize: 256, epochs: 30, optimizer: adam({ learningRate: 0.003 }) })
      const { tasks } = await model.evaluate(data.slice(rows * 0.8))
      model.dispose()
      sum += (tasks.y0.rmse ** 2 + tasks.y1.rmse ** 2) / 2 / seeds
    }
    cells.push(sum.toFixed(4).padStart(14))
  }
  console.log(`${cosine.toFixed(1).padEnd(9)}${cells.join('')}`)
}
