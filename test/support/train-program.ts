import type { OptimizerRule } from '../../lib/layers/update.js'
import type { LoweredProgram, Network, NetworkTask } from '../../lib/models/network.js'
import type { CommonOptions } from '../../lib/models/options.js'
import { lowerStep, stepOptions } from '../../lib/training/step-program.js'

/** A network and the program of its training step, as tests run them. */
export interface TestNetwork {
  readonly network: Network
  readonly train: LoweredProgram
  readonly tasks: readonly NetworkTask[]
}

/** A lowered network with the training step of its options and optimizer. */
export function testNetwork(
  network: Network,
  tasks: readonly NetworkTask[],
  options: CommonOptions,
  optimizer: OptimizerRule,
): TestNetwork {
  const training = { optimizer, rate: 'learningRate' } as const
  return {
    network,
    tasks,
    train: lowerStep(
      network,
      stepOptions(options, (weights) => ('temperature' in weights && weights.temperature !== undefined ? null : training)),
    ),
  }
}
