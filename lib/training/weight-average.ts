// An exponential moving average of the weights: a_t = d_t a_(t-1) + (1 - d_t) w_t after step t, a_0 = w_0. With P_t = d_1 ... d_t, steps keep
// z_t = (a_t - w_t) / P_t, which changes only where a weight does: z_t = z_(t-1) - (w_t - w_(t-1)) / P_(t-1). So rows of tables at rest cost
// nothing, and a = w + P z. See docs/adr/0012.

import { elementsOf } from '../core/layout.js'
import { inSlices, type Sliced } from '../core/slices.js'
import type { FloatArray } from '../native/binding.js'
import type { Place, WeightMemory } from '../runtime/weights.js'

/** How the weights are averaged. */
export interface EmaOptions {
  /** How much of the average each step keeps. Above 0 and below 1. Default 0.999. */
  readonly decay?: number | undefined
  /**
   * Whether the decay rises to this value: step t, from 1, takes min(decay, (1 + t) / (10 + t)), as TensorFlow's ExponentialMovingAverage with
   * `num_updates`. Without it a short run's average is mostly the initial weights. Default true.
   */
  readonly warmup?: boolean | undefined
}

/** The same with every value filled in. */
export interface Ema {
  readonly decay: number
  readonly warmup: boolean
}

const averageName = 'momentAverage'
/** P falls no lower: float32 holds 1 / P and what is multiplied by it. */
const leastLeft = 2 ** -60

/** The averages of a run. While they are shown, they are in the place of the weights; otherwise the weights are. */
export class WeightAverage {
  readonly #ema: Ema
  readonly #weights: WeightMemory
  /** P: what is left of the differences since they were kept. */
  #left = 1
  #shown: boolean

  /** @param shown whether the memories come from a checkpoint, which has the averages as weights. */
  constructor(ema: Ema, weights: WeightMemory, shown: boolean) {
    this.#ema = ema
    this.#weights = weights
    this.#shown = shown
  }

  /** Begins anew: the average is the weights as they are. */
  async begin(): Promise<void> {
    await inSlices(this.#exchange((_, kept) => kept.fill(0)))
    this.#left = 1
    this.#shown = false
  }

  /** Makes ready for steps. */
  async prepare(): Promise<void> {
    if (!this.#shown && this.#left >= leastLeft) return
    await this.show()
    await this.#hide()
  }

  /** The scalars of at most `most` steps after `done` ones: fewer, but at least one, if `prepare` must come before the others. */
  scales(done: number, most: number): number[] {
    const scales: number[] = []
    for (let left = this.#left; scales.length < most && (scales.length === 0 || left >= leastLeft); ) {
      scales.push(1 / left)
      left *= this.#decayOf(done + scales.length)
    }
    return scales
  }

  /** `count` steps after `done` ones have run. */
  ran(done: number, count: number): void {
    for (let step = 1; step <= count; step += 1) this.#left *= this.#decayOf(done + step)
  }

  /** Puts the averages in the place of the weights. */
  async show(): Promise<void> {
    if (this.#shown) return
    const left = this.#left
    await inSlices(
      this.#exchange((weights, kept) => {
        for (let at = 0; at < weights.length; at += 1) {
          const weight = weights[at] ?? NaN
          weights[at] = weight + left * (kept[at] ?? NaN)
          kept[at] = weight
        }
      }),
    )
    this.#shown = true
  }

  /** The shown weights are others now: training goes on from them, and the average with it. */
  async restored(): Promise<void> {
    await inSlices(this.#exchange((weights, kept) => kept.set(weights)))
  }

  /** Puts the weights back. */
  async #hide(): Promise<void> {
    await inSlices(
      this.#exchange((weights, kept) => {
        for (let at = 0; at < weights.length; at += 1) {
          const [average, weight] = [weights[at] ?? NaN, kept[at] ?? NaN]
          weights[at] = weight
          kept[at] = average - weight
        }
      }),
    )
    this.#left = 1
    this.#shown = false
  }

  #decayOf(step: number): number {
    const { decay, warmup } = this.#ema
    return warmup ? Math.min(decay, (1 + step) / (10 + step)) : decay
  }

  /** Changes all weights and what is kept of them, part by part. */
  *#exchange(change: (weights: FloatArray, kept: FloatArray) => void): Sliced<void> {
    for (const kept of this.#weights.moments().filter(({ memory }) => memory.startsWith(averageName))) {
      const weights: Place = { ...kept, memory: weightsOf(kept.memory) }
      const parts = this.#weights.passing(kept)
      let offset = 0
      for (const part of this.#weights.passing(weights)) {
        const own = parts.next().value
        if (own === undefined)
          throw new Error(`the average of ${weights.memory} has fewer than ${elementsOf(weights.shape)} elements`)
        change(part, own)
        this.#weights.write({ memory: weights.memory, offset }, part)
        this.#weights.write({ memory: kept.memory, offset }, own)
        offset += part.length
        yield
      }
    }
  }
}

/** The memory that an average is of. */
function weightsOf(memory: string): string {
  return memory === averageName ? 'parameters' : `table${memory.slice(averageName.length)}`
}
