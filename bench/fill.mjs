// What a request costs before it is scored: microseconds of `fill` for one user and some candidates of seven features (ids as numbers and
// texts, a hash, buckets, a list, a number), as rows, as columns, and by way of a Dataset as before; `predictSync` of L1 for comparison.
//   npm run bench:fill -- [--candidates 100] [--calls 20000]
import { parseArgs } from 'node:util'

import { binary, Dataset, dense, MMoE, sequence, sparse } from 'multigate'

import { hashedNumber } from '../dist/core/hash.js'
import { median } from './steps.mjs'

const { values: options } = parseArgs({
  options: { candidates: { type: 'string', default: '100' }, calls: { type: 'string', default: '20000' } },
})
const [candidates, calls] = [Number(options.candidates), Number(options.calls)]
const [users, items, requests] = [20_000, 50_000, 64]

let state = 1
const random = (below) => {
  state = (state + 0x6d2b79f5) | 0
  let bits = Math.imul(state ^ (state >>> 15), 1 | state)
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)
  return Math.floor((((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32) * below)
}
const item = () => ({
  feedid: random(items),
  authorid: `author-${random(10_000)}`,
  song: random(1e9),
  tags: Array.from({ length: random(6) }, () => random(350)),
  length: random(600) / 10,
})
const user = () => ({ userid: random(users), device: ['phone', 'tablet', 'web'][random(3)] })

const train = await Dataset.fromRows(Array.from({ length: 100_000 }, () => ({ ...user(), ...item(), read: random(2) })))
const model = new MMoE({
  features: [
    sparse('userid', { dim: 16 }),
    sparse('device', { dim: 4 }),
    sparse('feedid', { vocabulary: items, dim: 16 }),
    sparse('authorid', { dim: 16 }),
    sparse('song', { hash: 25_000, dim: 16 }),
    sequence('tags', { dim: 16, maxLength: 5, combiner: 'mean' }),
    dense('length'),
  ],
  tasks: ['read', 'like', 'click', 'forward'].map((name) => binary(name, { label: 'read' })),
  numExperts: 20,
  expertHiddenUnits: [32],
  bottomHiddenUnits: [128],
  towerHiddenUnits: [16],
  threads: 1,
})
await model.build(train)
const batch = model.createBatch(candidates)
// As a server reads them.
const asRows = JSON.parse(
  JSON.stringify(Array.from({ length: requests }, () => [user(), Array.from({ length: candidates }, item)])),
)
const columnsOf = (rows) => Object.fromEntries(Object.keys(rows[0]).map((name) => [name, rows.map((row) => row[name])]))
const asColumns = asRows.map(([shared, rows]) => [shared, columnsOf(rows)])
const repeated = asColumns.map(([shared, columns]) => ({
  ...Object.fromEntries(Object.entries(shared).map(([name, value]) => [name, Array(candidates).fill(value)])),
  ...columns,
}))

// The least that there is to do, written by hand for this model: no checks, no counts, no copy.
const [authors, tagIds] = [new Map(), new Map()]
for (const { authorid, tags } of asRows.flatMap(([, rows]) => rows)) {
  if (!authors.has(authorid)) authors.set(authorid, authors.size + 1)
  for (const tag of tags) if (!tagIds.has(tag)) tagIds.set(tag, tagIds.size + 1)
}
function direct(rows) {
  for (let row = 0; row < rows.length; row += 1) {
    const { feedid, authorid, song, tags, length } = rows[row]
    batch.feedid[row] = feedid
    batch.authorid[row] = authors.get(authorid) ?? 0
    batch.song[row] = hashedNumber(song, 25_000)
    for (let at = 0; at < tags.length; at += 1) batch.tags[5 * row + at] = tagIds.get(tags[at]) ?? 0
    batch.length[row] = (length - 30) / 17
  }
}

const ways = {
  'fill, rows': (call) => model.fill(batch, asRows[call % requests][1], { shared: asRows[call % requests][0] }),
  'fill, columns': (call) => model.fill(batch, asColumns[call % requests][1], { shared: asColumns[call % requests][0] }),
  'fill, Dataset': (call) => model.fill(batch, Dataset.fromColumns(repeated[call % requests])),
  'direct look-ups': (call) => direct(asRows[call % requests][1]),
  predictSync: () => model.predictSync(batch),
}
const micros = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
for (let round = 0; round < 8; round += 1) {
  for (const [name, way] of Object.entries(ways)) {
    const times = new Float64Array(calls / 8)
    const before = process.cpuUsage()
    for (let call = 0; call < times.length; call += 1) {
      const start = performance.now()
      way(call)
      times[call] = 1000 * (performance.now() - start)
    }
    const { user: busy, system } = process.cpuUsage(before)
    // The first round warms up.
    if (round > 0) micros[name].push({ times: times.sort(), processor: (busy + system) / times.length })
  }
}
const at = (share) => (round) => round.times[Math.floor(share * round.times.length)]
console.table(
  Object.entries(micros).map(([name, rounds]) => ({
    'us a call': name,
    p50: Number(median(rounds.map(at(0.5))).toFixed(1)),
    p99: Number(median(rounds.map(at(0.99))).toFixed(1)),
    processor: Number(median(rounds.map(({ processor }) => processor)).toFixed(1)),
    'p50 of rounds': [0, 6]
      .map((rank) =>
        rounds
          .map(at(0.5))
          .toSorted((a, b) => a - b)
          [rank].toFixed(1),
      )
      .join(' to '),
  })),
)
