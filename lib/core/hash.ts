// The hash of hashed features and of splits: MurmurHash3, 32 bits, over UTF-8. It must never change: saved models depend on it, and the
// parts of data that were compared with each other.

import { numberText } from './columns.js'

const encoder = new TextEncoder()
/** Short texts are encoded here, without an allocation per value. */
const scratch = new Uint8Array(384)

/** MurmurHash3_x86_32 of a text's UTF-8 bytes, unsigned. Source: Austin Appleby's public domain reference. */
export function hashText(text: string): number {
  // A UTF-16 unit takes at most three bytes in UTF-8.
  if (3 * text.length > scratch.length) return hashBytes(encoder.encode(text))
  return hashBytes(scratch, encoder.encodeInto(text, scratch).written)
}

/** The id of a text, in [1, size). Id 0 is reserved for missing values. */
export function hashedId(text: string, size: number): number {
  return 1 + (hashText(text) % (size - 1))
}

/** The hash of a number: that of its text. */
export function hashNumber(value: number): number {
  return Number.isSafeInteger(value) && value >= 0 ? hashBytes(scratch, writeDigits(value)) : hashText(numberText(value))
}

/** The id of a number: the id of its text. */
export function hashedNumber(value: number, size: number): number {
  return 1 + (hashNumber(value) % (size - 1))
}

/** One step of MurmurHash3_x86_32: the state after four more bytes. The first state is the seed. */
export function hashBlock(state: number, block: number): number {
  const mixed = state ^ scramble(block)
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

/** The last step: the hash of `length` bytes, unsigned. */
export function hashEnd(state: number, length: number): number {
  let hash = state ^ length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Writes a number >= 0 in decimal. @returns the number of digits. */
function writeDigits(value: number): number {
  let length = 1
  for (let bound = 10; bound <= value; bound *= 10) length += 1
  let rest = value
  for (let at = length - 1; at >= 0; at -= 1) {
    const next = Math.floor(rest / 10)
    scratch[at] = 48 + (rest - 10 * next)
    rest = next
  }
  return length
}

function hashBytes(bytes: Uint8Array, length = bytes.length): number {
  const blocks = length & ~3
  let hash = 0
  for (let at = 0; at < blocks; at += 4) {
    hash = hashBlock(
      hash,
      byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24),
    )
  }
  let tail = 0
  for (let at = length - 1; at >= blocks; at -= 1) tail = (tail << 8) | byte(bytes, at)
  if (blocks < length) hash ^= scramble(tail)
  return hashEnd(hash, length)
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}
