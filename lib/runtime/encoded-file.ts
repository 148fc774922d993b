// Encoded rows in a scratch file, in blocks of consecutive rows, for tables that do not fit in memory. A block has its columns one after
// the other, so a column of a block is one array.

import type { ScratchFile } from '../io/scratch.js'
import type { ColumnSpec, NativeColumns } from '../native/binding.js'

/** Encoded rows of some columns: [rows * width] each. */
export type RowArrays = readonly (Int32Array | Float32Array)[]

/** Bytes to write or read at once, at least a block. */
const atOnce = 2 ** 20
/** Reads under way at the same time. */
const ahead = 4

export interface EncodedColumns {
  readonly names: readonly string[]
  readonly specs: readonly ColumnSpec[]
}

/** Blocks in memory, with a view of every column of every block. */
class Blocks {
  readonly bytes: Uint8Array
  readonly #views: readonly RowArrays[]

  constructor({ specs }: EncodedColumns, blockRows: number, count: number) {
    const width = specs.reduce((sum, spec) => sum + spec.width, 0)
    const memory = new ArrayBuffer(count * blockRows * width * 4)
    this.bytes = new Uint8Array(memory)
    let at = 0
    this.#views = Array.from({ length: count }, () =>
      specs.map((spec) => {
        const view = new (spec.type === 'i32' ? Int32Array : Float32Array)(memory, at, blockRows * spec.width)
        at += view.byteLength
        return view
      }),
    )
  }

  of(block: number): RowArrays {
    return this.#views[block] ?? []
  }
}

/** Writes rows in order. */
export class EncodedWriter {
  readonly columns: EncodedColumns
  readonly blockRows: number
  readonly blockBytes: number
  readonly #file: ScratchFile
  readonly #blocksAtOnce: number
  #filling: Blocks
  #other: Blocks
  #writing: Promise<void> = Promise.resolve()
  /** Rows in the blocks that are being filled, and in all. */
  #filled = 0
  #rows = 0

  constructor(file: ScratchFile, columns: EncodedColumns, blockRows: number) {
    this.#file = file
    this.columns = columns
    this.blockRows = blockRows
    this.blockBytes = blockRows * columns.specs.reduce((sum, { width }) => sum + width * 4, 0)
    this.#blocksAtOnce = Math.max(1, Math.floor(atOnce / this.blockBytes))
    this.#filling = new Blocks(columns, blockRows, this.#blocksAtOnce)
    this.#other = new Blocks(columns, blockRows, this.#blocksAtOnce)
  }

  /** Adds rows. @throws ERR_MULTIGATE_WRITE. */
  async add(arrays: RowArrays, rows: number): Promise<void> {
    const { blockRows } = this
    for (let from = 0; from < rows; ) {
      const within = this.#filled % blockRows
      const count = Math.min(rows - from, blockRows - within)
      const views = this.#filling.of(Math.floor(this.#filled / blockRows))
      for (const [index, { width }] of this.columns.specs.entries()) {
        const part = arrays[index]?.subarray(from * width, (from + count) * width)
        if (part !== undefined) views[index]?.set(part, within * width)
      }
      this.#filled += count
      this.#rows += count
      from += count
      if (this.#filled === this.#blocksAtOnce * blockRows) await this.#write()
    }
  }

  /** The file, complete. Its owner closes it. */
  async finish(): Promise<EncodedFile> {
    if (this.#filled > 0) await this.#write()
    await this.#writing
    return new EncodedFile(this.#file, this.columns, { rows: this.#rows, blockRows: this.blockRows })
  }

  /** Waits until nothing is being written, also after a failure. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  async #write(): Promise<void> {
    await this.#writing
    const blocks = Math.ceil(this.#filled / this.blockRows)
    const first = Math.ceil(this.#rows / this.blockRows) - blocks
    this.#writing = this.#file.write(first * this.blockBytes, this.#filling.bytes.subarray(0, blocks * this.blockBytes))
    // The next call of this class throws it.
    this.#writing.catch(() => undefined)
    ;[this.#filling, this.#other] = [this.#other, this.#filling]
    this.#filled = 0
  }
}

/** Reads blocks in any order. */
export class EncodedFile {
  readonly columns: EncodedColumns
  readonly rows: number
  readonly blockRows: number
  readonly #file: ScratchFile
  readonly #blockBytes: number

  constructor(
    file: ScratchFile,
    columns: EncodedColumns,
    { rows, blockRows }: { readonly rows: number; readonly blockRows: number },
  ) {
    this.#file = file
    this.columns = columns
    this.rows = rows
    this.blockRows = blockRows
    this.#blockBytes = blockRows * columns.specs.reduce((sum, { width }) => sum + width * 4, 0)
  }

  /** Blocks, the last of which may have fewer rows. */
  get blocks(): number {
    return Math.ceil(this.rows / this.blockRows)
  }

  rowsOf(block: number): number {
    return Math.min(this.blockRows, this.rows - block * this.blockRows)
  }

  /**
   * Copies blocks into columns, one after the other.
   * @param numbers of the blocks; those that follow each other in the file are read together. @param pause lets other work run.
   * @throws ERR_MULTIGATE_WRITE if the file cannot be read.
   */
  async read(numbers: Int32Array, into: NativeColumns, pause: () => Promise<void>): Promise<void> {
    const most = Math.max(1, Math.floor(atOnce / this.#blockBytes))
    const spans = spansOf(numbers, most)
    const buffers = Array.from(
      { length: Math.min(ahead, spans.length) },
      () => new Blocks(this.columns, this.blockRows, Math.min(most, numbers.length)),
    )
    const reads: (Promise<void> | undefined)[] = []
    const begin = (index: number): void => {
      const span = spans[index]
      const buffer = buffers[index % ahead]
      if (span === undefined || buffer === undefined) return
      const bytes = buffer.bytes.subarray(0, span.count * this.#blockBytes)
      reads[index % ahead] = this.#file.read(span.first * this.#blockBytes, bytes)
      reads[index % ahead]?.catch(() => undefined)
    }
    for (let index = 0; index < ahead; index += 1) begin(index)
    let row = 0
    try {
      for (const [index, { first, count }] of spans.entries()) {
        await reads[index % ahead]
        for (let block = 0; block < count; block += 1) {
          const rows = this.rowsOf(first + block)
          const views = buffers[index % ahead]?.of(block) ?? []
          into.write(row, rows === this.blockRows ? views : this.#firstRows(views, rows))
          row += rows
          await pause()
        }
        begin(index + ahead)
      }
    } finally {
      await Promise.allSettled(reads)
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  #firstRows(views: RowArrays, rows: number): RowArrays {
    return views.map((view, index) => view.subarray(0, rows * (this.columns.specs[index]?.width ?? 0)))
  }
}

interface Span {
  readonly first: number
  readonly count: number
}

/** Runs of numbers that follow each other, of at most `most`. */
function spansOf(numbers: Int32Array, most: number): Span[] {
  const spans: { first: number; count: number }[] = []
  for (const number of numbers) {
    const last = spans.at(-1)
    if (last !== undefined && last.first + last.count === number && last.count < most) last.count += 1
    else spans.push({ first: number, count: 1 })
  }
  return spans
}
