// The bench names every call and measures how long each keeps the thread.

import { expect, test } from 'vitest'
import { type GapResult, gaps } from '../../lib/bench/gaps.js'
import { gapTable } from '../../lib/cli/commands/bench.js'

test('gaps measures each call once, and the table has a line for each', async () => {
  const results: GapResult[] = []
  for await (const result of gaps({ rows: 3000, table: 50 })) results.push(result)
  const calls = [
    'fromCsv',
    'fromRows',
    'split',
    'build',
    'fit',
    'fit, stopping early',
    'evaluate',
    'predict',
    'gates',
    'save',
    'loadModel',
  ]
  expect(results.map(({ call }) => call)).toEqual(calls)
  for (const { rows, seconds, longest_gap_ms } of results) {
    expect(rows).toBe(3000)
    expect(longest_gap_ms).toBeGreaterThan(0)
    expect(longest_gap_ms).toBeLessThanOrEqual(1000 * seconds + 1)
  }
  const lines = gapTable(results).split('\n')
  expect(lines[0]).toMatch(/^call +rows +ms +longest gap ms$/)
  expect(lines).toHaveLength(1 + calls.length)
})
