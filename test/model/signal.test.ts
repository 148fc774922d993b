// Signals end what evaluates, predicts and looks at gates: before it begins and while it works, with the same error.

import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { columns, data, model } from '../support/small-data.js'

// More rows than one run takes.
const large = data({ rows: 150_000 })
const small = columns({ rows: 5 })
type Net = ReturnType<typeof model>
type Options = Parameters<Net['predict']>[1]

const calls: [string, (net: Net, options: Options) => Promise<unknown>][] = [
  ['evaluate', (net, options) => net.evaluate(large, options)],
  ['predict', (net, options) => net.predict(large, options)],
  ['gates', (net, options) => net.gates(large, options)],
]

describe.each(calls)('%s', (name, call) => {
  const aborted = { code: 'ERR_MULTIGATE_ABORTED', message: `${name} was aborted by its signal` }

  it('ends before it begins', async () => {
    using net = model()
    await net.build(large)
    const reason = new Error('enough')
    await expect(call(net, { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({ ...aborted, cause: reason })
    expect((await net.predict(small)).click).toHaveLength(5)
  })

  it('ends whenever it is asked to, and leaves the model as it was', async () => {
    using net = model()
    await net.build(large)
    const before = await net.predict(small)
    let cut = 0
    for (let wait = 0; ; wait = wait * 2 + 1) {
      const controller = new AbortController()
      let ended = false
      const called = call(net, { signal: controller.signal }).finally(() => {
        ended = true
      })
      for (let turn = 0; turn < wait && !ended; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      const late = ended
      controller.abort()
      const [outcome] = await Promise.allSettled([called])
      if (late) break
      // The last part may just have been done.
      if (outcome?.status === 'fulfilled') continue
      expect(outcome?.reason).toMatchObject(aborted)
      cut += 1
    }
    expect(cut).toBeGreaterThan(1)
    expect(await net.predict(small)).toEqual(before)
  })

  it('names an option that is none', async () => {
    using net = model()
    await net.build(large)
    const refused = (field: string) => ({ code: 'ERR_MULTIGATE_ARGUMENT', field })
    await expect(call(net, { signal: 3 } as never)).rejects.toMatchObject(refused(`${name}.signal`))
    await expect(call(net, { sgnal: undefined } as never)).rejects.toMatchObject(refused(`${name}.sgnal`))
  })
})

it('fit gives up a validation that is under way', async () => {
  using net = model()
  const controller = new AbortController()
  const stop = { onValidationStart: () => void setImmediate(() => controller.abort()) }
  const seen: unknown[] = []
  const callbacks = [stop, (record: unknown) => void seen.push(record)]
  const run = net.fit(data({ rows: 100 }), { validation: large, callbacks, signal: controller.signal })
  await expect(run).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ABORTED' })
  expect(seen).toEqual([])
  expect((await net.predict(small)).click).toHaveLength(5)
})

it('rows are measured in parts, and give what all at once would', async () => {
  using net = model()
  await net.fit(data({ rows: 2000 }), { epochs: 2 })
  const scores = await net.predict(large)
  const evaluation = await net.evaluate(large)
  const part = large.slice(140_000, 140_100)
  const own = await net.predict(part)
  expect([...scores.click.subarray(140_000, 140_100)]).toEqual([...own.click])
  // The loss is the cross-entropy of these very scores.
  expect(evaluation.tasks.click.loss).toBeCloseTo(evaluation.tasks.click.logloss ?? Number.NaN, 5)
  expect(evaluation.rows).toBe(150_000)
  const empty = Dataset.fromColumns(columns({ rows: 0 }))
  expect((await net.predict(empty)).click).toHaveLength(0)
})
