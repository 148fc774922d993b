// What layers talk through: a signal is a row value and the place of its gradient; the tape emits forward ops at once and
// remembers each layer's backward, to emit them in reverse. A layer never asks who reads its output.

import type { OptionalView, View } from '../core/op-fields.js'
import type { ProgramBuilder } from '../core/program.js'

/** Where one reader's gradient goes: the first writes, later ones add. No view: nobody wants it. */
export interface GradientTarget {
  readonly view: OptionalView
  readonly accumulate: 0 | 1
}

export class Signal {
  readonly value: View
  readonly #gradient: OptionalView
  #written = false

  /** `gradient` may be narrower than `value`: then it is the gradient of the first columns. */
  constructor(value: View, gradient: OptionalView) {
    this.value = value
    this.#gradient = gradient
  }

  /** The gradient that its readers have left; absent if none of them wrote one. */
  gradient(): OptionalView {
    return this.#written ? this.#gradient : null
  }

  /** Where a reader puts its gradient. To be asked for in the order in which the ops are emitted. */
  target(): GradientTarget {
    const accumulate = this.#written ? 1 : 0
    this.#written = true
    return { view: this.#gradient, accumulate }
  }
}

export class Tape {
  readonly program: ProgramBuilder
  readonly #backward: (() => void)[] = []

  constructor(program: ProgramBuilder) {
    this.program = program
  }

  /** Whether a backward pass follows. */
  get training(): boolean {
    return this.program.training
  }

  /** A row activation, with a gradient if a backward pass follows. `value` places it elsewhere, in a row output say. */
  signal(width: number, value: View = this.program.activation(width)): Signal {
    return new Signal(value, this.training ? this.program.activation(width) : null)
  }

  /** Remembers how to emit a layer's backward ops; nothing where no backward pass follows. */
  record(backward: () => void): void {
    if (this.training) this.#backward.push(backward)
  }

  /** Emits the backward ops of all layers, last layer first. */
  backward(): void {
    for (const emit of this.#backward.reverse()) emit()
    this.#backward.length = 0
  }
}
