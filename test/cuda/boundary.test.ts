// The plug-in under the addon: memories of a device are that device's, and environments at once.

import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'

import { binding, denseParameters, densePlan, denseProgram, expectCode, floats } from '../native/programs.js'
import { onCuda, usable } from './usable.js'

const second = binding.devices().find(({ name }) => name === 'cuda:1')

describe.skipIf(!usable)(onCuda('the plug-in'), () => {
  it.skipIf(second?.available !== true)('uses a second GPU beside the first, which only then tells its free memory', () => {
    expect(second).toMatchObject({ memoryBytes: expect.any(Number) as number })
    expect(second).not.toHaveProperty('freeBytes')
    for (const device of ['cuda', 'cuda:1', 'cuda'] as const) {
      const { plan } = densePlan(device)
      const y = floats(device, 2)
      plan.run({ rows: 1, inputs: [new Float32Array([1, 0, 0])], outputs: [y], scalars: new Float64Array(0), threads: 1 })
      expect([...y]).toEqual([11, 22])
      plan.dispose()
    }
    expect(binding.devices().find(({ name }) => name === 'cuda:1')).toHaveProperty('freeBytes')
  })

  it('copies memory in and out, whole and in parts, and starts from zero', () => {
    const memory = binding.createMemory('cuda', 1000)
    expect(memory.read(0, 1000)).toEqual(new Float32Array(1000))
    memory.write(990, new Float64Array([1, 2.5, 3]))
    expect([...memory.read(989, 5)]).toEqual([0, 1, 2.5, 3, 0])
    expectCode(() => memory.read(999, 2), 'ARGUMENT')
    const [cuda, cpu] = (['cuda', 'cpu'] as const).map((device) => {
      const drawn = binding.createMemory(device, 300_000)
      drawn.initialize(1, 299_999, { kind: 'normal', mean: 0, deviation: 2, truncated: true }, 3, 4)
      return drawn.read(0, 300_000)
    })
    expect(cuda).toEqual(cpu)
    memory.dispose()
    expectCode(() => memory.read(0, 1), 'DISPOSED')
  })

  it('refuses the memory of another device, and more memory than there is', () => {
    const plan = binding.compile('cuda', denseProgram(), {})
    expectCode(() => {
      plan.bind(2, binding.createMemory('cpu', 8))
    }, 'ARGUMENT')
    expectCode(() => binding.createMemory('cuda', 2 ** 50), 'OUT_OF_MEMORY')
    const memory = binding.createMemory('cuda', 8) // and goes on after it
    memory.write(0, new Float32Array(denseParameters))
    plan.bind(2, memory)
    const y = floats('cuda', 2)
    plan.run({ rows: 1, inputs: [new Float32Array([1, 0, 0])], outputs: [y], scalars: new Float64Array(0), threads: 1 })
    expect([...y]).toEqual([11, 22])
    expect(plan.info(1)).toEqual(expect.objectContaining({ arenaBytes: 0, emulated: false }))
  })

  it('takes one plan with other numbers of rows, more and fewer than before', () => {
    const { plan } = densePlan('cuda')
    for (const rows of [3, 1, 700, 2, 700, 64, 1]) {
      const x = Float32Array.from({ length: rows * 3 }, (_, index) => index % 7)
      const y = floats('cuda', rows * 2)
      plan.run({ rows, inputs: [x], outputs: [y], scalars: new Float64Array(0), threads: 1 })
      const want = Array.from({ length: rows * 2 }, (_, index) => {
        const [row, unit] = [Math.floor(index / 2), index % 2]
        return [0, 1, 2].reduce((sum, i) => sum + (x[row * 3 + i] ?? NaN) * (1 + 2 * i + unit), 10 * (1 + unit))
      })
      expect([...y]).toEqual(want)
    }
  })

  it('serves workers at once, and one that is terminated', async () => {
    densePlan('cuda').plan.dispose()
    const path = Object.keys(createRequire(import.meta.url).cache).find((name) => name.endsWith('multigate.node'))
    const source = `
      const { parentPort, workerData: { path, program, parameters } } = require('node:worker_threads')
      const binding = require(path)
      const plan = binding.compile('cuda', program, {})
      const memory = binding.createMemory('cuda', 8)
      memory.write(0, new Float32Array(parameters))
      plan.bind(2, memory)
      const [x, y] = [new Float32Array(1500).fill(1), new Float32Array(1000)]
      ;(async () => {
        for (let i = 0; i < 10; i++) await plan.runAsync({ rows: 500, inputs: [x], outputs: [y], scalars: new Float64Array(0), threads: 1 })
        parentPort.postMessage(y[999])
      })()`
    const workerData = { path, program: denseProgram(), parameters: denseParameters }
    const start = (): Worker => new Worker(source, { eval: true, workerData })
    const ended = start().terminate()
    const results = [1, 2, 3].map(() => {
      const worker = start()
      return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    })
    expect(await Promise.all(results)).toEqual([32, 32, 32])
    await ended
  })
})
