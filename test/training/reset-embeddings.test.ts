// Embeddings drawn anew before every epoch, and the warning of the overfitting that they are against.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import { Dataset } from '../../lib/data/dataset.js'
import { readSafetensors, writeSafetensors } from '../../lib/io/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import type { Model } from '../../lib/model/model.js'
import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { FitOptions } from '../../lib/training/options.js'
import { overfitWarning } from '../../lib/training/overfit.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 900 })
const validation = data({ rows: 300, seed: 2 })
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
const still = { batchSize: 128, optimizer: sgd({ learningRate: 0 }) } satisfies FitOptions
const resetting = { resetEmbeddings: 'epoch' } as const
const denseGroups = ['bottom', 'expert', 'gate', 'tower'] as const

type Contents = Map<string, Float32Array>

async function contents(net: Pick<Model, 'save'>): Promise<Contents> {
  const path = newPath()
  await net.save(path)
  const { tensors } = await readSafetensors(path)
  return new Map([...tensors].map(([name, tensor]) => [name, tensor.data as Float32Array]))
}

async function trained(options: FitOptions, make: object = {}): Promise<Contents> {
  using net = model(make)
  await net.fit(train, options)
  return await contents(net)
}

const tablesOf = (all: Contents): unknown => ['embedding.user', 'embedding.city'].map((name) => all.get(name))
const denseOf = (all: Contents): unknown => [...all].filter(([name]) => !name.startsWith('embedding.'))

describe('resetEmbeddings', () => {
  it('draws other tables before every epoch but the first, and leaves dense weights', async () => {
    const ends: Contents[] = []
    for (const epochs of [1, 2, 3]) ends.push(await trained({ ...still, ...resetting, epochs }))
    const [one = new Map(), two = new Map(), three = new Map()] = ends
    expect(tablesOf(one)).toEqual(tablesOf(await trained({ ...still, epochs: 3 })))
    expect(new Set([one, two, three].map((all) => String(all.get('embedding.user')))).size).toBe(3)
    expect(denseOf(two)).toEqual(denseOf(one))
    expect(denseOf(three)).toEqual(denseOf(one))
    for (const value of three.get('embedding.user') ?? []) expect(Math.abs(value)).toBeLessThanOrEqual(0.05)
  })

  it('takes moments back: an epoch after a reset is one of a new fit with these tables', async () => {
    const optimizer = adagrad({ learningRate: 0.1 })
    const options = { batchSize: 128, optimizer, freeze: denseGroups }
    const expected = await trained({ ...options, ...resetting, epochs: 2 })
    // A model after one epoch, with the tables of the second.
    using net = model()
    await net.fit(train, options)
    const path = newPath()
    await net.save(path)
    const drawn = await trained({ ...still, ...resetting, epochs: 2 })
    const { tensors, metadata } = await readSafetensors(path)
    const changed = [...tensors].map(([name, { shape, data }]) => {
      return { name, shape, data: name.startsWith('embedding.') ? (drawn.get(name) ?? data) : data }
    })
    await writeSafetensors(path, { metadata, tensors: changed })
    using other = await loadModel(path)
    await other.fit(train, options)
    expect(await contents(other)).toEqual(expected)
  })

  it('begins the average of the tables anew too, and goes on with that of the dense weights', async () => {
    const plain = await trained({ ...still, ...resetting, epochs: 3 })
    expect(await trained({ ...still, ...resetting, epochs: 3, ema: { decay: 0.9 } })).toEqual(plain)
    const options = { ...resetting, batchSize: 128, optimizer: adam({ learningRate: 0.01 }), ema: { decay: 0.9 } }
    const whole = await trained({ ...options, epochs: 4 })
    const path = newPath()
    await trained({ ...options, epochs: 2, callbacks: [checkpoint({ path })] })
    expect(await trained({ ...options, epochs: 4, resume: path })).toEqual(whole)
  })

  it('leaves frozen tables as they are', async () => {
    const all = await trained({ ...still, ...resetting, freeze: ['embedding.city'], epochs: 3 })
    const one = await trained({ ...still })
    expect(all.get('embedding.city')).toEqual(one.get('embedding.city'))
    expect(all.get('embedding.user')).not.toEqual(one.get('embedding.user'))
  })

  it.each([{}, { sparseUpdate: 'exact', dropout: 0.2 }, { device: 'reference' }])(
    'a resumed run equals one without a break, %j',
    async (make) => {
      const options = { ...resetting, batchSize: 128, optimizer: adam({ learningRate: 0.01 }), validation }
      const early = () => earlyStopping({ monitor: 'val_auc', patience: 9 })
      const whole = await trained({ ...options, epochs: 5, callbacks: [early()] }, make)
      const path = newPath()
      await trained({ ...options, epochs: 2, callbacks: [early(), checkpoint({ path })] }, make)
      expect(await trained({ ...options, epochs: 5, resume: path, callbacks: [early()] }, make)).toEqual(whole)
    },
  )

  it('early stopping takes back the weights of its best epoch', async () => {
    using net = model()
    const options = { ...resetting, batchSize: 128, optimizer: adam({ learningRate: 0.1 }), validation, epochs: 8 }
    const { weightsEpoch } = await net.fit(train, { ...options, callbacks: [earlyStopping({ monitor: 'val_auc', patience: 9 })] })
    expect(await contents(net)).toMatchObject(await trained({ ...options, epochs: weightsEpoch }))
  })

  it('is the same for any number of threads, and in a configuration', async () => {
    const options = { ...resetting, batchSize: 128, epochs: 3 }
    expect(await trained(options, { threads: 2 })).toEqual(await trained(options, { threads: 1 }))
    const config = {
      model: 'MMoE',
      features: [{ kind: 'sparse', name: 'user', dim: 4 }],
      tasks: [{ kind: 'binary', name: 'click' }],
      numExperts: 2,
      expertHiddenUnits: [4],
    }
    expect(parseConfig({ ...config, fit: options }).fit).toMatchObject(options)
    expect(() => parseConfig({ ...config, fit: { resetEmbeddings: 'step' } })).toThrow(
      refusal('ARGUMENT', { field: 'config.fit.resetEmbeddings' }),
    )
  })
})

