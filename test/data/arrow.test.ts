import { Field, Float64, List, tableFromArrays, tableToIPC, Utf8, vectorFromArray } from 'apache-arrow'
import { expect, it } from 'vitest'

import { rowValue } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'

const values = (data: Dataset, name: string): unknown[] =>
  Array.from({ length: data.rows }, (_, row) => rowValue(data.column(name), row))

const table = tableFromArrays({
  f64: Float64Array.of(1.5, 2, 3),
  i32: Int32Array.of(1, -2, 3),
  i64: BigInt64Array.of(1n, 2n, 3n),
  text: ['a', 'b', 'a'],
})
const more = table.assign(
  tableFromArrays({
    holes: vectorFromArray([1, null, 3]) as never,
    flag: vectorFromArray([true, false, null]) as never,
    tags: vectorFromArray([['x', 'y'], [], ['z']], new List(new Field('item', new Utf8()))) as never,
    ids: vectorFromArray([[1, 2], [3], []], new List(new Field('item', new Float64()))) as never,
  }),
)

it.each([
  ['a table', () => more],
  ['a stream', () => tableToIPC(more, 'stream')],
  ['a file', () => tableToIPC(more, 'file')],
])('fromArrow reads %s', async (_, make) => {
  const data = await Dataset.fromArrow(make() as Uint8Array)
  expect(data.columnNames).toEqual(['f64', 'i32', 'i64', 'text', 'holes', 'flag', 'tags', 'ids'])
  expect(values(data, 'f64')).toEqual([1.5, 2, 3])
  expect(values(data, 'i32')).toEqual([1, -2, 3])
  expect(values(data, 'i64')).toEqual([1, 2, 3])
  expect(values(data, 'text')).toEqual(['a', 'b', 'a'])
  expect(values(data, 'holes')).toEqual([1, null, 3])
  expect(values(data, 'flag')).toEqual([1, 0, null])
  expect(values(data, 'tags')).toEqual([['x', 'y'], [], ['z']])
  expect(values(data, 'ids')).toEqual([[1, 2], [3], []])
})

it('names a column that is none of these, and bytes that are no Arrow', async () => {
  const dates = tableFromArrays({ when: vectorFromArray([new Date(0)]) as never })
  await expect(Dataset.fromArrow(dates as never)).rejects.toThrow('column "when": expected numbers, text or lists of them, found')
  await expect(Dataset.fromArrow(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DATA' })
})

it('refuses two columns of one name', async () => {
  const [one, two] = [tableFromArrays({ a: Int32Array.of(1) }), tableFromArrays({ a: Int32Array.of(2) })]
  const both = { schema: { fields: [...one.schema.fields, ...two.schema.fields] }, numRows: 1, getChild: () => one.getChild('a') }
  await expect(Dataset.fromArrow(both as never)).rejects.toThrow('two columns are named "a"')
})
