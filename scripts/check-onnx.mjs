// Compares exported models with onnxruntime: every kind of model, feature and task, on 10,000 random rows each. onnxruntime-node has 290 MB,
// so it is no dependency. Install it for this check, without what it would download for GPUs:
//   npm install --no-save --ignore-scripts onnxruntime-node && npm run onnx:check
// ONNXRUNTIME names another folder whose node_modules has it. ONNX_PYTHON names a Python with the package `onnx`, whose checker then looks at
// every file. It reads the compiled library in dist.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fromBinary } from '@bufbuild/protobuf'

import { loadModel } from '../dist/index.js'
import { writeOnnxFile } from '../dist/onnx/file.js'
import { ModelProtoSchema } from '../dist/onnx/onnx-ml_pb.js'
import { cases, modelOf, rowsOf } from './onnx-cases.mjs'

const rows = Number(process.argv[2] ?? 10_000)
const tolerance = 1e-5
const require = createRequire(join(resolve(process.env.ONNXRUNTIME ?? '.'), 'package.json'))
const ort = require('onnxruntime-node')
const folder = mkdtempSync(join(tmpdir(), 'multigate-onnx-'))
const paths = []

/** A tensor of raw values, as docs/onnx.md says. */
function tensorOf({ type, width, missing }, values, { separator }) {
  const flat = values.flatMap((value) => {
    const items = separator === undefined ? [value].flat() : splitBy(separator, value)
    return [...items.slice(-width), ...Array(Math.max(0, width - items.length)).fill(null)]
  })
  const data = {
    string: () => flat.map((value) => (value === null ? missing : String(value))),
    int64: () => BigInt64Array.from(flat, (value) => BigInt(value ?? missing)),
    float64: () => Float64Array.from(flat, (value) => Number(value ?? missing ?? NaN)),
  }[type]()
  return new ort.Tensor(type, data, [values.length, width])
}

function splitBy(separator, text) {
  return text.split(separator).flatMap((item) => (item.trim() === '' ? [] : [item.trim()]))
}

/** The largest difference of two lists, relative to numbers above 1. */
function difference(found, expected) {
  if (found.length !== expected.length) throw new Error(`expected ${expected.length} numbers, found ${found.length}`)
  const differences = Array.from(found, (value, at) => Math.abs(value - expected[at]) / Math.max(1, Math.abs(expected[at])))
  return differences.reduce((one, other) => Math.max(one, other), 0)
}

/** What onnxruntime computes from the raw columns, or from what `fill` makes of them. */
async function run(path, { features, columns, model, encoded }) {
  const { metadataProps } = fromBinary(ModelProtoSchema, readFileSync(path))
  const inputs = JSON.parse(metadataProps.find(({ key }) => key === 'multigate.inputs').value)
  const batch = model.createBatch(rows)
  if (encoded) model.fill(batch, columns)
  const feeds = inputs.map((input, index) => {
    const { name, type, width } = input
    const tensor = encoded ? new ort.Tensor(type, batch[name], [rows, width]) : tensorOf(input, columns[name], features[index])
    return [name, tensor]
  })
  const session = await ort.InferenceSession.create(path, { executionProviders: ['cpu'] })
  try {
    return await session.run(Object.fromEntries(feeds))
  } finally {
    await session.release()
  }
}

/** The same file with its weights in a second one, which only files above 2 GiB have else. */
async function cutInTwo(path, into) {
  const message = fromBinary(ModelProtoSchema, readFileSync(path))
  const { graph } = message
  const large = graph.initializer.filter(({ name, dataType }) => dataType === 1 && !name.startsWith('constant'))
  const weights = large.map(({ name, dims, rawData }) => {
    return { name, shape: dims.map(Number), chunks: () => [new Float32Array(Uint8Array.from(rawData).buffer)] }
  })
  graph.initializer = graph.initializer.filter((tensor) => !large.includes(tensor))
  message.graph = undefined
  const { data } = await writeOnnxFile(into, { message, graph, weights }, 0)
  if (data === undefined) throw new Error(`${into} has no second file`)
}

/** Compares the files of one model with its predictions. @returns the largest difference by kind of file. */
async function compare(one) {
  const trained = await modelOf(one)
  // A model of another precision is compared with what it predicts in float32.
  const saved = join(folder, 'model.safetensors')
  await trained.save(saved)
  const model = await loadModel(saved, { device: 'cpu', precision: 'float32' })
  const columns = rowsOf(one, rows)
  const scores = await model.predict(columns)
  const path = (kind) => join(folder, `${paths.length}-${kind}.onnx`)
  const files = { raw: path('raw'), encoded: path('encoded'), 'encoded, two files': path('two') }
  await trained.saveOnnx(files.raw)
  await trained.saveOnnx(files.encoded, { encoded: true })
  await cutInTwo(files.encoded, files['encoded, two files'])
  paths.push(...Object.values(files))
  const results = []
  for (const [kind, file] of Object.entries(files)) {
    const found = await run(file, { features: one.features, columns, model, encoded: kind !== 'raw' })
    const differences = Object.entries(scores).map(([task, expected]) => difference(found[task].data, expected))
    results.push([kind, Math.max(...differences)])
  }
  model.dispose()
  trained.dispose()
  return results
}

let failed = 0
try {
  for (const one of cases) {
    for (const [kind, largest] of await compare(one)) {
      const wrong = !(largest <= tolerance)
      failed += wrong ? 1 : 0
      console.log(`${wrong ? 'WRONG' : 'ok   '} ${largest.toExponential(1)}  ${one.name} (${kind})`)
    }
  }
  const python = process.env.ONNX_PYTHON
  if (python !== undefined) {
    const script = 'import onnx, sys\nfor path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)'
    execFileSync(python, ['-c', script, ...paths], { stdio: 'inherit' })
    console.log(`onnx.checker accepts all ${paths.length} files`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${failed} of ${paths.length} files differ by more than ${tolerance} on ${rows} rows`)
process.exitCode = failed > 0 ? 1 : 0
