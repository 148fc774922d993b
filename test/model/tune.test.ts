// Random search: what it draws, what it chooses and keeps, how it resumes, and what it refuses.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, expectTypeOf, it } from 'vitest'

import {
  adam,
  type ChoiceOf,
  earlyStopping,
  type FitOptions,
  integers,
  logUniform,
  MMoE,
  oneOf,
  sgd,
  type TuneOptions,
  tune,
  tuneProgress,
  tuneTable,
  uniform,
} from '../../lib/index.js'
import { choicesOf } from '../../lib/model/space.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const train = data({ rows: 600 })
const validation = data({ rows: 300, seed: 2 })
const test = data({ rows: 300, seed: 3 })
const space = { units: oneOf(2, 8), rate: logUniform(1e-3, 1e-1) }
const pathOf = (): string => join(mkdtempSync(join(tmpdir(), 'multigate-')), 'trials.jsonl')

const base = {
  train,
  validation,
  space,
  trials: 4,
  seed: 3,
  monitor: 'val_auc',
  create: ({ units, rate }: ChoiceOf<typeof space>) => ({
    model: new MMoE({ ...configuration(), expertHiddenUnits: [units] }),
    fit: { epochs: 3, batchSize: 100, optimizer: adam({ learningRate: rate }) } satisfies FitOptions,
  }),
}

function configuration() {
  using net = model()
  return { features: net.features, tasks: net.tasks, numExperts: 2, seed: 1 }
}

const withoutSeconds = (trials: readonly { readonly seconds: number }[]) => trials.map((trial) => ({ ...trial, seconds: 0 }))

describe('a space', () => {
  const ranges = {
    units: oneOf(16, 32, 64),
    layers: oneOf([8], [8, 4]),
    rate: logUniform(1e-4, 1e-2),
    dropout: uniform(0, 0.5),
    experts: integers(1, 3),
  }

  it('gives choices of its types', () => {
    type Choice = ChoiceOf<typeof ranges>
    expectTypeOf<Choice['units']>().toEqualTypeOf<16 | 32 | 64>()
    expectTypeOf<Choice['dropout']>().toEqualTypeOf<number>()
    const [choice] = choicesOf(ranges, 1, 0)
    expect(choice?.layers[0]).toBe(8)
  })

  it('is drawn evenly, and in the logarithm where that is asked for', () => {
    const choices = choicesOf(ranges, 4000, 5)
    const share = (met: (choice: (typeof choices)[number]) => boolean): number => choices.filter(met).length / 4000
    for (const units of [16, 32, 64]) expect(share((one) => one.units === units)).toBeCloseTo(1 / 3, 1)
    for (const experts of [1, 2, 3]) expect(share((one) => one.experts === experts)).toBeCloseTo(1 / 3, 1)
    expect(share(({ rate }) => rate < 1e-3)).toBeCloseTo(0.5, 1)
    expect(share(({ dropout }) => dropout < 0.125)).toBeCloseTo(0.25, 1)
    expect(choices.every(({ rate, dropout }) => rate >= 1e-4 && rate <= 1e-2 && dropout >= 0 && dropout <= 0.5)).toBe(true)
    // Ranges do not follow each other.
    expect(share(({ units, rate }) => units === 16 && rate < 1e-3)).toBeCloseTo(1 / 6, 1)
  })

  it('gives the same choices for a seed, however many follow, and none twice', () => {
    expect(choicesOf(ranges, 10, 7)).toEqual(choicesOf(ranges, 30, 7).slice(0, 10))
    expect(choicesOf(ranges, 10, 7)).not.toEqual(choicesOf(ranges, 10, 8))
    const few = choicesOf({ a: integers(0, 2), b: oneOf('x', 'y') }, 50, 1)
    expect(new Set(few.map((one) => JSON.stringify(one))).size).toBe(few.length)
    expect(few).toHaveLength(6)
  })

  it.each<[string, () => unknown, string]>([
    ['oneOf without values', () => oneOf(), 'oneOf'],
    ['oneOf of functions', () => oneOf((() => 1) as never), 'oneOf'],
    ['oneOf of NaN', () => oneOf(1, NaN), 'oneOf'],
    ['uniform', () => uniform(1, 0), 'uniform.high'],
    ['logUniform', () => logUniform(0, 1), 'logUniform.low'],
    ['integers', () => integers(1, 2.5), 'integers.high'],
    ['infinity', () => uniform(0, Infinity), 'uniform.high'],
  ])('%s is refused', (_, make, field) => {
    expect(make).toThrow(refusal('ARGUMENT', { field }))
  })
})

