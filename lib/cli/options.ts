// Options that several commands share, and parsers of numbers.

import { type Command, InvalidArgumentError, Option } from 'commander'

import { precisions } from '../core/precision.js'
import { type Part, partNames } from '../data/split.js'
import type { EvaluateOptions } from '../model/model.js'
import type { ComputeOptions } from '../runtime/compute.js'
import type { MeasuringOptions } from '../runtime/measuring.js'
import type { FitSettings } from '../training/options.js'
import { defined } from './config.js'

export interface ComputeFlags {
  readonly threads?: number | undefined
  readonly isa?: string | undefined
  readonly precision?: NonNullable<ComputeOptions['precision']> | undefined
  readonly device?: NonNullable<ComputeOptions['device']> | undefined
}

/** `--threads`, `--isa`, `--device`, `--precision`. */
export function withCompute(command: Command): Command {
  return command
    .option('--threads <n>', 'most threads to use; results do not depend on it', integer(1))
    .option('--isa <name>', 'one of the CPU instruction sets that `multigate doctor` lists')
    .option('--device <name>', 'where to compute: auto, cpu, reference, cuda, or cuda:1 and so on for other GPUs')
    .addOption(new Option('--precision <name>', 'precision of matrix products').choices(precisions))
}

export interface DataFlags {
  readonly data: string
  readonly config?: string | undefined
  readonly part?: Part | undefined
}

/** `--data`, and a part of it. */
export function withData(command: Command): Command {
  return command
    .requiredOption('--data <file>', '.csv, .csv.gz, .tsv, .tsv.gz or .parquet')
    .option('--config <file>', 'a configuration that says how the CSV file is read and split')
    .addOption(new Option('--part <name>', "only this part of the configuration's split").choices(partNames))
}

/** Where to compute. Leaves out absent flags, which would override the configuration. */
export function computeOf({ threads, isa, device, precision }: ComputeFlags): ComputeOptions {
  return defined({ threads, isa, device, precision })
}

/** An integer of at least `min`. */
export function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value
    throw new InvalidArgumentError(`Expected an integer >= ${min}.`)
  }
}

export interface MeasuringFlags {
  readonly groups?: string | undefined
  readonly metrics?: string | undefined
}

/** `--groups`, `--metrics`. */
export function withMeasuring(command: Command): Command {
  return command
    .option('--groups <column>', 'a column of groups, such as users, for uauc and gauc')
    .option('--metrics <names>', 'further metrics, such as prauc,ndcg@10')
}

/** What to measure, and where encoded rows go: as the flags say, else as `fit` of the configuration does. */
export function measuringFrom(
  { groups, metrics }: MeasuringFlags,
  configured: Pick<FitSettings, keyof MeasuringOptions | 'stream'> = {},
): Omit<EvaluateOptions, 'signal'> {
  return {
    groups: groups ?? configured.groups,
    metrics: (metrics?.split(',') as MeasuringOptions['metrics']) ?? configured.metrics,
    score: configured.score,
    stream: { scratch: configured.stream?.scratch },
  }
}
