// Golden cases for tests: their index, their tensors, and the error of a result. The whole set is in a folder `shared` beside the
// repository. Without it, the few cases of test/golden are used. This reader trusts its files; the strict reader is lib/io.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export type GoldenData = Float64Array | Float32Array | Int32Array | BigInt64Array | Uint8Array

export interface GoldenTensor {
  readonly dtype: 'F64' | 'F32' | 'I32' | 'I64' | 'U8'
  readonly shape: readonly number[]
  readonly data: GoldenData
}

/** One case of the index: the common fields and its own. */
export interface GoldenCase {
  readonly id: string
  readonly kind: string
  readonly file: string
  readonly f32_torch_rel?: number | Readonly<Record<string, number>>
  readonly [field: string]: unknown
}

const test = fileURLToPath(new URL('..', import.meta.url))
const shared = process.env.MULTIGATE_SHARED ?? join(test, '../../shared')
let told = false

/** A path inside the folder `shared`. If it is absent, undefined, and the reason is printed. */
export function sharedPath(path: string): string | undefined {
  const full = join(shared, path)
  if (existsSync(full)) return full
  if (!told) console.warn(`not everything is tested: there is no ${full}`)
  told = true
  return undefined
}

/** The cases that are part of the repository. */
export const committedGolden = join(test, 'golden')

const whole = sharedPath('golden')

/** The folder of golden cases. */
export const goldenFolder = whole ?? committedGolden

/** The expected number of cases: of the whole set, or of the committed part. */
export function goldenCount(all: number, committed: number): number {
  return whole === undefined ? committed : all
}

/** All cases, or those of one `kind`. Throws if there are none, because a test without cases would pass. */
export function goldenIndex(kind?: string, folder = goldenFolder): readonly GoldenCase[] {
  const { cases } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as { cases: GoldenCase[] }
  const found = cases.filter((entry) => kind === undefined || entry.kind === kind)
  if (found.length === 0) throw new Error(`no golden cases of kind ${kind} in ${folder}`)
  return found
}

/** The tensors of a case's file by name. */
export function readGolden(file: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(join(goldenFolder, file))
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, HeaderEntry>
  delete header.__metadata__
  const tensors = new Map<string, GoldenTensor>()
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(header)) {
    // Copied, because the start of a pooled buffer may not be aligned.
    const copy = Uint8Array.from(bytes.subarray(start + from, start + to)).buffer
    tensors.set(name, { dtype, shape, data: new arrays[dtype](copy) })
  }
  return tensors
}

/** A tensor of a file as numbers. Throws with its name if it is missing. */
export function goldenNumbers(
  tensors: ReadonlyMap<string, GoldenTensor>,
  name: string,
): Float64Array | Float32Array | Int32Array | Uint8Array {
  const data = tensors.get(name)?.data
  if (data === undefined || data instanceof BigInt64Array) throw new Error(`no tensor of numbers named ${name}`)
  return data
}

/** ||got - want|| / ||want||, or ||got - want|| if want is all zero. Infinite if the lengths differ. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity
  let difference = 0
  let norm = 0
  for (let index = 0; index < want.length; index += 1) {
    difference += ((got[index] ?? NaN) - (want[index] ?? NaN)) ** 2
    norm += (want[index] ?? NaN) ** 2
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm)
}

interface HeaderEntry {
  readonly dtype: GoldenTensor['dtype']
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

const arrays = { F64: Float64Array, F32: Float32Array, I32: Int32Array, I64: BigInt64Array, U8: Uint8Array }
