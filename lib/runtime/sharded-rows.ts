// Training rows in a scratch file. An epoch draws an order of blocks, and takes as many at a time as memory holds: a shard, whose rows are
// then shuffled. While a shard is trained on, the next one is read.

import { Draws } from '../core/draws.js'
import { Pause } from '../core/slices.js'
import type { NativeBinding, NativeColumns } from '../native/binding.js'
import { EncodedRows } from './encode.js'
import type { EncodedFile } from './encoded-file.js'
import { createColumns } from './memory-budget.js'
import type { EpochOfRows, RowForm, RowSource, Shard } from './row-source.js'

/** The stream of draws for orders of blocks. */
const blockOrders = 0x5a4d
/** Orders of rows are numbered by epoch, then by shard. Neither number is above this one. */
const mostEpochs = 2 ** 32

/** The most rows that are read and shuffled together. Few of them make a poor shuffle of sorted tables. */
const mostTogether = 1024
/** At least so many blocks in a shard, where memory allows. */
const fewestBlocks = 64

/**
 * The rows of a shard and of its blocks. They depend on the options alone, so that results do not depend on a machine.
 * @param bytes for two shards. @returns undefined if they do not hold two batches.
 */
export function formOf(bytes: number, rowBytes: number, batchSize: number): RowForm | undefined {
  // The order of the rows takes 4 bytes a row.
  const most = Math.floor(bytes / 2 / (rowBytes + 4))
  if (most < batchSize) return undefined
  const together = Math.max(1, Math.min(mostTogether, Math.floor(most / fewestBlocks)))
  const blockRows = blockRowsOf(batchSize, together)
  const least = Math.max(1, Math.floor(most / blockRows))
  // Whole batches, if there are some.
  const unit = batchSize / divisorOfBoth(batchSize, blockRows)
  return { blockRows, shardRows: blockRows * (least >= unit ? least - (least % unit) : least) }
}

/** As many rows as there may be, so that blocks make batches: a divisor or a multiple of a batch. */
function blockRowsOf(batchSize: number, together: number): number {
  if (batchSize <= together) return together - (together % batchSize)
  for (let rows = together; rows > together / 8; rows -= 1) if (batchSize % rows === 0) return rows
  return together
}

function divisorOfBoth(one: number, other: number): number {
  return other === 0 ? one : divisorOfBoth(other, one % other)
}

export interface ShardedOptions extends RowForm {
  readonly native: NativeBinding
  readonly counts: EncodedRows['counts']
  readonly seed: number
  /** Whether epochs have orders of their own. */
  readonly shuffle: boolean
}

/** A shard that is being read. */
interface Ahead {
  readonly draw: number
  readonly shard: number
  readonly rows: Promise<EncodedRows>
}

export class ShardedRows implements RowSource {
  readonly #file: EncodedFile
  readonly #options: ShardedOptions
  /** Blocks of a shard. */
  readonly #blocks: number
  /** The order of the blocks in epoch `draw`. A last, smaller block stays last. */
  #order: { readonly draw: number; readonly blocks: Int32Array } | undefined
  #current: EncodedRows | undefined
  #ahead: Ahead | undefined
  #free: NativeColumns | undefined
  #ended = false

  constructor(file: EncodedFile, options: ShardedOptions) {
    this.#file = file
    this.#options = options
    this.#blocks = Math.max(1, Math.floor(options.shardRows / options.blockRows))
  }

  get rows(): number {
    return this.#file.rows
  }

  get form(): RowForm | undefined {
    // One shard has its rows in the order of the source, as in memory.
    return this.#shards === 1 ? undefined : { shardRows: this.#options.shardRows, blockRows: this.#options.blockRows }
  }

  get counts(): EncodedRows['counts'] {
    return this.#options.counts
  }

