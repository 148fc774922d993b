// Exit codes and how errors become them. An error that multigate throws on purpose is one message; any other is a fault
// and shows its stack.

import { CommanderError } from 'commander'

import { MultigateError } from '../core/errors.js'
import { note } from './terminal.js'

/** What the command returns to the shell. */
export const exitCodes = {
  ok: 0,
  /** Data, training or a file: the message says what. */
  failed: 1,
  /** The command line or the configuration is wrong, or asks for what this machine has not; nothing was done. */
  usage: 2,
  /** The terminal was closed (128 + SIGHUP). */
  hungUp: 129,
  /** Ctrl-C (128 + SIGINT). */
  interrupted: 130,
  /** Whoever read its output has had enough, as `head` has (128 + SIGPIPE). */
  unread: 141,
  /** Ended from outside, as containers and jobs are (128 + SIGTERM). */
  terminated: 143,
} as const

/**
 * What a command writes may find no reader, or no room. Without stderr the work goes on: a model is not lost with its
 * progress. @returns the exit code of what stdout has met, if anything.
 */
export function watchOutputs(): () => number | undefined {
  let code: number | undefined
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (code !== undefined) return
    code = error.code === 'EPIPE' ? exitCodes.unread : exitCodes.failed
    if (code === exitCodes.failed) note(`multigate: stdout: cannot write it: ${error.message}`)
    // The error comes after the command is done, where it did not wait for the write.
    process.exitCode = code
  })
  return () => code
}

const usageErrors = new Set<string>(['ERR_MULTIGATE_ARGUMENT', 'ERR_MULTIGATE_DEVICE', 'ERR_MULTIGATE_UNSUPPORTED'])

/** Says what went wrong on stderr; the exit code for it. */
export function report(error: unknown): number {
  // `watchOutputs` has it.
  if (error instanceof Error && 'syscall' in error && error.syscall === 'write') return exitCodes.failed
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  if (error instanceof MultigateError) {
    note(`multigate: ${error.message}`)
    return usageErrors.has(error.code) ? exitCodes.usage : exitCodes.failed
  }
  note(`multigate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  return exitCodes.failed
}
