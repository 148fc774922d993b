// Gradients of whole models, from features to losses and penalties, against finite differences of the training loss.

import { describe, expect, it } from 'vitest'

import { ProgramBuilder } from '../../lib/core/program.js'
import { updateRule } from '../../lib/layers/update.js'
import type { Network, TaskGradients } from '../../lib/models/network.js'
import type { FloatArray } from '../../lib/native/binding.js'
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

interface Gradients {
  /** By tensor, and how far a step of rate 1 moves each table. */
  readonly of: Map<string, Float64Array>
  /** By task and tensor. */
  readonly tasks: Map<string, Map<string, Float64Array>>
  readonly results: Float64Array
}

/** The gradients that rows leave, those of the tasks combined by weights. */
function rowGradients(
  place: TestPlace,
  { network, tasks, rows: data }: RandomNetwork,
  { rows, gradients, tasks: ofTasks, weights }: Pick<Network, 'rows' | 'gradients'> & Partial<TaskGradients>,
  values: readonly number[] = [],
): Gradients {
  const program = ProgramBuilder.after(rows, network.parameters)
  const rule = updateRule({ name: 'sgd', form: 'keras', momentum: 0, nesterov: false })
  for (const table of gradients.tables) emitTableUpdate(program, table, rule, { penalty: { l1: 0, l2: 0 }, exact: false })
  const run = new NetworkRun({ network, tasks, train: program.build() }, place)
  initialize(run)
  const before = new Map(network.tables.map(({ name }) => [name, run.read(`table:${name}`)]))
  const unnamed = new Map(values.map((value, index) => [(weights ?? NaN) + index, value]))
  const { results } = run.train(data, { ...still, learningRate: 1, draw: 1 }, unnamed)
  const read = (buffer: 'gradients' | `gradients:${string}`) =>
    new Map(network.parameters.tensors.map(({ name }) => [name, Float64Array.from(run.read(name, buffer))]))
  const of = read('gradients')
  before.forEach((old, name) => {
    const after = run.read(`table:${name}`)
    of.set(
      `table:${name}`,
      Float64Array.from(old, (value, index) => value - (after[index] ?? NaN)),
    )
  })
  const each = new Map([...(ofTasks?.keys() ?? [])].map((name) => [name, read(`gradients:${name}`)]))
  run.dispose()
  return { of, tasks: each, results }
}

