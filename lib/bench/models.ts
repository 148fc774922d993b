// Whole models to time: training steps and predictions of a typical published feed model (five ids, two lists of ids, one number, four
// targets, batches of 10,240), through the public classes. Rows are random.

import { adam, binary, Dataset, dense, type FlatLists, MMoE, type Model, PLE, sequence, sparse } from '../index.js'
import type { Precision } from '../native/binding.js'
import { randomOf } from '../verify/numbers.js'

const vocabularies = { userid: 20_001, feedid: 106_445, authorid: 18_790, bgm_song: 25_160, bgm_singer: 17_501 }
const sequences = { tags: { vocabulary: 354, length: 11 }, keywords: { vocabulary: 27_272, length: 18 } }
const rates = [0.04, 0.03, 0.02, 0.02]

export const batchSize = 10_240
const batches = 10

export type FeedModel = 'mmoe' | 'ple'

export interface FeedOptions {
  readonly isa?: string | undefined
  readonly precision?: Precision | undefined
  readonly threads: number
  readonly sparseUpdate: 'lazy' | 'exact'
}

/** The feed model, not yet built. */
export function feedModel(kind: FeedModel, options: FeedOptions): Model {
  const common = {
    features: [
      ...Object.entries(vocabularies).map(([name, vocabulary]) => sparse(name, { vocabulary, dim: 16 })),
      ...Object.entries(sequences).map(([name, { vocabulary, length }]) =>
        sequence(name, { vocabulary, dim: 16, maxLength: length, combiner: 'mean' }),
      ),
      dense('videoplayseconds', { transform: 'none' }),
    ],
    tasks: rates.map((_, task) => binary(`task${task}`)),
    bottomHiddenUnits: [64, 64],
    expertHiddenUnits: [32],
    gateBias: true,
    dropout: 0.1,
    l2: { embedding: 1e-6, kernel: 1e-5 },
    device: 'cpu' as const,
    ...options,
  }
  const model =
    kind === 'mmoe'
      ? new MMoE({ ...common, numExperts: 4 })
      : new PLE({ ...common, numLevels: 1, numSharedExperts: 8, numSpecificExperts: 4 })
  return model as unknown as Model
}

/** Random rows for it. Ids follow Zipf's law, as in real logs and in the peers' data: the logarithm of an id is uniform. */
export function feedRows(rows = batches * batchSize): Dataset {
  const random = randomOf(3)
  const id = (vocabulary: number): number => Math.min(vocabulary - 1, Math.floor(vocabulary ** random()))
  const lists = ({ vocabulary, length }: { vocabulary: number; length: number }): FlatLists => {
    const offsets = new Int32Array(rows + 1)
    for (let row = 0; row < rows; row += 1) offsets[row + 1] = (offsets[row] ?? 0) + 1 + Math.floor(length * random())
    return { offsets, items: new Int32Array(offsets[rows] ?? 0).map(() => id(vocabulary)) }
  }
  return Dataset.fromColumns({
    ...mapped(vocabularies, (size) => new Int32Array(rows).map(() => id(size))),
    ...mapped(sequences, lists),
    videoplayseconds: new Float32Array(rows).map(random),
    ...Object.fromEntries(
      rates.map((rate, task) => [`task${task}`, new Float32Array(rows).map(() => (random() < rate ? 1 : 0))]),
    ),
  })
}

function mapped<V, R>(values: Readonly<Record<string, V>>, change: (value: V) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, change(value)]))
}

/** Milliseconds of a training step within an epoch, including shuffling, in ascending order; without the first epoch. */
export async function stepTimes(model: Model, data: Dataset, epochs: number): Promise<number[]> {
  const history = await model.fit(data, { batchSize, epochs: epochs + 1, optimizer: adam({ learningRate: 0.01 }) })
  return history.epochs
    .slice(1)
    .map(({ seconds, steps }) => (1000 * seconds) / steps)
    .sort((a, b) => a - b)
}