describe('the warning of overfitting after one epoch', () => {
  /** Labels that no one can predict, of users who come twice each: a table can only learn them by heart. */
  function memorable(seed: number, users: number): Dataset {
    const random = randomOf(seed)
    const user = Int32Array.from({ length: 1200 }, () => Math.floor(users * random()))
    const coin = (): number[] => Array.from(user, () => (random() < 0.3 ? 1 : 0))
    return Dataset.fromColumns({
      user,
      city: Array.from(user, () => 'Oslo'),
      price: Array.from(user, () => 100 * random()),
      click: coin(),
      buy: coin(),
    })
  }

  async function warned(users: number, options: FitOptions = {}): Promise<{ warnings: (string | undefined)[]; said: string }> {
    let said = ''
    const { features, tasks } = model()
    using net = model({ features: [{ ...features[0], vocabulary: 600, dim: 16 }, ...features.slice(1)], tasks } as object)
    const callbacks = [progress({ stream: { write: (line) => void (said += line) }, bar: false })]
    const fit = { batchSize: 32, epochs: 3, optimizer: adam({ learningRate: 0.05 }), validation: memorable(2, users) }
    const { epochs } = await net.fit(memorable(1, users), { ...fit, ...options, callbacks })
    return { warnings: epochs.map(({ warning }) => warning), said }
  }

  it('is in the history of the second epoch and in the progress', async () => {
    const { warnings, said } = await warned(600)
    expect(warnings).toEqual([undefined, expect.stringMatching(/^the embeddings overfit after one epoch: val loss/), undefined])
    expect(said).toContain(`\n${warnings[1]}\n`)
    expect(warnings[1]).toContain("resetEmbeddings: 'epoch'")
  })

  it('is not there with few users, without validation rows, or with tables drawn anew', async () => {
    expect((await warned(2, { optimizer: adam({ learningRate: 0.001 }) })).warnings).toEqual([undefined, undefined, undefined])
    expect((await warned(600, { validation: undefined })).said).not.toContain('overfit')
    expect((await warned(600, resetting)).said).not.toContain('overfit')
  })

  it('needs a worse validation loss and a better training loss, each by a hundredth', () => {
    const record = (epoch: number, loss: number, val: number) => ({ epoch, loss, validation: { loss: val } }) as never
    const of = (losses: [number, number], vals: [number, number]) =>
      overfitWarning(record(1, losses[0], vals[0]), record(2, losses[1], vals[1]))
    expect(of([1, 0.9], [1, 1.1])).toContain('val loss 1.0000 after epoch 1, 1.1000 after epoch 2')
    expect(of([1, 0.9], [1, 1.005])).toBeUndefined()
    expect(of([1, 0.9], [1, 0.9])).toBeUndefined()
    expect(of([1, 0.995], [1, 1.1])).toBeUndefined()
    expect(of([-1, -1.1], [-1, -0.9])).toBeDefined()
    expect(overfitWarning(record(2, 1, 1), record(3, 0.5, 2))).toBeUndefined()
  })
})
