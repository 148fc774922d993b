// Takes the weights of a model of another library into a network of the same form.

import { open } from 'node:fs/promises'

import { z } from 'zod'

import { parseOptions, quote } from '../core/check.js'
import { ArgumentError, messageOf } from '../core/errors.js'
import { notFiniteAt } from '../core/finite.js'
import { type FilePath, pathOf } from '../core/path.js'
import { SafetensorsFile } from '../io/safetensors.js'
import type { FloatArray } from '../native/binding.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { chunkElements } from '../runtime/weights.js'
import type { Family, LayerSource } from './family.js'
import { openHdf5 } from './hdf5.js'
import { isKeras, openKeras } from './keras.js'
import { deepctr, keras, kerasLayer } from './keras-families.js'
import { type LayerMatch, match } from './match.js'
import { openPyTorch, pickleOf } from './pytorch.js'
import { formatError, type Source, type SourceTensor } from './source.js'
import { targetOf } from './target.js'
import { deepctrTorch, linear, torchRechub } from './torch-families.js'
import { Archive } from './zip.js'

/** The libraries whose weights can be imported: the layers of the Keras recipe, DeepCTR, DeepCTR-Torch, torch-rechub. */
export type ImportFamily = 'keras' | 'deepctr' | 'deepctr-torch' | 'torch-rechub'

const families: Readonly<Record<ImportFamily, Family>> = {
  keras,
  deepctr,
  'deepctr-torch': deepctrTorch,
  'torch-rechub': torchRechub,
}

const familyNames = Object.keys(families) as ImportFamily[]

const schema = z.strictObject({
  from: z.enum(familyNames).optional(),
  names: z.record(z.string(), z.string()).default({}),
  unused: z.enum(['error', 'ignore']).default('error'),
})

/** Options of `importWeights`. */
export interface ImportOptions {
  /** The library that wrote the file. Default: what its names look like. */
  readonly from?: ImportFamily | undefined
  /**
   * Layers of the file by layers of the model, such as `{ 'tower.like.0': 'dense_4', 'embedding.userid': 'user_embedding' }`, where the
   * names of the file do not tell.
   */
  readonly names?: Readonly<Record<string, string>> | undefined
  /** Whether tensors that the model does not need are an error. Default `'error'`. */
  readonly unused?: 'error' | 'ignore' | undefined
}

/** Where a layer or table came from. */
export interface ImportedWeight {
  /** The layer or table of the model: `expert.2.0`, `embedding.userid`. */
  readonly name: string
  /** The tensors of the file. */
  readonly tensors: readonly string[]
  /** What was done to them, in words. Empty if nothing. */
  readonly changes: readonly string[]
}

/** The result of `model.importWeights`. */
export interface ImportedWeights {
  readonly from: ImportFamily
  readonly weights: readonly ImportedWeight[]
  /** Tensors of the file that the model does not need. */
  readonly unused: readonly string[]
}

/** What a file may unpack to, in sizes of the model and in bytes: it may hold an optimizer's state, and float64. */
const timesTheModel = 16
const leastUnpacked = 2 ** 26

/**
 * Writes the weights of a file into those of a runner.
 * @throws ERR_MULTIGATE_ARGUMENT for what does not fit the model; ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_MISSING_PACKAGE.
 */
export async function importWeights(
  path: FilePath,
  runner: NetworkRunner,
  tasks: readonly string[],
  options: ImportOptions,
): Promise<ImportedWeights> {
  const file = pathOf('importWeights.path', path)
  const { from, names, unused } = parseOptions('importWeights', schema, options)
  const target = targetOf(runner.network, tasks)
  const elements = [
    ...target.layers.flatMap(({ kernel, bias }) => [kernel, ...(bias ? [bias] : [])]),
    ...target.tables.map(({ place }) => place),
  ]
    .map(({ shape }) => shape.reduce((product, size) => product * size, 1))
    .reduce((sum, count) => sum + count, 0)
  const source = await openSource(file, timesTheModel * 4 * elements + leastUnpacked)
  try {
    const family = from ?? familyOf(source)
    const matched = match(families[family], { target, source }, (name) => namedLayer(source, name), { names, unused })
    const weights: ImportedWeight[] = []
    for (const { name, place, tensor } of matched.tables) {
      let at = place.offset
      for await (const part of finiteParts(source, tensor)) {
        for (let from = 0; from < part.length; from += chunkElements)
          runner.weights.write({ memory: place.memory, offset: at + from }, part.subarray(from, from + chunkElements))
        at += part.length
      }
      weights.push({ name, tensors: [tensor.name], changes: [] })
    }
    for (const layer of matched.layers) weights.push(await writeLayer(runner, source, layer))
    runner.weights.setTemperatures(runner.network.parameters.tensors, 0)
    return { from: family, weights, unused: matched.unused }
  } finally {
    await source.close()
  }
}

/** A layer that the caller names. */
function namedLayer(source: Source, name: string): LayerSource | undefined {
  return source.format === 'keras' ? kerasLayer(source, name) : linear(source, name)
}

function familyOf(source: Source): ImportFamily {
  const found = familyNames.filter((name) => families[name].matches(source))
  const [only] = found
  if (only !== undefined && found.length === 1) return only
  const names = [...source.tensors.keys()].slice(0, 8).map(quote).join(', ')
  const what = `importWeights.from: expected names as ${familyNames.join(', ')} write them in ${source.path}, found ${names}`
  throw new ArgumentError(`${what}; pass from, and names for layers that it does not find`, { field: 'importWeights.from' })
}