/** The flat store with the values of its tensors; temperatures, which nothing trains, left out. */
function storeOf({ network }: RandomNetwork, values: ReadonlyMap<string, Float64Array>): Float64Array {
  const store = new Float64Array(network.parameters.elements)
  for (const { name, offset, temperature } of network.parameters.tensors)
    if (temperature === undefined) store.set(values.get(name) ?? [], offset)
  return store
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
  it.each(modelNames)('%s: each is of its own task, and their weighted sum is the joint one', (model) => {
    for (let seed = 0; seed < 12; seed += 1) {
      const heads = seed >= 6 && model !== 'ESMM'
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd, heads })
      const { network, tasks, taskGradients } = test
      const joint = rowGradients(place, test, network)
      const ones = rowGradients(
        place,
        test,
        taskGradients,
        tasks.map(() => 1),
      )
      const names = [...ones.tasks.keys()]
      expect(names).toEqual(tasks.map(({ name }) => name))
      expect(largestError(ones.of, joint.of), test.name).toBeLessThan(place.tolerance())
      // A tower is of its own task. In an ESMM also of later ones. A bound reaches that of another task.
      for (const [name, own] of heads ? [] : ones.tasks) {
        for (const [index, other] of names.entries()) {
          const towers = [...own].filter(([tensor]) => tensor.startsWith(`tower.${other}.`))
          const none = towers.every(([, values]) => values.every((value) => value === 0))
          expect(none, `${test.name}: ${other} in ${name}`).toBe(model === 'ESMM' ? index > names.indexOf(name) : other !== name)
        }
      }
      // The combination is linear, also that of table rows: it is what the weights times the losses would give.
      const weights = tasks.map((_, index) => 1.5 - index)
      const weighted = {
        ...test,
        tasks: tasks.map((task, index) => ({ ...task, weight: task.weight * (weights[index] ?? NaN) })),
      }
      const want = rowGradients(place, weighted, network).of
      expect(largestError(rowGradients(place, test, taskGradients, weights).of, want), test.name).toBeLessThan(place.tolerance())
    }
  })

  it.each(modelNames.filter((model) => model !== 'ESMM'))('%s: the same with losses of other kinds and bounds', (model) => {
    for (let seed = 0; seed < 6; seed += 1) {
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd, heads: true })
      const { network, tasks, taskGradients } = test
      const ones = tasks.map(() => 1)
      const found = rowGradients(place, test, taskGradients, ones)
      expect(largestError(found.of, rowGradients(place, test, network).of), test.name).toBeLessThan(place.tolerance())
    }
  })

  it.each(modelNames)('%s: their Gram matrix is over what several tasks use, and nothing else', (model) => {
    for (let seed = 0; seed < 6; seed += 1) {
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd })
      const { tasks, taskGradients } = test
      const found = rowGradients(
        place,
        test,
        taskGradients,
        tasks.map(() => 1),
      )
      const stores = [...found.tasks.values()].map((values) => storeOf(test, values))
      const users = (at: number): number => stores.filter((store) => store[at] !== 0).length
      const shared = new Set(
        taskGradients.shared.flatMap(({ offset, width }) => Array.from({ length: width }, (_, k) => offset + k)),
      )
      const all = [...(stores[0] ?? [])].keys()
      expect(
        [...all].filter((at) => users(at) > 1 && !shared.has(at)),
        test.name,
      ).toEqual([])
      expect([...shared].filter((at) => users(at) === 1).length, test.name).toBeLessThanOrEqual(shared.size / 4)
      expect(taskGradients.grams).toHaveLength(shared.size > 0 ? 1 : 0)
      for (const { output, tasks: numbers } of taskGradients.grams) {
        expect(numbers).toEqual([...tasks.keys()])
        let at = output
        for (const [i, one] of stores.entries()) {
          for (const other of stores.slice(i)) {
            const product = [...shared].reduce((sum, index) => sum + (one[index] ?? NaN) * (other[index] ?? NaN), 0)
            const scale = Math.hypot(...one) * Math.hypot(...other)
            expect(Math.abs((found.results[at] ?? NaN) - product), test.name).toBeLessThanOrEqual(place.tolerance() * scale)
            at += 1
          }
        }
      }
    }
  })
})

