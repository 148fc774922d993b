// A fit that goes on where another has ended, on other rows: from a file, or from the weights in memory. Vocabularies may grow and forget;
// then tables get other rows, and the network is lowered anew around them.

import { describeValue } from '../core/check.js'
import { ArgumentError } from '../core/errors.js'
import type { Table } from '../core/layout.js'
import { Pause } from '../core/slices.js'
import type { Built } from '../files/format.js'
import type { KeptRows, ModelFile } from '../files/read.js'
import type { Network } from '../models/network.js'
import type { FloatArray } from '../native/binding.js'
import type { DataEncoder } from '../runtime/encode.js'
import { Compaction, encodersFor, type GrownTable, grownEncoders } from '../runtime/growth.js'
import type { NetworkRunner } from '../runtime/runner.js'
import { weightsOf } from '../runtime/weights.js'
import type { CarriedOptimizer } from '../training/fit.js'
import { type Continuation, type Days, dayOf, type GrowOptions } from '../training/growth.js'
import type { Drawn } from '../training/state.js'
import { checkCompatible, type ModelIdentity, optimizerDifference, type Trained } from './resume.js'
import type { TrainingRows } from './training-rows.js'

/** What a fit goes on from: a file, or the weights of the model itself. */
export type Origin = { readonly file: ModelFile } | { readonly built: Built }

/** The model that goes on, and the parts of it that only the model makes. */
export interface Continuing {
  readonly identity: ModelIdentity
  readonly seed: number
  readonly trained: Trained
  /** The rows of today. */
  readonly today: Pick<TrainingRows, 'read' | 'reading'>
  readonly check: () => void
  readonly lower: (encoder: DataEncoder) => Network
  readonly assemble: (encoder: DataEncoder, network: Network, past: Partial<Omit<Built, 'encoder' | 'runner'>>) => Built
}

/** A model that is ready to be trained further. */
export interface Continued {
  readonly built: Built
  readonly carried: CarriedOptimizer | undefined
  readonly continues: Continuation
}

/**
 * Makes the model of today from that of yesterday.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the file, or a day that does not follow; ERR_MULTIGATE_FORMAT; ERR_MULTIGATE_DATA.
 */
export async function continued(origin: Origin, grow: GrowOptions | undefined, model: Continuing): Promise<Continued> {
  const before = 'file' in origin ? origin.file : origin.built
  const { features, config } = model.identity
  if ('file' in origin) checkCompatible('fit.from', origin.file, model.identity)
  const day = grow && dayOf(grow, before.days)
  const { today } = model
  const grown =
    grow && day
      ? await grownEncoders(
          before.encoder,
          { features, tasks: config.tasks, read: (readers) => today.read(readers) },
          { day: day.last, evictAfter: grow.evictAfter, means: grow.means ?? 'keep', features: grow.features },
        )
      : { encoder: encodersFor(before.encoder, features, config.tasks), tables: new Map<string, GrownTable>() }
  const old = 'file' in origin ? origin.file.check(() => model.lower(before.encoder)) : origin.built.runner.network
  // Check this before allocating their memory.
  if ('file' in origin) origin.file.checkWeights(old)
  const network = model.lower(grown.encoder)
  const days = day === undefined ? before.days : { ...day, drawnRows: drawnRows(old, network, grown.tables, before.days) }
  const drawn: Drawn = before.drawn ?? { epochs: 0, steps: 0 }
  const built = model.assemble(grown.encoder, network, {
    drawn: { ...drawn },
    reading: today.reading ?? before.reading,
    days,
  })
  try {
    const kept = keptRows(old, grown.tables)
    if ('file' in origin) await origin.file.readWeights(built.runner, kept)
    else await copyWeights(origin.built.runner, built.runner, kept, model.check)
    for (const table of network.tables)
      await drawNew(built.runner, table, grown.tables.get(table.name), before.days, old, model.seed)
    model.check()
    const optimizer = await optimizerOf(origin, old, kept, built.runner, model.trained)
    const vocabularies = Object.fromEntries(
      [...grown.tables].map(([name, { added, evicted }]) => [name, { added, evicted, values: rowsOf(network, name) - 1 }]),
    )
    const from = 'file' in origin ? origin.file.path : undefined
    const continues = { from, ...optimizer.told, vocabularies, meansRefreshed: grow?.means === 'refresh' }
    return { built, carried: optimizer.carried, continues }
  } catch (error) {
    built.runner.dispose()
    throw error
  }
}

