// Batches for balancers: losses, and Gram matrices of gradients that are made here.

import type { Balancer } from '../../lib/balancing/balancer.js'
import type { Batch } from '../../lib/balancing/method.js'
import { balancerOf, parseBalancing } from '../../lib/balancing/registry.js'

export const names = (count: number): string[] => Array.from({ length: count }, (_, task) => `t${task}`)

/** A balancer from options as users write them. */
export function made(balance: unknown, tasks: number | readonly string[], seed = 7): Balancer {
  return balancerOf(parseBalancing(balance), { tasks: typeof tasks === 'number' ? names(tasks) : tasks, seed })
}

export function gramOf(gradients: readonly (readonly number[])[]): Float64Array {
  return Float64Array.from(gradients.flatMap((a) => gradients.map((b) => dot(a, b))))
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < a.length; at += 1) sum += (a[at] ?? 0) * (b[at] ?? 0)
  return sum
}

export interface Given {
  readonly step?: number
  readonly losses?: readonly number[]
  readonly gradients?: readonly (readonly number[])[]
  readonly gram?: Float64Array
  readonly present?: readonly number[]
}

export function batchOf({ step = 1, losses, gradients, gram, present }: Given): Batch {
  const count = losses?.length ?? gradients?.length ?? Math.sqrt(gram?.length ?? 0)
  return {
    step,
    losses: Float64Array.from(losses ?? Array<number>(count).fill(1)),
    gram: gram ?? (gradients === undefined ? new Float64Array(count * count) : gramOf(gradients)),
    present: Uint8Array.from(present ?? Array<number>(count).fill(1)),
  }
}

export function weightsOf(balancer: Balancer, given: Given): number[] {
  const batch = batchOf(given)
  const weights = new Float64Array(batch.losses.length)
  balancer.weigh(batch, weights)
  return Array.from(weights)
}

/** sum_t weights[t] gradients[t] */
export function combined(weights: readonly number[], gradients: readonly (readonly number[])[]): number[] {
  return (gradients[0] ?? []).map((_, at) =>
    dot(
      weights,
      gradients.map((gradient) => gradient[at] ?? 0),
    ),
  )
}

/** Numbers in [-1, 1), the same in every run. */
export function noise(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    return state / 2 ** 30 - 1
  }
}

export function randomGradients(tasks: number, width: number, seed: number): number[][] {
  const draw = noise(seed)
  for (let k = 0; k < 10; k += 1) draw()
  return Array.from({ length: tasks }, () => Array.from({ length: width }, draw))
}

/** Points of the simplex of `count` weights, on a grid of `parts`. */
export function* simplex(count: number, parts: number): Generator<number[]> {
  if (count === 1) yield [1]
  else
    for (let own = 0; own <= parts; own += 1)
      if (own === parts) yield [1, ...Array<number>(count - 1).fill(0)]
      else
        for (const rest of simplex(count - 1, parts - own))
          yield [own / parts, ...rest.map((part) => (part * (parts - own)) / parts)]
}

/** The least value of a function on the simplex, found on a grid that is refined around its best point. */
export function leastOnSimplex(
  count: number,
  value: (weights: readonly number[]) => number,
): { weights: number[]; value: number } {
  const evaluated = (weights: number[]) => ({ weights, value: value(weights) })
  const vertex = (at: number) => Array.from({ length: count }, (_, task) => (task === at ? 1 : 0))
  let best = evaluated(vertex(0))
  for (const weights of simplex(count, 12)) {
    const tried = evaluated(weights)
    if (tried.value < best.value) best = tried
  }
  // Pattern search: weight moves from one task to another, by smaller and smaller amounts.
  for (let size = 1 / 12; size > 1e-13; ) {
    let better = false
    for (let from = 0; from < count; from += 1)
      for (let to = 0; to < count; to += 1) {
        const moved = Math.min(size, best.weights[from] ?? 0)
        if (from === to || moved === 0) continue
        const tried = evaluated(best.weights.map((weight, at) => weight + (at === to ? moved : at === from ? -moved : 0)))
        if (tried.value < best.value) [best, better] = [tried, true]
      }
    if (!better) size /= 2
  }
  return best
}
