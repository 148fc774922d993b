// Whatever a caller hands over gives a dataset or an error of ours, never another and never an end of the process.

import { runInNewContext } from 'node:vm'

import { expect, it } from 'vitest'

import { MultigateError } from '../../lib/core/errors.js'
import { Dataset } from '../../lib/data/dataset.js'
import { shrunk as goneFrom, transferred } from '../support/hostile.js'
import { refusal } from '../support/refusal.js'

/** Draws in [0, below), the same each time. */
function drawing(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const thrower = (): never => {
  throw new Error('from a getter')
}
const traps = Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((name) => [name, thrower]))
const revoked = (target: object): object => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const detached = (array: Float32Array | Int32Array): object => {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}
const resizable = (): ArrayBuffer =>
  new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(16, { maxByteLength: 64 })
const shrunk = (): object => {
  const buffer = resizable() as ArrayBuffer & { resize(bytes: number): void }
  const array = new Int32Array(buffer, 4, 2)
  buffer.resize(4)
  return array
}
const changing = (): object => {
  let reads = 0
  return Object.defineProperty([1, 2, 3], '1', { get: () => (reads++ % 2 === 0 ? 1 : 'x'), enumerable: true })
}
const odd = { valueOf: thrower, toString: thrower, [Symbol.toPrimitive]: thrower }

/** Makers of values, of which rows, columns, lists and options are made. */
const makers: (() => unknown)[] = [
  ...[0, -0, 1.5, NaN, Infinity, 2 ** 53, 1e300, '', 'a', '\ud800', true, false, null, undefined].map((value) => () => value),
  ...[Symbol('s'), 10n ** 30n, -1n, () => 1, /x/, Math, globalThis].map((value) => () => value),
  () => new Date(0),
  () => new Date(NaN),
  () => new Date(8.64e15),
  () => new Proxy(new Date(0), {}),
  () => Object.create(null),
  () => Object.create(Date.prototype),
  () => Object.create(Float32Array.prototype),
  () => Object.create(Array.prototype, { length: { value: 3 } }),
  () => ({ length: 1e15 }),
  () => ({ length: -1 }),
  () => ({ length: 2.5, 0: 1 }),
  () => ({
    get length() {
      return thrower()
    },
  }),
  () => ({
    get a() {
      return thrower()
    },
  }),
  () => ({ items: [1, 2], offsets: [0, 1, 2] }),
  () => ({ items: [1, 2], offsets: [0, 2 ** 40] }),
  () => ({ items: odd, offsets: [0] }),
  () => ({ items: Float32Array.of(1, 2), offsets: detached(Int32Array.of(0, 2)) }),
  () => ({
    get items() {
      return thrower()
    },
    offsets: [0],
  }),
  () => ({
    constructor: {
      get name() {
        return thrower()
      },
    },
  }),
  () => odd,
  () => [odd],
  () => Object.assign(new Array(1), [undefined, 1]),
  () => Object.assign([], { 1000: 1 }),
  () => new Array(2 ** 32 - 1),
  () => Object.setPrototypeOf([1, 2], null),
  () => Object.setPrototypeOf(Float32Array.of(1, 2), null),
  () => Object.defineProperty(Float32Array.of(1, 2), 'length', { value: 1e15 }),
  () => Object.defineProperty(Float32Array.of(1, 2), 'length', { get: thrower }),
  () => Object.defineProperty([1, 2], 0, { get: thrower }),
  () => Object.defineProperty([1, 2], Symbol.iterator, { get: thrower }),
  () => new Proxy([1, 2], {}),
  () => new Proxy([1, 2], traps),
  () => new Proxy({}, traps),
  () => new Proxy(Float32Array.of(1), {}),
  () => new Proxy([], { get: (_, key) => (key === 'length' ? 3 : key) }),
  () => new Proxy([], { get: (_, key) => (key === 'length' ? 1e15 : 1) }),
  () => new Proxy([], { get: (_, key) => (key === 'length' ? NaN : 1) }),
  () => revoked([]),
  () => revoked({}),
  () => detached(Float32Array.of(1, 2)),
  () => detached(Int32Array.of(1, 2)),
  shrunk,
  () => new Float32Array(resizable()),
  () => new Int16Array(new SharedArrayBuffer(8)),
  () => new DataView(new ArrayBuffer(8)),
  () => new ArrayBuffer(8),
  () => BigInt64Array.of(1n, 2n ** 60n),
  () => Buffer.from('ab'),
  () =>
    new (class extends Float32Array {
      static get [Symbol.species]() {
        return thrower()
      }
    })(2),
  () => new Map([['a', [1]]]),
  () => new Set([{ a: 1 }]),
  () => runInNewContext('[1, Float32Array.of(1), new Map()]'),
  changing,
  () => ({ [Symbol.iterator]: thrower }),
  () => ({ [Symbol.iterator]: 5 }),
  () => ({ [Symbol.iterator]: () => ({ next: thrower }) }),
  () => ({ [Symbol.asyncIterator]: () => ({ next: async () => thrower() }) }),
  () => ({ [Symbol.asyncIterator]: () => ({ next: () => odd }) }),
  () => ({ rows: 1, columnNames: ['a'] }),
  () => ({ [Symbol.for('multigate.Dataset')]: true }),
  () => ({ getChild: thrower, schema: { fields: [{ name: 'a', type: { typeId: 2, bitWidth: 32 } }] } }),
  () => ({ getChild: () => ({ data: [odd] }), schema: { fields: [{ name: 'a', type: { typeId: 2, bitWidth: 32 } }] } }),
  () => ({ getChild: () => ({ data: [{ length: 1e15 }] }), schema: { fields: [{ name: odd, type: { typeId: 5 } }] } }),
  () => ({ getChild: () => null, schema: { fields: [null] } }),
  () => ({ getChild: () => ({ data: [{ length: 2 }] }), schema: { fields: [{ name: 'a', type: { typeId: 1 } }] } }),
  () => ({ rowMod: 3, test: [1] }),
  () => ({
    get rowMod() {
      return thrower()
    },
  }),
  () => ({ rowMod: 3, test: new Proxy([1], traps) }),
]

