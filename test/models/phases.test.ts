// Training steps of whole models in phases: the bits of one run, wherever a step is cut, on every backend and instruction set.

import { describe, expect, it } from 'vitest'

import type { Precision, StepPhase } from '../../lib/native/binding.js'
import { NetworkRun } from '../support/network-run.js'
import { places, reference, type TestPlace } from '../support/places.js'
import { initialize, modelNames, type RandomNetwork, randomNetwork, trained } from '../support/random-networks.js'

type Runs = readonly (readonly [StepPhase, StepPhase])[]

const cuts: Readonly<Record<string, Runs>> = {
  'each phase by itself': (['rows', 'gradients', 'update', 'tables'] as const).map((phase) => [phase, phase] as const),
  'before gradients': [
    ['rows', 'rows'],
    ['gradients', 'tables'],
  ],
  'before the update': [
    ['rows', 'gradients'],
    ['update', 'tables'],
  ],
  'before tables': [
    ['rows', 'update'],
    ['tables', 'tables'],
  ],
}

const single: TestPlace['precision'] = 'float32'
const precisions = ({ device }: TestPlace): readonly Precision[] => (device === 'cpu' ? [single, 'bfloat16'] : [single])

function started(test: RandomNetwork, place: TestPlace, threads = 2): NetworkRun {
  const run = new NetworkRun(test, place, threads)
  initialize(run)
  return run
}

const weights = (run: NetworkRun): unknown => trained(run.network).map((name) => [name, [...run.read(name)]])
const scalars = (step: number) => ({ learningRate: 0.05, step, draw: step })

describe.each(places)('on $name', (place) => {
  it.each(modelNames)('%s', async (model) => {
    for (const precision of precisions(place)) {
      for (const [seed, sparseUpdate, optimizer] of [
        [1, 'lazy', { name: 'adam' }],
        [2, 'exact', { name: 'rmsprop', momentum: 0.5, centered: true }],
      ] as const) {
        const options = { sparseUpdate, dropout: 0.2, l2: { kernel: 0.02, embedding: 0.03 } }
        const rows = place.device === 'cpu' ? 300 : 40
        const test = randomNetwork(seed, { model, rows, size: 12, activations: ['relu', 'gelu'], optimizer, options })
        const whole = started(test, { ...place, precision })
        const want = [1, 2].map((step) => whole.train(test.rows, scalars(step)).scalars)
        for (const [name, runs] of Object.entries(cuts)) {
          const run = started(test, { ...place, precision }, name === 'before tables' ? 1 : 3)
          const got = []
          for (const step of [1, 2]) got.push(await run.trainInPhases(test.rows, scalars(step), runs))
          expect(got, `${test.name}, ${name}`).toEqual(want)
          expect(weights(run), `${test.name}, ${name}`).toEqual(weights(whole))
          run.dispose()
        }
        whole.dispose()
      }
    }
  })

  it('moves all that is trained by the gradients that lie between its phases', async () => {
    const options = { dropout: 0, l1: {}, l2: {}, sparseUpdate: 'lazy' }
    const test = randomNetwork(5, {
      model: 'PLE',
      rows: 60,
      size: 8,
      activations: ['tanh'],
      optimizer: { name: 'sgd', momentum: 0 },
      options,
    })
    const stored = test.train.spec.buffers.findIndex((buffer) => buffer.class === 'stored')
    const names = trained(test.network)
    const moved = async (factor: number): Promise<number[]> => {
      const run = started(test, place)
      const before = names.flatMap((name) => [...run.read(name)])
      const separate = cuts['each phase by itself'] ?? []
      await run.trainInPhases(test.rows, { learningRate: 1, step: 1 }, separate, (step, done) => {
        if (done === 'rows') {
          const all = step.readStored(stored, 0, 60)
          step.writeStored(stored, 0, all.map((value) => factor * value) as Float32Array)
        }
        if (done === 'gradients') run.scaleGradients(factor)
      })
      const result = names.flatMap((name) => [...run.read(name)]).map((value, index) => value - (before[index] ?? NaN))
      run.dispose()
      return result
    }
    const [once, twice] = [await moved(1), await moved(2)]
    const largest = Math.max(...once.map(Math.abs))
    expect(largest).toBeGreaterThan(0)
    const error = Math.max(...twice.map((value, index) => Math.abs(value - 2 * (once[index] ?? NaN))))
    expect(error / largest).toBeLessThan(place === reference ? 1e-12 : 1e-5)
  })
})
