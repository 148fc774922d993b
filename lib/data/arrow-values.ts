// Reads values of Arrow's types out of its buffers, with the same results as for Parquet. Dates and times are exact texts in UTC.
// Integers and decimals are numbers; if a float64 cannot hold some of them, all of the column are texts.

import { dateText } from '../core/columns.js'
import type { ScalarValue } from './builder.js'

/** The used part of a type of the package `apache-arrow`. Type numbers are those of Arrow's format. */
export interface ArrowType {
  readonly typeId: number
  readonly bitWidth?: number | undefined
  readonly precision?: number | undefined
  readonly scale?: number | undefined
  readonly unit?: number | undefined
  readonly listSize?: number | undefined
  readonly dictionary?: ArrowType | undefined
  readonly children?: readonly { readonly type: ArrowType }[] | null | undefined
  toString(): string
}

/** A chunk of a column. */
export interface ArrowData {
  readonly length: number
  readonly offset: number
  readonly stride: number
  readonly nullCount: number
  readonly values: ArrayLike<number | bigint>
  readonly valueOffsets: ArrayLike<number | bigint>
  readonly variadicBuffers?: readonly Uint8Array[] | undefined
  readonly children: readonly ArrowData[]
  readonly dictionary?: { readonly data: readonly ArrowData[] } | undefined
  getValid(index: number): boolean
}

export const typeIds = {
  null: 1,
  int: 2,
  float: 3,
  utf8: 5,
  bool: 6,
  decimal: 7,
  date: 8,
  time: 9,
  timestamp: 10,
  list: 12,
  fixedSizeList: 16,
  largeUtf8: 20,
  largeList: 21,
  utf8View: 24,
  dictionary: -1,
} as const

/** Reads a value that is not missing. With `asText`, wide numbers are texts. */
export type Read = (data: ArrowData, index: number, asText: boolean) => ScalarValue

/** The reader of a type. Undefined for a type that is not a number, boolean, text, date or time. */
export function readerOf(type: ArrowType): Read | undefined {
  switch (type.typeId) {
    case typeIds.null:
      return () => null
    case typeIds.int:
      return type.bitWidth === 64 ? readWide : readNumber
    case typeIds.float:
      return type.precision === 0 ? (data, index) => halfFloat(Number(data.values[index])) : readNumber
    case typeIds.bool:
      return ({ values, offset }, index) => ((Number(values[(offset + index) >> 3]) >> ((offset + index) & 7)) & 1) === 1
    case typeIds.utf8:
    case typeIds.largeUtf8:
      return ({ values, valueOffsets }, index) =>
        decoded(values as Uint8Array, Number(valueOffsets[index]), Number(valueOffsets[index + 1]))
    case typeIds.utf8View:
      return readView
    case typeIds.decimal:
      return (data, index, asText) => {
        const text = decimalText(integerOf(data, index), type.scale ?? 0)
        return asText ? text : Number(text)
      }
    case typeIds.date:
      return type.unit === 0
        ? ({ values }, index) => momentText(BigInt(values[index] ?? 0) * 86_400n, 0)
        : ({ values }, index) => momentText(BigInt(values[index] ?? 0), 3)
    case typeIds.timestamp:
      return ({ values }, index) => momentText(BigInt(values[index] ?? 0), 3 * (type.unit ?? 0))
    case typeIds.time:
      return ({ values }, index) => timeText(BigInt(values[index] ?? 0), 3 * (type.unit ?? 0))
    case typeIds.dictionary:
      return type.dictionary === undefined ? undefined : dictionaryReader(type.dictionary)
    default:
      return undefined
  }
}

/** What a column of this type is if it has no values. */
export function kindOf(type: ArrowType): 'number' | 'boolean' | 'string' | 'date' {
  switch (type.typeId) {
    case typeIds.dictionary:
      return type.dictionary === undefined ? 'string' : kindOf(type.dictionary)
    case typeIds.bool:
      return 'boolean'
    case typeIds.date:
    case typeIds.timestamp:
      return 'date'
    case typeIds.utf8:
    case typeIds.largeUtf8:
    case typeIds.utf8View:
    case typeIds.time:
      return 'string'
    default:
      return 'number'
  }
}

/** Whether the type has numbers that a float64 cannot hold. */
export function isWide(type: ArrowType): boolean {
  if (type.typeId === typeIds.dictionary) return type.dictionary !== undefined && isWide(type.dictionary)
  return (type.typeId === typeIds.int && type.bitWidth === 64) || (type.typeId === typeIds.decimal && (type.precision ?? 0) > 15)
}

