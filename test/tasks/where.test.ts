// The sample space of a task: which rows `where` leaves in, what they weigh, and that a model trains on them as on labels and weights that
// were written by hand.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

import { parseConfig } from '../../lib/cli/config.js'
import type { ScalarColumn } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { binary } from '../../lib/tasks/binary.js'
import { type Condition, meets } from '../../lib/tasks/condition.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { parseTask, type Task } from '../../lib/tasks/task.js'
import { refusal } from '../support/refusal.js'
import { columns } from '../support/small-data.js'

const rows = 700
/** Clicks of which some are missing, their purchases, and columns for conditions. */
const raw = (() => {
  const { click, buy, ...others } = columns({ rows, missing: 0.1 }) as Record<string, ColumnValues> &
    Record<'click' | 'buy', number[]>
  const shown = Array.from({ length: rows }, (_, row) => ['app', 'web', null, 'mail'][row % 4] ?? null)
  return { ...others, click, buy, shown, age: shown.map((_, row) => row % 50), act: click.map(actOf) }
})()

function actOf(click: number): string | null {
  return Number.isNaN(click) ? null : click === 1 ? 'clicked' : 'passed'
}

const features = [sparse('user', { vocabulary: 30, dim: 4 }), dense('price')]
const make = (tasks: readonly Task[]) => {
  return new MMoE({ features, tasks, numExperts: 2, expertHiddenUnits: [8], towerHiddenUnits: [4], seed: 5 })
}

/** Trains, and returns everything that a user sees of it. */
async function trained(tasks: readonly Task[], columns: Readonly<Record<string, ColumnValues>>) {
  const data = Dataset.fromColumns(columns)
  using model = make(tasks)
  const { epochs } = await model.fit(data, { validation: data, batchSize: 128, epochs: 2 })
  const measured = await model.evaluate(data)
  return { scores: await model.predict(data), metrics: epochs.map(({ metrics }) => metrics), measured }
}

/** The labels of `buy` where `inside` says so. */
const onlyWhere = (inside: (row: number) => boolean) => ({
  ...raw,
  buy: Array.from(raw.buy, (label, row) => (inside(row) ? label : NaN)),
})
const clicked = (row: number): boolean => raw.click[row] === 1

describe('a condition', () => {
  const numbers: ScalarColumn = { kind: 'number', values: Float64Array.of(0, 1, 2.5, NaN, -1) }
  const texts: ScalarColumn = { kind: 'string', dictionary: ['0', '1.0', 'a', 'True'], codes: Int32Array.of(0, 1, 2, -1, 3) }
  const booleans: ScalarColumn = { kind: 'number', type: 'boolean', values: Float64Array.of(0, 1, NaN) }
  it.each<[Condition, ScalarColumn, number[]]>([
    [1, numbers, [0, 1, 0, NaN, 0]],
    ['1', numbers, [0, 1, 0, NaN, 0]],
    [true, numbers, [0, 1, 0, NaN, 0]],
    [[0, -1], numbers, [1, 0, 0, NaN, 1]],
    [{ min: 0 }, numbers, [1, 1, 1, NaN, 0]],
    [{ max: 1 }, numbers, [1, 1, 0, NaN, 1]],
    [{ min: 1, max: 2.5 }, numbers, [0, 1, 1, NaN, 0]],
    [1, texts, [0, 1, 0, NaN, 0]],
    ['1', texts, [0, 0, 0, NaN, 0]],
    [['a', 0], texts, [1, 0, 1, NaN, 0]],
    [true, texts, [0, 0, 0, NaN, 1]],
    [{ min: 0.5 }, texts, [0, 1, 0, NaN, 0]],
    ['true', booleans, [0, 1, NaN]],
    [false, booleans, [1, 0, NaN]],
  ])('%j %#', (condition, column, expected) => {
    expect([...meets(condition, column)]).toEqual(expected)
  })
})

