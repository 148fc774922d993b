// Metrics against their definitions, row by row and pair by pair in float64, and against scikit-learn's values; what they say where they
// have none; and that the order of rows does not matter.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

import { atOnce } from '../../lib/core/slices.js'
import { checkGroups, groupsOf } from '../../lib/metrics/groups.js'
import { measure } from '../../lib/metrics/metric.js'
import { type GroupedRows, RankedRows } from '../../lib/metrics/ranked-rows.js'
import type { MetricResult } from '../../lib/metrics/rows.js'
import { metricCalled } from '../../lib/metrics/selection.js'
import { randomOf } from '../../lib/verify/numbers.js'

function result(name: string, rows: GroupedRows): MetricResult {
  const selected = metricCalled(name)
  if (selected === undefined) throw new Error(`no metric ${name}`)
  const { metric, parameter } = selected
  const measurement = metric.of.number?.(parameter)
  if (measurement === undefined) throw new Error(`${name} has no measurement of numbers`)
  return atOnce(measure(measurement, rows))
}

const value = (name: string, rows: GroupedRows): number | undefined => result(name, rows).value

interface Row {
  readonly score: number
  readonly label: number
  readonly weight: number
  readonly group: number | undefined
}

function asRows(rows: readonly Row[]): GroupedRows {
  const numbers = Float64Array.from(rows, ({ group }) => group ?? NaN)
  return {
    scores: Float32Array.from(rows, ({ score }) => score),
    labels: Float32Array.from(rows, ({ label }) => label),
    weights: Float64Array.from(rows, ({ weight }) => weight),
    groups: atOnce(groupsOf(checkGroups(numbers))),
  }
}

/** Random rows with ties. `labelOf` makes the labels. */
function drawn(random: () => number, most: number, labelOf: () => number, weightOf: () => number = () => 1): Row[] {
  return Array.from({ length: 1 + Math.floor(random() * most) }, () => ({
    score: Math.round(random() * 8) / 8,
    label: random() < 0.1 ? NaN : labelOf(),
    weight: weightOf(),
    group: random() < 0.1 ? undefined : Math.floor(random() * 4) - 1,
  }))
}

const counting = (rows: readonly Row[]): Row[] => rows.filter(({ label, weight }) => !Number.isNaN(label) && weight > 0)
const sum = (rows: readonly Row[], of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0)

/** Values by definition; undefined where there is none. */
const definitions: Readonly<Record<string, (rows: readonly Row[]) => number | undefined>> = {
  prauc(rows) {
    const positive = sum(rows, ({ label, weight }) => label * weight)
    if (positive === 0) return undefined
    const precision = ({ score }: Row): number => {
      const above = rows.filter((other) => other.score >= score)
      return sum(above, ({ label, weight }) => label * weight) / sum(above, ({ weight }) => weight)
    }
    return sum(rows, (row) => row.label * row.weight * precision(row)) / positive
  },
  ne(rows) {
    const share = sum(rows, ({ label, weight }) => label * weight) / sum(rows, ({ weight }) => weight)
    if (!(share > 0 && share < 1)) return undefined
    const bits = (score: number, label: number): number => {
      const p = Math.min(Math.max(score, 1e-7), 1 - 1e-7)
      return -label * Math.log2(p) - (1 - label) * Math.log2(1 - p)
    }
    return (
      sum(rows, ({ score, label, weight }) => weight * bits(score, label)) /
      sum(rows, ({ label, weight }) => weight * bits(share, label))
    )
  },
  pcoc(rows) {
    const labels = sum(rows, ({ label, weight }) => label * weight)
    return labels === 0 ? undefined : sum(rows, ({ score, weight }) => score * weight) / labels
  },
  ece: (rows) => distance(rows, 15),
  'ece@4': (rows) => distance(rows, 4),
  ndcg: (rows) => meanOfLists(rows, (list) => gainOf(list, Infinity)),
  'ndcg@2': (rows) => meanOfLists(rows, (list) => gainOf(list, 2)),
  mrr: (rows) => meanOfLists(rows, (list) => reciprocalOf(list, Infinity)),
  'mrr@2': (rows) => meanOfLists(rows, (list) => reciprocalOf(list, 2)),
}

function distance(rows: readonly Row[], bins: number): number | undefined {
  if (rows.length === 0) return undefined
  let total = 0
  for (let bin = 0; bin < bins; bin += 1) {
    const own = rows.filter(({ score }) => score >= bin / bins && (score < (bin + 1) / bins || bin === bins - 1))
    const weight = sum(own, (row) => row.weight)
    if (weight === 0) continue
    const apart = sum(own, (row) => row.weight * row.score) / weight - sum(own, (row) => row.weight * row.label) / weight
    total += (weight / sum(rows, (row) => row.weight)) * Math.abs(apart)
  }
  return total
}

