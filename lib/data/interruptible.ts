// Interrupts DuckDB when the caller's signal is aborted.

import { AbortedError } from '../core/errors.js'
import type { Signal } from '../core/slices.js'
import type { Session } from './duckdb.js'

/**
 * Yields what `use` yields, until the signal is aborted. That interrupts a running statement.
 * @throws ERR_MULTIGATE_ABORTED naming `what`.
 */
export async function* interruptible<T>(
  session: Session,
  what: string,
  signal: Signal | undefined,
  use: (session: Session) => AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  if (signal === undefined) return yield* use(session)
  const check = (): void => {
    if (signal.aborted) throw new AbortedError(what, signal.reason)
  }
  let timer: NodeJS.Timeout | undefined
  // Repeated, because an interrupt between two statements is lost.
  const interrupt = (): void => {
    session.connection.interrupt()
    timer ??= setInterval(interrupt, 10)
  }
  signal.addEventListener?.('abort', interrupt)
  try {
    check()
    for await (const part of use(session)) {
      check()
      yield part
      check()
    }
  } catch (cause) {
    check()
    throw cause
  } finally {
    signal.removeEventListener?.('abort', interrupt)
    clearInterval(timer)
  }
}
