// Asynchronous runs: order, copies, busy plans and memories, disposal and detached arrays while a run is under way.
import { describe, expect, it } from 'vitest'

import type { FloatArray, RunRequest } from '../../lib/native/binding.js'
import {
  binding,
  boundPlan,
  columnsOf,
  densePlan,
  denseProgram,
  devices,
  expectCode,
  floats,
  mixtureProgram,
  requestFor,
  trainingProgram,
} from './programs.js'

const none = new Float64Array(0)

describe.each(devices)('%s', (device) => {
  const request = (x: number, y: FloatArray): RunRequest => ({
    rows: 1,
    inputs: [new Float32Array([x, 0, 0])],
    outputs: [y],
    scalars: none,
    threads: 1,
  })

  it('writes outputs when it resolves, from the inputs as they were', async () => {
    const { plan } = densePlan(device)
    const y = floats(device, 2)
    const run = request(1, y)
    const promise = plan.runAsync(run)
    run.inputs?.[0]?.fill(99)
    expect([...y]).toEqual([0, 0])
    expect(await promise).toHaveLength(0)
    expect([...y]).toEqual([11, 22])
  })

  it('runs plans in the order they were asked for', async () => {
    const order: number[] = []
    const runs = Array.from({ length: 20 }, async (_, index) => {
      const { plan } = densePlan(device)
      const y = floats(device, 2)
      await plan.runAsync(request(index, y))
      order.push(index)
      expect(y[0]).toBe(index + 10)
    })
    await Promise.all(runs)
    expect(order).toEqual(order.toSorted((a, b) => a - b))
  })

  it('refuses a second run, binding and writes while one is under way, and is free right after', async () => {
    const { plan, parameters } = densePlan(device)
    const y = floats(device, 2)
    const promise = plan.runAsync(request(1, y))
    expectCode(() => plan.run(request(1, y)), 'BUSY')
    expectCode(() => plan.runAsync(request(1, y)), 'BUSY')
    expectCode(() => {
      plan.bind(2, parameters)
    }, 'BUSY')
    expectCode(() => {
      parameters.write(0, new Float32Array(1))
    }, 'BUSY')
    expect(parameters.read(0, 1)[0]).toBe(1) // the run only reads it
    await promise
    plan.run(request(1, y))
    await plan.runAsync(request(1, y))
  })

  it('lets plans share memory that they read, not memory that one of them writes', async () => {
    const first = densePlan(device)
    const second = binding.compile(device, denseProgram(), {})
    second.bind(2, first.parameters)
    const y = floats(device, 2)
    const promise = first.plan.runAsync(request(1, floats(device, 2)))
    second.run(request(1, y))
    await promise

    const program = trainingProgram()
    const training = boundPlan(device, program)
    const other = binding.compile(device, program, {})
    for (const [number, memory] of training.memories) other.bind(number, memory)
    const step = training.plan.runAsync(requestFor(device, program, 4))
    expectCode(() => other.run(requestFor(device, program, 4)), 'BUSY', 'another plan')
    expectCode(() => training.memories.get(7)?.read(0, 1), 'BUSY')
    await step
    other.run(requestFor(device, program, 4))
  })

  it('finishes a run whose plan, memory and columns are disposed', async () => {
    const { plan, parameters } = densePlan(device)
    const columns = columnsOf([{ data: new Float32Array([1, 0, 0]), width: 3, limit: 0 }], 1)
    const y = floats(device, 2)
    const promise = plan.runAsync({ rows: 1, columns, columnOf: [0], outputs: [y], scalars: none, threads: 1 })
    columns.dispose()
    parameters.dispose()
    plan.dispose()
    expectCode(() => plan.run(request(1, y)), 'DISPOSED')
    await promise
    expect([...y]).toEqual([11, 22])
  })

  it('shuffles columns in order with runs', async () => {
    const x = Float32Array.from({ length: 3000 }, (_, index) => (index % 3 === 0 ? index / 3 : 0))
    const columns = columnsOf([{ data: x, width: 3, limit: 0 }], 1000)
    const request = () => {
      const outputs = [floats(device, 2000)]
      return { rows: 1000, columns, columnOf: [0], shuffled: true, outputs, scalars: none, threads: 1 }
    }
    const orderOf = ({ outputs }: RunRequest) => [...(outputs[0] ?? [])].filter((_, index) => index % 2 === 0).map((y) => y - 10)
    const alone: number[][] = []
    for (const epoch of [1, 2]) {
      await columns.shuffleAsync(1, epoch)
      const run = request()
      densePlan(device).plan.run(run)
      alone.push(orderOf(run))
    }
    expect(alone[0]).not.toEqual(alone[1])

    const together: RunRequest[] = []
    const waiting: Promise<unknown>[] = []
    for (const epoch of [1, 2, 1]) {
      waiting.push(columns.shuffleAsync(1, epoch))
      const run = request()
      together.push(run)
      waiting.push(densePlan(device).plan.runAsync(run))
    }
    // What does not wait for its turn is refused.
    expectCode(() => densePlan(device).plan.run(request()), 'BUSY', 'shuffled')
    expectCode(() => columns.write(0, [new Float32Array(3)]), 'BUSY')
    await Promise.all(waiting)
    expect(together.map(orderOf)).toEqual([alone[0], alone[1], alone[0]])
    densePlan(device).plan.run(request())
    columns.dispose()
  })

  it('keeps memory and columns that are disposed while they are drawn or shuffled', async () => {
    const memory = binding.createMemory(device, 200_000)
    const initializer = { kind: 'uniform', low: 0, high: 1 } as const
    const drawn = memory.initializeAsync({ offset: 0, count: 200_000, initializer, seed: 0, stream: 0, first: 0, threads: 2 })
    expectCode(() => memory.read(0, 1), 'BUSY')
    expectCode(() => memory.write(0, new Float32Array(1)), 'BUSY')
    memory.dispose()
    const columns = columnsOf([{ data: new Float32Array(30), width: 3, limit: 0 }], 10)
    const shuffled = columns.shuffleAsync(1, 1)
    columns.dispose()
    expect(await Promise.all([drawn, shuffled])).toEqual([undefined, undefined])
  })

  it.each([false, true])('does steps that follow each other in one call as in several, shuffled: %s', async (shuffled) => {
    const program = trainingProgram()
    const random = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 37) % 11) / 11)
    const columns = columnsOf(
      [
        { data: Int32Array.from({ length: 14 }, (_, i) => i % 5), width: 1, limit: 5 },
        { data: random(14), width: 1, limit: 0 },
        { data: random(14).map((x) => (x > 0.8 ? Number.NaN : Math.round(x))), width: 1, limit: 0 },
      ],
      14,
    )
    await columns.shuffleAsync(3, 1)
    const scalars = (step: number) => Array.from({ length: program.scalarInputs }, (_, i) => 0.01 * (i + 1) + step)
    const train = async (together: number) => {
      const { plan, memories } = boundPlan(device, program)
      for (const memory of memories.values()) memory.write(0, floats(device, [...random(memory.elements)]))
      const results: number[] = []
      for (let step = 0; step < 4; step += together) {
        const own = Array.from({ length: together }, (_, k) => scalars(step + k)).flat()
        const request = {
          rows: 3,
          steps: together,
          columns,
          columnOf: [0, 1, 2],
          start: 1 + 3 * step,
          shuffled,
          outputs: [],
          threads: 2,
        }
        results.push(...(await plan.runAsync({ ...request, scalars: new Float64Array(own) })))
      }
      return { results, weights: [...memories].map(([number, memory]) => [number, [...memory.read(0, memory.elements)]]) }
    }
    const one = await train(1)
    expect(one.results).toHaveLength(4 * (program.scalarOutputs + program.denominators.length))
    expect(await train(2)).toEqual(one)
    expect(await train(4)).toEqual(one)
  })

  describe('of many steps', () => {
    const [rows, steps] = [1_000_000, 50_000]
    const start = () => {
      const program = trainingProgram()
      const { plan } = boundPlan(device, program)
      const floatColumn = { data: new Float32Array(rows), width: 1, limit: 0 }
      const columns = columnsOf([{ data: new Int32Array(rows), width: 1, limit: 5 }, floatColumn, floatColumn], rows)
      const scalars = new Float64Array(steps * program.scalarInputs)
      const request = { rows: rows / steps, steps, columns, columnOf: [0, 1, 2], outputs: [], scalars, threads: 1 }
      return { plan, request, width: program.scalarOutputs + program.denominators.length }
    }

    it('ends after the step that takes it past its time', async () => {
      const { plan, request, width } = start()
      expect(await plan.runAsync({ ...request, milliseconds: 0 })).toHaveLength(width)
      const some = await plan.runAsync({ ...request, milliseconds: 5 })
      expect(some.length % width).toBe(0)
      expect(some.length).toBeLessThan(steps * width)
      expectCode(() => plan.runAsync({ ...request, milliseconds: -1 }), 'ARGUMENT', 'milliseconds', '-1')
    })

    it('ends early where another run is posted behind it, or somebody asks', async () => {
      const { plan, request, width } = start()
      const other = densePlan(device).plan
      const quick = { rows: 1, inputs: [new Float32Array(3)], outputs: [floats(device, 2)], scalars: none, threads: 1 }
      const ways = [() => other.runAsync(quick), () => binding.giveWay()]
      for (const giveWay of ways) {
        const run = plan.runAsync(request)
        giveWay()
        expect((await run).length).toBeLessThan(steps * width)
      }
    })
  })

  it('refuses steps beyond the columns, of arrays, and of programs with row outputs', () => {
    const program = trainingProgram()
    const { plan } = boundPlan(device, program)
    const ids = { data: new Int32Array(8), width: 1, limit: 5 }
    const column = { data: new Float32Array(8), width: 1, limit: 0 }
    const columns = columnsOf([ids, column, column], 8)
    const shared = { rows: 3, outputs: [], scalars: new Float64Array(3 * program.scalarInputs), threads: 1 }
    const run = { ...shared, columns, columnOf: [0, 1, 2] }
    expectCode(() => plan.runAsync({ ...run, steps: 3 }), 'ARGUMENT', 'start and rows are 0 and 3 in 3 steps', '8 rows')
    expectCode(() => plan.runAsync({ ...run, steps: 0 }), 'ARGUMENT', 'steps')
    expectCode(() => plan.runAsync({ ...run, steps: 2 }), 'ARGUMENT', 'scalars')
    expectCode(
      () => plan.runAsync({ ...requestFor(device, program, 3), steps: 2 }),
      'ARGUMENT',
      'steps is 2, expected 1 where inputs are arrays',
    )
    const wide = columnsOf([{ data: new Float32Array(24), width: 3, limit: 0 }], 8)
    const dense = { rows: 2, steps: 2, columns: wide, columnOf: [0], outputs: [floats(device, 4)], scalars: none, threads: 1 }
    expectCode(() => densePlan(device).plan.runAsync(dense), 'ARGUMENT', 'steps is 2, expected 1: this program has row outputs')
  })

  it('rejects where an output was detached meanwhile, and writes none of the others', async () => {
    const program = mixtureProgram()
    const { plan } = boundPlan(device, program)
    const run = requestFor(device, program, 2)
    run.outputs[0]?.fill(7)
    const promise = plan.runAsync(run)
    const buffer = run.outputs[1]?.buffer as ArrayBuffer
    structuredClone(buffer, { transfer: [buffer] })
    await expect(promise).rejects.toMatchObject({
      code: 'ERR_MULTIGATE_ARGUMENT',
      message: expect.stringContaining('outputs[1]') as string,
    })
    expect(run.outputs[0]?.[0]).toBe(7)
    plan.run(requestFor(device, program, 2))
  })

  it('survives handles that are collected while their run is under way', async () => {
    const y = floats(device, 2)
    const promise = densePlan(device).plan.runAsync(request(1, y))
    for (let i = 0; i < 50; ++i) new ArrayBuffer(1 << 20)
    await promise
    expect(y[0]).toBe(11)
  })
})
