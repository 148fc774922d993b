// Checks before allocation that a model's memory is available. Some systems promise more memory than they have and kill the process
// later, without a message.

import { groupLimits } from '../core/cgroups.js'
import { checkFailed, quote } from '../core/check.js'
import { elementsOf } from '../core/layout.js'
import { availableBytes, bytesText, totalBytes } from '../core/memory.js'
import type { LoweredProgram } from '../core/program.js'
import type { Network } from '../models/network.js'
import type { ColumnSpec, NativeBinding, NativeColumns, PlanInfo } from '../native/binding.js'
import type { Compute } from './compute.js'
import { type WeightMemory, weightsOf } from './weights.js'

/** Below this many bytes, asking costs more than it saves. */
const small = 2 ** 25

/**
 * Checks the memories that a program binds and that do not exist yet: weights and, in training, gradients and moments.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY naming the largest array of weights.
 */
export function checkWeightsFit(network: Network, program: LoweredProgram, memories: WeightMemory, compute: Compute): void {
  const missing = bytesOfBindings(program, compute, (memory) => !memories.has(memory))
  if (fits(missing, compute)) return
  const largest = weightsOf(network).reduce((one, other) => (elementsOf(other.shape) > elementsOf(one.shape) ? other : one))
  const own = bytesText(elementsOf(largest.shape) * compute.element.BYTES_PER_ELEMENT)
  const all = program.spec.buffers.some((buffer) => buffer.class === 'gradient')
    ? "weights, gradients and the optimizer's moments"
    : 'all weights'
  throw tooLarge(
    `${quote(largest.name)} [${largest.shape.join(', ')}] takes ${own}, ${all} ${bytesText(bytesOfBindings(program, compute))}`,
    compute,
    'lower vocabulary, hash, dim, hidden units or the number of experts',
  )
}

/**
 * Checks the memory that a run over this many rows needs beside the weights.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY.
 */
export function checkRowsFit(
  rows: number,
  { arenaBytes, storedBytes }: PlanInfo,
  program: LoweredProgram,
  compute: Compute,
): void {
  const needed = storedBytes + compute.threads * arenaBytes
  // These start as zeros, so they take memory only when a run writes them.
  const untouched = bytesOfBindings(program, compute, (memory) => !isWeight(memory) && program.initial[memory] === undefined)
  if (fits(needed + untouched, compute)) return
  const what = `a run over ${rows} rows takes ${bytesText(needed)} in addition to ${bytesText(bytesOfBindings(program, compute))} of weights`
  throw tooLarge(what, compute, 'lower batchSize, dim, hidden units or the number of experts, or take fewer rows at once')
}

/**
 * Makes the columns of a dataset, all zero.
 * @throws ERR_MULTIGATE_OUT_OF_MEMORY, before anything is allocated.
 */
export function createColumns(native: NativeBinding, columns: readonly ColumnSpec[], rows: number): NativeColumns {
  const rowBytes = columns.reduce((sum, { width }) => sum + width * 4, 0)
  // The order of the rows takes 4 bytes a row.
  if (rows * (rowBytes + 4) <= Math.max(small, availableBytes())) return native.createColumns(columns, rows)
  throw tooLarge(
    `${rows} encoded rows of ${rowBytes} bytes take ${bytesText(rows * rowBytes)}`,
    undefined,
    'lower maxLength or width, or take fewer rows at once',
  )
}

function isWeight(memory: string): boolean {
  return memory === 'parameters' || memory.startsWith('table:')
}

function bytesOfBindings(
  { bindings, spec }: LoweredProgram,
  { element }: Compute,
  counts: (memory: string) => boolean = () => true,
): number {
  return Object.entries(bindings).reduce((sum, [memory, number]) => {
    const { width = 0, count = 0 } = spec.buffers[number] ?? {}
    return counts(memory) ? sum + width * count * element.BYTES_PER_ELEMENT : sum
  }, 0)
}

function fits(bytes: number, compute: Compute): boolean {
  return bytes <= small || bytes <= roomOf(compute)
}

/** Cached per model, because a GPU answers slowly. */
const gpus = new WeakMap<Compute, number>()

/** Memory available now. For a GPU all of its memory counts, because the share of other processes varies. */
function roomOf(compute: Compute): number {
  if (!isGpu(compute)) return availableBytes()
  const { device, native } = compute
  const known = gpus.get(compute) ?? native.devices().find(({ name }) => name === device)?.memoryBytes ?? Infinity
  gpus.set(compute, known)
  return known
}

function isGpu({ device }: Compute): boolean {
  return device.startsWith('cuda')
}

function tooLarge(what: string, compute: Compute | undefined, next: string): Error {
  if (compute !== undefined && isGpu(compute)) return failed(`${what}, but the GPU has ${bytesText(roomOf(compute))}; ${next}`)
  const where = groupLimits().memory < Infinity ? 'this container' : 'this machine'
  return failed(
    `${what}, but ${where} has ${bytesText(totalBytes())}, of which ${bytesText(availableBytes())} are available; ${next}`,
  )
}

function failed(message: string): Error {
  return checkFailed('ERR_MULTIGATE_OUT_OF_MEMORY', message)
}
