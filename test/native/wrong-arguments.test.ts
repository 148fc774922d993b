// Wrong arguments of every call: each throws an error with a code and a text that names the field, what was found and what was
// expected; afterwards the same plan still gives right numbers.
import { describe, expect, it } from 'vitest'

import type { FloatArray, NativeColumns, NativeMemory, NativePlan, RunRequest } from '../../lib/native/binding.js'
import { MultigateError } from '../../lib/native/error.js'
import {
  anything,
  binding,
  boundPlan,
  columnsOf,
  densePlan,
  denseProgram,
  devices,
  expectCode,
  floats,
  trainingProgram,
} from './programs.js'

function detached<T extends FloatArray>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

/** A length-tracking view of a resizable buffer that has shrunk under it. */
function shrunk(length: number, left: number): Float32Array {
  const resizable =
    anything<new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer & { resize(bytes: number): void }>(
      ArrayBuffer,
    )
  const buffer = new resizable(length * 4, { maxByteLength: length * 4 })
  const array = new Float32Array(buffer)
  buffer.resize(left * 4)
  return array
}

/** A view of fixed length whose resizable buffer no longer reaches to its end. */
function outOfBounds(length: number): Float32Array {
  const resizable =
    anything<new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer & { resize(bytes: number): void }>(
      ArrayBuffer,
    )
  const buffer = new resizable(length * 4, { maxByteLength: length * 4 })
  const array = new Float32Array(buffer, 0, length)
  buffer.resize(4)
  return array
}

const shared = (values: readonly number[]): Float32Array => {
  const array = new Float32Array(new SharedArrayBuffer(values.length * 4))
  array.set(values)
  return array
}

const oddNumbers: readonly (readonly [unknown, string])[] = [
  [NaN, 'NaN'],
  [Infinity, 'inf'],
  [-Infinity, '-inf'],
  [-1, '-1'],
  [0.5, '0.5'],
  [2 ** 53, '9007199254740992'],
  [1e300, '1e+300'],
  [1n, 'BigInt'],
  ['1', "'1'"],
  [null, 'null'],
  [undefined, 'undefined'],
  [{ rowValue: () => 1 }, 'an object'],
  [Symbol('one'), 'a symbol'],
]

