// Precisions, and on which devices they can be had.

import { expect, it } from 'vitest'

import { checkPrecision, precisions } from '../../lib/core/precision.js'
import { dense } from '../../lib/features/spec/dense.js'
import { MMoE } from '../../lib/index.js'
import { mixtureForward, topology } from '../../lib/ops.js'
import { binary } from '../../lib/tasks/binary.js'
import { refusal } from '../support/refusal.js'

const refused = refusal('UNSUPPORTED', { says: ["'tf32'", "'cpu'", "'bfloat16'"] })

it("'tf32' is of cuda alone", () => {
  expect(precisions.map((precision) => checkPrecision(precision, 'cuda'))).toEqual(['float32', 'tf32', 'bfloat16'])
  expect(() => checkPrecision('tf32', 'cpu')).toThrow(refused)
  expect(() => checkPrecision('float16' as 'float32', 'cuda')).toThrow(
    refusal('ARGUMENT', { field: 'precision', says: ["'float32'", "'tf32'", "'bfloat16'", '"float16"'] }),
  )
})

it('models and ops say so', () => {
  const options = { features: [dense('x')], tasks: [binary('y')], numExperts: 2, expertHiddenUnits: [4] } as const
  expect(() => new MMoE({ ...options, device: 'cpu', precision: 'tf32' })).toThrow(refused)
  const level = topology.mmoe({ inputDim: 1, numExperts: 1, units: 1, numTasks: 1 })
  const params = { expertKernel: new Float32Array(1), expertBias: new Float32Array(1), gateKernel: [new Float32Array(1)] }
  const run = () => mixtureForward(level, params, new Float32Array(1), { device: 'cpu', precision: 'tf32' })
  expect(run).toThrow(refused)
})
