// Sorting in slices: a stable merge sort of positions by a comparison.

import { type Sliced, sliceValues } from './slices.js'

/** Runs of this length are sorted by insertion. */
const shortRun = 16

/** Sorts `order`. The result is `order` or a second array. `compare` is as for `Array.prototype.sort`. */
export function* sortedBy(order: Int32Array, compare: (left: number, right: number) => number): Sliced<Int32Array> {
  const length = order.length
  let work = 0
  for (let start = 0; start < length; start += shortRun) {
    insertionSort(order, start, Math.min(start + shortRun, length), compare)
    if ((work += shortRun) % sliceValues === 0) yield
  }
  let from: Int32Array = order
  let into: Int32Array = new Int32Array(length > shortRun ? length : 0)
  for (let width = shortRun; width < length; width *= 2) {
    for (let start = 0; start < length; start += 2 * width) {
      yield* merge(from, into, start, Math.min(start + width, length), Math.min(start + 2 * width, length), compare)
      if ((work += 2 * width) >= sliceValues) {
        work = 0
        yield
      }
    }
    ;[from, into] = [into, from]
  }
  return from
}

function insertionSort(order: Int32Array, start: number, end: number, compare: (left: number, right: number) => number): void {
  for (let at = start + 1; at < end; at += 1) {
    const item = order[at] ?? 0
    let to = at
    for (; to > start && compare(order[to - 1] ?? 0, item) > 0; to -= 1) order[to] = order[to - 1] ?? 0
    order[to] = item
  }
}

function* merge(
  from: Int32Array,
  into: Int32Array,
  start: number,
  middle: number,
  end: number,
  compare: (left: number, right: number) => number,
): Sliced<void> {
  // Data are often sorted already.
  if (middle >= end || compare(from[middle - 1] ?? 0, from[middle] ?? 0) <= 0) {
    into.set(from.subarray(start, end), start)
    return
  }
  let [left, right] = [start, middle]
  for (let at = start; at < end; at += 1) {
    const takeLeft = right >= end || (left < middle && compare(from[left] ?? 0, from[right] ?? 0) <= 0)
    into[at] = from[takeLeft ? left++ : right++] ?? 0
    if (at % sliceValues === 0) yield
  }
}
