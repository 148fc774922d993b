// The small examples, each run as its README says.

import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const folder = fileURLToPath(new URL('../../examples', import.meta.url))

function run(name: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(folder, name, 'main.js'), ...args], { encoding: 'utf8' })
  expect(status, stderr).toBe(0)
  return stdout
}

it('every example has a README', () => {
  const names = readdirSync(folder)
  expect(names.sort()).toEqual(['balancing', 'census', 'click-log', 'daily', 'funnel', 'ops', 'resume', 'synthetic', 'worker'])
  for (const name of names) expect(readdirSync(join(folder, name)), name).toContain('README.md')
})

it('balancing: every method in one table', () => {
  const lines = run('balancing', '2000')
    .split('\n')
    .filter((line) => /^│ \d/.test(line))
  expect(lines).toHaveLength(17)
  expect(lines.join()).not.toContain('NaN')
})

it('daily: a model that goes on keeps up with one trained anew, and the first one does not', () => {
  const lines = run('daily')
    .split('\n')
    .filter((line) => /^│ \d/.test(line))
    .map((line) =>
      line
        .split('│')
        .slice(2, -1)
        .map((cell) => Number(cell.replaceAll("'", ''))),
    )
  expect(lines).toHaveLength(8)
  for (const [day = 0, added, evicted, delta, full, daily, , today, first] of lines.slice(4)) {
    expect(added, `day ${day}`).toBeGreaterThan(0)
    expect(evicted, `day ${day}`).toBeGreaterThan(0)
    expect(delta, `day ${day}`).toBeLessThan(full ?? 0)
    expect(daily, `day ${day}`).toBeGreaterThan(today ?? 1)
    expect(today, `day ${day}`).toBeGreaterThan(first ?? 1)
  }
})

it('funnel: every way ranks purchases better than chance, and none better than the true probabilities', () => {
  const rows = run('funnel', '40000', '1')
    .split('\n')
    .filter((line) => line.includes("'0."))
    .map((line) => [...line.matchAll(/'([\d.]+)'/g)].map(([, value]) => Number(value)))
  expect(rows).toHaveLength(4)
  const [best = NaN] = rows[3] ?? []
  for (const [buys = NaN, predicted = NaN] of rows) {
    expect(buys).toBeGreaterThan(0.55)
    expect(buys).toBeLessThanOrEqual(best)
    expect(predicted).toBeGreaterThan(0.5)
    expect(predicted).toBeLessThan(2)
  }
})

it('ops: descends by hand', () => {
  const errors = [...run('ops').matchAll(/error ([\d.]+) and ([\d.]+)/g)].map(([, one, other]) => Number(one) + Number(other))
  expect(errors).toHaveLength(4)
  expect(errors[3]).toBeLessThan((errors[0] ?? 0) / 20)
})

it('worker: trains beside a main thread that goes on', () => {
  const out = run('worker')
  expect(Number(/ticked (\d+) times/.exec(out)?.[1])).toBeGreaterThan(3)
  expect(out).toMatch(/like: 0\.0\d\d 0\.0\d\d 0\.9\d\d|like: 0\.000 0\.000 1\.000/)
})

it('resume: ends with the same bytes', () => {
  expect(run('resume')).toContain('the same bytes')
})

it('synthetic: every model learns both tasks at every relatedness', () => {
  const lines = run('synthetic', '10000', '1').split('\n').slice(2, 5)
  for (const line of lines) {
    const [cosine, ...errors] = line.split(/ +/).map(Number)
    expect([0.5, 0.9, 1]).toContain(cosine)
    // The labels have a variance of about 2.
    for (const error of errors) expect(error, line).toBeLessThan(0.5)
  }
})
