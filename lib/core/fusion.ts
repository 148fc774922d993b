// Fusion: how the outputs of one level become the one input of the next.

import { checkList, checkOneOf } from './check.js'

/** `concat`: side by side; `sum` and `product`: element by element. */
export const fusionNames = ['concat', 'sum', 'product'] as const

export type Fusion = (typeof fusionNames)[number]

/** A list is concatenated in the order written. `'none'`: every output passes on alone. */
export type FusionOption = 'none' | Fusion | readonly Fusion[]

/** The parts that are concatenated; none for `'none'`. @throws ERR_MULTIGATE_ARGUMENT naming the part. */
export function fusionParts(fusion: FusionOption): readonly Fusion[] {
  if (typeof fusion !== 'string') {
    return checkList('fusion', fusion, `names, or one of 'none', 'concat', 'sum', 'product'`).map((part, index) =>
      checkOneOf(`fusion[${index}]`, part, fusionNames),
    )
  }
  checkOneOf('fusion', fusion, ['none', ...fusionNames])
  return fusion === 'none' ? [] : [fusion]
}

/** Columns of `count` signals of `units` each, fused. */
export function fusedWidth(parts: readonly Fusion[], count: number, units: number): number {
  return parts.reduce((width, part) => width + (part === 'concat' ? count * units : units), 0)
}