describe.each(devices)('%s: a wrong run request', (device) => {
  const { plan } = densePlan(device)
  const good = (): RunRequest => ({
    rows: 2,
    inputs: [new Float32Array([1, 0, 0, 1, 1, 1])],
    outputs: [floats(device, 4)],
    scalars: new Float64Array(0),
    threads: 1,
  })
  const stillRuns = (): void => {
    const request = good()
    plan.run(request)
    expect([...(request.outputs[0] ?? [])]).toEqual([11, 22, 19, 32])
  }
  const refused = async (change: unknown, ...parts: readonly string[]): Promise<void> => {
    const request = anything<RunRequest>(typeof change === 'object' && change !== null ? { ...good(), ...change } : change)
    expectCode(() => plan.run(request), 'ARGUMENT', ...parts)
    expectCode(() => plan.runAsync(request), 'ARGUMENT', ...parts)
    stillRuns()
    await Promise.resolve()
  }
  const other = device === 'reference' ? Float32Array : Float64Array

  const wrongRequests: readonly (readonly [name: string, change: unknown, ...parts: string[]])[] = [
    ['nothing', undefined, 'request', 'undefined'],
    ['a function', () => 0, 'request', 'a function'],
    ['more rows than inputs', { rows: 3 }, 'outputs[0]', '4', '6'],
    ['no threads', { threads: 0 }, 'threads', '0'],
    ['too many threads', { threads: 1e6 }, 'threads'],
    ['no inputs', { inputs: undefined }, 'inputs', 'missing'],
    ['too few inputs', { inputs: [] }, 'inputs', '0', '1'],
    ['too many inputs', { inputs: [new Float32Array(6), new Float32Array(6)] }, 'inputs', '2', '1'],
    ['inputs that are no array', { inputs: { 0: new Float32Array(6), length: 1 } }, 'inputs', 'an array'],
    ['an array of numbers', { inputs: [[1, 2, 3, 4, 5, 6]] }, 'inputs[0]', 'an array', 'Float32Array'],
    ['a DataView', { inputs: [new DataView(new ArrayBuffer(24))] }, 'inputs[0]', 'Float32Array'],
    ['a Float64Array', { inputs: [new Float64Array(6)] }, 'inputs[0]', 'Float64Array', 'Float32Array'],
    ['ids for floats', { inputs: [new Int32Array(6)] }, 'inputs[0]', 'Int32Array', 'Float32Array'],
    ['a proxy of a typed array', { inputs: [new Proxy(new Float32Array(6), {})] }, 'inputs[0]', 'an object'],
    ['a prototype without slots', { inputs: [Object.create(Float32Array.prototype)] }, 'inputs[0]'],
    ['short inputs', { inputs: [new Float32Array(5)] }, 'inputs[0]', '5', '6'],
    ['a detached input', { inputs: [detached(new Float32Array(6))] }, 'inputs[0]', 'detached'],
    ['an input that shrank', { inputs: [shrunk(6, 2)] }, 'inputs[0]', '2', '6'],
    ['an input beyond its buffer', { inputs: [outOfBounds(6)] }, 'inputs[0]', '0', '6'],
    [
      'a detached output',
      { outputs: [detached(device === 'reference' ? new Float64Array(4) : new Float32Array(4))] },
      'outputs[0]',
      'detached',
    ],
    ['outputs of the other type', { outputs: [new other(4)] }, 'outputs[0]', other.name],
    [
      'shared outputs',
      { outputs: [device === 'cpu' ? shared([1, 2, 3, 4]) : new Float64Array(new SharedArrayBuffer(32))] },
      'outputs[0]',
      'SharedArrayBuffer',
    ],
    ['long outputs', { outputs: [floats(device, 5)] }, 'outputs[0]', '5', '4'],
    ['no outputs', { outputs: undefined }, 'outputs', 'undefined'],
    ['no scalars', { scalars: undefined }, 'scalars', 'undefined'],
    ['too many scalars', { scalars: new Float64Array(1) }, 'scalars', '1', '0'],
    ['float32 scalars', { scalars: new Float32Array(0) }, 'scalars', 'Float32Array', 'Float64Array'],
    ['inputs and columns', { columns: {} }, 'inputs', 'columns'],
    ['columns that are none', { inputs: undefined, columns: {}, columnOf: [0] }, 'columns', 'Columns'],
    ['a plan for columns', { inputs: undefined, columns: plan, columnOf: [0] }, 'columns', 'Columns'],
  ]
  const cases = wrongRequests.map(([name, change, ...parts]) => ({ name, change, parts }))
  it.each(cases)('$name', async ({ change, parts }) => refused(change, ...parts))

  it.each(oddNumbers)('%s rows or threads', async (value, text) => {
    await refused({ rows: value }, 'rows', text)
    await refused({ threads: value }, 'threads', text)
  })

  it('outputs over inputs', () => {
    if (device === 'reference') return
    const buffer = new ArrayBuffer(64)
    const request = { ...good(), inputs: [new Float32Array(buffer, 0, 6)], outputs: [new Float32Array(buffer, 20, 4)] }
    expectCode(() => plan.run(request), 'ARGUMENT', 'outputs[0]', 'inputs[0]')
  })

  it('takes shared inputs by copy', () => {
    const request = { ...good(), inputs: [shared([1, 0, 0, 1, 1, 1])] }
    plan.run(request)
    expect([...(request.outputs[0] ?? [])]).toEqual([11, 22, 19, 32])
  })

  it('getters that throw, shrink, detach, dispose or run the plan', () => {
    const throwing = {
      ...good(),
      get outputs(): never {
        throw new RangeError('mine')
      },
    }
    expect(() => plan.run(throwing)).toThrow(new RangeError('mine'))

    const input = new Float32Array(6)
    const detaching = {
      ...good(),
      inputs: [input],
      get scalars(): Float64Array {
        structuredClone(input.buffer, { transfer: [input.buffer] })
        return new Float64Array(0)
      },
    }
    expectCode(() => plan.run(detaching), 'ARGUMENT', 'inputs[0]', 'detached')

    const nested = {
      ...good(),
      get scalars(): Float64Array {
        stillRuns()
        return new Float64Array(0)
      },
    }
    plan.run(nested)

    const doomed = densePlan(device).plan
    const disposing = {
      ...good(),
      get scalars(): Float64Array {
        doomed.dispose()
        return new Float64Array(0)
      },
    }
    expectCode(() => doomed.run(disposing), 'DISPOSED')

    const inputs: Float32Array[] = [new Float32Array(6)]
    Object.defineProperty(inputs, 0, {
      get: () => {
        inputs.length = 0
        return undefined
      },
      configurable: true,
    })
    expectCode(() => plan.run({ ...good(), inputs }), 'ARGUMENT', 'inputs[0]')
    stillRuns()
  })

  it('ids outside of the table', () => {
    const { plan: training } = boundPlan(device, trainingProgram())
    for (const [id, row] of [
      [5, 0],
      [-1, 1],
      [2 ** 31 - 1, 2],
    ] as const) {
      const ids = new Int32Array(3)
      ids[row] = id
      const request = {
        rows: 3,
        inputs: [ids, new Float32Array(3), new Float32Array(3)],
        outputs: [],
        scalars: new Float64Array(4),
        threads: 1,
      }
      expectCode(() => training.run(request), 'ARGUMENT', 'inputs[0]', `row ${row}`, `${id}`, '[0, 5)')
    }
  })
})

