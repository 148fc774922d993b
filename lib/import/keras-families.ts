// The Keras recipe and DeepCTR: the names of their layers in files of Keras.

import { expertsBefore, type Family, type LayerSource, type Norm, numberOf, type Pair, taskOf } from './family.js'
import type { GraphLayer, Source } from './source.js'
import type { TargetLayer } from './target.js'

/** `dense_10` after `dense_9`. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

/** Keras's default. */
const epsilon = 1e-3

/** The kernels, biases and normalizations of a layer, which may be a stack of several. */
interface KerasLayer {
  readonly kernels: readonly string[]
  readonly biases: readonly string[]
  readonly norms: readonly Norm[]
}

const known = new WeakMap<Source, ReadonlyMap<string, KerasLayer>>()

/** The layers of a file by name; those within a layer have its name in front. */
function layersOf(source: Source): ReadonlyMap<string, KerasLayer> {
  const before = known.get(source)
  if (before !== undefined) return before
  const tensors = new Map<string, string[]>()
  for (const name of source.tensors.keys()) {
    const layer = name.slice(0, name.lastIndexOf('/'))
    tensors.set(layer, [...(tensors.get(layer) ?? []), name])
  }
  const isNorm = (layer: string) => /\/batch_normalization(_\d+)?$/.test(layer)
  const rank = (name: string) => source.tensors.get(name)?.shape.length
  const layers = new Map<string, KerasLayer>()
  for (const [layer, names] of tensors) {
    if (isNorm(layer)) continue
    const norms = [...tensors]
      .filter(([other]) => isNorm(other) && other.startsWith(`${layer}/`))
      .sort(([a], [b]) => byNumber(a, b))
    layers.set(layer, {
      kernels: names.filter((name) => rank(name) === 2),
      biases: names.filter((name) => rank(name) === 1),
      norms: norms.flatMap(([, [scale, offset, mean, variance]]) => {
        if (scale === undefined || offset === undefined || mean === undefined || variance === undefined) return []
        return [{ scale, offset, mean, variance, epsilon }]
      }),
    })
  }
  known.set(source, layers)
  return layers
}

/** Layer `index` of a stack. */
export function kerasLayer(source: Source, name: string | undefined, index = 0): LayerSource | undefined {
  const layer = name === undefined ? undefined : layersOf(source).get(name)
  const kernel = layer?.kernels[index]
  return kernel === undefined ? undefined : { kernel, transposed: false, bias: layer?.biases[index], norm: layer?.norms[index] }
}

/** The layers whose names Keras has made from a class, in the order of their making. */
function unnamed(source: Source, pattern: RegExp): string[] {
  return [...layersOf(source).keys()].filter((name) => pattern.test(name)).sort(byNumber)
}

export const deepctr: Family = {
  matches: (source) => [...layersOf(source).keys()].some((name) => /^sparse_(seq_)?emb_/.test(name)),
  table: (feature, { source }) => {
    const layers = layersOf(source)
    return [`sparse_emb_${feature}`, `sparse_seq_emb_${feature}`]
      .map((name) => layers.get(name)?.kernels[0])
      .find((name) => name !== undefined)
  },
  layer(layer, { target, source }) {
    const task = target.tasks.indexOf(layer.owner)
    if (layer.isLast && layer.role === 'tower') {
      const logit = unnamed(source, /^dense(_\d+)?$/)[task]
      const found = kerasLayer(source, logit)
      const bias =
        layersOf(source).get(layer.owner) ?? layersOf(source).get(unnamed(source, /^prediction_layer(_\d+)?$/)[0] ?? '')
      return found && { ...found, bias: bias?.biases[0] }
    }
    if (layer.isLast && layer.role === 'gate')
      return kerasLayer(source, deepctrGate(layer, target.tasks, source, 'gate_softmax_'))
    return kerasLayer(source, deepctrStack(layer, { target, source }), layer.index)
  },
  ownFirst: true,
  unused: /^$/,
}

function deepctrStack(layer: TargetLayer, { target, source }: Pair): string | undefined {
  const { role, level, owner } = layer
  const stacks = () => unnamed(source, /^dnn(_\d+)?$/)
  switch (role) {
    case 'bottom':
      return stacks()[0]
    case 'expert': {
      if (owner.startsWith('expert ')) return `expert_${numberOf(owner)}`
      const task = taskOf(owner, target.tasks)
      return `level_${level}_${task === undefined ? '' : `task_${target.tasks[task]}_`}expert_${task === undefined ? 'shared' : 'specific'}_${numberOf(owner)}`
    }
    case 'gate':
      return deepctrGate(layer, target.tasks, source, 'gate_')
    case 'tower':
      return layersOf(source).has(`tower_${owner}`) ? `tower_${owner}` : stacks()[target.tasks.indexOf(owner)]
  }
}

function deepctrGate({ level, owner }: TargetLayer, tasks: readonly string[], source: Source, prefix: string): string {
  const own = `${prefix}${owner}`
  if (layersOf(source).has(own)) return own
  return `level_${level}_${prefix}${tasks.includes(owner) ? `specific_${owner}` : 'shared'}`
}

/** Lists of Dense layers within the layers of experts and gates, by what they are. */
interface RecipeLists {
  /** By level. */
  readonly levels: readonly Lists[]
  /** The layers with experts, in order. */
  readonly mixtures: readonly string[]
}

interface Lists {
  readonly shared: string[]
  /** By task; of an MMoE and of a list for all tasks, everything is in the first. */
  readonly own: Map<number, string[]>
  readonly gates: string[]
}

