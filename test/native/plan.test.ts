// Good programs give right numbers through the addon: dense, mixture, a training step, columns, shuffling, initial weights.
import { describe, expect, it } from 'vitest'

import type { DeviceName } from '../../lib/native/binding.js'
import {
  binding,
  boundPlan,
  columnsOf,
  densePlan,
  devices,
  expectCode,
  floats,
  mixtureProgram,
  trainingProgram,
} from './programs.js'

describe.each(devices)('%s', (device) => {
  it('runs a dense layer', () => {
    const { plan } = densePlan(device)
    const y = floats(device, 4)
    const x = new Float32Array([1, 0, 0, 1, 1, 1])
    const scalars = plan.run({ rows: 2, inputs: [x], outputs: [y], scalars: new Float64Array(0), threads: 1 })
    expect([...y]).toEqual([11, 22, 19, 32])
    expect(scalars).toHaveLength(0)
    expect(plan.info(2).isa).not.toBe('')
  })

  it('runs a mixture', () => {
    const { plan, memories } = boundPlan(device, mixtureProgram())
    // Experts: x and 10 x. Gate 0: logits 0 and x0 * log 3; gate 1 sees one expert, so p = 1.
    memories.get(1)?.write(0, new Float32Array([1, 0, 0, 1, 10, 0, 0, 10, 0, 0, 0, 0, 0, Math.log(3), 0, 0, 5, 5]))
    const outputs = [floats(device, 2), floats(device, 2), floats(device, 3)]
    plan.run({ rows: 1, inputs: [new Float32Array([1, 2])], outputs, scalars: new Float64Array(0), threads: 1 })
    const got = outputs.flatMap((output) => [...output])
    const want = [0.25 + 7.5, 0.5 + 15, 10, 20, 0.25, 0.75, 1]
    got.forEach((value, index) => {
      expect(value).toBeCloseTo(want[index] ?? NaN, 5)
    })
  })

  it('trains: loss, denominator, update of parameters and touched rows', () => {
    const { plan, memories } = boundPlan(device, trainingProgram())
    const inputs = [new Int32Array([4, 1, 4]), new Float32Array([1, 1, 1]), new Float32Array([1, NaN, 0])]
    const [loss] = plan.run({ rows: 3, inputs, outputs: [], scalars: new Float64Array([-1, 1, 1, 1]), threads: 2 })
    expect(loss).toBeCloseTo(Math.log(2), 6) // both labelled rows have logit 0
    const bias = memories.get(7)?.read(3, 1)[0]
    expect(bias).toBeCloseTo(0, 6) // the gradients -1/4 and +1/4 cancel
    expect([...(memories.get(8)?.read(0, 4) ?? [])].every(Number.isFinite)).toBe(true)
  })

  it('counts steps of dropout modulo 2^32, and takes whole ones alone', () => {
    const width = 40
    const plan = binding.compile(
      device,
      {
        buffers: [
          { class: 'rowInput', dtype: 'f32', width, count: 0 },
          { class: 'rowOutput', dtype: 'f32', width, count: 0 },
        ],
        ops: [
          {
            op: 'dropout',
            x: { buffer: 0, offset: 0, width },
            y: { buffer: 1, offset: 0, width },
            seed: 5,
            stream: 1,
            step: 0,
            rate: 0.5,
          },
        ],
        scalarInputs: 1,
        scalarOutputs: 0,
        denominators: [],
      },
      {},
    )
    const at = (step: number): number[] => {
      const y = floats(device, width)
      plan.run({
        rows: 1,
        inputs: [new Float32Array(width).fill(1)],
        outputs: [y],
        scalars: new Float64Array([step]),
        threads: 1,
      })
      return [...y]
    }
    expect(at(2 ** 32 + 3)).toEqual(at(3))
    expect(at(2 ** 53)).toEqual(at(0))
    expect(at(2 ** 32 - 1)).not.toEqual(at(0))
    for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53 + 2]) {
      expectCode(() => at(wrong), 'ARGUMENT', 'scalars[0]', 'dropout')
    }
  })

  it('reads columns in sequence and in shuffled order', async () => {
    const { plan } = densePlan(device)
    const rows = 50
    const x = Float32Array.from({ length: rows * 3 }, (_, index) => Math.floor(index / 3))
    const columns = columnsOf([{ data: x, width: 3, limit: 0 }], rows)
    const y = floats(device, 2 * rows)
    const run = (start: number, count: number, shuffled: boolean): number[] => {
      const output = y.subarray(0, 2 * count)
      plan.run({
        rows: count,
        columns,
        columnOf: [0],
        start,
        shuffled,
        outputs: [output],
        scalars: new Float64Array(0),
        threads: 1,
      })
      return [...output].filter((_, index) => index % 2 === 0).map((value) => (value - 10) / 9)
    }
    expect(run(7, 3, false)).toEqual([7, 8, 9])
    expectCode(() => run(0, 1, true), 'ARGUMENT', 'shuffleAsync()')
    await columns.shuffleAsync(3, 0)
    const first = run(0, rows, true)
    expect(first).not.toEqual(first.toSorted((a, b) => a - b))
    expect(new Set(first).size).toBe(rows)
    expect(run(10, 5, true)).toEqual(first.slice(10, 15))
    await columns.shuffleAsync(3, 1)
    expect(run(0, rows, true)).not.toEqual(first)
    await columns.shuffleAsync(3, 0)
    expect(run(0, rows, true)).toEqual(first)
    columns.dispose()
  })

  it('writes, converts and reads memory', () => {
    const memory = binding.createMemory(device, 10)
    memory.write(1, new Float64Array([0.5, 1.5]))
    memory.write(3, new Float32Array([2.5]))
    expect([...memory.read(0, 5)]).toEqual([0, 0.5, 1.5, 2.5, 0])
    expect(memory.read(0, 5)).toBeInstanceOf(device === 'reference' ? Float64Array : Float32Array)
    expect(memory.elements).toBe(10)
    memory.dispose()
  })

  it('computes denominators by reduction, and gives them after the losses', () => {
    for (const [reduction, want, denominator] of [
      ['valid', Math.log(2), 2],
      ['batch', (Math.log(2) * 2) / 3, 3],
    ] as const) {
      const program = trainingProgram()
      const { plan } = boundPlan(device, {
        ...program,
        denominators: program.denominators.map((entry) => ({ ...entry, reduction })),
      })
      const inputs = [new Int32Array(3), new Float32Array(3), new Float32Array([1, NaN, 0])]
      const results = plan.run({ rows: 3, inputs, outputs: [], scalars: new Float64Array([0, 0, 1, 1]), threads: 1 })
      expect(results[0]).toBeCloseTo(want, 6)
      expect([...results.subarray(program.scalarOutputs)]).toEqual([denominator])
    }
  })
})

