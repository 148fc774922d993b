// Fits and encodes training rows that are read in parts: a first reading for vocabularies and other statistics, a second one into a
// scratch file. A model that is built needs only the second.

import { quote } from '../core/check.js'
import { DataError } from '../core/errors.js'
import { inSlices } from '../core/slices.js'
import type { CsvOptions } from '../data/csv-options.js'
import type { Encoder, ValueCounts } from '../features/encode/encoder.js'
import { fitterOf } from '../features/encode/encoders.js'
import { columnNameOf, type Feature } from '../features/spec/feature.js'
import { ScratchFile } from '../io/scratch.js'
import { labelFitter, type Task, targetColumnsOf } from '../tasks/task.js'
import { type ColumnSource, DataEncoder, fitOn, type Purpose, rowsAtOnceOf, type Targets } from './encode.js'
import { type EncodedFile, EncodedWriter } from './encoded-file.js'
import { LabelSample } from './label-sample.js'
import { type NegativeSampling, noneKept } from './negative-sampling.js'
import { ofPart, type Part, type Parts } from './parts.js'
import type { RowForm } from './row-source.js'
import { RowsPrint } from './rows-print.js'

/** What rows are read for. */
export interface PartsTarget {
  readonly features: readonly Feature[]
  readonly tasks: readonly Task[]
  /** Which negative rows are left out. */
  readonly sampling: NegativeSampling | undefined
  /** Throws if the work must stop. */
  readonly check: () => void
}

/** What a first reading has found, beside what its caller took from it. */
export interface FirstReading {
  /** Of the values that were read. */
  readonly print: RowsPrint
  readonly reading: CsvOptions | undefined
}

/** Reads all parts once, for `each`. Before that of a second reading, whose rows must be the same. */
export async function readParts(parts: Parts, target: PartsTarget, each: (part: Part) => Promise<void>): Promise<FirstReading> {
  const { check } = target
  const columns = columnsOf(target)
  const print = new RowsPrint()
  let reading: CsvOptions | undefined
  for await (const part of parts.read(check)) {
    reading ??= part.data.reading
    await each(part)
    await ofPart(part, () => inSlices(print.add(part.data, columns), { check }))
  }
  return { print, reading }
}

/** Fits every open encoder. @throws ERR_MULTIGATE_DATA as `DataEncoder.fit`. */
export async function fitParts(parts: Parts, target: PartsTarget): Promise<FirstReading & { readonly encoder: DataEncoder }> {
  const { features, tasks, check } = target
  const fitters = features.map((feature) => ({ feature, fitter: fitterOf(feature) }))
  const labels = tasks.map((task, index) => new LabelSample(task, index))
  const first = await readParts(parts, target, async (part) => {
    // Fitters count the rows of all parts themselves.
    for (const { feature, fitter } of fitters) await inSlices(fitOn(fitter, part.data, feature), { check })
    await ofPart(part, async () => {
      for (const sample of labels) await sample.add(part, tasks, check)
    })
  })
  const encoders = []
  for (const { fitter } of fitters) encoders.push(await inSlices(fitter.finish(), { check }))
  const fitted = []
  for (const sample of labels) fitted.push(await sample.fitted(check))
  return { ...first, encoder: new DataEncoder(encoders, tasks, fitted) }
}

/**
 * Fits on the first part alone, if no other could change anything: the options of all features give what others fit.
 * @returns undefined if it takes all parts.
 */
export async function fitFirstPart(
  parts: Parts,
  { features, tasks, check }: PartsTarget,
): Promise<{ readonly encoder: DataEncoder; readonly reading: CsvOptions | undefined } | undefined> {
  if (tasks.some((task) => labelFitter(task) !== undefined)) return undefined
  const fitters = features.map((feature) => ({ feature, fitter: fitterOf(feature) }))
  if (fitters.some(({ fitter }) => !fitter.closed)) return undefined
  for await (const { data } of parts.read(check)) {
    const encoders: Encoder[] = []
    for (const { feature, fitter } of fitters) {
      await inSlices(fitOn(fitter, data, feature), { check })
      encoders.push(await inSlices(fitter.finish(), { check }))
    }
    // A part whose values are all missing does not tell their type.
    if (encoders.some((encoder) => encoder.kind !== 'dense' && encoder.type === undefined)) return undefined
    return { encoder: new DataEncoder(encoders, tasks), reading: data.reading }
  }
  return undefined
}

/** Which rows become what, and where they go. */
export interface EncodingOptions {
  readonly purpose: Purpose
  /** The folder of the scratch file, and the option that sets it. */
  readonly scratch: { readonly folder: string | undefined; readonly option: string }
  /** The form of rows of so many bytes. */
  readonly formOf: (rowBytes: number) => RowForm
  /** Which negative rows are left out. Default: none. */
  readonly sampling?: NegativeSampling | undefined
  /** What a first reading found. Rows that are not the same are refused. */
  readonly again?: Again | undefined
  /** Called with each part before it is sampled and encoded. */
  readonly seen?: ((part: Part) => Promise<void>) | undefined
  /** Called with each part that was encoded. */
  readonly each?: ((part: Part, targets: readonly Targets[]) => Promise<void>) | undefined
  /** Throws if the work must stop. */
  readonly check: () => void
}