function meanOfLists(rows: readonly Row[], of: (list: readonly Row[]) => number): number | undefined {
  const lists = [-1, 0, 1, 2]
    .map((group) => rows.filter((row) => row.group === group))
    .filter((list) => list.some(({ label }) => label > 0))
  return lists.length === 0 ? undefined : lists.reduce((total, list) => total + of(list), 0) / lists.length
}

/** The mean of a number over all orders of a list in which scores descend: all permutations are tried. */
function overOrders(list: readonly Row[], of: (order: readonly Row[]) => number): number {
  let [total, orders] = [0, 0]
  const extend = (order: readonly Row[], rest: readonly Row[]): void => {
    if (rest.length === 0) {
      total += of(order)
      orders += 1
    }
    const highest = Math.max(...rest.map(({ score }) => score))
    for (const row of rest)
      if (row.score === highest)
        extend(
          [...order, row],
          rest.filter((other) => other !== row),
        )
  }
  extend([], list)
  return total / orders
}

function gainOf(list: readonly Row[], k: number): number {
  const dcg = (order: readonly Row[]): number =>
    order.slice(0, Math.min(k, order.length)).reduce((total, { label }, index) => total + label / Math.log2(index + 2), 0)
  return overOrders(list, dcg) / dcg([...list].sort((a, b) => b.label - a.label))
}

function reciprocalOf(list: readonly Row[], k: number): number {
  return overOrders(list, (order) => {
    const rank = 1 + order.findIndex(({ label }) => label > 0)
    return rank <= k ? 1 / rank : 0
  })
}

describe.each(Object.keys(definitions))('%s', (name) => {
  const labels = { hard: [0, 1], soft: [0, 0.25, 0.5, 1] }

  it.each(['hard', 'soft'] as const)('is its definition, with ties, groups and weights: %s labels', (kind) => {
    const random = randomOf(7 + name.length)
    const [own, list] = [labels[kind], /^(ndcg|mrr)/.test(name)]
    let defined = 0
    for (let round = 0; round < 60; round += 1) {
      const rows = drawn(
        random,
        list ? 16 : 40,
        () => own[Math.floor(random() * own.length)] ?? 0,
        () => Math.floor(random() * 4),
      )
      const want = definitions[name]?.(counting(rows))
      const got = result(name, asRows(rows))
      if (want === undefined) expect(got).toEqual({ value: undefined, reason: expect.any(String) })
      else {
        expect(got.value).toBeCloseTo(want, 12)
        defined += 1
      }
    }
    expect(defined).toBeGreaterThan(20)
  })
})

describe('xauc', () => {
  it('is the share of pairs in the right order, pair by pair', () => {
    const random = randomOf(23)
    let defined = 0
    for (let round = 0; round < 100; round += 1) {
      const rows = drawn(
        random,
        40,
        () => Math.round(random() * 6) - 3,
        () => Math.floor(random() * 4),
      )
      let [right, pairs] = [0, 0]
      for (const one of counting(rows)) {
        for (const other of counting(rows)) {
          if (!(one.label < other.label)) continue
          pairs += one.weight * other.weight
          right += one.weight * other.weight * (one.score < other.score ? 1 : one.score === other.score ? 0.5 : 0)
        }
      }
      const got = value('xauc', asRows(rows))
      if (pairs === 0) expect(got).toBeUndefined()
      else {
        expect(got).toBeCloseTo(right / pairs, 12)
        defined += 1
      }
    }
    expect(defined).toBeGreaterThan(50)
  })

  it('is the AUC where labels are 0 and 1', () => {
    const random = randomOf(29)
    for (let round = 0; round < 20; round += 1) {
      const rows = asRows(drawn(random, 200, () => (random() < 0.3 ? 1 : 0), random))
      expect(value('xauc', rows)).toBeCloseTo(value('auc', rows) ?? NaN, 12)
    }
  })

  it('says why it has no value', () => {
    const rows = { scores: Float32Array.of(1, 2, 3), labels: Float32Array.of(4, 4, NaN) }
    expect(result('xauc', rows)).toEqual({ value: undefined, reason: 'all 2 labelled rows have the same label' })
    expect(result('xauc', { ...rows, labels: Float32Array.of(1, 2, 3), scores: Float32Array.of(1, NaN, 3) }).reason).toBe(
      'the score of row 1 is NaN',
    )
    expect(result('xauc', { ...rows, labels: Float32Array.of(NaN, NaN, NaN) }).reason).toBe('no row has a label')
    const weights = Float64Array.of(1e-200, 1e200, 1)
    expect(result('xauc', { ...rows, labels: Float32Array.of(1, 2, NaN), weights }).reason).toBe(
      'the rows of one label outweigh all others',
    )
  })
})