/** The lists of Dense layers of a recipe, recognized by the words in their names. */
function recipeOf(source: Source): RecipeLists {
  const names = [...layersOf(source).keys()].sort(byNumber)
  const inner = names.filter((name) => /\/.*(expert|gate)/i.test(name))
  const mixtures = [...new Set(inner.map((name) => name.slice(0, name.indexOf('/'))))]
  const levels = new Map<string, Lists>()
  for (const name of inner) {
    const mixture = name.slice(0, name.indexOf('/'))
    const list = name.slice(mixture.length + 1).toLowerCase()
    const level = `${mixtures.indexOf(mixture)}.${/level_?(\d+)/.exec(list)?.[1] ?? 0}`
    const lists: Lists = levels.get(level) ?? { shared: [], own: new Map(), gates: [] }
    levels.set(level, lists)
    const isShared = /share/.test(list)
    if (/gate/.test(list)) lists.gates.push(name)
    else if (isShared) lists.shared.push(name)
    else {
      const [, byTask, bySpecific] = /task_?(\d+)|specific_?(?:experts?_?)?(\d+)/.exec(list) ?? []
      const task = Number(byTask ?? bySpecific ?? 0)
      lists.own.set(task, [...(lists.own.get(task) ?? []), name])
    }
  }
  // Gates of tasks before the shared one, whatever the alphabet says.
  for (const { gates } of levels.values()) gates.sort((a, b) => Number(/share/i.test(a)) - Number(/share/i.test(b)))
  return { levels: [...levels].sort(([a], [b]) => byNumber(a, b)).map(([, lists]) => lists), mixtures }
}

export const keras: Family = {
  matches: (source) => source.format === 'keras' && recipeOf(source).levels.length > 0,
  table: (feature, { source }) => {
    const embeddings = (source.graph ?? []).filter(({ kind }) => kind === 'Embedding')
    const read = embeddings.find(({ inputs: [input] }) => input?.layer === feature)
    const layers = layersOf(source)
    const names = [read?.name, `embedding_${feature}`, `${feature}_embedding`, `emb_${feature}`, `${feature}_emb`]
    return names.map((name) => layers.get(name ?? '')?.kernels[0]).find((name) => name !== undefined)
  },
  layer(layer, pair) {
    const { source, target } = pair
    const { levels, mixtures } = recipeOf(source)
    const lists = levels[layer.level]
    const depth = depthOf(layer, target.layers)
    const task = target.tasks.indexOf(layer.owner)
    switch (layer.role) {
      case 'expert': {
        if (lists === undefined) return undefined
        const of = taskOf(layer.owner, target.tasks)
        const isShared = of === undefined && !layer.owner.startsWith('expert ')
        if (isShared) return kerasLayer(source, lists.shared[numberOf(layer.owner) * depth + layer.index])
        const isOneList = lists.own.size === 1
        const list = lists.own.get(isOneList ? 0 : (of ?? 0)) ?? []
        const earlier = isOneList && of !== undefined ? expertsBefore(of, layer.level, target) : 0
        return kerasLayer(source, list[(earlier + numberOf(layer.owner)) * depth + layer.index])
      }
      case 'gate':
        return kerasLayer(source, lists?.gates[(task < 0 ? target.tasks.length : task) * depth + layer.index])
      case 'bottom':
        return kerasLayer(source, before(source, mixtures[0])[layer.index])
      case 'tower':
        return (
          kerasLayer(source, after(source, mixtures.at(-1), task)[layer.index]) ??
          (layer.isLast ? kerasLayer(source, layer.owner) : undefined)
        )
    }
  },
  ownFirst: false,
  unused: /^$/,
}

/** How many layers the stack of a layer has. */
function depthOf({ role, level, owner }: TargetLayer, layers: readonly TargetLayer[]): number {
  return layers.filter((layer) => layer.role === role && layer.level === level && layer.owner === owner).length
}

/** Layers that pass on what they read when a model predicts. */
const passing = new Set(['Dropout', 'Activation', 'ReLU', 'GaussianNoise', 'Flatten'])

/** The Dense layers in a row before a layer, first to last. */
function before({ graph = [] }: Source, layer: string | undefined): string[] {
  const inputOf = (name: string | undefined): GraphLayer | undefined => {
    const [input, ...others] = graph.find((other) => other.name === name)?.inputs ?? []
    return others.length > 0 ? undefined : graph.find((other) => other.name === input?.layer)
  }
  return denseOf(graph, inputOf(layer), ({ name }) => inputOf(name)).reverse()
}

/** The Dense layers in a row after an output of a layer, first to last. */
function after({ graph = [] }: Source, layer: string | undefined, output: number): string[] {
  const readerOf = (name: string | undefined, number: number): GraphLayer | undefined =>
    graph.find(({ inputs }) => inputs.some((input) => input.layer === name && input.output === number))
  return denseOf(graph, readerOf(layer, output), ({ name }) => readerOf(name, 0))
}

/** The Dense layers from `first` on, up to a layer that changes what it reads. */
function denseOf(
  graph: readonly GraphLayer[],
  first: GraphLayer | undefined,
  next: (layer: GraphLayer) => GraphLayer | undefined,
): string[] {
  const row: GraphLayer[] = []
  // No longer than the graph, even if a damaged one has a circle.
  for (let at = first; at !== undefined && row.length < graph.length; at = next(at)) {
    if (at.kind !== 'Dense' && !passing.has(at.kind)) break
    row.push(at)
  }
  return row.filter(({ kind }) => kind === 'Dense').map(({ name }) => name)
}
