// Tables of what fit, evaluate and gates give, as it came or out of JSON, and what is refused.

import { describe, expect, it } from 'vitest'

import { gatesTable } from '../../lib/report/gates.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 300 })
const tables = { historyTable, resultsTable, gatesTable } as Record<string, (value: unknown) => string>

describe('tables', () => {
  it('are the same of what was kept as JSON', async () => {
    using net = model()
    const history = await net.fit(train, { epochs: 2, validation: train })
    const results = { train: await net.evaluate(train) }
    const gates = await net.gates(train)
    for (const [name, value] of Object.entries({ historyTable: history, resultsTable: results, gatesTable: gates })) {
      const kept: unknown = JSON.parse(JSON.stringify(value))
      expect(tables[name]?.(kept)).toBe(tables[name]?.(value))
    }
  })

  it('show numbers that are none', () => {
    const results = {
      test: {
        tasks: { click: { loss: NaN, rows: 5, logloss: Infinity, reasons: {} } },
        loss: NaN,
        rows: 5,
        unknownValues: {},
        unknownShares: {},
      },
    }
    expect(resultsTable(results)).toContain('Infinity')
    expect(gatesTable([{ level: 0, gate: 'click', experts: [{ name: 'shared 1', weight: NaN }] }])).toContain('NaN%')
  })

  it.each<[string, unknown, Error]>([
    ['historyTable', null, refusal('ARGUMENT', { field: 'history' })],
    ['historyTable', undefined, refusal('ARGUMENT', { field: 'history' })],
    ['historyTable', {}, refusal('ARGUMENT', { field: 'history.epochs' })],
    ['historyTable', { epochs: [{ epoch: 1 }], weightsEpoch: 1 }, refusal('ARGUMENT', { field: 'history.epochs[0].loss' })],
    ['resultsTable', null, refusal('ARGUMENT', { field: 'results' })],
    ['resultsTable', { test: null }, refusal('ARGUMENT', { field: 'results.test' })],
    ['resultsTable', { tasks: { click: { rows: 5 } } }, refusal('ARGUMENT', { field: 'results.tasks.tasks' })],
    ['gatesTable', null, refusal('ARGUMENT', { field: 'gates' })],
    ['gatesTable', [{ level: 0, gate: 'click' }], refusal('ARGUMENT', { field: 'gates[0].experts' })],
  ])('%s refuses %o', (name, value, message) => {
    expect(() => tables[name]?.(value)).toThrow(message)
  })
})