describe('values of scikit-learn', () => {
  const file = JSON.parse(readFileSync(new URL('scikit-values.json', import.meta.url), 'utf8')) as {
    cases: (Record<'scores' | 'labels' | 'weights' | 'groups', number[]> &
      Record<'expected' | 'weighted', Record<string, number | null>>)[]
  }

  it.each(file.cases.map((one, index) => [index, one] as const))(
    'case %i',
    (_, { scores, labels, weights, groups, expected, weighted }) => {
      const rows = {
        scores: Float32Array.from(scores),
        labels: Float32Array.from(labels),
        groups: atOnce(groupsOf(checkGroups(Int32Array.from(groups)))),
      }
      expect(Object.keys(expected)).toHaveLength(7)
      for (const [name, want] of Object.entries(expected)) expect(value(name, rows), name).toBeCloseTo(want ?? NaN, 12)
      const own = { ...rows, weights: Float32Array.from(weights) }
      for (const [name, want] of Object.entries(weighted))
        expect(value(name, own), `weighted ${name}`).toBeCloseTo(want ?? NaN, 12)
    },
  )
})

describe('the order of rows', () => {
  const names = [
    'auc',
    'prauc',
    'uauc',
    'gauc',
    'ndcg',
    'ndcg@3',
    'mrr',
    'logloss',
    'ne',
    'pcoc',
    'ece',
    'accuracy',
    'rmse',
    'mae',
    'xauc',
  ]
  /** Sums of whole numbers, or sums in the order of scores and groups: the same bits. */
  const exact = ['auc', 'prauc', 'uauc', 'gauc', 'ndcg', 'ndcg@3', 'mrr', 'xauc']

  it.each(names)('does not change %s', (name) => {
    const random = randomOf(31)
    for (let round = 0; round < 20; round += 1) {
      const rows = [
        ...drawn(random, 300, () => (random() < 0.4 ? 1 : 0)),
        ...drawn(random, 300, () => 1),
        ...drawn(random, 300, () => 0),
      ]
      const shuffled = rows
        .map((row) => ({ row, key: random() }))
        .sort((a, b) => a.key - b.key)
        .map(({ row }) => row)
      const weighted = (list: readonly Row[]): Row[] => list.map((row) => ({ ...row, weight: Math.exp(10 * row.score) }))
      const [first, again] = [value(name, asRows(rows)), value(name, asRows(shuffled))]
      expect(first).toBeTypeOf('number')
      if (exact.includes(name)) expect(again).toBe(first)
      else expect(again).toBeCloseTo(first ?? NaN, 12)
      expect(value(name, asRows(weighted(shuffled)))).toBeCloseTo(value(name, asRows(weighted(rows))) ?? NaN, 12)
    }
  })

  it.each(names)('nor does the size of all weights change %s', (name) => {
    const random = randomOf(37)
    const rows = drawn(
      random,
      300,
      () => (random() < 0.4 ? 1 : 0),
      () => Math.floor(random() * 4),
    )
    const want = value(name, asRows(rows)) ?? NaN
    for (const size of [2 ** -1060, 1e-200, 1e200, 4e307]) {
      expect(value(name, asRows(rows.map((row) => ({ ...row, weight: row.weight * size }))))).toBeCloseTo(want, 12)
    }
  })
})

