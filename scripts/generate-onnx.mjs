// Makes lib/onnx/onnx-ml_pb.ts, the messages of an ONNX file, from ONNX's own onnx-ml.proto, which the Python package `onnx` contains:
//   npm run generate:onnx -- "$(python3 -c 'import onnx; print(onnx.__path__[0])')/onnx-ml.proto"
// buf and protoc-gen-es (100 MB) come from the npm registry for this one run. Comments of the .proto file are left out,
// its licence is not.

import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [proto] = process.argv.slice(2)
if (proto === undefined) {
  console.error('usage: npm run generate:onnx -- path/to/onnx-ml.proto')
  process.exit(2)
}
const licence = '// From onnx-ml.proto. SPDX-License-Identifier: Apache-2.0. Copyright (c) ONNX Project Contributors.\n'
const folder = mkdtempSync(join(tmpdir(), 'multigate-onnx-'))
const packages = ['@bufbuild/buf@1', '@bufbuild/protoc-gen-es@2'].flatMap((name) => ['--package', name])
const buf = (...args) => execFileSync('npx', ['--yes', ...packages, 'buf', ...args], { cwd: folder, stdio: 'inherit' })
const plugin = { local: 'protoc-gen-es', out: '.', opt: ['target=ts'] }
try {
  copyFileSync(proto, join(folder, 'onnx-ml.proto'))
  buf('build', 'onnx-ml.proto', '--exclude-source-info', '-o', 'onnx.binpb')
  buf('generate', 'onnx.binpb', '--template', JSON.stringify({ version: 'v2', plugins: [plugin] }))
  const code = readFileSync(join(folder, 'onnx-ml_pb.ts'), 'utf8')
  writeFileSync(fileURLToPath(new URL('../lib/onnx/onnx-ml_pb.ts', import.meta.url)), licence + code)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
