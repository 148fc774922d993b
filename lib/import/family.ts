// What a family of models calls its layers. A family turns a layer of multigate into the names of its tensors in a file.

import type { Source } from './source.js'
import type { Target, TargetLayer } from './target.js'

/** Where a layer lies in a file. */
export interface LayerSource {
  /** The tensor of the kernel. */
  readonly kernel: string
  /** Whether the kernel is [out, in], as PyTorch keeps it. */
  readonly transposed: boolean
  /** The tensor of the bias. Undefined if there is none. */
  readonly bias: string | undefined
  /** The batch normalization between this layer and its activation. */
  readonly norm?: Norm | undefined
}

/** Tensors of a batch normalization. */
export interface Norm {
  readonly scale: string
  readonly offset: string
  readonly mean: string
  readonly variance: string
  readonly epsilon: number
}

/** A model and a file. */
export interface Pair {
  readonly target: Target
  readonly source: Source
}

export interface Family {
  /** Whether the file looks like one of this family. */
  readonly matches: (source: Source) => boolean
  /** The tensor of a feature's table, undefined if there is none. */
  readonly table: (feature: string, pair: Pair) => string | undefined
  /** The tensors of a layer, undefined if there are none. */
  readonly layer: (layer: TargetLayer, pair: Pair) => LayerSource | undefined
  /** Whether gates weigh a task's own experts before the shared ones. multigate puts the shared ones first. */
  readonly ownFirst: boolean
  /** Tensors that a model does not need, such as counts of batches. */
  readonly unused: RegExp
}

/** The number of an expert within its group, from 0: 1 for `shared 2`. */
export function numberOf(expert: string): number {
  return Number(/\d+$/.exec(expert)?.[0] ?? 1) - 1
}

/** The number of the task whose own expert this is. Undefined for a shared one. */
export function taskOf(expert: string, tasks: readonly string[]): number | undefined {
  const task = tasks.indexOf(expert.replace(/ \d+$/, ''))
  return task < 0 ? undefined : task
}

/** How many experts of earlier tasks there are at a level, for lists of the experts of all tasks. */
export function expertsBefore(task: number, level: number, { layers, tasks }: Target): number {
  return layers.filter((layer) => {
    if (layer.role !== 'expert' || layer.level !== level || layer.index > 0) return false
    const other = taskOf(layer.owner, tasks)
    return other !== undefined && other < task
  }).length
}
