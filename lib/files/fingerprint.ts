// The fingerprint of a model: a hash over its encoders and the bits of its weights. It is the same for a file and for the model that is
// loaded from it. Options of training do not count.

import { createHash, type Hash } from 'node:crypto'

import { isTypedArray } from '../core/arrays.js'
import { Pause } from '../core/slices.js'
import { bytesOf, type TensorArray } from '../io/tensors.js'
import type { FloatArray } from '../native/binding.js'
import type { DataEncoder } from '../runtime/encode.js'
import type { Weight } from '../runtime/weights.js'
import { vocabularyTensors } from './vocabularies.js'

/** A model's content. */
export interface Fingerprinted {
  readonly model: string
  readonly encoder: DataEncoder
  readonly weights: readonly Weight[]
  /** The numbers of a weight, part by part. */
  readonly parts: (weight: Weight) => Iterable<FloatArray> | AsyncIterable<FloatArray>
}

/** A text of 64 hexadecimal digits. @param check throws if the work must stop. */
export async function fingerprintOf({ model, encoder, weights, parts }: Fingerprinted, check: () => void): Promise<string> {
  const hash = createHash('sha256')
  const states = encoder.encoders.map((one) => {
    const { kind, feature } = one
    return [kind, feature.name, one.kind === 'dense' ? one.state : [one.type ?? null, one.tableRows, one.dim]]
  })
  hash.update(JSON.stringify([model, states]))
  const pause = new Pause()
  const all = async (chunks: Iterable<TensorArray> | AsyncIterable<TensorArray>, add: (part: TensorArray) => void) => {
    for await (const part of chunks) {
      add(part)
      await pause.ifDue()
      check()
    }
  }
  for (const tensor of await vocabularyTensors(encoder.encoders)) {
    hash.update(JSON.stringify([tensor.name, tensor.shape]))
    await all('data' in tensor ? [tensor.data] : tensor.chunks(), (part) => hash.update(bytesOf(part)))
  }
  for (const weight of weights) {
    hash.update(JSON.stringify([weight.name, weight.shape]))
    await all(parts(weight), (part) => addNumbers(hash, part as FloatArray))
  }
  return hash.digest('hex')
}

/** The reference keeps in float64 what a file may have in float32: equal numbers count as equal. */
function addNumbers(hash: Hash, part: FloatArray): void {
  const narrow = isTypedArray(part, 'Float64Array') && part.every((value) => Object.is(Math.fround(value), value))
  hash.update(bytesOf(narrow ? Float32Array.from(part) : part))
}
