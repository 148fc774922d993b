// Writes an ONNX file. Weights go to the disk part by part, so the file is never in memory as a whole. A message of protobuf has at most
// 2 GiB: weights above that go to a second file beside it, as ONNX's external data.

import { basename } from 'node:path'
import { create, toBinary } from '@bufbuild/protobuf'
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

import { checkFailed, quote } from '../core/check.js'
import { notFiniteAt } from '../core/finite.js'
import { elementsOf } from '../core/layout.js'
import { type FilePath, pathOf } from '../core/path.js'
import { type FileSink, writeAtomically } from '../io/atomic.js'
import { bytesOf, DataType, type Weights } from './graph.js'
import type { OnnxModel } from './model-graph.js'
import {
  TensorProto_DataLocation as DataLocation,
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  TensorProtoSchema,
} from './onnx-ml_pb.js'
import type { OnnxFiles } from './options.js'

/** The most bytes of a file without a second one. Protobuf ends at 2^31 - 1. */
export const largestMessage = 2 ** 31 - 1

/** The numbers of fields in the messages. */
const graphField = 7
const initializerField = 5
const rawDataField = 9

/** External tensors begin at a page, so that a reader can map them. */
const page = 4096

/**
 * Writes a model. It replaces the whole file or leaves it untouched. With a second file, `<path>.data`, that is replaced just before.
 * @param most bytes of the file beyond which weights go to the second one.
 * @throws ERR_MULTIGATE_DIVERGED naming the tensor that is not finite; ERR_MULTIGATE_WRITE.
 */
export async function writeOnnxFile(path: FilePath, model: OnnxModel, most = largestMessage): Promise<OnnxFiles> {
  const inline = framed(model, model.weights.map(inlineTensor))
  if (inline.bytes <= most) {
    await writeAtomically(path, (sink) => writeFramed(sink, inline, path))
    return { data: undefined }
  }
  const data = `${pathOf('path', path)}.data`
  const places = placed(model.weights)
  const framedModel = framed(
    model,
    places.map((place) => ({ message: externalTensor(place, basename(data)), weights: undefined })),
  )
  await writeAtomically(path, async (sink) => {
    await writeAtomically(data, (beside) => writePlaced(beside, places, data))
    await writeFramed(sink, framedModel, path)
  })
  return { data }
}

/** One message of weights: with their bytes, or without. */
interface TensorPart {
  readonly message: TensorProto
  readonly weights: Weights | undefined
}

/** The bytes of a file: some, then the weights of a tensor, then some, and so on. */
interface Framed {
  readonly parts: readonly { readonly bytes: Uint8Array; readonly weights: Weights | undefined }[]
  readonly bytes: number
}

/** The order of fields is free in protobuf: the graph is the model's last field, and weights are the graph's last. */
function framed({ message, graph }: OnnxModel, tensors: readonly TensorPart[]): Framed {
  const [head, body] = [toBinary(ModelProtoSchema, message), toBinary(GraphProtoSchema, graph)]
  const parts = tensors.map(({ message, weights }) => {
    const own = toBinary(TensorProtoSchema, message)
    const size = weights === undefined ? 0 : bytesIn(weights)
    const before = weights === undefined ? own : joined(own, lengthDelimited(rawDataField, size))
    return { bytes: joined(lengthDelimited(initializerField, before.length + size), before), weights, size }
  })
  const graphBytes = parts.reduce((sum, { bytes, size }) => sum + bytes.length + size, body.length)
  const start = joined(head, lengthDelimited(graphField, graphBytes), body)
  return {
    parts: [{ bytes: start, weights: undefined }, ...parts],
    bytes: start.length + graphBytes - body.length,
  }
}

/** The beginning of a field: its number and the length of what follows. */
function lengthDelimited(field: number, length: number): Uint8Array {
  // Not uint32: a file that would be too large is measured here before it is cut in two.
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint64(length).finish()
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

async function writeFramed(sink: FileSink, { parts }: Framed, path: FilePath): Promise<void> {
  for (const { bytes, weights } of parts) {
    await sink.write(bytes)
    if (weights !== undefined) await writeWeights(sink, weights, pathOf('path', path))
  }
}

interface Placed {
  readonly weights: Weights
  readonly offset: number
}

function placed(all: readonly Weights[]): Placed[] {
  let end = 0
  return all.map((weights) => {
    const offset = Math.ceil(end / page) * page
    end = offset + bytesIn(weights)
    return { weights, offset }
  })
}

async function writePlaced(sink: FileSink, places: readonly Placed[], path: string): Promise<void> {
  let end = 0
  for (const { weights, offset } of places) {
    await sink.write(new Uint8Array(offset - end))
    await writeWeights(sink, weights, path)
    end = offset + bytesIn(weights)
  }
}

async function writeWeights(sink: FileSink, { name, chunks }: Weights, path: string): Promise<void> {
  let element = 0
  for (const part of chunks()) {
    const floats = part instanceof Float32Array ? part : Float32Array.from(part)
    const at = notFiniteAt(floats)
    if (at >= 0) {
      const message = `${path}: tensor ${quote(name)}: expected finite numbers, found ${floats[at]} at element ${element + at}; nothing was written`
      throw checkFailed('ERR_MULTIGATE_DIVERGED', message)
    }
    await sink.write(bytesOf(floats))
    element += floats.length
  }
}

function bytesIn({ shape }: Weights): number {
  return 4 * elementsOf(shape)
}

function tensorOf({ name, shape }: Weights): TensorProto {
  return create(TensorProtoSchema, { name, dims: shape.map(BigInt), dataType: DataType.FLOAT })
}

function inlineTensor(weights: Weights): TensorPart {
  return { message: tensorOf(weights), weights }
}

function externalTensor({ weights, offset }: Placed, location: string): TensorProto {
  const entries = { location, offset: String(offset), length: String(bytesIn(weights)) }
  const message = tensorOf(weights)
  message.dataLocation = DataLocation.EXTERNAL
  message.externalData = Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }))
  return message
}