describe('a model trains as on labels written by hand', () => {
  const click = binary('click')
  it.each<[string, readonly Task[], (row: number) => boolean]>([
    ['another task', [click, binary('buy', { where: { click: 1 } })], clicked],
    [
      'a task that says which label is positive',
      [binary('click', { label: 'act', positive: 'clicked' }), binary('buy', { where: { click: 1 } })],
      clicked,
    ],
    ['a column', [click, binary('buy', { where: { shown: ['app', 'mail'] } })], (row) => row % 4 === 0 || row % 4 === 3],
    [
      'a column and a task',
      [click, binary('buy', { where: { click: true, age: { min: 10, max: 30 } } })],
      (row) => clicked(row) && row % 50 >= 10 && row % 50 <= 30,
    ],
  ])('with a condition on %s', async (_, tasks, inside) => {
    const plain = tasks.map((task) => parseTask({ ...task, where: undefined }))
    const own = await trained(tasks, raw)
    expect(own).toEqual(await trained(plain, onlyWhere(inside)))
    const labelled = Array.from(raw.buy).filter((label, row) => inside(row) && !Number.isNaN(label)).length
    expect(own.measured.tasks['buy']?.rows).toBe(labelled)
    expect(labelled).toBeLessThan(rows / 2 + 1)
  })

  it('with conditions of conditions, in any order of the tasks', async () => {
    const tasks = [
      binary('buy', { where: { click: 1 } }),
      binary('click', { where: { shown: 'app' } }),
      regression('age', { where: { buy: 1 } }),
    ]
    const inside = (row: number): boolean => row % 4 === 0 && clicked(row)
    const labels = (values: readonly number[], at: (row: number) => boolean) => values.map((v, row) => (at(row) ? v : NaN))
    const buys = Array.from(raw.buy)
    const byHand = {
      ...onlyWhere(inside),
      click: labels(raw.click, (row) => row % 4 === 0),
      age: labels(raw.age, (row) => inside(row) && buys[row] === 1),
    }
    expect(await trained(tasks, raw)).toEqual(
      await trained(
        tasks.map((task) => parseTask({ ...task, where: undefined })),
        byHand,
      ),
    )
  })

  it('with weights inside and outside, beside those of a column', async () => {
    const tasks = [click, binary('buy', { where: { click: 1 }, insideWeight: 2, outsideWeight: 0.25, weightColumn: 'age' })]
    const weights = raw.age.map((age, row) => age * (clicked(row) ? 2 : 0.25))
    const plain = [click, binary('buy', { weightColumn: 'weights' })]
    const own = await trained(tasks, raw)
    expect(own).toEqual(await trained(plain, { ...raw, weights }))
    // Rows outside weigh less, and they are labelled.
    expect(own).not.toEqual(await trained([click, binary('buy', { weightColumn: 'age' })], raw))
    const alone = [click, binary('buy', { where: { click: 1 }, outsideWeight: 0.25 })]
    const byHand = { ...raw, weights: raw.age.map((_, row) => (clicked(row) ? 1 : 0.25)) }
    expect(await trained(alone, raw)).toEqual(await trained(plain, byHand))
  })
})

it('rows outside may hold what is no label', async () => {
  const stars = { ...raw, stars: raw.age.map((age, row) => (clicked(row) ? age % 2 : -7)) }
  const { measured } = await trained([binary('click'), binary('stars', { where: { click: 1 } })], stars)
  expect(measured.tasks['stars']?.rows).toBe(raw.click.filter((label) => label === 1).length)
  await expect(trained([binary('click'), binary('stars')], stars)).rejects.toThrow(
    refusal('DATA', { column: 'stars', value: -7 }),
  )
})

it('holds for data of several parts, and is checked by build', async () => {
  const times = 60
  const many = (columns: Readonly<Record<string, ColumnValues>>): Dataset => {
    const repeated = Object.entries(columns).map(([name, values]) => {
      const once = Array.from(values as ArrayLike<number>)
      return [name, Array.from({ length: times }, () => once).flat()] as const
    })
    return Dataset.fromColumns(Object.fromEntries(repeated))
  }
  const tasks = [binary('click'), binary('buy', { where: { click: 1 } })]
  using model = make(tasks)
  using plain = make([binary('click'), binary('buy')])
  await model.build(many(raw))
  await plain.build(many(raw))
  const measured = await model.evaluate(many(raw))
  expect(measured).toEqual(await plain.evaluate(many(onlyWhere(clicked))))
  expect(measured.rows).toBeGreaterThan(2 ** 15)
  using other = make([binary('buy', { where: { age: 77 } })])
  await expect(other.build(many(raw))).rejects.toThrow(refusal('DATA', { column: 'age', says: '77' }))
})

it('is saved with the model, and named among the columns to read', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  const tasks = [binary('click'), binary('buy', { where: { click: 1, age: { min: 10 }, shown: ['app'] }, outsideWeight: 0.5 })]
  const data = Dataset.fromColumns(raw)
  using model = make(tasks)
  await model.fit(data, { epochs: 1 })
  expect(model.csvOptions({ labels: true }).columns).toEqual(['user', 'price', 'click', 'buy', 'age', 'shown'])
  await model.save(path)
  using again = await loadModel(path)
  expect(again.tasks).toEqual(model.tasks)
  expect(await again.predict(data)).toEqual(await model.predict(data))
  expect(await again.evaluate(data)).toEqual(await model.evaluate(data))
})

it('is the same in a configuration', () => {
  const where = { click: 1, shown: ['app', 'web'], age: { max: 3 } }
  const { options } = parseConfig({
    model: 'MMoE',
    features: [{ kind: 'dense', name: 'price' }],
    tasks: [
      { kind: 'binary', name: 'click' },
      { kind: 'multiclass', name: 'age', classes: 50, where, insideWeight: 2 },
    ],
  })
  expect(options.tasks[1]).toEqual(multiclass('age', { classes: 50, where, insideWeight: 2 }))
})

