// The fields of the input layer: each is a signal of its own, their row is one too, and both have one gradient.

import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import type { View } from '../../lib/core/op-fields.js'
import { columnsOf, ProgramBuilder } from '../../lib/core/program.js'
import { fuse } from '../../lib/layers/fusion.js'
import { type EmbeddedInput, type Fields, inputs } from '../../lib/layers/inputs.js'
import { Signal, Tape } from '../../lib/layers/tape.js'
import { updateRule } from '../../lib/layers/update.js'
import { loadNative } from '../../lib/native/loader.js'
import { emitTableUpdate } from '../../lib/training/step-program.js'
import { places, type TestPlace } from '../support/places.js'

const embedded = (name: string, more: Partial<EmbeddedInput> = {}): EmbeddedInput => {
  return { name, rows: 4, dim: 2, length: 1, combiner: 'none', ...more }
}

function declare(inputsOf: readonly EmbeddedInput[], dense = [{ name: 'price', width: 3 }]) {
  const layout = new Layout()
  const layer = inputs(layout, { embedded: inputsOf, dense, initializer: 'zeros' })
  const program = new ProgramBuilder(layout, { training: true })
  const tape = new Tape(program, { rate: 0.3, seed: 1 })
  return { layout, layer, program, tape, x: layer.forward(tape) }
}

const columns = ({ offset, width }: View): readonly [number, number] => [offset, width]
const field = ({ fields }: Fields, name: string) => {
  const found = fields.get(name)
  if (found === undefined) throw new Error(`no field ${name}`)
  return found
}

describe('fields', () => {
  it('lie side by side in the row, those that are trained first', () => {
    const { layer, x } = declare([embedded('user', { frozen: true, dim: 5 }), embedded('item')])
    expect([...x.fields].map(([name, { value }]) => [name, ...columns(value)])).toEqual([
      ['item', 0, 2],
      ['user', 2, 5],
      ['price', 7, 3],
    ])
    expect(new Set([...x.fields.values()].map(({ value }) => value.buffer))).toEqual(new Set([x.row.value.buffer]))
    expect(layer.outputDim).toBe(10)
  })

  it('of lists that are not pooled have the columns of all of their ids', () => {
    const { layer, x } = declare([embedded('seen', { length: 3, combiner: 'concat' }), embedded('item')])
    expect(columns(field(x, 'seen').value)).toEqual([0, 6])
    expect(columns(field(x, 'item').value)).toEqual([6, 2])
    expect(field(x, 'seen').target().view).toMatchObject({ offset: 0, width: 6 })
    expect(layer.outputDim).toBe(6 + 2 + 3)
  })

  it('have one gradient with their row: who comes second adds', () => {
    const { x } = declare([embedded('user'), embedded('item')])
    expect(field(x, 'user').target().accumulate).toBe(0)
    expect(field(x, 'item').target().accumulate).toBe(0)
    expect(x.row.target()).toMatchObject({ accumulate: 1, view: { offset: 0, width: 4 } })
    expect(field(x, 'item').target()).toMatchObject({ accumulate: 1, view: { offset: 2, width: 2 } })
  })

  it('refuse a row whose columns have a gradient in part', () => {
    const { x } = declare([embedded('user'), embedded('item')])
    field(x, 'user').target()
    expect(() => x.row.target()).toThrow('some of its columns only')
  })

  it('of dense columns and of frozen tables have no gradient', () => {
    const { layer, program, x } = declare([embedded('user', { frozen: true }), embedded('item')])
    expect(field(x, 'price').target().view).toBeNull()
    expect(field(x, 'user').target().view).toBeNull()
    expect(x.row.target().view).toMatchObject({ offset: 0, width: 2 })
    expect(layer.gradients(program, x).map(({ table }) => table.name)).toEqual(['item'])
  })

  it('share a table by its name, which all of them freeze where one does', () => {
    const { layout, layer, program, x } = declare([embedded('seen', { table: 'item' }), embedded('item')])
    expect(layout.tables.map(({ name }) => name)).toEqual(['item'])
    x.row.target()
    const [own] = layer.gradients(program, x)
    expect(own?.inputs.map(({ gradient }) => columns(gradient))).toEqual([
      [0, 2],
      [2, 2],
    ])
    const frozen = declare([embedded('seen', { table: 'item', frozen: true }), embedded('item')])
    frozen.x.row.target()
    expect(frozen.layer.gradients(frozen.program, frozen.x)).toEqual([])
    expect(() => declare([embedded('seen', { table: 'item', dim: 3 }), embedded('item')])).toThrow('which is [4, 3]')
  })
})

type Values = Readonly<Record<string, Float32Array | Int32Array>>

/** One step of rate 1 on the table `item`: the outputs `y`, and the table's values before and after. */
function step(place: TestPlace, { layer, program, x }: ReturnType<typeof declare>, rows: number, given: Values) {
  const rule = updateRule({ name: 'sgd', form: 'keras', momentum: 0, nesterov: false })
  for (const gradient of layer.gradients(program, x))
    emitTableUpdate(program, gradient, rule, { penalty: { l1: 0, l2: 0 }, exact: false })
  const lowered = program.build()
  const native = loadNative()
  const plan = native.compile(place.device, lowered.spec, place.isa === undefined ? {} : { isa: place.isa })
  const buffer = lowered.bindings['table:item'] ?? -1
  const { width = 0, count = 0 } = lowered.spec.buffers[buffer] ?? {}
  const table = native.createMemory(place.device, width * count)
  const before = Float32Array.from({ length: width * count }, (_, index) => 5 * index)
  table.write(0, before)
  plan.bind(buffer, table)
  const scalars = new Float64Array(lowered.spec.scalarInputs)
  for (const [name, value] of [
    ['learningRate', 1],
    ['draw', 3],
  ] as const) {
    const number = lowered.scalars[name]
    if (number !== undefined) scalars[number] = value
  }
  const widths = lowered.spec.buffers.flatMap(({ class: kind, width: own }) => (kind === 'rowOutput' ? [own] : []))
  const element = place.device === 'reference' ? Float64Array : Float32Array
  const outputs = widths.map((own) => new element(rows * own))
  const inputsOf = lowered.rowInputs.map((name) => given[name] ?? new Float32Array(0))
  plan.run({ rows, inputs: inputsOf, outputs, scalars, threads: 1 })
  const after = [...table.read(0, width * count)]
  plan.dispose()
  table.dispose()
  return { y: [...(outputs[0] ?? [])], before: [...before], moved: after.map((value, index) => (before[index] ?? NaN) - value) }
}

