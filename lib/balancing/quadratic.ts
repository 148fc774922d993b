// Convex quadratic programs with few variables, by an active set, as Lawson and Hanson (1974) solve least squares: variables enter one by
// one, and leave where they would become negative. The solution is exact up to rounding. All memory is made once.

/** Share of the diagonal that is added to it: of several solutions it takes the most even one. It moves the optimum by as little. */
const ridge = 1e-10
/** Share of the terms of a slack below which it is rounding. */
const rounding = 1e-13

export class Quadratic {
  /** The solution, [variables]. */
  readonly x: Float64Array
  /**
   * The least value of x' matrix x over the plane total' x = 1 of the variables that are not 0, without `linear`. Undefined numbers without
   * `total`.
   */
  least = 0
  readonly #factor: Float64Array
  readonly #byLinear: Float64Array
  readonly #byTotal: Float64Array
  readonly #active: Int32Array
  readonly #barred: Uint8Array
  #count = 0
  #multiplier = 0

  /** @param most variables */
  constructor(most: number) {
    this.x = new Float64Array(most)
    this.#factor = new Float64Array(most * most)
    this.#byLinear = new Float64Array(most)
    this.#byTotal = new Float64Array(most)
    this.#active = new Int32Array(most)
    this.#barred = new Uint8Array(most)
  }

  /**
   * Minimizes x' matrix x / 2 + scale linear' x over x >= 0 and, if `total` is given, total' x = 1.
   * @param matrix [variables, variables], symmetric and positive semidefinite. With `total` its diagonal is above 0.
   * @param total [variables], above 0.
   */
  solve(variables: number, matrix: Float64Array, linear?: Float64Array, scale = 1, total?: Float64Array): void {
    const { x } = this
    x.fill(0, 0, variables)
    this.#barred.fill(0, 0, variables)
    this.#count = 0
    this.#multiplier = 0
    if (total !== undefined) this.#begin(variables, matrix, linear, scale, total)
    for (let turn = 0; turn < 8 * variables + 8; turn += 1) {
      const entering = this.#entering(variables, matrix, linear, scale, total)
      if (entering < 0) return
      this.#active[this.#count] = entering
      this.#count += 1
      if (this.#descend(variables, matrix, linear, scale, total)) this.#barred.fill(0, 0, variables)
      else this.#barred[entering] = 1
    }
  }

  /** Starts at the best corner. */
  #begin(variables: number, matrix: Float64Array, linear: Float64Array | undefined, scale: number, total: Float64Array): void {
    let best = 0
    let least = Infinity
    for (let at = 0; at < variables; at += 1) {
      const own = 1 / total[at]!
      const value = 0.5 * matrix[at * variables + at]! * own * own + scale * (linear?.[at] ?? 0) * own
      if (value >= least) continue
      best = at
      least = value
    }
    this.#active[0] = best
    this.#count = 1
    this.#equal(variables, matrix, linear, scale, total)
    this.x[best] = 1 / total[best]!
  }

  /** The variable outside whose growth lowers the value most, or -1. */
  #entering(
    variables: number,
    matrix: Float64Array,
    linear: Float64Array | undefined,
    scale: number,
    total?: Float64Array,
  ): number {
    let best = -1
    let least = 0
    for (let at = 0; at < variables; at += 1) {
      if (this.x[at] !== 0 || this.#barred[at] === 1) continue
      const outer = scale * (linear?.[at] ?? 0)
      const inner = total === undefined ? 0 : this.#multiplier * total[at]!
      let slack = outer - inner
      let size = Math.abs(outer) + Math.abs(inner)
      for (let k = 0; k < this.#count; k += 1) {
        const other = this.#active[k]!
        const term = matrix[at * variables + other]! * this.x[other]!
        slack += term
        size += Math.abs(term)
      }
      if (slack >= -rounding * size || slack >= least) continue
      best = at
      least = slack
    }
    return best
  }

  /** Goes to the optimum over the active variables, and drops those that it meets at 0 on the way. Returns whether anything moved. */
  #descend(
    variables: number,
    matrix: Float64Array,
    linear: Float64Array | undefined,
    scale: number,
    total?: Float64Array,
  ): boolean {
    const { x } = this
    let moved = false
    while (this.#count > 0) {
      this.#equal(variables, matrix, linear, scale, total)
      const goal = this.#byLinear
      let share = 1
      let dropped = -1
      for (let k = 0; k < this.#count; k += 1) {
        const now = x[this.#active[k]!]!
        if (goal[k]! > 0) continue
        const reached = now <= 0 ? 0 : now / (now - goal[k]!)
        if (dropped >= 0 && reached >= share) continue
        share = reached
        dropped = k
      }
      if (share > 0) moved = true
      for (let k = 0; k < this.#count; k += 1) {
        const at = this.#active[k]!
        x[at] = dropped < 0 ? goal[k]! : x[at]! + share * (goal[k]! - x[at]!)
      }
      if (dropped < 0) return moved
      x[this.#active[dropped]!] = 0
      let kept = 0
      for (let k = 0; k < this.#count; k += 1) {
        const at = this.#active[k]!
        if (k === dropped || (x[at]! <= 0 && share > 0)) x[at] = 0
        else {
          this.#active[kept] = at
          kept += 1
        }
      }
      this.#count = kept
    }
    return moved
  }

  /** The optimum over the active variables with any sign, into `#byLinear` in their order. */
  #equal(variables: number, matrix: Float64Array, linear: Float64Array | undefined, scale: number, total?: Float64Array): void {
    const count = this.#count
    const factor = this.#factor
    const active = this.#active
    const byLinear = this.#byLinear
    const byTotal = this.#byTotal
    for (let row = 0; row < count; row += 1) {
      const from = active[row]! * variables
      byLinear[row] = scale * (linear?.[active[row]!] ?? 0)
      if (total !== undefined) byTotal[row] = total[active[row]!]!
      for (let column = 0; column <= row; column += 1) {
        let sum = matrix[from + active[column]!]!
        if (row === column) sum *= 1 + ridge
        for (let k = 0; k < column; k += 1) sum -= factor[row * count + k]! * factor[column * count + k]!
        if (row === column) factor[row * count + row] = Math.sqrt(Math.max(sum, ridge * rounding * matrix[from + active[row]!]!))
        else factor[row * count + column] = sum / factor[column * count + column]!
      }
    }
    substitute(factor, byLinear, count)
    if (total === undefined) {
      for (let k = 0; k < count; k += 1) byLinear[k] = -byLinear[k]!
      return
    }
    substitute(factor, byTotal, count)
    let own = 0
    let cross = 0
    for (let k = 0; k < count; k += 1) {
      const weight = total[active[k]!]!
      own += weight * byTotal[k]!
      cross += weight * byLinear[k]!
    }
    this.least = 1 / own
    this.#multiplier = (1 + cross) / own
    for (let k = 0; k < count; k += 1) byLinear[k] = this.#multiplier * byTotal[k]! - byLinear[k]!
  }
}

/** Replaces `values` by the solution y of factor factor' y = values; `factor` is lower triangular, [count, count]. */
export function substitute(factor: Float64Array, values: Float64Array, count: number): void {
  for (let row = 0; row < count; row += 1) {
    let sum = values[row]!
    for (let k = 0; k < row; k += 1) sum -= factor[row * count + k]! * values[k]!
    values[row] = sum / factor[row * count + row]!
  }
  for (let row = count - 1; row >= 0; row -= 1) {
    let sum = values[row]!
    for (let k = row + 1; k < count; k += 1) sum -= factor[k * count + row]! * values[k]!
    values[row] = sum / factor[row * count + row]!
  }
}
