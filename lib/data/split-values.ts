// Splits by the values of a column, and by cuts in time. The values of the parts become sorted intervals, in which each row's value, or
// each distinct text, is looked up.

import { describeValue, invalidArgument, quote, wrongArgument } from '../core/check.js'
import { dateText, type NumberColumn, type ScalarColumn, type StringColumn, valueTypeOf } from '../core/columns.js'
import { nearest } from '../core/did-you-mean.js'
import { DataError } from '../core/errors.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import type { ColumnSplit, Part, SplitRange, SplitValue, SplitValues, TimeSplit } from './split.js'

/** The number of each part in a list of parts. 0 is no part. */
export const partNumbers: Readonly<Record<Part, number>> = { train: 1, validation: 2, test: 3 }

/** A value in the order of its column: a number, a text, or a date as `dateKey` writes it. */
type Key = number | string

interface Interval {
  readonly part: Part
  readonly from: Key
  /** Inclusive. Undefined: up to the next interval. */
  readonly to: Key | undefined
  /** The first value as it was given. */
  readonly given: SplitValue | undefined
}

/** How the given values of a column become keys. */
interface Scale {
  readonly column: string
  readonly lowest: Key
  readonly highest: Key
  /** The keys of a value: a day has all its moments. @throws ERR_MULTIGATE_ARGUMENT for a value of another type. */
  keysOf(field: string, value: Exclude<SplitValue, null>): readonly [from: Key, to: Key]
}

/** After every text and every date. */
const highestText = '\u{10ffff}'.repeat(4)

/** Dates in the order of time. Years have four to six digits. */
export function dateKey(date: string): string {
  return date.padStart(date.length + 6 - date.indexOf('-'), '0')
}

function scaleOf(name: string, column: ScalarColumn, isDate: boolean): Scale {
  const refuse = (field: string, expected: string, found: unknown): Error =>
    invalidArgument(field, `${expected}, as column ${quote(name)} has`, found)
  if (column.kind === 'number') {
    const isBoolean = valueTypeOf(column) === 'boolean'
    const keysOf: Scale['keysOf'] = (field, value) => {
      if (typeof value !== (isBoolean ? 'boolean' : 'number'))
        throw refuse(field, isBoolean ? 'true or false' : 'a number', value)
      const number = Number(value) + 0
      return [number, number]
    }
    return { column: name, lowest: -Infinity, highest: Infinity, keysOf }
  }
  const keysOf: Scale['keysOf'] = (field, value) => {
    if (!isDate) {
      if (typeof value !== 'string') throw refuse(field, 'a text', value)
      return [value, value]
    }
    const date = typeof value === 'string' ? dateText(value) : undefined
    if (date === undefined) throw refuse(field, 'a date in UTC, such as "2021-05-14"', value)
    const key = dateKey(date)
    return [key, (value as string).includes(':') ? key : key + highestText]
  }
  return { column: name, lowest: '', highest: highestText, keysOf }
}

/** Writes the part of each row by the values of a column. `some`: every part must have rows. */
export function* byColumn(
  parts: Uint8Array,
  [name, column]: readonly [string, ScalarColumn],
  split: ColumnSplit,
  { some }: { readonly some: boolean },
): Sliced<void> {
  const given = (Object.keys(partNumbers) as Part[]).flatMap((part) => {
    const values = split[part]
    return values === undefined ? [] : [[part, values] as const]
  })
  const isDate = column.kind === 'string' && (column.type === 'date' || given.every(([, values]) => areDates(values)))
  const scale = scaleOf(name, column, isDate)
  const intervals = given.flatMap(([part, values]) => intervalsOf(scale, part, values))
  const missing = given.filter(([, values]) => hasNull(values)).map(([part]) => part)
  const [, second] = missing
  if (second !== undefined) throw overlap(second, missing[0] as Part, null)
  const others = split.train === undefined ? partNumbers.train : 0
  const ofMissing = missing[0] === undefined ? others : partNumbers[missing[0]]
  yield* assign(parts, column, new Intervals(merged(intervals), others, ofMissing), isDate ? dateOrNothing : undefined)
  if (!some) return
  yield* checkParts(parts, scale, column, isDate, intervals, [
    ...(split.train === undefined ? (['train'] as const) : []),
    ...given.map(([part]) => part),
  ])
}

