// A stack of dense layers: hidden ones with an activation, then optionally a linear one, such as a tower's logit.

import { type Activation, activationCodes, needsPreActivation } from '../core/activation.js'
import { type InitializerOption, initializerOf, zeros } from '../core/initializers.js'
import type { Layout, ParameterGroup, Tensor } from '../core/layout.js'
import type { Signal, Tape } from './tape.js'

export interface DenseStackOptions {
  /** Tensors are called `<name>.<layer>.kernel` and `.bias`. */
  readonly name: string
  readonly group: ParameterGroup
  /** The task of a tower. */
  readonly task?: string | undefined
  readonly inputDim: number
  readonly hiddenUnits: readonly number[]
  /** Activation of the hidden layers. */
  readonly activation: Activation
  /** Units of a final linear layer; undefined: no such layer. */
  readonly linearUnits?: number | undefined
  readonly initializer: InitializerOption
}

export interface DenseStack {
  readonly outputDim: number
  /** Without layers the output is the input. Dropout follows each hidden layer. */
  forward(tape: Tape, x: Signal): Signal
}

/** A layer with or without a bias. */
export interface AnyDenseLayer {
  readonly kernel: Tensor
  readonly bias?: Tensor | undefined
  readonly units: number
  readonly activation: Activation
}

export interface DenseLayer extends AnyDenseLayer {
  readonly bias: Tensor
}

/** Declares the tensors of a stack. */
export function denseStack(layout: Layout, options: DenseStackOptions): DenseStack {
  const { linearUnits } = options
  const widths = linearUnits === undefined ? options.hiddenUnits : [...options.hiddenUnits, linearUnits]
  let inputDim = options.inputDim
  const layers = widths.map((units, index) => {
    const layer = declareLayer(layout, options, index, inputDim, units)
    inputDim = units
    return layer
  })
  return {
    outputDim: inputDim,
    forward: (tape, x) =>
      layers.reduce((signal, layer, index) => {
        const y = denseForward(tape, signal, layer)
        return index < options.hiddenUnits.length ? tape.dropout(y, options.group) : y
      }, x),
  }
}

function declareLayer(
  layout: Layout,
  { name, group, task, hiddenUnits, activation, initializer }: DenseStackOptions,
  index: number,
  inputDim: number,
  units: number,
): DenseLayer {
  const kernel = layout.tensor({
    name: `${name}.${index}.kernel`,
    shape: [inputDim, units],
    group,
    role: 'kernel',
    task,
    initializer: initializerOf(initializer, inputDim, units),
  })
  const bias = layout.tensor({ name: `${name}.${index}.bias`, shape: [units], group, role: 'bias', task, initializer: zeros })
  return { kernel, bias, units, activation: index < hiddenUnits.length ? activation : 'linear' }
}

/** The tensors of a layer. */
export function tensorsOf({ kernel, bias }: AnyDenseLayer): Tensor[] {
  return bias === undefined ? [kernel] : [kernel, bias]
}

/** y = activation(x kernel + bias), written to `y` if given. */
export function denseForward(
  tape: Tape,
  x: Signal,
  layer: AnyDenseLayer,
  y: Signal = tape.signal(layer.units, tape.learns([x], tensorsOf(layer))),
): Signal {
  const { program } = tape
  const parameters = {
    kernel: program.parameter(layer.kernel),
    bias: layer.bias === undefined ? null : program.parameter(layer.bias),
  }
  const z = tape.training && needsPreActivation(layer.activation) ? program.activation(layer.units) : null
  const fields = { x: x.value, ...parameters, z, y: y.value, activation: activationCodes[layer.activation] }
  program.op('dense_forward', fields)
  tape.record(() => {
    const dy = y.gradient()
    if (dy === null) return
    const { view: dx, accumulate } = x.target()
    program.op('dense_backward', { ...fields, dy, dx, gradients: tape.gradients(), accumulate })
  })
  return y
}
