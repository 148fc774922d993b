// A click-and-buy funnel whose probabilities are known. Three ways to learn how likely a view ends in a purchase, measured on all views, also
// those without a click: buying learned on clicks alone, an ESMM, and buying as a plain task of all views.
//   node examples/funnel/main.js [rows] [seeds]

import { adam, auc, binary, Dataset, dense, ESMM, earlyStopping, MMoE, sparse } from 'multigate'

const rows = Number(process.argv[2] ?? 300_000)
const seeds = Number(process.argv[3] ?? 3)
const [users, items] = [300, 100]

/** Uniform and normal numbers from a seed: splitmix32, and Box and Muller. */
function numbers(seed) {
  let state = seed >>> 0
  const uniform = () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }
  return { uniform, normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()) }
}

const sigmoid = (z) => 1 / (1 + Math.exp(-z))

/** Views, and the true probabilities of a click, and of a purchase once there is a click. Loud items are clicked more and bought less. */
function draw(seed) {
  const { uniform, normal } = numbers(seed)
  const list = (length) => Float64Array.from({ length }, normal)
  const [curious, rich, taste] = [list(users), list(users), list(users)]
  const [loud, good, style] = [list(items), list(items), list(items)]
  const columns = { user: new Int32Array(rows), item: new Int32Array(rows), price: new Float32Array(rows) }
  const labels = { click: new Float32Array(rows), buy: new Float32Array(rows) }
  const truth = { click: new Float64Array(rows), buyAfterClick: new Float64Array(rows), wouldBuy: new Float32Array(rows) }
  for (let row = 0; row < rows; row++) {
    const [user, item] = [Math.floor(users * uniform()), Math.floor(items * uniform())]
    const price = normal()
    const match = taste[user] * style[item]
    const click = sigmoid(-2.5 + 0.5 * curious[user] + loud[item] + 0.5 * match)
    const buyAfterClick = sigmoid(-1 + 0.7 * rich[user] - 0.9 * loud[item] + 0.5 * good[item] + 0.6 * match - 0.6 * price)
    const [clicked, bought] = [uniform() < click, uniform() < buyAfterClick]
    columns.user[row] = user
    columns.item[row] = item
    columns.price[row] = price
    labels.click[row] = Number(clicked)
    labels.buy[row] = Number(clicked && bought)
    truth.click[row] = click
    truth.buyAfterClick[row] = buyAfterClick
    truth.wouldBuy[row] = Number(bought)
  }
  return { data: Dataset.fromColumns({ ...columns, ...labels }), labels, truth }
}

const features = [sparse('user', { vocabulary: users, dim: 8 }), sparse('item', { vocabulary: items, dim: 8 }), dense('price')]
const common = { features, towerHiddenUnits: [16], l2: { embedding: 1e-5 } }
const mixture = (tasks, seed) => new MMoE({ ...common, tasks, numExperts: 4, expertHiddenUnits: [32], seed })

/** Each way: its model, and the probabilities of a purchase (of a view, and after a click) by its predictions. */
const ways = {
  'on clicks alone': {
    make: (seed) => mixture([binary('click'), binary('buy', { where: { click: 1 } })], seed),
    read: ({ click, buy }) => ({ buy: buy.map((p, row) => p * click[row]), after: buy }),
  },
  ESMM: {
    make: (seed) => new ESMM({ ...common, tasks: [binary('click'), binary('buy')], bottomHiddenUnits: [64], seed }),
    read: ({ buy, buy_given_click }) => ({ buy, after: buy_given_click }),
  },
  'a plain task': {
    make: (seed) => mixture([binary('click'), binary('buy')], seed),
    read: ({ click, buy }) => ({ buy, after: buy.map((p, row) => Math.min(1, p / click[row])) }),
  },
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

/** AUC, and the mean prediction over the mean of what happened. */
function measured({ buy, after }, happened, wouldBuy) {
  return [
    auc({ scores: buy, labels: happened }).value,
    mean(buy) / mean(happened),
    auc({ scores: after, labels: wouldBuy }).value,
    mean(after) / mean(wouldBuy),
  ]
}

const found = new Map()
const add = (name, numbers) => found.set(name, [...(found.get(name) ?? []), numbers])
for (let seed = 1; seed <= seeds; seed++) {
  const { data, labels, truth } = draw(10 * seed)
  const [start, valid] = [Math.floor(0.8 * rows), Math.floor(0.7 * rows)]
  const [train, validation, test] = [data.slice(0, valid), data.slice(valid, start), data.slice(start)]
  const [happened, wouldBuy] = [labels.buy.slice(start), truth.wouldBuy.slice(start)]
  for (const [name, { make, read }] of Object.entries(ways)) {
    const model = make(seed)
    const callbacks = [earlyStopping({ patience: 2 })]
    await model.fit(train, { validation, batchSize: 1024, epochs: 20, optimizer: adam({ learningRate: 0.003 }), callbacks })
    add(name, measured(read(await model.predict(test)), happened, wouldBuy))
    model.dispose()
  }
  const after = truth.buyAfterClick.slice(start)
  add('the true probabilities', measured({ buy: after.map((p, row) => p * truth.click[start + row]), after }, happened, wouldBuy))
}

console.log(`${rows.toLocaleString('en-US')} views, ${seeds} seeds; means over all views of the last fifth`)
console.table(
  Object.fromEntries(
    [...found].map(([name, runs]) => {
      const of = (column) => mean(runs.map((run) => run[column])).toFixed(4)
      return [
        name,
        { 'AUC, buys': of(0), 'predicted / happened': of(1), 'AUC, would buy after a click': of(2), 'predicted / true': of(3) },
      ]
    }),
  ),
)
