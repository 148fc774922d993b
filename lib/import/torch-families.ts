// DeepCTR-Torch and torch-rechub: the names of their modules in a dictionary of tensors.

import { expertsBefore, type Family, type LayerSource, type Norm, numberOf, type Pair, taskOf } from './family.js'
import type { Source } from './source.js'
import type { TargetLayer } from './target.js'

/** PyTorch's default. */
const epsilon = 1e-5

/** A linear module, with the normalization of another module behind it if there is one. */
export function linear({ tensors }: Source, module: string, norm?: string): LayerSource | undefined {
  const [kernel, bias] = [`${module}.weight`, `${module}.bias`]
  if (!tensors.has(kernel)) return undefined
  return {
    kernel,
    transposed: true,
    bias: tensors.has(bias) ? bias : undefined,
    norm: norm === undefined ? undefined : normOf(tensors, norm),
  }
}

function normOf(tensors: Source['tensors'], module: string): Norm | undefined {
  const mean = `${module}.running_mean`
  if (!tensors.has(mean)) return undefined
  return { scale: `${module}.weight`, offset: `${module}.bias`, mean, variance: `${module}.running_var`, epsilon }
}

/** The first of these that is there. */
function firstOf(...layers: readonly (LayerSource | undefined)[]): LayerSource | undefined {
  return layers.find((layer) => layer !== undefined)
}

const counts = /(^|\.)num_batches_tracked$/

export const deepctrTorch: Family = {
  matches: ({ tensors }) => [...tensors.keys()].some((name) => name.startsWith('embedding_dict.')),
  table: (feature) => `embedding_dict.${feature}.weight`,
  layer(layer, pair) {
    const module = deepctrModule(layer, pair)
    return firstOf(
      linear(pair.source, `${module}.linears.${layer.index}`, `${module}.bn.${layer.index}`),
      deepctrLast(layer, pair),
    )
  },
  ownFirst: true,
  // The shared gate of a PLE's last level is there, but nothing reads it.
  unused: new RegExp(`${counts.source}|^shared_gate_dnn|^linear_model\\.`),
}

/** The stack of a layer. */
function deepctrModule({ role, level, owner }: TargetLayer, { target }: Pair): string {
  const task = target.tasks.indexOf(owner)
  switch (role) {
    case 'bottom':
      return 'bottom_dnn'
    case 'expert': {
      if (owner.startsWith('expert ')) return `expert_dnn.${numberOf(owner)}`
      const of = taskOf(owner, target.tasks)
      return `${of === undefined ? `shared_experts.${level}.0` : `specific_experts.${level}.${of}`}.${numberOf(owner)}`
    }
    case 'gate':
      if (target.levels === 1 && task >= 0 && !isPle(target)) return `gate_dnn.${task}`
      return task >= 0 ? `specific_gate_dnn.${level}.${task}.0` : `shared_gate_dnn.${level}`
    case 'tower':
      return isFunnel(target) ? (['ctr_dnn', 'cvr_dnn'][task] ?? '') : `tower_dnn.${task}`
  }
}

function deepctrLast({ role, level, owner, isLast }: TargetLayer, { target, source }: Pair): LayerSource | undefined {
  if (!isLast) return undefined
  const task = target.tasks.indexOf(owner)
  if (role === 'gate') {
    const gate = `gate_dnn_final_layer.${task}`
    const ofLevel = task >= 0 ? `specific_gate_dnn_final_layer.${level}.${task}` : `shared_gate_dnn_final_layer.${level}`
    return firstOf(linear(source, gate), linear(source, ofLevel))
  }
  if (role !== 'tower') return undefined
  const names = [`tower_dnn_final_layer.${task}`, ...(isFunnel(target) ? [`${['ctr', 'cvr'][task]}_dnn_final_layer`] : [])]
  const found = firstOf(...names.map((name) => linear(source, name)))
  const bias = [`out.${task}.bias`, 'out.bias'].find((name) => source.tensors.has(name))
  return found && { ...found, bias }
}

/** Whether experts belong to tasks. */
function isPle({ layers }: Pair['target']): boolean {
  return layers.some(({ role, owner }) => role === 'expert' && !owner.startsWith('expert '))
}

/** Whether towers read the features, so that the model is an ESMM. */
function isFunnel({ layers }: Pair['target']): boolean {
  return layers.every(({ role }) => role === 'tower')
}

export const torchRechub: Family = {
  matches: ({ tensors }) => [...tensors.keys()].some((name) => /^embedding\.embed_dict\./.test(name)),
  table: (feature) => `embedding.embed_dict.${feature}.weight`,
  layer(layer, pair) {
    const mlp = `${rechubModule(layer, pair)}.mlp`
    // Linear, normalization, activation, dropout.
    const at = 4 * layer.index
    return linear(pair.source, `${mlp}.${at}`, `${mlp}.${at + 1}`)
  },
  ownFirst: true,
  unused: counts,
}

function rechubModule({ role, level, owner }: TargetLayer, { target }: Pair): string {
  const task = target.tasks.indexOf(owner)
  const cgc = `cgc_layers.${level}`
  switch (role) {
    case 'bottom':
      return 'bottom_mlp'
    case 'expert': {
      if (owner.startsWith('expert ')) return `experts.${numberOf(owner)}`
      const of = taskOf(owner, target.tasks)
      if (of === undefined) return `${cgc}.experts_shared.${numberOf(owner)}`
      return `${cgc}.experts_specific.${expertsBefore(of, level, target) + numberOf(owner)}`
    }
    case 'gate':
      if (!isPle(target)) return `gates.${task}`
      return task >= 0 ? `${cgc}.gates_specific.${task}` : `${cgc}.gate_shared`
    case 'tower':
      return isFunnel(target) ? (['tower_ctr', 'tower_cvr'][task] ?? '') : `towers.${task}`
  }
}