/** Whether the buffers hold as many values as the chunk declares. */
export function isWhole(type: ArrowType, { length, offset, stride, values, valueOffsets, children }: ArrowData): boolean {
  switch (type.typeId) {
    case typeIds.null:
      return true
    case typeIds.bool:
      return values.length * 8 >= offset + length
    case typeIds.utf8:
    case typeIds.largeUtf8:
    case typeIds.list:
    case typeIds.largeList:
      return length === 0 || valueOffsets.length > length
    case typeIds.fixedSizeList:
      return (children[0]?.length ?? 0) >= length * (type.listSize ?? 1)
    case typeIds.utf8View:
      return values.length >= 16 * length
    default:
      return values.length >= length * stride
  }
}

function readNumber({ values }: ArrowData, index: number): number {
  return values[index] as number
}

function readWide({ values }: ArrowData, index: number, asText: boolean): ScalarValue {
  return asText ? String(values[index]) : Number(values[index])
}

/** Each value of a dictionary is read once. */
function dictionaryReader(type: ArrowType): Read | undefined {
  const read = readerOf(type)
  if (read === undefined) return undefined
  const known = new Map<unknown, ScalarValue[]>()
  return ({ values, dictionary }, index, asText) => {
    let all = known.get(dictionary)
    if (all === undefined) {
      all = []
      for (const data of dictionary?.data ?? []) {
        if (!isWhole(type, data)) throw new Error('expected a whole dictionary, found one that is cut short')
        for (let at = 0; at < data.length; at += 1) all.push(data.getValid(at) ? read(data, at, asText) : null)
      }
      known.set(dictionary, all)
    }
    const code = Number(values[index])
    if (!(code >= 0 && code < all.length))
      throw new Error(`expected a code in [0, ${all.length}), the size of the dictionary, found ${code}`)
    return all[code]
  }
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

function decoded(bytes: Uint8Array, from: number, to: number): string {
  return utf8.decode(bytes.subarray(from, to))
}

/** Each text has sixteen bytes: its length, then the text itself if it is short, else its location. */
function readView({ values, variadicBuffers }: ArrowData, index: number): string {
  const bytes = values as Uint8Array
  const view = new DataView(bytes.buffer, bytes.byteOffset + 16 * index, 16)
  const length = view.getInt32(0, true)
  if (length <= 12) return decoded(bytes, 16 * index + 4, 16 * index + 4 + length)
  const buffer = variadicBuffers?.[view.getInt32(8, true)]
  if (buffer === undefined) throw new Error('expected a buffer for each long text, found none')
  const from = view.getInt32(12, true)
  return decoded(buffer, from, from + length)
}

function halfFloat(bits: number): number {
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  const sign = bits & 0x8000 ? -1 : 1
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}

/** An integer of several 32-bit words, the lowest first. */
function integerOf({ values, stride }: ArrowData, index: number): bigint {
  let all = 0n
  for (let word = stride - 1; word >= 0; word -= 1) all = (all << 32n) | BigInt(values[stride * index + word] ?? 0)
  return BigInt.asIntN(32 * stride, all)
}

function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale))
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** Splits a count of 10^-digits seconds since 1970 into whole seconds and a fraction of `digits` digits. */
function partsOf(count: bigint, digits: number): { readonly seconds: bigint; readonly fraction: string } {
  const parts = 10n ** BigInt(digits)
  const fraction = ((count % parts) + parts) % parts
  return { seconds: (count - fraction) / parts, fraction: digits === 0 ? '' : String(fraction).padStart(digits, '0') }
}

function momentText(count: bigint, digits: number): string {
  const { seconds, fraction } = partsOf(count, digits)
  const moment = new Date(Number(seconds) * 1000)
  if (Number.isNaN(moment.getTime()))
    throw new Error(`expected a date that JavaScript can hold, found ${seconds} seconds from 1970`)
  const text = moment.toISOString().replace(/^\+0*/, '').replace(/\..*$/, '')
  const exact = dateText(fraction === '' ? text : `${text}.${fraction}`)
  if (exact === undefined) throw new Error(`expected a date from the year 0 on, found the year ${moment.getUTCFullYear()}`)
  return exact
}

function timeText(count: bigint, digits: number): string {
  const { seconds, fraction } = partsOf(count, digits)
  if (seconds < 0n || seconds > 86_400n) throw new Error(`expected a time of day, found ${seconds} seconds after midnight`)
  const two = (part: bigint): string => String(part).padStart(2, '0')
  const whole = `${two(seconds / 3600n)}:${two((seconds / 60n) % 60n)}:${two(seconds % 60n)}`
  const rest = fraction.replace(/0+$/, '')
  return rest === '' ? whole : `${whole}.${rest}`
}