/** Writes the part of each row by cuts in time. `some`: every part must have rows. */
export function* byTimeRanges(
  parts: Uint8Array,
  [name, column]: readonly [string, ScalarColumn],
  split: TimeSplit,
  { some }: { readonly some: boolean },
): Sliced<void> {
  const isDate = column.kind === 'string'
  const scale = scaleOf(name, column, isDate)
  const ranges = [
    ['train', split.train ?? {}],
    ...(['validation', 'test'] as const).flatMap((part) => {
      const range = split[part]
      return typeof range === 'object' ? [[part, range] as const] : []
    }),
  ] as [Part, SplitRange][]
  const intervals = ranges.map(([part, range]): Interval => {
    if (range.from === undefined && part !== 'train') {
      throw wrongArgument(`split.${part}.from`, `expected the time at which ${part} begins, found nothing`)
    }
    const { from, to } = rangeOf(scale, part, range)
    return { part, from, to: range.to === undefined ? undefined : to, given: range.from }
  })
  intervals.forEach(({ part, from, to }, index) => {
    const next = intervals[index + 1]
    if (next === undefined || (from < next.from && (to === undefined || to < next.from))) return
    const field = `split.${next.part}.from`
    throw wrongArgument(
      field,
      `expected a time after all of ${part}, found ${describeValue(next.given)}; ${from < next.from ? `end ${part} earlier` : 'train, validation and test follow in time'}`,
    )
  })
  const date = (text: string, code: number): string => {
    const found = dateText(text)
    if (found !== undefined) return dateKey(found)
    throw notATime(name, text, (column as StringColumn).codes.indexOf(code))
  }
  yield* assign(parts, column, new Intervals(intervals, 0, 0), isDate ? date : undefined)
  if (!some) return
  yield* checkParts(
    parts,
    scale,
    column,
    isDate,
    intervals,
    ranges.map(([part]) => part),
  )
}

/** A text of a time column that is no time. */
export function notATime(column: string, value: string, row: number): DataError {
  return new DataError(
    `column ${quote(column)}, row ${row}: expected a time in UTC, such as "2021-05-14" or "2021-05-14 08:30:00", found ${quote(value)}; write all times in this form, or as numbers`,
    { column, row, value },
  )
}

function dateOrNothing(text: string): string | undefined {
  const date = dateText(text)
  return date === undefined ? undefined : dateKey(date)
}

function isList(values: SplitValues): values is readonly [number | string, number | string] {
  return Array.isArray(values)
}

/** All values that a part names, without missing ones. */
function namedIn(values: SplitValues): readonly Exclude<SplitValue, null>[] {
  const all = isList(values)
    ? values
    : typeof values !== 'object' || values === null
      ? [values]
      : 'values' in values
        ? values.values
        : [values.from, values.to]
  return all.filter((value) => value !== null && value !== undefined)
}

function hasNull(values: SplitValues): boolean {
  // A list has a method of that name.
  if (typeof values !== 'object' || values === null || isList(values)) return values === null
  return 'values' in values && values.values.includes(null)
}

function areDates(values: SplitValues): boolean {
  return namedIn(values).every((value) => typeof value === 'string' && dateText(value) !== undefined)
}

function intervalsOf(scale: Scale, part: Part, values: SplitValues): Interval[] {
  const field = `split.${part}`
  const one = (value: SplitValue, field: string): Interval[] => {
    if (value === null) return []
    const [from, to] = scale.keysOf(field, value)
    return [{ part, from, to, given: value }]
  }
  if (isList(values)) return [rangeOf(scale, part, { from: values[0], to: values[1] }, ['[0]', '[1]'])]
  if (typeof values !== 'object' || values === null) return one(values, field)
  if ('values' in values) return values.values.flatMap((value, index) => one(value, `${field}.values[${index}]`))
  return [rangeOf(scale, part, values)]
}

function rangeOf(scale: Scale, part: Part, { from, to }: SplitRange, ends = ['.from', '.to']): Interval {
  const field = `split.${part}`
  const low = from === undefined ? scale.lowest : scale.keysOf(`${field}${ends[0]}`, from)[0]
  const high = to === undefined ? scale.highest : scale.keysOf(`${field}${ends[1]}`, to)[1]
  if (low <= high) return { part, from: low, to: high, given: from ?? to }
  throw wrongArgument(`${field}${ends[1]}`, `expected a value of at least ${describeValue(from)}, found ${describeValue(to)}`)
}

function overlap(part: Part, other: Part, value: unknown): Error {
  const found = value === null ? 'missing values' : describeValue(value)
  return wrongArgument(
    `split.${part}`,
    `expected values that are in no other part, found ${found} in ${other} too; leave it out of one`,
  )
}

/** Sorted intervals of which no two meet in a value, as one if they are of the same part. @throws naming a value in two parts. */
function merged(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((one, other) => (one.from < other.from ? -1 : one.from > other.from ? 1 : 0))
  const kept: Interval[] = []
  for (const next of sorted) {
    const last = kept.at(-1)
    if (last?.to === undefined || last.to < next.from) kept.push(next)
    else if (last.part !== next.part) {
      const [later, earlier] = partNumbers[last.part] < partNumbers[next.part] ? [next, last] : [last, next]
      throw overlap(later.part, earlier.part, next.given)
    } else if (next.to !== undefined && last.to < next.to) kept[kept.length - 1] = { ...last, to: next.to }
  }
  return kept
}

/** Looks up values in sorted intervals. */
class Intervals {
  readonly #from: readonly Key[]
  readonly #to: readonly (Key | undefined)[]
  readonly #parts: readonly number[]
  /** The part of values in no interval, and of missing ones. */
  readonly others: number
  readonly missing: number

