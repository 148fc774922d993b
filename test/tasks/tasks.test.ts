// Labels and weights of tasks: which are positive, missing or wrong.

import { describe, expect, expectTypeOf, it } from 'vitest'

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { regression } from '../../lib/tasks/regression.js'
import { checkLearnable, encodeLabels, encodeWeights, labelColumnOf, parseTask, type Task } from '../../lib/tasks/task.js'
import { refusal } from '../support/refusal.js'

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
    expect(() => encoded(task, asked, true)).toThrow(refusal('DATA'))
    const misspelt = binary('t', { label: 'code', positive: 'A', missing: ['-', '01'] })
    expect(() => encoded(misspelt, asked, true)).toThrow(refusal('DATA', { column: 'code', says: ['"a"', '"b"'] }))
  })

  it('are saved with a task, and frozen', () => {
    const task = binary('t', { missing: [-1, 'NULL'] })
    expect(parseTask(JSON.parse(JSON.stringify(task)))).toEqual(task)
    expect(Object.isFrozen(task.missing)).toBe(true)
  })

  it.each<[() => unknown, Error]>([
    [() => binary('t', { missing: -1 as never }), refusal('ARGUMENT', { field: 'task "t".missing', says: '-1' })],
    [() => binary('t', { missing: [] }), refusal('ARGUMENT', { field: 'task "t".missing', says: '1' })],
    [() => binary('t', { missing: [null] as never }), refusal('ARGUMENT', { field: 'task "t".missing[0]', says: 'missing[0]' })],
    [() => binary('t', { missing: [NaN] }), refusal('ARGUMENT', { field: 'task "t".missing[0]', says: 'missing[0]' })],
    [() => binary('t', { positive: 1, missing: ['1'] }), refusal('ARGUMENT', { field: 'task "t".missing' })],
    [() => multiclass('t', { classes: ['a', 'b'], missing: ['b'] }), refusal('ARGUMENT', { field: 'task "t".missing' })],
  ])('are refused where they contradict %#', (make, message) => {
    expect(make).toThrow(message)
  })

  it('are proposed with the value that is no label', () => {
    const wrong = (task: Task) => () => encode(task)
    expect(wrong(binary('t', { label: 'number' }))).toThrow(
      refusal('DATA', { column: 'number', row: 1, value: -1, says: ['[-1]', 'nullValues', '"-1"'] }),
    )
    expect(wrong(binary('t', { label: 'text' }))).toThrow(refusal('DATA', { column: 'text', row: 1, value: 'NULL' }))
    expect(wrong(regression('t', { label: 'text' }))).toThrow(refusal('DATA', { column: 'text', row: 1, value: 'NULL' }))
    expect(wrong(multiclass('t', { label: 'number', classes: 2 }))).toThrow(
      refusal('DATA', { column: 'number', row: 1, value: -1 }),
    )
    expect(wrong(multiclass('t', { label: 'code', classes: ['a', 'b'] }))).toThrow(
      refusal('DATA', { column: 'code', row: 1, value: '-' }),
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
    expect(() => encode('Text')).toThrow(refusal('DATA', { column: 'Text', row: 0, value: 'True', says: '[0, 1]' }))
    expect(() => encode('text')).toThrow(refusal('DATA', { column: 'text', row: 0, value: 'false', says: ['[0, 1]', '"true"'] }))
  })
})

describe('wrong labels are named', () => {
  it.each<[string, object, Error]>([
    [
      'a number',
      { label: 'bad' },
      refusal('DATA', { column: 'bad', row: 2, value: 2, says: ['"t"', '[0, 1]', 'nullValues', '"2"', "'positive'"] }),
    ],
    ['a text', { label: 'badText' }, refusal('DATA', { row: 2, value: 'yes' })],
    ['lists', { label: 'lists' }, refusal('DATA', { column: 'lists' })],
    [
      'a positive that never occurs',
      { label: 'status', positive: 'Never married' },
      refusal('DATA', { column: 'status', says: ['"Never married"', '" Never married"', '" Married"', '" Widowed"'] }),
    ],
    ['a number that never occurs', { label: 'code', positive: 4 }, refusal('DATA', { column: 'code', says: ['1', '2', '3'] })],
    ['none positive', { label: 'zeros' }, refusal('DATA', { column: 'zeros', says: ['4', '0'] })],
    ['all missing', { label: 'gone' }, refusal('DATA')],
  ])('%s', (_, options, want) => {
    expect(() => labels(options, true)).toThrow(want)
  })

  it('a part without the positive value lists only what occurs in it', () => {
    const part = columns.select([1, 4])
    const task = binary('t', { label: 'status', positive: ' Never married' })
    expect(() => encoded(task, part, true)).toThrow(refusal('DATA', { column: 'status', says: ['" Married"', '" Widowed"'] }))
  })
})