describe('a search', () => {
  it('chooses by validation rows and measures the chosen model on test rows', async () => {
    const lines: string[] = []
    const onTrial = tuneProgress({ stream: { write: (line: string) => lines.push(line) } })
    const { trials, best, model: chosen, test: measured, monitor } = await tune({ ...base, test, onTrial })
    using _ = chosen
    expect(trials.map(({ trial, choice }) => ({ trial, choice }))).toEqual(
      choicesOf(space, 4, 3).map((choice, index) => ({ trial: index + 1, choice })),
    )
    for (const { choice, value, epoch } of trials) {
      const { model: own, fit } = base.create(choice)
      using net = own
      const { epochs } = await net.fit(train, { ...fit, validation })
      expect(value).toBe(epochs[2]?.metrics['val_auc'])
      expect(epoch).toBe(3)
    }
    expect(best.value).toBe(Math.max(...trials.map(({ value }) => value ?? 0)))
    expect(measured).toEqual(await chosen.evaluate(test))
    expect(lines).toHaveLength(4)
    expect(lines[3]).toContain('trial 4/4')
    expect(lines[3]).toContain(`best ${best.value?.toFixed(4)} (trial ${best.trial})`)
    const [header, first] = tuneTable({ trials, best, monitor }).split('\n')
    expect(header).toMatch(/^trial +units +rate +val_auc +epoch +time$/)
    expect(first).toMatch(new RegExp(`^ *${best.trial}\\*`))
  })

  it('chooses the lowest loss, and takes the value of the epoch that weights come from', async () => {
    const {
      trials,
      best,
      model: chosen,
    } = await tune({
      ...base,
      monitor: undefined,
      create: (choice) => {
        const { model: net, fit } = base.create(choice)
        return { model: net, fit: { ...fit, epochs: 12, callbacks: [earlyStopping({ patience: 1 })] } }
      },
    })
    using _ = chosen
    expect(best.value).toBe(Math.min(...trials.map(({ value }) => value ?? 9)))
    expect(best.value).toBeCloseTo((await chosen.evaluate(validation)).loss, 12)
    for (const { curve, value, epoch } of trials) expect(curve[(epoch ?? 0) - 1]).toBe(value)
  })

  it('records a trial that diverges, and does not choose it', async () => {
    const create: (typeof base)['create'] = (choice) => {
      const { model: net, fit } = base.create(choice)
      return {
        model: net,
        fit: { ...fit, optimizer: (choice.units === 2 ? sgd({ learningRate: 1e30 }) : fit.optimizer) as never },
      }
    }
    const { trials, best, model: chosen } = await tune({ ...base, create })
    using _ = chosen
    const failed = trials.filter(({ value }) => value === null)
    expect(failed.length).toBeGreaterThan(0)
    for (const { choice, error } of failed) {
      expect(choice.units).toBe(2)
      expect(error).toMatch(/finite/)
    }
    expect(best.choice.units).toBe(8)
    const text = tuneTable({ trials, best, monitor: 'val_auc' })
    expect(text.split('\n').at(-1)).toContain('finite')
    await expect(tune({ ...base, create, space: { ...space, units: oneOf(2, 2) } as never })).rejects.toThrow(refusal('DIVERGED'))
  })

  it('ends trials that are worse than the median, and no others', async () => {
    const options = { ...base, trials: 12, seed: 1, space: { units: oneOf(8), rate: logUniform(1e-5, 1e-1) } } as typeof base
    const longer: (typeof base)['create'] = (choice) => {
      const { model: net, fit } = base.create(choice)
      return { model: net, fit: { ...fit, epochs: 6 } }
    }
    const all = await tune({ ...options, create: longer })
    const some = await tune({ ...options, create: longer, prune: true })
    all.model.dispose()
    some.model.dispose()
    expect(some.trials.slice(0, 5).every(({ curve }) => curve.length === 6)).toBe(true)
    const ended = some.trials.filter(({ curve }) => curve.length < 6)
    expect(some.trials.every(({ curve }) => curve.length >= 3)).toBe(true)
    expect(ended.length).toBeGreaterThan(0)
    for (const { trial, curve } of ended) {
      const last = curve.length - 1
      const before = some.trials.slice(0, trial - 1).map((other) => other.curve[last] ?? other.curve.at(-1) ?? NaN)
      const better = before.filter((value) => value > (curve[last] ?? NaN)).length
      expect(better).toBeGreaterThanOrEqual(before.length / 2)
    }
    expect(some.best.choice).toEqual(all.best.choice)
  })
})

