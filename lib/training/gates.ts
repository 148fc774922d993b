// How a model's gates weigh its experts: the mean of their softmax over rows.

import type { WatchedGate } from '../layers/tape.js'
import type { FloatArray } from '../native/binding.js'
import type { EncodedRows } from './encode.js'
import type { NetworkRunner } from './network-runner.js'

/** One gate. */
export interface GateWeights {
  /** From 0. */
  readonly level: number
  /** A task, or `shared` for the gate between PLE's levels that belongs to none. */
  readonly gate: string
  /** In the gate's order; the weights add up to 1. */
  readonly experts: readonly { readonly name: string; readonly weight: number }[]
}

/** Rows whose probabilities are held at once. */
const rowsAtOnce = 2 ** 16

/** Mean weights over all rows. */
export async function gateWeights(runner: NetworkRunner, data: EncodedRows): Promise<GateWeights[]> {
  const { gates: program, gateLevels } = runner.network
  if (gateLevels.length === 0) return []
  const sums = gateLevels.map((gates) => new Float64Array(gates.reduce((columns, { experts }) => columns + experts.length, 0)))
  for (let start = 0; start < data.rows; start += rowsAtOnce) {
    const { outputs } = await runner.run(program, data, start, Math.min(rowsAtOnce, data.rows - start))
    sums.forEach((sum, level) => addRows(sum, outputs.get(`gates:${level}`) ?? new Float32Array(0)))
  }
  return gateLevels.flatMap((gates, level) =>
    perGate(
      gates,
      level,
      (sums[level] ?? new Float64Array(0)).map((sum) => sum / data.rows),
    ),
  )
}

function addRows(sum: Float64Array, rows: FloatArray): void {
  for (let at = 0; at < rows.length; at += sum.length) {
    for (let column = 0; column < sum.length; column += 1) sum[column] = (sum[column] ?? 0) + (rows[at + column] ?? 0)
  }
}

function perGate(gates: readonly WatchedGate[], level: number, means: Float64Array): GateWeights[] {
  let column = 0
  return gates.map(({ name, experts }) => {
    const weighed = experts.map((expert) => ({ name: expert, weight: means[column++] ?? Number.NaN }))
    return { level, gate: name, experts: weighed }
  })
}
