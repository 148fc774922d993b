import { describe, expect, expectTypeOf, it } from 'vitest'

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkLearnable, encodeLabels, encodeWeights, labelColumnOf, parseTask, type Task } from '../../lib/tasks/task.js'

const columns = Dataset.fromColumns({
  status: [' Never married', ' Married', null, ' Never married', ' Widowed'],
  code: [3, 1, NaN, 3, 2],
  y: [0, 1, null, 0.25, 1],
  text: ['0', ' 1', null, '1.0', '0'],
  bad: [0, 1, 2, 0, 1],
  badText: ['0', '1', 'yes', '0', '1'],
  zeros: [0, 0, null, 0, 0],
  gone: [null, null, null, null, null],
  lists: [[1], [0], [1], [0], [1]],
})
const encoded = (task: Task, data: Dataset, training: boolean): number[] => {
  const column = data.column(labelColumnOf(task))
  const numbers = encodeLabels(task, column)
  if (training) checkLearnable(task, numbers, () => column)
  return [...numbers]
}
const labels = (options: object, training = false): number[] => {
  const task = binary('t', options)
  return encoded(task, columns, training)
}

it('is plain data that keeps its name as a type', () => {
  const task = binary('like', { weight: 0.5 })
  expectTypeOf(task.name).toEqualTypeOf<'like'>()
  expect(task).toEqual({ kind: 'binary', name: 'like', weight: 0.5 })
  expect(labelColumnOf(task)).toBe('like')
  expect(parseTask(JSON.parse(JSON.stringify(task)))).toEqual(task)
  expect(Object.isFrozen(task)).toBe(true)
})

it('encodes labels; what is missing stays missing', () => {
  expect(labels({ label: 'y' }, true)).toEqual([0, 1, NaN, 0.25, 1])
  expect(labels({ label: 'text' })).toEqual([0, 1, NaN, 1, 0])
  expect(labels({ label: 'status', positive: ' Never married' }, true)).toEqual([1, 0, NaN, 1, 0])
  expect(labels({ label: 'code', positive: 3 })).toEqual([1, 0, NaN, 1, 0])
  expect(labels({ label: 'code', positive: '3' })).toEqual([1, 0, NaN, 1, 0])
  expect(labels({ label: 'text', positive: 1 })).toEqual([0, 1, NaN, 1, 0])
  // Without training rows in view, no positive label is no fault.
  expect(labels({ label: 'zeros' })).toEqual([0, 0, NaN, 0, 0])
  expect(labels({ label: 'gone' })).toEqual([NaN, NaN, NaN, NaN, NaN])
})

