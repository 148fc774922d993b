// Splits by shares of the rows: in the order of time, by a hash of key columns, or stratified. What is cut is always sorted by something
// that a row has in itself, and rows that are equal in it stay together. So no part depends on the order of rows.

import { quote, wrongArgument } from '../core/check.js'
import { dateText, type NumberValues, numberOf, type ScalarColumn, type StringColumn, sameNumber } from '../core/columns.js'
import { DataError } from '../core/errors.js'
import { hashBlock, hashEnd, hashNumber, hashText } from '../core/hash.js'
import { allocate } from '../core/memory.js'
import { inBlocks, type Sliced } from '../core/slices.js'
import { sortedBy } from '../core/sort.js'
import { type Cut, cutAt } from './cut.js'
import type { HashSplit, StratifiedSplit, TimeSplit } from './split.js'
import { codesIn, dateKey, notATime, partNumbers, partsThere } from './split-values.js'

type Named = readonly [name: string, column: ScalarColumn]

const { train, validation, test } = partNumbers

/** Texts between two yields: parsing and hashing take about a microsecond. */
const textsAtOnce = 2 ** 12
/** Values or combinations of values to stratify by. */
const mostStrata = 2 ** 16

/** Writes the part of each row by shares of the rows in the order of time. */
export function* byTimeShares(parts: Uint8Array, [name, column]: Named, split: TimeSplit): Sliced<void> {
  const values = column.kind === 'number' ? column.values : yield* ranksOfDates(name, column)
  let rows = 0
  yield* inBlocks(0, values.length, (start, end) => {
    for (let row = start; row < end; row += 1) if (!Number.isNaN(values[row])) rows += 1
  })
  const [forValidation, forTest] = [Number(split.validation ?? 0), Number(split.test ?? 0)]
  const testAt = Math.round(rows * (1 - forTest))
  const validationAt = Math.round(rows * (1 - forTest - forValidation))
  const ends: readonly [Cut, Cut] = [yield* cutAt(values, validationAt), yield* cutAt(values, testAt)]
  yield* inBlocks(0, values.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const value = values[row] as number
      if (!Number.isNaN(value)) parts[row] = isBefore(ends[0], value) ? train : isBefore(ends[1], value) ? validation : test
    }
  })
  yield* checkShares(parts, forValidation, forTest, function* () {
    const distinct = yield* countDistinct(values)
    return `${rows} rows with ${distinct} times in column ${quote(name)}; rows of one time stay together: give cut points, or other shares`
  })
}

function isBefore({ value, after }: Cut, of: number): boolean {
  return of < value || (after && of === value)
}

/** Of each row, the place of its date among all dates; NaN if it is missing. */
function* ranksOfDates(name: string, column: StringColumn): Sliced<Float32Array | Float64Array> {
  const { dictionary, codes } = column
  const there = yield* codesIn(column)
  const what = `the order of column ${quote(name)}`
  const keyOf: string[] = []
  const present = allocate(what, Int32Array, dictionary.length)
  let count = 0
  yield* inBlocks(
    0,
    dictionary.length,
    (start, end) => {
      for (let code = start; code < end; code += 1) {
        keyOf[code] = ''
        if (there[code] === 0) continue
        const text = dictionary[code] as string
        const date = dateText(text)
        if (date === undefined) throw notATime(name, text, codes.indexOf(code))
        keyOf[code] = dateKey(date)
        present[count++] = code
      }
    },
    textsAtOnce,
  )
  const sorted = yield* sortedBy(present.subarray(0, count), (one, other) => {
    const [left, right] = [keyOf[one] as string, keyOf[other] as string]
    return left < right ? -1 : left > right ? 1 : 0
  })
  const rankOf = allocate(what, Float64Array, dictionary.length)
  let rank = -1
  let last = ''
  yield* inBlocks(0, count, (start, end) => {
    for (let at = start; at < end; at += 1) {
      const code = sorted[at] as number
      const key = keyOf[code] as string
      if (key !== last) rank += 1
      last = key
      rankOf[code] = rank
    }
  })
  // Float32 holds every rank below 2^24.
  const type = (rank < 2 ** 24 ? Float32Array : Float64Array) as Float64ArrayConstructor
  const ranks = allocate<Float32Array | Float64Array>(what, type, codes.length)
  yield* inBlocks(0, codes.length, (start, end) => {
    for (let row = start; row < end; row += 1) ranks[row] = rankOf[codes[row] as number] ?? NaN
  })
  return ranks
}

