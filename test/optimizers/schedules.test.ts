// Learning rates by step: tables made another way (schedules.py), published values, and what is refused.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

import { adam } from '../../lib/optimizers/adam.js'
import { ftrl } from '../../lib/optimizers/ftrl.js'
import { parseOptimizer } from '../../lib/optimizers/optimizer.js'
import { type LearningRateSchedule, rateAfter } from '../../lib/optimizers/schedule.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { refusal } from '../support/refusal.js'

interface Case {
  readonly schedule: LearningRateSchedule
  readonly rates: readonly number[]
}

const cases = JSON.parse(readFileSync(new URL('schedules.json', import.meta.url), 'utf8')) as Case[]

it.each(cases.map((one) => [JSON.stringify(one.schedule), one] as const))('%s', (_, { schedule, rates }) => {
  const { learningRate } = sgd({ learningRate: schedule })
  expect(rates).toHaveLength(60)
  rates.forEach((rate, done) => {
    expect(Math.abs(rateAfter(learningRate, done) - rate), `after ${done} steps`).toBeLessThan(1e-14)
  })
})

it('restarts begin at whole steps, however long the run is', () => {
  const { learningRate } = sgd({ learningRate: { schedule: 'cosineRestarts', rate: 1, steps: 3, growth: 2 } })
  for (let cycle = 0, first = 0; cycle < 30; first += 3 * 2 ** cycle, cycle += 1) {
    expect(rateAfter(learningRate, first), `cycle ${cycle}`).toBe(1)
    expect(rateAfter(learningRate, first + 3 * 2 ** cycle - 1)).toBeLessThan(0.26)
  }
})

it('a rate without a schedule is that of every step', () => {
  expect([0, 1, 1e9].map((done) => rateAfter(0.01, done))).toEqual([0.01, 0.01, 0.01])
})

it('fills in defaults, freezes, and reads what it gives', () => {
  const optimizer = adam({ learningRate: { schedule: 'oneCycle', rate: 1, steps: 10 } })
  expect(optimizer.learningRate).toEqual({ schedule: 'oneCycle', rate: 1, steps: 10, rise: 0.3, start: 0.04, end: 0.000004 })
  expect(Object.isFrozen(optimizer.learningRate)).toBe(true)
  expect(parseOptimizer(JSON.parse(JSON.stringify(optimizer)))).toEqual(optimizer)
})

describe('wrong schedules are named', () => {
  const field = 'adam.learningRate'
  it.each<[string, object, string, string | string[]]>([
    ['a name', { schedule: 'cosin', rate: 1, steps: 1 }, `${field}.schedule`, ['"cosine"', '"cosin"']],
    ['no steps', { schedule: 'cosine', rate: 1 }, `${field}.steps`, 'nothing'],
    ['half a step', { schedule: 'step', rate: 1, every: 0.5 }, `${field}.every`, '0.5'],
    ['a growing factor', { schedule: 'exponential', rate: 1, every: 1, factor: 2 }, `${field}.factor`, '2'],
    ['a rate of 0', { schedule: 'constant', rate: 0 }, `${field}.rate`, '0'],
    ['an end above the rate', { schedule: 'cosine', rate: 0.1, steps: 9, end: 0.2 }, `${field}.end`, ['0.1', '0.2']],
    ['another schedule’s word', { schedule: 'cosine', rate: 1, steps: 9, factor: 0.5 }, `${field}.factor`, 'factor'],
    ['a warm-up of a cycle', { schedule: 'oneCycle', rate: 1, steps: 9, warmup: 3 }, `${field}.warmup`, 'warmup'],
  ])('%s', (_, learningRate, at, says) => {
    expect(() => adam({ learningRate: learningRate as LearningRateSchedule })).toThrow(refusal('ARGUMENT', { field: at, says }))
  })

  it('a rate that reaches 0, for a rule that divides by it', () => {
    const cosine = { schedule: 'cosine', rate: 0.1, steps: 100 } as const
    expect(() => ftrl({ learningRate: cosine })).toThrow(refusal('ARGUMENT', { field: 'ftrl.learningRate.end', says: '0' }))
    expect(ftrl({ learningRate: { ...cosine, end: 0.01 } }).learningRate).toMatchObject({ end: 0.01, warmup: 0 })
  })
})
