// Deltas between two states of a model: finds what has changed since a saved file, and makes the new model from the old one and a delta.

import { isDeepStrictEqual } from 'node:util'

import { quote } from '../core/check.js'
import { ArgumentError, FormatError } from '../core/errors.js'
import type { FilePath } from '../core/path.js'
import { inSlices, Pause } from '../core/slices.js'
import { evictedBetween } from '../features/encode/growth.js'
import { DeltaFile, type TableChange, writeDelta } from '../files/delta.js'
import { fingerprintOf } from '../files/fingerprint.js'
import type { Built } from '../files/format.js'
import { ModelFile } from '../files/read.js'
import type { FloatArray } from '../native/binding.js'
import { Compaction } from '../runtime/growth.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { type Weight, weightsOf } from '../runtime/weights.js'
import { type Continuing, copyWeights, keptRows } from './continued.js'
import { checkCompatible, type ModelIdentity } from './resume.js'

/** What deltas need of a model. */
export interface DeltaModel extends Pick<Continuing, 'lower' | 'assemble' | 'check'> {
  readonly identity: ModelIdentity
}

/**
 * Writes what has changed since a saved file.
 * @throws ERR_MULTIGATE_ARGUMENT naming what else differs; ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_WRITE.
 */
export async function saveDelta(path: FilePath, since: FilePath, built: Built, model: DeltaModel): Promise<void> {
  await using base = await ModelFile.open(since)
  checkCompatible('saveDelta.since', base, model.identity)
  if (!isDeepStrictEqual(base.encoder.fitted, built.encoder.fitted)) {
    const what = `expected what tasks have fitted on labels as in ${base.path}, found other values in this model; ship a full file`
    throw new ArgumentError(`saveDelta.since: ${what}`, { field: 'saveDelta.since' })
  }
  const network = base.check(() => model.lower(base.encoder))
  base.checkWeights(network)
  const content = {
    model: base.model,
    encoder: base.encoder,
    weights: weightsOf(network),
    parts: ({ name }: Weight) => base.weight(name),
  }
  const fingerprint = await fingerprintOf(content, model.check)
  const result = await fingerprintOf(contentOf(model.identity.config.model, built), model.check)
  const { runner, encoder } = built
  const dense: Weight[] = []
  const tables = new Map<string, TableChange>()
  const pause = new Pause()
  for (const weight of weightsOf(runner.network)) {
    const table = runner.network.tables.find(({ name }) => `table:${name}` === weight.memory)
    if (table === undefined) {
      const rows = await changedRows(
        base.weight(weight.name),
        runner,
        weight,
        weight.shape.reduce((all, size) => all * size, 1),
        model.check,
      )
      if (rows.length > 0) dense.push(weight)
    } else {
      const of = ({ encoders }: Built['encoder']) => encoders.find(({ feature }) => feature.name === table.name)
      const [before, now] = [of(base.encoder), of(encoder)]
      const change =
        before?.kind !== 'dense' && now?.kind !== 'dense' && before?.vocabulary !== undefined && now?.vocabulary !== undefined
          ? await inSlices(evictedBetween(before.vocabulary, now.vocabulary))
          : { evicted: new Int32Array(0), kept: undefined, stayed: table.rows - 1 }
      const compaction = change.kept && new Compaction(change.kept, table.dim)
      const changed = await changedRows(base.weight(weight.name), runner, weight, table.dim, model.check, compaction)
      const added = table.rows - 1 - change.stayed
      tables.set(table.name, { evicted: change.evicted, added, rows: withNew(changed, change.stayed + 1, table.rows) })
    }
    await pause.ifDue()
  }
  await writeDelta(path, { model: model.identity.config.model, base: fingerprint, result, built, dense, tables })
}

function contentOf(model: string, { encoder, runner }: Built) {
  return { model, encoder, weights: weightsOf(runner.network), parts: (weight: Weight) => runner.weights.passing(weight) }
}

