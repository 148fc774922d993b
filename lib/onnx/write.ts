// `saveOnnx`: a built model to an ONNX file.

import { readFileSync } from 'node:fs'

import { quote } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import { bytesText } from '../core/memory.js'
import type { FilePath } from '../core/path.js'
import { inSlices } from '../core/slices.js'
import { vocabularyBytes } from './features.js'
import { largestMessage, writeOnnxFile } from './file.js'
import { modelGraph, type OnnxSource } from './model-graph.js'
import type { OnnxFiles } from './options.js'

/** @param most bytes of one file; a lower number is for tests. @throws as `Model.saveOnnx`. */
export async function writeOnnx(
  path: FilePath,
  source: Omit<OnnxSource, 'version'>,
  { encoded }: { readonly encoded: boolean },
  most = largestMessage,
): Promise<OnnxFiles> {
  if (!encoded) checkVocabularies(source, most)
  return await writeOnnxFile(path, await inSlices(modelGraph({ ...source, version: version() }, { encoded })), most)
}

/** Vocabularies are attributes of nodes, which cannot be in a second file. */
function checkVocabularies({ encoders }: Pick<OnnxSource, 'encoders'>, most: number): void {
  const bytes = [...vocabularyBytes(encoders)].sort(([, one], [, other]) => other - one)
  const sum = bytes.reduce((all, [, own]) => all + own, 0)
  const [largest] = bytes
  if (sum <= most || largest === undefined) return
  const found = `${bytesText(sum)}; the largest is that of feature ${quote(largest[0])}, ${bytesText(largest[1])}`
  const next = 'set encoded: true (--encoded on the command line), and encode values before the model runs'
  throw new ArgumentError(
    `saveOnnx: expected vocabularies of at most ${bytesText(most)}, the most that an ONNX file can hold, found ${found}; ${next}`,
    { field: 'saveOnnx.encoded' },
  )
}

/** The package's own version. package.json lies two folders above both lib/onnx and dist/onnx. */
function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return String((manifest as { readonly version?: unknown }).version)
}