  constructor(sorted: readonly Interval[], others: number, missing: number) {
    this.#from = sorted.map(({ from }) => from)
    this.#to = sorted.map(({ to }) => to)
    this.#parts = sorted.map(({ part }) => partNumbers[part])
    this.others = others
    this.missing = missing
  }

  partOf(key: Key): number {
    const from = this.#from
    let [low, high] = [0, from.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((from[middle] as Key) <= key) low = middle + 1
      else high = middle
    }
    if (low === 0) return this.others
    const to = this.#to[low - 1]
    return to === undefined || key <= to ? (this.#parts[low - 1] as number) : this.others
  }
}

/** @param keyOf for texts: the key of a text; undefined if it is in no interval. Default: the text. */
function* assign(
  parts: Uint8Array,
  column: ScalarColumn,
  intervals: Intervals,
  keyOf: (text: string, code: number) => string | undefined = (text) => text,
): Sliced<void> {
  if (column.kind === 'number') return yield* assignNumbers(parts, column, intervals)
  const { dictionary, codes } = column
  const there = yield* codesIn(column)
  const ofCode = new Uint8Array(dictionary.length)
  yield* inBlocks(
    0,
    dictionary.length,
    (start, end) => {
      for (let code = start; code < end; code += 1) {
        if (there[code] === 0) continue
        const key = keyOf(dictionary[code] as string, code)
        ofCode[code] = key === undefined ? intervals.others : intervals.partOf(key)
      }
    },
    2 ** 13,
  )
  const { missing } = intervals
  yield* inBlocks(0, codes.length, (start, end) => {
    for (let row = start; row < end; row += 1) parts[row] = ofCode[codes[row] as number] ?? missing
  })
}

function* assignNumbers(parts: Uint8Array, { values }: NumberColumn, intervals: Intervals): Sliced<void> {
  const { missing } = intervals
  yield* inBlocks(0, values.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const value = values[row] as number
      parts[row] = Number.isNaN(value) ? missing : intervals.partOf(value)
    }
  })
}

/** Which texts of the dictionary occur: 1 for those. */
export function* codesIn({ dictionary, codes }: StringColumn): Sliced<Uint8Array> {
  const there = new Uint8Array(dictionary.length)
  yield* inBlocks(0, codes.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const code = codes[row] as number
      if (code >= 0) there[code] = 1
    }
  })
  return there
}

/** @throws ERR_MULTIGATE_ARGUMENT naming a part without rows, and the values that are nearest to its own. */
function* checkParts(
  parts: Uint8Array,
  scale: Scale,
  column: ScalarColumn,
  isDate: boolean,
  intervals: readonly Interval[],
  named: readonly Part[],
): Sliced<void> {
  const there = yield* partsThere(parts)
  const part = named.find((one) => there[partNumbers[one]] === 0)
  if (part === undefined) return
  const wanted = intervals.find((interval) => interval.part === part)
  const found = yield* nearestTo(wanted, column, isDate)
  const those =
    wanted === undefined
      ? `values of ${quote(scale.column)} in no other part`
      : `values of ${quote(scale.column)} as given${wanted.given === undefined ? '' : ` (${describeValue(wanted.given)})`}`
  const near = found.length === 0 ? 'no values at all' : `none; the nearest are ${found.map(describeValue).join(' and ')}`
  throw wrongArgument(`split.${part}`, `expected rows with ${those}, found ${near}`)
}

/** Which parts have rows, by their numbers: 1 for those. */
export function* partsThere(parts: Uint8Array): Sliced<Uint8Array> {
  const there = new Uint8Array(4)
  yield* inBlocks(0, parts.length, (start, end) => {
    for (let row = start; row < end; row += 1) there[parts[row] as number] = 1
  })
  return there
}

/** The values below and above an interval; the most similar texts. */
function* nearestTo(wanted: Interval | undefined, column: ScalarColumn, isDate: boolean): Sliced<SplitValue[]> {
  let [below, above]: [Key | undefined, Key | undefined] = [undefined, undefined]
  const look = (key: Key): void => {
    if (wanted === undefined || key < wanted.from) below = below === undefined || key > below ? key : below
    else above = above === undefined || key < above ? key : above
  }
  if (column.kind === 'number') {
    const { values } = column
    yield* inBlocks(0, values.length, (start, end) => {
      for (let row = start; row < end; row += 1) if (!Number.isNaN(values[row])) look(values[row] as number)
    })
    const isBoolean = valueTypeOf(column) === 'boolean'
    return [below, above].flatMap((key) => (key === undefined ? [] : [isBoolean ? key === 1 : key]))
  }
  const there = yield* codesIn(column)
  const texts = column.dictionary.filter((_, code) => there[code] === 1)
  if (!isDate) return nearest(String(wanted?.given ?? ''), texts)
  for (const text of texts) {
    const key = dateOrNothing(text)
    if (key !== undefined) look(key)
  }
  return [below, above].flatMap((key: Key | undefined) =>
    key === undefined ? [] : [(key as string).replace(/^0{1,2}(?=\d{4})/, '')],
  )
}