it('encodes weights', () => {
  const task = binary('t', { weightColumn: 'w' })
  const weights = (values: (number | string | null)[]): Float32Array =>
    encodeWeights(task, Dataset.fromColumns({ w: values }).column('w'))
  expect([...weights([0, 1.5, 2])]).toEqual([0, 1.5, 2])
  expect(() => weights([1, -1])).toThrow(refusal('DATA', { column: 'w', row: 1, value: -1, says: ['"t"', '0'] }))
  expect(() => weights([1, null])).toThrow(refusal('DATA', { column: 'w', row: 1, value: null, says: '0' }))
  expect([...weights(['1.5', ' 2', '0'])]).toEqual([1.5, 2, 0])
  expect(() => weights(['1.5', 'NULL'])).toThrow(refusal('DATA', { column: 'w', row: 1, value: 'NULL', says: ['"t"', '0'] }))
  expect(() => weights(['1.5', null])).toThrow(refusal('DATA', { column: 'w', row: 1, value: null, says: '0' }))
  expect(() => weights(['1.5', 'Infinity'])).toThrow(refusal('DATA', { column: 'w', row: 1, value: 'Infinity', says: '0' }))
  const lists = Dataset.fromColumns({ w: [[1], [2]] }).column('w')
  expect(() => encodeWeights(task, lists)).toThrow(refusal('DATA', { column: 'w', says: "'weightColumn'" }))
})

it.each<[() => unknown, Error]>([
  [() => binary('t', { weight: -1 }), refusal('ARGUMENT', { field: 'task "t".weight', says: ['0', '-1'] })],
  [() => binary(''), refusal('ARGUMENT', { field: 'task "".name' })],
  [() => binary('t', { postive: 1 } as never), refusal('ARGUMENT', { field: 'task "t".postive', says: "'positive'" })],
  [
    () => parseTask({ kind: 'ternary', name: 'x' }, 'model.tasks[0]'),
    refusal('ARGUMENT', { field: 'model.tasks[0].kind', says: ['"binary"', '"regression"', '"multiclass"', '"ternary"'] }),
  ],
])('names a wrong option %#', (make, message) => {
  expect(make).toThrow(message)
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

  it.each<[Task, Error]>([
    [regression('t', { label: 'endless' }), refusal('DATA', { column: 'endless', row: 2, says: 'Infinity' })],
    [regression('t', { label: 'colour' }), refusal('DATA', { column: 'colour', row: 0, value: 'red' })],
    [regression('t', { label: 'lists' }), refusal('DATA', { column: 'lists' })],
    [regression('t', { label: 'gone' }), refusal('DATA')],
    [multiclass('t', { label: 'stars', classes: 2 }), refusal('DATA', { column: 'stars', row: 1, value: 2, says: '[0, 2)' })],
    [multiclass('t', { label: 'half', classes: 2 }), refusal('DATA', { column: 'half', row: 2, value: 0.5, says: '[0, 2)' })],
    [
      multiclass('t', { label: 'colour', classes: ['red', 'blue'] }),
      refusal('DATA', { column: 'colour', row: 4, value: 'green', says: ['"red"', '"blue"'] }),
    ],
    [
      multiclass('t', { label: 'code', classes: [10, 20] }),
      refusal('DATA', { column: 'code', row: 4, value: 30, says: ['10', '20'] }),
    ],
    [multiclass('t', { label: 'same', classes: 3 }), refusal('DATA', { column: 'same' })],
  ])('name a wrong label %#', (task, message) => {
    expect(() => encode(task, true)).toThrow(message)
  })

  it.each([
    [() => multiclass('t', { classes: 1 }), 'classes'],
    [() => multiclass('t', { classes: ['a', 'a'] }), 'classes'],
    [() => multiclass('t', {} as never), 'classes'],
    [() => regression('t', { positive: 1 } as never), 'positive'],
    [() => regression('t', { weight: NaN }), 'weight'],
  ])('name a wrong option %#', (make, field) => {
    expect(make).toThrow(refusal('ARGUMENT', { field: `task "t".${field}` }))
  })
})
