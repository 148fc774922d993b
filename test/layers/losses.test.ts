// The heads of binary and regression tasks, row by row, against losses, gradients and predictions that mpmath computed from their
// definitions (test/layers/losses.py), and against finite differences of their own losses.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

import { emitLoss, emitOrderLoss, emitPrediction, type HeadTask } from '../../lib/layers/heads.js'
import type { ValueHead } from '../../lib/tasks/kind.js'
import { runHeads } from '../support/heads-run.js'
import { places, reference, type TestPlace } from '../support/places.js'

interface Row {
  readonly z: readonly number[]
  readonly y: number
  readonly loss: number
  readonly gradient: readonly number[]
  readonly prediction?: number
}

interface Case {
  readonly name: string
  readonly head: Readonly<Record<string, unknown>>
  readonly rows: readonly Row[]
}

const cases = JSON.parse(readFileSync(new URL('./losses.json', import.meta.url), 'utf8')) as readonly Case[]

function taskOf(head: Case['head']): HeadTask {
  const plain = { name: 'task', weight: 1, rowWeights: true }
  if ('gamma' in head || 'factor' in head) return { ...plain, kind: 'binary', ...head }
  const link = /poisson|tweedie/.test(`${head['loss']}`) ? 'exp' : 'identity'
  const value = { form: 'number', parameter: 0, link, scale: 1, offset: 0, ...head } as unknown as ValueHead
  return { ...plain, kind: 'regression', value }
}

interface Ran {
  readonly loss: number
  readonly gradients: readonly number[][]
  readonly predictions: readonly number[]
}

/** Runs all rows at once, with a loss that is divided by their number. */
function run(place: TestPlace, { head }: Case, rows: readonly Pick<Row, 'z' | 'y'>[], weights = rows.map(() => 1)): Ran {
  const task = taskOf(head)
  const width = rows[0]?.z.length ?? 0
  const ordered = 'factor' in head
  const names = ordered ? ['a', 'b'] : ['a']
  const columns = (name: string) => rows.flatMap(({ z }) => (ordered ? [z[names.indexOf(name)] ?? NaN] : [...z]))
  const { scalars, outputs } = runHeads({
    place,
    rows: rows.length,
    inputs: {
      ...Object.fromEntries(names.map((name) => [`x:${name}`, Float32Array.from(columns(name))])),
      'label:task': Float32Array.from(rows, ({ y }) => y),
      'weight:task': Float32Array.from(weights),
    },
    signals: Object.fromEntries(names.map((name) => [name, ordered ? 1 : width])),
    emit(tape, { a, b }) {
      if (a === undefined) throw new Error('there is no signal')
      emitLoss(tape, a, task, 'batch')
      if (b !== undefined) emitOrderLoss(tape, [a, b], task, head['factor'] as number)
      else emitPrediction(tape.program, a, { ...task, name: 'y' })
    },
  })
  const gradients = rows.map((_, row) => {
    return names.flatMap((name) =>
      Array.from(outputs[`dx:${name}`] ?? []).slice(row * (ordered ? 1 : width), (row + 1) * (ordered ? 1 : width)),
    )
  })
  return {
    loss: (scalars['loss:task'] ?? NaN) * rows.length,
    gradients: gradients.map((own) => own.map((one) => one * rows.length)),
    predictions: Array.from(outputs['y'] ?? []),
  }
}

/** The part of a result that is not the binary loss, which an order adds to. */
function without(binary: Ran | undefined, { loss, gradients, predictions }: Ran): Ran {
  if (binary === undefined) return { loss, gradients, predictions }
  const rest = gradients.map((own, row) => own.map((one, at) => one - (at === 0 ? (binary.gradients[row]?.[0] ?? NaN) : 0)))
  return { loss: loss - binary.loss, gradients: rest, predictions }
}

const plain: Case = { name: 'plain', head: { gamma: 0 }, rows: [] }
const binaryOf = (place: TestPlace, own: Case, rows: readonly Pick<Row, 'z' | 'y'>[]): Ran | undefined => {
  return 'factor' in own.head
    ? run(
        place,
        plain,
        rows.map(({ z, y }) => ({ z: z.slice(0, 1), y })),
      )
    : undefined
}

it('covers every loss', () => {
  const names = 'absolute buckets focal focal huber logCosh order poisson quantile tweedie ziln'.split(' ')
  expect(cases.map(({ name }) => name.split(' ')[0]).sort()).toEqual(names)
})

