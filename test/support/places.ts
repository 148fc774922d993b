// Where a test of the kernels runs: the float64 spec and every instruction set of this machine.

import { loadNative } from '../../lib/native/loader.js'

export interface TestPlace {
  readonly name: string
  readonly device: 'cpu' | 'reference'
  readonly isa?: string
  /** Relative error allowed against golden values, whose own float32 error is `f32`. */
  tolerance(f32?: number): number
}

export const reference: TestPlace = { name: 'reference', device: 'reference', tolerance: () => 1e-9 }

/** The CPU with each of its instruction sets. */
export const cpuPlaces: readonly TestPlace[] = loadNative()
  .isas()
  .map((isa) => ({ name: `cpu ${isa}`, device: 'cpu', isa, tolerance: (f32 = 0) => Math.max(1e-5, 10 * f32) }))

export const places: readonly TestPlace[] = [reference, ...cpuPlaces]

/** The options of an op that put it there. */
export function at({ device, isa }: TestPlace): { device: 'cpu' | 'reference'; isa?: string } {
  return isa === undefined ? { device } : { device, isa }
}
