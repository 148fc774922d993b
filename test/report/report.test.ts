// The page about a run: its numbers, what it says in words, that nothing in it runs, and what becomes of it when names are hostile or
// there is very much to show.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

import { binary, Dataset, MMoE, report, sparse } from '../../lib/index.js'
import { againstConstant, findingsOf } from '../../lib/report/findings.js'
import { drawPage, mostBytes } from '../../lib/report/page.js'
import type { ReportedRun } from '../../lib/report/run.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-report-'))
afterAll(() => rmSync(folder, { recursive: true }))

const surroundings = { date: 'today', version: '1', node: 'v1', machine: 'a machine', commit: undefined }
const losses = { training: [0.6, 0.4, 0.2], validation: [0.5, 0.45, 0.7] }

interface Sizes {
  readonly tasks?: readonly string[]
  readonly epochs?: number
  readonly experts?: number
  readonly features?: readonly string[]
  readonly validated?: boolean
}

function runOf({ tasks = ['click'], epochs = 3, experts = 2, features = [], validated = true }: Sizes = {}): ReportedRun {
  const unknownShares = Object.fromEntries(features.map((name) => [name, 0.25]))
  const unknown = { unknownShares, unknownValues: Object.fromEntries(features.map((name) => [name, 5])) }
  const evaluation = (loss: number) => ({
    ...unknown,
    loss,
    rows: 100,
    tasks: Object.fromEntries(
      tasks.map((task) => [task, { loss, rows: 100, positives: 20, auc: 0.75, logloss: loss, reasons: {} }]),
    ),
  })
  const records = Array.from({ length: epochs }, (_, index) => {
    const [training = 0, validation = 0] = [losses.training[index % 3], losses.validation[index % 3]]
    return {
      epoch: index + 1,
      steps: 1,
      learningRate: 0.001,
      loss: training,
      tasks: Object.fromEntries(tasks.map((task) => [task, { loss: training }])),
      validation: validated ? evaluation(validation) : undefined,
      metrics: Object.fromEntries(tasks.map((task) => [`val_${task}_auc`, 0.7 + index / 100])),
      seconds: 1,
      rowsPerSecond: 1,
    }
  })
  const weights = Array.from({ length: experts }, (_, index) => ({
    name: `expert ${index + 1}`,
    weight: index === 0 ? 0.97 : 0.03 / (experts - 1),
  }))
  return {
    plan: {
      model: 'MMoE',
      device: 'cpu',
      isa: 'avx2',
      threads: 1,
      fallback: undefined,
      parameters: 10,
      tasks,
      epochs,
      epochsBefore: 0,
      continues: undefined,
      stepsBefore: 0,
      stepsPerEpoch: 1,
      batchSize: 10,
      learningRate: 0.001,
      trainRows: 100,
      validationRows: 100,
      unknownValues: { training: unknown, validation: unknown },
      encodedRowsPerSecond: 1,
      monitors: [],
    },
    history: { ...unknown, epochs: records, stopReason: undefined, weightsEpoch: epochs },
    results: validated ? { validation: evaluation(0.7) } : {},
    gates: tasks.map((gate) => ({ level: 0, gate, experts: weights })),
    configuration: { features },
  } as unknown as ReportedRun
}

/** Fails if an element is not closed in order. */
function checkNesting(page: string): void {
  const open: string[] = []
  for (const [, close, name = '', selfClosed] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (name === 'meta' || selfClosed === '/') continue
    if (close === '/') expect(open.pop()).toBe(name)
    else open.push(name)
  }
  expect(open).toEqual([])
}

describe('findings', () => {
  it('say by how much a task is worse than its base rate, overfits, and how lopsided a gate is', () => {
    const found = findingsOf(runOf({ features: ['user'] })).map(({ about, text }) => `${about}: ${text}`)
    const base = -(0.2 * Math.log(0.2) + 0.8 * Math.log(0.8))
    expect(found[0]).toContain(`click: log loss on validation rows is ${(100 * (0.7 / base - 1)).toFixed(1)}% above`)
    expect(found[1]).toContain(
      `250.0% above training loss, and ${(100 * (0.7 / 0.45 - 1)).toFixed(1)}% above its lowest, in epoch 2`,
    )
    expect(found).toContainEqual(expect.stringContaining('user: 25.0% of its values in training rows'))
    expect(found).toContainEqual(expect.stringContaining('it gives expert 1 97.0% of its weight'))
  })

  it('take the normalised entropy where it was measured, and none where labels are all equal', () => {
    const result = { loss: 1, rows: 10, positives: 0, logloss: 0.3, reasons: {} } as unknown as Parameters<
      typeof againstConstant
    >[0]
    expect(againstConstant(result)).toBeUndefined()
    expect(againstConstant({ ...result, ne: 1.5 })).toBe(1.5)
  })
})

