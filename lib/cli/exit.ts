// Exit codes, and how errors become them. An error that multigate throws on purpose prints one message. Any other error is a fault and
// prints its stack.

import { CommanderError } from 'commander'

import { MultigateError } from '../core/errors.js'
import { note } from './terminal.js'

/** Exit codes of the command. */
export const exitCodes = {
  ok: 0,
  /** Data, training or a file failed; the message says what. */
  failed: 1,
  /** The command line or configuration is wrong, or asks for something that this machine lacks. Nothing was done. */
  usage: 2,
  /** The terminal was closed (128 + SIGHUP). */
  hungUp: 129,
  /** Ctrl-C (128 + SIGINT). */
  interrupted: 130,
  /** The reader of its output is gone, such as `head` (128 + SIGPIPE). */
  unread: 141,
  /** Ended from outside, as containers and jobs are (128 + SIGTERM). */
  terminated: 143,
} as const

/**
 * Handles output that has no reader or no room. Without stderr the work goes on, because losing progress must not lose a model.
 * @returns a function that gives the exit code of a failed write to stdout, if any.
 */
export function watchOutputs(): () => number | undefined {
  let code: number | undefined
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (code !== undefined) return
    code = error.code === 'EPIPE' ? exitCodes.unread : exitCodes.failed
    if (code === exitCodes.failed) note(`multigate: stdout: cannot write it: ${error.message}`)
    // The error may arrive after the command is done, if it did not wait for the write.
    process.exitCode = code
  })
  return () => code
}

const usageErrors = new Set<string>(['ERR_MULTIGATE_ARGUMENT', 'ERR_MULTIGATE_DEVICE', 'ERR_MULTIGATE_UNSUPPORTED'])

/** Prints an error on stderr. @returns its exit code. */
export function report(error: unknown): number {
  // `watchOutputs` handles it.
  if (error instanceof Error && 'syscall' in error && error.syscall === 'write') return exitCodes.failed
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  if (error instanceof MultigateError) {
    note(`multigate: ${error.message}`)
    return usageErrors.has(error.code) ? exitCodes.usage : exitCodes.failed
  }
  note(`multigate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  return exitCodes.failed
}
