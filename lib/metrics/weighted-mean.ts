// The weighted mean of a few numbers, such as the metrics of a score.

/** Weights are above 0; they are divided by the largest, so that no sum overflows. */
export function weightedMean(parts: readonly { readonly value: number; readonly weight: number }[]): number {
  const largest = Math.max(...parts.map(({ weight }) => weight))
  const [sum, total] = parts.reduce(
    ([values, weights], { value, weight }) => [values + (weight / largest) * value, weights + weight / largest],
    [0, 0],
  )
  return sum / total
}