describe('a file of trials', () => {
  it('refuses a model that a trial before has trained', async () => {
    const net = model()
    await expect(tune({ ...base, create: () => ({ model: net, fit: { epochs: 1 } }) })).rejects.toThrow(
      refusal('ARGUMENT', { field: 'tune.create().model' }),
    )
  })

  it('resumes a search: the same trials and the same choice, whichever run made them', async () => {
    const [whole, parts] = [pathOf(), pathOf()]
    const one = await tune({ ...base, test, path: whole })
    let made = 0
    const create: (typeof base)['create'] = (choice) => {
      made += 1
      return base.create(choice)
    }
    const first = await tune({ ...base, trials: 2, path: parts, create })
    first.model.dispose()
    const broken = tune({
      ...base,
      path: parts,
      create: (choice, trial) => {
        if (trial === 4) throw new Error('broken')
        return create(choice)
      },
    })
    await expect(broken).rejects.toThrow('broken')
    const two = await tune({ ...base, test, path: parts, create })
    expect(withoutSeconds(two.trials)).toEqual(withoutSeconds(one.trials))
    expect(two.best.trial).toBe(one.best.trial)
    // Four trials, and the best one again if another run had made it.
    expect(made).toBe(one.best.trial === 4 ? 4 : 5)
    expect(two.test).toEqual(one.test)
    expect(readFileSync(parts, 'utf8').split('\n')).toHaveLength(6)
    for (const { model: net } of [one, two]) net.dispose()
  })

  it('loses only the trial in which the process was killed', { timeout: 60_000 }, async () => {
    const path = pathOf()
    const program = `
      import { Dataset, MMoE, binary, dense, logUniform, tune, adam } from ${JSON.stringify(fileURLToPath(new URL('../../dist/index.js', import.meta.url)))}
      const rows = (from) => Dataset.fromColumns({ x: Float32Array.from({ length: 200 }, (_, i) => Math.sin(from + i)), y: Float32Array.from({ length: 200 }, (_, i) => Number(Math.sin(from + i) > 0)) })
      const kill = Number(process.argv[1])
      const { trials } = await tune({
        train: rows(0), validation: rows(1000), trials: 5, path: ${JSON.stringify(path)}, space: { rate: logUniform(1e-3, 1e-1) },
        create: ({ rate }, trial) => ({
          model: new MMoE({ features: [dense('x')], tasks: [binary('y')], numExperts: 2, expertHiddenUnits: [4] }),
          fit: { epochs: 3, optimizer: adam({ learningRate: rate }), callbacks: [({ epoch }) => { if (trial === kill && epoch === 2) process.kill(process.pid, 'SIGKILL') }] },
        }),
      })
      console.log(JSON.stringify(trials.map(({ choice, value }) => [choice.rate, value])))`
    const run = (kill: number) =>
      spawnSync(process.execPath, ['--input-type=module', '-e', program, String(kill)], { encoding: 'utf8' })
    expect(run(4).signal).toBe('SIGKILL')
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(4)
    const resumed = run(0)
    expect(resumed.stderr).toBe('')
    writeFileSync(path, '')
    expect(resumed.stdout).toBe(run(0).stdout)
  })

  it.each<[string, Partial<TuneOptions>]>([
    ['a seed', { seed: 4 }],
    ['a space', { space: { ...space, units: oneOf(2, 8, 9) } }],
    ['a monitor', { monitor: 'val_loss' }],
    ['validation rows', { validation: validation.slice(0, 200) }],
  ])('of a search with another one is refused: %s', async (_, other) => {
    const path = pathOf()
    ;(await tune({ ...base, trials: 1, path })).model.dispose()
    await expect(tune({ ...base, ...other, path } as never)).rejects.toThrow(refusal('ARGUMENT', { field: 'tune.path' }))
  })

  it('that is damaged is refused', async () => {
    const path = pathOf()
    ;(await tune({ ...base, trials: 2, path })).model.dispose()
    const [head = '', one = '', two = ''] = readFileSync(path, 'utf8').split('\n')
    for (const lines of [[head, '{'], [head, two], [head, one.replace('"rate":0', '"rate":1')], ['no JSON']]) {
      writeFileSync(path, lines.join('\n'))
      await expect(tune({ ...base, path })).rejects.toThrow(refusal('FORMAT'))
    }
  })
})

describe('mistakes', () => {
  it.each<[string, object, string]>([
    ['no rows', { train: 3 }, 'tune.train'],
    ['no validation rows', { validation: undefined }, 'tune.validation'],
    ['no ranges', { space: {} }, 'tune.space'],
    ['a range that is none', { space: { units: [1, 2] } }, 'tune.space.units'],
    ['no function', { create: {} }, 'tune.create'],
    ['no trials', { trials: 0 }, 'tune.trials'],
    ['a number that is not measured', { monitor: 'val_acu' }, 'monitor'],
    ['a model that is none', { create: () => ({}) }, 'tune.create()'],
    ['an unknown option', { budget: 3 }, 'tune.budget'],
  ])('%s', async (_, wrong, field) => {
    await expect(tune({ ...base, ...wrong } as never)).rejects.toThrow(refusal('ARGUMENT', { field }))
  })

  it('a signal ends the search', async () => {
    const control = new AbortController()
    const onTrial = (): void => control.abort()
    const path = pathOf()
    await expect(tune({ ...base, path, onTrial, signal: control.signal })).rejects.toThrow(refusal('ABORTED'))
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(2)
    expect(() => tuneTable({ trials: [] } as never)).toThrow(refusal('ARGUMENT'))
  })
})
