// `multigate train`: turns a configuration and a file into a saved model, and shows validation and test results. Progress goes to stderr,
// results to stdout. Ctrl-C, SIGTERM and SIGHUP stop it between two steps and save the current weights.

import { dirname, join } from 'node:path'

import { Command } from 'commander'
import { count, duration } from '../../core/format.js'
import type { CsvOptions } from '../../data/csv-options.js'
import { type Dataset, isDataset } from '../../data/dataset.js'
import type { DatasetStream } from '../../data/dataset-stream.js'
import { ModelFile } from '../../files/read.js'
import { checkWritable } from '../../io/atomic.js'
import type { EvaluateOptions, Model } from '../../model/model.js'
import { progress } from '../../report/progress.js'
import { writeReport } from '../../report/report.js'
import { historyTable, resultsTable } from '../../report/results.js'
import type { Evaluation } from '../../runtime/evaluate.js'
import { measuringOf } from '../../runtime/measuring.js'
import { textColumns } from '../../runtime/reading.js'
import type { CallbackLike, FitPlan } from '../../training/callbacks.js'
import { checkpoint } from '../../training/checkpoint.js'
import type { EpochRecord, History } from '../../training/history.js'
import type { FitOptions } from '../../training/options.js'
import { type Config, defaultConfig, nameOfConfig, readConfig } from '../config.js'
import { modelOf } from '../configured.js'
import { dataOf, type Reading, readData, streamData } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { type ComputeFlags, integer, measuringFrom, withCompute } from '../options.js'
import { note, print } from '../terminal.js'

interface GivenFlags extends ComputeFlags {
  readonly data?: string | undefined
  /** Read the training rows in parts. */
  readonly stream?: boolean | undefined
  /** false: do not save. */
  readonly save?: string | false | undefined
  /** false: no report. */
  readonly report?: string | false | undefined
  readonly seed?: number | undefined
  readonly epochs?: number | undefined
  readonly checkpoint?: string | undefined
  readonly resume?: string | undefined
  readonly from?: string | undefined
  readonly grow?: boolean | undefined
  readonly day?: string | undefined
  readonly json?: boolean | undefined
  readonly quiet?: boolean | undefined
}

interface Flags extends GivenFlags {
  readonly data: string
}

export function train(done: (code: number) => void): Command {
  const command = new Command('train')
    .description('train a model')
    .argument('[config]', 'a configuration file, JSON (default: multigate.jsonc in this folder)')
    .option('--data <file>', '.csv, .csv.gz, .tsv, .tsv.gz or .parquet (default: data of the configuration)')
    .option('--stream', 'read the rows in parts, for files larger than memory; fit.stream of the configuration says how')
    .option(
      '--save <file>',
      'where to write the model (default: <config>.safetensors in this folder; without <config> model.safetensors)',
    )
    .option('--no-save', 'do not write the model')
    .option('--report <file>', 'where to write a page about the run (default: report.html beside the model)')
    .option('--no-report', 'do not write it')
    .option('--seed <n>', 'use this seed, not that of the configuration', integer(0))
    .option('--epochs <n>', 'train this many epochs, not those of the configuration', integer(1))
    .option('--checkpoint <file>', 'write a checkpoint after every epoch, for --resume')
    .option('--resume <file>', 'continue from a checkpoint of the same configuration; its epochs count too')
    .option('--from <file>', 'train a model file or checkpoint of the same configuration further, on these data')
    .option('--grow', 'let vocabularies take the new values of these data')
    .option('--day <day>', 'the day of these data, a date such as 2026-11-30 or an integer; implies --grow')
    .option('--json', 'print one JSON object as the last line of stdout')
    .option('--quiet', 'no progress')
  return withCompute(command).action(async (path: string | undefined, given: GivenFlags) => {
    const { save: asked, data, report, ...flags } = given
    const config = await readConfig(path ?? (await defaultConfig()))
    const name = path === undefined ? 'model' : nameOfConfig(path)
    const save = asked ?? `${name}.safetensors`
    done(await run(config, { ...flags, data: dataOf(data, config), save, report: reportPath(report, config.report, save) }))
  })
}

/** Where the report goes: as the flag says, else as the configuration does, else beside the model. False for no report. */
function reportPath(
  flag: string | boolean | undefined,
  configured: string | boolean | undefined,
  save: string | false,
): string | false {
  const chosen = typeof flag === 'string' || flag === false ? flag : (configured ?? true)
  if (chosen !== true) return chosen
  return save !== false && join(dirname(save), 'report.html')
}

