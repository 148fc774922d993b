// What every encoder is: a fitted feature that turns raw columns into what a network is fed. It is frozen once fitted and
// never looks at labels.

import type { Column } from '../core/columns.js'
import type { DenseFeature, SequenceFeature, SparseFeature } from './feature.js'

/** A fitted vocabulary or statistics with the feature they belong to: plain JSON, enough to make the encoder again. */
export interface EncoderJson {
  readonly feature: object
  readonly [state: string]: unknown
}

/** Of a feature with ids: how many values there are, and how many of them its vocabulary does not know. */
export interface ValueCounts {
  readonly values: number
  readonly unknown: number
}

/** Encoded rows. */
export interface Encoded<Data> {
  readonly data: Data
  readonly width: number
  /** Values that a vocabulary does not know; absent where there is none. */
  readonly unknown?: number
}

interface AnyEncoder<Data> {
  /** Numbers per row. */
  readonly width: number
  /**
   * Encodes a raw column.
   * @returns data [rows * width], row-major.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that it cannot take.
   */
  encode(column: Column): Encoded<Data>
  /**
   * Takes data that are encoded already, [rows * width]: checks their range and gives the same array.
   * @throws ERR_MULTIGATE_DATA naming the feature, the row and the value that is out of range.
   */
  check(data: Data): { readonly data: Data; readonly width: number }
  toJSON(): EncoderJson
}

/** Ids of a table [tableRows, dim]. */
interface IdEncoder extends AnyEncoder<Int32Array> {
  /** Rows of the embedding table, id 0 included: ids lie in [0, tableRows). */
  readonly tableRows: number
  readonly dim: number
}

export interface SparseEncoder extends IdEncoder {
  readonly kind: 'sparse'
  readonly feature: SparseFeature
}

export interface SequenceEncoder extends IdEncoder {
  readonly kind: 'sequence'
  readonly feature: SequenceFeature
}

export interface DenseEncoder extends AnyEncoder<Float32Array> {
  readonly kind: 'dense'
  readonly feature: DenseFeature
}

export type Encoder = SparseEncoder | SequenceEncoder | DenseEncoder
