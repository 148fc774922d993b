// The only place that writes to the terminal: results to stdout, everything else to stderr. Names may come from somebody else's file, so
// control characters are made visible.

import { visible, visibleLines } from '../core/visible.js'

/** Prints results of one or more lines. JSON keeps its meaning. */
export function print(text: string): void {
  process.stdout.write(`${visibleLines(text)}\n`)
}

/** Prints progress and errors. */
export function note(text: string): void {
  process.stderr.write(`${visibleLines(text)}\n`)
}

/** On a terminal, shows a line that the next one replaces; an empty text removes it. */
export function status(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${visible(text).padEnd(40)}${text === '' ? '\r' : ''}`)
}
