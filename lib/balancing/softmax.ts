/** Softmax over the tasks that are present, in place; 0 for the others. `present` left out: all are. */
export function softmax(values: Float64Array, present?: Uint8Array): void {
  let most = -Infinity
  for (let task = 0; task < values.length; task += 1)
    if (present === undefined || present[task] === 1) most = Math.max(most, values[task]!)
  let sum = 0
  for (let task = 0; task < values.length; task += 1) {
    const value = present === undefined || present[task] === 1 ? Math.exp(values[task]! - most) : 0
    values[task] = value
    sum += value
  }
  if (sum === 0) return
  for (let task = 0; task < values.length; task += 1) values[task]! /= sum
}
