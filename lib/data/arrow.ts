// Columns of an Apache Arrow table or of Arrow's IPC bytes (a stream, or a file, also known as Feather). The package is optional. It
// is loaded for bytes only: the buffers of a table are read without it.

import { isTypedArray } from '../core/arrays.js'
import { guarded, invalidArgument, quote, unreadable } from '../core/check.js'
import { type Column, type NumberValues, narrowing, type ScalarColumn } from '../core/columns.js'
import { DataError, MissingPackageError, messageOf } from '../core/errors.js'
import { mostRows } from '../core/limits.js'
import { allocate } from '../core/memory.js'
import { inSlices, type Sliced, sliceValues } from '../core/slices.js'
import { type ArrowData, type ArrowType, isWhole, isWide, kindOf, type Read, readerOf, typeIds } from './arrow-values.js'
import { ColumnBuilder, type ScalarValue } from './builder.js'

/** The used part of a table. `Table` of the package `apache-arrow` fits. */
export interface ArrowTable {
  readonly schema: { readonly fields: readonly { readonly name: string; readonly type: { toString(): string } }[] }
  readonly numRows: number
  getChild(name: string): ArrowVector | null
}

export interface ArrowVector extends Iterable<unknown> {
  readonly nullCount: number
  toArray(): unknown
}

const packageName = 'apache-arrow'
/** Values that are read one by one between two checks of the clock. */
const valuesBetween = 2 ** 10
/** From here on, float64 does not hold every integer: two ids could become one. */
const exactIntegers = 2 ** 53

/** The columns of a table. @throws as `Dataset.fromArrow` says. */
export async function readArrow(source: ArrowTable | Uint8Array): Promise<Map<string, Column>> {
  const table = isTypedArray(source, 'Uint8Array') ? await tableOf(source) : source
  const fields = guarded('source', undefined, () => {
    if (typeof table?.getChild !== 'function' || !Array.isArray(table.schema?.fields))
      throw invalidArgument('source', "a table of apache-arrow, or Arrow's IPC bytes", source)
    return table.schema.fields.map(({ name, type }) => ({ name: String(name), type: type as ArrowType }))
  })
  const columns = new Map<string, Column>()
  for (const { name, type } of fields) {
    if (columns.has(name))
      throw new DataError(`column ${quote(name)}: expected each name once, found two columns of it; rename one`, { column: name })
    try {
      columns.set(name, await inSlices(readColumn(name, type, table.getChild(name))))
    } catch (cause) {
      throw unreadable(`column ${quote(name)}`, { column: name }, cause)
    }
  }
  return columns
}

