// The gates' mean weights as a text table: a bar and a percentage per expert, one block of lines per level.

import type { GateWeights } from '../training/gates.js'
import { table } from './text.js'

const blocks = ' ▏▎▍▌▋▊▉█'
const barWidth = 6

/** One line per gate, one column per expert that any gate of the level sees. A full bar is a weight of 1. */
export function gatesTable(gates: readonly GateWeights[]): string {
  const levels = [...new Set(gates.map(({ level }) => level))]
  return levels
    .map((level) => {
      const own = gates.filter((gate) => gate.level === level)
      const experts = [...new Set(own.flatMap((gate) => gate.experts.map(({ name }) => name)))]
      const rows = own.map(({ gate, experts: seen }) => {
        return [gate, ...experts.map((expert) => cell(seen.find(({ name }) => name === expert)?.weight))]
      })
      return table([levels.length > 1 ? `level ${level + 1}` : 'gate', ...experts], rows)
    })
    .join('\n\n')
}

function cell(weight: number | undefined): string {
  if (weight === undefined) return ''
  const eighths = Math.round(weight * barWidth * 8)
  const bar = '█'.repeat(Math.floor(eighths / 8)) + (blocks[eighths % 8] ?? '').trim()
  return `${`${Math.round(100 * weight)}%`.padStart(4)} ${bar}`.padEnd(5 + barWidth)
}
