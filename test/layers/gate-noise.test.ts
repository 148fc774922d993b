// Noise on the logits of gates: its distribution, which experts it drops, and that every backend draws the same.

import { describe, expect, it } from 'vitest'

import type { GateNoise } from '../../lib/layers/tape.js'
import type { FloatArray } from '../../lib/native/binding.js'
import { runHeads } from '../support/heads-run.js'
import { cpuPlaces, places, reference, type TestPlace } from '../support/places.js'

const dropped = -1e30

interface Drawn extends Partial<GateNoise> {
  readonly rows?: number
  readonly width?: number
  readonly seed?: number
  readonly step?: number
  readonly threads?: number
}

/** Zeros with noise, and the gradient of their sum times 2. */
function draw(place: TestPlace, drawn: Drawn = {}): { y: FloatArray; dx: FloatArray } {
  const { rows = 2003, width = 7, seed = 2 ** 40 + 7, step = 1, threads = 2, deviation = 0, dropout = 0 } = drawn
  const { outputs } = runHeads({
    place,
    rows,
    threads,
    inputs: { 'x:a': new Float32Array(rows * width), 'x:dy': new Float32Array(rows * width).fill(2) },
    signals: { a: width, dy: width },
    scalars: { seed, draw: step },
    emit(tape, { a, dy }) {
      if (a === undefined || dy === undefined) throw new Error('no signals')
      const y = tape.gateNoise(a, { deviation, dropout })
      tape.program.op('copy_columns', { x: y.value, y: tape.program.rowOutput('y', width) })
      tape.record(() => {
        const { view } = y.target()
        if (view !== null) tape.program.op('copy_columns', { x: dy.value, y: view })
      })
    },
  })
  return { y: outputs.y as FloatArray, dx: outputs['dx:a'] as FloatArray }
}

/** The four words of Philox4x32-10, with big integers. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  const low = 2n ** 32n
  let [a = 0n, b = 0n, c = 0n, d = 0n] = counter.map(BigInt)
  let [first = 0n, second = 0n] = key.map(BigInt)
  for (let round = 0; round < 10; round += 1) {
    const [one, two] = [a * 0xd2511f53n, c * 0xcd9e8d57n]
    ;[a, b, c, d] = [(two / low) ^ b ^ first, two % low, (one / low) ^ d ^ second, one % low]
    first = (first + 0x9e3779b9n) % low
    second = (second + 0xbb67ae85n) % low
  }
  return [a, b, c, d].map(Number)
}

/** A row of the definition in native/abi/ops.h. */
function definition(row: number, { width, seed, step, deviation, dropout }: Required<Omit<Drawn, 'rows' | 'threads'>>): number[] {
  const columns = Array.from({ length: width }, (_, column) => {
    const counter = [row, step, Math.floor(column / 2), Math.floor(seed / 2 ** 32) + 3 * 2 ** 22]
    const word = philox(counter, [seed % 2 ** 32, 0])
    const half = (index: number, bits: number): number =>
      (2 * Math.floor(((word[index] ?? NaN) % 2 ** bits) / 2 ** (bits - 23)) + 1) / 2 ** 24
    const [radius, angle] = [Math.sqrt(-2 * Math.log(half(0, 32))), (Math.PI / 2) * half(1, 30)]
    const bit = Math.floor((word[1] ?? NaN) / 2 ** (31 - (column % 2))) % 2
    const normal = (bit === 1 ? -1 : 1) * radius * (column % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
    return { value: deviation * normal, drops: (word[2 + (column % 2)] ?? NaN) < Math.round(dropout * 2 ** 32) }
  })
  const all = columns.every(({ drops }) => drops)
  return columns.map(({ value, drops }) => (drops && !all ? dropped : value))
}

describe.each(places)('gate noise on $name', (place) => {
  it('is what the definition says, and its gradient passes on', () => {
    const drawn = { width: 5, seed: 2 ** 52 + 12345, step: 77, deviation: 0.5, dropout: 0.4 }
    const { y, dx } = draw(place, { ...drawn, rows: 150 })
    for (let row = 0; row < 150; row += 1) {
      definition(row, drawn).forEach((want, column) => {
        const got = y[5 * row + column] ?? NaN
        if (want === dropped) expect(got / dropped).toBeCloseTo(1, 6)
        else expect(got).toBeCloseTo(want, 5)
      })
    }
    expect(dx.every((value) => value === 2)).toBe(true)
  })

  it('is normal, and neighbours are independent', () => {
    const y = Float64Array.from(draw(place, { deviation: 2, rows: 4001, width: 20 }).y)
    const count = y.length
    const mean = y.reduce((sum, value) => sum + value, 0) / count
    const moment = (power: number): number => y.reduce((sum, value) => sum + (value / 2) ** power, 0) / count
    // Five standard deviations of each estimate: the k-th moment has the variance of z^k, over the count.
    expect(Math.abs(mean / 2)).toBeLessThan(5 / Math.sqrt(count))
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / count))
    expect(Math.abs(moment(3))).toBeLessThan(5 * Math.sqrt(15 / count))
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / count))
    for (const distance of [1, 2, 20]) {
      const product = y.reduce((sum, value, index) => sum + (value * (y[index + distance] ?? 0)) / 4, 0) / count
      expect(Math.abs(product)).toBeLessThan(5 / Math.sqrt(count))
    }
    const within = y.filter((value) => Math.abs(value) < 2).length / count
    expect(Math.abs(within - 0.682689)).toBeLessThan(0.01)
  })

  it.each([2, 7])('drops an expert of %i with probability p, but never all', (width) => {
    const [rows, p] = [4001, 0.6]
    const { y } = draw(place, { dropout: p, rows, width })
    const gone = y.filter((value) => value !== 0).length
    // Rows that would lose all lose none.
    const want = p - p ** width
    expect(Math.abs(gone / y.length - want)).toBeLessThan(5 * Math.sqrt(1 / y.length))
    for (let row = 0; row < rows; row += 1) expect(y.slice(width * row, width * (row + 1)).includes(0)).toBe(true)
  })

  it('leaves a gate with one expert alone', () => {
    expect(draw(place, { dropout: 0.9, width: 1 }).y.every((value) => value === 0)).toBe(true)
  })

  it('draws anew with every seed and step', () => {
    const y = Float64Array.from(draw(place, { deviation: 1 }).y)
    for (const other of [draw(place, { deviation: 1, seed: 8 }), draw(place, { deviation: 1, step: 2 })]) {
      const product = y.reduce((sum, value, index) => sum + value * (other.y[index] ?? NaN), 0) / y.length
      expect(Math.abs(product)).toBeLessThan(5 / Math.sqrt(y.length))
    }
  })
})

describe.each(cpuPlaces)('gate noise on $name', (place) => {
  it('has the same bits for any number of threads, and drops what the reference drops', () => {
    const drawn = { deviation: 0.3, dropout: 0.5 }
    const [want, one] = [draw(reference, drawn).y, draw(place, { ...drawn, threads: 1 }).y]
    expect(one.every((value, index) => value < -1e29 === (want[index] ?? NaN) < -1e29)).toBe(true)
    for (const threads of [2, 3, 8]) expect(draw(place, { ...drawn, threads }).y).toEqual(one)
  })
})
