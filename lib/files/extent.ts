// The least size of the network that a saved configuration describes, counted from the options alone. A text of a few hundred
// bytes can name a network of millions of layers, whose lowering would take minutes. Loading refuses it if the file is too small.

import type { NetworkFeature } from '../models/network.js'

/** Options that say how often a part occurs; each model has some of them. */
export interface ExtentOptions {
  readonly bottomHiddenUnits?: readonly number[] | undefined
  readonly towerHiddenUnits?: readonly number[] | undefined
  readonly expertHiddenUnits?: readonly number[] | undefined
  readonly gateHiddenUnits?: readonly number[] | undefined
  readonly numLevels?: number | undefined
  readonly numExperts?: number | undefined
  readonly numSharedExperts?: number | undefined
  readonly numSpecificExperts?: number | readonly number[] | undefined
}

/** Lower bounds of what a network holds. */
export interface Extent {
  readonly tensors: number
  readonly weights: number
}

/** The least size of a network with these options. */
export function leastExtent(options: ExtentOptions, features: readonly Pick<NetworkFeature, 'kind'>[], tasks: number): Extent {
  const { numLevels: levels = 1, numExperts, numSharedExperts = 0, numSpecificExperts: specific = 0 } = options
  const length = (units: readonly number[] = []): number => units.length
  const layers = length(options.expertHiddenUnits)
  // Models with `numExperts` have one gate for all tasks, or one per task: count the least.
  const gates = numExperts === undefined ? tasks : 1
  const shared = numExperts ?? numSharedExperts
  const own = typeof specific === 'number' ? specific * tasks : specific.reduce((sum, count) => sum + count, 0)
  const tables = features.filter(({ kind }) => kind !== 'dense').length
  // A layer has a kernel and a bias; a tower also has a last layer; a level stacks its experts.
  const stacks = 2 * length(options.bottomHiddenUnits) + tasks * (2 * length(options.towerHiddenUnits) + 1)
  const mixture = layers === 0 ? 0 : 2 * layers + gates * 2 * length(options.gateHiddenUnits)
  return {
    tensors: tables + stacks + levels * mixture,
    // A gate has one column per expert that it sees.
    weights: layers === 0 ? 0 : levels * ((shared + own) * layers + gates * shared + own),
  }
}
