// The hash of hashed features: MurmurHash3, 32 bits, seed 0, over UTF-8. Saved models depend on it: it never changes.

const encoder = new TextEncoder()

/** MurmurHash3_x86_32 of a text's UTF-8 bytes, unsigned. Source: Austin Appleby's public domain reference. */
export function hashText(text: string): number {
  const bytes = encoder.encode(text)
  const blocks = bytes.length & ~3
  let hash = 0
  for (let at = 0; at < blocks; at += 4) {
    hash ^= scramble(byte(bytes, at) | (byte(bytes, at + 1) << 8) | (byte(bytes, at + 2) << 16) | (byte(bytes, at + 3) << 24))
    hash = (hash << 13) | (hash >>> 19)
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let at = bytes.length - 1; at >= blocks; at -= 1) tail = (tail << 8) | byte(bytes, at)
  if (blocks < bytes.length) hash ^= scramble(tail)
  hash ^= bytes.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** The id of a text among `size`: in [1, size), so that id 0 stays what is missing. */
export function hashedId(text: string, size: number): number {
  return 1 + (hashText(text) % (size - 1))
}

function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}
