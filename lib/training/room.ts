// Whether what a model needs fits in memory, asked before it is allocated: a machine that promises more than it has kills the
// process later, without a word.

import { totalmem } from 'node:os'

import { checkFailed, quote } from '../core/check.js'
import { elementsOf } from '../core/layout.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { PlanInfo } from '../native/binding.js'
import type { Compute } from './compute.js'
import { weightsOf } from './memories.js'

/**
 * Checks the memories that a program binds: weights and, in training, gradients and moments.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY naming the largest array of weights.
 */
export function checkWeightsFit(network: Network, program: LoweredProgram, compute: Compute): void {
  const needed = bytesOfBindings(program, compute)
  if (needed <= roomOf(compute)) return
  const largest = weightsOf(network).reduce((one, other) => (elementsOf(other.shape) > elementsOf(one.shape) ? other : one))
  const own = size(elementsOf(largest.shape) * compute.element.BYTES_PER_ELEMENT)
  const all = 'gradients' in program.bindings ? "weights, gradients and the optimizer's moments" : 'all weights'
  throw tooLarge(
    `${quote(largest.name)} [${largest.shape.join(', ')}] takes ${own}, ${all} ${size(needed)}`,
    compute,
    'lower vocabulary, hash, dim, hidden units or the number of experts',
  )
}

/**
 * Checks what a run over this many rows needs beside the weights.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function checkRowsFit(
  rows: number,
  { arenaBytes, storedBytes }: PlanInfo,
  program: LoweredProgram,
  compute: Compute,
): void {
  const needed = storedBytes + compute.threads * arenaBytes
  const weights = bytesOfBindings(program, compute)
  if (needed + weights <= roomOf(compute)) return
  const what = `a run over ${rows} rows takes ${size(needed)} beside ${size(weights)} of weights`
  throw tooLarge(what, compute, 'lower batchSize, dim, hidden units or the number of experts, or take fewer rows at once')
}

function bytesOfBindings({ bindings, spec }: LoweredProgram, { element }: Compute): number {
  return Object.values(bindings).reduce((sum, number) => {
    const { width = 0, count = 0 } = spec.buffers[number] ?? {}
    return sum + width * count * element.BYTES_PER_ELEMENT
  }, 0)
}

/** Asked for once per model: a GPU takes its time to answer. */
const rooms = new WeakMap<Compute, number>()

function roomOf(compute: Compute): number {
  const known = rooms.get(compute)
  if (known !== undefined) return known
  const room = memoryOf(compute)
  rooms.set(compute, room)
  return room
}

/** All memory of the device: what others hold of it comes and goes. */
function memoryOf({ device, native }: Compute): number {
  if (device.startsWith('cuda')) return native.devices().find(({ name }) => name === device)?.memoryBytes ?? Infinity
  return Math.min(totalmem(), process.constrainedMemory() || Infinity)
}

function tooLarge(what: string, compute: Compute, next: string): Error {
  const where = compute.device.startsWith('cuda') ? 'the GPU' : 'this machine'
  return checkFailed('ERR_MULTIGATE_OUT_OF_MEMORY', `${what}; ${where} has ${size(roomOf(compute))}: ${next}`)
}

function size(bytes: number): string {
  return `${(bytes / 2 ** 30).toLocaleString('en-US', { maximumFractionDigits: 1 })} GiB`
}