async function run(config: Config, flags: Flags): Promise<number> {
  using model = modelOf(config, flags)
  config.located(() => measuringOf('config.fit', model.tasks, config.fit))
  // Check before training for hours that the results can be written.
  for (const path of [flags.save, flags.checkpoint, flags.report]) if (typeof path === 'string') await checkWritable(path)
  // What is complete when a signal ends the command.
  const done: Done = { epochs: [], saved: undefined }
  return await untilInterrupted(
    (signal) => trained(model, config, flags, done, signal),
    () => interrupted(model, flags, done),
  )
}

interface Done {
  readonly epochs: EpochRecord[]
  saved: string | undefined
}

async function trained(model: Model, config: Config, flags: Flags, done: Done, signal: AbortSignal): Promise<number> {
  if (flags.quiet !== true) note(`reading ${flags.data}`)
  const measuring = measuringFrom({}, config.fit)
  const types = flags.from === undefined ? {} : await typesOf(flags.from)
  const read = model.csvOptions({ labels: true, groups: measuring.groups })
  const { by = [] } = config.fit.sampleNegatives ?? {}
  const columns = [...read.columns, ...(typeof by === 'string' ? [by] : by)]
  const reading = { ...read, ...types, columns, signal }
  const split = await (flags.stream === true ? streamed : inMemory)(flags.data, reading, config)
  const line = config.split === undefined || flags.quiet === true ? undefined : splitLine(split)
  if (line !== undefined) note(line)
  let plan: FitPlan | undefined
  const counted = { onStart: (started: FitPlan) => void (plan = started) }
  const history = await fit(model, config, flags, split, signal, [counted, (epoch) => void done.epochs.push(epoch)])
  const saved = await save(model, flags)
  done.saved = saved
  const results = await evaluateParts(model, split, { ...measuring, signal }).catch((error: unknown) => {
    if (saved !== undefined && !signal.aborted) note(`trained and saved to ${saved}, but not measured:`)
    throw error
  })
  const reported =
    plan === undefined ? undefined : await writePage(model, { config, plan, history, results, split, signal }, flags)
  printResults(model, { history, results, split, saved, reported, trainRows: plan?.trainRows ?? 0 }, flags)
  return exitCodes.ok
}

/** The parts of the data, in memory or as streams. A part without rows is undefined. */
interface Parts {
  readonly train: Dataset | DatasetStream
  readonly validation: Dataset | DatasetStream | undefined
  readonly test: Dataset | DatasetStream | undefined
  /** Rows in no part; unknown if the rows are read in parts. */
  readonly leftOut: number | undefined
}

async function inMemory(path: string, reading: Reading, config: Config): Promise<Parts> {
  const train = await readData(path, reading, config)
  if (config.split === undefined) return { train, validation: undefined, test: undefined, leftOut: 0 }
  const { validation, test, ...others } = await train.splitAsync(config.split, { signal: reading.signal })
  return { ...others, validation: validation.rows > 0 ? validation : undefined, test: test.rows > 0 ? test : undefined }
}

async function streamed(path: string, reading: Reading, config: Config): Promise<Parts> {
  const train = streamData(path, reading, config)
  const { split } = config
  if (split === undefined) return { train, validation: undefined, test: undefined, leftOut: 0 }
  const parts = config.located(() => train.split(split))
  return { train: parts.train, validation: await some(parts.validation), test: await some(parts.test), leftOut: undefined }
}

/** A stream, unless it has no rows. */
async function some(stream: DatasetStream): Promise<DatasetStream | undefined> {
  for await (const { rows } of stream) if (rows > 0) return stream
  return undefined
}

/** Texts that look like numbers stay texts, as on the days before. */
async function typesOf(path: string): Promise<Pick<CsvOptions, 'types'>> {
  await using file = await ModelFile.open(path)
  return { types: textColumns(file.encoder.encoders) }
}

/** What a configuration and the flags say of growing. */
function growing(configured: FitOptions['grow'], { grow, day }: Flags): FitOptions['grow'] {
  if (day === undefined) return configured === undefined || configured === false ? grow : configured
  const own = typeof configured === 'object' ? configured : {}
  return { ...own, day: /^\d+$/.test(day) ? Number(day) : day }
}

function fit(
  model: Model,
  { fit: { callbacks, epochs: configured, ...options } }: Config,
  flags: Flags,
  { train, validation }: Parts,
  signal: AbortSignal,
  watching: readonly CallbackLike[],
): Promise<History> {
  const { quiet = false, epochs, checkpoint: path, resume, from } = flags
  return model.fit(train, {
    ...options,
    epochs: epochs ?? configured,
    // The vocabularies of a checkpoint have grown already.
    grow: resume === undefined ? growing(options.grow, flags) : undefined,
    validation,
    callbacks: [...callbacks, ...(path === undefined ? [] : [checkpoint({ path })]), ...(quiet ? [] : [progress()]), ...watching],
    signal,
    resume,
    from,
  })
}

