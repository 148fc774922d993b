// Metrics of rows that come part by part: however they are cut, the same bits and the same reasons.

import { describe, expect, it } from 'vitest'

import { atOnce, sliceValues } from '../../lib/core/slices.js'
import { type Measurement, type Metric, measure } from '../../lib/metrics/metric.js'
import type { GroupedRows } from '../../lib/metrics/ranked-rows.js'
import type { MetricName } from '../../lib/metrics/registry.js'
import { metrics, metricsOf } from '../../lib/metrics/registry.js'
import type { MetricResult } from '../../lib/metrics/rows.js'
import { taskKinds } from '../../lib/tasks/task.js'
import { randomOf } from '../../lib/verify/numbers.js'

const classes = 3
const measured = taskKinds.flatMap((kind) => {
  const width = kind.scores === 'classes' ? classes : 1
  const begin = ({ of }: Metric): Measurement | undefined => (kind.scores === 'classes' ? of.classes?.(classes) : of.number?.())
  return kind.metrics.map((metric) => [kind.kind, metric.name, width, () => begin(metric) as Measurement] as const)
})

/** Labels of any kind: 0 and 1 are probabilities, numbers and classes. */
function rowsOf(length: number, width: number, weighted: boolean): GroupedRows {
  const random = randomOf(length + width)
  return {
    scores: Float32Array.from({ length: length * width }, random),
    labels: Float32Array.from({ length }, () => (random() < 0.2 ? NaN : random() < 0.5 ? 1 : 0)),
    weights: weighted
      ? Float64Array.from({ length }, () => (random() < 0.1 ? 0 : random() * 10 ** (60 * random() - 30)))
      : undefined,
    groups: { codes: Int32Array.from({ length }, (_, row) => (row % 4) - (row % 7 === 5 ? 9 : 0)), count: 4 },
  }
}

function inParts(
  measurement: Measurement,
  { scores, labels, weights, groups }: GroupedRows,
  width: number,
  cuts: number[],
): MetricResult {
  for (const [index, from] of [0, ...cuts].entries()) {
    const to = cuts[index] ?? labels.length
    const part = { scores: scores.subarray(from * width, to * width), labels: labels.subarray(from, to) }
    const own = groups && { ...groups, codes: groups.codes.subarray(from, to) }
    atOnce(measurement.add({ ...part, weights: weights?.subarray(from, to), groups: own }))
  }
  return atOnce(measurement.finish())
}

describe.each(measured)('%s: %s', (_, __, width, begin) => {
  it.each([false, true])('has the same bits however rows are cut, weighted: %s', (weighted) => {
    for (const length of [2, 300, sliceValues + 5]) {
      const rows = rowsOf(length, width, weighted)
      const whole = atOnce(measure(begin(), rows))
      const random = randomOf(length)
      for (const count of [1, 9]) {
        const cuts = Array.from({ length: count }, () => Math.floor(random() * length)).sort((a, b) => a - b)
        expect(inParts(begin(), rows, width, cuts), `cut at ${cuts.join(', ')}`).toEqual(whole)
      }
    }
  })

  it('counts rows from the first part on', () => {
    const rows = rowsOf(9, width, true)
    rows.labels.fill(1, 4)
    rows.scores.fill(NaN, 6 * width, 7 * width)
    rows.weights?.fill(1)
    expect(inParts(begin(), rows, width, [2, 5])).toEqual({ ...atOnce(measure(begin(), rows)), value: undefined })
    expect(inParts(begin(), rows, width, [2, 5]).reason).toBe('the score of row 6 is NaN')
    rows.weights?.fill(-1, 6, 7)
    expect(() => inParts(begin(), rows, width, [2, 5])).toThrow('weights[6]: expected a finite number >= 0, found -1')
  })

  it('has a reason where no rows came', () => {
    expect(atOnce(begin().finish())).toMatchObject({ value: undefined, reason: 'no row has a label' })
  })
})

it('a row that weighs far more than those before it leaves nothing of them', () => {
  const [rmse] = metricsOf('regression')
  const rows = { scores: Float64Array.of(Infinity, NaN, 5), labels: Float64Array.of(0, 0, 2) }
  expect(inParts(rmse?.of.number() as Measurement, { ...rows, weights: Float64Array.of(5e-324, 5e-324, 1e307) }, 1, [2])).toEqual(
    {
      value: 3,
    },
  )
})

it('the metrics of every kind of task are in the order of all', () => {
  const names: readonly MetricName[] = metrics.map(({ name }) => name)
  for (const kind of taskKinds) {
    const own = kind.metrics.map(({ name }) => name)
    expect(own).toEqual(names.filter((name) => own.includes(name)))
    expect(own).toContain(kind.headline)
  }
})
