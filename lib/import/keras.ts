// Archives of Keras: `.keras` files, with the weights as an HDF5 file and the configuration of the model.

import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { messageOf } from '../core/errors.js'
import { inSlices } from '../core/slices.js'
import { parseJson } from '../io/json.js'
import { openHdf5 } from './hdf5.js'
import { formatError, type GraphLayer, type Source } from './source.js'
import type { Archive } from './zip.js'

/** Far more than the configuration of a large model. */
const mostConfigBytes = 2 ** 26

const weightsEntry = 'model.weights.h5'

export function isKeras(archive: Archive): boolean {
  return archive.size(weightsEntry) !== undefined
}

/** A `.keras` archive. Its weights go to a temporary file, of at most `most` bytes. @throws ERR_MULTIGATE_FORMAT. */
export async function openKeras(archive: Archive, most: number): Promise<Source> {
  const { path } = archive
  const folder = await mkdtemp(join(tmpdir(), 'multigate-import-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    const graph = archive.size('config.json') === undefined ? undefined : await graphOf(archive)
    const file = join(folder, weightsEntry)
    await pipeline(archive.parts(weightsEntry, await archive.stream(weightsEntry, most)), createWriteStream(file))
    const source = await openHdf5(file, path)
    const close = async () => {
      await source.close()
      archive.close()
      await remove()
    }
    return { ...source, graph, close }
  } catch (error) {
    await remove()
    throw error
  }
}

/** How layers are connected, from the configuration of a functional model. Undefined for other models. */
async function graphOf(archive: Archive): Promise<readonly GraphLayer[] | undefined> {
  const text = new TextDecoder().decode(await archive.read('config.json', mostConfigBytes))
  let value: unknown
  try {
    value = await inSlices(parseJson(text))
  } catch (error) {
    throw formatError(archive.path, `config.json: ${messageOf(error)}`, error)
  }
  const layers = at(at(value, 'config'), 'layers')
  if (!Array.isArray(layers)) return undefined
  return layers.map((layer): GraphLayer => {
    const name = at(at(layer, 'config'), 'name') ?? at(layer, 'name')
    return { name: String(name), kind: String(at(layer, 'class_name')), inputs: historiesOf(at(layer, 'inbound_nodes')) }
  })
}

function at(value: unknown, key: string): unknown {
  return value !== null && typeof value === 'object' && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined
}

/** The tensors that a layer reads, in order. */
function historiesOf(value: unknown): { layer: string; output: number }[] {
  const history = at(value, 'keras_history')
  if (Array.isArray(history)) return [{ layer: String(history[0]), output: Number(history[2]) }]
  return value !== null && typeof value === 'object' ? Object.values(value).flatMap(historiesOf) : []
}
