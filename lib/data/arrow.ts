// Columns of an Apache Arrow table, or of its IPC bytes (a stream or a file, also known as Feather). The package is optional
// and loaded for bytes only: a table brings its own.

import { invalidArgument, quote } from '../core/check.js'
import type { Column } from '../core/columns.js'
import { DataError, MissingPackageError } from '../core/errors.js'
import { ColumnBuilder, type Value } from './builder.js'
import { type NumberArray, numbersOf } from './values.js'

/** What is read of a table; `Table` of the package `apache-arrow` is one. */
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
const numbers = /^(Bool|Int(8|16|32|64)|Uint(8|16|32|64)|Float(16|32|64))$/
const texts = /^(Utf8|LargeUtf8|Dictionary<.*, (Large)?Utf8>)$/
const lists = /^(List|FixedSizeList\[\d+\])<(.*)>$/

/** The columns of a table. @throws ERR_MULTIGATE_DATA naming the column whose type is neither number, text nor list. */
export async function readArrow(source: ArrowTable | Uint8Array): Promise<Map<string, Column>> {
  const table = source instanceof Uint8Array ? await tableOf(source) : source
  if (typeof table?.getChild !== 'function' || !Array.isArray(table.schema?.fields))
    throw invalidArgument('source', "a table of apache-arrow, or Arrow's IPC bytes", source)
  const names = table.schema.fields.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new DataError(`two columns are named ${quote(twice)}`, { column: twice })
  return new Map(table.schema.fields.map(({ name, type }) => [name, columnOf(table, name, type.toString())]))
}

async function tableOf(bytes: Uint8Array): Promise<ArrowTable> {
  const { tableFromIPC } = await import('apache-arrow').catch((cause: unknown) => {
    throw new MissingPackageError(packageName, 'reading Arrow', { cause })
  })
  try {
    return tableFromIPC(bytes) as unknown as ArrowTable
  } catch (cause) {
    throw new DataError(
      `expected Arrow's IPC format, found something else: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        cause,
      },
    )
  }
}

function columnOf(table: ArrowTable, name: string, type: string): Column {
  const vector = table.getChild(name)
  const item = lists.exec(type)?.[2]?.replace(/^.*?: /, '')
  if (vector === null || !(numbers.test(item ?? type) || texts.test(item ?? type))) {
    throw new DataError(
      `column ${quote(name)}: expected numbers, text or lists of them, found ${type}; leave it out with table.select([...]), or cast it`,
      { column: name },
    )
  }
  const whole = vector.nullCount === 0 && /^(Int(8|16|32)|Uint(8|16|32)|Float(32|64))$/.test(type) ? vector.toArray() : undefined
  if (ArrayBuffer.isView(whole)) return { kind: 'number', values: numbersOf(name, whole as NumberArray) }
  const builder = new ColumnBuilder(name)
  for (const value of vector)
    builder.append((item !== undefined && value !== null ? [...(value as Iterable<unknown>)] : value) as Value)
  return builder.finish()
}
