// Random numbers that depend on a seed, a step and a stream alone, so that a resumed training draws the same.

export class Draws {
  #state = 0

  /** Begins a sequence. Each number is a non-negative safe integer. */
  begin(seed: number, step: number, stream: number): void {
    let hash = mixed(seed >>> 0)
    hash = mixed(hash ^ Math.floor(seed / 2 ** 32))
    hash = mixed((hash + step) >>> 0)
    hash = mixed(hash ^ Math.floor(step / 2 ** 32))
    this.#state = mixed((hash + stream) >>> 0)
  }

  /** A number in (0, 1). */
  uniform(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0
    return (mixed(this.#state) + 0.5) / 2 ** 32
  }

  /** A number of the standard normal distribution (Box and Muller, 1958). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }
}

/** The finalizer of MurmurHash3: every bit of the input changes every bit of the output with probability one half. */
function mixed(input: number): number {
  let bits = input | 0
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return (bits ^ (bits >>> 16)) >>> 0
}