describe('refuses', () => {
  const built = (...tasks: Task[]) => make(tasks)
  const [a, b] = [binary('click'), binary('buy')]
  const field = (key: string) => `MMoE.tasks[1].where.${key}`
  it.each<[string, () => unknown, Error]>([
    ['no condition', () => binary('t', { where: {} }), refusal('ARGUMENT', { field: 'task "t".where' })],
    [
      'a key that objects inherit',
      () => binary('t', JSON.parse('{ "where": { "a": 1, "__proto__": 1 } }')),
      refusal('ARGUMENT', { field: 'task "t".where', says: '__proto__' }),
    ],
    ['an empty list', () => binary('t', { where: { a: [] } }), refusal('ARGUMENT', { field: 'task "t".where.a' })],
    ['no bound', () => binary('t', { where: { a: {} } }), refusal('ARGUMENT', { field: 'task "t".where.a' })],
    [
      'an empty range',
      () => regression('t', { where: { a: { min: 2, max: 1 } } }),
      refusal('ARGUMENT', { field: 'task "t".where.a', says: 'min <= max' }),
    ],
    [
      'another key of a range',
      () => binary('t', { where: { a: { from: 1 } as never } }),
      refusal('ARGUMENT', { field: 'task "t".where.a.from' }),
    ],
    ['a missing value', () => binary('t', { where: { a: null as never } }), refusal('ARGUMENT', { field: 'task "t".where.a' })],
    [
      'weights without conditions',
      () => multiclass('t', { classes: 2, outsideWeight: 1 }),
      refusal('ARGUMENT', { field: 'task "t".where', says: 'outsideWeight' }),
    ],
    [
      'a negative weight',
      () => binary('t', { where: { a: 1 }, insideWeight: -1 }),
      refusal('ARGUMENT', { field: 'task "t".insideWeight' }),
    ],
    ['a task of itself', () => built(a, binary('buy', { where: { buy: 1 } })), refusal('ARGUMENT', { field: field('buy') })],
    [
      'a circle',
      () =>
        built(
          binary('click', { where: { age: 1 } }),
          binary('buy', { where: { age: 1 } }),
          regression('age', { where: { buy: 1 } }),
        ),
      refusal('ARGUMENT', { field: field('age'), says: ['"buy"', '"age"'] }),
    ],
    [
      'a label that a binary task cannot have',
      () => built(a, binary('buy', { where: { click: 2 } })),
      refusal('ARGUMENT', { field: field('click'), says: ['2', '"click"'] }),
    ],
    [
      'a range of such labels',
      () => built(a, binary('buy', { where: { click: { min: 1.5 } } })),
      refusal('ARGUMENT', { field: field('click') }),
    ],
    [
      'a positive value where labels are 1 and 0',
      () => built(binary('click', { positive: 'yes' }), binary('buy', { where: { click: 'yes' } })),
      refusal('ARGUMENT', { field: field('click') }),
    ],
    [
      'a class that is not listed',
      () => built(multiclass('click', { classes: ['x', 'y'] }), binary('buy', { where: { click: ['z'] } })),
      refusal('ARGUMENT', { field: field('click') }),
    ],
    [
      'a class beyond the last',
      () => built(multiclass('click', { classes: 3 }), binary('buy', { where: { click: 3 } })),
      refusal('ARGUMENT', { field: field('click') }),
    ],
  ])('%s', (_, make, error) => {
    expect(make).toThrow(error)
  })

  it('takes listed classes, in any form', () => {
    using model = built(multiclass('click', { classes: [1, 2] }), binary('buy', { where: { click: '2' } }))
    expect(model.tasks[1]?.where).toEqual({ click: '2' })
    expect(Object.isFrozen(model.tasks[1]?.where)).toBe(true)
    using other = built(b, multiclass('click', { classes: ['1', '2'], where: { buy: [0, 1] } }))
    expect(other.tasks[1]?.where).toEqual({ buy: [0, 1] })
  })

  it.each<[string, readonly Task[], Error]>([
    [
      'a column that is not there',
      [binary('buy', { where: { clik: 1 } })],
      refusal('DATA', { column: 'clik', says: ['"click"', "'where'"] }),
    ],
    ['a column of lists', [binary('buy', { where: { tags: 1 } })], refusal('DATA', { column: 'tags', says: 'lists' })],
    ['conditions that no row meets', [binary('buy', { where: { age: 77 } })], refusal('DATA', { column: 'age', says: '77' })],
    [
      'conditions that no row meets together',
      [binary('buy', { where: { age: 1, shown: 'app' } })],
      refusal('DATA', { says: ['"age" is 1', '"shown" is "app"'] }),
    ],
    [
      'rows without a positive label',
      [binary('click'), binary('no', { where: { click: 1 } })],
      refusal('DATA', { column: 'no', says: ['positive', '"click" is 1'] }),
    ],
  ])('%s', async (_, tasks, error) => {
    const data = {
      ...raw,
      tags: raw.age.map((age) => [age]),
      no: raw.age.map((_, row) => (clicked(row) ? 0 : 1)),
    }
    await expect(trained(tasks, data)).rejects.toThrow(error)
  })
})