/** Opens a file by what its first bytes say. @throws ERR_MULTIGATE_FORMAT. */
async function openSource(path: string, most: number): Promise<Source> {
  const start = new Uint8Array(16)
  try {
    await using handle = await open(path)
    await handle.read(start, 0, start.length, 0)
  } catch (error) {
    throw formatError(path, messageOf(error), error)
  }
  const text = Buffer.from(start).toString('latin1')
  if (text.startsWith('\x89HDF\r\n\x1a\n')) return await openHdf5(path)
  if (text.startsWith('PK')) return await openArchive(path, most)
  if (text.startsWith('{', 8)) return await openSafetensors(path)
  const older = text.startsWith('\x80\x02') ? ' (if it is from PyTorch, save it again with a version from 1.6 on)' : ''
  throw formatError(path, `expected a .safetensors, .pt, .keras or .h5 file, found another format${older}`)
}

async function openArchive(path: string, most: number): Promise<Source> {
  const archive = await Archive.open(path)
  try {
    const pickle = pickleOf(archive)
    if (pickle !== undefined) return await openPyTorch(archive, pickle)
    if (isKeras(archive)) return await openKeras(archive, most)
    throw formatError(path, 'expected an archive of PyTorch or Keras, found other contents')
  } catch (error) {
    archive.close()
    throw error
  }
}

async function openSafetensors(path: string): Promise<Source> {
  const file = await SafetensorsFile.open(path)
  const tensors = new Map<string, SourceTensor>()
  for (const [name, { dtype, shape }] of file.tensors) {
    const parts = async function* (): AsyncGenerator<FloatArray> {
      if (dtype !== 'F32' && dtype !== 'F64')
        throw formatError(path, `tensor ${quote(name)}: expected F32 or F64, found ${dtype}`)
      for await (const part of file.chunks(name, chunkElements)) yield part as FloatArray
    }
    tensors.set(name, { name, shape, parts })
  }
  return { path, format: 'safetensors', tensors, close: () => file.close() }
}

async function* finiteParts({ path }: Source, tensor: SourceTensor): AsyncGenerator<FloatArray> {
  let element = 0
  for await (const part of tensor.parts()) {
    const wrong = notFiniteAt(part)
    if (wrong >= 0)
      throw formatError(
        path,
        `tensor ${quote(tensor.name)}: expected finite numbers, found ${part[wrong]} at element ${element + wrong}`,
      )
    yield part
    element += part.length
  }
}

async function whole(source: Source, tensor: SourceTensor): Promise<Float64Array> {
  const values = new Float64Array(tensor.shape.reduce((product, size) => product * size, 1))
  let at = 0
  for await (const part of finiteParts(source, tensor)) {
    if (at + part.length > values.length) break
    values.set(part, at)
    at += part.length
  }
  if (at !== values.length)
    throw formatError(source.path, `tensor ${quote(tensor.name)}: expected ${values.length} numbers, found others`)
  return values
}

async function writeLayer(runner: NetworkRunner, source: Source, matched: LayerMatch): Promise<ImportedWeight> {
  const { layer, kernel, transposed, bias, norm, columns } = matched
  const [width = 0, units = 0] = layer.kernel.shape
  const given = await whole(source, kernel)
  const offsets = bias === undefined ? new Float64Array(units) : await whole(source, bias)
  const scales = new Float64Array(units).fill(1)
  if (norm !== undefined) {
    const [scale, offset, mean, variance] = [
      await whole(source, norm.scale),
      await whole(source, norm.offset),
      await whole(source, norm.mean),
      await whole(source, norm.variance),
    ]
    for (let unit = 0; unit < units; unit += 1) {
      const factor = (scale[unit] ?? 0) / Math.sqrt((variance[unit] ?? 0) + norm.epsilon)
      if (!Number.isFinite(factor))
        throw formatError(
          source.path,
          `tensor ${quote(norm.variance.name)}: expected variances of at least 0, found ${variance[unit]}`,
        )
      scales[unit] = factor
      offsets[unit] = ((offsets[unit] ?? 0) - (mean[unit] ?? 0)) * factor + (offset[unit] ?? 0)
    }
  }
  const columnOf = (unit: number): number => columns?.[unit] ?? unit
  const values = new Float64Array(width * units)
  for (let row = 0; row < width; row += 1) {
    for (let unit = 0; unit < units; unit += 1) {
      const column = columnOf(unit)
      values[row * units + unit] = (given[transposed ? column * width + row : row * units + column] ?? 0) * (scales[column] ?? 0)
    }
  }
  const added = Float64Array.from({ length: units }, (_, unit) => offsets[columnOf(unit)] ?? 0)
  runner.weights.write(layer.kernel, values)
  if (layer.bias !== undefined) runner.weights.write(layer.bias, added)
  else if (added.some((value) => value !== 0)) throw noBias(matched)
  return {
    name: layer.name,
    tensors: [kernel, ...(bias ? [bias] : []), ...(norm ? [norm.scale, norm.offset, norm.mean, norm.variance] : [])].map(
      ({ name }) => name,
    ),
    changes: [
      ...(transposed ? ['transposed'] : []),
      ...(norm ? ['batch normalization folded in'] : []),
      ...(columns ? [`columns in the order ${columns.join(', ')}`] : []),
    ],
  }
}

function noBias({ layer, bias, norm }: LayerMatch): ArgumentError {
  const what = norm === undefined ? `tensor ${quote(bias?.name ?? '')}` : `the batch normalization ${quote(norm.scale.name)}`
  const message = `importWeights: ${layer.name}: expected no bias, found one in ${what}; build the model with gateBias: true`
  return new ArgumentError(message, { field: layer.name })
}