/** The first reading of rows that are read twice. */
export interface Again {
  readonly print: RowsPrint
  /** The columns that it counted. */
  readonly columns: ReadonlySet<string>
}

export interface EncodedParts {
  readonly file: EncodedFile
  readonly form: RowForm
  readonly counts: ReadonlyMap<string, ValueCounts>
}

/**
 * Encodes all parts into a scratch file. The caller closes the result.
 * @throws ERR_MULTIGATE_DATA naming row and value, and if the rows are not those of the first reading; ERR_MULTIGATE_WRITE.
 */
export async function encodeParts(
  parts: Parts,
  encoder: DataEncoder,
  { purpose, scratch, formOf, sampling, again: before, seen, each, check }: EncodingOptions,
): Promise<EncodedParts> {
  const print = before?.print
  const again = print && new RowsPrint()
  const counts = new Map<string, { values: number; unknown: number }>()
  let into: { readonly writer: EncodedWriter; readonly form: RowForm } | undefined
  const file = await ScratchFile.create(scratch.folder, scratch.option)
  try {
    for await (const whole of parts.read(check)) {
      if (before !== undefined && again !== undefined) await inSlices(again.add(whole.data, before.columns), { check })
      if (print !== undefined && again !== undefined && again.rows > print.rows)
        throw changed(`${print.rows} rows`, `${again.rows} or more`)
      await seen?.(whole)
      const part = sampling === undefined ? whole : await sampled(whole, sampling, check)
      if (part.data.rows === 0) continue
      const { sources, targets } = await ofPart(part, () => {
        return inSlices(encoder.sourcesOf(part.data, purpose, { sampling }), { check })
      })
      if (into === undefined) {
        const rowBytes = sources.reduce((sum, { spec }) => sum + spec.width * 4, 0)
        if (print !== undefined) await file.checkRoom(print.rows * rowBytes)
        const form = formOf(rowBytes)
        const specs = { names: sources.map(({ name }) => name), specs: sources.map(({ spec }) => spec) }
        into = { form, writer: new EncodedWriter(file, specs, form.blockRows) }
      }
      const { writer } = into
      await ofPart(part, () => writeRows(writer, sources, part, check))
      for (const { name, counts: own } of sources) addCounts(counts, name, own?.())
      await each?.(part, targets)
    }
    if (print !== undefined && again !== undefined) checkSame(print, again)
    if (into === undefined) throw noneKept()
    return { file: await into.writer.finish(), form: into.form, counts }
  } catch (error) {
    await into?.writer.settled()
    await file.close()
    throw error
  }
}

/** The rows of a part that keep a label. */
async function sampled(part: Part, sampling: NegativeSampling, check: () => void): Promise<Part> {
  const rows = await ofPart(part, () => inSlices(sampling.kept(part.data), { check }))
  return { data: part.data.select(rows), before: part.before, rowOf: (row) => rows[row] ?? 0 }
}

async function writeRows(
  writer: EncodedWriter,
  sources: readonly ColumnSource[],
  { data }: Part,
  check: () => void,
): Promise<void> {
  const step = rowsAtOnceOf(sources)
  for (let from = 0; from < data.rows; from += step) {
    const to = Math.min(from + step, data.rows)
    await writer.add(await inSlices(readAll(sources, from, to), { check }), to - from)
  }
}

function* readAll(sources: readonly ColumnSource[], from: number, to: number) {
  const arrays: (Int32Array | Float32Array)[] = []
  for (const source of sources) {
    arrays.push(source.read(from, to))
    yield
  }
  return arrays
}

function addCounts(counts: Map<string, { values: number; unknown: number }>, name: string, own: ValueCounts | undefined): void {
  if (own === undefined) return
  const { values, unknown } = counts.get(name) ?? { values: 0, unknown: 0 }
  counts.set(name, { values: values + own.values, unknown: unknown + own.unknown })
}

/** The columns that a model reads of training rows. */
export function columnsOf({ features, tasks, sampling }: PartsTarget): ReadonlySet<string> {
  return new Set([...features.map(columnNameOf), ...targetColumnsOf(tasks), ...(sampling?.by ?? [])])
}

function checkSame(first: RowsPrint, second: RowsPrint): void {
  if (first.rows !== second.rows) throw changed(`${first.rows} rows`, `${second.rows}`)
  const column = first.differing(second)
  if (column !== undefined) throw changed(`the same values in column ${quote(column)}`, 'others', column)
}

function changed(expected: string, found: string, column?: string): DataError {
  const next = 'rows are read twice: read them from what does not change meanwhile, in an order that does not either'
  return new DataError(`expected ${expected}, as when they were first read, found ${found}; ${next}`, { column })
}
