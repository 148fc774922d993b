// Steps that are run phase by phase: the same bits as one run, what lies between two phases, and every call that must fail with a code.

import { setImmediate } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'

import type { DeviceName, NativeMemory, NativePlan, NativeStep, StepPhase, StepRequest } from '../../lib/native/binding.js'
import { usable } from '../cuda/usable.js'
import { anything, boundPlan, columnsOf, denseProgram, expectCode, floats, trainingProgram } from './programs.js'

const devices: readonly DeviceName[] = ['reference', 'cpu', ...(usable ? (['cuda'] as const) : [])]
const rows = 14
const [parameters, gradients, table, stored] = [7, 8, 9, 6]
const phases: readonly StepPhase[] = ['rows', 'gradients', 'update', 'tables']
/** Where a step is cut: first and last phase of each run. */
const cuts: readonly (readonly (readonly [StepPhase, StepPhase])[])[] = [
  [['rows', 'tables']],
  [
    ['rows', 'rows'],
    ['gradients', 'tables'],
  ],
  [
    ['rows', 'gradients'],
    ['update', 'tables'],
  ],
  [
    ['rows', 'update'],
    ['tables', 'tables'],
  ],
  phases.map((phase) => [phase, phase] as const),
]

const values = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 37) % 11) / 11)

function data() {
  return {
    ids: Int32Array.from({ length: rows }, (_, i) => (i * 3) % 5),
    x: values(rows),
    label: values(rows).map((x) => (x > 0.8 ? Number.NaN : Math.round(x))),
  }
}

function columns() {
  const { ids, x, label } = data()
  const float = (own: Float32Array) => ({ data: own, width: 1, limit: 0 })
  return columnsOf([{ data: ids, width: 1, limit: 5 }, float(x), float(label)], rows)
}

const scalars = () => new Float64Array([0, 0.5, 1, 0.75])

function request(): StepRequest {
  const { ids, x, label } = data()
  return { rows, inputs: [ids, x, label], scalars: scalars(), threads: 2 }
}

function start(device: DeviceName): { plan: NativePlan; memories: Map<number, NativeMemory> } {
  const { plan, memories } = boundPlan(device, trainingProgram())
  for (const number of [parameters, table]) {
    const memory = memoryOf(memories, number)
    memory.write(0, floats(device, [...values(memory.elements)]))
  }
  return { plan, memories }
}

function memoryOf(memories: Map<number, NativeMemory>, number: number): NativeMemory {
  const memory = memories.get(number)
  if (memory === undefined) throw new Error(`no memory ${number}`)
  return memory
}

const contents = (memories: Map<number, NativeMemory>) =>
  [...memories].map(([number, memory]) => [number, [...memory.read(0, memory.elements)]])

