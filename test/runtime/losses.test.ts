// An epoch's losses against an evaluation of the same rows by the same weights: with a learning rate of 0 they are one number.

import { expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { MMoE } from '../../lib/model/classes.js'
import type { DeviceName } from '../../lib/native/binding.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { binary } from '../../lib/tasks/binary.js'
import type { StepRecord } from '../../lib/training/callbacks.js'
import { columns } from '../support/small-data.js'

const rows = 700
const { click, buy, ...features } = columns({ rows, seed: 3 })
/** Of `click` labels are missing here and there, of `buy` whole batches have none. */
const train = Dataset.fromColumns({
  ...features,
  click: (click as number[]).map((label, row) => (row % 7 < 3 ? NaN : label)),
  buy: (buy as number[]).map((label, row) => (row < 500 ? NaN : label)),
  importance: Float64Array.from({ length: rows }, (_, row) => (row * 0.37) % 2),
})

type Reduction = 'valid' | 'batch' | 'weighted'

async function losses(lossReduction: Reduction, device: DeviceName, options: object = {}) {
  using model = new MMoE({
    features: [sparse('user', { vocabulary: 30, dim: 4 }), dense('price', { transform: 'standardize' })],
    tasks: [binary('click', { weightColumn: 'importance' }), binary('buy', { weight: 0.5 })],
    numExperts: 2,
    expertHiddenUnits: [4],
    l2: { kernel: 0.01, tower: 0.02 },
    lossReduction,
    device,
    seed: 4,
  })
  const steps: StepRecord[] = []
  const callbacks = [{ onStep: (step: StepRecord) => void steps.push(step) }]
  const { epochs } = await model.fit(train, { batchSize: 100, optimizer: sgd({ learningRate: 0 }), callbacks, ...options })
  return { steps, epoch: epochs[0], evaluation: await model.evaluate(train) }
}

it.each<[Reduction, DeviceName]>([
  ['valid', 'cpu'],
  ['batch', 'cpu'],
  ['weighted', 'cpu'],
  ['valid', 'reference'],
  ['weighted', 'reference'],
])('an epoch counts rows, not steps: %s on %s', async (reduction, device) => {
  for (const options of [{}, { shuffle: false }, { batchSize: 300 }]) {
    const { epoch, evaluation } = await losses(reduction, device, options)
    for (const task of ['click', 'buy'] as const) {
      expect(epoch?.tasks[task]?.loss).toBeCloseTo(evaluation.tasks[task].loss, 6)
      expect(epoch?.metrics[`${task}_loss`]).toBe(epoch?.tasks[task]?.loss)
    }
    expect(epoch?.loss).toBeCloseTo(evaluation.loss, 6)
  }
})

it('a task has a loss from its first labelled row on', async () => {
  const { steps, epoch } = await losses('valid', 'cpu', { shuffle: false })
  expect(steps.slice(0, 5).map((step) => step.losses.buy)).toEqual([0, 0, 0, 0, 0])
  expect(steps[5]?.losses.buy).toBeGreaterThan(0.5)
  expect(steps[6]?.losses.buy).toBe(epoch?.tasks.buy?.loss)
})
