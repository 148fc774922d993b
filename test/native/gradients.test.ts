// Programs with several gradients: each buffer has those of its own tasks, whatever other ops read the same weights.

import { describe, expect, it } from 'vitest'

import type { FloatArray, OpSpec, ProgramSpec } from '../../lib/native/binding.js'
import { randomArray, randomOf } from '../../lib/verify/numbers.js'
import { relativeError } from '../support/golden.js'
import { choiceOf, places, reference, type TestPlace } from '../support/places.js'
import { binding, floats, view } from './programs.js'

type Shared = 'dense' | 'mixture'
/** The tasks whose gradients a buffer has, and whether one op has those of all of them (a mixture's) or one each. */
interface Buffer {
  readonly tasks: readonly number[]
  readonly together?: boolean
}

const [tasks, depth, units, experts] = [3, 5, 4, 3] as const
const all = Array.from({ length: tasks }, (_, task) => task)
const weightsOfTasks = [1, 0.25, 2]

/** A layer that all tasks share, a linear tower each, and a squared loss. */
class Built {
  readonly buffers: ProgramSpec['buffers'][number][] = []
  readonly ops: OpSpec[] = []
  #elements = 0

  rows(kind: 'rowInput' | 'activation', width: number) {
    this.buffers.push({ class: kind, dtype: 'f32', width, count: 0 })
    return view(this.buffers.length - 1, 0, width)
  }

  parameter(elements: number) {
    const offset = this.#elements
    this.#elements += elements
    return view(0, offset, elements)
  }

