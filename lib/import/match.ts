// Finds a tensor for every weight of a network, and checks shapes before anything is read.

import { quote } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { Place } from '../runtime/weights.js'
import type { Family, LayerSource, Norm, Pair } from './family.js'
import type { Source, SourceTensor } from './source.js'
import type { TargetLayer } from './target.js'

/** A layer and its tensors. */
export interface LayerMatch {
  readonly layer: TargetLayer
  readonly kernel: SourceTensor
  readonly transposed: boolean
  readonly bias: SourceTensor | undefined
  readonly norm: (Readonly<Record<Exclude<keyof Norm, 'epsilon'>, SourceTensor>> & { readonly epsilon: number }) | undefined
  /** For each column of the layer, that of the tensor. Undefined if the order is the same. */
  readonly columns: readonly number[] | undefined
}

export interface TableMatch {
  readonly name: string
  readonly place: Place
  readonly tensor: SourceTensor
}

export interface Match {
  readonly layers: readonly LayerMatch[]
  readonly tables: readonly TableMatch[]
  /** Tensors that no weight needs. */
  readonly unused: readonly string[]
}

/** How the caller helps. */
export interface MatchOptions {
  /** Names of the file by names of layers and tables here. */
  readonly names: Readonly<Record<string, string>>
  readonly unused: 'error' | 'ignore'
}

/**
 * @param named the tensors under a name that the caller gives for a layer.
 * @throws ERR_MULTIGATE_ARGUMENT naming the first weight without a tensor or with one of another shape, or a tensor without use.
 */
export function match(
  family: Family,
  pair: Pair,
  named: (name: string) => LayerSource | undefined,
  options: MatchOptions,
): Match {
  const { source, target } = pair
  checkNames(pair, options.names)
  const used = new Set<string>()
  const take = (name: string): SourceTensor | undefined => {
    const tensor = source.tensors.get(name)
    if (tensor !== undefined) used.add(name)
    return tensor
  }
  const tables = target.tables.map(({ name, feature, place }): TableMatch => {
    const given = options.names[name]
    const from = given === undefined ? family.table(feature, pair) : source.tensors.has(given) ? given : named(given)?.kernel
    const tensor = from === undefined ? undefined : take(from)
    if (tensor === undefined) throw missing(name, source, given ?? from)
    checkShape(name, tensor, place.shape, source)
    return { name, place, tensor }
  })
  const layers = target.layers.map((layer): LayerMatch => {
    const given = options.names[layer.name]
    const from = given === undefined ? family.layer(layer, pair) : named(given)
    const kernel = from && take(from.kernel)
    if (from === undefined || kernel === undefined) throw missing(layer.name, source, given ?? from?.kernel)
    const [width = 0, units = 0] = layer.kernel.shape
    checkShape(`${layer.name}.kernel`, kernel, from.transposed ? [units, width] : [width, units], source)
    const vector = (what: string, name: string): SourceTensor => {
      const tensor = take(name)
      if (tensor === undefined) throw missing(`${layer.name}.${what}`, source, name)
      checkShape(`${layer.name}.${what}`, tensor, [units], source)
      return tensor
    }
    const { norm } = from
    return {
      layer,
      kernel,
      transposed: from.transposed,
      bias: from.bias === undefined ? undefined : vector('bias', from.bias),
      norm: norm && {
        scale: vector('norm', norm.scale),
        offset: vector('norm', norm.offset),
        mean: vector('norm', norm.mean),
        variance: vector('norm', norm.variance),
        epsilon: norm.epsilon,
      },
      columns: family.ownFirst ? columnsOf(layer) : undefined,
    }
  })
  const unused = [...source.tensors.keys()].filter((name) => !used.has(name) && !family.unused.test(name))
  if (unused.length > 0 && options.unused === 'error') throw left(source, unused)
  return { layers, tables, unused }
}

function checkNames({ target }: Pair, names: Readonly<Record<string, string>>): void {
  const known = [...target.layers, ...target.tables].map(({ name }) => name)
  const wrong = Object.keys(names).find((name) => !known.includes(name))
  if (wrong === undefined) return
  throw argumentError(`importWeights.names: expected names of ${some(known)}, found ${quote(wrong)}`, 'importWeights.names')
}

function missing(name: string, source: Source, wanted: string | undefined): ArgumentError {
  const what = wanted === undefined ? 'a tensor' : `a tensor ${quote(wanted)}`
  const next = `if the file has it, say where: names: { ${quote(name)}: '...' }`
  return argumentError(
    `importWeights: ${name}: expected ${what} in ${source.path}, found ${some([...source.tensors.keys()])}; ${next}`,
    name,
  )
}

function left(source: Source, names: readonly string[]): ArgumentError {
  const what = `importWeights: ${source.path} has ${names.length} tensors that this model does not need: ${some(names)}`
  return argumentError(`${what}; build the model as that of the file, or pass unused: 'ignore'`, 'importWeights.unused')
}

function checkShape(name: string, tensor: SourceTensor, shape: readonly number[], { path }: Source): void {
  if (tensor.shape.join() === shape.join()) return
  const found = `[${tensor.shape.join(', ')}] of ${quote(tensor.name)} in ${path}`
  const next = 'build the model with the sizes of the file, features in its order'
  throw argumentError(`importWeights: ${name}: expected a tensor of shape [${shape.join(', ')}], found ${found}; ${next}`, name)
}

function argumentError(message: string, field: string): ArgumentError {
  return new ArgumentError(message, { field })
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, 12).map(quote).join(', ')
  return names.length > 12 ? `${shown} and ${names.length - 12} more` : shown
}

/** Where a file has each column of a gate, if it puts a task's own experts before the shared ones. */
function columnsOf({ experts }: TargetLayer): readonly number[] | undefined {
  if (experts === undefined) return undefined
  const isShared = (name: string): boolean => /^shared \d+$/.test(name)
  const theirs = [...experts.filter((name) => !isShared(name)), ...experts.filter(isShared)]
  const columns = experts.map((name) => theirs.indexOf(name))
  return columns.every((column, index) => column === index) ? undefined : columns
}
