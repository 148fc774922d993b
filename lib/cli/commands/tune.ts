// `multigate tune`: searches for a good setting of a configuration, by its validation rows. Names of the space in its key `tune` are paths of
// the configuration. With --trials-file the search can be ended and goes on later.

import { Command } from 'commander'

import { ArgumentError } from '../../core/errors.js'
import { checkWritable } from '../../io/atomic.js'
import { tune as search } from '../../model/tune.js'
import { resultsTable } from '../../report/results.js'
import { tuneProgress, tuneTable } from '../../report/tune.js'
import { type Config, nameOfConfig, parseConfig, readConfig, withValues } from '../config.js'
import { modelOf } from '../configured.js'
import { dataOf, readData } from '../data.js'
import { exitCodes } from '../exit.js'
import { untilInterrupted } from '../interrupt.js'
import { type ComputeFlags, integer, measuringFrom, withCompute } from '../options.js'
import { note, print } from '../terminal.js'

interface GivenFlags extends ComputeFlags {
  readonly data?: string | undefined
  /** false: do not save. */
  readonly save?: string | false | undefined
  readonly trials?: number | undefined
  readonly trialsFile?: string | undefined
  readonly json?: boolean | undefined
  readonly quiet?: boolean | undefined
}

interface Flags extends GivenFlags {
  readonly data: string
}

export function tune(done: (code: number) => void): Command {
  const command = new Command('tune')
    .description('search for a good setting of a configuration, by its validation rows')
    .argument('<config>', 'a configuration file with the keys tune and split, JSON')
    .option('--data <file>', '.csv, .csv.gz, .tsv, .tsv.gz or .parquet (default: data of the configuration)')
    .option('--save <file>', 'where to write the chosen model (default: <config>.safetensors in this folder)')
    .option('--no-save', 'do not write the model')
    .option('--trials <n>', 'try this many settings, not as many as the configuration says', integer(1))
    .option('--trials-file <file>', 'keep the trials in this file, and go on from it')
    .option('--json', 'print one JSON object as the last line of stdout')
    .option('--quiet', 'no progress')
  return withCompute(command).action(async (path: string, { save, data, ...flags }: GivenFlags) => {
    const config = await readConfig(path)
    const given = { ...flags, data: dataOf(data, config), save: save ?? `${nameOfConfig(path)}.safetensors` }
    const { trialsFile } = given
    const kept = trialsFile === undefined ? '' : `: the trials that are done are in ${trialsFile}`
    done(
      await untilInterrupted(
        (signal) => run(config, given, signal),
        () => note(`interrupted${kept}`),
      ),
    )
  })
}

async function run(config: Config, flags: Flags, signal: AbortSignal): Promise<number> {
  const { tune: settings, split, located, json } = config
  if (settings === undefined) throw missing('tune', 'a search: { space, trials }')
  if (split === undefined) throw missing('split', 'a split with validation rows')
  if (typeof flags.save === 'string') await checkWritable(flags.save)
  const measuring = measuringFrom({}, config.fit)
  using plain = modelOf(config, flags)
  const reading = { ...plain.csvOptions({ labels: true, groups: measuring.groups }), signal }
  const { train, validation, test } = await (await readData(flags.data, reading, config)).splitAsync(split, { signal })
  const {
    model,
    test: measured,
    ...found
  } = await search({
    ...settings,
    trials: flags.trials ?? settings.trials,
    train,
    validation,
    test: test.rows > 0 ? test : undefined,
    path: flags.trialsFile,
    create: (choice) => {
      const chosen = located(() => parseConfig(withValues(json, choice)))
      return { model: modelOf({ ...chosen, located }, flags), fit: chosen.fit }
    },
    onTrial: flags.quiet === true ? undefined : tuneProgress(),
    signal,
  })
  using chosen = model
  if (typeof flags.save === 'string') await chosen.save(flags.save)
  const saved = typeof flags.save === 'string' ? [`saved to ${flags.save}`] : []
  print([tuneTable(found), ...(measured === undefined ? [] : ['', resultsTable({ test: measured })]), '', ...saved].join('\n'))
  if (flags.json === true)
    print(JSON.stringify({ ...found, test: measured?.tasks ?? null, saved: saved.length > 0 ? flags.save : null }))
  return exitCodes.ok
}

function missing(key: string, expected: string): ArgumentError {
  const field = `config.${key}`
  return new ArgumentError(`${field}: expected ${expected}, found nothing`, { field })
}
