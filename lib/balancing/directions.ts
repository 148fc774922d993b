// The gradients of a batch as lengths and directions: the tasks that are present and have a gradient, one after another. Cosines are of
// one size however the tasks' scales differ, so that solvers need no limits of their own.

import type { Batch } from './method.js'

export class Directions {
  /** Tasks with a gradient that is not 0. */
  count = 0
  /** [count]: which tasks they are. */
  readonly tasks: Int32Array
  /** [count]: lengths of their gradients, by the longest. */
  readonly lengths: Float64Array
  /** [count, count]: cosines between them. */
  readonly cosines: Float64Array
  /** The length of the longest gradient; 0 if there is none. */
  longest = 0
  /** Tasks that are present, with a gradient or without. */
  present = 0

  /** @param most tasks */
  constructor(most: number) {
    this.tasks = new Int32Array(most)
    this.lengths = new Float64Array(most)
    this.cosines = new Float64Array(most * most)
  }

  read({ gram, present }: Batch): void {
    const all = present.length
    const { tasks, lengths, cosines } = this
    let [count, known, longest] = [0, 0, 0]
    for (let task = 0; task < all; task += 1) {
      if (present[task] !== 1) continue
      known += 1
      const square = gram[task * all + task]!
      if (!(square > 0)) continue
      tasks[count] = task
      lengths[count] = Math.sqrt(square)
      longest = Math.max(longest, lengths[count]!)
      count += 1
    }
    for (let row = 0; row < count; row += 1) {
      cosines[row * count + row] = 1
      for (let column = 0; column < row; column += 1) {
        const product = gram[tasks[row]! * all + tasks[column]!]!
        const cosine = Math.min(Math.max(product / lengths[row]! / lengths[column]!, -1), 1)
        cosines[row * count + column] = cosines[column * count + row] = cosine
      }
    }
    for (let at = 0; at < count; at += 1) lengths[at]! /= longest
    this.count = count
    this.present = known
    this.longest = longest
  }
}

/** Gives every task that is present the same weight, and the others 0. */
export function fillPresent(weights: Float64Array, present: Uint8Array, weight: number): void {
  for (let task = 0; task < weights.length; task += 1) weights[task] = present[task] === 1 ? weight : 0
}

/** x' matrix x */
export function form(count: number, matrix: Float64Array, x: Float64Array): number {
  let sum = 0
  for (let row = 0; row < count; row += 1) {
    let inner = 0
    for (let column = 0; column < count; column += 1) inner += matrix[row * count + column]! * x[column]!
    sum += inner * x[row]!
  }
  return sum
}