  build(gradients: readonly Buffer[], shared: Shared): ProgramSpec {
    this.buffers.push({ class: 'parameter', dtype: 'f32', width: 1, count: 0 })
    const x = this.rows('rowInput', depth)
    const labels = all.map(() => this.rows('rowInput', 1))
    const signals = all.map(() => ({ y: this.rows('activation', units), dy: this.rows('activation', units) }))
    const layer = shared === 'dense' ? this.#dense(x, signals) : this.#mixture(x, signals)
    const towers = all.map((task) => this.#tower(task, signals[task]?.y, labels[task]))
    const first = this.buffers.length
    const whole = (number: number) => view(first + number, 0, this.#elements)
    const reached = new Set<number>()
    gradients.forEach(({ tasks: own, together = false }, number) => {
      for (const task of own) towers[task]?.(whole(number), reached.has(task) ? null : signals[task]?.dy)
      for (const task of own) reached.add(task)
      for (const some of together ? [own] : own.map((task) => [task])) layer(whole(number), some)
    })
    for (const _ of gradients) this.buffers.push({ class: 'gradient', dtype: 'f32', width: 1, count: this.#elements })
    gradients.forEach((_, number) => {
      this.ops.push({ op: 'reduce_gradients', gradients: whole(number) })
    })
    this.buffers[0] = { class: 'parameter', dtype: 'f32', width: 1, count: this.#elements }
    const denominators = labels.map((label, scalar) => ({ scalar, label, weight: null, reduction: 'valid' as const }))
    return { buffers: this.buffers, ops: this.ops, scalarInputs: 2 * tasks, scalarOutputs: tasks, denominators }
  }

  /** Every task reads the same signal: what it gives is copied, and its gradients come from each task's. */
  #dense(x: ReturnType<typeof view>, signals: readonly { y: ReturnType<typeof view>; dy: ReturnType<typeof view> }[]) {
    const y = this.rows('activation', units)
    const fields = { x, kernel: this.parameter(depth * units), bias: this.parameter(units), z: null, y, activation: 2 }
    this.ops.push({ op: 'dense_forward', ...fields })
    for (const signal of signals) this.ops.push({ op: 'copy_columns', x: y, y: signal.y })
    return (gradients: ReturnType<typeof view>, some: readonly number[]) => {
      for (const task of some)
        this.ops.push({ op: 'dense_backward', ...fields, dy: signals[task]?.dy ?? null, dx: null, gradients, accumulate: 0 })
    }
  }

  #mixture(x: ReturnType<typeof view>, signals: readonly { y: ReturnType<typeof view>; dy: ReturnType<typeof view> }[]) {
    const topology = {
      streams: [x],
      expertStream: Array.from({ length: experts }, () => 0),
      gateStream: all.map(() => 0),
      gateOffset: [0, ...all.map((task) => experts * (task + 1))],
      gateExpert: all.flatMap(() => Array.from({ length: experts }, (_, expert) => expert)),
      expertKernel: [this.parameter(experts * depth * units)],
      expertBias: this.parameter(experts * units),
      gateKernel: all.map(() => this.parameter(depth * experts)),
      gateBias: all.map(() => this.parameter(experts)),
      units,
      activation: 2,
      temperature: 1,
    }
    const gates = this.rows('activation', experts * tasks)
    const kept = this.rows('activation', experts * units)
    this.ops.push({ op: 'mixture_forward', ...topology, outputs: signals.map(({ y }) => y), gates, experts: kept, pre: null })
    let used = false
    return (gradients: ReturnType<typeof view>, some: readonly number[]) => {
      const doutputs = signals.map(({ dy }, task) => (some.includes(task) ? dy : null))
      // The first takes the experts that are kept, the others compute them again.
      const own = { doutputs, dstreams: [null], accumulate: [0], gates, experts: used ? null : kept, pre: null, gradients }
      this.ops.push({ op: 'mixture_backward', ...topology, ...own })
      used = true
    }
  }

  #tower(task: number, y: ReturnType<typeof view> | undefined, label: ReturnType<typeof view> | undefined) {
    if (y === undefined || label === undefined) throw new Error('no such task')
    const [prediction, dprediction] = [this.rows('activation', 1), this.rows('activation', 1)]
    const fields = { x: y, kernel: this.parameter(units), bias: this.parameter(1), z: null, y: prediction, activation: 0 }
    const loss = { denominator: task, loss: task, taskWeight: tasks + task }
    this.ops.push({ op: 'dense_forward', ...fields })
    this.ops.push({ op: 'regression_loss', prediction, dprediction, kind: 0, parameter: 0, label, weight: null, ...loss })
    return (gradients: ReturnType<typeof view>, dx: ReturnType<typeof view> | null = null) => {
      this.ops.push({ op: 'dense_backward', ...fields, dy: dprediction, dx, gradients, accumulate: 0 })
    }
  }
}

/** The gradients of all buffers. */
function run(place: TestPlace, shared: Shared, buffers: readonly Buffer[], { rows = 700, threads = 2 } = {}): FloatArray[] {
  const random = randomOf(3)
  const program = new Built().build(buffers, shared)
  const plan = binding.compile(place.device, program, choiceOf(place))
  const elements = program.buffers[0]?.count ?? 0
  const memories = program.buffers.map(({ class: kind, count }, number) => {
    if (kind !== 'parameter' && kind !== 'gradient') return undefined
    const memory = binding.createMemory(place.device, count)
    plan.bind(number, memory)
    return memory
  })
  memories[0]?.write(0, floats(place.device, [...randomArray(random, elements)]))
  const inputs = [randomArray(random, rows * depth), ...all.map(() => randomArray(random, rows))]
  inputs[1]?.fill(NaN, 0, 50) // labels that are missing
  const scalars = new Float64Array([...all.map(() => 0), ...weightsOfTasks])
  plan.run({ rows, inputs, outputs: [], scalars, threads })
  const gradients = memories.slice(1).flatMap((memory) => memory?.read(0, elements) ?? [])
  plan.dispose()
  for (const memory of memories) memory?.dispose()
  return gradients
}

const sum = (gradients: readonly FloatArray[]): number[] =>
  Array.from(gradients[0] ?? [], (_, index) => gradients.reduce((total, gradient) => total + (gradient[index] ?? NaN), 0))

const single = (own: readonly number[]): Buffer[] => own.map((task) => ({ tasks: [task] }))

describe.each(places)('gradients on $name', (place) => {
  describe.each(['dense', 'mixture'] as const)('of a %s layer', (shared) => {
    const near = (got: ArrayLike<number>, want: ArrayLike<number>): void => {
      expect(Math.max(...Array.from(want, Math.abs))).toBeGreaterThan(1e-3)
      expect(relativeError(got, want)).toBeLessThan(place.tolerance())
    }

    it.each([
      ['two', single([0, 1])],
      ['three', single(all)],
      ['three of some tasks', [{ tasks: [2] }, { tasks: all }, { tasks: [0, 1] }]],
    ])('%s: each is that of its own tasks alone', (_, buffers: readonly Buffer[]) => {
      const gradients = run(place, shared, buffers)
      expect(gradients).toHaveLength(buffers.length)
      buffers.forEach((buffer, number) => {
        near(gradients[number] ?? [], sum(buffer.tasks.map((task) => run(reference, shared, single([task]))[0] as FloatArray)))
      })
    })

    it('sum up to the joint one, by one op or by one for each task', () => {
      const parts = run(place, shared, single(all))
      for (const together of [true, false]) near(run(place, shared, [{ tasks: all, together }])[0] ?? [], sum(parts))
    })

    it.each([1, 5, 700])('of %i rows have the same bits for any number of threads', (rows) => {
      const buffers = [{ tasks: all }, ...single([1, 2])]
      const one = run(place, shared, buffers, { rows, threads: 1 })
      for (const threads of [2, 3, 5]) expect(run(place, shared, buffers, { rows, threads })).toEqual(one)
    })

    it('are of the weights that each task has', () => {
      const [first, second] = run(place, shared, single([0, 1]))
      const others = (gradient: FloatArray | undefined): number[] => Array.from(gradient?.subarray(-2 * (units + 1)) ?? [])
      expect(others(first).every((value) => value === 0)).toBe(true)
      expect(
        others(second)
          .slice(0, units)
          .some((value) => value !== 0),
      ).toBe(true)
    })
  })
})