describe.each(places)('the Gram matrix of representations on $name', (place) => {
  /** Products of the tasks' gradients by the row of fields, from what training keeps of them. */
  async function ofFields(test: RandomNetwork): Promise<number[]> {
    const { network, tasks, rows, taskGradients } = test
    const run = new NetworkRun({ network, tasks, train: taskGradients.rows }, place)
    initialize(run)
    const stored = taskGradients.rows.spec.buffers.flatMap(({ class: kind }, buffer) => (kind === 'stored' ? [buffer] : []))
    const gradients: FloatArray[] = []
    await run.trainInPhases(
      rows,
      { ...still, draw: 1 },
      [
        ['rows', 'rows'],
        ['gradients', 'tables'],
      ],
      (step, done) => {
        if (done === 'rows') for (const buffer of stored.slice(0, tasks.length)) gradients.push(step.readStored(buffer, 0, 70))
      },
    )
    run.dispose()
    return gradients.flatMap((one, i) =>
      gradients.slice(i).map((other) => [...one].reduce((sum, value, at) => sum + value * (other[at] ?? NaN), 0)),
    )
  }

  function found({ network, tasks, rows, representation }: RandomNetwork): number[] {
    const run = new NetworkRun({ network, tasks, train: representation.rows }, place)
    initialize(run)
    const { results } = run.train(rows, { ...still, draw: 1 })
    run.dispose()
    const products = new Map<string, number>()
    for (const { output, tasks: numbers } of representation.grams) {
      let at = output
      for (const [index, one] of numbers.entries())
        for (const other of numbers.slice(index)) {
          products.set(`${one} ${other}`, (products.get(`${one} ${other}`) ?? 0) + (results[at] ?? NaN))
          at += 1
        }
    }
    return tasks.flatMap((_, one) => tasks.slice(one).map((__, other) => products.get(`${one} ${one + other}`) ?? 0))
  }

  // The row of fields is the representation if no layer lies between, so both ways to the same gradients must agree.
  it.each(['MMoE', 'CGC', 'PLE'] as const)('%s: is that of the row of fields, if experts and gates read it', async (model) => {
    for (let seed = 0; seed < 6; seed += 1) {
      const options = { bottomHiddenUnits: [], gateFeatures: undefined, ...(model === 'PLE' && { numLevels: 1 }) }
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd, options })
      const want = await ofFields(test)
      const got = found(test)
      const scale = Math.max(...want.map(Math.abs))
      expect(scale).toBeGreaterThan(0)
      got.forEach((value, at) => {
        expect(Math.abs(value - (want[at] ?? NaN)), `${test.name}: ${at}`).toBeLessThan(place.tolerance() * scale)
      })
    }
  })

  it.each(['SharedBottom', 'OMoE'] as const)('%s: is that of the signal that all towers read', (model) => {
    for (let seed = 0; seed < 6; seed += 1) {
      const options = { towerHiddenUnits: [], dropout: 0 }
      const test = randomNetwork(seed, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd, options })
      // Linear towers: the gradient of a row is that of its logits times the kernel, and so is the tower's own, times the signal.
      const { network, tasks } = test
      const got = found(test)
      const [diagonal] = got
      expect(network.gateLevels.length).toBe(model === 'OMoE' ? 1 : 0)
      expect(got).toHaveLength((tasks.length * (tasks.length + 1)) / 2)
      expect(diagonal).toBeGreaterThan(0)
      // By the inequality of Cauchy and Schwarz.
      let at = 0
      const norms = tasks.map((_, task) => Math.sqrt(got[task * tasks.length - (task * (task - 1)) / 2] ?? NaN))
      for (const [one, norm] of norms.entries())
        for (const other of norms.slice(one)) expect(Math.abs(got[at++] ?? NaN)).toBeLessThanOrEqual(norm * other * (1 + 1e-5))
    }
  })

  it.each(modelNames)('%s: the losses alone are those of training', (model) => {
    for (const heads of [false, model !== 'ESMM']) {
      const options = { dropout: 0.4 }
      const test = randomNetwork(3, { model, rows: 70, size: 9, activations: smooth, optimizer: sgd, options, heads })
      const { network, tasks, rows, losses } = test
      const whole = new NetworkRun(test, place)
      const alone = new NetworkRun({ network, tasks, train: losses }, place)
      for (const run of [whole, alone]) initialize(run)
      const want = Object.entries(whole.train(rows, { ...still, draw: 5 }).scalars).filter(([name]) => name.startsWith('loss:'))
      const got = alone.train(rows, { ...still, draw: 5 }).scalars
      expect(Object.keys(got)).toEqual(want.map(([name]) => name))
      // A smaller program may take more rows at a time, and adds its sums up in another order.
      for (const [name, loss] of want) expect(got[name]).toBeCloseTo(loss, 13)
      for (const run of [whole, alone]) run.dispose()
    }
  })
})

describe.each(modelNames)('%s', (model) => {
  it('has the gradient of its loss', () => {
    for (let seed = 0; seed < 2 * perModel; seed += 1) {
      const heads = seed >= perModel && model !== 'ESMM'
      const test = randomNetwork(seed, { model, rows: 7, size: 4, activations: smooth, optimizer: sgd, heads })
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
    for (let seed = 0; seed < perModel + 6; seed += 1) {
      const heads = seed >= perModel && model !== 'ESMM'
      const test = randomNetwork(seed, { model, rows: 70, size: 24, activations: [...smooth, 'relu'], optimizer: sgd, heads })
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
