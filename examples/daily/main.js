// A feed whose items come and go: a model that is trained every day, beside models that are trained anew, or never again. Each is measured
// on the rows of the next day. A server follows by deltas.
//   node examples/daily/main.js [rows of a day]

import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { adam, binary, checkpoint, Dataset, dense, loadModel, MMoE, sparse } from 'multigate'

const rows = Number(process.argv[2] ?? 20_000)
const days = 8
/** Most users come rarely. */
const users = 8000
/** Items of a day, and how many of them are gone the next day. */
const items = { aDay: 300, leave: 60 }

const folder = await mkdtemp(join(tmpdir(), 'multigate-'))
const file = (name) => join(folder, name)
const options = { batchSize: 512, optimizer: adam({ learningRate: 0.005 }) }
const logs = Array.from({ length: days + 1 }, (_, day) => logOf(day))

let first
const table = []
let server
for (let day = 0; day < days; day++) {
  const [today, tomorrow] = [Dataset.fromColumns(logs[day]), Dataset.fromColumns(logs[day + 1])]
  const [before, now] = [file(`day-${day - 1}.safetensors`), file(`day-${day}.safetensors`)]
  let grown = {}
  const daily = create()
  await daily.fit(today, {
    ...options,
    from: day === 0 ? undefined : before,
    grow: { day, evictAfter: 3 },
    callbacks: [checkpoint({ path: now }), { onStart: ({ continues }) => (grown = continues?.vocabularies ?? {}) }],
  })

  // The server takes what has changed.
  if (day === 0) server = await loadModel(now)
  else {
    await daily.saveDelta(file('delta'), { since: before })
    await server.applyDelta(file('delta'))
  }
  const [own, served] = [await daily.predict(tomorrow), await server.predict(tomorrow)]
  if (own.click.some((score, row) => score !== served.click[row])) throw new Error('the server scores differently')

  const bytes = async (path) => (await stat(path)).size / 1024
  await daily.save(file('full'))
  table.push({
    day,
    'new ids': sum(grown, 'added'),
    evicted: sum(grown, 'evicted'),
    'delta, KiB': day === 0 ? '' : (await bytes(file('delta'))).toFixed(0),
    'full, KiB': (await bytes(file('full'))).toFixed(0),
    'every day': await aucOf(daily, tomorrow),
    'anew, all days': await trainedOn(joined(logs.slice(0, day + 1)), tomorrow),
    'anew, today': await trainedOn(today, tomorrow),
    'day 0 alone': await aucOf((first ??= await loadModel(now)), tomorrow),
  })
  daily.dispose()
}
console.log('AUC of clicks on the next day, of a model that was trained')
console.table(table)
for (const model of [first, server]) model.dispose()
await rm(folder, { recursive: true })

function create() {
  return new MMoE({
    features: [sparse('user', { dim: 8 }), sparse('item', { dim: 8 }), dense('age', { transform: 'log1p' })],
    tasks: [binary('click'), binary('like')],
    numExperts: 4,
    expertHiddenUnits: [16],
    seed: 1,
  })
}

async function trainedOn(data, next) {
  const model = create()
  await model.fit(data, options)
  const auc = await aucOf(model, next)
  model.dispose()
  return auc
}

async function aucOf(model, data) {
  return (await model.evaluate(data)).tasks.click.auc.toFixed(4)
}

/** The rows of a day. Users and items have tastes, which no day changes. */
function logOf(day) {
  const random = numbers(day + 1)
  const log = { user: [], item: [], age: [], click: [], like: [] }
  for (let row = 0; row < rows; row++) {
    const user = Math.floor(users * random() ** 5)
    const item = day * items.leave + Math.floor(items.aDay * random())
    const age = 1 + 47 * random()
    const match = taste(user, 1) * taste(item, 2) + taste(user, 3) * taste(item, 4) + taste(item, 5)
    log.user.push(user)
    log.item.push(`item-${item}`)
    log.age.push(age)
    log.click.push(random() < 1 / (1 + Math.exp(1.5 - 2 * match + age / 48)) ? 1 : 0)
    log.like.push(random() < 1 / (1 + Math.exp(3 - 2 * match)) ? 1 : 0)
  }
  return log
}

/** A number in [-1, 1] of a user or an item. */
function taste(id, which) {
  return 2 * numbers(97 * id + 7919 * which)() - 1
}

function joined(parts) {
  return Dataset.fromColumns(Object.fromEntries(Object.keys(parts[0]).map((name) => [name, parts.flatMap((part) => part[name])])))
}

function sum(vocabularies, what) {
  return Object.values(vocabularies).reduce((total, change) => total + change[what], 0)
}

/** Random numbers in [0, 1): mulberry32. */
function numbers(seed) {
  let state = Math.imul(seed, 0x9e3779b1) | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
