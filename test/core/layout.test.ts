// Where tensors lie in one memory, and from which stream each is drawn.

import { describe, expect, it } from 'vitest'

import { zeros } from '../../lib/core/initializers.js'
import { Layout } from '../../lib/core/layout.js'

const kernel = { group: 'expert', role: 'kernel', initializer: zeros } as const

describe('Layout', () => {
  it('starts every tensor on a multiple of 16 elements', () => {
    const layout = new Layout()
    expect(layout.tensor({ ...kernel, name: 'a', shape: [3, 7] }).offset).toBe(0)
    expect(layout.tensor({ ...kernel, name: 'b', shape: [16] }).offset).toBe(32)
    expect(layout.tensor({ ...kernel, name: 'c', shape: [1] }).offset).toBe(48)
    expect(layout.elements).toBe(64)
  })

  it('keeps offsets beyond 2^31 exact', () => {
    const layout = new Layout()
    layout.tensor({ ...kernel, name: 'large', shape: [65_536, 65_537] })
    expect(layout.tensor({ ...kernel, name: 'after', shape: [1] }).offset).toBe(65_536 * 65_537)
  })

  it('draws every expert of a stack, and every table, from a stream of its own', () => {
    const layout = new Layout()
    const stack = layout.tensor({ ...kernel, name: 'stack', shape: [3, 2, 2], stacked: true })
    const plain = layout.tensor({ ...kernel, name: 'plain', shape: [3, 2] })
    const table = layout.table({ name: 'ids', rows: 4, dim: 2, initializer: zeros })
    expect([...stack.streams, ...plain.streams, table.stream]).toEqual([0, 1, 2, 3, 4])
  })

  it('refuses a name twice', () => {
    const layout = new Layout()
    layout.tensor({ ...kernel, name: 'a', shape: [1] })
    expect(() => layout.tensor({ ...kernel, name: 'a', shape: [1] })).toThrow('named a')
  })
})
