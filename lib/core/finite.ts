// Whether weights are finite as float32, so that every device can compute with them.

/** The index of the first number that is not finite as float32, or -1. */
export function notFiniteAt(values: Float32Array | Float64Array): number {
  return allFinite(values) ? -1 : values.findIndex((value) => !Number.isFinite(Math.fround(value)))
}

/** Zero times a number that is not finite is NaN. Four independent sums run in parallel. */
function allFinite(values: Float32Array | Float64Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0]
  for (let index = 0; index < values.length; index += 4) {
    a += Math.fround(values[index] ?? 0) * 0
    b += Math.fround(values[index + 1] ?? 0) * 0
    c += Math.fround(values[index + 2] ?? 0) * 0
    d += Math.fround(values[index + 3] ?? 0) * 0
  }
  return a + b + c + d === 0
}