/** Rows of a weight whose bits differ from those of the base, ascending. */
async function changedRows(
  base: AsyncIterable<FloatArray>,
  { weights, compute }: NetworkRunner,
  { memory, offset, shape }: Weight,
  width: number,
  check: () => void,
  compaction?: Compaction,
): Promise<Int32Array> {
  const rows = shape.reduce((all, size) => all * size, 1) / width
  const changed = new Int32Array(rows)
  let [size, at] = [0, 0]
  for await (const part of base) {
    const own = compaction === undefined ? part : compaction.next(part)
    const now = new compute.element(own.length)
    weights.read({ memory, offset: offset + at }, now)
    const [theirs, ours] = [bitsOf(own instanceof compute.element ? own : new compute.element(own)), bitsOf(now)]
    const words = ours.length / Math.max(1, now.length)
    for (let word = 0; word < ours.length; word += 1) {
      if (theirs[word] === ours[word]) continue
      const row = Math.floor((at + Math.floor(word / words)) / width)
      if (size === 0 || changed[size - 1] !== row) changed[size++] = row
      // Goes on with the next row.
      word = ((row + 1) * width - at) * words - 1
    }
    at += own.length
    check()
  }
  return changed.slice(0, size)
}

function bitsOf(values: FloatArray): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.byteLength / 4)
}

/** The rows, and all from `first` to `end` (exclusive). */
function withNew(rows: Int32Array, first: number, end: number): Int32Array {
  const all = new Int32Array(rows.length + end - first)
  all.set(rows)
  for (let row = first; row < end; row += 1) all[rows.length + row - first] = row
  return all
}

/**
 * The model after a delta. The one before it stays as it is.
 * @throws ERR_MULTIGATE_ARGUMENT if the delta is one of another model; ERR_MULTIGATE_FORMAT naming what is wrong with the file.
 */
export async function withDelta(path: FilePath, built: Built, model: DeltaModel): Promise<Built> {
  await using delta = await DeltaFile.open(path)
  const { config } = model.identity
  const own = await fingerprintOf(contentOf(config.model, built), model.check)
  if (own !== delta.base) throw ofAnother(delta, own)
  const { encoder, kept } = await delta.encoders(built.encoder, config.tasks)
  const network = delta.check(() => model.lower(encoder))
  const next = model.assemble(encoder, network, delta.past)
  try {
    const changes = new Map([...kept].map(([name, positions]) => [name, { kept: positions }]))
    await copyWeights(built.runner, next.runner, keptRows(built.runner.network, changes), model.check)
    const rowsBefore = new Map(built.runner.network.tables.map(({ name, rows }) => [name, rows]))
    await delta.write(next.runner, encoder, (table) => {
      const positions = kept.get(table)
      return positions === undefined ? (rowsBefore.get(table) ?? 0) : positions.length + 1
    })
    const result = await fingerprintOf(contentOf(config.model, next), model.check)
    if (result !== delta.result) {
      const what = `expected changes that lead to the model ${short(delta.result)}, found some that lead to ${short(result)}: the file is damaged; write it anew, or ship a full file`
      throw new FormatError(`${delta.path}: ${what}`, { file: delta.path, field: 'multigate.delta' })
    }
    return next
  } catch (error) {
    next.runner.dispose()
    throw error
  }
}

function ofAnother({ path, base, result }: DeltaFile, own: string): Error {
  const found = own === result ? `this one, ${short(own)}, which has it already` : `this one, ${short(own)}`
  const expected = `the model of fingerprint ${short(base)}, which ${quote(path)} is a delta of`
  const next = 'apply the deltas of a chain in their order, from the file that the first one names'
  return new ArgumentError(`applyDelta.path: expected ${expected}, found ${found}; ${next}`, { field: 'applyDelta.path' })
}

/** The first digits of a fingerprint. */
function short(fingerprint: string): string {
  return fingerprint.slice(0, 12)
}