describe('values that mean that there is no label', () => {
  const asked = Dataset.fromColumns({
    number: [1, -1, 0, NaN, -1],
    text: ['1', 'NULL', '0', null, '-1.0'],
    code: ['a', '-', 'b', null, '01'],
    many: [3, 99, 5, NaN, -1],
  })
  const encode = (task: Task): number[] => [...encodeLabels(task, asked.column(labelColumnOf(task)))]

  it('are missing in every kind of task, numbers by value and texts by their bytes', () => {
    for (const missing of [[-1], ['-1'], [-1, 'NULL']])
      expect(encode(binary('t', { label: 'number', missing }))).toEqual([1, NaN, 0, NaN, NaN])
    expect(encode(binary('t', { label: 'number', positive: 0, missing: [-1] }))).toEqual([0, NaN, 1, NaN, NaN])
    expect(encode(binary('t', { label: 'text', missing: [-1, 'NULL'] }))).toEqual([1, NaN, 0, NaN, NaN])
    expect(encode(binary('t', { label: 'code', positive: 'a', missing: ['-', '1'] }))).toEqual([1, NaN, 0, NaN, 0])
    expect(encode(binary('t', { label: 'code', positive: 'a', missing: ['-', 1] }))).toEqual([1, NaN, 0, NaN, NaN])
    expect(encode(regression('t', { label: 'many', missing: [99, -1] }))).toEqual([3, NaN, 5, NaN, NaN])
    expect(encode(multiclass('t', { label: 'many', classes: [3, 5], missing: [99, -1] }))).toEqual([0, NaN, 1, NaN, NaN])
    expect(encode(multiclass('t', { label: 'number', classes: 2, missing: [-1] }))).toEqual([1, NaN, 0, NaN, NaN])
    expect(encode(multiclass('t', { label: 'code', classes: ['a', 'b', '01'], missing: ['-'] }))).toEqual([0, NaN, 1, NaN, 2])
  })

  it('do not count as labels to learn from, nor as values to choose from', () => {
    const task = binary('t', { label: 'number', missing: [0, 1, -1] })
    expect(() => encoded(task, asked, true)).toThrow('found only missing ones')
    const misspelt = binary('t', { label: 'code', positive: 'A', missing: ['-', '01'] })
    expect(() => encoded(misspelt, asked, true)).toThrow('found "a", "b" (nearest first)')
  })

  it('are saved with a task, and frozen', () => {
    const task = binary('t', { missing: [-1, 'NULL'] })
    expect(parseTask(JSON.parse(JSON.stringify(task)))).toEqual(task)
    expect(Object.isFrozen(task.missing)).toBe(true)
  })

  it.each<[() => unknown, string]>([
    [() => binary('t', { missing: -1 as never }), 'task "t".missing: expected an array, found -1'],
    [() => binary('t', { missing: [] }), 'task "t".missing: expected an array of length >= 1'],
    [() => binary('t', { missing: [null] as never }), 'task "t".missing[0]: expected a string or a number, found null'],
    [() => binary('t', { missing: [NaN] }), 'task "t".missing[0]'],
    [() => binary('t', { positive: 1, missing: ['1'] }), 'task "t".missing: expected other values than positive has'],
    [
      () => multiclass('t', { classes: ['a', 'b'], missing: ['b'] }),
      'task "t".missing: expected other values than those of classes',
    ],
  ])('are refused where they contradict %#', (make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }))
  })

  it('are proposed with the value that is no label', () => {
    const wrong = (task: Task) => () => encode(task)
    expect(wrong(binary('t', { label: 'number' }))).toThrow(
      'found -1; if -1 means that there is no label, set missing: [-1], or read the file with nullValues: { "number": ["-1"] }',
    )
    expect(wrong(binary('t', { label: 'text' }))).toThrow(
      'found "NULL"; if "NULL" means that there is no label, set missing: ["NULL"]',
    )
    expect(wrong(regression('t', { label: 'text' }))).toThrow('row 1: expected a finite number, found "NULL"; if "NULL" means')
    expect(wrong(multiclass('t', { label: 'number', classes: 2 }))).toThrow('found -1; raise classes. Or if -1 means')
    expect(wrong(multiclass('t', { label: 'code', classes: ['a', 'b'] }))).toThrow(
      'found "-"; list it among the classes. Or if "-" means',
    )
  })
})

describe('booleans', () => {
  const booleans = Dataset.fromColumns({ yes: [true, false, null], Text: ['True', 'False', null], text: ['false', 'true', null] })
  const encode = (label: string, positive?: string | number | boolean): number[] => {
    return [...encodeLabels(binary('t', { label, positive }), booleans.column(label))]
  }

  it('are labels', () => {
    expect(encode('yes')).toEqual([1, 0, NaN])
    for (const positive of [true, 1]) expect(encode('yes', positive)).toEqual([1, 0, NaN])
    for (const positive of [false, 0]) expect(encode('yes', positive)).toEqual([0, 1, NaN])
    expect(encode('Text', 'True')).toEqual([1, 0, NaN])
    expect(encode('Text', true)).toEqual([1, 0, NaN])
    expect(encode('text', true)).toEqual([0, 1, NaN])
    expect(encode('text', false)).toEqual([1, 0, NaN])
    const column: Column = { kind: 'number', type: 'boolean', values: Float64Array.of(1, 0, NaN) }
    expect([...encodeLabels(binary('t', { positive: 'true' }), column)]).toEqual([1, 0, NaN])
    expect([...encodeLabels(binary('t', { positive: 'False' }), column)]).toEqual([0, 1, NaN])
  })

  it('as texts are not guessed; the message says how to name the one that counts', () => {
    expect(() => encode('Text')).toThrow('row 0: expected a label in [0, 1], found "True"; set positive: "True"')
    expect(() => encode('text')).toThrow('row 0: expected a label in [0, 1], found "false"; set positive: "true"')
  })
})

