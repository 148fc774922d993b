// The quadratic program against every choice of variables and against its optimality conditions; eigenvectors against what they mean.

import { describe, expect, it } from 'vitest'
import { Eigen } from '../../lib/balancing/eigen.js'
import { Quadratic } from '../../lib/balancing/quadratic.js'
import { Draws } from '../../lib/core/draws.js'
import { dot, gramOf, noise, randomGradients } from './support.js'

/** Solves a linear system by Gauss and Jordan, or returns undefined if it is singular. */
function solved(matrix: readonly (readonly number[])[], right: readonly number[]): number[] | undefined {
  const rows = matrix.map((row, at) => [...row, right[at] ?? 0])
  for (let k = 0; k < rows.length; k += 1) {
    const pivot = rows.slice(k).reduce((best, row) => (Math.abs(row[k] ?? 0) > Math.abs(best[k] ?? 0) ? row : best))
    if (Math.abs(pivot[k] ?? 0) < 1e-9) return undefined
    rows.splice(rows.indexOf(pivot), 1)
    rows.splice(k, 0, pivot)
    rows.forEach((row, at) => {
      if (at === k) return
      const factor = (row[k] ?? 0) / (pivot[k] ?? 1)
      pivot.forEach((value, column) => (row[column] = (row[column] ?? 0) - factor * value))
    })
  }
  return rows.map((row, at) => (row[rows.length] ?? 0) / (row[at] ?? 1))
}

interface Program {
  readonly matrix: readonly (readonly number[])[]
  readonly linear: readonly number[]
  readonly total?: readonly number[]
}

function objective({ matrix, linear }: Program, x: readonly number[]): number {
  return (
    0.5 *
      dot(
        x,
        matrix.map((row) => dot(row, x)),
      ) +
    dot(linear, x)
  )
}

/** The least value over every choice of variables that may differ from 0. */
function leastByEnumeration(program: Program): number {
  const { matrix, linear, total } = program
  const count = linear.length
  let least = total === undefined ? 0 : Infinity
  for (let set = 1; set < 2 ** count; set += 1) {
    const inside = linear.flatMap((_, at) => (set & (2 ** at) ? [at] : []))
    const rows = inside.map((a) => [
      ...inside.map((b) => matrix[a]?.[b] ?? 0),
      ...(total === undefined ? [] : [-(total[a] ?? 0)]),
    ])
    const right = inside.map((a) => -(linear[a] ?? 0))
    if (total !== undefined) {
      rows.push([...inside.map((a) => total[a] ?? 0), 0])
      right.push(1)
    }
    const own = solved(rows, right)
    if (own === undefined) continue
    const x = linear.map((_, at) => (inside.includes(at) ? (own[inside.indexOf(at)] ?? 0) : 0))
    if (x.every((value) => value >= 0)) least = Math.min(least, objective(program, x))
  }
  return least
}

function solve({ matrix, linear, total }: Program): number[] {
  const solver = new Quadratic(linear.length)
  const all = total === undefined ? undefined : Float64Array.from(total)
  solver.solve(linear.length, Float64Array.from(matrix.flat()), Float64Array.from(linear), 1, all)
  return Array.from(solver.x)
}

function randomProgram(count: number, width: number, seed: number, isPlane: boolean): Program {
  const draw = noise(seed + 1000)
  const gradients = randomGradients(count, width, seed)
  const matrix = gradients.map((a) => gradients.map((b) => dot(a, b)))
  // In the range of the matrix, as in CAGrad: else the program may have no least value.
  const mean =
    gradients[0]?.map((_, at) =>
      dot(
        gradients.map((gradient) => gradient[at] ?? 0),
        linearWeights,
      ),
    ) ?? []
  return {
    matrix,
    linear: gradients.map((gradient) => dot(gradient, mean)),
    ...(isPlane && { total: Array.from({ length: count }, () => 10 ** (2 * draw())) }),
  }
}
const linearWeights = [0.3, -0.8, 0.5, -0.2, 0.1, 0.4, -0.6, 0.2]

