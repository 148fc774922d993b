// `multigate tune`: a search over paths of a configuration, its file of trials, and mistakes.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'

import { parseConfig, withValues } from '../../lib/cli/config.js'
import { Dataset } from '../../lib/data/dataset.js'
import { loadModel } from '../../lib/model/load.js'
import { choicesOf } from '../../lib/model/space.js'
import { randomOf } from '../../lib/verify/numbers.js'
import { runIn } from '../support/command-line.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-tune-'))
const space = {
  expertHiddenUnits: { kind: 'oneOf', values: [[4], [8]] },
  'fit.optimizer.learningRate': { kind: 'logUniform', low: 0.001, high: 0.1 },
  'features.0.dim': { kind: 'integers', low: 2, high: 4 },
} as const
const config = {
  model: 'MMoE',
  features: [
    { kind: 'sparse', name: 'user', dim: 4 },
    { kind: 'dense', name: 'price' },
  ],
  tasks: [{ kind: 'binary', name: 'click' }],
  numExperts: 2,
  expertHiddenUnits: [4],
  split: { rowMod: 10, validation: [8], test: [9] },
  fit: { epochs: 2, batchSize: 100, optimizer: { name: 'adam' } },
  tune: { trials: 3, seed: 1, monitor: 'val_auc', space },
}

beforeAll(() => {
  const random = randomOf(3)
  const lines = Array.from({ length: 800 }, () => {
    const [user, price] = [Math.floor(10 * random()), random()]
    return [user, price.toFixed(3), Number(random() < user / 12 + price / 8)].join(',')
  })
  writeFileSync(join(folder, 'log.csv'), ['user,price,click', ...lines].join('\n'))
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
})

const run = (...args: string[]) => runIn(folder, 'tune', ...args)

describe('tune', () => {
  it('trains what the space says, keeps the best model, and goes on from its file', { timeout: 60_000 }, async () => {
    const { code, out, err } = await run('config.json', '--data', 'log.csv', '--trials-file', 'trials.jsonl', '--json')
    expect(code, err).toBe(0)
    expect(err).toContain('trial 3/3')
    expect(out).toMatch(/^trial +expertHiddenUnits +fit.optimizer.learningRate +features.0.dim +val_auc/m)
    const found = JSON.parse(out.trim().split('\n').at(-1) ?? '')
    const choices = choicesOf(space, 3, 1)
    expect(found.trials.map(({ choice }: { choice: unknown }) => choice)).toEqual(choices)
    expect(found.best.value).toBe(Math.max(...found.trials.map(({ value }: { value: number }) => value)))

    using model = await loadModel(join(folder, 'config.safetensors'))
    const { test } = (await Dataset.fromCsv(join(folder, 'log.csv'), model.csvOptions({ labels: true }))).split(config.split)
    expect((await model.evaluate(test)).tasks['click']?.auc).toBe(found.test.click.auc)
    expect(model.describe().tables[0]?.dim).toBe(found.best.choice['features.0.dim'])

    const more = await run('config.json', '--data', 'log.csv', '--trials-file', 'trials.jsonl', '--trials', '4', '--no-save')
    expect(more.code, more.err).toBe(0)
    expect(more.err.match(/^trial /gm)).toHaveLength(1)
    expect(readFileSync(join(folder, 'trials.jsonl'), 'utf8').trim().split('\n')).toHaveLength(5)
  })

  it('names what is missing or wrong', async () => {
    const { tune, ...plain } = config
    writeFileSync(join(folder, 'plain.json'), JSON.stringify(plain))
    expect(await run('plain.json', '--data', 'log.csv')).toMatchObject({
      code: 2,
      err: expect.stringContaining('config.tune') as string,
    })
    writeFileSync(
      join(folder, 'wrong.json'),
      JSON.stringify({ ...config, tune: { ...tune, space: { 'fit.epoch': space['features.0.dim'] } } }),
    )
    expect(await run('wrong.json', '--data', 'log.csv')).toMatchObject({
      code: 2,
      err: expect.stringContaining('config.fit.epoch') as string,
    })
  })
})

describe('a space of a configuration', () => {
  it('sets values at paths and leaves the configuration as it is', () => {
    const before = JSON.stringify(config)
    const changed = withValues(config, {
      'fit.optimizer.learningRate': 0.5,
      'features.0.dim': 9,
      dropout: 0.1,
      'fit.clip.value': 2,
    })
    expect(changed).toMatchObject({
      fit: { epochs: 2, optimizer: { name: 'adam', learningRate: 0.5 }, clip: { value: 2 } },
      dropout: 0.1,
    })
    expect((changed as typeof config).features[0]).toMatchObject({ dim: 9, name: 'user' })
    expect(JSON.stringify(config)).toBe(before)
  })

  it.each(['model.units', '__proto__.x', 'features.0.name.x'])('has no option at %s', (path) => {
    expect(() => withValues(config, { [path]: 1 })).toThrow(refusal('ARGUMENT', { field: `config.tune.space.${path}` }))
  })

  it.each([
    [{ trials: 0 }, 'trials'],
    [{ space: { a: { kind: 'logUniform', low: 0, high: 1 } } }, 'space.a.low'],
    [{ space: { a: { kind: 'uniform', low: 2, high: 1 } } }, 'space.a.high'],
    [{ space: {} }, 'space'],
    [{ units: 3 }, 'units'],
  ])('%j is refused', (tune, field) => {
    expect(() => parseConfig({ ...config, tune: { ...config.tune, ...tune } })).toThrow(
      refusal('ARGUMENT', { field: `config.tune.${field}` }),
    )
  })
})