async function tableOf(bytes: Uint8Array): Promise<ArrowTable> {
  const { tableFromIPC } = await import(
    /* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ 'apache-arrow'
  ).catch((cause: unknown) => {
    throw new MissingPackageError(packageName, 'reading Arrow', { cause })
  })
  try {
    return tableFromIPC(bytes) as unknown as ArrowTable
  } catch (cause) {
    throw new DataError(`source: expected Arrow's IPC format, found other bytes: ${messageOf(cause)}`, { cause })
  }
}

function* readColumn(name: string, type: ArrowType, vector: unknown): Sliced<Column> {
  const chunks = (vector as { readonly data?: readonly ArrowData[] } | null)?.data
  const isList = listTypes.has(type.typeId)
  const itemType = isList ? type.children?.[0]?.type : type
  const read = itemType && readerOf(itemType)
  if (!Array.isArray(chunks) || itemType === undefined || read === undefined) {
    throw new DataError(
      `column ${quote(name)}: expected numbers, booleans, text, dates or lists of them, found ${type}; leave it out with table.select([...]) or cast it`,
      { column: name },
    )
  }
  checkChunks(name, type, itemType, chunks)
  if (!isList && isPlain(type)) return { kind: 'number', values: yield* readPlain(name, type, chunks) }
  const asText = isWide(itemType) && !(yield* areExact(itemType, read, type, chunks))
  const builder = new ColumnBuilder(name)
  let values = 0
  for (const chunk of chunks) {
    for (let row = 0; row < chunk.length; row += 1) {
      if (isList) builder.append(listAt(chunk, row, type, itemType, read, asText))
      else builder.append(chunk.getValid(row) ? read(chunk, row, asText) : null)
      if ((values += 1) % valuesBetween === 0) yield
    }
  }
  const column = yield* builder.finishing()
  const kind = asText ? 'string' : kindOf(itemType)
  return column.kind === 'list' ? { ...column, items: standingFor(column.items, kind) } : standingFor(column, kind)
}

const listTypes = new Set<number>([typeIds.list, typeIds.largeList, typeIds.fixedSizeList])

function checkChunks(name: string, type: ArrowType, itemType: ArrowType, chunks: readonly ArrowData[]): void {
  const rows = chunks.reduce((sum, { length }) => sum + length, 0)
  if (!(rows <= mostRows)) {
    throw new DataError(`column ${quote(name)}: expected at most ${mostRows} rows, found ${rows}`, { column: name })
  }
  const whole = (chunk: ArrowData): boolean =>
    isWhole(type, chunk) && (type === itemType || chunk.length === 0 || isWhole(itemType, chunk.children[0] as ArrowData))
  if (chunks.every(whole)) return
  throw new DataError(
    `column ${quote(name)}: expected as many values as there are rows, found buffers that are cut short; write the table again`,
    {
      column: name,
    },
  )
}

/** Whether the values are copied in bulk: integers of at most 32 bits, or floats. */
function isPlain({ typeId, bitWidth, precision }: ArrowType): boolean {
  return (typeId === typeIds.int && bitWidth !== 64) || (typeId === typeIds.float && precision !== 0)
}

function* readPlain(name: string, type: ArrowType, chunks: readonly ArrowData[]): Sliced<NumberValues> {
  const rows = chunks.reduce((sum, { length }) => sum + length, 0)
  const single = type.typeId === typeIds.float && type.precision === 1
  const what = `column ${quote(name)}`
  const all: Float32Array | Float64Array = single ? allocate(what, Float32Array, rows) : allocate(what, Float64Array, rows)
  let start = 0
  for (const chunk of chunks) {
    const values = chunk.values as Float64Array
    for (let from = 0; from < chunk.length; from += sliceValues) {
      const to = Math.min(chunk.length, from + sliceValues)
      all.set(values.subarray(from, to), start + from)
      if (chunk.nullCount > 0) for (let row = from; row < to; row += 1) if (!chunk.getValid(row)) all[start + row] = NaN
      yield
    }
    start += chunk.length
  }
  return isTypedArray(all, 'Float64Array') ? yield* narrowing(all, what) : all
}

/** The items of a row. A missing list has none. */
function listAt(
  chunk: ArrowData,
  row: number,
  type: ArrowType,
  itemType: ArrowType,
  read: Read,
  asText: boolean,
): ArrayLike<ScalarValue> {
  const items = chunk.children[0]
  if (items === undefined || !chunk.getValid(row)) return []
  const [from, to] = boundsOf(chunk, row, type)
  if (!(from >= 0 && from <= to && to <= items.length))
    throw new Error(`row ${row}: expected items in [0, ${items.length}], found ${from} to ${to}`)
  if (isPlain(itemType) && items.nullCount === 0) return (items.values as Float64Array).subarray(from, to)
  return Array.from({ length: to - from }, (_, at) => (items.getValid(from + at) ? read(items, from + at, asText) : null))
}

function boundsOf({ valueOffsets }: ArrowData, row: number, { typeId, listSize = 1 }: ArrowType): [number, number] {
  if (typeId === typeIds.fixedSizeList) return [row * listSize, (row + 1) * listSize]
  return [Number(valueOffsets[row]), Number(valueOffsets[row + 1])]
}

/** Whether a float64 holds all numbers exactly. */
function* areExact(itemType: ArrowType, read: Read, type: ArrowType, chunks: readonly ArrowData[]): Sliced<boolean> {
  let values = 0
  for (const chunk of chunks) {
    for (let row = 0; row < chunk.length; row += 1) {
      const items =
        type === itemType
          ? [chunk.getValid(row) ? read(chunk, row, false) : null]
          : listAt(chunk, row, type, itemType, read, false)
      for (let at = 0; at < items.length; at += 1) if (Math.abs(Number(items[at] ?? 0)) >= exactIntegers) return false
      if ((values += 1) % valuesBetween === 0) yield
    }
  }
  return true
}

/** A column with the kind of its type, even if it has no values. */
function standingFor(column: ScalarColumn, kind: ReturnType<typeof kindOf>): ScalarColumn {
  if (kind === 'number') return column
  if (kind === 'boolean') return { kind: 'number', type: 'boolean', values: (column as { readonly values: NumberValues }).values }
  const text = column.kind === 'string' ? column : { dictionary: [], codes: new Int32Array(column.values.length).fill(-1) }
  return { kind: 'string', ...(kind === 'date' && { type: 'date' }), dictionary: text.dictionary, codes: text.codes }
}
