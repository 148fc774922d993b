// Eigenvalues and eigenvectors of a small symmetric matrix, by cyclic Jacobi rotations (Golub and Van Loan, section 8.5).

export class Eigen {
  /** [count], in no order. */
  readonly values: Float64Array
  /** [count, count]: column k is the vector of value k. */
  readonly vectors: Float64Array
  readonly #work: Float64Array

  /** @param most rows */
  constructor(most: number) {
    this.values = new Float64Array(most)
    this.vectors = new Float64Array(most * most)
    this.#work = new Float64Array(most * most)
  }

  /** @param matrix [count, count], symmetric. */
  solve(count: number, matrix: Float64Array): void {
    const [work, vectors] = [this.#work, this.vectors]
    for (let at = 0; at < count * count; at += 1) {
      work[at] = matrix[at]!
      vectors[at] = at % (count + 1) === 0 ? 1 : 0
    }
    for (let sweep = 0; sweep < 60; sweep += 1) {
      let rotated = false
      for (let p = 0; p < count - 1; p += 1)
        for (let q = p + 1; q < count; q += 1) {
          const off = work[p * count + q]!
          const size = Math.abs(work[p * count + p]!) + Math.abs(work[q * count + q]!)
          // Far below the precision of both: no rotation would change them.
          if (off === 0 || Math.abs(off) <= 1e-18 * size) continue
          rotated = true
          this.#rotate(count, p, q, off)
        }
      if (!rotated) break
    }
    for (let k = 0; k < count; k += 1) this.values[k] = work[k * count + k]!
  }

  /** Makes the element of rows p and q zero. */
  #rotate(count: number, p: number, q: number, off: number): void {
    const [work, vectors] = [this.#work, this.vectors]
    const ratio = (work[q * count + q]! - work[p * count + p]!) / (2 * off)
    const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio))
    const cosine = 1 / Math.sqrt(1 + tangent * tangent)
    const sine = tangent * cosine
    for (let k = 0; k < count; k += 1) {
      const a = work[k * count + p]!
      const b = work[k * count + q]!
      work[k * count + p] = cosine * a - sine * b
      work[k * count + q] = sine * a + cosine * b
    }
    for (let k = 0; k < count; k += 1) {
      const a = work[p * count + k]!
      const b = work[q * count + k]!
      work[p * count + k] = cosine * a - sine * b
      work[q * count + k] = sine * a + cosine * b
    }
    work[p * count + q] = work[q * count + p] = 0
    for (let k = 0; k < count; k += 1) {
      const a = vectors[k * count + p]!
      const b = vectors[k * count + q]!
      vectors[k * count + p] = cosine * a - sine * b
      vectors[k * count + q] = sine * a + cosine * b
    }
  }
}
