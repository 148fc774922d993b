// No plug-in: 'auto' takes the CPU and tells why, 'cuda' is an error that tells why. Never a silent or a late switch.

import { beforeAll, expect, it } from 'vitest'

import { seesGpu } from '../../lib/core/device.js'
import { devices, type FitPlan } from '../../lib/index.js'
import { mixtureForward, topology } from '../../lib/ops.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const path = '/nowhere/libmultigate_cuda.so'
const reason = `there is no readable CUDA plug-in at ${path}; \`npx multigate build --cuda\` builds it where nvcc is installed`

// Read when a device is first looked for, in this process of this file.
beforeAll(() => {
  process.env.MULTIGATE_CUDA_PATH = path
})

it('is told among the devices', () => {
  expect(devices().find(({ name }) => name === 'cuda')).toEqual({ name: 'cuda', available: false, reason })
})

it("'auto' trains on the CPU and says why, to those who have a GPU", async () => {
  using net = model({ device: 'auto' })
  expect(net.device).toEqual(expect.objectContaining({ name: 'cpu', reason }))
  let plan: FitPlan | undefined
  await net.fit(data({ rows: 300 }), { epochs: 1, callbacks: [{ onStart: (started) => void (plan = started) }] })
  expect(plan).toEqual(expect.objectContaining({ device: 'cpu', fallback: seesGpu() ? reason : undefined }))
})

it("'cuda' is refused, by a model when it is made and by an op when it is called", () => {
  const refused = (code: string) => refusal(code, { says: reason })
  expect(() => model({ device: 'cuda' })).toThrow(refused('DEVICE'))
  const level = topology.mmoe({ inputDim: 1, numExperts: 1, units: 1, numTasks: 1 })
  const params = { expertKernel: new Float32Array(1), expertBias: new Float32Array(1), gateKernel: [new Float32Array(1)] }
  const run = () => mixtureForward(level, params, new Float32Array(1), { device: 'cuda' })
  expect(run).toThrow(refused('UNSUPPORTED'))
  expect(mixtureForward(level, params, new Float32Array(1), { device: 'auto' }).outputs).toEqual([new Float32Array(1)])
})

it('a path that is not absolute, and a file that is no plug-in, are told apart', () => {
  const cuda = () => devices().find(({ name }) => name === 'cuda')?.reason
  process.env.MULTIGATE_CUDA_PATH = 'libmultigate_cuda.so'
  expect(cuda()).toContain("is 'libmultigate_cuda.so', expected an absolute path")
  process.env.MULTIGATE_CUDA_PATH = import.meta.filename
  expect(cuda()).toContain('the CUDA plug-in does not load')
})