async function evaluateParts(
  model: Model,
  { train, validation, test }: Parts,
  options: EvaluateOptions,
): Promise<Record<string, Evaluation>> {
  const parts = validation === undefined && test === undefined ? { train } : { validation, test }
  const results: Record<string, Evaluation> = {}
  for (const [name, data] of Object.entries(parts)) if (data !== undefined) results[name] = await model.evaluate(data, options)
  return results
}

async function save(model: Model, { save: path }: Flags): Promise<string | undefined> {
  if (typeof path !== 'string') return undefined
  await model.save(path)
  return path
}

interface Run {
  readonly config: Config
  readonly plan: FitPlan
  readonly history: History
  readonly results: Readonly<Record<string, Evaluation>>
  readonly split: Parts
  readonly signal: AbortSignal
}

/** Writes the report. The model is saved by then, so what goes wrong here is only said. */
async function writePage(
  model: Model,
  { config, plan, history, results, split: { validation, test }, signal }: Run,
  { report: path }: Flags,
): Promise<string | undefined> {
  if (typeof path !== 'string') return undefined
  try {
    const measured = test ?? validation
    // Rows in parts are not read once more for this.
    const gates = isDataset(measured) ? await model.gates(measured, { signal }) : []
    await writeReport(path, { plan, history, results, gates, configuration: config.json })
    return path
  } catch (error) {
    if (signal.aborted) throw error
    note(`no report: ${error instanceof Error ? error.message : String(error)}`)
    return undefined
  }
}

interface Outcome {
  readonly history: History
  readonly results: Readonly<Record<string, Evaluation>>
  readonly split: Parts
  readonly trainRows: number
  readonly saved: string | undefined
  readonly reported: string | undefined
}

function printResults(
  model: Model,
  { history, results, split, saved, reported, trainRows }: Outcome,
  { json = false }: Flags,
): void {
  const { epochs, stopReason, weightsEpoch } = history
  const seconds = epochs.reduce((sum, epoch) => sum + epoch.seconds, 0)
  const rowsPerSecond = (trainRows * epochs.length) / seconds
  const lines = [
    historyTable(history),
    '',
    ...(Object.keys(results).length === 0 ? [] : [resultsTable(results), '']),
    `trained ${epochs.length} ${epochs.length === 1 ? 'epoch' : 'epochs'} in ${duration(seconds)}, ${count(rowsPerSecond)} rows/s; weights of epoch ${weightsEpoch}`,
    ...(saved === undefined ? [] : [`saved to ${saved}`]),
    ...(reported === undefined ? [] : [`report in ${reported}`]),
  ]
  print(lines.join('\n'))
  if (!json) return
  const scored = Object.values(results).some((result) => 'score' in result)
  const summary = {
    model: model.name,
    device: model.device,
    rows: {
      train: trainRows,
      validation: results.validation?.rows ?? 0,
      test: results.test?.rows ?? 0,
      leftOut: split.leftOut ?? null,
    },
    epochs: epochs.length,
    weightsEpoch,
    stopReason: stopReason ?? null,
    seconds,
    rowsPerSecond,
    ...Object.fromEntries(Object.entries(results).map(([part, { tasks }]) => [part, tasks])),
    ...(scored && { score: Object.fromEntries(Object.entries(results).map(([part, { score }]) => [part, score ?? null])) }),
    unknownValues: {
      train: history.unknownValues,
      ...Object.fromEntries(Object.entries(results).map(([part, { unknownValues }]) => [part, unknownValues])),
    },
    saved: saved ?? null,
    report: reported ?? null,
  }
  print(JSON.stringify(summary))
}

/** Saves the model unless that is done. */
async function interrupted(model: Model, flags: Flags, { epochs, saved: before }: Done): Promise<void> {
  const last = epochs.at(-1)?.epoch
  const at = last === undefined ? 'before an epoch was done' : `after epoch ${last}`
  const saved = before ?? (model.built ? await save(model, flags) : undefined)
  const kept = saved === undefined ? 'nothing was saved' : `the weights of the last whole step are saved to ${saved}`
  const onwards =
    flags.checkpoint === undefined || last === undefined ? '' : `; --resume ${flags.checkpoint} goes on after epoch ${last}`
  note(`interrupted ${at}: ${kept}${onwards}`)
  if (flags.json === true) print(JSON.stringify({ interrupted: true, epochs: last ?? 0, saved: saved ?? null }))
}

/** How many rows each part has; undefined if they are read in parts. */
function splitLine({ train, validation, test, leftOut }: Parts): string | undefined {
  if (!isDataset(train)) return undefined
  const rowsIn = (part: Parts['test']): string => count(isDataset(part) ? part.rows : 0)
  const rows = `rows: ${count(train.rows)} train, ${rowsIn(validation)} validation, ${rowsIn(test)} test`
  return leftOut === 0 || leftOut === undefined ? rows : `${rows}, ${count(leftOut)} left out`
}