describe.each(devices)('a step on %s', (device) => {
  it.each(cuts)('gives the bits of one run, cut at %j', async (...runs) => {
    const whole = start(device)
    const results = whole.plan.run({ ...request(), outputs: [] })
    const { plan, memories } = start(device)
    const step = plan.begin(request())
    for (const [first, last] of runs) await step.run(first, last)
    expect(step.results).toEqual(results)
    step.end()
    expect(contents(memories)).toEqual(contents(whole.memories))
  })

  it('takes columns in the order they have when it is opened', async () => {
    const own = columns()
    await own.shuffleAsync(3, 1)
    const order = { rows: 5, columns: own, columnOf: [0, 1, 2], start: 2, shuffled: true, scalars: scalars(), threads: 2 }
    const whole = start(device)
    const results = await whole.plan.runAsync({ ...order, outputs: [] })
    const { plan, memories } = start(device)
    const shuffling = own.shuffleAsync(3, 2)
    expectCode(() => plan.begin(order), 'BUSY', 'shuffled')
    await shuffling
    await own.shuffleAsync(3, 1)
    const step = plan.begin(order)
    await own.shuffleAsync(3, 2)
    for (const phase of phases) await step.run(phase)
    expect(step.results).toEqual(results)
    step.end()
    expect(contents(memories)).toEqual(contents(whole.memories))
  })

  it('tells the losses so far, and adds penalties to them', async () => {
    const program = trainingProgram()
    const ops = program.ops.map((op) => (op.op === 'embedding_update' ? { ...op, l2: 0.5, exact: 1 } : op))
    const { plan, memories } = boundPlan(device, { ...program, ops })
    memoryOf(memories, table).write(0, floats(device, [...values(10)]))
    const step = plan.begin(request())
    const { label } = data()
    const labelled = label.filter((value) => !Number.isNaN(value)).length
    expect([...step.results]).toEqual([0, 0, labelled])
    await step.run('rows')
    const [loss = NaN, before, denominator] = step.results
    expect(loss).toBeGreaterThan(0)
    expect([before, denominator]).toEqual([0, labelled])
    await step.run('gradients', 'tables')
    const [still, penalty = NaN] = step.results
    expect(still).toBe(loss)
    expect(penalty).toBeCloseTo(0.5 * values(10).reduce((sum, value) => sum + value * value, 0), 5)
    step.end()
  })

  it('updates by the gradients that are there: twice as large, parameters move twice as far', async () => {
    const moved = async (factor: number): Promise<number[]> => {
      const { plan, memories } = start(device)
      const [weights, gradient] = [memoryOf(memories, parameters), memoryOf(memories, gradients)]
      const before = weights.read(0, 4)
      const step = plan.begin(request())
      await step.run('rows', 'gradients')
      gradient.write(0, gradient.read(0, 4).map((value) => factor * value) as Float32Array)
      await step.run('update', 'tables')
      step.end()
      return [...weights.read(0, 4)].map((value, index) => value - (before[index] ?? NaN))
    }
    const [once, twice] = [await moved(1), await moved(2)]
    expect(Math.max(...once.map(Math.abs))).toBeGreaterThan(1e-3)
    twice.forEach((value, index) => {
      expect(value).toBeCloseTo(2 * (once[index] ?? NaN), 6)
    })
  })

  it('updates tables by the row gradients that are there', async () => {
    const moved = async (factor: number): Promise<number[]> => {
      const { plan, memories } = start(device)
      const own = memoryOf(memories, table)
      const before = own.read(0, 10)
      const step = plan.begin(request())
      await step.run('rows')
      const all = step.readStored(stored, 0, rows)
      expect(all).toBeInstanceOf(device === 'reference' ? Float64Array : Float32Array)
      expect([...step.readStored(stored, 3, 2)]).toEqual([...all.subarray(6, 10)])
      // Some rows at a time, as they would come from another machine.
      step.writeStored(stored, 0, all.subarray(0, 2 * 5).map((value) => factor * value) as Float32Array)
      step.writeStored(stored, 5, all.subarray(2 * 5).map((value) => factor * value) as Float32Array)
      await step.run('gradients', 'update')
      expect([...step.readStored(stored, 0, rows)]).toEqual([...all.map((value) => factor * value)])
      await step.run('tables')
      step.end()
      return [...own.read(0, 10)].map((value, index) => value - (before[index] ?? NaN))
    }
    const [once, twice] = [await moved(1), await moved(-2)]
    expect(Math.max(...once.map(Math.abs))).toBeGreaterThan(1e-3)
    twice.forEach((value, index) => {
      expect(value).toBeCloseTo(-2 * (once[index] ?? NaN), 6)
    })
  })

  it('divides losses and gradients by the denominators that are set', async () => {
    const run = async (factor: number) => {
      const { plan, memories } = start(device)
      const step = plan.begin(request())
      const before = step.denominators
      if (factor !== 1) step.denominators = before.map((value) => factor * value)
      expect([...step.denominators]).toEqual([...before].map((value) => factor * value))
      await step.run('rows', 'gradients')
      const gradient = [...memoryOf(memories, gradients).read(0, 4)]
      const [loss = NaN, , denominator = NaN] = step.results
      step.end()
      return { gradient, loss, denominator }
    }
    const [one, four] = [await run(1), await run(4)]
    expect(four.denominator).toBe(4 * one.denominator)
    expect(four.loss).toBeCloseTo(one.loss / 4, 6)
    four.gradient.forEach((value, index) => {
      expect(value).toBeCloseTo((one.gradient[index] ?? NaN) / 4, 6)
    })
    expect((await run(0)).gradient.every((value) => value === 0)).toBe(true)
  })

  it('weighs the gradients of a task by its scalar, and its loss not', async () => {
    const run = (weight: number) => {
      const { plan, memories } = start(device)
      const [loss = NaN] = plan.run({ ...request(), scalars: new Float64Array([0, 0, 1, weight]), outputs: [] })
      return { loss, gradient: [...memoryOf(memories, gradients).read(0, 4)] }
    }
    const [one, half] = [run(1), run(0.5)]
    expect(half).toEqual({ loss: one.loss, gradient: one.gradient.map((value) => value / 2) })
    const { plan } = start(device)
    for (const wrong of [NaN, Infinity, -Infinity, 1e39]) {
      const own = { ...request(), scalars: new Float64Array([0, 0, 1, wrong]) }
      expectCode(
        () => plan.run({ ...own, outputs: [] }),
        'ARGUMENT',
        'scalars[3]',
        String(wrong).slice(0, 3).toLowerCase(),
        'weight',
      )
      expectCode(() => plan.runAsync({ ...own, outputs: [] }), 'ARGUMENT', 'scalars[3]')
      expectCode(() => plan.begin(own), 'ARGUMENT', 'scalars[3]')
    }
    plan.run({ ...request(), outputs: [] })
  })
})

