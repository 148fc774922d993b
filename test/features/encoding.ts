// Encodes columns as a data set would: what the tests of features share.

import type { Column } from '../../lib/core/columns.js'
import { Dataset } from '../../lib/data/dataset.js'
import type { ColumnValues } from '../../lib/data/values.js'
import type { Encoder } from '../../lib/features/encode/encoder.js'
import { encodeColumn, encoderFromJSON, encoderToJSON, fitEncoder } from '../../lib/features/encode/encoders.js'
import type { IdOptions } from '../../lib/features/spec/feature.js'
import { sparse } from '../../lib/features/spec/sparse.js'

export const column = (values: ColumnValues): Column => Dataset.fromColumns({ x: values }).column('x')

export const encoded = (encoder: Encoder, values: ColumnValues): number[] => [...encodeColumn(encoder, column(values)).data]

/** Ids of a sparse feature that was fitted to some values. */
export const ids = (options: Partial<IdOptions>, train: ColumnValues, values: ColumnValues = train): number[] =>
  encoded(fitEncoder(sparse('f', { dim: 4, ...options }), column(train)), values)

/** What a file would give back: its JSON, and its vocabulary. */
export const savedAndRead = (encoder: Encoder): Promise<Encoder> =>
  encoderFromJSON(JSON.parse(JSON.stringify(encoderToJSON(encoder))), 'encoder', async () => {
    if (encoder.kind === 'dense' || encoder.vocabulary === undefined) throw new Error('there is no vocabulary')
    return encoder.vocabulary
  })
