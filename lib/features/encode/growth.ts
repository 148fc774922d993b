// Fitted encoders on a further day: a vocabulary takes values of new rows and forgets those unseen for long. What stays keeps its order.

import { quote } from '../../core/check.js'
import type { ValueType } from '../../core/columns.js'
import { ArgumentError } from '../../core/errors.js'
import { inBlocks, type Sliced, sliceValues } from '../../core/slices.js'
import type { DenseFeature, Feature } from '../spec/feature.js'
import type { Key } from './cast.js'
import { denseEncoder } from './dense.js'
import type { DenseEncoder, Encoder } from './encoder.js'
import type { MetValues, ValueCollector } from './id-fitter.js'
import { fittedIds, givenIds } from './ids.js'
import { indexOfKeys, type KeyIndex } from './key-index.js'
import { sequenceCollector, sequenceEncoder } from './sequence.js'
import { sparseCollector, sparseEncoder } from './sparse.js'

/** An encoder with a table. */
export type TableEncoder = Exclude<Encoder, DenseEncoder>

/** How a vocabulary changes on a day. */
export interface GrowthRule {
  /** The number of the day. */
  readonly day: number
  /** Values unseen for more than this many days go. Undefined: none goes. */
  readonly evictAfter: number | undefined
  /** Whether values come and go. If not, only the days are kept. */
  readonly grows: boolean
}

/** What became of an encoder. */
export interface GrownEncoder {
  readonly encoder: Encoder
  /** Positions in the old vocabulary of the values that stayed, ascending. Undefined: all. */
  readonly kept: Int32Array | undefined
  readonly added: number
  readonly evicted: number
}

/** Collects the values of new rows; undefined for a feature without a fitted vocabulary. */
export function collectorOf(encoder: Encoder): ValueCollector | undefined {
  if (encoder.kind === 'dense' || encoder.vocabulary === undefined) return undefined
  if (encoder.type === undefined && encoder.vocabulary.size > 0) {
    throw new ArgumentError(
      `fit.grow: feature ${quote(encoder.feature.name)}: expected a vocabulary with a type, found one from an earlier version of multigate; train the model anew`,
      { field: 'fit.grow' },
    )
  }
  return encoder.kind === 'sparse'
    ? sparseCollector(encoder.feature, encoder.type)
    : sequenceCollector(encoder.feature, encoder.type)
}

/** The encoder after a day with these values. */
export function* grownEncoder(encoder: TableEncoder, met: MetValues, rule: GrowthRule): Sliced<GrownEncoder> {
  const old = encoder.vocabulary as KeyIndex
  const type = encoder.type ?? met.type
  const lastSeen = yield* seenOn(rule.day, old, encoder.lastSeen, met.values)
  if (!rule.grows)
    return { encoder: tableEncoder(encoder, { vocabulary: old, type, lastSeen }), kept: undefined, added: 0, evicted: 0 }
  const kept = rule.evictAfter === undefined ? undefined : yield* keptOf(lastSeen, rule.day - rule.evictAfter)
  const stayed = kept?.length ?? old.size
  const added: Key[] = []
  for (let at = 0; at < met.frequent; at += 1) {
    const key = met.values.keyAt(at)
    if (old.indexOf(key) < 0) added.push(key)
    if (at % sliceValues === 0) yield
  }
  const keyAt = (at: number): Key => (at < stayed ? old.keyAt(kept?.[at] ?? at) : (added[at - stayed] ?? ''))
  const what = `feature ${quote(encoder.feature.name)}`
  const size = stayed + added.length
  const vocabulary = type === undefined ? old : yield* indexOfKeys(what, type, size, keyAt)
  const days = new Int32Array(size).fill(rule.day)
  for (let at = 0; at < stayed; at += 1) days[at] = lastSeen[kept?.[at] ?? at] ?? rule.day
  return {
    encoder: tableEncoder(encoder, { vocabulary, type, lastSeen: days }),
    kept: stayed === old.size ? undefined : kept,
    added: added.length,
    evicted: old.size - stayed,
  }
}

/** The days after one on which these values were seen. Values of unknown days count as seen on the day before. */
function* seenOn(day: number, vocabulary: KeyIndex, before: Int32Array | undefined, values: KeyIndex): Sliced<Int32Array> {
  const days = before === undefined ? new Int32Array(vocabulary.size).fill(day - 1) : Int32Array.from(before)
  yield* inBlocks(0, values.size, (from, to) => {
    for (let at = from; at < to; at += 1) {
      const known = vocabulary.indexOf(values.keyAt(at))
      if (known >= 0) days[known] = day
    }
  })
  return days
}

/** Positions of values seen on `earliest` or later. */
function* keptOf(lastSeen: Int32Array, earliest: number): Sliced<Int32Array> {
  const kept = new Int32Array(lastSeen.length)
  let size = 0
  yield* inBlocks(0, lastSeen.length, (from, to) => {
    for (let at = from; at < to; at += 1) if ((lastSeen[at] ?? 0) >= earliest) kept[size++] = at
  })
  return kept.slice(0, size)
}

/** The state of an encoder with a table. */
export interface TableState {
  readonly vocabulary: KeyIndex | undefined
  readonly type: ValueType | undefined
  readonly lastSeen: Int32Array | undefined
}

/** An encoder of the same feature with another state. */
export function tableEncoder(
  { kind, feature }: Pick<TableEncoder, 'kind' | 'feature'>,
  { vocabulary, type, lastSeen }: TableState,
): TableEncoder {
  const source = vocabulary === undefined ? givenIds(feature, type) : fittedIds(vocabulary, type, lastSeen)
  if (source === undefined) throw new Error(`feature ${feature.name} has no ids`)
  return kind === 'sparse' ? sparseEncoder(feature as never, source) : sequenceEncoder(feature as never, source)
}

/** The encoder with the feature of another model, which may differ in `minCount`. */
export function withFeature(encoder: Encoder, feature: Feature): Encoder {
  if (encoder.kind === 'dense') return denseEncoder(feature as DenseFeature, encoder.state)
  return tableEncoder({ kind: encoder.kind, feature: feature as TableEncoder['feature'] }, encoder)
}

/** The encoder of values that were all seen on this day. */
export function seenAll(encoder: Encoder, day: number): Encoder {
  if (encoder.kind === 'dense' || encoder.vocabulary === undefined) return encoder
  return tableEncoder(encoder, { ...encoder, lastSeen: new Int32Array(encoder.vocabulary.size).fill(day) })
}

/**
 * Places in an old vocabulary of the values that a new one has not, or has behind values that came later. `kept`: the other places, which are
 * the first of the new one, in the same order; undefined: all. `stayed`: their number.
 */
export function* evictedBetween(
  old: KeyIndex,
  now: KeyIndex,
): Sliced<{ readonly evicted: Int32Array; readonly kept: Int32Array | undefined; readonly stayed: number }> {
  const places = new Int32Array(old.size)
  // Kept places from the front, evicted ones from the back.
  let [stayed, gone] = [0, old.size]
  yield* inBlocks(0, old.size, (from, to) => {
    for (let at = from; at < to; at += 1) {
      if (now.indexOf(old.keyAt(at)) === stayed) places[stayed++] = at
      else places[--gone] = at
    }
  })
  const evicted = places.slice(gone).reverse()
  return { evicted, kept: evicted.length === 0 ? undefined : places.slice(0, stayed), stayed }
}
