// Tables of what fit, evaluate and gates give, as it came or out of JSON, and what is refused.

import { describe, expect, it } from 'vitest'

import { gatesTable } from '../../lib/report/gates.js'
import { historyTable, resultsTable } from '../../lib/report/results.js'
import { data, model } from '../training/data.js'

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

  it.each<[string, unknown, string]>([
    ['historyTable', null, 'history: expected an object, found null'],
    ['historyTable', undefined, 'history: expected an object, found nothing'],
    ['historyTable', {}, 'history.epochs: expected an array, found nothing'],
    ['historyTable', { epochs: [{ epoch: 1 }], weightsEpoch: 1 }, 'history.epochs[0].loss: expected a number, found nothing'],
    ['resultsTable', null, 'results: expected an object of values by name, found null'],
    ['resultsTable', { test: null }, 'results.test: expected an object, found null'],
    [
      'resultsTable',
      { tasks: { click: { rows: 5 } } },
      'results.tasks.tasks: expected an object of values by name, found nothing',
    ],
    ['gatesTable', null, 'gates: expected an array, found null'],
    ['gatesTable', [{ level: 0, gate: 'click' }], 'gates[0].experts: expected an array, found nothing'],
  ])('%s refuses %o', (name, value, message) => {
    expect(() => tables[name]?.(value)).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }),
    )
  })
})
