// Training rows that are read in parts: what `fit` takes in place of a dataset, and how it goes through them.

import { invalidArgument } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { checkDataset, type Dataset, isDataset } from '../data/dataset.js'
import { inContext } from './source.js'

/** Parts of a table, in order, of any sizes. */
export type DatasetParts = AsyncIterable<Dataset> | Iterable<Dataset>

/**
 * Rows that are read in parts: a stream of `Dataset`, an iterable that can be read again, or a function that opens the rows anew each time.
 */
export type RowStream = DatasetParts | (() => DatasetParts | Promise<DatasetParts>)

/** Whether `fit` reads this in parts. */
export function isStream(value: unknown): value is RowStream {
  if (typeof value === 'function') return true
  return typeof value === 'object' && value !== null && !isDataset(value) && iteratorOf(value) !== undefined
}

/** A part, and the number of rows before it. */
export interface Part {
  readonly data: Dataset
  readonly before: number
  /** For some rows of a part: the number in the part. */
  readonly rowOf?: ((row: number) => number) | undefined
}

/** How often a source that has not answered yet is asked whether it should still. In milliseconds. */
const patience = 50

export class Parts {
  readonly #source: RowStream
  readonly #field: string

  /** @param field names the source in messages. */
  constructor(source: RowStream, field: string) {
    this.#source = source
    this.#field = field
  }

  /** @throws ERR_MULTIGATE_ARGUMENT for an iterator, which ends for good. */
  checkAgain(why: string): void {
    if (typeof this.#source === 'function') return
    const iterator: unknown = iteratorOf(this.#source)?.call(this.#source)
    if (iterator !== this.#source) return
    throw invalidArgument(
      this.#field,
      `rows that can be read twice, because ${why}`,
      this.#source,
      'pass a function that opens them anew: fit(() => readRows())',
    )
  }

  /**
   * The parts, without empty ones, but at least one. Ends the source if the reader stops early.
   * @param check throws if the work must stop; called before each part, and while the source is slow.
   * @throws ERR_MULTIGATE_ARGUMENT for what gives no datasets; ERR_MULTIGATE_DATA if there are no rows; whatever the source throws.
   */
  async *read(check: () => void): AsyncGenerator<Part, void, undefined> {
    const iterator = await this.#open(check)
    let before = 0
    let open = true
    try {
      for (;;) {
        check()
        const { done, value } = await answered(Promise.resolve(iterator.next()), check)
        if (done === true) {
          open = false
          break
        }
        const data = checkDataset(`${this.#field}: a part`, value)
        if (data.rows === 0) continue
        yield { data, before }
        before += data.rows
      }
    } finally {
      // A source that does not answer would not end either.
      if (open) void Promise.resolve(iterator.return?.()).catch(() => undefined)
    }
    if (before === 0)
      throw new DataError('expected at least one row, found none; check how the data were read, filtered or split')
  }

  async #open(check: () => void): Promise<AsyncIterator<Dataset> | Iterator<Dataset>> {
    const source = typeof this.#source === 'function' ? await answered(Promise.resolve(this.#source()), check) : this.#source
    const begin = typeof source === 'object' && source !== null ? iteratorOf(source) : undefined
    if (begin === undefined || isDataset(source))
      throw invalidArgument(this.#field, 'a function that returns an iterable of Datasets', source)
    const iterator: unknown = begin.call(source)
    if (typeof (iterator as Partial<Iterator<Dataset>> | null | undefined)?.next !== 'function')
      throw invalidArgument(this.#field, 'an iterable whose iterator has a function next', iterator)
    return iterator as AsyncIterator<Dataset> | Iterator<Dataset>
  }
}

/** Does something with a part. An error about one of its rows then says which row of all it is. */
export async function ofPart<Result>({ data, before, rowOf }: Part, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof DataError) || error.row === undefined) throw error
    const row = Math.max(before + (rowOf?.(error.row) ?? error.row), data.sourceRow(error.row))
    throw row === error.row ? error : inContext(error, { after: `; it is row ${row} of all` })
  }
}

type Begin = (this: unknown) => unknown

function iteratorOf(value: object): Begin | undefined {
  const { [Symbol.asyncIterator]: later, [Symbol.iterator]: now } = value as Partial<AsyncIterable<Dataset> & Iterable<Dataset>>
  const begin = later ?? now
  return typeof begin === 'function' ? (begin as Begin) : undefined
}

/** The result of a promise, unless `check` throws first. */
async function answered<Result>(promise: Promise<Result>, check: () => void): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const stopped = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      try {
        check()
      } catch (error) {
        reject(error)
      }
    }, patience)
  })
  try {
    return await Promise.race([promise, stopped])
  } finally {
    clearInterval(timer)
    promise.catch(() => undefined)
  }
}
