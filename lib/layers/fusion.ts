// Fuses several signals: concatenated, summed, multiplied, or several of these side by side.

import type { Fusion } from '../core/fusion.js'
import { columnsOf } from '../core/program.js'
import type { Signal, Tape } from './tape.js'

const kinds = { concat: 0, sum: 0, product: 1 } as const

/** A fusion op from these inputs to these columns. With a single input it is a copy. */
interface Join {
  readonly column: number
  readonly width: number
  readonly inputs: readonly Signal[]
  readonly kind: number
}

/** Fuses signals of one width; those that are only concatenated may have any. */
export function fuse(tape: Tape, inputs: readonly Signal[], parts: readonly Fusion[]): Signal {
  const { program } = tape
  const joins = joinsOf(inputs, parts)
  const width = joins.reduce((sum, join) => sum + join.width, 0)
  const y = tape.signal(width, tape.learns(inputs))
  const valuesOf = (join: Join) => join.inputs.map(({ value }) => value)
  for (const join of joins) {
    program.op('fusion_forward', { inputs: valuesOf(join), y: columnsOf(y.value, join.column, join.width), kind: join.kind })
  }
  tape.record(() => {
    const dy = y.gradient()
    if (dy === null) return
    for (const join of joins) {
      const targets = join.inputs.map((input) => input.target())
      program.op('fusion_backward', {
        inputs: valuesOf(join),
        dy: columnsOf(dy, join.column, join.width),
        dinputs: targets.map(({ view }) => view),
        accumulate: targets.map(({ accumulate }) => accumulate),
        kind: join.kind,
      })
    }
  })
  return y
}

function joinsOf(inputs: readonly Signal[], parts: readonly Fusion[]): Join[] {
  const joins: Join[] = []
  let column = 0
  const join = (joined: readonly Signal[], part: Fusion): void => {
    const width = joined[0]?.value.width ?? 0
    joins.push({ column, width, inputs: joined, kind: kinds[part] })
    column += width
  }
  for (const part of parts) {
    if (part === 'concat') for (const input of inputs) join([input], part)
    else join(inputs, part)
  }
  return joins
}