describe.each(places)('on $name', (place) => {
  /** Relative to the number, and for very small ones to the resolution beside a number of about 1. */
  const near = (found: number | undefined, expected: number, what: string, beside = 0): void => {
    const error = Math.abs((found ?? NaN) - expected)
    const allowed = place.tolerance() * Math.max(Math.abs(expected), Math.abs(beside), 1e-3)
    expect(error, `${what}: found ${found}, expected ${expected}`).toBeLessThanOrEqual(allowed)
  }

  it.each(cases)('$name', (own) => {
    const all = without(binaryOf(place, own, own.rows), run(place, own, own.rows))
    for (const [row, { z, y, loss, gradient, prediction }] of own.rows.entries()) {
      const what = `z ${z.join(', ')}, y ${y}`
      const binary = binaryOf(place, own, [{ z, y }])
      const { loss: alone } = without(binary, run(place, own, [{ z, y }]))
      // The order's own loss is a difference: it is exact to the rounding of the larger number.
      near(alone, loss, `loss of ${what}`, binary?.loss)
      for (const [at, expected] of gradient.entries())
        near(all.gradients[row]?.[at], expected, `gradient ${at} of ${what}`, binary === undefined ? 0 : 1)
      if (prediction !== undefined) near(all.predictions[row], prediction, `prediction of ${what}`)
    }
  })

  it.each(cases)('$name counts rows by their weights, and rows that do not count not at all', (own) => {
    const rows = own.rows.filter((_, row) => row % 3 !== 1)
    const weights = rows.map((_, row) => row % 4)
    const { loss, gradients } = run(place, own, rows, weights)
    const each = run(place, own, rows)
    for (const [row, weight] of weights.entries())
      for (const [at, one] of (gradients[row] ?? []).entries()) {
        if (weight === 0) expect(one).toBe(0)
        else near(one, weight * (each.gradients[row]?.[at] ?? NaN), 'gradient')
      }
    expect(Number.isFinite(loss)).toBe(true)
    const wild = rows.map(({ z }) => ({ z: z.map((_, at) => [NaN, Infinity, -Infinity][at % 3] ?? NaN), y: NaN }))
    const none = run(place, own, wild)
    expect(none.loss).toBe(0)
    expect(new Set(none.gradients.flat())).toEqual(new Set([0]))
  })

  it('has gradient 0 at a kink, and takes negative labels of 0 as 0', () => {
    const flat = (head: Case['head'], z: readonly number[], y: number) => run(place, { name: '', head, rows: [] }, [{ z, y }])
    for (const head of [{ loss: 'absolute' }, { loss: 'quantile', parameter: 0.25 }])
      expect(flat(head, [1.5], 1.5)).toMatchObject({ loss: 0, gradients: [[0]] })
    expect(flat({ form: 'ziln' }, [0.5, 1, 1], -0)).toEqual(flat({ form: 'ziln' }, [0.5, 1, 1], 0))
    // Equal probabilities are in order.
    expect(
      without(
        binaryOf(place, { name: '', head: { factor: 1 }, rows: [] }, [{ z: [2, 2], y: 1 }]),
        flat({ factor: 1 }, [2, 2], 1),
      ),
    ).toMatchObject({
      loss: 0,
      gradients: [[0, 0]],
    })
  })

  it.each<[string, Partial<Extract<ValueHead, { form: 'number' }>>, (z: number) => number]>([
    ['a scale and an offset', { scale: 2.5, offset: -3 }, (z) => 2.5 * z - 3],
    ['log1p', { link: 'expm1' }, (z) => Math.expm1(Math.min(z, 88))],
    ['log1p and a scale', { link: 'expm1', scale: 0.75, offset: 1 }, (z) => Math.expm1(Math.min(0.75 * z + 1, 88))],
    ['an exponential', { link: 'exp', scale: 1, offset: 0 }, (z) => Math.exp(Math.min(z, 88))],
  ])('predicts through %s', (_, head, formula) => {
    const rows = [0, 1e-6, -1e-6, 1, -1, 20, -20, 87, 1e4, -1e4].map((z) => ({ z: [z], y: 0 }))
    const { predictions } = run(place, { name: '', head: { loss: 'squared', ...head }, rows: [] }, rows)
    for (const [row, { z }] of rows.entries()) {
      const expected = formula(Math.fround(z[0] ?? NaN))
      const allowed = (place === reference ? 1e-12 : 1e-6) * Math.abs(expected)
      expect(Math.abs((predictions[row] ?? NaN) - expected), `${z} gives ${predictions[row]}`).toBeLessThanOrEqual(allowed)
    }
  })

  it('adds an offset to the logit of a prediction alone', () => {
    const rows = [0, 1, -3, 40, -40].map((z) => ({ z: [z], y: 1 }))
    const offset = Math.log(0.05)
    const { loss, predictions } = run(place, { name: '', head: { gamma: 0, offset }, rows: [] }, rows)
    expect(loss).toBe(run(place, plain, rows).loss)
    // Of negative rows 1 in 20 was kept: the odds fall by 20.
    rows.forEach(({ z }, row) => near(predictions[row], 1 / (1 + 20 * Math.exp(-(z[0] ?? NaN))), 'prediction'))
  })
})

describe('finite differences of the reference', () => {
  it.each(cases)('$name', (own) => {
    const h = 1e-3
    for (const { z, y } of own.rows) {
      if (z.some((one) => Math.abs(one) > 50)) continue
      const loss = (at: number, by: number): number => {
        const moved = z.map((one, index) => Math.fround(one) + (index === at ? by : 0)).map(Math.fround)
        return run(reference, own, [{ z: moved, y }]).loss
      }
      const { gradients } = run(reference, own, [{ z, y }])
      for (const at of z.keys()) {
        const [above, below] = [Math.fround((z[at] ?? 0) + h), Math.fround((z[at] ?? 0) - h)]
        const slope = (loss(at, above - Math.fround(z[at] ?? 0)) - loss(at, below - Math.fround(z[at] ?? 0))) / (above - below)
        const exact = gradients[0]?.[at] ?? NaN
        expect(Math.abs(slope - exact), `z ${z.join(', ')}, y ${y}`).toBeLessThan(1e-2 * Math.max(1e-3, Math.abs(exact)))
      }
    }
  })
})
