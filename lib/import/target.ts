// The weights of a network, layer by layer, as other libraries know them: each expert is a stack of its own, though multigate keeps the
// experts of a level in one array.

import type { Network } from '../models/network.js'
import { type Place, weightsOf } from '../runtime/weights.js'

/** A dense layer. */
export interface TargetLayer {
  /** `bottom.0`, `expert.2.0`, `level.0.expert.shared 1.0`, `gate.like.1`, `tower.like.0`. */
  readonly name: string
  readonly role: 'bottom' | 'expert' | 'gate' | 'tower'
  readonly level: number
  /** The expert, gate or task that it belongs to. Empty for a bottom. */
  readonly owner: string
  /** Its number within its stack. */
  readonly index: number
  /** Whether it ends its stack. */
  readonly isLast: boolean
  /** [in, out]. */
  readonly kernel: Place
  /** [out]. Undefined if the layer has none. */
  readonly bias: Place | undefined
  /** Of the last layer of a gate: the experts that its columns weigh, in order. */
  readonly experts?: readonly string[]
}

/** An embedding table. */
export interface TargetTable {
  /** `embedding.userid`. */
  readonly name: string
  readonly feature: string
  readonly place: Place
}

export interface Target {
  readonly layers: readonly TargetLayer[]
  readonly tables: readonly TargetTable[]
  readonly tasks: readonly string[]
  readonly levels: number
}

/** The layers of a network, in its order. */
export function targetOf(network: Network, tasks: readonly string[]): Target {
  const weights = new Map(weightsOf(network).map((weight) => [weight.name, weight]))
  const { levels } = network.experts()
  const layers = [
    ...stack(weights, 'bottom', (index) => `bottom.${index}`, { role: 'bottom', level: 0, owner: '' }),
    ...levels.flatMap((experts, level) => {
      const prefix = weights.has(`level.${level}.expert.bias`) ? `level.${level}.` : ''
      const gates = (network.gateLevels[level] ?? []).flatMap((gate) => {
        const name = `${prefix}gate.${gate.name}`
        const own = stack(weights, name, gateLayer(weights, name), { role: 'gate', level, owner: gate.name })
        return own.map((layer) => (layer.isLast ? { ...layer, experts: gate.experts } : layer))
      })
      return [...expertLayers(weights, prefix, level, experts), ...gates]
    }),
    ...tasks.flatMap((task) =>
      stack(weights, `tower.${task}`, (index) => `tower.${task}.${index}`, { role: 'tower', level: 0, owner: task }),
    ),
  ]
  const tables = network.tables.map(({ name, rows, dim }) => {
    const place = { memory: `table:${name}`, offset: 0, shape: [rows, dim] }
    return { name: `embedding.${name}`, feature: name, place }
  })
  return { layers, tables, tasks, levels: levels.length }
}

type Weights = ReadonlyMap<string, Place>
type Owned = Pick<TargetLayer, 'role' | 'level' | 'owner'>

/** Consecutive dense layers, as long as there is a kernel. */
function stack(weights: Weights, prefix: string, nameOf: (index: number) => string, owned: Owned): TargetLayer[] {
  const layers: TargetLayer[] = []
  for (let index = 0; ; index += 1) {
    const name = nameOf(index)
    const kernel = weights.get(`${name}.kernel`)
    if (kernel === undefined) break
    layers.push({ ...owned, name: `${prefix}.${index}`, index, isLast: false, kernel, bias: weights.get(`${name}.bias`) })
  }
  return layers.map((layer, index) => ({ ...layer, isLast: index === layers.length - 1 }))
}

/** The names of a gate's layers: hidden ones, then its own. */
function gateLayer(weights: Weights, name: string): (index: number) => string {
  const hidden = countHidden(weights, `${name}.hidden`)
  return (index) => (index < hidden ? `${name}.hidden.${index}` : index === hidden ? name : '')
}

function countHidden(weights: Weights, prefix: string): number {
  let count = 0
  while (weights.has(`${prefix}.${count}.bias`)) count += 1
  return count
}

/** The layers of each expert of a level. */
function expertLayers(weights: Weights, prefix: string, level: number, experts: readonly string[]): TargetLayer[] {
  const hidden = countHidden(weights, `${prefix}expert.hidden`)
  return experts.flatMap((owner, expert) => {
    return Array.from({ length: hidden + 1 }, (_, index): TargetLayer => {
      const name = index < hidden ? `${prefix}expert.hidden.${index}` : `${prefix}expert`
      return {
        name: `${prefix}expert.${owner.replace(/^expert /, '')}.${index}`,
        role: 'expert',
        level,
        owner,
        index,
        isLast: index === hidden,
        kernel: slice(kernelOf(weights, name, expert, experts[0] === 'shared 1')),
        bias: slice({ place: weights.get(`${name}.bias`), index: expert }),
      }
    })
  })
}

/**
 * The array with the kernel of an expert, and its place in that. Where experts read several streams, each stream has an array. Those of
 * tasks come first and the shared one last, while the shared experts are the first ones.
 */
function kernelOf(
  weights: Weights,
  name: string,
  expert: number,
  hasShared: boolean,
): { place: Place | undefined; index: number } {
  const whole = weights.get(`${name}.kernel`)
  if (whole !== undefined) return { place: whole, index: expert }
  const streams = [...weights].flatMap(([weight, place]) => {
    const stream = weight.startsWith(`${name}.`) ? /^(\d+)\.kernel$/.exec(weight.slice(name.length + 1))?.[1] : undefined
    return stream === undefined ? [] : [{ stream: Number(stream), place }]
  })
  streams.sort((a, b) => a.stream - b.stream)
  if (hasShared) streams.unshift(...streams.splice(-1))
  let index = expert
  for (const { place } of streams) {
    const [count = 0] = place.shape
    if (index < count) return { place, index }
    index -= count
  }
  return { place: undefined, index }
}

function slice({ place, index }: { readonly place: Place | undefined; readonly index: number }): Place {
  if (place === undefined) throw new Error('an expert has no weights')
  const shape = place.shape.slice(1)
  return { memory: place.memory, offset: place.offset + index * shape.reduce((product, size) => product * size, 1), shape }
}
