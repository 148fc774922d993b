// How long each call of the library blocks the thread: the longest gap between two ticks of a 5 ms timer while it runs.

import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'

import { binary, Dataset, dense, earlyStopping, loadModel, MMoE, sparse } from '../index.js'
import { randomOf } from '../verify/numbers.js'

export interface GapOptions {
  /** Rows of the data. */
  readonly rows: number
  /** Rows of the users' embedding table, 64 numbers wide. */
  readonly table: number
}

export interface GapResult {
  readonly call: string
  readonly rows: number
  readonly seconds: number
  readonly longest_gap_ms: number
}

const tickMilliseconds = 5
const items = 50_000

/** Runs one call after another and measures how long each blocks the thread. */
export async function* gaps({ rows, table }: GapOptions): AsyncGenerator<GapResult, void, undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'multigate-bench-'))
  const held: Disposable[] = []
  const timed = async <Result>(call: string, run: () => Result | Promise<Result>): Promise<[GapResult, Result]> => {
    const { seconds, gap, result } = await longestGap(run)
    return [{ call, rows, seconds, longest_gap_ms: gap }, result]
  }
  try {
    const csv = join(folder, 'rows.csv')
    await pipeline(Readable.from(textOf(rows, table)), createWriteStream(csv))
    // The first query of a process loads DuckDB.
    await Dataset.fromQuery('SELECT 1 AS one')
    const [reading, data] = await timed('fromCsv', () => Dataset.fromCsv(csv))
    yield reading
    yield (await timed('fromRows', () => Dataset.fromRows(rowsOf(rows, table))))[0]
    const [splitting, { train, validation, test }] = await timed('split', () => {
      return data.split({ rowMod: 10, validation: [8], test: [9] })
    })
    yield splitting

    const model = modelOf(table)
    held.push(model)
    yield (await timed('build', () => model.build(train)))[0]
    const options = { batchSize: 4096, epochs: 1 }
    yield (await timed('fit', () => model.fit(train, options)))[0]
    const callbacks = [earlyStopping({ patience: 1 })]
    yield (await timed('fit, stopping early', () => model.fit(train, { ...options, validation, callbacks })))[0]
    yield (await timed('evaluate', () => model.evaluate(test)))[0]
    yield (await timed('predict', () => model.predict(data)))[0]
    yield (await timed('gates', () => model.gates(data)))[0]
    const path = join(folder, 'model.safetensors')
    yield (await timed('save', () => model.save(path)))[0]
    const [loading, loaded] = await timed('loadModel', () => loadModel(path))
    held.push(loaded)
    yield loading
  } finally {
    for (const one of held) one[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  }
}

async function longestGap<Result>(
  run: () => Result | Promise<Result>,
): Promise<{ readonly result: Result; readonly seconds: number; readonly gap: number }> {
  // Let earlier work end and its memory be collected before the timing.
  await sleep(10 * tickMilliseconds)
  let gap = 0
  const start = performance.now()
  let last = start
  const tick = (): void => {
    const now = performance.now()
    gap = Math.max(gap, now - last)
    last = now
  }
  const timer = setInterval(tick, tickMilliseconds)
  try {
    const result = await run()
    tick()
    return { result, seconds: (performance.now() - start) / 1000, gap }
  } finally {
    clearInterval(timer)
  }
}

function modelOf(table: number) {
  return new MMoE({
    features: [
      sparse('user', { vocabulary: table, dim: 64 }),
      sparse('item', { dim: 8 }),
      dense('price', { transform: 'standardize' }),
    ],
    tasks: [binary('click'), binary('buy')],
    numExperts: 3,
    expertHiddenUnits: [8],
    towerHiddenUnits: [4],
    device: 'cpu',
  })
}

interface LogRow {
  readonly user: number
  readonly item: string
  readonly price: number
  readonly click: number
  readonly buy: number
  readonly [column: string]: number | string
}

function* rowsOf(rows: number, table: number): Generator<LogRow, void, undefined> {
  const random = randomOf(5)
  for (let row = 0; row < rows; row += 1) {
    const user = Math.floor(table ** random())
    yield {
      user,
      item: `item-${Math.floor(items ** random())}`,
      price: Math.round(1e4 * random()) / 100,
      click: random() < 0.3 ? 1 : 0,
      buy: (user + row) % 9 === 0 ? 1 : 0,
    }
  }
}

const rowsAtOnce = 10_000

function* textOf(rows: number, table: number): Generator<string, void, undefined> {
  let text = 'user,item,price,click,buy\n'
  let count = 0
  for (const { user, item, price, click, buy } of rowsOf(rows, table)) {
    text += `${user},${item},${price},${click},${buy}\n`
    count += 1
    if (count % rowsAtOnce !== 0) continue
    yield text
    text = ''
  }
  yield text
}
