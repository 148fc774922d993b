// What every encoder is: a fitted feature that turns raw columns into what a network is fed. It is frozen once fitted and
// never looks at labels. Columns come whole or in parts, to be fitted and to be encoded.

import type { Column, ValueType } from '../../core/columns.js'
import type { Sliced } from '../../core/slices.js'
import type { DenseFeature, SequenceFeature, SparseFeature } from '../spec/feature.js'
import type { KeyIndex } from './key-index.js'

/** How many values there were that are not missing, and how many of them a vocabulary does not know. */
export interface ValueCounts {
  readonly values: number
  readonly unknown: number
}

/** One column on its way to a network. */
export interface Encoding<Data> {
  /**
   * Encodes the next rows of the column.
   * @param data [rows * width], row-major, zeros; written.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that it cannot take.
   */
  encode(column: Column, data: Data): void
  /** Of all rows so far; undefined of what has no ids. */
  counts(): ValueCounts | undefined
}

/** Looks at the training rows of a feature's column, part by part; nothing else is ever fitted on. */
export interface Fitter<Fitted> {
  /** @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that it cannot take. */
  add(column: Column): Sliced<void>
  finish(): Sliced<Fitted>
}

interface AnyEncoder<Data> {
  /** Numbers per row. */
  readonly width: number
  begin(): Encoding<Data>
  /**
   * Takes data that are encoded already, [rows * width]: checks their range and gives the same array.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that is out of range.
   */
  check(data: Data): { readonly data: Data; readonly width: number }
}

/** Ids of a table [tableRows, dim]. */
interface IdEncoder extends AnyEncoder<Int32Array> {
  /** Rows of the embedding table, id 0 included: ids lie in [0, tableRows). */
  readonly tableRows: number
  readonly dim: number
  /** Of the values that have ids. Undefined in files of before, and where no training row had a value. */
  readonly type: ValueType | undefined
  /** What was fitted; undefined where ids follow from the feature. */
  readonly vocabulary: KeyIndex | undefined
}

export interface SparseEncoder extends IdEncoder {
  readonly kind: 'sparse'
  readonly feature: SparseFeature
}

export interface SequenceEncoder extends IdEncoder {
  readonly kind: 'sequence'
  readonly feature: SequenceFeature
}

/** What is fitted of a dense feature: a value x becomes (f(x) - offset) / scale, a missing one `fill`. */
export interface DenseState {
  readonly offset: number
  readonly scale: number
  /** Already transformed; null where a missing value is an error. */
  readonly fill: number | null
}

export interface DenseEncoder extends AnyEncoder<Float32Array> {
  readonly kind: 'dense'
  readonly feature: DenseFeature
  readonly state: DenseState
}

export type Encoder = SparseEncoder | SequenceEncoder | DenseEncoder
