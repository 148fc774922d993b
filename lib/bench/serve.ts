// Serving, timed as in the peers: L1 and a linear tower per task with a sigmoid, over a batch of 128 numbers per row that is ready in the
// caller's memory, in one call from JavaScript.

import { binary, Dataset, dense, MMoE } from '../index.js'
import type { Precision } from '../native/binding.js'
import { randomArray, randomOf } from '../verify/numbers.js'
import { layerShapes } from './layers.js'

export const servedRows = [1, 32, 256, 1024] as const

export interface Server extends Disposable {
  /** Scores the rows of the batch. */
  call(): void
}

/** The model with a batch of random rows. */
export async function server(
  rows: number,
  { isa, precision, threads }: { isa: string; precision: Precision; threads: number },
): Promise<Server> {
  const { d, e, h, t } = layerShapes.L1
  const features = [dense('x', { width: d, transform: 'none', missing: 0 })] as const
  const tasks = Array.from({ length: t }, (_, task) => binary(`task${task}`))
  const target = { device: 'cpu', isa, precision, threads } as const
  const model = new MMoE({ features, tasks, numExperts: e, expertHiddenUnits: [h], gateBias: true, ...target })
  await model.build(Dataset.fromColumns({ x: [randomArray(randomOf(1), d)] }))
  const batch = model.createBatch(rows)
  batch.x.set(randomArray(randomOf(1), rows * d))
  return { call: () => void model.predictSync(batch), [Symbol.dispose]: () => model.dispose() }
}