describe('a page', () => {
  it.each<[string, Sizes]>([
    ['one task', {}],
    ['one epoch', { epochs: 1 }],
    ['no validation', { validated: false }],
    ['40 tasks', { tasks: Array.from({ length: 40 }, (_, index) => `task ${index}`), epochs: 30 }],
    ['5,000 experts', { experts: 5000 }],
    ['3,000 epochs', { epochs: 3000 }],
    ['2,000 features of long names', { features: Array.from({ length: 2000 }, (_, index) => `${index}${'x'.repeat(500)}`) }],
    ['all of that', { tasks: Array.from({ length: 200 }, (_, index) => `${'&'.repeat(90)}${index}`), experts: 300, epochs: 500 }],
  ])('of %s is whole, without script, and at most 300 KiB', async (_, sizes) => {
    const page = await drawPage(runOf(sizes), surroundings)
    checkNesting(page)
    expect(Buffer.byteLength(page)).toBeLessThanOrEqual(mostBytes)
    expect(page).not.toMatch(/<script|<link|<img|https?:(?!\/\/www\.w3\.org\/2000\/svg)|NaN|undefined/)
    expect(page).toContain('>0.6000<')
  })

  it('shows hostile names as text', async () => {
    const hostile = `</title><script>alert(1)</script>"onload='x'&\u202e\u0000`
    const page = await drawPage(runOf({ tasks: [hostile], features: [hostile] }), surroundings)
    checkNesting(page)
    expect(page).not.toMatch(/<script|"onload/)
    expect(page).not.toContain('\u202e')
    expect(page).not.toContain('\u0000')
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;&quot;onload=&#39;x&#39;&amp;\\u202e\\u0000')
  })

  it('has the same bytes whatever was drawn before', async () => {
    const first = await drawPage(runOf(), surroundings)
    await drawPage(runOf({ tasks: ['a', 'b'] }), surroundings)
    expect(await drawPage(runOf(), surroundings)).toBe(first)
  })
})

describe('report', () => {
  const rows = Dataset.fromColumns({
    user: Array.from({ length: 64 }, (_, row) => row % 8),
    click: Array.from({ length: 64 }, (_, row) => +(row % 3 === 0)),
  })
  const model = () =>
    new MMoE({
      features: [sparse('user', { dim: 2 })],
      tasks: [binary('click')],
      numExperts: 2,
      expertHiddenUnits: [4],
      towerHiddenUnits: [2],
    })

  it('shows the numbers of the history and changes none', async () => {
    const path = join(folder, 'report.html')
    using one = model()
    using other = model()
    const options = { epochs: 2, validation: rows, gateStatistics: true }
    const history = await one.fit(rows, { ...options, callbacks: [report({ path })] })
    const plain = await other.fit(rows, options)
    expect(history.epochs.map(({ metrics }) => metrics)).toEqual(plain.epochs.map(({ metrics }) => metrics))
    const page = readFileSync(path, 'utf8')
    for (const { loss, validation } of history.epochs)
      for (const value of [loss, validation?.loss, validation?.tasks['click']?.auc])
        expect(page).toContain(`>${value?.toFixed(4)}<`)
  })

  it('loses no run if the page cannot be written at its end', async () => {
    const gone = join(folder, 'gone')
    mkdirSync(gone)
    using net = model()
    const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
    const remove = () => rmSync(gone, { recursive: true })
    const history = await net.fit(rows, { epochs: 1, callbacks: [report({ path: join(gone, 'report.html') }), remove] })
    expect(history.weightsEpoch).toBe(1)
    expect(await warned).toMatchObject({ code: 'MULTIGATE_REPORT' })
  })

  it('refuses a place that cannot be written before the first step', async () => {
    writeFileSync(join(folder, 'file'), '')
    using net = model()
    const fit = net.fit(rows, { epochs: 1, callbacks: [report({ path: join(folder, 'file', 'report.html') })] })
    await expect(fit).rejects.toMatchObject({ code: 'ERR_MULTIGATE_WRITE' })
    expect(() => report({ path: 5 as never })).toThrow(expect.objectContaining({ field: 'report.path' }))
  })
})
