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