describe.each(devices)('%s: wrong calls', (device) => {
  it.each(oddNumbers)('%s for a number', (value, text) => {
    const memory = binding.createMemory(device, 10)
    const { plan } = densePlan(device)
    const constant = { kind: 'constant', value: 1 } as const
    expectCode(() => binding.createMemory(device, anything(value)), 'ARGUMENT', 'elements', text)
    expectCode(() => memory.write(anything(value), new Float32Array(1)), 'ARGUMENT')
    expectCode(() => memory.read(anything(value), 1), 'ARGUMENT')
    expectCode(() => memory.read(0, anything(value)), 'ARGUMENT')
    expectCode(() => memory.initialize(anything(value), 1, constant, 0, 0), 'ARGUMENT')
    expectCode(() => memory.initialize(0, anything(value), constant, 0, 0), 'ARGUMENT')
    expectCode(() => memory.initialize(0, 1, constant, anything(value), 0), 'ARGUMENT', 'seed', text)
    expectCode(() => memory.initialize(0, 1, constant, 0, anything(value)), 'ARGUMENT', 'stream', text)
    expectCode(() => plan.info(anything(value)), 'ARGUMENT')
    expectCode(() => plan.bind(anything(value), memory), 'ARGUMENT')
    expectCode(() => binding.peak('scalar', anything(value)), 'ARGUMENT', 'threads', text)
    expectCode(() => binding.createColumns([], anything(value)), 'ARGUMENT', 'rows', text)
    expectCode(() => binding.createColumns([{ type: 'f32', width: anything(value), limit: 0 }], 4), 'ARGUMENT', 'width', text)
    expectCode(() => binding.createColumns([{ type: 'i32', width: 1, limit: anything(value) }], 4), 'ARGUMENT', 'limit', text)
    memory.dispose()
  })

  it('memory', () => {
    const memory = binding.createMemory(device, 10)
    expectCode(() => memory.write(8, new Float32Array(3)), 'ARGUMENT', '[8, 8 + 3)', '[0, 10)')
    expectCode(() => memory.write(0, anything(new Int32Array(1))), 'ARGUMENT', 'Int32Array')
    expectCode(() => memory.write(0, detached(new Float32Array(1))), 'ARGUMENT', 'detached')
    expectCode(() => memory.read(11, 0), 'ARGUMENT')
    expectCode(() => memory.read(0, 11), 'ARGUMENT')
    const floats = device === 'reference' ? Float64Array : Float32Array
    const others = device === 'reference' ? Float32Array : Float64Array
    expectCode(() => memory.read(0, 4, new floats(3)), 'ARGUMENT', 'into')
    expectCode(() => memory.read(0, 4, new others(4)), 'ARGUMENT', 'into')
    expectCode(() => memory.read(0, 4, anything([1, 2, 3, 4])), 'ARGUMENT', 'into')
    expectCode(() => memory.read(0, 4, detached(new floats(4))), 'ARGUMENT', 'into')
    memory.write(2, new floats([1, 2, 3]))
    const whole = new floats(6).fill(9)
    const part = whole.subarray(1, 4)
    expect(memory.read(2, 3, part)).toBe(part)
    expect([...whole]).toEqual([9, 1, 2, 3, 9, 9])
    expectCode(() => binding.createMemory(device, 2 ** 50), 'OUT_OF_MEMORY')
    expectCode(() => memory.initialize(0, 1, anything({ kind: 'magic' }), 0, 0), 'ARGUMENT', 'initializer.kind', "'magic'")
    expectCode(() => memory.initialize(0, 1, { kind: 'uniform', low: 1, high: 0 }, 0, 0), 'ARGUMENT', 'high')
    expectCode(
      () => memory.initialize(0, 1, { kind: 'normal', mean: NaN, deviation: 1, truncated: false }, 0, 0),
      'ARGUMENT',
      'mean',
      'NaN',
    )
    const initializer = { kind: 'constant', value: 1 } as const
    const drawing = { offset: 9, count: 1, initializer, seed: 0, stream: 0, first: 0, threads: 1 }
    for (const [field, value, ...texts] of [
      ['count', 2, '[9, 9 + 2)', '[0, 10)'],
      ['first', -1, 'drawing.first', '-1'],
      ['threads', 0, 'drawing.threads', '0'],
      ['seed', 0.5, 'drawing.seed', '0.5'],
      ['initializer', { kind: 'magic' }, "'magic'"],
    ] as const) {
      expectCode(() => memory.initializeAsync(anything({ ...drawing, [field]: value })), 'ARGUMENT', ...texts)
    }
    expectCode(() => memory.initializeAsync(anything(undefined)), 'ARGUMENT', 'drawing')
    memory.dispose()
    memory.dispose()
    expectCode(() => memory.initializeAsync(drawing), 'DISPOSED')
    expectCode(() => memory.read(0, 1), 'DISPOSED')
    expectCode(() => memory.write(0, new Float32Array(1)), 'DISPOSED')
  })

  it('columns', () => {
    expectCode(() => binding.createColumns(anything(null), 1), 'ARGUMENT', 'columns', 'null')
    expectCode(() => binding.createColumns([anything(3)], 1), 'ARGUMENT', 'columns[0]', '3')
    const wrong = { type: anything<'f32'>('f64'), width: 1, limit: 0 }
    expectCode(() => binding.createColumns([wrong], 1), 'ARGUMENT', 'columns[0].type', "'f64'", "'f32', 'i32'")

    const { plan } = densePlan(device)
    const columns = columnsOf(
      [
        { data: new Float32Array(12), width: 3, limit: 0 },
        { data: new Float32Array(4), width: 1, limit: 0 },
        { data: new Int32Array(12), width: 3, limit: 1 },
      ],
      4,
    )
    const run = (change: Partial<Record<keyof RunRequest, unknown>>): Float64Array =>
      plan.run(
        anything({
          rows: 2,
          columns,
          columnOf: [0],
          start: 0,
          shuffled: false,
          outputs: [floats(device, 4)],
          scalars: new Float64Array(0),
          threads: 1,
          ...change,
        }),
      )
    run({ start: 2 })
    expectCode(() => run({ start: 3 }), 'ARGUMENT', 'start', '3', '4')
    expectCode(() => run({ start: -1 }), 'ARGUMENT', 'start', '-1')
    expectCode(() => run({ start: 1.5 }), 'ARGUMENT', 'start', '1.5')
    expectCode(() => run({ columnOf: [] }), 'ARGUMENT', 'columnOf', '0', '1')
    expectCode(() => run({ columnOf: [3] }), 'ARGUMENT', 'columnOf[0]', '3')
    expectCode(() => run({ columnOf: [1] }), 'ARGUMENT', 'columnOf[0]', '1', '3')
    expectCode(() => run({ columnOf: [2] }), 'ARGUMENT', 'columnOf[0]', 'i32')
    expectCode(() => run({ columnOf: undefined }), 'ARGUMENT', 'columnOf')
    expectCode(() => run({ shuffled: 1 }), 'ARGUMENT', 'shuffled', '1')
    expectCode(() => run({ data: 'disk' }), 'ARGUMENT', 'data', 'disk')
    columns.dispose()
    expectCode(() => run({}), 'DISPOSED', 'columns')
    expectCode(() => {
      columns.write(0, [])
    }, 'DISPOSED')
    expectCode(() => columns.shuffleAsync(0, 0), 'DISPOSED')
  })

  it('columns whose ids reach beyond the table', () => {
    const { plan } = boundPlan(device, trainingProgram())
    const column = { data: new Float32Array(2), width: 1, limit: 0 }
    const columns = columnsOf([{ data: new Int32Array(2), width: 1, limit: 6 }, column, column], 2)
    const request = { rows: 2, columns, columnOf: [0, 1, 2], outputs: [], scalars: new Float64Array(4), threads: 1 }
    expectCode(() => plan.run(request), 'ARGUMENT', 'columnOf[0]', '6', '5')
  })

  it('binding', () => {
    const plan = binding.compile(device, denseProgram(), {})
    const request = {
      rows: 1,
      inputs: [new Float32Array(3)],
      outputs: [floats(device, 2)],
      scalars: new Float64Array(0),
      threads: 1,
    }
    expectCode(() => plan.run(request), 'ARGUMENT', 'buffer 2', 'bind')
    const memory = binding.createMemory(device, 8)
    expectCode(
      () => {
        plan.bind(0, memory)
      },
      'ARGUMENT',
      'rowInput',
    )
    expectCode(
      () => {
        plan.bind(4, memory)
      },
      'ARGUMENT',
      '[0, 4)',
    )
    expectCode(
      () => {
        plan.bind(2, binding.createMemory(device, 9))
      },
      'ARGUMENT',
      '9',
      '8',
    )
    expectCode(
      () => {
        plan.bind(2, binding.createMemory(device === 'cpu' ? 'reference' : 'cpu', 8))
      },
      'ARGUMENT',
      device,
    )
    const training = binding.compile(device, trainingProgram(), {})
    const four = binding.createMemory(device, 4)
    training.bind(7, four)
    expectCode(
      () => {
        training.bind(8, four)
      },
      'ARGUMENT',
      'buffer 7',
    )
    plan.bind(2, memory)
    plan.run(request)
    memory.dispose()
    expectCode(() => plan.run(request), 'DISPOSED', 'buffer 2')
    expectCode(() => {
      plan.bind(2, memory)
    }, 'DISPOSED')
    plan.dispose()
    plan.dispose()
    expectCode(() => plan.run(request), 'DISPOSED')
    expectCode(() => plan.runAsync(request), 'DISPOSED')
    expectCode(() => plan.info(1), 'DISPOSED')
  })
})

