// The fields of the input layer: each is a signal of its own, their row is one too, and both have one gradient.

import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import type { View } from '../../lib/core/op-fields.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { type EmbeddedInput, type Fields, inputs } from '../../lib/layers/inputs.js'
import { Tape } from '../../lib/layers/tape.js'
import { updateRule } from '../../lib/layers/update.js'
import { loadNative } from '../../lib/native/loader.js'
import { emitTableUpdate } from '../../lib/training/step-program.js'
import { places } from '../support/places.js'

const embedded = (name: string, more: Partial<EmbeddedInput> = {}): EmbeddedInput => {
  return { name, rows: 4, dim: 2, length: 1, combiner: 'none', ...more }
}

function declare(inputsOf: readonly EmbeddedInput[], dense = [{ name: 'price', width: 3 }]) {
  const layout = new Layout()
  const layer = inputs(layout, { embedded: inputsOf, dense, initializer: 'zeros' })
  const program = new ProgramBuilder(layout, { training: true })
  return { layout, layer, program, x: layer.forward(new Tape(program)) }
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

describe.each(places)('a table that two fields share on $name', (place) => {
  it('takes the gradients of both', () => {
    const { layer, program, x } = declare([embedded('seen', { table: 'item' }), embedded('item')], [])
    const { view } = x.row.target()
    if (view === null) throw new Error('the row has a gradient')
    program.op('copy_columns', { x: program.rowInput('upstream', 4), y: view })
    program.op('copy_columns', { x: x.row.value, y: program.rowOutput('y', 4) })
    const rule = updateRule({ name: 'sgd', form: 'keras', momentum: 0, nesterov: false })
    for (const gradient of layer.gradients(program, x))
      emitTableUpdate(program, gradient, rule, { penalty: { l1: 0, l2: 0 }, exact: false })
    const lowered = program.build()

    const native = loadNative()
    const plan = native.compile(place.device, lowered.spec, place.isa === undefined ? {} : { isa: place.isa })
    const table = native.createMemory(place.device, 8)
    table.write(0, Float32Array.of(0, 0, 10, 20, 30, 40, 50, 60))
    plan.bind(lowered.bindings['table:item'] ?? -1, table)
    const scalars = new Float64Array(lowered.spec.scalarInputs)
    scalars[lowered.scalars.learningRate ?? 0] = 1
    const rows = {
      seen: Int32Array.of(1, 2),
      item: Int32Array.of(2, 3),
      upstream: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    }
    const y = place.device === 'reference' ? new Float64Array(8) : new Float32Array(8)
    const given = lowered.rowInputs.map((name) => rows[name as keyof typeof rows])
    plan.run({ rows: 2, inputs: given, outputs: [y], scalars, threads: 1 })
    expect([...y]).toEqual([10, 20, 30, 40, 30, 40, 50, 60])
    // Item 2 is `item` of the first row and `seen` of the second: 3 + 5 and 4 + 6.
    expect([...table.read(0, 8)]).toEqual([0, 0, 10 - 1, 20 - 2, 30 - 8, 40 - 10, 50 - 7, 60 - 8])
    plan.dispose()
  })
})
