import type { Table, Tensor } from '../../lib/core/layout.js'
import type { OptimizerRule } from '../../lib/layers/update.js'
import type { LoweredProgram, Network, NetworkTask } from '../../lib/models/network.js'
import type { CommonOptions } from '../../lib/models/options.js'
import { adam } from '../../lib/optimizers/adam.js'
import { lowerStep, stepOptions } from '../../lib/training/step-program.js'

/** A network and the program of its training step, as tests run them. */
export interface TestNetwork {
  readonly network: Network
  readonly train: LoweredProgram
  readonly tasks: readonly NetworkTask[]
}

/** A lowered network with the training step of its options and optimizer. Dense weights take Adam beside an optimizer for tables alone. */
export function testNetwork(
  network: Network,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
  optimizer: OptimizerRule,
): TestNetwork {
  const training = { optimizer, rate: 'learningRate' } as const
  const ofDense = optimizer.name === 'rowwiseAdagrad' ? ({ optimizer: adam(), rate: 'learningRate' } as const) : training
  const trainingOf = (weights: Tensor | Table) => {
    if (!('group' in weights)) return training
    return weights.temperature === undefined ? ofDense : null
  }
  return { network, tasks, train: lowerStep(network, stepOptions(options, trainingOf)) }
}
