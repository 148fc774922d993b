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
  it('puts rows ops in front of step ops, each in the order emitted', () => {
    const program = builder()
    program.step('reduce_gradients', { gradients: program.gradients() })
    program.rows('copy_columns', { x: program.rowInput('x', 2), y: program.activation(2) })
    expect(program.build().spec.ops.map(({ op }) => op)).toEqual(['copy_columns', 'reduce_gradients'])
  })

  it('names row inputs, outputs, bindings and scalars by buffer and number', () => {
    const program = builder()
    const x = program.rowInput('x', 2)
    expect(program.rowInput('x', 2)).toBe(x)
    program.parameters()
    program.rowOutput('like', 1)
    program.scalarInput('step')
    expect(program.scalarInput('learningRate')).toBe(1)
    expect(program.scalarInput('step')).toBe(0)
    const { rowInputs, rowOutputs, bindings, scalarInputs, spec } = program.build()
    expect({ rowInputs, rowOutputs, bindings, scalarInputs }).toEqual({
      rowInputs: ['x'],
      rowOutputs: ['like'],
      bindings: { parameters: 1 },
      scalarInputs: { step: 0, learningRate: 1 },
    })
    expect(spec.buffers[1]).toEqual({ class: 'parameter', dtype: 'f32', width: 1, count: 16 })
  })

  it('refuses columns outside a view', () => {
    expect(() => columnsOf({ buffer: 0, offset: 4, width: 3 }, 2, 2)).toThrow('outside')
  })
})
