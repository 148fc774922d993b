// A run that is broken off and resumed from its checkpoint ends where one without a break ends: the same bits.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import { adagrad } from '../../lib/optimizers/adagrad.js'
import { adam } from '../../lib/optimizers/adam.js'
import { adamw } from '../../lib/optimizers/adamw.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import type { Optimizer } from '../../lib/optimizers/optimizer.js'
import { rmsprop } from '../../lib/optimizers/rmsprop.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { progress } from '../../lib/report/progress.js'
import type { CallbackLike } from '../../lib/training/callbacks.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { History } from '../../lib/training/history.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 2100 })
const validation = data({ rows: 500, seed: 2 })
const fast = { batchSize: 256, validation }
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')

interface Ending {
  readonly weights: Map<string, unknown>
  readonly history: object
}

type Options = Parameters<ReturnType<typeof model>['fit']>[1]

/** Trains and gives everything that it leaves behind; times aside. */
async function run(options: Options & object, make: object = {}): Promise<Ending> {
  using net = model({ ...make })
  const history = await net.fit(train, { ...fast, ...options })
  const path = newPath()
  await net.save(path)
  const { tensors } = await readSafetensors(path)
  return { weights: new Map([...tensors].map(([name, tensor]) => [name, tensor.data])), history: timeless(history) }
}

/** What `progress` says of a run, its opening aside. */
function listener() {
  let text = ''
  const stream = { write: (line: string) => void (text += line) } as unknown as NodeJS.WriteStream
  const said = (): string[] => {
    const lines = text.trim().split('\n').slice(1)
    text = ''
    return lines.filter((line) => !/^(the GPU|weights)/.test(line))
  }
  return { said, callback: progress({ stream, bar: false }) }
}

function timeless({ epochs, ...rest }: History): object {
  return { ...rest, epochs: epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch) }
}

it('a checkpoint that cannot be written is an error before the first step', async () => {
  using net = model()
  const path = join(newPath(), '..', 'none', 'last.safetensors')
  let steps = 0
  const count = { onStep: () => void (steps += 1) }
  await expect(net.fit(train, { callbacks: [checkpoint({ path }), count] })).rejects.toMatchObject({
    code: 'ERR_MULTIGATE_WRITE',
  })
  expect(steps).toBe(0)
})

