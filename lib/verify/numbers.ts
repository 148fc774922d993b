// Seeded numbers: the same on every machine.

/** A small seeded generator of numbers in [0, 1). */
export function randomOf(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Numbers in [-scale, scale). Multiples of 2^-8, so that steps of 2^-11 are exact in float32. */
export function randomArray(random: () => number, length: number, scale = 1): Float32Array {
  return Float32Array.from({ length }, () => Math.round((random() * 2 - 1) * scale * 256) / 256)
}
