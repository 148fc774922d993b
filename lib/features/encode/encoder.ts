// The interface of every encoder: a fitted feature that turns raw columns into the input of a network. It is frozen after fitting and
// never reads labels. Columns come whole or in parts, both for fitting and for encoding.

import type { Column, ValueType } from '../../core/columns.js'
import type { Sliced } from '../../core/slices.js'
import type { DenseFeature, SequenceFeature, SparseFeature } from '../spec/feature.js'
import type { Counts } from './few.js'
import type { KeyIndex } from './key-index.js'

/** How many values were not missing, and how many of them the vocabulary does not know. */
export interface ValueCounts {
  readonly values: number
  readonly unknown: number
}

/** One column on its way to a network. */
export interface Encoding<Data> {
  /**
   * Encodes the next rows of the column.
   * @param data [rows * width], row-major, zeros; written.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that does not fit.
   */
  encode(column: Column, data: Data): void
  /** The counts of all rows so far. Undefined for a feature without ids. */
  counts(): ValueCounts | undefined
}

/** Fits a feature on the training rows of its column, part by part. Other rows are never used. */
export interface Fitter<Fitted> {
  /** @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that does not fit. */
  add(column: Column): Sliced<void>
  /** Whether the feature's options give what others fit. Then rows tell the type of the values at most. */
  readonly closed: boolean
  finish(): Sliced<Fitted>
}

interface AnyEncoder<Data> {
  /** Numbers per row. */
  readonly width: number
  begin(): Encoding<Data>
  /**
   * Encodes one value a row as `begin().encode` does, if all are of the usual kind: numbers, texts and lists that fit the feature.
   * @param data [rows * width], row-major; written, to some extent also if it returns false. @param counts grow, if the feature has ids.
   */
  encodeFew(values: ArrayLike<unknown>, rows: number, data: Data, counts: Counts): boolean
  /**
   * Checks the range of encoded data, [rows * width], and returns the same array.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that is out of range.
   */
  check(data: Data): { readonly data: Data; readonly width: number }
}

/** Ids of a table [tableRows, dim]. */
interface IdEncoder extends AnyEncoder<Int32Array> {
  /** Rows of the embedding table, id 0 included: ids lie in [0, tableRows). */
  readonly tableRows: number
  readonly dim: number
  /** The type of the values. Undefined in files of earlier versions, and if no training row had a value. */
  readonly type: ValueType | undefined
  /** The fitted vocabulary. Undefined if the feature's options determine the ids. */
  readonly vocabulary: KeyIndex | undefined
  /** The day on which each value of the fitted vocabulary was last seen, if the model counts days. Not to be written. */
  readonly lastSeen: Int32Array | undefined
}

export interface SparseEncoder extends IdEncoder {
  readonly kind: 'sparse'
  readonly feature: SparseFeature
}

export interface SequenceEncoder extends IdEncoder {
  readonly kind: 'sequence'
  readonly feature: SequenceFeature
}

/** The fitted state of a dense feature. A value x becomes (f(x) - offset) / scale, a missing value `fill`. */
export interface DenseState {
  readonly offset: number
  readonly scale: number
  /** Already transformed. Null if a missing value is an error. */
  readonly fill: number | null
}

export interface DenseEncoder extends AnyEncoder<Float32Array> {
  readonly kind: 'dense'
  readonly feature: DenseFeature
  readonly state: DenseState
}

export type Encoder = SparseEncoder | SequenceEncoder | DenseEncoder
