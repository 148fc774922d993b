// `fit` from the public surface: history, validation, callbacks, the life of a model, saving and loading.

import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import { refusal } from '../support/refusal.js'
import { columns, data, model } from '../support/small-data.js'

const train = data({ rows: 6100 })
const test = data({ rows: 2000, seed: 2 })
const fast = { batchSize: 256, optimizer: adam({ learningRate: 0.01 }) }
const folder = (): string => mkdtempSync(join(tmpdir(), 'multigate-'))

describe('fit', () => {
  it('learns what random weights do not know', async () => {
    using net = model()
    await net.build(train)
    const before = await net.evaluate(test)
    const history = await net.fit(train, { ...fast, epochs: 6, validation: test })
    const after = await net.evaluate(test)
    for (const task of ['click', 'buy'] as const) {
      expect(before.tasks[task].auc).toBeLessThan(0.65)
      expect(after.tasks[task].auc).toBeGreaterThan(0.75)
      expect(after.tasks[task].rows).toBe(2000)
    }
    expect(history.epochs).toHaveLength(6)
    expect(history.epochs[0]?.steps).toBe(24)
    expect(history.epochs[5]?.metrics.loss).toBeLessThan(history.epochs[0]?.metrics.loss ?? 0)
    expect(history.epochs[5]?.metrics.val_click_auc).toBe(after.tasks.click.auc)
    expect(history.epochs[5]?.metrics.val_auc).toBeCloseTo(((after.tasks.click.auc ?? 0) + (after.tasks.buy.auc ?? 0)) / 2, 12)
  })

  it('says which of its datasets has no rows', async () => {
    using net = model()
    const none = (dataset?: string) => refusal('DATA', { dataset })
    await expect(net.fit(train.slice(0, 0))).rejects.toThrow(none('training'))
    await expect(net.fit(train, { validation: train.slice(0, 0) })).rejects.toThrow(none('validation'))
    await net.build(train)
    for (const measured of [net.evaluate(train.slice(0, 0)), net.gates(train.slice(0, 0))]) {
      await expect(measured).rejects.toThrow(none())
    }
  })

  it.each<[string, Record<string, unknown>, Error]>([
    ['id', { user: [3, 31, 4] }, refusal('DATA', { column: 'user', row: 1, value: 31, says: '[0, 30)' })],
    ['number', { price: [1, 2, Infinity] }, refusal('DATA', { column: 'price', row: 2, says: 'Infinity' })],
    ['text', { price: ['1', '2', 'x'] }, refusal('DATA', { column: 'price', row: 2, value: 'x' })],
    ['label', { buy: [0, 2, 1] }, refusal('DATA', { column: 'buy', row: 1, value: 2, says: '[0, 1]' })],
    ['lists for labels', { buy: [[0], [1], [1]] }, refusal('DATA', { column: 'buy' })],
    ['column', { price: undefined }, refusal('DATA', { column: 'price', says: '4' })],
    ['labels', { buy: undefined }, refusal('DATA', { column: 'buy', says: '4' })],
  ])('says in which of its datasets a wrong %s is, and of what', async (_, change, message) => {
    const wrong = { ...columns({ rows: 3 }), click: [0, 1, 1], buy: [0, 1, 1], ...change }
    const given = Object.entries(wrong).filter(([, values]) => values !== undefined)
    const bad = Dataset.fromColumns(Object.fromEntries(given) as never)
    using net = model()
    const refused = async (run: Promise<unknown>, dataset?: string) => {
      await expect(run).rejects.toThrow(message)
      await expect(run).rejects.toMatchObject({ dataset, column: Object.keys(change)[0] })
    }
    await refused(net.fit(bad), 'training')
    await refused(net.fit(train, { validation: bad }), 'validation')
    expect(net.built).toBe(false)
    await net.build(train)
    await refused(net.fit(bad), 'training')
    await refused(net.evaluate(bad))
  })

  it('says of a wrong row in a part which row of all it is', async () => {
    const all = columns({ rows: 100 })
    const click = [...(all.click as number[])]
    click[18] = 7
    const { train: part, validation } = Dataset.fromColumns({ ...all, click }).split({ rowMod: 10, validation: [8], test: [9] })
    using net = model()
    await expect(net.fit(part, { validation })).rejects.toThrow(
      refusal('DATA', { dataset: 'validation', column: 'click', row: 1, value: 7, says: 'row 18' }),
    )
    await net.build(part)
    const prices = [...(all.price as number[])].map((price, row) => (row === 21 ? Infinity : price))
    const later = Dataset.fromColumns({ ...all, price: prices }).slice(20)
    await expect(net.predict(later)).rejects.toThrow(refusal('DATA', { row: 1, says: 'row 21' }))
  })

  it('gives the same bits with 1 and 2 threads, and other weights with another seed', async () => {
    const scores = async (options: { threads?: number; seed?: number }): Promise<Float32Array> => {
      using net = model(options)
      await net.fit(train, { ...fast, epochs: 2 })
      return (await net.predict(test)).click
    }
    const one = await scores({ threads: 1 })
    expect(await scores({ threads: 2 })).toEqual(one)
    expect(await scores({ threads: 2, seed: 6 })).not.toEqual(one)
  })

  it('agrees with the reference', async () => {
    const scores = async (device: 'cpu' | 'reference'): Promise<Float32Array> => {
      using net = model({ device })
      await net.fit(train.slice(0, 1000), { ...fast, epochs: 1 })
      return (await net.predict(test.slice(0, 100))).buy
    }
    const [cpu, reference] = [await scores('cpu'), await scores('reference')]
    cpu.forEach((score, row) => expect(score).toBeCloseTo(reference[row] ?? NaN, 4))
  })

  it('trains on rows whose label is missing for the other task alone', async () => {
    using net = model()
    const history = await net.fit(data({ rows: 4000, missing: 0.5 }), { ...fast, epochs: 4 })
    expect(history.epochs.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    const holes = await net.evaluate(data({ rows: 2000, seed: 2, missing: 0.5 }))
    expect(holes.tasks.click.rows).toBeLessThan(1100)
    expect(holes.tasks.click.auc).toBeGreaterThan(0.7)
  })

  it('gives no AUC where labels are all alike, and says why', async () => {
    using net = model()
    await net.fit(train, { ...fast, epochs: 1 })
    const same = await net.evaluate(Dataset.fromColumns({ ...columns({ rows: 50 }), buy: new Float32Array(50) }))
    expect(same.tasks.buy).toMatchObject({ auc: undefined, positives: 0, rows: 50 })
    expect(same.tasks.buy.reasons.auc).toBe('all 50 labelled rows are negative')
    expect(same.tasks.click.auc).toBeTypeOf('number')
  })

  it('reports a loss that is no number with its task, epoch and step', async () => {
    using net = model()
    await expect(net.fit(train, { ...fast, optimizer: adam({ learningRate: 1e30 }) })).rejects.toThrow(
      refusal('DIVERGED', { says: [/'(click|buy)'/, 'epoch 1', /step \d+/] }),
    )
  })

  it('names an option that is wrong', async () => {
    using net = model()
    await expect(net.fit(train, { batchSize: 0 })).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.batchSize' }))
    expect(net.built).toBe(false)
  })

  it.each<[string, unknown, Error]>([
    ['optimizer', 'adagrat', refusal('ARGUMENT', { field: 'fit.optimizer.name' })],
    ['optimizer', { learningRate: 1 }, refusal('ARGUMENT', { field: 'fit.optimizer.name' })],
    ['callbacks', earlyStopping(), refusal('ARGUMENT', { field: 'fit.callbacks', says: 'onStart' })],
    ['callbacks', [null], refusal('ARGUMENT', { field: 'fit.callbacks[0]' })],
    ['callbacks', [{ onEpochEnd: 'log' }], refusal('ARGUMENT', { field: 'fit.callbacks[0]', says: 'onEpochEnd' })],
    ['validation', columns({ rows: 3 }), refusal('ARGUMENT', { field: 'fit.validation' })],
    ['signal', 'stop', refusal('ARGUMENT', { field: 'fit.signal', says: '"stop"' })],
    ['resume', 3, refusal('ARGUMENT', { field: 'fit.resume', says: ['URL', '3'] })],
  ])('says what it takes for %s', async (option, value, message) => {
    using net = model()
    const run = net.fit(train, { [option]: value })
    await expect(run).rejects.toThrow(message)
    expect(net.built).toBe(false)
  })

  it('says what data it takes', async () => {
    using net = model()
    const plain = columns({ rows: 3 }) as never
    const wrong = (field: string) => ({ code: 'ERR_MULTIGATE_ARGUMENT', field })
    await expect(net.fit(plain)).rejects.toMatchObject(wrong('fit.train'))
    await expect(net.fit(train, null as never)).rejects.toMatchObject(wrong('fit'))
    await expect(net.build(plain)).rejects.toMatchObject(wrong('build.train'))
    await net.build(train)
    await expect(net.evaluate(plain)).rejects.toMatchObject(wrong('evaluate.data'))
    await expect(net.predict(undefined as never)).rejects.toMatchObject(wrong('columns'))
  })

  it('trains a built model on rows without a positive label, or without a label of a task', async () => {
    const rows = 300
    const negative = Dataset.fromColumns({ ...columns({ rows }), buy: new Float32Array(rows) })
    const unlabelled = Dataset.fromColumns({ ...columns({ rows }), buy: new Float32Array(rows).fill(NaN) })
    using net = model()
    await expect(net.build(negative)).rejects.toThrow(refusal('DATA', { column: 'buy', says: ['300', '0'] }))
    expect(net.built).toBe(false)
    await net.build(train)
    const before = await net.predict(test)
    const [first] = (await net.fit(negative, { ...fast, epochs: 3, validation: negative })).epochs
    expect(first?.metrics).not.toHaveProperty('val_buy_auc')
    expect(first?.validation?.tasks.buy).toMatchObject({ auc: undefined, reasons: { auc: 'all 300 labelled rows are negative' } })
    const mean = (scores: Float32Array): number => scores.reduce((sum, score) => sum + score) / scores.length
    expect(mean((await net.predict(test)).buy)).toBeLessThan(mean(before.buy))
    const [second] = (await net.fit(unlabelled, fast)).epochs
    expect(second?.metrics).not.toHaveProperty('buy_loss')
    expect(second?.loss).toBe(second?.metrics.click_loss)
  })

  it('builds on features alone, and checks the labels that there are', async () => {
    const { buy, ...others } = columns({ rows: 50 })
    using net = model()
    await net.build(Dataset.fromColumns({ user: others.user ?? [], city: others.city ?? [], price: others.price ?? [] }))
    expect(net.built).toBe(true)
    using other = model()
    const misspelt = other.build(Dataset.fromColumns({ ...others, buy: (buy as number[]).map((label) => 2 * label) }))
    await expect(misspelt).rejects.toThrow(refusal('DATA', { column: 'buy', value: 2 }))
    expect(other.built).toBe(false)
  })

  it('is not built by data that it cannot train on', async () => {
    using net = model()
    const unlabelled = Dataset.fromColumns({ ...columns({ rows: 50, seed: 9 }), buy: new Float64Array(50).fill(NaN) })
    await expect(net.fit(unlabelled)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
    expect(net.built).toBe(false)
    await net.fit(train, { ...fast, epochs: 1 })
    using same = model()
    await same.fit(train, { ...fast, epochs: 1 })
    expect(await net.predict(test)).toEqual(await same.predict(test))
  })
})

describe('callbacks', () => {
  it('stop early and take the best weights back', async () => {
    using net = model()
    const snapshots: Float32Array[] = []
    // Overfits for sure: 300 rows, a large rate.
    const history = await net.fit(train.slice(0, 300), {
      batchSize: 32,
      epochs: 60,
      optimizer: adam({ learningRate: 0.03 }),
      validation: test,
      callbacks: [
        earlyStopping({ monitor: 'val_auc', patience: 3 }),
        async () => {
          snapshots.push((await net.predict(test)).click)
        },
      ],
    })
    const aucs = history.epochs.map(({ metrics }) => metrics.val_auc ?? 0)
    const best = aucs.indexOf(Math.max(...aucs))
    expect(history.epochs.length).toBe(best + 1 + 3)
    expect(history.stopReason).toContain('val_auc')
    expect(history.weightsEpoch).toBe(best + 1)
    expect((await net.predict(test)).click).toEqual(snapshots[best])
  })

  it('refuse a number that the run will not have', async () => {
    using net = model()
    const early = (monitor: string) => net.fit(train, { callbacks: [earlyStopping({ monitor })] })
    await expect(early('val_auc')).rejects.toThrow(refusal('ARGUMENT', { says: ['val_auc', 'validation'] }))
    await expect(early('lose')).rejects.toThrow(refusal('ARGUMENT', { says: ['loss', 'click_loss', 'buy_loss'] }))
  })

  it('write checkpoints that load', async () => {
    using net = model()
    const path = join(folder(), 'epoch-{epoch}.safetensors')
    await net.fit(train, { ...fast, epochs: 2, callbacks: [checkpoint({ path })] })
    expect(readdirSync(join(path, '..')).sort()).toEqual(['epoch-1.safetensors', 'epoch-2.safetensors'])
    using again = await loadModel(path.replace('{epoch}', '2'))
    expect((await again.predict(test)).click).toEqual((await net.predict(test)).click)
  })

  it('see steps, and end the run with what they throw', async () => {
    using net = model()
    const rows: number[] = []
    const run = net.fit(train, {
      ...fast,
      callbacks: [
        {
          onStep: (step) => {
            rows.push(step.rows)
            if (step.step === 3) throw new Error('enough')
          },
        },
      ],
    })
    await expect(run).rejects.toThrow('enough')
    expect(rows).toEqual([256, 512, 768])
  })
})

describe('the life of a model', () => {
  it('is not built at first', async () => {
    using net = model()
    const notBuilt = { code: 'ERR_MULTIGATE_NOT_BUILT' }
    await expect(net.predict(test)).rejects.toMatchObject(notBuilt)
    await expect(net.evaluate(test)).rejects.toMatchObject(notBuilt)
    await expect(net.save('never.safetensors')).rejects.toMatchObject(notBuilt)
  })

  it('lets predict and evaluate in between steps, and nothing else', async () => {
    using net = model()
    await net.build(train)
    const order: string[] = []
    const run = net.fit(train, { ...fast, epochs: 3, callbacks: [{ onEnd: () => void order.push('end') }] })
    const busy = { code: 'ERR_MULTIGATE_BUSY' }
    await expect(net.fit(train)).rejects.toMatchObject(busy)
    await expect(net.save('never.safetensors')).rejects.toMatchObject(busy)
    const scores = await net.predict(test)
    order.push('predict')
    expect((await net.evaluate(test)).rows).toBe(2000)
    order.push('evaluate')
    await run
    expect(order).toEqual(['predict', 'evaluate', 'end'])
    expect(scores.click).toHaveLength(2000)
  })

  it('stops at a step boundary when its signal says so, and goes on living', async () => {
    using net = model()
    const stop = new AbortController()
    let steps = 0
    const count = {
      onStep: () => {
        steps += 1
        if (steps === 5) stop.abort(new Error('lunch'))
      },
    }
    await expect(net.fit(train, { ...fast, signal: stop.signal, callbacks: [count] })).rejects.toMatchObject({
      code: 'ERR_MULTIGATE_ABORTED',
      cause: expect.objectContaining({ message: 'lunch' }) as unknown,
    })
    expect(steps).toBe(5)
    expect((await net.predict(test)).buy.every(Number.isFinite)).toBe(true)
    await net.fit(train, { ...fast, epochs: 1 })
  })

  it('ends with dispose, during fit too', async () => {
    const net = model()
    const run = net.fit(train, { ...fast, epochs: 50, callbacks: [{ onStep: () => net.dispose() }] })
    await expect(run).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
    await expect(net.predict(test)).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DISPOSED' })
    net.dispose()
  })
})

describe('a saved model', () => {
  it('predicts the same bits, from the same raw columns', async () => {
    using net = model()
    await net.fit(train, { ...fast, epochs: 1 })
    const path = join(folder(), 'model.safetensors')
    await net.save(path)
    using again = await loadModel(path, { threads: 1 })
    expect(again.name).toBe('MMoE')
    expect(await again.predict(test)).toEqual(await net.predict(test))
    expect(await again.evaluate(test)).toEqual(await net.evaluate(test))
    const unseen = { user: [3], city: ['Bonn'], price: [101.5] }
    expect(await again.predict(unseen)).toEqual(await net.predict(unseen))
  })

  it('can be trained on', async () => {
    using net = model()
    await net.fit(train, { ...fast, epochs: 1 })
    const path = join(folder(), 'model.safetensors')
    await net.save(path)
    using again = await loadModel(path)
    const before = await again.evaluate(train)
    await again.fit(train, { ...fast, epochs: 2 })
    expect((await again.evaluate(train)).loss).toBeLessThan(before.loss)
  })
})
