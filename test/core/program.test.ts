// A program: the order of its ops, the names of its inputs and outputs, and columns outside a view.

import { describe, expect, it } from 'vitest'
import { zeros } from '../../lib/core/initializers.js'
import { Layout } from '../../lib/core/layout.js'
import { columnsOf, ProgramBuilder } from '../../lib/core/program.js'

function builder(): ProgramBuilder {
  const layout = new Layout()
  layout.tensor({ name: 'kernel', shape: [2, 2], group: 'tower', role: 'kernel', initializer: zeros })
  return new ProgramBuilder(layout, { training: true })
}

describe('ProgramBuilder', () => {
  it('puts ops in the order of their phases, those of a phase in the order emitted', () => {
    const program = builder()
    program.op('reduce_gradients', { gradients: program.gradients() })
    program.op('copy_columns', { x: program.rowInput('x', 2), y: program.activation(2) })
    expect(program.build().spec.ops.map(({ op }) => op)).toEqual(['copy_columns', 'reduce_gradients'])
  })

  it('names row inputs, outputs, bindings and scalars by buffer and number', () => {
    const program = builder()
    const x = program.rowInput('x', 2)
    expect(program.rowInput('x', 2)).toBe(x)
    program.parameters()
    program.rowOutput('like', 1)
    program.scalar('step')
    expect(program.scalar('learningRate')).toBe(1)
    expect(program.scalar('step')).toBe(0)
    expect(program.loss('like', { label: x, weight: null, reduction: 'valid' })).toEqual({ loss: 0, denominator: 2 })
    expect(program.taskWeight('like')).toBe(3)
    expect(program.penalty('tower')).toBe(1)
    const { rowInputs, rowOutputs, bindings, scalars, taskWeights, losses, penalties, spec } = program.build()
    expect({ rowInputs, rowOutputs, bindings, scalars, taskWeights, losses, penalties }).toEqual({
      rowInputs: ['x'],
      rowOutputs: ['like'],
      bindings: { parameters: 1 },
      scalars: { step: 0, learningRate: 1 },
      taskWeights: [{ task: 'like', scalar: 3 }],
      losses: [{ task: 'like', output: 0, denominator: 0 }],
      penalties: [{ of: 'tower', output: 1 }],
    })
    expect([spec.scalarInputs, spec.scalarOutputs]).toEqual([4, 2])
    expect(spec.denominators).toEqual([{ scalar: 2, label: x, weight: null, reduction: 'valid' }])
    expect(spec.buffers[1]).toEqual({ class: 'parameter', dtype: 'f32', width: 1, count: 16 })
  })

  it('goes on from another program over the same buffers', () => {
    const first = builder()
    const x = first.rowInput('x', 2)
    first.op('copy_columns', { x, y: first.activation(2) })
    first.scalar('draw')
    first.loss('like', { label: x, weight: null, reduction: 'valid' })
    const gradients = first.gradients()
    first.op('reduce_gradients', { gradients })
    const program = first.build()
    const layout = { tensors: [], elements: 16 }
    const second = ProgramBuilder.after(program, layout)
    expect(second.build()).toEqual(program)
    expect(second.rowInput('x', 2)).toEqual(x)
    expect(second.gradients()).toEqual(gradients)
    expect([second.scalar('draw'), second.scalar('step'), second.penalty('tower')]).toEqual([0, 2, 1])
    second.op('copy_columns', { x, y: second.activation(2) })
    expect(second.build().spec.ops.map(({ op }) => op)).toEqual(['copy_columns', 'copy_columns', 'reduce_gradients'])
    expect(program.spec.ops).toHaveLength(2)
  })

  it('has several gradients by their names', () => {
    const program = builder()
    const [sum, own] = [program.gradients(), program.gradients('like')]
    expect(program.gradients('like')).toEqual(own)
    const { bindings, spec } = program.build()
    expect(bindings).toEqual({ gradients: sum.buffer, 'gradients:like': own.buffer })
    expect(spec.buffers.map(({ class: kind, count }) => [kind, count])).toEqual([
      ['gradient', 16],
      ['gradient', 16],
    ])
  })

  it('refuses columns outside a view', () => {
    expect(() => columnsOf({ buffer: 0, offset: 4, width: 3 }, 2, 2)).toThrow('outside')
  })
})
