// A run that is broken off in the middle of an epoch and resumed from a checkpoint ends with the same bits as one without a break.

import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

import type { BalanceOptions } from '../../lib/balancing/registry.js'
import type { Dataset } from '../../lib/data/dataset.js'
import { readSafetensors } from '../../lib/io/safetensors.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { rowwiseAdagrad } from '../../lib/optimizers/rowwise-adagrad.js'
import type { RowStream } from '../../lib/runtime/parts.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { earlyStopping } from '../../lib/training/early-stopping.js'
import type { FitOptions } from '../../lib/training/options.js'
import { reduceOnPlateau } from '../../lib/training/reduce-on-plateau.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 2100, missing: 0.2 })
const validation = data({ rows: 500, seed: 2 })
const stream: RowStream = () => [train.slice(0, 700), train.slice(700, 900), train.slice(900)]
/** Five shards of 512 rows or less, with 24 bytes a row. */
const small = { memory: 2 * 512 * 24 }
const fast = { batchSize: 64, epochs: 3, validation, optimizer: adam({ learningRate: 0.01 }) }
const newPath = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'last.safetensors')

async function run(source: Dataset | RowStream, options: FitOptions, make: Parameters<typeof model>[0] = {}) {
  using net = model({ dropout: 0.2, ...make })
  const { epochs, ...rest } = await net.fit(source, { ...fast, ...options })
  const path = newPath()
  await net.save(path)
  const { tensors } = await readSafetensors(path)
  return {
    weights: new Map([...tensors].map(([name, tensor]) => [name, tensor.data])),
    history: { ...rest, epochs: epochs.map(({ seconds, rowsPerSecond, ...epoch }) => epoch) },
  }
}

/** Trains with a checkpoint every few steps, and breaks off after one of them. */
async function broken(
  source: Dataset | RowStream,
  options: FitOptions,
  at: number,
  every = 5,
  make: Parameters<typeof model>[0] = {},
): Promise<string> {
  const path = newPath()
  const stop = new AbortController()
  let steps = 0
  const stopping = {
    everySteps: 1,
    onSteps: () => {
      if ((steps += 1) === at) stop.abort()
    },
  }
  const callbacks = [...(options.callbacks ?? []), checkpoint({ path, everySteps: every }), stopping]
  await expect(run(source, { ...options, callbacks, signal: stop.signal }, make)).rejects.toThrow(refusal('ABORTED'))
  return path
}

describe('a run that is resumed in the middle of an epoch equals one without a break', () => {
  it.each<[string, Dataset | RowStream, FitOptions]>([
    ['rows in memory', train, {}],
    ['rows in parts', stream, { stream: small }],
    ['rows in parts, one shard', stream, {}],
    ['no shuffling', stream, { stream: small, shuffle: false }],
    ['a schedule', train, { optimizer: adam({ learningRate: { schedule: 'cosine', rate: 0.02, steps: 99, warmup: 20 } }) }],
    ...(['uncertainty', 'gradnorm', 'dwa', 'pcgrad', 'famo', 'rlw'] as const).map(
      (balance): [string, Dataset | RowStream, FitOptions] => [
        `balance ${balance}`,
        train,
        { balance: balance as BalanceOptions },
      ],
    ),
  ])('%s', async (_, source, options) => {
    // 33 steps an epoch: within the first epoch, at the ends of epochs, within the last one, and between two checkpoints.
    const whole = await run(source, options)
    expect(whole.history.epochs[0]?.steps).toBe(33)
    for (const at of [7, 33, 66, 68, 99]) {
      const resume = await broken(source, options, at)
      expect(await run(source, { ...options, resume }), `broken off after step ${at}`).toEqual(whole)
    }
  })

  const steered = {
    gateTemperature: { schedule: 'linear', start: 3, end: 1, epochs: 3 },
    gateNoise: 0.2,
    gateDropout: 0.2,
  } as const
  const combined: FitOptions = {
    clip: { norm: 0.5 },
    optimizers: { embedding: rowwiseAdagrad({ learningRate: 0.05 }) },
    resetEmbeddings: 'epoch',
    gateStatistics: true,
  }

  it('with limits of gradients, steered gates and embeddings that are drawn anew', async () => {
    const whole = await run(train, combined, steered)
    for (const at of [7, 33, 41, 68]) {
      const resume = await broken(train, combined, at, 5, steered)
      expect(await run(train, { ...combined, resume }, steered), `broken off after step ${at}`).toEqual(whole)
    }
  })

  it('with an average of the weights, if checkpoints come at the same steps', async () => {
    const averaged = { ...combined, ema: { decay: 0.9 } }
    const callbacks = () => [checkpoint({ path: newPath(), everySteps: 5 })]
    const whole = await run(train, { ...averaged, callbacks: callbacks() }, steered)
    for (const at of [7, 33, 41, 68]) {
      const resume = await broken(train, averaged, at, 5, steered)
      expect(await run(train, { ...averaged, resume, callbacks: callbacks() }, steered), `after step ${at}`).toEqual(whole)
    }
  })

  it('with callbacks that have a state, and a rate that one has changed', async () => {
    const callbacks = () => [
      earlyStopping({ monitor: 'val_loss', patience: 5 }),
      reduceOnPlateau({ monitor: 'val_loss', patience: 1, factor: 0.5, minDelta: 1 }),
      {
        everySteps: 40,
        onSteps: (_: unknown, control: { taskWeights: (weights: object) => void }) => control.taskWeights({ buy: 0.25 }),
      } as never,
    ]
    const options = { epochs: 4 }
    const whole = await run(train, { ...options, callbacks: callbacks() })
    for (const at of [34, 43, 90]) {
      const resume = await broken(train, { ...options, callbacks: callbacks() }, at)
      expect(await run(train, { ...options, callbacks: callbacks(), resume }), `after step ${at}`).toEqual(whole)
    }
  })

  it('twice, and on another number of threads', async () => {
    const options = { stream: small }
    const whole = await run(stream, options)
    const first = await broken(stream, options, 41)
    const second = await broken(stream, { ...options, resume: first }, 13)
    expect(await run(stream, { ...options, resume: second }, { threads: 1 })).toEqual(whole)
  })

  it('after a request to stop, which still ends the epoch', async () => {
    const stopping = () => ({
      everySteps: 36,
      onSteps: (_: unknown, control: { stop: (reason: string) => void }) => control.stop('enough'),
    })
    const whole = await run(train, { callbacks: [stopping()] })
    expect(whole.history).toMatchObject({ stopReason: 'enough', epochs: [{ epoch: 1 }, { epoch: 2 }] })
    const resume = await broken(train, { callbacks: [stopping()] }, 42)
    expect(await run(train, { resume })).toEqual(whole)
  })
})

