import { expect, it } from 'vitest'

import { checkPrecision, precisions } from '../../lib/core/precision.js'
import { dense } from '../../lib/features/spec/dense.js'
import { MMoE } from '../../lib/index.js'
import { mixtureForward, topology } from '../../lib/ops.js'
import { binary } from '../../lib/tasks/binary.js'

const refused = {
  code: 'ERR_MULTIGATE_UNSUPPORTED',
  message: expect.stringMatching(/precision: 'tf32' is of GPUs alone.*device 'cpu'.*'bfloat16'/),
}

it("'tf32' is of cuda alone", () => {
  expect(precisions.map((precision) => checkPrecision(precision, 'cuda'))).toEqual(['float32', 'tf32', 'bfloat16'])
  expect(() => checkPrecision('tf32', 'cpu')).toThrow(expect.objectContaining(refused))
  expect(() => checkPrecision('float16' as 'float32', 'cuda')).toThrow(
    `precision: expected one of 'float32', 'tf32', 'bfloat16', found "float16"`,
  )
})

it('models and ops say so', () => {
  const options = { features: [dense('x')], tasks: [binary('y')], numExperts: 2, expertHiddenUnits: [4] } as const
  expect(() => new MMoE({ ...options, device: 'cpu', precision: 'tf32' })).toThrow(expect.objectContaining(refused))
  const level = topology.mmoe({ inputDim: 1, numExperts: 1, units: 1, numTasks: 1 })
  const params = { expertKernel: new Float32Array(1), expertBias: new Float32Array(1), gateKernel: [new Float32Array(1)] }
  const run = () => mixtureForward(level, params, new Float32Array(1), { device: 'cpu', precision: 'tf32' })
  expect(run).toThrow(expect.objectContaining(refused))
})
