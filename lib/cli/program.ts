// The command line: one file per command, registered here. A command returns its exit code.

import { Command } from 'commander'

import { version } from '../core/version.js'
import { bench } from './commands/bench.js'
import { build } from './commands/build.js'
import { apply, delta } from './commands/delta.js'
import { doctor } from './commands/doctor.js'
import { evaluate } from './commands/evaluate.js'
import { explain } from './commands/explain.js'
import { exportModel } from './commands/export.js'
import { inspect } from './commands/inspect.js'
import { predict } from './commands/predict.js'
import { train } from './commands/train.js'
import { tune } from './commands/tune.js'
import { verify } from './commands/verify.js'
import { exitCodes, report } from './exit.js'
import { note, print } from './terminal.js'

const commands = [train, tune, evaluate, predict, explain, inspect, delta, apply, exportModel, verify, bench, doctor, build]

/** `print` and `note` end the line themselves. */
const output = {
  writeOut: (text: string) => print(text.trimEnd()),
  writeErr: (text: string) => note(text.trimEnd()),
}

/** Runs one command line; never throws. @returns the exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  let code: number = exitCodes.ok
  const program = new Command('multigate')
    .description('Trains and serves multi-task ranking models.')
    .version(version())
    .exitOverride()
    .configureOutput(output)
    .addHelpText(
      'after',
      '\nExit codes: 0 done; 1 failed; 2 wrong command line or configuration; 130, 143 or 129 ended by Ctrl-C,\nSIGTERM or SIGHUP, with the current weights saved; 141 the reader of the output is gone (`| head`).',
    )
  for (const command of commands) {
    program.addCommand(
      command((result) => {
        code = result
      })
        .exitOverride()
        .configureOutput(output)
        .showHelpAfterError('(use --help to see the usage)'),
    )
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    return report(error)
  }
}