const constant = (tape: Tape, name: string, width: number) => new Signal(tape.program.rowInput(name, width), null)

/** Writes a signal to the output `y`, and takes its gradient from the row input `upstream`. */
function observe(tape: Tape, signal: Signal): void {
  const { program } = tape
  const { width } = signal.value
  const upstream = program.rowInput('upstream', width)
  program.op('copy_columns', { x: signal.value, y: program.rowOutput('y', width) })
  tape.record(() => {
    const { view, accumulate } = signal.target()
    if (view === null) throw new Error('the signal has no gradient')
    const dy = columnsOf(upstream, 0, view.width)
    program.op('fusion_backward', { inputs: [dy], dy, dinputs: [view], accumulate: [accumulate], kind: 0 })
  })
}

describe.each(places)('the gradient of a table on $name', (place) => {
  it('is the sum of those of two fields that share it', () => {
    const made = declare([embedded('seen', { table: 'item' }), embedded('item')], [])
    observe(made.tape, made.x.row)
    made.tape.backward()
    const { y, moved } = step(place, made, 2, {
      seen: Int32Array.of(1, 2),
      item: Int32Array.of(2, 3),
      upstream: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    })
    expect(y).toEqual([10, 15, 20, 25, 20, 25, 30, 35])
    // Item 2 is `item` of the first row and `seen` of the second: 3 + 5 and 4 + 6.
    expect(moved).toEqual([0, 0, 1, 2, 8, 10, 7, 8])
  })

  it('takes that of each id of a field that is not pooled from its own columns', () => {
    const made = declare([embedded('item'), embedded('seen', { table: 'item', length: 3, combiner: 'concat' })], [])
    observe(made.tape, field(made.x, 'seen'))
    observe(made.tape, field(made.x, 'item'))
    made.tape.backward()
    const { y, moved } = step(place, made, 2, {
      item: Int32Array.of(0, 0),
      seen: Int32Array.of(1, 0, 2, 2, 3, 2),
      upstream: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12),
    })
    expect(y).toEqual([10, 15, 0, 0, 20, 25, 20, 25, 30, 35, 20, 25])
    // Id 0 is padding in the list and an id in `item`, which takes the first columns of `upstream`.
    expect(moved).toEqual([1 + 7, 2 + 8, 1, 2, 5 + 7 + 11, 6 + 8 + 12, 9, 10])
  })

  it.each([
    ['a fusion', (tape: Tape, row: Signal) => fuse(tape, [row, constant(tape, 'factor', 3)], ['product'])],
    ['a dropout', (tape: Tape, row: Signal) => tape.dropout(row, 'mix')],
  ])('comes through %s of the row, whose other columns have none', (_, layer) => {
    const made = declare([embedded('item')], [{ name: 'price', width: 1 }])
    observe(made.tape, layer(made.tape, made.x.row))
    made.tape.backward()
    const upstream = [1, 2, 3, 4, 5, 6]
    const { y, moved } = step(place, made, 2, {
      item: Int32Array.of(1, 2),
      price: Float32Array.of(1, 1),
      factor: Float32Array.of(2, 3, 4, 5, 6, 7),
      upstream: Float32Array.from(upstream),
    })
    // Each element is a multiple of its own: the gradient is the same multiple of the upstream gradient.
    const multiples = [10, 15, 1, 20, 25, 1].map((value, index) => (y[index] ?? NaN) / value)
    expect(multiples.some((multiple) => multiple > 1)).toBe(true)
    const expected = [0, 0, ...[0, 1, 3, 4].map((at) => (multiples[at] ?? NaN) * (upstream[at] ?? NaN)), 0, 0]
    for (const [index, value] of moved.entries()) expect(value).toBeCloseTo(expected[index] ?? NaN, 4)
  })

  it('is the sum over a fusion of some fields and a layer that reads the row after them', () => {
    const made = declare([embedded('item'), embedded('seen', { table: 'item' })], [{ name: 'price', width: 2 }])
    const { tape, x } = made
    const fused = fuse(tape, [field(x, 'price'), field(x, 'item')], ['sum'])
    tape.record(() => {
      const { view } = fused.target()
      if (view !== null) tape.program.op('copy_columns', { x: tape.program.rowInput('fused', 2), y: view })
    })
    observe(tape, x.row)
    tape.backward()
    const { moved } = step(place, made, 1, {
      price: Float32Array.of(1, 1),
      item: Int32Array.of(1),
      seen: Int32Array.of(2),
      fused: Float32Array.of(10, 20),
      upstream: Float32Array.of(1, 2, 3, 4, 5, 6),
    })
    expect(moved).toEqual([0, 0, 1 + 10, 2 + 20, 3, 4, 0, 0])
  })
})
