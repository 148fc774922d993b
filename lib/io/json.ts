// Reads JSON from untrusted sources. It accepts what JSON.parse accepts, with two exceptions. A key must not occur twice in one
// object: JSON.parse silently keeps the last, so two readers could see different files. And the depth is limited. It works in slices,
// so that megabytes of text do not hold the thread.

import { quote } from '../core/check.js'
import type { Sliced } from '../core/slices.js'

/** Deeper than any file that multigate writes, and far below the depth where recursive code fails. */
const mostDepth = 64

/** Values between two yields: a millisecond. */
const sliceTokens = 1024

/** What is wrong with a JSON text. `key` is the duplicate key, if that is the fault. */
export class JsonError extends Error {
  readonly key: string | undefined

  constructor(message: string, key?: string) {
    super(message)
    this.key = key
  }
}

/** An array or object that is not closed yet. */
interface Frame {
  readonly close: ']' | '}'
  readonly value: unknown[] | Record<string, unknown>
  /** The key of the next value. */
  key: string
}

/** The value of a JSON text. @throws JsonError. */
export function* parseJson(text: string): Sliced<unknown> {
  const reader = new Reader(text)
  const frames: Frame[] = []
  for (let tokens = 1; ; tokens += 1) {
    if (tokens % sliceTokens === 0) yield
    const opened = reader.open()
    let value: unknown
    if (opened !== undefined) {
      if (frames.push(opened) > mostDepth) throw new JsonError(`expected at most ${mostDepth} nested levels, found more`)
      if (!reader.takes(opened.close)) {
        if (opened.close === '}') opened.key = reader.key(opened)
        continue
      }
      frames.pop()
      value = opened.value
    } else value = reader.scalar()
    // A closed array or object is a value itself.
    for (;;) {
      const frame = frames.at(-1)
      if (frame === undefined) {
        reader.end()
        return value
      }
      add(frame, value)
      if (reader.takes(',')) {
        if (frame.close === '}') frame.key = reader.key(frame)
        break
      }
      if (!reader.takes(frame.close)) throw reader.unexpected(`, or ${frame.close}`)
      frames.pop()
      value = frame.value
    }
  }
}

function add({ value: container, key }: Frame, value: unknown): void {
  if (Array.isArray(container)) container.push(value)
  // An assignment to `__proto__` would set the prototype.
  else if (key === '__proto__')
    Object.defineProperty(container, key, { value, enumerable: true, configurable: true, writable: true })
  else container[key] = value
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const words = [
  ['true', true],
  ['false', false],
  ['null', null],
] as const

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Skips this character if it is the next one. */
  takes(char: string): boolean {
    this.#skipBlanks()
    if (this.#text[this.#at] !== char) return false
    this.#at += 1
    return true
  }

  /** The array or object that begins here, if any. */
  open(): Frame | undefined {
    if (this.takes('{')) return { close: '}', value: {}, key: '' }
    return this.takes('[') ? { close: ']', value: [], key: '' } : undefined
  }

  /** A key and its colon. */
  key({ value }: Frame): string {
    this.#skipBlanks()
    if (this.#text[this.#at] !== '"') throw this.unexpected('a key in quotes')
    const key = this.#string()
    if (Object.hasOwn(value, key)) throw new JsonError(`expected each key once, found ${quote(key)} twice`, key)
    if (!this.takes(':')) throw this.unexpected(':')
    return key
  }

  scalar(): unknown {
    if (this.#text[this.#at] === '"') return this.#string()
    number.lastIndex = this.#at
    if (number.test(this.#text)) {
      const start = this.#at
      this.#at = number.lastIndex
      return Number(this.#text.slice(start, this.#at))
    }
    const word = words.find(([text]) => this.#text.startsWith(text, this.#at))
    if (word === undefined) throw this.unexpected('a value')
    this.#at += word[0].length
    return word[1]
  }

  end(): void {
    this.#skipBlanks()
    if (this.#at < this.#text.length) throw this.unexpected('the end')
  }

  unexpected(expected: string): JsonError {
    const found = this.#at < this.#text.length ? quote(this.#text.slice(this.#at, this.#at + 20)) : 'the end'
    return new JsonError(`at character ${this.#at}: expected ${expected}, found ${found}`)
  }

  /** JSON.parse makes a new string, which does not keep the whole text in memory. */
  #string(): string {
    const start = this.#at
    let end = start
    do end = this.#text.indexOf('"', end + 1)
    while (end > 0 && this.#isEscaped(end))
    if (end < 0) throw this.unexpected('a closing quote')
    this.#at = end + 1
    try {
      return JSON.parse(this.#text.slice(start, this.#at)) as string
    } catch {
      this.#at = start
      throw this.unexpected('a string')
    }
  }

  #isEscaped(at: number): boolean {
    let before = at
    while (this.#text[before - 1] === '\\') before -= 1
    return (at - before) % 2 === 1
  }

  #skipBlanks(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at += 1
    }
  }
}
