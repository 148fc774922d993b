// The tape: gradients in reverse order, added where a signal is read twice.

import { describe, expect, it } from 'vitest'

import { zeros } from '../../lib/core/initializers.js'
import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { topology } from '../../lib/core/topology.js'
import { denseStack } from '../../lib/layers/dense.js'
import { Mixture } from '../../lib/layers/mixture.js'
import { Signal, Tape } from '../../lib/layers/tape.js'
import { opsNamed } from '../support/ops.js'

const dense = { group: 'tower', activation: 'gelu', initializer: 'glorotUniform' } as const

function tapeOf(layout: Layout, training = true): Tape {
  return new Tape(new ProgramBuilder(layout, { training }))
}

function source(tape: Tape, width: number): Signal {
  return new Signal(tape.program.rowInput('x', width), tape.training ? tape.program.stored(width) : null)
}

/** Marks a signal as read, as a loss would. */
function consume(...signals: Signal[]): void {
  for (const signal of signals) signal.target()
}

describe('backward', () => {
  it('runs layers in reverse, each writing the gradient that the one below reads', () => {
    const layout = new Layout()
    const stack = denseStack(layout, { ...dense, name: 'tower', inputDim: 3, hiddenUnits: [4], linearUnits: 1 })
    const tape = tapeOf(layout)
    const x = source(tape, 3)
    const y = stack.forward(tape, x)
    consume(y)
    tape.backward()
    const { ops } = tape.program.build().spec
    expect(ops.map(({ op }) => op)).toEqual(['dense_forward', 'dense_forward', 'dense_backward', 'dense_backward'])
    const [second, first] = opsNamed(ops, 'dense_backward')
    expect(second?.dx).toEqual(first?.dy)
    expect(first?.dx).toEqual(x.gradient())
  })

  it('lets the first reader of a signal write and later ones add', () => {
    const layout = new Layout()
    const towers = ['a', 'b', 'c'].map((name) =>
      denseStack(layout, { ...dense, name, inputDim: 3, hiddenUnits: [], linearUnits: 1 }),
    )
    const tape = tapeOf(layout)
    const x = source(tape, 3)
    consume(...towers.map((tower) => tower.forward(tape, x)))
    tape.backward()
    const backward = opsNamed(tape.program.build().spec.ops, 'dense_backward')
    expect(backward.map(({ accumulate }) => accumulate)).toEqual([0, 1, 1])
  })

  it('gives a mixture no upstream gradient for a gate that nobody reads', () => {
    const layout = new Layout()
    const mixture = new Mixture(layout, {
      topology: topology.mmoe({ inputDim: 3, numExperts: 2, units: 2, numTasks: 2 }),
      gateNames: ['a', 'b'],
      expertInitializer: 'glorotUniform',
      gateInitializer: 'glorotUniform',
    })
    const tape = tapeOf(layout)
    const [first] = mixture.forward(tape, [source(tape, 3)])
    if (first) consume(first)
    tape.backward()
    const backward = tape.program.build().spec.ops.at(-1)
    expect(backward).toMatchObject({ op: 'mixture_backward', doutputs: [{}, null], accumulate: [0] })
  })

  it('runs once more from other signals, into another gradient', () => {
    const layout = new Layout()
    const mixture = new Mixture(layout, {
      topology: topology.mmoe({ inputDim: 3, numExperts: 2, units: 2, numTasks: 2 }),
      gateNames: ['a', 'b'],
      expertInitializer: 'glorotUniform',
      gateInitializer: 'glorotUniform',
    })
    const towers = ['a', 'b'].map((name) => denseStack(layout, { ...dense, name, inputDim: 2, hiddenUnits: [], linearUnits: 1 }))
    const tape = new Tape(new ProgramBuilder(layout, { training: true }), { rate: 0.5, seed: 1 })
    const outputs = mixture.forward(tape, [source(tape, 3)])
    const logits = towers.map((tower, task) => tower.forward(tape, outputs[task] ?? source(tape, 2)))
    for (const [task, logit] of logits.entries()) {
      consume(logit)
      tape.backward(`task ${task}`)
    }
    const { spec, bindings } = tape.program.build()
    const into = [bindings['gradients:task 0'], bindings['gradients:task 1']]
    expect(opsNamed(spec.ops, 'dense_backward').map(({ gradients }) => gradients?.buffer)).toEqual(into)
    const [first, second] = opsNamed(spec.ops, 'mixture_backward')
    expect([first?.gradients?.buffer, second?.gradients?.buffer]).toEqual(into)
    // Each pass has the gradient of its own task. The first one uses up the experts; the second adds to the gradient of the stream.
    expect(first).toMatchObject({ doutputs: [{}, null], experts: {}, accumulate: [0] })
    expect(second).toMatchObject({ doutputs: [null, {}], experts: null, pre: null, accumulate: [1] })
    expect(second?.gates).toEqual(first?.gates)
    expect(opsNamed(spec.ops, 'dropout')).toHaveLength(2 + 2)
  })

  it('skips a mixture and a dropout that no reader has a gradient for', () => {
    const layout = new Layout()
    const make = (prefix: string) =>
      new Mixture(layout, {
        topology: topology.mmoe({ inputDim: 3, numExperts: 2, units: 2, numTasks: 1 }),
        prefix,
        gateNames: ['a'],
        expertInitializer: 'glorotUniform',
        gateInitializer: 'glorotUniform',
      })
    const mixtures = [make('one.'), make('other.')]
    const tape = new Tape(new ProgramBuilder(layout, { training: true }), { rate: 0.5, seed: 1 })
    const x = source(tape, 3)
    const [one] = mixtures.map((mixture) => mixture.forward(tape, [x])[0])
    if (one) consume(one)
    tape.backward()
    const { ops } = tape.program.build().spec
    expect(opsNamed(ops, 'mixture_backward')).toMatchObject([{ accumulate: [0] }])
    expect(opsNamed(ops, 'dropout')).toHaveLength(2 + 1)
  })

  it('leaves nothing of it in a program that only predicts', () => {
    const layout = new Layout()
    const stack = denseStack(layout, { ...dense, name: 'tower', inputDim: 3, hiddenUnits: [4] })
    const tape = tapeOf(layout, false)
    stack.forward(tape, source(tape, 3))
    tape.backward()
    expect(tape.program.build().spec.ops).toMatchObject([{ op: 'dense_forward', z: null }])
  })
})

describe('parameters', () => {
  it('stack experts by stream, drawn one by one with the fans of one expert', () => {
    const layout = new Layout()
    new Mixture(layout, {
      topology: topology.level({
        streams: [6, 2],
        experts: [{ stream: 1 }, { stream: 0 }, { stream: 1 }],
        gates: [{ stream: 0, experts: [0, 1, 2] }],
        units: 4,
        gateBias: true,
      }),
      gateNames: ['like'],
      expertInitializer: 'heUniform',
      gateInitializer: 'zeros',
    })
    expect(layout.tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ['expert.0.kernel', [1, 6, 4]],
      ['expert.1.kernel', [2, 2, 4]],
      ['expert.bias', [3, 4]],
      ['gate.like.kernel', [6, 3]],
      ['gate.like.bias', [3]],
    ])
    expect(layout.tensors[1]).toMatchObject({ streams: [1, 2], initializer: { high: Math.sqrt(3) } })
    expect(layout.tensors[3]).toMatchObject({ group: 'gate', role: 'kernel', initializer: zeros })
  })
})