describe.each(devices)('an open step on %s', (device) => {
  const open = (): { plan: NativePlan; memories: Map<number, NativeMemory>; step: NativeStep } => {
    const { plan, memories } = start(device)
    return { plan, memories, step: plan.begin(request()) }
  }

  it('runs its phases in their order alone, each once', async () => {
    const { step } = open()
    for (const wrong of ['gradients', 'update', 'tables'] as const)
      expectCode(() => step.run(wrong), 'ARGUMENT', `'${wrong}'`, "expected 'rows'")
    expectCode(() => step.run('rows', anything('row')), 'ARGUMENT', 'last', 'row')
    for (const wrong of [undefined, null, 0, 'all', {}, Symbol('x')])
      expectCode(() => step.run(anything(wrong)), 'ARGUMENT', 'first')
    await step.run('rows', 'gradients')
    expectCode(() => step.run('rows'), 'ARGUMENT', "expected 'update'")
    expectCode(() => step.run('tables'), 'ARGUMENT', "expected 'update'")
    expectCode(() => step.run('update', 'rows'), 'ARGUMENT', 'last', "'rows'", "expected 'update'")
    await step.run('update')
    await step.run('tables')
    for (const phase of phases) expectCode(() => step.run(phase), 'ARGUMENT', 'end()')
    expect(step.results).toHaveLength(3)
    step.end()
  })

  it('keeps its plan and rows to itself', async () => {
    const { plan, memories } = start(device)
    const own = columns()
    const step = plan.begin({ rows, columns: own, columnOf: [0, 1, 2], scalars: scalars(), threads: 1 })
    const { ids, x, label } = data()
    const attempts = (): void => {
      expectCode(() => plan.run({ ...request(), outputs: [] }), 'BUSY', 'plan')
      expectCode(() => plan.runAsync({ ...request(), outputs: [] }), 'BUSY', 'plan')
      expectCode(() => plan.begin(request()), 'BUSY', 'plan')
      expectCode(() => plan.bind(gradients, memoryOf(memories, gradients)), 'BUSY', 'plan')
      expectCode(() => own.write(0, [ids, x, label]), 'BUSY', 'columns')
    }
    attempts()
    await step.run('rows', 'update')
    attempts()
    step.end()
    own.write(0, [ids, x, label])
    plan.run({ ...request(), outputs: [] })
  })

  it('has its memories to itself while a phase is run, and no longer', async () => {
    const { memories, step } = open()
    const other = boundPlan(device, trainingProgram()).plan
    other.bind(parameters, memoryOf(memories, parameters))
    const running = step.run('rows')
    expectCode(() => memoryOf(memories, parameters).write(0, floats(device, 1)), 'BUSY')
    expectCode(() => other.run({ ...request(), outputs: [] }), 'BUSY', 'another plan')
    for (const call of [
      () => step.run('gradients'),
      () => step.results,
      () => step.readStored(stored, 0, 1),
      () => step.writeStored(stored, 0, floats(device, 2)),
      () => {
        step.denominators = new Float64Array(1)
      },
      () => step.end(),
    ])
      expectCode(call, 'BUSY', 'Step')
    expect(step.denominators).toHaveLength(1)
    await running
    memoryOf(memories, parameters).write(0, floats(device, 1))
    other.run({ ...request(), outputs: [] })
    const taken = other.runAsync({ ...request(), outputs: [] })
    expectCode(() => step.run('gradients'), 'BUSY', 'another plan')
    await taken
    await step.run('gradients')
    step.end()
  })

  it('ends once, whatever was run, and then is gone', async () => {
    for (const run of [0, 1, 2, 3, 4]) {
      const { plan, step } = open()
      for (const phase of phases.slice(0, run)) await step.run(phase)
      step.end()
      step.end()
      for (const call of [
        () => step.run('rows'),
        () => step.denominators,
        () => step.results,
        () => step.readStored(stored, 0, 1),
        () => step.writeStored(stored, 0, floats(device, 2)),
      ])
        expectCode(call, 'DISPOSED', 'Step')
      plan.run({ ...request(), outputs: [] })
    }
  })

  it('goes no further once its plan or a memory is disposed', async () => {
    const { plan, step } = open()
    const running = step.run('rows')
    plan.dispose()
    await running
    for (const call of [() => step.run('gradients'), () => step.readStored(stored, 0, 1)]) expectCode(call, 'DISPOSED', 'Plan')
    step.end()
    const { memories, step: other } = open()
    await other.run('rows')
    memoryOf(memories, table).dispose()
    expectCode(() => other.run('gradients', 'tables'), 'DISPOSED', 'buffer 9')
    other.end()
    const third = open()
    const busy = third.step.run('rows', 'tables')
    for (const memory of third.memories.values()) memory.dispose()
    await busy
    third.step.end()
  })

  it('reads and writes rows of stored buffers that are there', async () => {
    const { step } = open()
    const wrong = (): void => {
      expectCode(() => step.readStored(stored, 0, 1), 'ARGUMENT', "'rows'")
      expectCode(() => step.writeStored(stored, 0, floats(device, 2)), 'ARGUMENT', "'rows'")
    }
    wrong()
    await step.run('rows')
    for (const buffer of [-1, 10, 2 ** 40, 0.5, NaN, anything<number>('6')])
      expectCode(() => step.readStored(buffer, 0, 1), 'ARGUMENT', 'buffer')
    for (const buffer of [0, 3, parameters, table]) expectCode(() => step.readStored(buffer, 0, 1), 'ARGUMENT', 'stored')
    for (const [first, count] of [
      [-1, 1],
      [0, 0],
      [0, rows + 1],
      [rows, 1],
      [2 ** 52, 2 ** 52],
      [1, -1],
    ] as const)
      expectCode(() => step.readStored(stored, first, count), 'ARGUMENT', 'firstRow', `${rows} rows`)
    expectCode(() => step.readStored(stored, NaN, 1), 'ARGUMENT', 'firstRow')
    expectCode(() => step.writeStored(stored, 0, floats(device, 3)), 'ARGUMENT', 'values', 'length 3', '2')
    expectCode(() => step.writeStored(stored, 0, floats(device, 0)), 'ARGUMENT', 'values', 'length 0')
    expectCode(() => step.writeStored(stored, rows - 1, floats(device, 4)), 'ARGUMENT', 'firstRow')
    expectCode(() => step.writeStored(stored, 0, anything(new Int32Array(2))), 'ARGUMENT', 'Int32Array')
    expectCode(() => step.writeStored(stored, 0, anything([1, 2])), 'ARGUMENT', 'values')
    const moved = floats(device, 2)
    structuredClone(moved.buffer, { transfer: [moved.buffer as ArrayBuffer] })
    expectCode(() => step.writeStored(stored, 0, moved), 'ARGUMENT', 'detached')
    await step.run('gradients', 'tables')
    wrong()
    step.end()
  })

  it('takes denominators before its rows alone, one for each', async () => {
    const { step } = open()
    const before = [...step.denominators]
    const set = (value: unknown): void => {
      step.denominators = anything(value)
    }
    for (const wrong of [new Float64Array(0), new Float64Array(2), new Float32Array(1), [1], 1, undefined, null])
      expectCode(() => set(wrong), 'ARGUMENT', 'denominators')
    for (const wrong of [NaN, Infinity, -1]) expectCode(() => set(Float64Array.of(wrong)), 'ARGUMENT', 'denominators[0]')
    expect([...step.denominators]).toEqual(before)
    step.denominators[0] = 99 // of a copy
    expect([...step.denominators]).toEqual(before)
    await step.run('rows')
    expectCode(() => set(Float64Array.of(1)), 'ARGUMENT', "'rows'")
    step.end()
  })

  it('is refused for a request or a program that it cannot be of, and leaves the plan free', () => {
    const { plan } = start(device)
    for (const [wrong, ...parts] of [
      [{ steps: 2 }, 'steps', 'array'],
      [{ rows: 0 }, 'rows'],
      [{ threads: 0 }, 'threads'],
      [{ scalars: new Float64Array(3) }, 'scalars'],
      [{ scalars: undefined }, 'scalars'],
      [{ inputs: [] }, 'inputs'],
      [{ inputs: undefined }, 'inputs'],
    ] as const)
      expectCode(() => plan.begin(anything({ ...request(), ...wrong })), 'ARGUMENT', ...parts)
    const many = { rows: 2, steps: 2, columns: columns(), columnOf: [0, 1, 2], scalars: new Float64Array(8), threads: 1 }
    expectCode(() => plan.begin(anything(many)), 'ARGUMENT', 'steps', '1')
    expectCode(() => plan.begin(anything(undefined)), 'ARGUMENT', 'request')
    plan.begin(request()).end()
    const dense = boundPlan(device, denseProgram()).plan
    const inputs = [new Float32Array(3)]
    const own = { rows: 1, inputs, scalars: new Float64Array(0), threads: 1 }
    expectCode(() => dense.begin(own), 'ARGUMENT', 'row outputs')
    dense.run({ ...own, outputs: [floats(device, 2)] })
  })

  it('is recognised by nothing else, and made by nobody else', () => {
    const { plan, step } = open()
    const prototype = Object.getPrototypeOf(step) as object
    const { run, end } = prototype as NativeStep
    for (const receiver of [{}, plan, null, prototype]) {
      expect(() => run.call(anything(receiver), 'rows')).toThrow()
      expect(() => end.call(anything(receiver))).toThrow()
      for (const name of ['denominators', 'results']) {
        const { get, set } = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
        expectCode(() => get?.call(receiver), 'ARGUMENT', 'this')
        if (set !== undefined) expectCode(() => set.call(receiver, new Float64Array(1)), 'ARGUMENT', 'this')
      }
    }
    const Step = step.constructor as new () => unknown
    expectCode(() => new Step(), 'ARGUMENT', 'constructor')
    step.end()
  })

  it('that is dropped lets go of its plan', async () => {
    const { plan, memories } = start(device)
    plan.begin(request())
    for (let i = 0; i < 50; i += 1) {
      globalThis.gc?.()
      await setImmediate()
    }
    plan.dispose()
    for (const memory of memories.values()) memory.dispose()
  })
})

it('a worker may end in the middle of a phase', async () => {
  const source = `
    const { workerData, parentPort } = require('node:worker_threads')
    const native = require(workerData.addon)
    const plan = native.compile('cpu', workerData.program, {})
    workerData.program.buffers.forEach((buffer, number) => {
      if (['parameter', 'gradient', 'table'].includes(buffer.class)) plan.bind(number, native.createMemory('cpu', buffer.width * buffer.count))
    })
    const rows = 200000
    const inputs = [new Int32Array(rows), new Float32Array(rows), new Float32Array(rows)]
    const step = plan.begin({ rows, inputs, scalars: new Float64Array([0, 1, 1, 1]), threads: 2 })
    step.run('rows', 'tables').then(() => parentPort.postMessage('done'))
    parentPort.postMessage('running')`
  const addon = new URL('../../build/Release/multigate.node', import.meta.url).pathname
  const worker = new Worker(source, { eval: true, workerData: { addon, program: trainingProgram() } })
  await new Promise((resolve) => worker.once('message', resolve))
  await worker.terminate()
})
