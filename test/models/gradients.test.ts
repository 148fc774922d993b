// Gradients of whole models, from features to losses and penalties, against finite differences of the training loss.

import { describe, expect, it } from 'vitest'

import { ProgramBuilder } from '../../lib/core/program.js'
import { updateRule } from '../../lib/layers/update.js'
import type { TaskGradients } from '../../lib/models/network.js'
import { emitTableUpdate } from '../../lib/training/step-program.js'
import { directionalError } from '../support/differences.js'
import { NetworkRun } from '../support/network-run.js'
import { cpuPlaces, places, reference, type TestPlace } from '../support/places.js'
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

/** The gradients that rows leave in these buffers, and how far a step of rate 1 moves each table. */
function rowGradients(
  place: TestPlace,
  test: RandomNetwork,
  { rows, tables }: Pick<TaskGradients, 'rows' | 'tables'>,
  buffers: readonly ('gradients' | `gradients:${string}`)[],
): Map<string, Float64Array> {
  const { network, tasks } = test
  const program = ProgramBuilder.after(rows, network.parameters)
  const rule = updateRule({ name: 'sgd', form: 'keras', momentum: 0, nesterov: false })
  for (const table of tables) emitTableUpdate(program, table, rule, { penalty: { l1: 0, l2: 0 }, exact: false })
  const run = new NetworkRun({ network, tasks, train: program.build() }, place)
  initialize(run)
  const before = new Map(network.tables.map(({ name }) => [name, run.read(`table:${name}`)]))
  run.train(test.rows, { ...still, learningRate: 1, draw: 1 })
  const found = new Map<string, Float64Array>()
  for (const { name } of network.parameters.tensors) {
    const parts = buffers.map((buffer) => run.read(name, buffer))
    const sum = Float64Array.from(parts[0] ?? [], (_, index) => parts.reduce((total, part) => total + (part[index] ?? NaN), 0))
    found.set(name, sum)
  }
  before.forEach((values, name) => {
    const after = run.read(`table:${name}`)
    found.set(
      `table:${name}`,
      Float64Array.from(values, (value, index) => value - (after[index] ?? NaN)),
    )
  })
  run.dispose()
  return found
}

/** The largest distance of any tensor's gradient, relative to its norm or to the rounding of what it is the sum of. */
function largestError(got: ReadonlyMap<string, Float64Array>, want: ReadonlyMap<string, Float64Array>): number {
  const norm = (values: Iterable<number>): number => Math.hypot(...values)
  return Math.max(
    ...[...want].map(([name, values]) => {
      const found = got.get(name)
      return (
        norm(values.map((value, index) => value - (found?.[index] ?? NaN))) / (norm(values) + 2e-3 * Math.sqrt(values.length))
      )
    }),
  )
}

describe.each(places)('the gradients of tasks on $name', (place) => {
  it.each(modelNames)('%s: each is of its own task, and their sum is the joint one', (model) => {
    for (let seed = 0; seed < 6; seed += 1) {
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd })
      const { network, tasks, taskGradients } = test
      const tables = network.gradients.tables
      const joint = rowGradients(place, test, { rows: network.rows, tables }, ['gradients'])
      const names = [...taskGradients.parameters.keys()]
      expect(names).toEqual(tasks.map(({ name }) => name))
      const sum = rowGradients(
        place,
        test,
        taskGradients,
        names.map((name) => `gradients:${name}` as const),
      )
      expect(largestError(sum, joint), test.name).toBeLessThan(place.tolerance())
      for (const name of names) {
        const own = rowGradients(place, test, taskGradients, [`gradients:${name}`])
        // A tower is of its own task. In an ESMM also of later ones.
        for (const [index, other] of names.entries()) {
          const towers = [...own].filter(([tensor]) => tensor.startsWith(`tower.${other}.`))
          const none = towers.every(([, values]) => values.every((value) => value === 0))
          expect(none, `${test.name}: ${other} in ${name}`).toBe(model === 'ESMM' ? index > names.indexOf(name) : other !== name)
        }
      }
    }
  })
})

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
