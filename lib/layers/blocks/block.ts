// A block stands between the fields and the experts, at the bottom of a model. All tasks share it.

import type { Activation } from '../../core/activation.js'
import type { InitializerOption } from '../../core/initializers.js'
import type { Layout } from '../../core/layout.js'
import type { Fields } from '../inputs.js'
import type { Signal, Tape } from '../tape.js'

export interface BlockOptions {
  /** Width of the row of all fields. */
  readonly inputDim: number
  /** Widths of hidden layers, first to last. */
  readonly hiddenUnits: readonly number[]
  readonly activation: Activation
  readonly initializer: InitializerOption
}

export interface Block {
  readonly outputDim: number
  /** Turns the fields, or the row of all fields, into one signal. */
  forward(tape: Tape, x: Fields): Signal
}

/** Declares the tensors of a block, in the group `bottom`. */
export type BlockBuilder = (layout: Layout, options: BlockOptions) => Block
