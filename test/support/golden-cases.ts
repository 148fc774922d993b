// A golden case with its tensors, which are read at the first request.

import { type GoldenCase as Entry, type GoldenTensor, goldenIndex, goldenNumbers, readGolden } from './golden.js'

export class GoldenCase {
  readonly id: string
  readonly entry: Entry
  #tensors: ReadonlyMap<string, GoldenTensor> | undefined

  constructor(entry: Entry) {
    this.id = entry.id
    this.entry = entry
  }

  shape(name: string): readonly number[] {
    return this.#all.get(name)?.shape ?? []
  }

  f32(name: string): Float32Array {
    return this.#read(name, Float32Array)
  }

  f64(name: string): Float64Array {
    return this.#read(name, Float64Array)
  }

  i32(name: string): Int32Array {
    return this.#read(name, Int32Array)
  }

  get #all(): ReadonlyMap<string, GoldenTensor> {
    this.#tensors ??= readGolden(this.entry.file)
    return this.#tensors
  }

  #read<A>(name: string, kind: new (...args: never[]) => A): A {
    const data = goldenNumbers(this.#all, name)
    if (!(data instanceof kind)) throw new Error(`${this.id}: ${name} is no ${kind.name}`)
    return data
  }
}

/** All cases of one kind. */
export function goldenCases(kind: string): GoldenCase[] {
  return goldenIndex(kind).map((entry) => new GoldenCase(entry))
}