describe('where there is no value', () => {
  const one = Int32Array.of(0, 0)
  const groups = { codes: one, count: 1 }
  const all = { scores: Float32Array.of(0.2, 0.3), labels: Float32Array.of(1, 1), groups }
  const none = { ...all, labels: Float32Array.of(0, 0) }

  it('of one class the reason says which', () => {
    const [positive, negative] = ['all 2 labelled rows are positive', 'all 2 labelled rows are negative']
    expect(result('prauc', all)).toEqual({ value: 1 })
    expect(result('prauc', none)).toEqual({ value: undefined, reason: negative })
    expect(result('ne', all)).toEqual({ value: undefined, reason: positive })
    expect(result('ne', none)).toEqual({ value: undefined, reason: negative })
    expect(result('pcoc', all).value).toBeCloseTo(0.25, 6)
    expect(result('pcoc', none)).toEqual({ value: undefined, reason: negative })
    expect(result('ece', none).value).toBeCloseTo(0.25, 6)
    for (const name of ['uauc', 'gauc']) expect(result(name, all).reason).toBe('none of the 1 groups has both classes')
    for (const name of ['ndcg', 'mrr']) {
      expect(result(name, all)).toEqual({ value: 1 })
      expect(result(name, none)).toEqual({ value: undefined, reason: 'none of the 1 groups has a positive row' })
    }
    const weights = Float32Array.of(0, 1)
    expect(result('ne', { ...all, labels: Float32Array.of(0, 1), weights }).reason).toBe('the weights of one class are all 0')
    expect(result('prauc', { ...all, labels: Float32Array.of(1, 0), weights }).reason).toBe('the weights of one class are all 0')
  })

  it.each(['prauc', 'ne', 'pcoc', 'ece', 'uauc', 'gauc', 'ndcg', 'mrr'])(
    '%s: no rows, no labels, no weight, no score',
    (name) => {
      const empty = { scores: new Float32Array(0), labels: new Float32Array(0), groups: { codes: new Int32Array(0), count: 0 } }
      expect(result(name, empty)).toEqual({ value: undefined, reason: 'no row has a label' })
      expect(result(name, { ...all, labels: Float32Array.of(NaN, NaN) }).reason).toBe('no row has a label')
      expect(result(name, { ...all, labels: Float32Array.of(0, 1), weights: Float32Array.of(0, 0) }).reason).toBe(
        'the weights of all labelled rows are 0',
      )
      expect(result(name, { ...all, labels: Float32Array.of(0, 1), scores: Float32Array.of(0.1, NaN) }).reason).toBe(
        'the score of row 1 is NaN',
      )
      // A score beside a missing label does not matter.
      expect(
        result(name, { ...all, labels: Float32Array.of(NaN, 1), scores: Float32Array.of(NaN, 0.5) }).reason ?? '',
      ).not.toContain('NaN')
    },
  )

  it('rows without a group do not count in metrics of groups, whatever their score', () => {
    const rows = {
      scores: Float32Array.of(NaN, 0.1, 0.2),
      labels: Float32Array.of(1, 0, 1),
      groups: { codes: Int32Array.of(-1, 2, 2), count: 3 },
    }
    expect(value('uauc', rows)).toBe(1)
    expect(value('auc', rows)).toBeUndefined()
    expect(value('uauc', new RankedRows(rows))).toBe(1)
    expect(result('mrr', { ...rows, groups: { codes: Int32Array.of(-1, -1, -1), count: 3 } }).reason).toBe(
      'no labelled row has a group',
    )
  })
})

it('all ties: no order is right', () => {
  const rows = {
    scores: new Float32Array(6).fill(0.5),
    labels: Float32Array.of(1, 0, 0, 0, 0, 1),
    groups: { codes: new Int32Array(6), count: 1 },
  }
  for (const name of ['auc', 'uauc', 'gauc', 'xauc']) expect(value(name, rows)).toBe(0.5)
  expect(value('prauc', rows)).toBeCloseTo(1 / 3, 12)
})

it('metrics of the same rows share what they compute, and agree with each on its own', () => {
  const random = randomOf(41)
  const rows = asRows(drawn(random, 500, () => (random() < 0.3 ? 1 : 0), random))
  const shared = new RankedRows(rows)
  for (const name of ['ndcg', 'uauc', 'auc', 'gauc', 'prauc', 'mrr', 'ece'])
    expect(result(name, shared)).toEqual(result(name, rows))
})

describe('groups', () => {
  const codesOf = (values: Float64Array | Float32Array | Int32Array): (number | undefined)[] => {
    const { codes, count } = atOnce(groupsOf(checkGroups(values)))
    expect(Math.max(-1, ...codes)).toBeLessThan(count)
    return [...codes].map((code) => (code < 0 ? undefined : code))
  }

  it.each([
    ['small whole numbers', Float64Array.of(3, -1, 3, NaN, 7, -1)],
    ['far apart', Float64Array.of(3e12, -1, 3e12, NaN, 7, -1)],
    ['fractions', Float64Array.of(0.25, 0.5, 0.25, NaN, -0.5, 0.5)],
    ['infinite', Float64Array.of(Infinity, -Infinity, Infinity, NaN, 0, -Infinity)],
    ['32 bits', Float32Array.of(0.25, 0.5, 0.25, NaN, -0.5, 0.5)],
  ])('rows of equal value share a code: %s', (_, values) => {
    const [a, b, c, d, e, f] = codesOf(values)
    expect([a === c, b === f, d === undefined, new Set([a, b, e]).size]).toEqual([true, true, true, 3])
  })

  it('zeros of both signs are one, and -1 among whole numbers of 32 bits is none', () => {
    expect(codesOf(Float64Array.of(0, -0))).toEqual([0, 0])
    expect(codesOf(Float64Array.of(0, -0, 0.5))).toEqual([0, 0, 1])
    expect(codesOf(Int32Array.of(-1, 4, 5, -1))).toEqual([undefined, 0, 1, undefined])
    expect(codesOf(Int32Array.of(-2147483648, 2147483647, -1))).toEqual([0, 1, undefined])
    expect(codesOf(new Int32Array(0))).toEqual([])
  })
})
