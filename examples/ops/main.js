// The fused mixture on plain arrays: forward, gradients, and gradient descent by hand.
//   node examples/ops/main.js

import { mixtureForward, mixtureGrad, topology } from 'multigate/ops'

const [n, d, e, h, t] = [512, 8, 4, 6, 2]
// Make the topology once and keep it, because compiled programs are cached with it.
const layer = topology.mmoe({ inputDim: d, numExperts: e, units: h, numTasks: t, activation: 'tanh' })

let state = 1
const random = () => ((state = (state * 16_807) % 2_147_483_647) / 2_147_483_647) * 2 - 1
const array = (length, scale = 1) => Float32Array.from({ length }, () => scale * random())
const params = {
  expertKernel: array(e * d * h, 0.5), // [e, d, h]
  expertBias: new Float32Array(e * h),
  gateKernel: [array(d * e, 0.5), array(d * e, 0.5)], // one [d, e] per task
}
const x = array(n * d)
// The target of each task: the sum of one half of the columns, in every unit.
const targets = [0, 1].map((task) => {
  const sum = (row) => x.subarray(row * d + (task * d) / 2, row * d + ((task + 1) * d) / 2).reduce((a, b) => a + b, 0)
  return Float32Array.from({ length: n * h }, (_, at) => sum(Math.floor(at / h)) / 3)
})

for (let step = 0; step <= 300; step++) {
  const { outputs } = mixtureForward(layer, params, x)
  const errors = outputs.map((output, task) => output.map((value, at) => value - targets[task][at]))
  if (step % 100 === 0) {
    const losses = errors.map((error) => (error.reduce((sum, value) => sum + value * value, 0) / error.length).toFixed(4))
    console.log(`step ${step}  mean squared error ${losses.join(' and ')}`)
  }
  const { dparams } = mixtureGrad(layer, params, x, errors)
  const descend = (weights, gradient) => weights.forEach((_, at) => (weights[at] -= (2 / n) * gradient[at]))
  descend(params.expertKernel, dparams.expertKernel)
  descend(params.expertBias, dparams.expertBias)
  params.gateKernel.forEach((kernel, task) => descend(kernel, dparams.gateKernel[task]))
}