describe('a quadratic program', () => {
  it.each([true, false])('has the least value of all choices of variables, on a plane: %s', (isPlane) => {
    for (let seed = 1; seed <= 150; seed += 1) {
      const count = 1 + (seed % 6)
      const program = randomProgram(count, count + 2, seed, isPlane)
      const x = solve(program)
      expect(Math.min(...x)).toBeGreaterThanOrEqual(0)
      if (program.total !== undefined) expect(dot(program.total, x)).toBeCloseTo(1, 12)
      const least = leastByEnumeration(program)
      expect(Math.abs(objective(program, x) - least)).toBeLessThanOrEqual(1e-8 * Math.max(Math.abs(least), 1e-3))
    }
  })

  it.each([
    [8, 3],
    [8, 20],
    [64, 5],
    [64, 64],
    [64, 200],
  ])('meets the optimality conditions with %i variables of rank %i', (count, rank) => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const gradients = randomGradients(count, rank, seed)
      const matrix = gradients.map((a) => gradients.map((b) => dot(a, b)))
      const program = { matrix, linear: Array<number>(count).fill(0), total: Array<number>(count).fill(1) }
      const x = solve(program)
      expect(dot(program.total, x)).toBeCloseTo(1, 10)
      const products = matrix.map((row) => dot(row, x))
      const value = dot(products, x)
      // The shortest point of a hull: no corner lies on its near side.
      expect(Math.min(...products)).toBeGreaterThanOrEqual(value - 1e-8)
    }
  })

  it('shares evenly between equal variables', () => {
    const [a = 0, b = 0, c = 0] = solve({
      matrix: [
        [4, 4, 0],
        [4, 4, 0],
        [0, 0, 1],
      ],
      linear: [0, 0, 0],
      total: [1, 1, 1],
    })
    expect(a).toBeCloseTo(b, 5)
    expect(a + b).toBeCloseTo(0.2, 8)
    expect(c).toBeCloseTo(0.8, 8)
  })
})

describe('eigenvectors', () => {
  it.each([1, 2, 3, 8, 64])('of %i rows make the matrix again and are orthogonal', (count) => {
    const solver = new Eigen(64)
    for (const width of [1, count, 2 * count]) {
      const gram = gramOf(randomGradients(count, width, count + width))
      solver.solve(count, gram)
      const column = (k: number) => Array.from({ length: count }, (_, row) => solver.vectors[row * count + k] ?? 0)
      const vectors = Array.from({ length: count }, (_, k) => column(k))
      vectors.forEach((a, j) => vectors.forEach((b, k) => expect(dot(a, b)).toBeCloseTo(j === k ? 1 : 0, 12)))
      for (let row = 0; row < count; row += 1)
        for (let other = 0; other < count; other += 1) {
          const made = vectors.reduce(
            (sum, vector, k) => sum + (solver.values[k] ?? 0) * (vector[row] ?? 0) * (vector[other] ?? 0),
            0,
          )
          expect(made).toBeCloseTo(gram[row * count + other] ?? 0, 10)
        }
    }
  })

  it('finds the eigenvalues of a matrix that are known', () => {
    // 2 on the diagonal and -1 beside it: 2 - 2 cos(k pi / (n + 1)).
    const count = 12
    const matrix = Float64Array.from({ length: count * count }, (_, at) => {
      const apart = Math.abs(Math.floor(at / count) - (at % count))
      return apart === 0 ? 2 : apart === 1 ? -1 : 0
    })
    const solver = new Eigen(count)
    solver.solve(count, matrix)
    Array.from(solver.values)
      .sort((a, b) => a - b)
      .forEach((value, k) => {
        expect(value).toBeCloseTo(2 - 2 * Math.cos(((k + 1) * Math.PI) / (count + 1)), 12)
      })
  })
})

it('draws numbers that are uniform and independent', () => {
  const draws = new Draws()
  const cells = new Float64Array(64)
  for (let step = 0; step < 1000; step += 1) {
    draws.begin(1, step, step % 3)
    for (let k = 0; k < 32; k += 1) cells[Math.floor(draws.uniform() * 8) * 8 + Math.floor(draws.uniform() * 8)]! += 1
  }
  // Chi squared of 63 degrees: mean 63, deviation 11.2.
  const chi = cells.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0)
  expect(chi).toBeGreaterThan(20)
  expect(chi).toBeLessThan(130)
})
