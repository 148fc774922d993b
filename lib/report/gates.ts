// The gates' mean weights as a text table: a bar and a percentage per expert, one block per level.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { anyNumber, list } from '../core/schemas.js'
import type { GateWeights } from '../runtime/gates.js'
import { table } from './text.js'

const schema = list(
  z.array(
    z.looseObject({
      level: anyNumber,
      gate: z.string(),
      experts: list(z.array(z.looseObject({ name: z.string(), weight: anyNumber }))),
    }),
  ),
)

const blocks = ' ▏▎▍▌▋▊▉█'
const barWidth = 6
/** With more columns than this, experts of one owner are added up. */
const mostColumns = 10

/**
 * One line per gate and one column per expert that any gate of the level sees. With more than ten experts: one column per owner. A full
 * bar is a weight of 1.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `model.gates`.
 */
export function gatesTable(gates: readonly GateWeights[]): string {
  parseOptions('gates', schema, gates)
  const levels = [...new Set(gates.map(({ level }) => level))]
  return levels
    .map((level) => {
      const own = summed(gates.filter((gate) => gate.level === level))
      const experts = [...new Set(own.flatMap((gate) => gate.experts.map(({ name }) => name)))]
      const rows = own.map(({ gate, experts: seen }) => {
        return [gate, ...experts.map((expert) => cell(seen.find(({ name }) => name === expert)?.weight))]
      })
      return table([levels.length > 1 ? `level ${level + 1}` : 'gate', ...experts], rows)
    })
    .join('\n\n')
}

/** Adds up the experts of one owner if there are too many: `shared 1-8`. */
function summed(gates: readonly GateWeights[]): readonly GateWeights[] {
  const names = [...new Set(gates.flatMap(({ experts }) => experts.map(({ name }) => name)))]
  if (names.length <= mostColumns) return gates
  const ownerOf = (name: string): string => name.replace(/ \d+$/, '')
  const labelOf = (owner: string): string => {
    const count = names.filter((name) => ownerOf(name) === owner).length
    return count === 1 ? `${owner} 1` : `${owner} 1-${count}`
  }
  return gates.map((gate) => {
    const weights = new Map<string, number>()
    for (const { name, weight } of gate.experts) weights.set(ownerOf(name), (weights.get(ownerOf(name)) ?? 0) + weight)
    return { ...gate, experts: [...weights].map(([owner, weight]) => ({ name: labelOf(owner), weight })) }
  })
}

function cell(weight: number | undefined): string {
  if (weight === undefined) return ''
  const eighths = Math.round(Math.min(Math.max(weight, 0), 1) * barWidth * 8)
  const bar = '█'.repeat(Math.floor(eighths / 8)) + (blocks[eighths % 8] ?? '').trim()
  return `${`${Math.round(100 * weight)}%`.padStart(4)} ${bar}`.padEnd(5 + barWidth)
}