describe('wrong labels are named', () => {
  it.each<[string, object, object]>([
    [
      'a number',
      { label: 'bad' },
      {
        row: 2,
        column: 'bad',
        value: 2,
        message:
          'task "t", column "bad", row 2: expected a label in [0, 1], found 2; if 2 means that there is no label, set missing: [2], ' +
          'or read the file with nullValues: { "bad": ["2"] }. If labels are classes, say with \'positive\' which value counts as 1: ' +
          'every other one counts as 0 then, also one that means that there is no label',
      },
    ],
    ['a text', { label: 'badText' }, { row: 2, value: 'yes' }],
    ['lists', { label: 'lists' }, { message: expect.stringContaining('one label per row, found lists') }],
    [
      'a positive that never occurs',
      { label: 'status', positive: 'Never married' },
      {
        message: expect.stringContaining(
          'expected "Never married" in the training rows, found " Never married", " Married", " Widowed" (nearest first)',
        ),
      },
    ],
    ['a number that never occurs', { label: 'code', positive: 4 }, { message: expect.stringContaining('found 1, 2, 3') }],
    ['none positive', { label: 'zeros' }, { message: expect.stringContaining('found 4 that are all 0') }],
    ['all missing', { label: 'gone' }, { message: expect.stringContaining('found only missing ones') }],
  ])('%s', (_, options, want) => {
    expect(() => labels(options, true)).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_DATA', ...want }))
  })

  it('a part without the positive value lists only what occurs in it', () => {
    const part = columns.select([1, 4])
    const task = binary('t', { label: 'status', positive: ' Never married' })
    expect(() => encoded(task, part, true)).toThrow('found " Married", " Widowed" (nearest')
  })
})

it('encodes weights', () => {
  const task = binary('t', { weightColumn: 'w' })
  const weights = (values: (number | string | null)[]): Float32Array =>
    encodeWeights(task, Dataset.fromColumns({ w: values }).column('w'))
  expect([...weights([0, 1.5, 2])]).toEqual([0, 1.5, 2])
  expect(() => weights([1, -1])).toThrow('task "t", column "w", row 1: expected a weight >= 0, found -1')
  expect(() => weights([1, null])).toThrow('row 1: expected a weight >= 0, found a missing value')
  expect([...weights(['1.5', ' 2', '0'])]).toEqual([1.5, 2, 0])
  expect(() => weights(['1.5', 'NULL'])).toThrow(
    'task "t", column "w", row 1: expected a weight >= 0, found "NULL"; write 0 where a row is not to count, and 1 where it counts',
  )
  expect(() => weights(['1.5', null])).toThrow('row 1: expected a weight >= 0, found a missing value; write 0')
  expect(() => weights(['1.5', 'Infinity'])).toThrow('row 1: expected a weight >= 0, found "Infinity"')
  const lists = Dataset.fromColumns({ w: [[1], [2]] }).column('w')
  expect(() => encodeWeights(task, lists)).toThrow("expected one weight per row, found lists; say with 'weightColumn'")
})

