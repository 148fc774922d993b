// What tasks fit on labels of the training rows, and how a saved model keeps it.

import { z } from 'zod'

import { inBlocks, type Sliced } from '../core/slices.js'
import type { FittedLabels } from './kind.js'

const finite = z.number()

/** Fitted numbers as a saved model has them. */
export const fittedSchema: z.ZodType<FittedLabels> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('moments'), mean: finite, deviation: finite.gt(0) }),
  z
    .strictObject({
      kind: z.literal('buckets'),
      thresholds: z.array(finite).min(1).max(255),
      first: finite,
      unit: finite.gt(0),
      steps: z.array(
        z
          .int()
          .min(0)
          .max(2 ** 52),
      ),
    })
    .refine(({ thresholds, steps }) => thresholds.length === steps.length, { error: 'expected as many steps as thresholds' })
    .refine(({ thresholds }) => thresholds.every((value, at) => at === 0 || (thresholds[at - 1] ?? NaN) < value), {
      error: 'expected thresholds that rise',
    }),
])

/** Mean and population deviation of known labels, in two passes. */
export function* fitMoments(labels: Float32Array, of: (label: number) => number): Sliced<FittedLabels> {
  const mean = yield* meanOf(labels, of)
  const variance = yield* meanOf(labels, (label) => (of(label) - mean) ** 2)
  return { kind: 'moments', mean, deviation: Math.sqrt(variance) || 1 }
}

function* meanOf(labels: Float32Array, of: (label: number) => number): Sliced<number> {
  let [sum, count] = [0, 0]
  yield* inBlocks(0, labels.length, (from, to) => {
    for (let row = from; row < to; row += 1) {
      const label = labels[row] ?? NaN
      if (Number.isNaN(label)) continue
      sum += of(label)
      count += 1
    }
  })
  return sum / count
}

/** Buckets with about equally many labels, at most `most`. Equal labels share a bucket, and no bucket is empty. */
export function* fitBuckets(labels: Float32Array, most: number): Sliced<FittedLabels> {
  const sorted = yield* sortedCopy(labels)
  let known = sorted.length
  while (known > 0 && Number.isNaN(sorted[known - 1])) known -= 1
  const largest = sorted[known - 1] ?? NaN
  const ends = Array.from({ length: most - 1 }, (_, k) => sorted[Math.ceil(((k + 1) * known) / most) - 1] ?? NaN)
  const thresholds = [...new Set(ends)].filter((end) => end < largest)
  // Thresholds are ends of buckets; the smallest label alone is a bucket if it fills the first ones.
  if (thresholds.length === 0) thresholds.push(sorted.findLast((label) => label < largest) ?? NaN)
  const means = yield* meansOf(sorted.subarray(0, known), thresholds)
  const [first = NaN] = means
  // A program has integers alone in lists: steps on a grid that is finer than float32.
  const unit = ((means.at(-1) ?? NaN) - first) / 2 ** 40
  const steps = thresholds.map((_, k) => Math.round(((means[k + 1] ?? NaN) - (means[k] ?? NaN)) / unit))
  return { kind: 'buckets', thresholds, first, unit, steps }
}

/** The labels in rising order, NaN last: runs that a typed array sorts, then merged. */
function* sortedCopy(labels: Float32Array): Sliced<Float32Array> {
  const run = 2 ** 16
  let [from, into] = [labels.slice(), new Float32Array(labels.length)]
  for (let start = 0; start < from.length; start += run) {
    from.subarray(start, start + run).sort()
    yield
  }
  for (let width = run; width < from.length; width *= 2) {
    const [source, target] = [from, into]
    for (let start = 0; start < source.length; start += 2 * width) {
      const [middle, end] = [Math.min(start + width, source.length), Math.min(start + 2 * width, source.length)]
      let [left, right] = [start, middle]
      yield* inBlocks(start, end, (first, last) => {
        for (let at = first; at < last; at += 1) {
          const [a, b] = [source[left] ?? NaN, source[right] ?? NaN]
          const takesLeft = right === end || (left < middle && (a <= b || Number.isNaN(b)))
          target[at] = takesLeft ? a : b
          if (takesLeft) left += 1
          else right += 1
        }
      })
    }
    ;[from, into] = [into, from]
  }
  return from
}

/** The mean of the labels of each bucket. */
function* meansOf(sorted: Float32Array, thresholds: readonly number[]): Sliced<number[]> {
  const sums = [...thresholds, Infinity].map(() => ({ sum: 0, count: 0 }))
  let bucket = 0
  yield* inBlocks(0, sorted.length, (from, to) => {
    for (let row = from; row < to; row += 1) {
      const label = sorted[row] ?? NaN
      while (label > (thresholds[bucket] ?? Infinity)) bucket += 1
      const own = sums[bucket] as { sum: number; count: number }
      own.sum += label
      own.count += 1
    }
  })
  return sums.map(({ sum, count }) => sum / count)
}
