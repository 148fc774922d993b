// Losses, predictions and funnels against golden, and rows that do not count.

import { describe, expect, it } from 'vitest'

import { emitLoss, emitPrediction, emitProduct, emitProductLoss, type HeadTask, type TaskKind } from '../../lib/layers/heads.js'
import type { FloatArray } from '../../lib/native/binding.js'
import { goldenCount, relativeError } from '../support/golden.js'
import { type GoldenCase, goldenCases } from '../support/golden-cases.js'
import { type HeadsResult, runHeads } from '../support/heads-run.js'
import { places, type TestPlace } from '../support/places.js'

const reductions = { valid: 'mean_valid', batch: 'sum_over_batch_size', weighted: 'weighted_mean' } as const
const each = Object.entries(reductions) as [keyof typeof reductions, string][]
const cases = goldenCases('loss')
const multiclass = goldenCases('multiclass_loss')
const funnels = goldenCases('esmm_loss')

it('covers every case', () => {
  expect([cases, multiclass, funnels].map(({ length }) => length)).toEqual([goldenCount(7, 3), 1, goldenCount(3, 1)])
})

function task(kind: TaskKind, name: string, weight: number, classes?: number): HeadTask {
  return { kind, name, weight, rowWeights: true, ...(classes !== undefined && { classes }) }
}

/** All tasks of a case, one signal each. */
function losses(place: TestPlace, golden: GoldenCase, reduction: keyof typeof reductions): HeadsResult {
  const kinds = golden.entry.types as TaskKind[]
  const [rows = 0, tasks = 0] = golden.shape('in/logits')
  const column = (name: string, index: number): Float32Array => golden.f32(name).filter((_, at) => at % tasks === index)
  const columns = kinds.map((_, index) => ({
    [`x:${index}`]: column('in/logits', index),
    [`label:${index}`]: column('in/labels', index),
    [`weight:${index}`]: golden.f32('in/sample_weight'),
  }))
  return runHeads({
    place,
    rows,
    inputs: Object.assign({}, ...columns),
    signals: Object.fromEntries(kinds.map((_, index) => [index, 1])),
    weights: Object.fromEntries([...golden.f32('in/task_weight')].map((weight, index) => [index, weight])),
    emit(tape, signals) {
      kinds.forEach((kind, index) => {
        const weight = golden.f32('in/task_weight')[index] ?? NaN
        emitLoss(tape, signals[index] as never, task(kind, `${index}`, weight), reduction)
      })
    },
  })
}

function interleaved(columns: FloatArray[]): number[] {
  return Array.from({ length: (columns[0]?.length ?? 0) * columns.length }, (_, at) => {
    return columns[at % columns.length]?.[Math.floor(at / columns.length)] ?? NaN
  })
}