/** Writes the part of each row by the hash of its key. `some`: every part must have rows. */
export function* byHash(
  parts: Uint8Array,
  keys: readonly Named[],
  split: HashSplit,
  { some }: { readonly some: boolean },
): Sliced<void> {
  const { validation: forValidation = 0, test: forTest = 0, seed = 0 } = split
  const { hashes, keyless } = yield* hashesOf(parts.length, keys, seed)
  const testEnd = forTest * 2 ** 32
  const validationEnd = (forTest + forValidation) * 2 ** 32
  yield* inBlocks(0, parts.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const hash = hashes[row] as number
      parts[row] = keyless[row] === 1 || hash >= validationEnd ? train : hash < testEnd ? test : validation
    }
  })
  if (!some) return
  yield* checkShares(parts, forValidation, forTest, function* () {
    const distinct = yield* countDistinct(hashes)
    return `${parts.length} rows with ${distinct} keys; rows of one key stay together: split by columns with more values, or give other shares or another seed`
  })
}

/** Writes the part of each row: of each value of the strata, the rows with the smallest hashes test, the next ones validate. */
export function* byStrata(
  parts: Uint8Array,
  strata: readonly Named[],
  keys: readonly Named[],
  split: StratifiedSplit,
): Sliced<void> {
  const { validation: forValidation = 0, test: forTest = 0, seed = 0 } = split
  const rows = parts.length
  const { hashes, keyless } = yield* hashesOf(rows, keys, seed)
  const { stratumOf, count } = yield* strataOf(rows, strata)
  // The hashes of each stratum, one stratum after the other.
  const ends = new Float64Array(count + 1)
  yield* inBlocks(0, rows, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const next = (stratumOf[row] as number) + 1
      if (keyless[row] === 0) ends[next] = (ends[next] as number) + 1
    }
  })
  for (let stratum = 0; stratum < count; stratum += 1)
    ends[stratum + 1] = (ends[stratum] as number) + (ends[stratum + 1] as number)
  const grouped = allocate(`the hashes of ${rows} rows`, Uint32Array, ends[count] as number)
  const places = ends.slice()
  yield* inBlocks(0, rows, (start, end) => {
    for (let row = start; row < end; row += 1) {
      if (keyless[row] === 1) continue
      const stratum = stratumOf[row] as number
      const place = places[stratum] as number
      grouped[place] = hashes[row] as number
      places[stratum] = place + 1
    }
  })
  const cuts: (readonly [Cut, Cut])[] = []
  for (let stratum = 0; stratum < count; stratum += 1) {
    const here = grouped.subarray(ends[stratum], ends[stratum + 1])
    const [testAt, validationAt] = [Math.round(here.length * forTest), Math.round(here.length * (forTest + forValidation))]
    cuts.push([yield* cutAt(here, testAt), yield* cutAt(here, validationAt)])
    if (stratum % 16 === 0) yield
  }
  yield* inBlocks(0, rows, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const [testEnd, validationEnd] = cuts[stratumOf[row] as number] as readonly [Cut, Cut]
      const hash = hashes[row] as number
      const evaluated = keyless[row] === 0 && isBefore(validationEnd, hash)
      parts[row] = !evaluated ? train : isBefore(testEnd, hash) ? test : validation
    }
  })
  yield* checkShares(parts, forValidation, forTest, function* () {
    const distinct = yield* countDistinct(hashes)
    return `${rows} rows with ${count} values to stratify by and ${distinct} keys; rows of one value and key stay together: add columns to by, or give other shares`
  })
}

/** A number below `count` for each row, equal for rows with equal values. A missing value is a value. */
function* strataOf(rows: number, columns: readonly Named[]): Sliced<{ readonly stratumOf: Int32Array; readonly count: number }> {
  const stratumOf = allocate(`the strata of ${rows} rows`, Int32Array, rows)
  let count = 1
  for (const [index, [name, column]] of columns.entries()) {
    const values = column.kind === 'number' ? column.values : column.codes
    const known = new Map<number, number>()
    const combined = new Map<number, number>()
    const numbered = (map: Map<number, number>, value: number): number => {
      const number = map.get(value)
      if (number !== undefined) return number
      if (map.size === mostStrata) {
        throw new DataError(
          `column ${quote(name)}: expected at most ${mostStrata} values to stratify by, found more; stratify by columns with few values`,
          { column: name },
        )
      }
      map.set(value, map.size)
      return map.size - 1
    }
    yield* inBlocks(0, rows, (start, end) => {
      for (let row = start; row < end; row += 1) {
        const value = numbered(known, values[row] as number)
        stratumOf[row] = index === 0 ? value : numbered(combined, (stratumOf[row] as number) * mostStrata + value)
      }
    })
    count = index === 0 ? known.size : combined.size
  }
  return { stratumOf, count }
}