  stepsOf(batchSize: number): number {
    const whole = this.#shards - 1
    return whole * Math.ceil(this.#shardRows / batchSize) + Math.ceil((this.rows - whole * this.#shardRows) / batchSize)
  }

  async *epoch({ draw, done, more }: EpochOfRows): AsyncGenerator<Shard, void, undefined> {
    const shards = this.#shards
    for (let shard = Math.floor(done / this.#shardRows); shard < shards; shard += 1) {
      const rows = await this.#next(draw, shard)
      if (shards > 1 && (shard + 1 < shards || more)) {
        this.#begin(...(shard + 1 < shards ? ([draw, shard + 1] as const) : ([draw + 1, 0] as const)))
      }
      yield { rows, order: shard * mostEpochs + draw, start: Math.max(0, done - shard * this.#shardRows) }
    }
  }

  async latest(): Promise<EncodedRows> {
    return this.#current ?? (await this.#next(0, 0))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true
    const ahead = await this.#ahead?.rows.catch(() => undefined)
    ahead?.columns.dispose()
    this.#current?.columns.dispose()
    this.#free?.dispose()
    await this.#file.close()
  }

  get #shardRows(): number {
    return this.#blocks * this.#options.blockRows
  }

  get #shards(): number {
    return Math.max(1, Math.ceil(this.#file.blocks / this.#blocks))
  }

  /** Waits for a shard, which becomes the current one. The one before gives its memory back. */
  async #next(draw: number, shard: number): Promise<EncodedRows> {
    // The only shard is the same in every epoch.
    if (this.#shards === 1 && this.#current !== undefined) return this.#current
    if (this.#ahead?.draw !== draw || this.#ahead.shard !== shard) {
      await this.#drop()
      this.#begin(draw, shard)
    }
    const rows = await (this.#ahead as Ahead | undefined)?.rows
    if (rows === undefined) throw new Error('no shard is being read')
    this.#ahead = undefined
    this.#release(this.#current?.columns)
    this.#current = rows
    return rows
  }

  #begin(draw: number, shard: number): void {
    const rows = this.#read(draw, shard)
    // Whoever waits for it sees the error.
    rows.catch(() => undefined)
    this.#ahead = { draw, shard, rows }
  }

  /** A shard that was read but is not wanted. */
  async #drop(): Promise<void> {
    const rows = await this.#ahead?.rows.catch(() => undefined)
    this.#ahead = undefined
    this.#release(rows?.columns)
  }

  async #read(draw: number, shard: number): Promise<EncodedRows> {
    const { columns } = this.#file
    const from = shard * this.#blocks
    // In the order of the file: rows are shuffled afterwards.
    const blocks = this.#blocksOf(draw)
      .slice(from, from + this.#blocks)
      .sort()
    const into = this.#columns(blocks.reduce((sum, block) => sum + this.#file.rowsOf(block), 0))
    const pause = new Pause()
    try {
      await this.#file.read(blocks, into, async () => {
        if (this.#ended) throw new Error('the rows are no longer needed')
        await pause.ifDue()
      })
    } catch (error) {
      into.dispose()
      throw error
    }
    return new EncodedRows(into, columns.names, [], this.#options.counts)
  }

  #columns(rows: number): NativeColumns {
    const free = this.#free
    this.#free = undefined
    if (free?.rows === rows) return free
    free?.dispose()
    return createColumns(this.#options.native, this.#file.columns.specs, rows)
  }

  #release(columns: NativeColumns | undefined): void {
    if (columns === undefined) return
    this.#free?.dispose()
    this.#free = columns
  }

  #blocksOf(draw: number): Int32Array {
    if (this.#order?.draw === draw) return this.#order.blocks
    const { seed, shuffle, blockRows } = this.#options
    const blocks = Int32Array.from({ length: this.#file.blocks }, (_, block) => block)
    const draws = new Draws()
    draws.begin(seed, draw, blockOrders)
    for (let last = shuffle ? Math.floor(this.rows / blockRows) - 1 : 0; last > 0; last -= 1) {
      const other = Math.floor(draws.uniform() * (last + 1))
      const block = blocks[last] ?? 0
      blocks[last] = blocks[other] ?? 0
      blocks[other] = block
    }
    this.#order = { draw, blocks }
    return blocks
  }
}
