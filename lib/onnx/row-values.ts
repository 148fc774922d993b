// The values of a program's row buffers, as the ops of the program fill them: which tensor of the graph holds which columns.

import type { View } from '../core/op-fields.js'
import type { GraphBuilder, Value } from './graph.js'

/** Columns [offset, offset + width) of a buffer. */
interface Columns {
  readonly offset: number
  readonly width: number
  readonly value: Value
}

export class RowValues {
  readonly #graph: GraphBuilder
  readonly #written = new Map<number, Columns[]>()

  constructor(graph: GraphBuilder) {
    this.#graph = graph
  }

  /** Says what a view holds from now on. */
  write({ buffer, offset, width }: View, value: Value): void {
    const columns = this.#written.get(buffer) ?? []
    if (columns.some((other) => other.offset < offset + width && offset < other.offset + other.width))
      throw new Error(`columns ${offset} to ${offset + width} of buffer ${buffer} are written twice`)
    columns.push({ offset, width, value })
    this.#written.set(
      buffer,
      columns.sort((one, other) => one.offset - other.offset),
    )
  }

  /** The tensor [rows, width] of a view: the one that was written, or parts of several side by side. */
  read({ buffer, offset, width }: View): Value {
    const columns = this.#written.get(buffer) ?? []
    const end = offset + width
    const parts = columns.flatMap((one) => {
      const [from, to] = [Math.max(offset, one.offset), Math.min(end, one.offset + one.width)]
      return from < to ? [{ ...one, from: from - one.offset, to: to - one.offset }] : []
    })
    const found = parts.reduce((sum, { from, to }) => sum + to - from, 0)
    if (found !== width) throw new Error(`columns ${offset} to ${end} of buffer ${buffer} are read before they are written`)
    const values = parts.map((part) => this.#slice(part))
    const [only] = values
    if (values.length === 1 && only !== undefined) return only
    const joined = this.#graph.node('Concat', values, { axis: 1n })
    // The next reader of the same columns takes the same tensor.
    if (parts.every(({ from, to, width: whole }) => from === 0 && to === whole)) {
      const others = columns.filter((one) => one.offset + one.width <= offset || end <= one.offset)
      this.#written.set(
        buffer,
        [...others, { offset, width, value: joined }].sort((one, other) => one.offset - other.offset),
      )
    }
    return joined
  }

  #slice({ value, width, from, to }: Columns & { readonly from: number; readonly to: number }): Value {
    if (from === 0 && to === width) return value
    const [starts, ends, axes] = [from, to, 1].map((number) => this.#graph.constant('int64', [number], [1])) as [
      Value,
      Value,
      Value,
    ]
    return this.#graph.node('Slice', [value, starts, ends, axes])
  }
}
