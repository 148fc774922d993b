// Rows to measure: a dataset that is encoded in memory, or rows in parts that are encoded into a scratch file. Both give the same runs, so
// that they measure the same to the bit. Labels, weights and groups of all rows are in memory in either case.

/// <reference lib="esnext.disposable" preserve="true" />

import { Growing } from '../core/growing.js'
import { inSlices, Pause } from '../core/slices.js'
import { type Dataset, isDataset } from '../data/dataset.js'
import type { RowGroups } from '../metrics/groups.js'
import type { NativeBinding } from '../native/binding.js'
import { checkRows, type DataEncoder, EncodedRows, type LabelledRows, type Targets } from './encode.js'
import { encodeParts } from './encode-parts.js'
import type { EncodedFile } from './encoded-file.js'
import type { Measuring } from './measuring.js'
import { createColumns } from './memory-budget.js'
import { ofPart, Parts, type RowStream } from './parts.js'
import { GroupsInParts } from './row-groups.js'
import { rowsAtOnce } from './runner.js'
import { ofSource } from './source.js'

/** Consecutive rows for one run of a program. */
export interface RunOfRows {
  readonly data: EncodedRows
  /** The first row in `data`. */
  readonly start: number
  readonly rows: number
  /** Rows of earlier runs. */
  readonly before: number
}

export interface MeasuredRows extends AsyncDisposable {
  readonly rows: number
  /** Values per feature, and how many of them its vocabulary does not know. */
  readonly counts: EncodedRows['counts']
  /** What metrics compare with, by task. */
  readonly targets: ReadonlyMap<string, LabelledRows>
  readonly groups: RowGroups | undefined
  /** All rows in order. A run has `rowsAtOnce` rows, the last one may have fewer. It lives until the next is asked for. */
  runs(): AsyncIterable<RunOfRows>
}

export interface MeasuredRowsOptions {
  readonly measuring: Pick<Measuring, 'groups'>
  readonly native: NativeBinding
  /** Throws if the work must stop. */
  readonly check: () => void
  /** The folder of the scratch file, and the option that sets it. */
  readonly scratch: { readonly folder: string | undefined; readonly option: string }
  /** Names rows in parts in messages. */
  readonly field: string
}

/** Encodes rows to measure. The caller disposes of the result. @throws ERR_MULTIGATE_DATA, ERR_MULTIGATE_OUT_OF_MEMORY, ERR_MULTIGATE_WRITE. */
export async function measuredRows(
  data: Dataset | RowStream,
  encoder: DataEncoder,
  options: MeasuredRowsOptions,
): Promise<MeasuredRows> {
  return isDataset(data) ? await inMemory(data, encoder, options) : await inFile(data, encoder, options)
}

async function inMemory(
  data: Dataset,
  encoder: DataEncoder,
  { measuring, native, check }: MeasuredRowsOptions,
): Promise<MeasuredRows> {
  checkRows(data)
  const collected = measuring.groups === undefined ? undefined : new GroupsInParts(measuring.groups)
  if (collected !== undefined) await inSlices(collected.add(data), { check })
  const groups = collected && (await inSlices(collected.finish(), { check }))
  const encoded = await encoder.encode(data, native, 'evaluation', check)
  return {
    rows: encoded.rows,
    counts: encoded.counts,
    targets: new Map(encoded.targets.map((own) => [own.task.name, own])),
    groups,
    async *runs() {
      for (let start = 0; start < encoded.rows; start += rowsAtOnce)
        yield { data: encoded, start, rows: Math.min(rowsAtOnce, encoded.rows - start), before: start }
    },
    async [Symbol.asyncDispose]() {
      encoded[Symbol.dispose]()
    },
  }
}

async function inFile(
  stream: RowStream,
  encoder: DataEncoder,
  { measuring, native, check, scratch, field }: MeasuredRowsOptions,
): Promise<MeasuredRows> {
  const collected = measuring.groups === undefined ? undefined : new GroupsInParts(measuring.groups)
  const kept = new Map<string, KeptTargets>()
  const { file, counts } = await encodeParts(new Parts(stream, field), encoder, {
    purpose: 'evaluation',
    scratch,
    formOf: (rowBytes) => ({ blockRows: blockRowsOf(rowBytes), shardRows: rowsAtOnce }),
    check,
    each: async (part, targets) => {
      for (const own of targets) keptOf(kept, own).add(own)
      if (collected !== undefined)
        await ofPart(part, () => ofSource(part.data, () => inSlices(collected.add(part.data), { check })))
    },
  })
  try {
    const targets = new Map<string, LabelledRows>()
    for (const [name, own] of kept) targets.set(name, await own.finish(check))
    const groups = collected && (await inSlices(collected.finish(), { check }))
    return {
      rows: file.rows,
      counts,
      targets,
      groups,
      runs: () => runsOf(file, native, counts),
      async [Symbol.asyncDispose]() {
        await file.close()
      },
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Bytes of a block in the file, unless a row has more. */
const blockBytes = 2 ** 19
const mostBlockRows = 2 ** 10

/** A power of two, so that whole blocks make a run. */
function blockRowsOf(rowBytes: number): number {
  return 2 ** Math.floor(Math.log2(Math.max(1, Math.min(mostBlockRows, blockBytes / rowBytes))))
}

async function* runsOf(
  file: EncodedFile,
  native: NativeBinding,
  counts: EncodedRows['counts'],
): AsyncGenerator<RunOfRows, void, undefined> {
  const { blockRows, rows, columns } = file
  const into = createColumns(native, columns.specs, Math.min(rowsAtOnce, rows))
  try {
    const data = new EncodedRows(into, columns.names, [], counts)
    const pause = new Pause()
    for (let before = 0; before < rows; before += rowsAtOnce) {
      const own = Math.min(rowsAtOnce, rows - before)
      const blocks = Int32Array.from({ length: Math.ceil(own / blockRows) }, (_, block) => before / blockRows + block)
      await file.read(blocks, into, () => pause.ifDue())
      yield { data, start: 0, rows: own, before }
    }
  } finally {
    into.dispose()
  }
}

/** The labels and weights of a task, as they come. */
class KeptTargets {
  readonly #labels: Growing<Float32Array>
  readonly #weights: Growing<Float32Array>

  constructor(task: string) {
    this.#labels = new Growing(`labels of task '${task}'`, Float32Array)
    this.#weights = new Growing(`weights of task '${task}'`, Float32Array)
  }

  add({ labels, weights }: LabelledRows): void {
    this.#labels.pushAll(labels, labels.length)
    if (weights !== undefined) this.#weights.pushAll(weights, weights.length)
  }

  async finish(check: () => void): Promise<LabelledRows> {
    const weighted = this.#weights.length > 0
    const labels = await inSlices(this.#labels.joined(), { check })
    return { labels, weights: weighted ? await inSlices(this.#weights.joined(), { check }) : undefined }
  }
}

function keptOf(kept: Map<string, KeptTargets>, { task: { name } }: Targets): KeptTargets {
  const known = kept.get(name) ?? new KeptTargets(name)
  kept.set(name, known)
  return known
}
