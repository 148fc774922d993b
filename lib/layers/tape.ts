// How layers connect. A signal is a row value and the place of its gradient. The tape emits forward ops at once, and keeps each layer's
// backward to emit them in reverse order. A layer never asks who reads its output.

import type { ParameterGroup, Table, Tensor } from '../core/layout.js'
import type { OptionalView, View } from '../core/op-fields.js'
import { columnsOf, type ProgramBuilder } from '../core/program.js'

/** Where a reader writes its gradient: the first one writes, later ones add. A null view: nothing needs the gradient. */
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
   * @param gradient may be narrower than `value`: it then belongs to the first columns.
   * @param parts separate signals that are columns of this one and share its gradient.
   */
  constructor(value: View, gradient: OptionalView, parts: readonly Signal[] = []) {
    this.value = value
    this.#gradient = gradient
    this.#parts = parts
  }

  /** Whether something needs its gradient. */
  get takesGradient(): boolean {
    return this.#gradient !== null
  }

  /** The gradient that the readers wrote; null if none did. */
  gradient(): OptionalView {
    return this.#written ? this.#gradient : null
  }

  /** Whether something before it is trained, so that its gradient has a use. */
  get learns(): boolean {
    return this.#gradient !== null
  }

  /** Where a reader writes its gradient. Ask in the order in which the ops are emitted. */
  target(): GradientTarget {
    const accumulate = this.#isWritten() ? 1 : 0
    this.#mark()
    return { view: this.#gradient, accumulate }
  }

  /** Forgets the gradient, also that of its parts: the readers of another backward pass write it anew. */
  clear(): void {
    this.#written = false
    for (const part of this.#parts) part.clear()
  }

  /** Whether there is a gradient to add to. For a signal with parts: in all of its columns, or in none. */
  #isWritten(): boolean {
    const parts = this.#parts.filter((part) => part.#gradient !== null)
    const written = parts.filter((part) => part.#written).length
    if (written > 0 && written < parts.length) {
      throw new Error(
        'a signal has a gradient in some of its columns only: emit the layer that reads all of them after the layers that read some',
      )
    }
    return this.#written || written > 0
  }

  #mark(): void {
    this.#written = true
    for (const part of this.#parts) part.#mark()
  }
}

/** What dropout may follow: hidden layers by their group, and mixes of experts. */
export type DropoutPlace = ParameterGroup | 'mix'

/** Dropout in training: each element is 0 with probability `rate`, else divided by 1 - `rate`. One rate, or one per place. */
export interface Dropout {
  readonly rate: number | Readonly<Record<DropoutPlace, number>>
  readonly seed: number
}

/** Noise on the logits of gates in training. */
export interface GateNoise {
  /** Standard deviation of what is added to each logit. */
  readonly deviation: number
  /** Probability that an expert has no weight for a row. */
  readonly dropout: number
}

/** Whether a tensor or a table stays as it is. */
export type IsFrozen = (weights: Tensor | Table) => boolean

/** An observer of the mixtures. Each mixture asks it once where to write, first for its gates. */
export interface MixtureWatch {
  /** The place of the gates' probabilities. */
  gates(gates: readonly WatchedGate[], columns: number): View
  /** The place of the experts' outputs, side by side. Undefined: they are not asked for. */
  readonly experts?: ((names: readonly string[], units: number) => View) | undefined
}

/** A gate and the names of the experts that it sees, in the order of its columns. */
export interface WatchedGate {
  readonly name: string
  readonly experts: readonly string[]
}

/** Signals that stand for what the tasks share. */
interface Representation {
  readonly signals: readonly Signal[]
  /** Number of layers before them. */
  readonly layers: number
}

export class Tape {
  readonly program: ProgramBuilder
  /** Called by every mixture, in the order of the levels. */
  readonly watch: MixtureWatch | undefined
  readonly #dropout: Dropout
  /** Default: all weights are trained. */
  readonly isFrozen: IsFrozen
  readonly #backward: (() => void)[] = []
  readonly #signals: Signal[] = []
  #gradients: string | undefined | null
  #representation: Representation | undefined
  /** Count of signals that dropout may follow. Each has its own random numbers. */
  #dropped = 0
  /** Count of gates that may have noise. */
  #gates = 0

  constructor(
    program: ProgramBuilder,
    dropout: Dropout = { rate: 0, seed: 0 },
    watch?: MixtureWatch,
    isFrozen: IsFrozen = () => false,
  ) {
    this.program = program
    this.watch = watch
    this.#dropout = dropout
    this.isFrozen = isFrozen
  }

  /** Whether a backward pass follows. */
  get training(): boolean {
    return this.program.training
  }

  /** Whether the output of a layer has a use for a gradient: one of its tensors is trained, or something before it. */
  learns(inputs: readonly Signal[], tensors: readonly Tensor[] = []): boolean {
    return inputs.some((input) => input.learns) || tensors.some((tensor) => !this.isFrozen(tensor))
  }

  /** A row activation, with a gradient if it learns and a backward pass follows. `value` places it elsewhere, such as in a row output. */
  signal(width: number, learns = true, value: View = this.program.activation(width)): Signal {
    const signal = new Signal(value, this.training && learns ? this.program.activation(width) : null)
    this.#signals.push(signal)
    return signal
  }

  /** Applies dropout; outside training, or at rate 0, returns `x` itself. Nothing else may read `x`. */
  dropout(x: Signal, place: DropoutPlace): Signal {
    const { rate: rates, seed } = this.#dropout
    const rate = typeof rates === 'number' ? rates : rates[place]
    // Count places without dropout too: so the rate of one does not change what others drop.
    const stream = this.#dropped++
    if (!this.training || rate === 0) return x
    const y = this.signal(x.value.width, x.learns)
    const draw = { seed, stream, step: this.program.scalar('draw'), rate }
    this.program.op('dropout', { x: x.value, y: y.value, ...draw })
    this.record(() => {
      const dy = y.gradient()
      if (dy === null) return
      const { view: dx, accumulate } = x.target()
      if (accumulate === 1) throw new Error('a signal with dropout has another reader')
      if (dx !== null) this.program.op('dropout', { x: columnsOf(dy, 0, dx.width), y: dx, ...draw })
    })
    return y
  }

  /** Applies noise to the logits of a gate; outside training, or without noise, returns `x` itself. Nothing else may read `x`. */
  gateNoise(x: Signal, { deviation, dropout }: GateNoise): Signal {
    const stream = this.#gates++
    if (!this.training || (deviation === 0 && dropout === 0)) return x
    const y = this.signal(x.value.width, x.learns)
    const draw = { seed: this.#dropout.seed, stream, step: this.program.scalar('draw') }
    this.program.op('gate_noise', { x: x.value, y: y.value, ...draw, deviation, dropout })
    this.record(() => {
      const dy = y.gradient()
      if (dy === null) return
      const { view: dx, accumulate } = x.target()
      if (accumulate === 1) throw new Error('logits with noise have another reader')
      // The softmax gives dropped experts a gradient of 0.
      if (dx !== null) this.program.op('copy_columns', { x: dy, y: dx })
    })
    return y
  }

  /** Keeps how to emit a layer's backward ops. Does nothing if no backward pass follows. */
  record(backward: () => void): void {
    if (this.training) this.#backward.push(backward)
  }

  /** Says which signals stand for what the tasks share. Of several calls the last one counts. */
  represent(signals: readonly Signal[]): void {
    this.#representation = { signals, layers: this.#backward.length }
  }

  /** The signals that stand for what the tasks share. */
  get representation(): readonly Signal[] {
    return this.#representation?.signals ?? []
  }

  /** The gradient buffer of the backward pass that is being emitted; null for a pass without gradients of parameters. */
  gradients(): OptionalView {
    return this.#gradients === null ? null : this.program.gradients(this.#gradients)
  }

  /**
   * Emits the backward ops of all layers, last layer first, from the signals whose gradients were written. Each call is a pass of its own
   * over the signals that the tape made; gradients of other signals, such as the fields', add up over the passes.
   *
   * @param gradients the name of the program's gradient buffer to which the pass adds; default: the one without a name.
   */
  backward(gradients?: string): void {
    this.#pass(this.#backward, gradients)
    for (const signal of this.#signals) signal.clear()
  }

  /**
   * The same down to `representation` alone, without gradients of parameters. `use` gets the gradient of each of its signals, null if the
   * pass has none, before they are forgotten.
   */
  backwardToRepresentation(use: (gradients: readonly OptionalView[]) => void): void {
    if (this.#representation === undefined) throw new Error('no signals stand for what the tasks share')
    const { signals, layers } = this.#representation
    this.#pass(this.#backward.slice(layers), null)
    use(signals.map((signal) => signal.gradient()))
    for (const signal of [...this.#signals, ...signals]) signal.clear()
  }

  #pass(layers: readonly (() => void)[], gradients: string | undefined | null): void {
    this.#gradients = gradients
    for (const emit of layers.toReversed()) emit()
  }
}
