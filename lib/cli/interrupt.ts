// The signals that ask a process to end: Ctrl-C, the end of a container or job, a closed terminal. The first one asks the work to stop
// soon. A second one ends the process, as usual.

import { AbortedError } from '../core/errors.js'
import { exitCodes } from './exit.js'

const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGHUP: exitCodes.hungUp } as const
type Ending = keyof typeof codes
const endings = Object.keys(codes) as Ending[]

/**
 * Runs work that such a signal can end through an `AbortSignal`.
 * @param ended runs after the work has stopped for a signal.
 * @returns the exit code of the work, or of the signal.
 */
export async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<number>,
  ended: () => void | Promise<void>,
): Promise<number> {
  const controller = new AbortController()
  let code: number = exitCodes.interrupted
  const release = (): void => {
    for (const name of endings) process.removeListener(name, abort)
  }
  const abort = (name: Ending): void => {
    code = codes[name]
    release()
    controller.abort()
  }
  for (const name of endings) process.on(name, abort)
  try {
    return await work(controller.signal)
  } catch (error) {
    if (!(error instanceof AbortedError && controller.signal.aborted)) throw error
    await ended()
    return code
  } finally {
    release()
  }
}