export interface Hashes {
  readonly hashes: Uint32Array
  /** 1 for rows that lack the values of all key columns. */
  readonly keyless: Uint8Array
}

/** MurmurHash3 of each row's key: over the hashes of its values, as little-endian words. A missing value counts as 0. */
export function* hashesOf(rows: number, keys: readonly Named[], seed: number): Sliced<Hashes> {
  const hashes = allocate(`the hashes of ${rows} rows`, Uint32Array, rows).fill(seed)
  const keyless = allocate(`the hashes of ${rows} rows`, Uint8Array, rows).fill(1)
  for (const [, column] of keys) {
    if (column.kind === 'number') yield* addNumbers(hashes, keyless, column.values, column.type === 'boolean')
    else yield* addTexts(hashes, keyless, column)
  }
  yield* inBlocks(0, rows, (start, end) => {
    for (let row = start; row < end; row += 1) hashes[row] = hashEnd(hashes[row] as number, 4 * keys.length)
  })
  return { hashes, keyless }
}

function* addNumbers(hashes: Uint32Array, keyless: Uint8Array, values: NumberValues, areBooleans: boolean): Sliced<void> {
  const [no, yes] = [hashText('false'), hashText('true')]
  yield* inBlocks(
    0,
    values.length,
    (start, end) => {
      for (let row = start; row < end; row += 1) {
        const value = values[row] as number
        if (!Number.isNaN(value)) keyless[row] = 0
        const block = Number.isNaN(value) ? 0 : areBooleans ? (value === 0 ? no : yes) : hashNumber(sameNumber(value))
        hashes[row] = hashBlock(hashes[row] as number, block)
      }
    },
    2 ** 14,
  )
}

function* addTexts(hashes: Uint32Array, keyless: Uint8Array, { dictionary, codes }: StringColumn): Sliced<void> {
  const blocks = new Uint32Array(dictionary.length)
  yield* inBlocks(
    0,
    dictionary.length,
    (start, end) => {
      for (let code = start; code < end; code += 1) blocks[code] = hashOfText(dictionary[code] as string)
    },
    textsAtOnce,
  )
  const empty = dictionary.indexOf('')
  yield* inBlocks(0, codes.length, (start, end) => {
    for (let row = start; row < end; row += 1) {
      const code = codes[row] as number
      if (code >= 0 && code !== empty) keyless[row] = 0
      hashes[row] = hashBlock(hashes[row] as number, code < 0 ? 0 : (blocks[code] as number))
    }
  })
}

/**
 * The hash of a text in a key. One value has one hash whatever the file's format, and whatever else is in its column: `1`, `01` and `1.0`
 * are the number 1, and dates and truth values have one form. The empty text is a missing value.
 */
function hashOfText(text: string): number {
  if (text === '') return 0
  const number = numberOf(text)
  if (number === undefined || !Number.isFinite(number)) return hashText(dateText(text) ?? lowerIfBoolean(text))
  if (!Number.isInteger(number) || Number.isSafeInteger(number)) return hashNumber(sameNumber(number))
  // Beyond 2^53, integers keep all their digits.
  const [, sign, digits] = /^[ \t]*\+?(-?)0*(\d+)[ \t]*$/.exec(text) ?? []
  return digits === undefined ? hashNumber(number) : hashText(`${sign}${digits}`)
}

function lowerIfBoolean(text: string): string {
  return /^(true|false)$/i.test(text) ? text.toLowerCase() : text
}

/** How many numbers there are, without repetition, up to 1000. */
function* countDistinct(values: NumberValues | Uint32Array): Sliced<string> {
  const most = 1000
  const known = new Set<number>()
  yield* inBlocks(0, values.length, (start, end) => {
    for (let row = start; row < end && known.size <= most; row += 1) {
      const value = values[row] as number
      if (!Number.isNaN(value)) known.add(value)
    }
  })
  return known.size > most ? `more than ${most}` : String(known.size)
}

/** @throws ERR_MULTIGATE_ARGUMENT naming a part that should have rows and has none. `found` says of what. */
function* checkShares(parts: Uint8Array, forValidation: number, forTest: number, found: () => Sliced<string>): Sliced<void> {
  const there = yield* partsThere(parts)
  for (const [name, share] of [
    ['train', 1 - forValidation - forTest],
    ['validation', forValidation],
    ['test', forTest],
  ] as const) {
    if (share === 0 || there[partNumbers[name]] === 1) continue
    throw wrongArgument(
      `split.${name}`,
      `expected about ${Number(share.toPrecision(6))} of the rows, found none of ${yield* found()}`,
    )
  }
}