it('10,000 hostile values give data or errors of ours', async () => {
  const draw = drawing(7)
  const data = Dataset.fromColumns({ a: [1, 2, 3], b: ['x', 'y', null], c: [[1], [], [2, 3]] })
  const value = (): unknown => (makers[draw(makers.length)] as () => unknown)()
  /** A value, or a list or object of some. */
  const any = (): unknown => {
    const form = draw(6)
    if (form === 0) return [value(), value()]
    if (form === 1) return { a: value(), b: value() }
    if (form === 2) return [{ a: value() }, { a: value() }]
    if (form === 3) return { a: [value(), [value()]] }
    return value()
  }
  const calls: ((hostile: never) => unknown)[] = [
    (hostile) => Dataset.fromColumns(hostile),
    (hostile) => Dataset.fromColumns({ a: hostile }),
    (hostile) => Dataset.fromColumns({ a: [hostile] }),
    (hostile) => Dataset.fromColumns({ a: [[hostile]] }),
    (hostile) => Dataset.fromColumns({ a: { items: hostile, offsets: hostile } }),
    (hostile) => Dataset.fromRows(hostile),
    (hostile) => Dataset.fromRows([hostile]),
    (hostile) => Dataset.fromRows([{ a: hostile }]),
    (hostile) => Dataset.fromArrow(hostile),
    (hostile) => data.select(hostile),
    (hostile) => data.slice(hostile, hostile),
    (hostile) => data.split(hostile),
    (hostile) => data.split({ rowMod: hostile, test: [hostile] as never }),
    (hostile) => data.split({ column: 'a', train: hostile, test: { values: [hostile] } }),
    (hostile) => data.split({ time: hostile, validation: { from: hostile }, test: hostile }),
    (hostile) => data.split({ stratify: hostile, by: [hostile], test: 0.5 }),
    (hostile) => data.splitAsync(hostile, hostile),
    (hostile) => data.column(hostile),
    (hostile) => data.columnPart('a', hostile, hostile),
    (hostile) => data.sourceRow(hostile),
  ]
  const others: string[] = []
  let [made, refused] = [0, 0]
  for (let count = 0; count < 10_000; count += 1) {
    const call = calls[count % calls.length] as (hostile: unknown) => unknown
    const hostile = any()
    try {
      await call(hostile)
      made += 1
    } catch (error) {
      if (error instanceof MultigateError) refused += 1
      else others.push(`${call}: ${error instanceof Error ? error.stack : typeof error}`)
    }
  }
  expect([...new Set(others)]).toEqual([])
  expect(made).toBeGreaterThan(300)
  expect(refused).toBeGreaterThan(5000)
})

it('says which row or column could not be read, and keeps what was thrown', async () => {
  const cause = expect.objectContaining({ message: 'from a getter' })
  const rows = [
    { a: 1 },
    {
      get a() {
        return thrower()
      },
    },
  ]
  await expect(Dataset.fromRows(rows)).rejects.toThrow(refusal('DATA', { row: 1, cause, says: 'from a getter' }))
  expect(() => Dataset.fromColumns({ a: Object.defineProperty([1], 0, { get: thrower }) })).toThrow(
    refusal('DATA', { column: 'a', cause, says: 'from a getter' }),
  )
  expect(() => Dataset.fromColumns({ a: shrunk() as never })).toThrow(refusal('DATA'))
  expect(() => Dataset.fromColumns({ a: [[1], shrunk()] as never })).toThrow(refusal('DATA', { column: 'a', row: 1 }))
  for (const gone of [transferred(new BigInt64Array(2)), goneFrom(BigInt64Array), goneFrom(Float64Array)]) {
    expect(() => Dataset.fromColumns({ a: [[1], gone] as never })).toThrow(
      refusal('DATA', { column: 'a', row: 1, says: 'shrunk' }),
    )
    await expect(Dataset.fromRows([{ a: gone } as never])).rejects.toThrow(
      refusal('DATA', { column: 'a', row: 0, says: 'shrunk' }),
    )
    const lists = { items: [1], offsets: gone }
    expect(() => Dataset.fromColumns({ a: lists as never })).toThrow(refusal('DATA', { column: 'a' }))
    expect(() => Dataset.fromColumns({ a: [1] }).select(gone as never)).toThrow(
      refusal('ARGUMENT', { field: 'rowIndices', says: 'shrunk' }),
    )
  }
  expect(Dataset.fromColumns({ a: Object.setPrototypeOf([1, 2], null) }).rows).toBe(2)
  expect((await Dataset.fromRows(Object.setPrototypeOf([{ a: 1 }], null))).rows).toBe(1)
  expect((await Dataset.fromRows([Object.assign(Object.create(null), { a: 1 })])).rows).toBe(1)
})