describe.each(places)('losses on $name', (place) => {
  it.each(cases)('$id', (golden) => {
    const count = golden.shape('in/logits')[1] ?? 0
    for (const [reduction, name] of each) {
      const { scalars, outputs } = losses(place, golden, reduction)
      const own = Array.from({ length: count }, (_, index) => scalars[`loss:${index}`] ?? NaN)
      const gradient = interleaved(Array.from({ length: count }, (_, index) => outputs[`dx:${index}`] as FloatArray))
      expect(relativeError(own, golden.f64(`out/${name}.task_loss`)), `${name} loss`).toBeLessThan(place.tolerance())
      expect(relativeError(gradient, golden.f64(`g/${name}.logits`)), `${name} gradient`).toBeLessThan(place.tolerance())
    }
  })

  it.each(multiclass)('$id', (golden) => {
    const [rows = 0, classes = 0] = golden.shape('in/logits')
    for (const [reduction, name] of each) {
      const { scalars, outputs } = runHeads({
        place,
        rows,
        inputs: {
          'x:kind': golden.f32('in/logits'),
          'label:kind': Float32Array.from(golden.i32('in/label'), (label) => (label < 0 ? NaN : label)),
          'weight:kind': golden.f32('in/sample_weight'),
        },
        signals: { kind: classes },
        emit: (tape, { kind }) => emitLoss(tape, kind as never, task('multiclass', 'kind', 1, classes), reduction),
      })
      expect(relativeError([scalars['loss:kind'] ?? NaN], golden.f64(`out/${name}.total`))).toBeLessThan(place.tolerance())
      const gradient = outputs['dx:kind'] as FloatArray
      expect(relativeError(gradient, golden.f64(`g/${name}.logits`)), name).toBeLessThan(place.tolerance())
    }
  })

  it.each(funnels)('$id', (golden) => {
    const rows = golden.shape('in/ctr_logit')[0] ?? 0
    const [click = NaN, buy = NaN] = golden.f32('in/task_weight')
    const weight = golden.f32('in/sample_weight')
    const { scalars, outputs } = runHeads({
      place,
      rows,
      inputs: {
        'x:ctr': golden.f32('in/ctr_logit'),
        'x:cvr': golden.f32('in/cvr_logit'),
        'label:click': golden.f32('in/click'),
        'label:buy': golden.f32('in/conversion'),
        'weight:click': weight,
        'weight:buy': weight,
      },
      signals: { ctr: 1, cvr: 1 },
      weights: { click, buy },
      emit(tape, { ctr, cvr }) {
        emitLoss(tape, ctr as never, task('binary', 'click', click), 'batch')
        emitProductLoss(tape, [ctr as never, cvr as never], task('binary', 'buy', buy), 'batch')
        emitProduct(tape.program, [ctr as never, cvr as never], 'p')
        emitPrediction(tape.program, cvr as never, task('binary', 'given', 1))
      },
    })
    const near = (found: FloatArray | number[], name: string): void => {
      expect(relativeError(found, golden.f64(name)), name).toBeLessThan(place.tolerance())
    }
    near([scalars['loss:click'] ?? NaN, scalars['loss:buy'] ?? NaN], 'out/task_loss')
    near(outputs['dx:ctr'] as FloatArray, 'g/ctr_logit')
    near(outputs['dx:cvr'] as FloatArray, 'g/cvr_logit')
    near(outputs.p as FloatArray, 'out/p_ctcvr')
    near(outputs.given as FloatArray, 'out/p_cvr')
  })
})

describe.each(places)('a head on $name', (place) => {
  it('predicts numbers as they are and the probabilities of classes', () => {
    const { outputs } = runHeads({
      place,
      rows: 2,
      inputs: { 'x:a': Float32Array.of(1.5, -2), 'x:b': Float32Array.of(0, 0, 1000, 0, Math.log(3), -1000) },
      signals: { a: 1, b: 3 },
      emit(tape, { a, b }) {
        emitPrediction(tape.program, a as never, task('regression', 'time', 1))
        emitPrediction(tape.program, b as never, task('multiclass', 'kind', 1, 3))
      },
    })
    expect([...(outputs.time as FloatArray)]).toEqual([1.5, -2])
    expect(relativeError(outputs.kind as FloatArray, [0, 0, 1, 0.25, 0.75, 0])).toBeLessThan(1e-6)
  })

  it.each([
    ['binary', 1],
    ['regression', 1],
    ['multiclass', 2],
  ] as const)('takes nothing from rows of a %s task that do not count, whatever their signal is', (kind, width) => {
    const x = width === 1 ? [NaN, 0.5, Infinity] : [NaN, NaN, 0.5, 0.25, Infinity, -Infinity]
    const { scalars, outputs } = runHeads({
      place,
      rows: 3,
      inputs: {
        'x:a': Float32Array.from(x),
        'label:y': Float32Array.of(NaN, 1, 1),
        'weight:y': Float32Array.of(1, 1, 0),
      },
      signals: { a: width },
      emit: (tape, { a }) => emitLoss(tape, a as never, task(kind, 'y', 1, width), 'valid'),
    })
    expect(scalars['loss:y']).toBeGreaterThan(0)
    expect([...(outputs['dx:a'] as FloatArray)].map((value) => value !== 0)).toEqual(
      x.map((_, at) => Math.floor(at / width) === 1),
    )
  })
})
