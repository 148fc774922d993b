// What the benchmarks of training steps share: their data, the model's options, and the table of medians beside the plain step.
import { binary, Dataset, sparse } from 'multigate'

export const batchSize = 10_240

const ids = ['userid', 'feedid', 'authorid', 'singer']
const names = ['read', 'like', 'click', 'forward']

/** Random rows of four ids, each below `idsEach`, with four labels. */
export function clicks(rows, idsEach) {
  let state = 1
  const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648
  return Dataset.fromColumns(
    Object.fromEntries([
      ...ids.map((name) => [name, Int32Array.from({ length: rows }, () => Math.floor(idsEach * random()))]),
      ...names.map((name) => [name, Float32Array.from({ length: rows }, () => Number(random() < 0.3))]),
    ]),
  )
}

/** Options of a model for these rows. */
export const common = {
  features: ids.map((name) => sparse(name, { dim: 16 })),
  tasks: names.map((name) => binary(name)),
  bottomHiddenUnits: [64],
  towerHiddenUnits: [16],
  seed: 1,
}

/** Options of its experts. */
export const experts = { expertHiddenUnits: [32], numExperts: 20 }

export const median = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]

/** Rows of a table. `seconds`: those of an epoch of `rows` rows in every round, by name; the first name is the plain step. */
export function besidePlain(seconds, rows) {
  const [plain] = Object.values(seconds).map(median)
  return Object.entries(seconds).map(([name, all]) => ({
    step: name,
    'ms a step': Number(((1000 * median(all) * batchSize) / rows).toFixed(2)),
    'x plain': Number((median(all) / plain).toFixed(2)),
    spread: `${(Math.min(...all) / plain).toFixed(2)} to ${(Math.max(...all) / plain).toFixed(2)}`,
  }))
}

/** Processor seconds of the second of two epochs: the first one also prepares. */
export async function processorSeconds(net, data, fit = {}) {
  const used = []
  const callbacks = [() => void used.push(process.cpuUsage())]
  await net.fit(data, { batchSize, epochs: 2, callbacks, ...fit })
  const { user, system } = process.cpuUsage(used[0])
  return (user + system) / 1e6
}