describe('initialize', () => {
  const draw = (
    device: DeviceName,
    initializer: Parameters<ReturnType<typeof binding.createMemory>['initialize']>[2],
    count = 20_000,
  ): number[] => {
    const memory = binding.createMemory(device, count)
    memory.initialize(0, count, initializer, 0, 0)
    const values = [...memory.read(0, count)]
    memory.dispose()
    return values
  }
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const deviation = (values: readonly number[]): number => {
    const middle = mean(values)
    return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)))
  }

  it("gives Philox4x32-10's known answer", () => {
    // Random123, counter 0, key 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8; the first two words are the uniform number.
    const bits = (0x6627e8d5n << 32n) | 0xe169c58dn
    const want = Math.fround(Number(bits >> 11n) * 2 ** -53)
    expect(draw('reference', { kind: 'uniform', low: 0, high: 1 }, 1)).toEqual([want])
  })

  it('draws the same numbers on every backend', () => {
    const normal = { kind: 'normal', mean: 0.5, deviation: 2, truncated: false } as const
    expect(draw('cpu', normal)).toEqual(draw('reference', normal))
  })

  it.each(devices)('draws the same numbers off the main thread, by any number of threads and in parts, on %s', async (device) => {
    const normal = { kind: 'normal', mean: 0.5, deviation: 2, truncated: true } as const
    const count = 150_000
    const want = draw(device, normal, count)
    const memory = binding.createMemory(device, count + 2)
    for (const threads of [1, 3]) {
      memory.write(0, floats(device, count + 2).fill(7))
      const drawing = { initializer: normal, seed: 0, stream: 0, threads }
      await Promise.all([
        memory.initializeAsync({ ...drawing, offset: 1 + 90_000, count: count - 90_000, first: 90_000 }),
        memory.initializeAsync({ ...drawing, offset: 1, count: 90_000, first: 0 }),
        memory.initializeAsync({ ...drawing, offset: count + 2, count: 0, first: 0 }),
      ])
      expect([...memory.read(0, count + 2)]).toEqual([7, ...want, 7])
    }
    memory.dispose()
  })

  it('draws from the right distributions', () => {
    const uniform = draw('cpu', { kind: 'uniform', low: -0.05, high: 0.05 })
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(-0.05)
    expect(Math.max(...uniform)).toBeLessThan(0.05)
    expect(deviation(uniform)).toBeCloseTo(0.1 / Math.sqrt(12), 3)
    const normal = draw('cpu', { kind: 'normal', mean: 1, deviation: 1, truncated: false })
    expect(mean(normal)).toBeCloseTo(1, 1)
    expect(deviation(normal)).toBeCloseTo(1, 1)
    const truncated = draw('cpu', { kind: 'normal', mean: 0, deviation: 1, truncated: true })
    expect(Math.max(...truncated.map(Math.abs))).toBeLessThanOrEqual(2)
    expect(deviation(truncated)).toBeCloseTo(0.8796, 1) // of a normal cut at 2 deviations
    expect(new Set(draw('cpu', { kind: 'constant', value: 7 }))).toEqual(new Set([7]))
  })

  it('gives an element the same number wherever the range starts', () => {
    const memory = binding.createMemory('cpu', 10)
    memory.initialize(4, 3, { kind: 'uniform', low: 0, high: 1 }, 9, 2)
    const part = [...memory.read(4, 3)]
    memory.initialize(0, 10, { kind: 'uniform', low: 0, high: 1 }, 9, 2)
    expect([...memory.read(0, 3)]).toEqual(part)
    memory.initialize(0, 3, { kind: 'uniform', low: 0, high: 1 }, 9, 3)
    expect([...memory.read(0, 3)]).not.toEqual(part)
  })
})