describe('checkpoints in the middle of epochs', () => {
  it('come every few steps, count over epochs, and are whole models', async () => {
    const path = newPath()
    const steps: number[] = []
    const saved: number[] = []
    const counting = {
      everySteps: 10,
      onSteps: ({ epoch, step, rows }: { epoch: number; step: number; rows: number }) => {
        expect(rows).toBe(Math.min(step * 64, 2100))
        steps.push((epoch - 1) * 33 + step)
        saved.push(Number(existsSync(path)))
      },
    }
    await run(train, { callbacks: [checkpoint({ path, everySteps: 20 }), counting] })
    expect(steps).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expect(saved.slice(0, 2)).toEqual([0, 1])
    using net = await loadModel(path)
    expect(await net.predict(validation)).toHaveProperty('buy')
  })

  it('refuse other rows, orders and options, and what they cannot keep', async () => {
    const resume = await broken(train, {}, 40)
    const refused = (options: FitOptions, says: string, source: Dataset | RowStream = train) =>
      expect(run(source, { ...options, resume })).rejects.toThrow(
        refusal('ARGUMENT', { field: 'fit.resume', says: [says, 'the middle of epoch 2'] }),
      )
    await refused({ batchSize: 32 }, 'batchSize')
    await refused({ shuffle: false }, 'shuffle')
    await refused({}, 'rows', train.slice(0, 2099))
    await refused({ stream: small }, 'shardRows', stream)
    await expect(
      run(train, { trainingMetrics: true, callbacks: [checkpoint({ path: newPath(), everySteps: 5 })] }),
    ).rejects.toThrow(refusal('ARGUMENT', { field: 'fit.trainingMetrics', says: 'everySteps' }))
    for (const everySteps of [0, 1.5, '7']) {
      expect(() => checkpoint({ path: newPath(), everySteps } as never)).toThrow(
        refusal('ARGUMENT', { field: 'checkpoint.everySteps' }),
      )
      await expect(run(train, { callbacks: [{ everySteps, onSteps: () => undefined }] as never })).rejects.toThrow(
        refusal('ARGUMENT'),
      )
    }
    expect(() => checkpoint({ path: newPath(), everySteps: 5, monitor: 'loss' })).toThrow(
      refusal('ARGUMENT', { field: 'checkpoint.everySteps', says: 'monitor' }),
    )
  })
})

const script = `
import { Dataset, MMoE, adam, binary, checkpoint, dense, sparse } from '${fileURLToPath(new URL('../../dist/index.js', import.meta.url))}'
const [path, resume] = process.argv.slice(1)
function* parts() {
  for (let part = 0; part < 10; part += 1) {
    const column = (make) => Array.from({ length: 3000 }, (_, row) => make(3000 * part + row))
    yield Dataset.fromColumns({ user: column((row) => row % 997), price: column((row) => row / 30000), like: column((row) => (row * row) % 7 < 3 ? 1 : 0) })
  }
}
const model = new MMoE({ features: [sparse('user', { dim: 8 }), dense('price')], tasks: [binary('like')], numExperts: 2, expertHiddenUnits: [8], dropout: 0.1 })
const wait = resume ? 0 : 2
const slow = { everySteps: 1, onSteps: async ({ step }) => { console.log(step); if (wait) await new Promise((done) => setTimeout(done, wait)) } }
await model.fit(parts, { batchSize: 256, epochs: 2, optimizer: adam(), callbacks: [checkpoint({ path, everySteps: 7 }), slow],
  stream: { memory: 2 * 4096 * 16 }, ...(resume && resume !== 'none' && { resume }) })
await model.save(path + '.end')
`

it('a killed run on rows in parts, resumed, equals one that was not killed', { timeout: 120_000 }, async () => {
  const start = (args: string[], killAfter = Infinity): Promise<void> => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let steps = 0
    return new Promise((resolve) => {
      child.stdout.on('data', (text: Buffer) => {
        steps += text.toString().trim().split('\n').length
        if (steps >= killAfter) child.kill('SIGKILL')
      })
      child.on('close', () => resolve())
    })
  }
  const weights = async (path: string) => {
    const { tensors } = await readSafetensors(`${path}.end`)
    return new Map([...tensors].map(([name, tensor]) => [name, tensor.data]))
  }
  const [whole, killed] = [newPath(), newPath()]
  await start([whole, 'none'])
  await start([killed], 150)
  expect(existsSync(killed)).toBe(true)
  expect(existsSync(`${killed}.end`)).toBe(false)
  await start([killed, killed])
  expect(await weights(killed)).toEqual(await weights(whole))
})