it.each<[() => unknown, string]>([
  [() => binary('t', { weight: -1 }), 'task "t".weight: expected a number >= 0, found -1'],
  [() => binary(''), 'task "".name'],
  [() => binary('t', { postive: 1 } as never), "did you mean 'positive'"],
  [
    () => parseTask({ kind: 'ternary', name: 'x' }, 'model.tasks[0]'),
    'model.tasks[0].kind: expected one of "binary", "regression", "multiclass", found "ternary"',
  ],
])('names a wrong option %#', (make, message) => {
  expect(make).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }))
})

describe('numbers and classes', () => {
  const data = Dataset.fromColumns({
    seconds: [1.5, null, -3, 0, 12],
    secondsText: ['1.5', null, ' -3', '0', '12'],
    stars: [0, 2, null, 1, 2],
    colour: ['red', 'blue', null, 'red', 'green'],
    code: [10, 20, null, 10, 30],
    endless: [1, 2, Number.POSITIVE_INFINITY, 3, 4],
    half: [0, 1, 0.5, 1, 1],
    same: [1, 1, null, 1, 1],
    gone: [null, null, null, null, null],
    lists: [[1], [0], [1], [0], [1]],
  })
  const encode = (task: Task, training = false): number[] => [...encoded(task, data, training)]

  it('are encoded; what is missing stays missing', () => {
    expect(encode(regression('seconds'), true)).toEqual([1.5, NaN, -3, 0, 12])
    expect(encode(regression('seconds', { label: 'secondsText' }))).toEqual([1.5, NaN, -3, 0, 12])
    expect(encode(multiclass('stars', { classes: 3 }), true)).toEqual([0, 2, NaN, 1, 2])
    expect(encode(multiclass('colour', { classes: ['blue', 'green', 'red'] }), true)).toEqual([2, 0, NaN, 2, 1])
    expect(encode(multiclass('code', { classes: [10, 20, 30] }))).toEqual([0, 1, NaN, 0, 2])
    expect(encode(multiclass('code', { classes: ['10', '20', '30'] }))).toEqual([0, 1, NaN, 0, 2])
  })

  it('survive JSON', () => {
    for (const task of [regression('seconds', { weight: 0.1 }), multiclass('stars', { classes: 3 })]) {
      expect(parseTask(JSON.parse(JSON.stringify(task)))).toEqual(task)
      expect(Object.isFrozen(task)).toBe(true)
    }
  })

  it.each<[Task, string]>([
    [regression('t', { label: 'endless' }), 'row 2: expected a finite number, found Infinity'],
    [regression('t', { label: 'colour' }), 'row 0: expected a finite number, found "red"'],
    [regression('t', { label: 'lists' }), 'one label per row'],
    [regression('t', { label: 'gone' }), 'found only missing ones'],
    [multiclass('t', { label: 'stars', classes: 2 }), 'row 1: expected an integer in [0, 2), found 2'],
    [multiclass('t', { label: 'half', classes: 2 }), 'row 2: expected an integer in [0, 2), found 0.5'],
    [multiclass('t', { label: 'colour', classes: ['red', 'blue'] }), 'row 4: expected one of "red", "blue", found "green"'],
    [multiclass('t', { label: 'code', classes: [10, 20] }), 'row 4: expected one of 10, 20, found 30'],
    [multiclass('t', { label: 'same', classes: 3 }), 'expected two classes at least'],
  ])('name a wrong label %#', (task, message) => {
    const expected = { code: 'ERR_MULTIGATE_DATA', message: expect.stringContaining(message) }
    expect(() => encode(task, true)).toThrow(expect.objectContaining(expected))
  })

  it.each([
    [() => multiclass('t', { classes: 1 }), 'classes'],
    [() => multiclass('t', { classes: ['a', 'a'] }), 'classes'],
    [() => multiclass('t', {} as never), 'classes'],
    [() => regression('t', { positive: 1 } as never), 'positive'],
    [() => regression('t', { weight: NaN }), 'weight'],
  ])('name a wrong option %#', (make, field) => {
    const expected = { code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(field) }
    expect(make).toThrow(expect.objectContaining(expected))
  })
})
