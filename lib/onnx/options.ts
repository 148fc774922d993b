// The options and the result of `saveOnnx`.

import { z } from 'zod'

/** Options of `saveOnnx`. */
export interface OnnxOptions {
  /**
   * Whether the file takes encoded values, as batches of `createBatch` hold them: ids, and numbers after their transforms. Default false: it
   * takes the values themselves and holds the vocabularies.
   */
  readonly encoded?: boolean | undefined
}

export const onnxSchema = z.strictObject({ encoded: z.boolean().default(false) })

/** What `saveOnnx` wrote. */
export interface OnnxFiles {
  /** The second file, which the first one names: the weights. Undefined if all is in the first. */
  readonly data: string | undefined
}
