// Serving, as the peers are timed at it: L1 and a linear tower per task with a sigmoid, of one batch of 128 numbers per row that
// lies ready in the caller's memory, in one call from JavaScript.

import { dense, denseEncoder } from '../features/dense.js'
import { binary, MMoE } from '../index.js'
import type { Precision } from '../native/binding.js'
import { DataEncoder } from '../training/encode.js'
import { inside, load } from '../training/model.js'
import { randomArray, randomOf } from '../verify/numbers.js'
import { layerShapes } from './layers.js'

export const servedRows = [1, 32, 256, 1024] as const

export interface Server extends Disposable {
  /** Scores the rows that are there. */
  call(): void
}

/** The model with a batch of random rows. */
export function server(
  rows: number,
  { isa, precision, threads }: { isa: string; precision: Precision; threads: number },
): Server {
  const { d, e, h, t } = layerShapes.L1
  const features = [dense('x', { transform: 'none' })] as const
  const tasks = Array.from({ length: t }, (_, task) => binary(`task${task}`))
  const target = { device: 'cpu', isa, precision, threads } as const
  const model = new MMoE({ features, tasks, numExperts: e, expertHiddenUnits: [h], gateBias: true, ...target })
  // One feature of 128 numbers instead of 128 of one, as the peers have it.
  const wide = { ...denseEncoder(features[0], { offset: 0, scale: 1, fill: 0 }), width: d }
  model[load](new DataEncoder([wide], tasks))
  const { runner } = model[inside]
  runner.memories.initialize(runner.network, 1)
  const batch = model.inputs(rows)
  batch.x.set(randomArray(randomOf(1), rows * d))
  return { call: () => void model.predictSync(batch), [Symbol.dispose]: () => model.dispose() }
}
