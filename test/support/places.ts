// Where a test of the kernels runs: the float64 reference and every instruction set of this machine, in both precisions. With
// MULTIGATE_TEST_CUDA=1 also the GPU or its emulation.

import type { DeviceName, Precision } from '../../lib/native/binding.js'
import { loadNative } from '../../lib/native/loader.js'

export interface TestPlace {
  readonly name: string
  readonly device: DeviceName
  readonly isa?: string
  readonly precision: Precision
  /** Relative error allowed against golden values, whose own float32 error is `f32`. */
  tolerance(f32?: number, part?: 'forward' | 'gradient'): number
}

export const reference: TestPlace = {
  name: 'reference',
  device: 'reference',
  precision: 'float32',
  tolerance: () => 1e-9,
}

const single = { precision: 'float32', tolerance: (f32 = 0) => Math.max(1e-5, 10 * f32) } as const

/** The CPU with each of its instruction sets. */
export const cpuPlaces: readonly TestPlace[] = loadNative()
  .isas()
  .map((isa) => ({ name: `cpu ${isa}`, device: 'cpu', isa, ...single }))

const cudaPlaces: readonly TestPlace[] =
  process.env.MULTIGATE_TEST_CUDA === '1' ? [{ name: 'cuda', device: 'cuda', ...single }] : []

export const places: readonly TestPlace[] = [reference, ...cpuPlaces, ...cudaPlaces]

/** All places, with bfloat16 products. Gradients stay within tolerance unless a relu is at its kink. */
export const bfloat16Places: readonly TestPlace[] = places.map((place) => ({
  ...place,
  name: `${place.name} bfloat16`,
  precision: 'bfloat16',
  tolerance: (_, part = 'forward') => (part === 'forward' ? 1e-2 : 3e-2),
}))

/** The native options that compile for a place. */
export function choiceOf({ isa, precision }: TestPlace): { isa?: string; precision: Precision } {
  return isa === undefined ? { precision } : { isa, precision }
}

/** The options that run an op at a place. */
export function at(place: TestPlace): { device: DeviceName; isa?: string; precision: Precision } {
  return { device: place.device, ...choiceOf(place) }
}