describe('a resumed run equals one without a break', () => {
  it.each<[string, Optimizer, object]>([
    ['adam', adam({ learningRate: 0.01 }), {}],
    ['adam, with dropout and exact updates', adam({ learningRate: 0.01 }), { dropout: 0.2, sparseUpdate: 'exact' }],
    ['adagrad', adagrad({ learningRate: 0.05 }), {}],
    ['rmsprop', rmsprop({ learningRate: 0.003, momentum: 0.5, centered: true }), {}],
    ['ftrl', ftrl({ learningRate: 0.1 }), {}],
    ['sgd', sgd({ learningRate: 0.1 }), {}],
    ['adam on the reference', adam({ learningRate: 0.01 }), { device: 'reference' }],
  ])('%s', async (_, optimizer, make) => {
    const whole = await run({ optimizer, epochs: 5 }, make)
    const path = newPath()
    await run({ optimizer, epochs: 2, callbacks: [checkpoint({ path })] }, make)
    expect(await run({ optimizer, epochs: 5, resume: path }, make)).toEqual(whole)
  })

  it.each(['lazy', 'exact'] as const)('row-wise Adagrad of embeddings, %s', async (sparseUpdate) => {
    const options = { optimizer: adam(), optimizers: { embedding: rowwiseAdagrad({ learningRate: 0.05 }) } }
    const whole = await run({ ...options, epochs: 4 }, { sparseUpdate })
    const path = newPath()
    await run({ ...options, epochs: 2, callbacks: [checkpoint({ path })] }, { sparseUpdate })
    expect(await run({ ...options, epochs: 4, resume: path }, { sparseUpdate })).toEqual(whole)
  })

  it('where early stopping takes back the weights of an epoch before the break', async () => {
    const optimizer = adam({ learningRate: 0.05 })
    const few = { ...fast, optimizer, batchSize: 64 }
    const early = (): CallbackLike => earlyStopping({ monitor: 'val_auc', patience: 4 })
    const whole = await run({ ...few, epochs: 30, callbacks: [early()] })
    const { weightsEpoch, epochs } = whole.history as History
    expect(weightsEpoch).toBeLessThan(epochs.length)
    for (const broken of [weightsEpoch, weightsEpoch + 1, epochs.length]) {
      const path = newPath()
      // The checkpoint comes first and still has seen what the other makes of the epoch.
      const both = (): CallbackLike[] => [checkpoint({ path }), early()]
      const stop = new AbortController()
      const callbacks = [...both(), { onEpochEnd: ({ epoch }: { epoch: number }) => void (epoch === broken && stop.abort()) }]
      const run1 = run({ ...few, epochs: 30, callbacks, signal: stop.signal })
      await (broken === epochs.length ? run1 : expect(run1).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ABORTED' }))
      expect(await run({ ...few, epochs: 30, callbacks: both(), resume: path }), `broken off after epoch ${broken}`).toEqual(
        whole,
      )
    }
  })

  it('where only the best are kept', async () => {
    const [whole, broken] = [newPath(), newPath()]
    const optimizer = adam({ learningRate: 0.03 })
    const best = (path: string): CallbackLike => checkpoint({ path, monitor: 'val_auc' })
    const last = newPath()
    await run({ optimizer, epochs: 8, callbacks: [best(whole)] })
    await run({ optimizer, epochs: 6, callbacks: [best(broken), checkpoint({ path: last })] })
    await run({ optimizer, epochs: 8, callbacks: [best(broken)], resume: last })
    const [one, other] = [await loadModel(whole), await loadModel(broken)]
    expect(await one.predict(validation)).toEqual(await other.predict(validation))
    one.dispose()
    other.dispose()
  })

  it('after a first try with data that did not fit', async () => {
    const path = newPath()
    await run({ epochs: 1, callbacks: [checkpoint({ path })] })
    using net = model()
    await expect(net.fit(Dataset.fromColumns({ a: [1] }), { resume: path, epochs: 2 })).rejects.toThrow(
      refusal('DATA', { column: 'user' }),
    )
    expect(net.built).toBe(false)
    expect((await net.fit(train, { resume: path, epochs: 2 })).epochs).toHaveLength(2)
  })

  it('with as many epochs as there were, trains no more, and says so', async () => {
    const path = newPath()
    const early = (): CallbackLike => earlyStopping({ monitor: 'loss', mode: 'max', patience: 1 })
    const whole = await run({ epochs: 2, callbacks: [checkpoint({ path })] })
    const { said, callback } = listener()
    expect(await run({ epochs: 2, resume: path, callbacks: [callback] })).toEqual(whole)
    expect(said()).toEqual(['nothing left to train: the checkpoint is at epoch 2; set epochs to more than 2 to go on'])
    await run({ epochs: 3, resume: path, callbacks: [callback] })
    expect(said()).toEqual([expect.stringContaining('epoch 3/3')])
    await run({ epochs: 9, callbacks: [early(), checkpoint({ path })] })
    await run({ epochs: 9, resume: path, callbacks: [early(), callback] })
    expect(said()[0]).toMatch(
      /^nothing left to train: the run of the checkpoint stopped after epoch 2: .*; load it with loadModel/,
    )
    await run({ epochs: 2, resume: path })
    expect((await loadModel(path)).name).toBe('MMoE')
  })
})

describe('what cannot be resumed is refused, and the model is as it was', () => {
  it('a file of another model, optimizer or kind', async () => {
    const path = newPath()
    await run({ epochs: 1, callbacks: [checkpoint({ path })] })
    const trained = (...says: string[]) => refusal('ARGUMENT', { field: 'fit.resume', says })
    const refused = async (expected: Error, options: object = {}, make: object = {}) => {
      using net = model(make)
      await expect(net.fit(train, { ...fast, epochs: 2, resume: path, ...options })).rejects.toThrow(expected)
      expect(net.built).toBe(false)
      await net.fit(train, fast)
    }
    await refused(trained('seed', '5', '6'), {}, { seed: 6 })
    await refused(trained('dropout', '0', '0.5'), {}, { dropout: 0.5 })
    await refused(trained('sparseUpdate', '"lazy"', '"exact"'), {}, { sparseUpdate: 'exact' })
    await refused(trained('optimizer.name', '"adam"', '"sgd"'), { optimizer: sgd() })
    await refused(refusal('FORMAT', { file: `${path}.not` }), { resume: `${path}.not` })

    const plain = newPath()
    using net = model()
    await net.fit(train, fast)
    await net.save(plain)
    await refused(refusal('FORMAT', { field: 'multigate.training' }), { resume: plain })
    await expect(net.fit(train, { resume: path })).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.resume' }))
  })
})

it.each<[Optimizer, Optimizer, Error]>([
  [adam(), adam({ form: 'torch' }), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.form', '"keras"', '"torch"'] })],
  [adam(), adam({ beta2: 0.99 }), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.beta2', '0.999', '0.99'] })],
  [adam(), adam({ epsilon: 1e-3 }), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.epsilon', '1e-7', '0.001'] })],
  [adam(), adamw(), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.name', '"adam"', '"adamw"'] })],
  [
    adamw(),
    adamw({ weightDecay: 0 }),
    refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.weightDecay', '0.004', '0'] }),
  ],
  [sgd({ momentum: 0.9 }), sgd(), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.momentum', '0.9', '0'] })],
  [
    sgd({ momentum: 0.9 }),
    sgd({ momentum: 0.9, nesterov: true }),
    refusal('ARGUMENT', { field: 'fit.resume', says: 'optimizer.nesterov' }),
  ],
  [rmsprop({ rho: 0.8 }), rmsprop(), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.rho', '0.8', '0.9'] })],
  [rmsprop({ centered: true }), rmsprop(), refusal('ARGUMENT', { field: 'fit.resume', says: 'optimizer.centered' })],
  [
    adagrad({ initialAccumulator: 0 }),
    adagrad(),
    refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.initialAccumulator', '0', '0.1'] }),
  ],
  [ftrl({ l1: 0.1 }), ftrl(), refusal('ARGUMENT', { field: 'fit.resume', says: ['optimizer.l1', '0.1', '0'] })],
])('the moments of %o mean something else to %o', async (optimizer, other, message) => {
  const path = newPath()
  await run({ epochs: 1, optimizer, callbacks: [checkpoint({ path })] })
  const refused = run({ epochs: 2, optimizer: other, resume: path })
  await expect(refused).rejects.toThrow(message)
  await expect(refused).rejects.toThrow(path)
})

it('another learning rate, and defaults that are written out, are no other run', async () => {
  const path = newPath()
  const whole = await run({ epochs: 1, optimizer: adam({ learningRate: 0.01 }), callbacks: [checkpoint({ path })] })
  const onwards = await run(
    { epochs: 2, optimizer: adam({ learningRate: 0, beta1: 0.9 }), resume: path },
    { sparseUpdate: 'lazy' },
  )
  expect(onwards.weights).toEqual(whole.weights)
})

const script = `
import { Dataset, MMoE, adam, binary, checkpoint, dense, sparse } from '${fileURLToPath(new URL('../../dist/index.js', import.meta.url))}'
const rows = 20000
const column = (make) => Array.from({ length: rows }, (_, row) => make(row))
const train = Dataset.fromColumns({ user: column((row) => row % 5000), price: column((row) => row / rows), like: column((row) => row % 2) })
const model = new MMoE({
  features: [sparse('user', { vocabulary: 200_000, dim: 16 }), dense('price')],
  tasks: [binary('like')], numExperts: 2, expertHiddenUnits: [4], sparseUpdate: 'lazy',
})
await model.fit(train, { batchSize: 4000, epochs: 1000, optimizer: adam(), callbacks: [checkpoint({ path: process.argv[1] }), () => console.log('epoch')] })
`

it('killed at any moment, the last checkpoint is whole', { timeout: 60_000 }, async () => {
  const path = newPath()
  let written = 0
  for (const wait of [0, 7, 19, 31, 43, 60]) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let epochs = 0
    await new Promise<void>((resolve) => {
      child.stdout.on('data', () => {
        epochs += 1
        if (epochs === 3) setTimeout(() => child.kill('SIGKILL'), wait)
      })
      child.on('close', () => resolve())
    })
    if (!existsSync(path)) continue
    written += 1
    using again = await loadModel(path)
    const { like } = await again.predict({ user: [1, 4999], price: [0.5, 0] })
    expect([...(like ?? [])].every((score) => score > 0 && score < 1)).toBe(true)
    expect(readFileSync(path).length).toBeGreaterThan(200_000 * 16 * 3 * 4)
  }
  expect(written).toBe(6)
  // What was being written when the process died has a name of its own.
  expect(readdirSync(join(path, '..')).filter((name) => !name.endsWith('.tmp'))).toEqual(['last.safetensors'])
})