function rowsOf({ tables }: Network, name: string): number {
  return tables.find((table) => table.name === name)?.rows ?? 1
}

/** Rows of grown tables that have ever been drawn. */
function drawnRows(
  old: Network,
  network: Network,
  grown: ReadonlyMap<string, GrownTable>,
  before: Days | undefined,
): Readonly<Record<string, number>> {
  return Object.fromEntries(
    network.tables.flatMap(({ name }) => {
      const table = grown.get(name)
      return table === undefined ? [] : [[name, (before?.drawnRows[name] ?? rowsOf(old, name)) + table.added]]
    }),
  )
}

async function drawNew(
  { weights }: NetworkRunner,
  table: Table,
  grown: GrownTable | undefined,
  before: Days | undefined,
  old: Network,
  seed: number,
): Promise<void> {
  if (grown === undefined || grown.added === 0) return
  const drawn = before?.drawnRows[table.name] ?? rowsOf(old, table.name)
  await weights.drawRows(table, table.rows - grown.added, drawn, seed)
}

/** The rows that stay in the tables of a network. */
export function keptRows(old: Network, grown: ReadonlyMap<string, Pick<GrownTable, 'kept'>>): KeptRows {
  const dims = new Map(old.tables.map(({ name, dim }) => [`table:${name}`, { name, dim }]))
  return (memory, width) => {
    const table = dims.get(memory)
    const kept = table && grown.get(table.name)?.kept
    return table && kept && new Compaction(kept, width ?? table.dim)
  }
}

/** Copies all weights from one runner to another whose tables may have other rows. */
export async function copyWeights(from: NetworkRunner, to: NetworkRunner, kept: KeptRows, check: () => void): Promise<void> {
  const pause = new Pause()
  for (const weight of weightsOf(from.network)) {
    const compaction = kept(weight.memory)
    let at = weight.offset
    for (const part of from.weights.passing(weight)) {
      const own: FloatArray = compaction === undefined ? part : compaction.next(part)
      if (own.length > 0) to.weights.write({ memory: weight.memory, offset: at }, own)
      at += own.length
      await pause.ifDue()
      check()
    }
  }
}

interface OptimizerPast {
  readonly carried: CarriedOptimizer | undefined
  readonly told: Pick<Continuation, 'optimizerSteps' | 'freshBecause'>
}

async function optimizerOf(
  origin: Origin,
  network: Network,
  kept: KeptRows,
  runner: NetworkRunner,
  own: Trained,
): Promise<OptimizerPast> {
  const anew = (why: string): OptimizerPast => ({ carried: undefined, told: { optimizerSteps: undefined, freshBecause: why } })
  if (!('file' in origin)) return anew('a model in memory keeps no state of it')
  const { file } = origin
  if (!file.isCheckpoint) return anew('the file is no checkpoint')
  const training = await file.readTraining({ callbacks: false })
  const difference = optimizerDifference(training, own)
  if (difference !== undefined) {
    const { name, theirs, ours } = difference
    return anew(`${name} is ${describeValue(ours)}, and was ${describeValue(theirs)} in the checkpoint`)
  }
  const { steps } = training
  return {
    carried: { steps, readMoments: (program) => file.readMoments(program, runner, { network, kept }) },
    told: { optimizerSteps: steps, freshBecause: undefined },
  }
}

/** @throws ERR_MULTIGATE_ARGUMENT for options that exclude each other. */
export function checkContinuing({
  from,
  resume,
  grow,
  built,
}: {
  readonly from: unknown
  readonly resume: unknown
  readonly grow: boolean
  readonly built: boolean
}): void {
  const wrong = (field: string, message: string): Error => new ArgumentError(`${field}: ${message}`, { field })
  if (resume !== undefined && from !== undefined)
    throw wrong('fit.from', "expected either resume or from, found both; to go on with a checkpoint's own run, leave from out")
  if (resume !== undefined && grow)
    throw wrong('fit.grow', 'expected it without resume, found both; leave grow out: the checkpoint has the grown vocabularies')
  if (from !== undefined && built)
    throw wrong(
      'fit.from',
      'expected a model that is not built yet, found one with weights; make a new one with the same options',
    )
}
