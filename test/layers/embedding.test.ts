// Lookups and bags against golden, and the update of a table: equal ids, touched rows, penalties.

import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import { type LoweredProgram, ProgramBuilder } from '../../lib/core/program.js'
import { inputs } from '../../lib/layers/inputs.js'
import { Tape } from '../../lib/layers/tape.js'
import { type OptimizerRule, updateRule } from '../../lib/layers/update.js'
import { loadNative } from '../../lib/native/loader.js'
import { emitTableUpdate } from '../../lib/training/step-program.js'
import { relativeError } from '../support/golden.js'
import { goldenCases } from '../support/golden-cases.js'
import { places, type TestPlace } from '../support/places.js'

const sgd: OptimizerRule = { name: 'sgd', form: 'keras', momentum: 0, nesterov: false }
const adam: OptimizerRule = { name: 'adam', form: 'keras', beta1: 0.9, beta2: 0.999, epsilon: 1e-12 }

interface Lookup {
  readonly combiner: 'none' | 'mean' | 'sum'
  readonly table: Float32Array
  readonly dim: number
  readonly ids: Int32Array
  readonly length: number
  readonly upstream: Float32Array
  readonly optimizer?: OptimizerRule
  readonly learningRate?: number
  readonly exact?: boolean
  readonly l2?: number
}

interface LookupResult {
  readonly y: ArrayLike<number>
  readonly table: ArrayLike<number>
  readonly penalty: number
}

/** Gathers, takes `upstream` as the gradient of the rows and updates the table once. */
function lookUp(place: TestPlace, lookup: Lookup): LookupResult {
  const { program, moments } = lower(lookup)
  const native = loadNative()
  const plan = native.compile(place.device, program.spec, place.isa === undefined ? {} : { isa: place.isa })
  const memory = native.createMemory(place.device, lookup.table.length)
  memory.write(0, lookup.table)
  plan.bind(program.bindings['table:ids'] ?? -1, memory)
  for (const name of moments) plan.bind(program.bindings[name] ?? -1, native.createMemory(place.device, lookup.table.length))
  const rows = lookup.ids.length / lookup.length
  const y = place.device === 'reference' ? new Float64Array(rows * lookup.dim) : new Float32Array(rows * lookup.dim)
  const scalars = new Float64Array(program.spec.scalarInputs)
  scalars[program.scalars.learningRate ?? 0] = lookup.learningRate ?? 1
  scalars[program.scalars.step ?? 0] = 1
  const given = program.rowInputs.map((name) => (name === 'ids' ? lookup.ids : lookup.upstream))
  const [penalty = NaN] = plan.run({ rows, inputs: given, outputs: [y], scalars, threads: 2 })
  const table = memory.read(0, lookup.table.length)
  plan.dispose()
  return { y, table, penalty }
}

function lower({ combiner, table, dim, length, optimizer = sgd, exact = false, l2 = 0 }: Lookup): {
  program: LoweredProgram
  moments: string[]
} {
  const layout = new Layout()
  const embedded = [{ name: 'ids', rows: table.length / dim, dim, length, combiner }]
  const row = inputs(layout, { embedded, dense: [], initializer: 'zeros' })
  const builder = new ProgramBuilder(layout, { training: true })
  const fields = row.forward(new Tape(builder))
  const x = fields.row
  builder.op('copy_columns', { x: x.value, y: builder.rowOutput('y', dim) })
  const { view } = x.target()
  if (view !== null) builder.op('copy_columns', { x: builder.rowInput('upstream', dim), y: view })
  for (const gradient of row.gradients(builder, fields))
    emitTableUpdate(builder, gradient, updateRule(optimizer), { penalty: { l1: 0, l2 }, exact })
  const program = builder.build()
  return { program, moments: Object.keys(program.bindings).filter((name) => name.startsWith('moment')) }
}

describe.each(places)('an embedding on $name', (place) => {
  it.each(goldenCases('embedding'))('$id: lookup, mean and sum', (golden) => {
    const table = golden.f32('in/table')
    const [vocabulary = 0, dim = 0] = golden.shape('in/table')
    const [, bag = 1] = golden.shape('in/bag')
    for (const [name, combiner] of [
      ['lookup', 'none'],
      ['mean', 'mean'],
      ['sum', 'sum'],
    ] as const) {
      const [ids, length] = combiner === 'none' ? [golden.i32('in/ids'), 1] : [golden.i32('in/bag'), bag]
      const result = lookUp(place, { combiner, table, dim, ids, length, upstream: golden.f32(`up/${name}`) })
      expect(relativeError(result.y, golden.f64(`out/${name}`)), `${name} rows`).toBeLessThan(place.tolerance())
      const gradient = Array.from(table, (before, element) => before - (result.table[element] ?? NaN))
      expect(gradient).toHaveLength(vocabulary * dim)
      expect(relativeError(gradient, golden.f64(`g/${name}.table`)), `${name} table`).toBeLessThan(place.tolerance())
    }
  })

  it('sums the gradients of equal ids before an optimizer squares them', () => {
    const batch = { combiner: 'none', dim: 1, length: 1, optimizer: adam, learningRate: 0.5 } as const
    const { table } = lookUp(place, {
      ...batch,
      table: new Float32Array(3),
      ids: Int32Array.of(2, 2, 2),
      upstream: Float32Array.of(1, 1, 1),
    })
    // Squares summed one by one would move it by 0.5 sqrt(3).
    expect(table[2]).toBeCloseTo(-0.5, 5)
  })

  it('moves and penalises touched rows alone, or every row', () => {
    const batch = { combiner: 'none', dim: 1, length: 1, table: Float32Array.of(1, 2, 3), l2: 0.25, learningRate: 1 } as const
    const once = { ids: Int32Array.of(1, 1), upstream: Float32Array.of(0, 0) }
    const lazy = lookUp(place, { ...batch, ...once })
    expect([...Array.from(lazy.table), lazy.penalty]).toEqual([1, 1, 3, 1])
    const exact = lookUp(place, { ...batch, ...once, exact: true })
    expect([...Array.from(exact.table), exact.penalty]).toEqual([0.5, 1, 1.5, 3.5])
  })
})
