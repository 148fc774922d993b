// Where a GPU reads the rows that it trains on: the same bits from its own memory and from the host's, batch after batch.

import { afterEach, describe, expect, it } from 'vitest'

import type { DataPlacement } from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'
import { columnsOf, densePlan, floats } from '../native/programs.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'
import { onCuda, usable } from './usable.js'

const rows = data({ rows: 300 })
const options = { batchSize: 64, epochs: 3 } as const // four whole batches and a smaller one
const isEmulated = usable && JSON.stringify(loadNative().devices()).includes('emulated')

afterEach(() => {
  delete process.env.MULTIGATE_EMULATED_FREE_BYTES
})

async function trained(place: DataPlacement | undefined, shuffle = true) {
  using net = model({ device: 'cuda', seed: 3 })
  const { epochs } = await net.fit(rows, { ...options, shuffle, dataPlacement: place })
  return { losses: epochs.map(({ loss }) => loss), scores: await net.predict(rows) }
}

describe.skipIf(!usable)(onCuda('fit({ dataPlacement }) on cuda'), () => {
  it.each([true, false])("gives the same bits for 'auto', 'device' and 'host' (shuffle: %s)", async (shuffle) => {
    const auto = await trained(undefined, shuffle)
    expect(await trained('device', shuffle)).toEqual(auto)
    expect(await trained('host', shuffle)).toEqual(auto)
  })

  it('goes on where a run was stopped in the middle of an epoch, in another order', async () => {
    const interrupted = async (place: DataPlacement) => {
      using net = model({ device: 'cuda', seed: 3 })
      const stop = new AbortController()
      const onStep = ({ step }: { step: number }) => step === 2 && stop.abort()
      await expect(
        net.fit(rows, { ...options, dataPlacement: place, signal: stop.signal, callbacks: [{ onStep }] }),
      ).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ABORTED' })
      await net.fit(rows, { ...options, dataPlacement: place, shuffle: false })
      return await net.predict(rows)
    }
    expect(await interrupted('host')).toEqual(await interrupted('device'))
  })

  it('brings the rows that are asked for, whichever were expected next', async () => {
    const { plan } = densePlan('cuda')
    const x = Float32Array.from({ length: 24 }, (_, index) => (index * 7) % 11)
    const columns = columnsOf([{ data: x, width: 3, limit: 0 }], 8)
    const run = (place: DataPlacement, start: number, count: number, shuffled: boolean): number[] => {
      const y = floats('cuda', 2 * count)
      plan.run({
        rows: count,
        columns,
        columnOf: [0],
        start,
        shuffled,
        data: place,
        outputs: [y],
        scalars: new Float64Array(0),
        threads: 1,
      })
      return [...y]
    }
    const asked = [
      [0, 2],
      [2, 2],
      [4, 2],
      [2, 2],
      [4, 3],
      [4, 2],
      [6, 2],
      [0, 2],
    ] as const
    const inAllOrders = async (place: DataPlacement): Promise<number[][]> => {
      const straight = asked.map(([start, count]) => run(place, start, count, false))
      const shuffled: number[][] = []
      for (const [epoch, [start, count]] of asked.entries()) {
        await columns.shuffleAsync(1, epoch) // the rows that were expected are others now
        shuffled.push(run(place, start, count, true))
      }
      return [...straight, ...shuffled, run(place, 2, 2, false)]
    }
    expect(await inAllOrders('host')).toEqual(await inAllOrders('device'))
    columns.dispose()
  })

  it.each(['device', 'host'] as const)('reads what was written last, %s', (place) => {
    const { plan } = densePlan('cuda')
    const columns = columnsOf([{ data: new Float32Array(12), width: 3, limit: 0 }], 4)
    const read = (): number => {
      const outputs = [floats('cuda', 2)]
      const request = {
        rows: 1,
        start: 1,
        columns,
        columnOf: [0],
        data: place,
        outputs,
        scalars: new Float64Array(0),
        threads: 1,
      }
      plan.run(request)
      return (outputs[0]?.[0] ?? NaN) - 10
    }
    expect(read()).toBe(0)
    columns.write(1, [new Float32Array([1, 2, 3])])
    expect(read()).toBe(1 + 3 * 2 + 5 * 3)
    columns.dispose()
  })

  it.skipIf(!isEmulated)('takes the host where the set does not fit, unless the device was asked for', async () => {
    const want = await trained('device')
    process.env.MULTIGATE_EMULATED_FREE_BYTES = '1000'
    expect(await trained('auto')).toEqual(want)
    await expect(trained('device')).rejects.toThrow(refusal('OUT_OF_MEMORY', { says: ['1 MiB', "'auto'", "'host'"] }))
  })
})

describe('fit({ dataPlacement })', () => {
  it('refuses the memory of a device that has none, and what is no place', async () => {
    const refused = async (place: unknown, wrong: Error) => {
      using net = model({ device: 'cpu' })
      await expect(net.fit(rows, { dataPlacement: place as DataPlacement })).rejects.toThrow(wrong)
    }
    await refused('device', refusal('ARGUMENT', { field: 'fit.dataPlacement', says: ["'auto'", "'host'", '"device"', "'cpu'"] }))
    await refused('disk', refusal('ARGUMENT', { field: 'fit.dataPlacement' }))
  })

  it.each(['auto', 'host'] as const)("takes '%s' on the CPU", async (place) => {
    using net = model({ device: 'cpu' })
    expect((await net.fit(rows, { dataPlacement: place })).epochs).toHaveLength(1)
  })
})