describe('forged and foreign handles', () => {
  const memory = binding.createMemory('cpu', 8)
  const columns = binding.createColumns([], 1)
  const { plan } = densePlan('cpu')
  const handles: readonly [string, NativeMemory | NativeColumns | NativePlan][] = [
    ['memory', memory],
    ['columns', columns],
    ['plan', plan],
  ]
  const foreign: readonly unknown[] = [
    undefined,
    null,
    1,
    {},
    [],
    new Float32Array(8),
    () => 0,
    Object.create(Object.getPrototypeOf(memory) as object),
    new Proxy(memory, {}),
    memory,
    columns,
    plan,
    globalThis,
  ]

  it.each(handles)('methods of %s throw on any other receiver', (_name, handle) => {
    const prototype = Object.getPrototypeOf(handle) as object
    for (const name of Object.getOwnPropertyNames(prototype)) {
      const { value, get } = Object.getOwnPropertyDescriptor(prototype, name) ?? {}
      const method: unknown = value ?? get
      if (name === 'constructor' || typeof method !== 'function') continue
      for (const receiver of foreign) {
        if (receiver === handle) continue
        expect(
          () => {
            Reflect.apply(method, receiver, [0, new Float32Array(1)])
          },
          `${name} of ${String(typeof receiver)}`,
        ).toThrow(/Illegal invocation|\b(Memory|Columns|Plan)\b/)
      }
    }
  })

  it.each(handles)('the class of %s has no public constructor', (_name, handle) => {
    const type = handle.constructor
    expectCode(() => Reflect.construct(type, []) as unknown, 'ARGUMENT', 'constructor')
    expectCode(() => Reflect.construct(type, [], class {}) as unknown, 'ARGUMENT', 'constructor')
    expect(() => Reflect.apply(type, {}, []) as unknown).toThrow(TypeError)
    class Derived extends anything<new () => object>(type) {}
    expectCode(() => new Derived(), 'ARGUMENT', 'constructor')
  })

  it('are refused as arguments', () => {
    for (const value of foreign) {
      if (value === memory) continue
      expectCode(
        () => {
          plan.bind(2, anything(value))
        },
        'ARGUMENT',
        'memory',
      )
    }
    plan.bind(2, memory)
  })

  it('a tampered Float32Array does not reach native code', () => {
    const genuine = globalThis.Float32Array
    globalThis.Float32Array = anything(function tampered() {
      return {}
    })
    try {
      expect(memory.read(0, 2)).toBeInstanceOf(genuine)
    } finally {
      globalThis.Float32Array = genuine
    }
  })
})

describe('disposal', () => {
  it('gives memory back', () => {
    const elements = 1 << 20
    const one = new Float32Array([1])
    const data = new Float32Array(1 << 18)
    const cycle = (): void => {
      const memory = binding.createMemory('cpu', elements)
      memory.write(0, one)
      const plan = binding.compile('cpu', denseProgram(), {})
      plan.dispose()
      const columns = columnsOf([{ data, width: 1, limit: 0 }], data.length)
      columns.dispose()
      memory.dispose()
    }
    for (let i = 0; i < 20; ++i) cycle()
    const before = process.memoryUsage.rss()
    for (let i = 0; i < 300; ++i) cycle()
    // 300 cycles of 5 MiB each would be 1.5 GiB.
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 2 ** 20)
  })
})

describe('errors', () => {
  it('are MultigateErrors once the library has loaded the addon', () => {
    expect(() => binding.createMemory('cpu', -1)).toThrow(MultigateError)
    expect(() => binding.throwAs(anything('no class'))).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT' }))
  })
})
