// Ctrl-C: the first one asks the work to stop where it can; a second one ends the process, as it does anywhere.

export interface Interrupt {
  readonly signal: AbortSignal
  [Symbol.dispose](): void
}

/** Takes Ctrl-C until it is disposed. */
export function onInterrupt(): Interrupt {
  const controller = new AbortController()
  const abort = (): void => {
    controller.abort()
  }
  process.once('SIGINT', abort)
  return { signal: controller.signal, [Symbol.dispose]: () => void process.removeListener('SIGINT', abort) }
}
