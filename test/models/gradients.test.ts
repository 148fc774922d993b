// Gradients of whole models, from features to losses and penalties, against finite differences of the training loss.

import { describe, expect, it } from 'vitest'

import { directionalError } from '../support/differences.js'
import { NetworkRun } from '../support/network-run.js'
import { cpuPlaces, reference } from '../support/places.js'
import { initialize, modelNames, type RandomNetwork, randomNetwork, trained } from '../support/random-networks.js'

const perModel = 15
const still = { learningRate: 0, step: 1 }
const smooth = ['tanh', 'sigmoid', 'gelu', 'swish', 'linear']
const sgd = { name: 'sgd' } as const

/** What a training step descends on. */
function totalLoss(run: NetworkRun, { tasks, rows }: RandomNetwork): number {
  const { scalars } = run.train(rows, still)
  const penalties = Object.entries(scalars).filter(([name]) => name.startsWith('penalty:'))
  const losses = tasks.map(({ name, weight }) => weight * (scalars[`loss:${name}`] ?? NaN))
  return [...losses, ...penalties.map(([, value]) => value)].reduce((sum, value) => sum + value, 0)
}

/** The gradient of every tensor; of a table, which keeps none, how far a step of rate 1 moves it. The weights stay. */
function gradientsOf(run: NetworkRun, { rows, network }: RandomNetwork): Map<string, Float64Array> {
  const kept = new Map(trained(network).map((name) => [name, Float64Array.from(run.read(name))]))
  run.train(rows, { learningRate: 1, step: 1 })
  const gradients = [...kept].map(([name, values]) => {
    if (!name.startsWith('table:')) return [name, Float64Array.from(run.read(name, 'gradients'))] as const
    const moved = run.read(name)
    return [name, values.map((value, index) => value - (moved[index] ?? NaN))] as const
  })
  for (const [name, values] of kept) run.write(name, values)
  return new Map(gradients)
}

describe.each(modelNames)('%s', (model) => {
  it('has the gradient of its loss', () => {
    for (let seed = 0; seed < perModel; seed += 1) {
      const test = randomNetwork(seed, { model, rows: 7, size: 4, activations: smooth, optimizer: sgd })
      const run = new NetworkRun(test, reference)
      initialize(run)
      for (const [name, gradient] of gradientsOf(run, test)) {
        const values = run.read(name)
        const error = directionalError(values, gradient, (moved) => {
          run.write(name, moved)
          return totalLoss(run, test)
        })
        run.write(name, values)
        expect(error, `${test.name}: ${name}`).toBeLessThan(1e-6)
      }
      run.dispose()
    }
  })

  it.each(cpuPlaces)('has the same on $name', (place) => {
    for (let seed = 0; seed < perModel; seed += 1) {
      const test = randomNetwork(seed, { model, rows: 70, size: 24, activations: [...smooth, 'relu'], optimizer: sgd })
      const [want, got] = [reference, place].map((where) => {
        const run = new NetworkRun(test, where)
        initialize(run)
        const [gradients, loss] = [gradientsOf(run, test), totalLoss(run, test)]
        run.dispose()
        return { gradients, loss }
      })
      expect(got?.loss, test.name).toBeCloseTo(want?.loss ?? NaN, 4)
      want?.gradients.forEach((values, name) => {
        const found = got?.gradients.get(name) ?? []
        const difference = Math.hypot(...values.map((value, element) => value - (found[element] ?? NaN)))
        // A gradient that almost cancels out may be off by the rounding of what it is the difference of.
        expect(difference, `${test.name}: ${name}`).toBeLessThan(1e-4 * Math.hypot(...values) + 2e-7 * Math.sqrt(values.length))
      })
    }
  })
})
