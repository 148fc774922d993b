// Fusion: how the outputs of one level become the single input of the next.

import { checkList, checkOneOf } from './check.js'

/** `concat`: side by side; `sum` and `product`: element by element. */
export const fusionNames = ['concat', 'sum', 'product'] as const

export type Fusion = (typeof fusionNames)[number]

/** A list is concatenated in the given order. `'none'`: every output passes on separately. */
export type FusionOption = 'none' | Fusion | readonly Fusion[]

/** The parts to concatenate; empty for `'none'`. @throws ERR_MULTIGATE_ARGUMENT naming the part. */
export function fusionParts(fusion: FusionOption): readonly Fusion[] {
  if (typeof fusion !== 'string') {
    return checkList('fusion', fusion, `names, or one of 'none', 'concat', 'sum', 'product'`).map((part, index) =>
      checkOneOf(`fusion[${index}]`, part, fusionNames),
    )
  }
  checkOneOf('fusion', fusion, ['none', ...fusionNames])
  return fusion === 'none' ? [] : [fusion]
}

/** The width of `count` fused signals of `units` each. */
export function fusedWidth(parts: readonly Fusion[], count: number, units: number): number {
  return parts.reduce((width, part) => width + (part === 'concat' ? count * units : units), 0)
}
