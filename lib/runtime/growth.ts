// A fitted data encoder on a further day: vocabularies grow and forget, statistics of dense features stay or are fitted anew. Also carries
// the rows of tables over to where they lie then.

import { quote } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { Sliced } from '../core/slices.js'
import type { Dataset } from '../data/dataset.js'
import type { Encoder } from '../features/encode/encoder.js'
import { fitterOf } from '../features/encode/encoders.js'
import { collectorOf, type GrownEncoder, grownEncoder, seenAll, withFeature } from '../features/encode/growth.js'
import type { Feature } from '../features/spec/feature.js'
import type { FloatArray } from '../native/binding.js'
import type { Task } from '../tasks/task.js'
import { DataEncoder, fitOn } from './encode.js'

/** How encoders change on a day. */
export interface Growing {
  /** The number of the day. */
  readonly day: number
  readonly evictAfter: number | undefined
  readonly means: 'keep' | 'refresh'
  /** Features whose vocabularies change. Undefined: all that have a fitted one. */
  readonly features: readonly string[] | undefined
}

/** What became of a vocabulary. */
export type GrownTable = Omit<GrownEncoder, 'encoder'>

/** The encoders of today, and what became of each fitted vocabulary. */
export interface GrownEncoders {
  readonly encoder: DataEncoder
  readonly tables: ReadonlyMap<string, GrownTable>
}

/** The same encoders for the features and tasks of another model, which differ only in what encoders do not depend on. */
export function encodersFor(old: DataEncoder, features: readonly Feature[], tasks: readonly Task[]): DataEncoder {
  const encoders = old.encoders.map((encoder, index) => withFeature(encoder, features[index] ?? encoder.feature))
  return new DataEncoder(encoders, tasks, old.fitted)
}

/**
 * The same encoders, with vocabularies whose values were all seen on this day.
 * @param features those that shall grow on later days; undefined for all that can.
 * @throws ERR_MULTIGATE_ARGUMENT for a feature that cannot grow.
 */
export function seenOnDay(old: DataEncoder, tasks: readonly Task[], day: number, features: readonly string[] = []): DataEncoder {
  for (const name of features) checkGrows(name, old.encoders)
  const encoders = old.encoders.map((encoder) => seenAll(encoder, day))
  return new DataEncoder(encoders, tasks, old.fitted)
}

/** What reads rows that come whole or in parts. */
export interface RowReader {
  /** @throws ERR_MULTIGATE_DATA, with the number of a row among all rows so far. */
  add(data: Dataset): Sliced<void>
  finish(): Sliced<void>
}

/**
 * Grows encoders by the rows of a day.
 * @param read gives all rows to each reader.
 * @throws ERR_MULTIGATE_ARGUMENT for a feature that cannot grow; ERR_MULTIGATE_DATA for a value that does not fit.
 */
export async function grownEncoders(
  old: DataEncoder,
  {
    features,
    tasks,
    read,
  }: {
    readonly features: readonly Feature[]
    readonly tasks: readonly Task[]
    readonly read: (readers: readonly RowReader[]) => Promise<void>
  },
  growing: Growing,
): Promise<GrownEncoders> {
  const own = encodersFor(old, features, tasks)
  for (const name of growing.features ?? []) checkGrows(name, own.encoders)
  const encoders = [...own.encoders]
  const tables = new Map<string, GrownTable>()
  const grown = (index: number, { encoder, ...table }: GrownEncoder): void => {
    encoders[index] = encoder
    if (encoder.kind !== 'dense') tables.set(encoder.feature.name, table)
  }
  await read(own.encoders.flatMap((encoder, index) => readerOf(encoder, growing, (next) => grown(index, next)) ?? []))
  return { encoder: new DataEncoder(encoders, tasks, old.fitted), tables }
}

/** What an encoder needs of the rows of a day; undefined if it needs nothing. @param grown takes the encoder of that day. */
function readerOf(encoder: Encoder, growing: Growing, grown: (next: GrownEncoder) => void): RowReader | undefined {
  const { feature } = encoder
  if (encoder.kind === 'dense') {
    if (growing.means === 'keep') return undefined
    const fitter = fitterOf(feature)
    return {
      add: (data) => fitOn(fitter, data, feature),
      *finish() {
        grown({ encoder: yield* fitter.finish(), kept: undefined, added: 0, evicted: 0 })
      },
    }
  }
  const collector = collectorOf(encoder)
  if (collector === undefined) return undefined
  const grows = growing.features?.includes(feature.name) ?? true
  return {
    add: (data) => fitOn(collector, data, feature),
    *finish() {
      grown(yield* grownEncoder(encoder, yield* collector.met(), { ...growing, grows }))
    },
  }
}

/** @throws ERR_MULTIGATE_ARGUMENT unless the feature has a fitted vocabulary. */
function checkGrows(name: string, encoders: readonly Encoder[]): void {
  const encoder = encoders.find(({ feature }) => feature.name === name)
  const fitted = encoders
    .filter((one) => one.kind !== 'dense' && one.vocabulary !== undefined)
    .map(({ feature }) => quote(feature.name))
  if (encoder !== undefined && encoder.kind !== 'dense' && encoder.vocabulary !== undefined) return
  const field = 'fit.grow.features'
  const next = fitted.length === 0 ? 'this model has none; leave grow out' : `name some of ${fitted.join(', ')}`
  throw new ArgumentError(
    `${field}: expected features with a fitted vocabulary, found ${quote(name)}, ${whyFixed(encoder)}; ${next}`,
    { field },
  )
}

function whyFixed(encoder: Encoder | undefined): string {
  if (encoder === undefined) return 'which the model does not have'
  if (encoder.kind === 'dense') return 'a dense feature'
  const { vocabulary, hash } = encoder.feature
  if (hash !== undefined) return 'whose values are hashed'
  return vocabulary === undefined ? 'whose values go into buckets' : 'whose vocabulary is given'
}

/** Moves the rows that stay in a table to its front, while the table passes part by part. */
export class Compaction {
  /** Starts and ends of runs of elements that stay. */
  readonly #runs: number[] = [0]
  #run = 0
  #at = 0

  /** @param kept positions in the old vocabulary; row 0 stays too. */
  constructor(kept: Int32Array, dim: number) {
    let end = 1
    for (const position of kept) {
      if (position + 1 !== end) this.#runs.push(end * dim, (position + 1) * dim)
      end = position + 2
    }
    this.#runs.push(end * dim)
  }

  /** The elements of the next part that stay, at the front of its memory. */
  next(part: FloatArray): FloatArray {
    const runs = this.#runs
    const [start, end] = [this.#at, this.#at + part.length]
    let to = 0
    for (; this.#run < runs.length; this.#run += 2) {
      const [from = 0, until = 0] = [Math.max(runs[this.#run] ?? 0, start), Math.min(runs[this.#run + 1] ?? 0, end)]
      if (from < until) {
        part.copyWithin(to, from - start, until - start)
        to += until - from
      }
      if ((runs[this.#run + 1] ?? 0) > end) break
    }
    this.#at = end
    return part.subarray(0, to)
  }
}
