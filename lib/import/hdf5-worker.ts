// A thread that reads one HDF5 file of Keras by the optional package h5wasm. A damaged file can end the package's code for good, or keep it
// busy for ever: then only this thread is lost. A tensor is named after its layer: `<layer>/<list within the layer>/<layer of the
// list>/<number>`, or in older files `<layer>/<weight>`.

import { parentPort, workerData } from 'node:worker_threads'

import type { Dataset, File, Group } from 'h5wasm/node'

import type { Reply, Request } from './hdf5.js'

/** Deeper than layers within layers go. */
const mostDepth = 32

type Package = typeof import('h5wasm/node')

interface Named {
  readonly name: string
  readonly dataset: Dataset
}

function* datasetsOf(h5: Package, file: File): Generator<Named> {
  const names = file.keys()
  if (names.includes('layers')) yield* ofLayers(h5, group(h5, file, 'layers'))
  else yield* ofOlderFile(h5, names.includes('model_weights') ? group(h5, file, 'model_weights') : file)
}

/** Keras 3: a group per layer, whose name is an attribute, with its own weights in `vars` and layers within it beside that. */
function* ofLayers(h5: Package, layers: Group): Generator<Named> {
  for (const key of layers.keys()) {
    const layer = layers.get(key)
    if (layer instanceof h5.Group) yield* ofLayer(h5, layer, String(nameOf(h5, layer) ?? key), 0)
  }
}

function* ofLayer(h5: Package, layer: Group, name: string, depth: number): Generator<Named> {
  if (depth > mostDepth) throw new Error(`layers within layers go deeper than ${mostDepth}`)
  for (const key of layer.keys().sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))) {
    const item = layer.get(key)
    if (item instanceof h5.Dataset) yield { name: `${name}/${key}`, dataset: item }
    if (item instanceof h5.Group) yield* ofLayer(h5, item, key === 'vars' ? name : `${name}/${key}`, depth + 1)
  }
}

function nameOf(h5: Package, layer: Group): unknown {
  const own = layer.keys().includes('vars') ? layer.get('vars') : null
  return own instanceof h5.Group ? own.attrs['name']?.value : undefined
}

/** Keras 2 and before: the attributes name the layers, and the weights of each in order. */
function* ofOlderFile(h5: Package, weights: Group): Generator<Named> {
  for (const layer of textsOf(weights.attrs['layer_names']?.value)) {
    const found = group(h5, weights, layer)
    for (const name of textsOf(found.attrs['weight_names']?.value)) {
      const dataset = found.get(name)
      if (!(dataset instanceof h5.Dataset)) throw new Error(`layer "${layer}" has no weight "${name}"`)
      yield { name: name.replace(/:0$/, ''), dataset }
    }
  }
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : typeof value === 'string' ? [value] : []
}

function group(h5: Package, parent: Group, name: string): Group {
  const found = parent.get(name)
  if (!(found instanceof h5.Group)) throw new Error(`it has no group "${name}"`)
  return found
}

/** Rows of a dataset, as numbers in an array of their own. Undefined for a dataset of something else. */
function rowsOf(dataset: Dataset, from: number, to: number): Float32Array | Float64Array | undefined {
  const [, ...rest] = dataset.shape ?? []
  const isScalar = (dataset.shape ?? []).length === 0
  const value: unknown = isScalar
    ? dataset.value
    : dataset.slice([[from, to], ...rest.map((size): [number, number] => [0, size])])
  if (value instanceof Float32Array || value instanceof Float64Array) return value.slice()
  if (typeof value === 'number') return Float64Array.of(value)
  if (value instanceof Int32Array || value instanceof BigInt64Array)
    return Float64Array.from(value as Iterable<number | bigint>, Number)
  return undefined
}

async function main(path: string, reply: (message: Reply, transfer?: readonly ArrayBuffer[]) => void): Promise<void> {
  const h5 = await import(/* webpackIgnore: true */ /* turbopackIgnore: true */ /* @vite-ignore */ 'h5wasm/node').catch(
    (cause: unknown) => {
      reply({ kind: 'missing', cause })
      return undefined
    },
  )
  if (h5 === undefined) return
  const { activate_throwing_error_handler: throwErrors } = await h5.ready
  throwErrors() // else they are printed
  const failed = (error: unknown) =>
    reply({ kind: 'failed', message: String(error instanceof Error ? error.message : error).split('\n')[0] ?? '' })
  try {
    const named = [...datasetsOf(h5, new h5.File(path, 'r'))]
    parentPort?.on('message', ({ tensor, from, to }: Request) => {
      try {
        const values = named[tensor] && rowsOf(named[tensor].dataset, from, to)
        reply({ kind: 'rows', values }, values === undefined ? [] : [values.buffer as ArrayBuffer])
      } catch (error) {
        failed(error)
      }
    })
    reply({ kind: 'opened', tensors: named.map(({ name, dataset }) => ({ name, shape: dataset.shape ?? [] })) })
  } catch (error) {
    failed(error)
  }
}

if (parentPort !== null) {
  const port = parentPort
  await main(String(workerData), (message, transfer = []) => port.postMessage(message, transfer))
}
