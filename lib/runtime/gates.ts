// How a model's gates weigh its experts: the mean of their softmax over rows.

import { inBlocks, inSlices, type Sliced, sliceValues } from '../core/slices.js'
import type { WatchedGate } from '../layers/tape.js'
import type { FloatArray } from '../native/binding.js'
import type { EncodedRows } from './encode.js'
import { type NetworkRunner, rowsAtOnce } from './runner.js'

/** Mean weights of one gate. */
export interface GateWeights {
  /** Level of the gate, from 0. */
  readonly level: number
  /** The gate's task, or `shared` for the gate between PLE's levels, which belongs to no task. */
  readonly gate: string
  /** Experts in the gate's order. The weights add up to 1. */
  readonly experts: readonly { readonly name: string; readonly weight: number }[]
}

/** Mean weights over all rows, added up slice by slice. @param check called before each run; an error it throws ends the work. */
export async function gateWeights(runner: NetworkRunner, data: EncodedRows, check: () => void): Promise<GateWeights[]> {
  const { gates: program, gateLevels } = runner.network
  if (gateLevels.length === 0) return []
  const sums = gateLevels.map((gates) => new Float64Array(gates.reduce((columns, { experts }) => columns + experts.length, 0)))
  for (let start = 0; start < data.rows; start += rowsAtOnce) {
    check()
    const rows = Math.min(rowsAtOnce, data.rows - start)
    const outputs = runner.outputs(program, rows)
    await runner.runPart(program, data, { start, rows, outputs: [...outputs.values()] })
    for (const [level, sum] of sums.entries()) {
      await inSlices(addRows(sum, outputs.get(`gates:${level}`) ?? new Float32Array(0)), { check })
    }
  }
  return gateLevels.flatMap((gates, level) =>
    perGate(
      gates,
      level,
      (sums[level] ?? new Float64Array(0)).map((sum) => sum / data.rows),
    ),
  )
}

/** The weights for the first row of the program's outputs. */
export function gatesOfRow(
  gateLevels: readonly (readonly WatchedGate[])[],
  outputs: ReadonlyMap<string, FloatArray>,
): GateWeights[] {
  return gateLevels.flatMap((gates, level) => perGate(gates, level, outputs.get(`gates:${level}`) ?? new Float32Array(0)))
}

function addRows(sum: Float64Array, rows: FloatArray): Sliced<void> {
  const width = sum.length
  const add = (from: number, to: number): void => {
    for (let at = from * width; at < to * width; at += width) {
      for (let column = 0; column < width; column += 1) sum[column] = (sum[column] ?? 0) + (rows[at + column] ?? 0)
    }
  }
  return inBlocks(0, rows.length / width, add, Math.ceil(sliceValues / width))
}

function perGate(gates: readonly WatchedGate[], level: number, means: FloatArray): GateWeights[] {
  let column = 0
  return gates.map(({ name, experts }) => {
    const weighed = experts.map((expert) => ({ name: expert, weight: means[column++] ?? Number.NaN }))
    return { level, gate: name, experts: weighed }
  })
}
