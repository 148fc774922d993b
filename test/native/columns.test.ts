// Columns of a data set, written part by part: what a run reads of them, and what a part is refused for.
import { describe, expect, it } from 'vitest'

import type { ColumnSpec, NativeColumns } from '../../lib/native/binding.js'
import { anything, binding, densePlan, expectCode } from './programs.js'

const three: readonly ColumnSpec[] = [
  { type: 'f32', width: 3, limit: 0 },
  { type: 'i32', width: 2, limit: 7 },
]

/** The floats of column 0, [rows, 3], as a program reads them: y = x kernel + bias gives back sums that name all three. */
function rowsOf(columns: NativeColumns): number[] {
  const { plan } = densePlan('cpu')
  const outputs = [new Float32Array(2 * columns.rows)]
  plan.run({ rows: columns.rows, columns, columnOf: [0], outputs, scalars: new Float64Array(0), threads: 1 })
  plan.dispose()
  return [...(outputs[0] ?? [])].map((value, index) => value - (index % 2 === 0 ? 10 : 20))
}

/** What rowsOf gives for rows [a, b, c]. */
const sums = (rows: readonly (readonly [number, number, number])[]): number[] =>
  rows.flatMap(([a, b, c]) => [a + 3 * b + 5 * c, 2 * a + 4 * b + 6 * c])

describe('columns written part by part', () => {
  it('are zero at first, and what was written where it was', () => {
    const columns = binding.createColumns(three, 4)
    expect(rowsOf(columns)).toEqual(
      sums([
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 0],
      ]),
    )
    columns.write(2, [new Float32Array([1, 2, 3, 4, 5, 6]), new Int32Array([0, 6, 1, 2])])
    columns.write(1, [new Float32Array([7, 8, 9]), new Int32Array([3, 3])])
    columns.write(4, [new Float32Array(0), new Int32Array(0)])
    const want = sums([
      [0, 0, 0],
      [7, 8, 9],
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(rowsOf(columns)).toEqual(want)
    columns.write(3, [new Float32Array([1, 1, 1]), new Int32Array([0, 0])])
    expect(rowsOf(columns)).toEqual([...want.slice(0, 6), 9, 12])
    columns.dispose()
  })

  it('take views, and the same array for several columns', () => {
    const columns = binding.createColumns([three[0], three[0]] as ColumnSpec[], 2)
    const view = new Float32Array([9, 1, 2, 3, 4, 5, 6, 9]).subarray(1, 7)
    columns.write(0, [view, view])
    expect(rowsOf(columns)).toEqual(
      sums([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    )
    columns.dispose()
  })

  it('name the row of all that has a wrong id, in rows of any width', () => {
    for (const width of [1, 300, 2 ** 14, 2 ** 14 + 1, 100_000]) {
      const columns = binding.createColumns([{ type: 'i32', width, limit: 7 }], 600)
      for (const place of [0, width - 1]) {
        for (const [id, row] of [
          [7, 0],
          [-1, 1],
          [2 ** 31 - 1, 2],
        ] as const) {
          const ids = new Int32Array(3 * width)
          ids[row * width + place] = id
          expectCode(
            () => columns.write(500, [ids]),
            'ARGUMENT',
            `column 0, row ${500 + row}: id is ${id}, expected an id in [0, 7)`,
          )
        }
      }
      columns.write(597, [new Int32Array(3 * width).fill(6)])
      columns.dispose()
    }
  })

  it('give rows wider than what is copied at once, whole', () => {
    const width = 40_000
    const columns = binding.createColumns([{ type: 'f32', width, limit: 0 }], 3)
    const plan = binding.compile(
      'cpu',
      {
        buffers: [
          { class: 'rowInput', dtype: 'f32', width, count: 0 },
          { class: 'rowOutput', dtype: 'f32', width, count: 0 },
        ],
        ops: [{ op: 'copy_columns', x: { buffer: 0, offset: 0, width }, y: { buffer: 1, offset: 0, width } }],
        scalarInputs: 0,
        scalarOutputs: 0,
        denominators: [],
      },
      {},
    )
    const values = Float32Array.from({ length: 2 * width }, (_, index) => index)
    columns.write(1, [values])
    const output = new Float32Array(2 * width)
    plan.run({ rows: 2, start: 1, columns, columnOf: [0], outputs: [output], scalars: new Float64Array(0), threads: 1 })
    expect(output).toEqual(values)
    plan.dispose()
    columns.dispose()
  })

  it('refuse parts that do not fit', () => {
    const columns = binding.createColumns(three, 4)
    const floats = new Float32Array(6)
    const ids = new Int32Array(4)
    const refused = (start: unknown, data: unknown, ...texts: string[]) => {
      expectCode(() => columns.write(anything(start), anything(data)), 'ARGUMENT', ...texts)
    }
    refused(3, [floats, ids], 'start', '3', '2', '4')
    refused(-1, [floats, ids], 'start', '-1')
    refused(2 ** 53 - 1, [floats, ids], 'start')
    refused(0.5, [floats, ids], 'start', '0.5')
    refused(0, null, 'data', 'null')
    refused(0, [floats], 'data', '1', '2')
    refused(0, [floats, ids, ids], 'data', '3', '2')
    refused(0, [floats.subarray(1), ids], 'data[0]', '5', '3')
    refused(0, [floats, ids.subarray(1)], 'data[1]', '3', '4')
    refused(0, [ids, ids], 'data[0]', 'Int32Array', 'Float32Array')
    refused(0, [floats, floats], 'data[1]', 'Float32Array', 'Int32Array')
    refused(0, [[1, 2, 3], ids], 'data[0]', 'Float32Array')
    const gone = new Float32Array(6)
    structuredClone(gone.buffer, { transfer: [gone.buffer] })
    refused(0, [gone, ids], 'data[0]', 'detached')
    columns.dispose()
  })

  it('are not written while a run reads them', async () => {
    const { plan } = densePlan('cpu')
    const columns = binding.createColumns([three[0]] as ColumnSpec[], 2)
    const request = { rows: 2, columns, columnOf: [0], outputs: [new Float32Array(4)], scalars: new Float64Array(0), threads: 1 }
    const running = plan.runAsync(request)
    expectCode(() => columns.write(0, [new Float32Array(6)]), 'BUSY', 'columns')
    await running
    columns.write(0, [new Float32Array(6)])
    columns.dispose()
  })

  it('are refused before they are allocated where no memory holds them', () => {
    const wide: ColumnSpec = { type: 'i32', width: 2 ** 24, limit: 1 }
    expectCode(() => binding.createColumns([wide], 2 ** 20), 'OUT_OF_MEMORY', '64.0 TiB')
    // More bytes than 64 bits can count.
    expectCode(() => binding.createColumns(Array<ColumnSpec>(2 ** 16).fill(wide), 2 ** 31 - 1), 'OUT_OF_MEMORY', 'EiB')
  })
})
