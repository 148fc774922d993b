// Exit codes and how errors become them. An error that multigate throws on purpose is one message; any other is a fault
// and shows its stack.

import { CommanderError } from 'commander'

import { MultigateError } from '../core/errors.js'

/** What the command returns to the shell. */
export const exitCodes = {
  ok: 0,
  /** Data, training or the machine: the message says what. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was done. */
  usage: 2,
  /** Ctrl-C (128 + SIGINT). */
  interrupted: 130,
} as const

/** Says what went wrong on stderr; the exit code for it. */
export function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  if (error instanceof MultigateError) {
    process.stderr.write(`multigate: ${error.message}\n`)
    return error.code === 'ERR_MULTIGATE_ARGUMENT' ? exitCodes.usage : exitCodes.failed
  }
  process.stderr.write(`multigate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return exitCodes.failed
}
