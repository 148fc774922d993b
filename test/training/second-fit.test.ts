// A second `fit` of a model goes on where the first has left off: in orders of rows and in dropout, after a save, and after a break.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { adam } from '../../lib/optimizers/adam.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 700 })
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
const still = sgd({ learningRate: 0 })

/** The loss after every step, epoch by epoch; of weights that stand still it shows the order of rows, and what was dropped. */
async function steps(net: Pick<Model, 'fit'>, options: object): Promise<string[]> {
  const losses: number[][] = []
  const onStep = ({ epoch, loss }: { epoch: number; loss: number }): void => {
    losses[epoch - 1] = [...(losses[epoch - 1] ?? []), loss]
  }
  await net.fit(train, { batchSize: 100, optimizer: still, ...options, callbacks: [{ onStep }] })
  return losses.map((epoch) => epoch.join())
}

it.each<[string, object, object]>([
  ['orders', {}, {}],
  ['dropout', { dropout: 0.3 }, { shuffle: false }],
])('two fits of two epochs have the %s of one of four', async (_, make, options) => {
  using whole = model(make)
  using parted = model(make)
  const four = await steps(whole, { ...options, epochs: 4 })
  expect(new Set(four).size).toBe(4)
  expect([...(await steps(parted, { ...options, epochs: 2 })), ...(await steps(parted, { ...options, epochs: 2 }))]).toEqual(four)
})

it('a loaded model goes on, as the one that was saved', async () => {
  using saved = model({ dropout: 0.3 })
  const path = newPath()
  await saved.fit(train, { batchSize: 100, epochs: 2 })
  await saved.save(path)
  using loaded = await loadModel(path)
  expect(await steps(loaded, { epochs: 2 })).toEqual(await steps(saved, { epochs: 2 }))
})

it('a second fit that is broken off and resumed equals one without a break', async () => {
  const path = newPath()
  const first = { batchSize: 100, epochs: 2, optimizer: adam({ learningRate: 0.01 }) }
  const make = async () => {
    const net = model({ dropout: 0.3 })
    await net.fit(train, first)
    return net
  }
  using whole = await make()
  await whole.fit(train, { ...first, epochs: 4 })
  using broken = await make()
  await broken.fit(train, { ...first, callbacks: [checkpoint({ path })] })
  using resumed = model({ dropout: 0.3 })
  await resumed.fit(train, { ...first, epochs: 4, resume: path })
  expect(await resumed.predict(train)).toEqual(await whole.predict(train))
  expect(await steps(resumed, {})).toEqual(await steps(whole, {}))
})

it('a checkpoint from before this was written down is one of a first fit', async () => {
  const path = newPath()
  const options = { batchSize: 100, optimizer: adam({ learningRate: 0.01 }) }
  using whole = model({ dropout: 0.3 })
  await whole.fit(train, { ...options, epochs: 4 })
  using broken = model({ dropout: 0.3 })
  await broken.fit(train, { ...options, epochs: 2, callbacks: [checkpoint({ path })] })
  const bytes = readFileSync(path)
  const at = bytes.indexOf('multigate.drawn')
  expect(at).toBeGreaterThan(0)
  bytes.write('multigate.other', at)
  writeFileSync(path, bytes)
  using resumed = model({ dropout: 0.3 })
  await resumed.fit(train, { ...options, epochs: 4, resume: path })
  expect(await resumed.predict(train)).toEqual(await whole.predict(train))
  using loaded = await loadModel(path)
  expect(await loaded.predict(train)).toEqual(await broken.predict(train))
})
