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
  readonly #parts: readonly Signal[]
  #written = false

  /**
   * @param gradient may be narrower than `value`: then it is the gradient of the first columns.
   * @param parts signals of their own that are columns of this one, and share its gradient.
   */
  constructor(value: View, gradient: OptionalView, parts: readonly Signal[] = []) {
    this.value = value
    this.#gradient = gradient
    this.#parts = parts
  }

  /** The gradient that its readers have left; absent if none of them wrote one. */
  gradient(): OptionalView {
    return this.#written ? this.#gradient : null
  }

  /** Where a reader puts its gradient. To be asked for in the order in which the ops are emitted. */
  target(): GradientTarget {
    const accumulate = this.#isWritten() ? 1 : 0
    this.#mark()
    return { view: this.#gradient, accumulate }
  }

  /** Whether there is something to add to. Of a signal with parts: in all of its columns, or in none. */
  #isWritten(): boolean {
    const parts = this.#parts.filter((part) => part.#gradient !== null)
    const written = parts.filter((part) => part.#written).length
    if (written > 0 && written < parts.length) {
      throw new Error(
        'some columns of a signal have a gradient and others none: a layer that reads columns must read all of them',
      )
    }
    return this.#written || written > 0
  }

  #mark(): void {
    this.#written = true
    for (const part of this.#parts) part.#mark()
  }
}

/** Dropout in training: each element of a hidden layer is 0 with probability `rate`, else divided by 1 - `rate`. */
export interface Dropout {
  readonly rate: number
  readonly seed: number
}

/** What looks on while a model is emitted: it is told of every mixture, and where it wants its gates' probabilities. */
export type GateWatch = (gates: readonly WatchedGate[], columns: number) => View

/** A gate and the experts that it sees, by name, in the order of its columns. */
export interface WatchedGate {
  readonly name: string
  readonly experts: readonly string[]
}

export class Tape {
  readonly program: ProgramBuilder
  /** Asked by every mixture, in the order of the levels. */
  readonly watch: GateWatch | undefined
  readonly #dropout: Dropout
  readonly #backward: (() => void)[] = []
  /** Dropped signals so far: each has its own random numbers. */
  #dropped = 0

  constructor(program: ProgramBuilder, dropout: Dropout = { rate: 0, seed: 0 }, watch?: GateWatch) {
    this.program = program
    this.watch = watch
    this.#dropout = dropout
  }

  /** Whether a backward pass follows. */
  get training(): boolean {
    return this.program.training
  }

  /** A row activation, with a gradient if a backward pass follows. `value` places it elsewhere, in a row output say. */
  signal(width: number, value: View = this.program.activation(width)): Signal {
    return new Signal(value, this.training ? this.program.activation(width) : null)
  }

  /** The signal with dropout; the signal itself outside training, or without. Nothing else may read `x`. */
  dropout(x: Signal): Signal {
    const { rate, seed } = this.#dropout
    if (!this.training || rate === 0) return x
    const y = this.signal(x.value.width)
    const draw = { seed, stream: this.#dropped, step: this.program.scalar('draw'), rate }
    this.#dropped += 1
    this.program.op('dropout', { x: x.value, y: y.value, ...draw })
    this.record(() => {
      const dy = y.gradient()
      const { view: dx, accumulate } = x.target()
      if (accumulate === 1) throw new Error('a signal with dropout has another reader')
      if (dy !== null && dx !== null) this.program.op('dropout', { x: dy, y: dx, ...draw })
    })
    return y
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
