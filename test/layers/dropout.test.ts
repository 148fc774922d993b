// Dropout: which numbers are dropped, how the others grow, and in which stream of chance.

import { describe, expect, it } from 'vitest'

import type { FloatArray } from '../../lib/native/binding.js'
import { runHeads } from '../support/heads-run.js'
import { cpuPlaces, places, reference, type TestPlace } from '../support/places.js'

const [rows, width, rate] = [501, 70, 0.3]

/** Ones with dropout, and the gradient of their sum: the squared loss of the sum would do, a copy is simpler. */
function drop(place: TestPlace, { seed = 7, step = 1, threads = 2 } = {}): { y: FloatArray; dx: FloatArray } {
  const { outputs } = runHeads({
    place,
    rows,
    threads,
    inputs: { 'x:a': new Float32Array(rows * width).fill(1), 'x:dy': new Float32Array(rows * width).fill(2) },
    signals: { a: width, dy: width },
    scalars: { rate, seed, draw: step },
    emit(tape, { a, dy }) {
      if (a === undefined || dy === undefined) throw new Error('no signals')
      const y = tape.dropout(a, 'mix')
      tape.program.op('copy_columns', { x: y.value, y: tape.program.rowOutput('y', width) })
      tape.record(() => {
        const { view } = y.target()
        if (view !== null) tape.program.op('copy_columns', { x: dy.value, y: view })
      })
    },
  })
  return { y: outputs.y as FloatArray, dx: outputs['dx:a'] as FloatArray }
}

describe.each(places)('dropout on $name', (place) => {
  it('keeps an element with probability 1 - rate, scaled, and drops its gradient with it', () => {
    const { y, dx } = drop(place)
    const kept = y.filter((value) => value !== 0)
    const scale = 1 / (1 - Math.round(rate * 65536) / 65536)
    expect(kept.every((value) => Math.abs(value - scale) < 1e-6)).toBe(true)
    // Five standard deviations of a binomial.
    const expected = rows * width * (1 - rate)
    expect(Math.abs(kept.length - expected)).toBeLessThan(5 * Math.sqrt(expected * rate))
    expect(dx.every((value, index) => Math.abs(value - 2 * (y[index] ?? NaN)) < 1e-6)).toBe(true)
  })

  it('draws anew with every seed and step, and neither columns nor rows are alike', () => {
    const { y } = drop(place)
    for (const other of [drop(place, { seed: 8 }), drop(place, { step: 2 })]) {
      const same = y.filter((value, index) => (value === 0) === (other.y[index] === 0)).length / y.length
      expect(Math.abs(same - (rate ** 2 + (1 - rate) ** 2))).toBeLessThan(0.02)
    }
    const row = (index: number): string => y.slice(index * width, (index + 1) * width).join()
    expect(new Set(Array.from({ length: rows }, (_, index) => row(index))).size).toBe(rows)
  })
})

describe.each(cpuPlaces)('dropout on $name', (place) => {
  it('drops what the reference drops, with any number of threads', () => {
    const expected = drop(reference).y
    for (const threads of [1, 2, 3, 8]) {
      const { y } = drop(place, { threads })
      expect(y.every((value, index) => (value === 0) === (expected[index] === 0))).toBe(true)
    }
  })
})
