// What the command says, and the only place that says it: results on stdout, all else on stderr. Names in it may come from a file
// that somebody else made, so nothing that a terminal would obey passes.

import { visible, visibleLines } from '../core/visible.js'

/** Results, of one line or more. JSON stays the same JSON. */
export function print(text: string): void {
  process.stdout.write(`${visibleLines(text)}\n`)
}

/** What goes on and what went wrong. */
export function note(text: string): void {
  process.stderr.write(`${visibleLines(text)}\n`)
}

/** On a terminal, one line that the next one replaces; an empty one takes it away. */
export function status(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${visible(text).padEnd(40)}${text === '' ? '\r' : ''}`)
}
