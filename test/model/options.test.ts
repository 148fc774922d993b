// What a model's constructor and loadModel take: features and tasks as plain data too, and no names that meet.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, expectTypeOf, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { CGC, ESMM, MMoE, PLE, type PLEOptions } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { adam } from '../../lib/optimizers/adam.js'
import { sgd } from '../../lib/optimizers/sgd.js'
import { type BinaryTask, binary } from '../../lib/tasks/binary.js'
import type { History } from '../../lib/training/history.js'
import { refusal } from '../support/refusal.js'
import { columns, data, model } from '../support/small-data.js'

const train = data({ rows: 300 })
const common = { features: [dense('price')], tasks: [binary('click'), binary('buy')], seed: 3 }
const experts = { numExperts: 2, expertHiddenUnits: [4] }

it('features and tasks may be plain data: defaults are filled in', async () => {
  const plain = {
    features: [{ kind: 'dense', name: 'price' }],
    tasks: ['click', 'buy'].map((name) => ({ kind: 'binary', name })),
  }
  using net = new MMoE({ ...plain, ...experts, seed: 3 } as never)
  using same = new MMoE({ ...common, ...experts })
  await net.fit(train)
  await same.fit(train)
  expect(await net.predict(train)).toEqual(await same.predict(train))
})

it('options that models share have a type', async () => {
  const shared = { fusion: 'concat', activation: 'relu', device: 'cpu', seed: 3 } satisfies Partial<PLEOptions>
  const { features, tasks } = common
  const counts = { numSharedExperts: 1, numSpecificExperts: 1, expertHiddenUnits: [4] }
  using net = new PLE({ ...shared, ...counts, features, tasks: [binary('click'), binary('buy')] })
  const options: PLEOptions = { ...shared, ...counts, features, tasks }
  using same = new PLE(options)
  const history = await net.fit(train)
  expectTypeOf(history).toEqualTypeOf<History<readonly [BinaryTask<'click'>, BinaryTask<'buy'>]>>()
  expectTypeOf(history).toExtend<History>()
  expect(await same.fit(train)).toMatchObject({ epochs: [{ loss: history.epochs[0]?.loss }] })
})

it('an option that is undefined is as if it were left out', () => {
  expect(adam({ learningRate: undefined, epsilon: undefined })).toEqual(adam())
  expect(sgd({ momentum: undefined, form: undefined })).toEqual(sgd())
  expectTypeOf(adam().epsilon).toEqualTypeOf<number>()
  expect(binary('click', { label: undefined, weight: undefined, positive: undefined })).toEqual(binary('click'))
  expect(dense('price', { transform: undefined, width: undefined })).toEqual(dense('price'))
  expect(sparse('user', { dim: 2, hash: undefined, vocabulary: undefined })).toEqual(sparse('user', { dim: 2 }))
  const tags = { dim: 2, maxLength: 3, combiner: 'mean' } as const
  expect(sequence('tags', { ...tags, separator: undefined })).toEqual(sequence('tags', tags))
})

describe('what is refused', () => {
  const shared = { numSharedExperts: 1, numSpecificExperts: 1, expertHiddenUnits: [4] }
  it.each<[string, () => unknown, Error]>([
    ['no options', () => new MMoE(undefined as never), refusal('ARGUMENT', { field: 'MMoE' })],
    [
      'no feature',
      () => new MMoE({ ...common, ...experts, features: [null as never] }),
      refusal('ARGUMENT', { field: 'MMoE.features[0]' }),
    ],
    [
      'a kind of no feature',
      () => new MMoE({ ...common, ...experts, features: [{ kind: 'dens', name: 'a' } as never] }),
      refusal('ARGUMENT', { field: 'MMoE.features[0].kind', says: ['"sparse"', '"sequence"', '"dense"', '"dens"'] }),
    ],
    [
      'a task by its name',
      () => new MMoE({ ...common, ...experts, tasks: ['click' as never] }),
      refusal('ARGUMENT', { field: 'MMoE.tasks[0]', says: '"click"' }),
    ],
    [
      'a feature with the name of labels',
      () => new MMoE({ ...common, ...experts, features: [sparse('label:buy', { dim: 2 })] }),
      refusal('ARGUMENT', { field: 'MMoE.features[0].name', says: '"label:buy"' }),
    ],
    [
      'a task with the name of the shared gate',
      () => new PLE({ ...common, ...shared, tasks: [binary('shared')] }),
      refusal('ARGUMENT', { field: 'PLE.tasks[0].name' }),
    ],
    [
      'and of the shared experts',
      () => new CGC({ ...common, ...shared, tasks: [binary('buy'), binary('shared')] }),
      refusal('ARGUMENT', { field: 'CGC.tasks[1].name' }),
    ],
    [
      "a task with the name of a funnel's step",
      () => new ESMM({ ...common, tasks: [binary('click'), binary('buy'), binary('buy_given_click')] }),
      refusal('ARGUMENT', { field: 'ESMM.tasks[2].name' }),
    ],
    [
      'more threads than there can be',
      () => new MMoE({ ...common, ...experts, threads: 10_000 }),
      refusal('ARGUMENT', { field: 'threads', says: ['[1, 4096]', '10000'] }),
    ],
    [
      'a task whose loss would have the name of the validation loss',
      () => new MMoE({ ...common, ...experts, tasks: [binary('val')] }),
      refusal('ARGUMENT', { field: 'MMoE.tasks[0].name', says: '"val"' }),
    ],
    [
      "and of another task's",
      () => new MMoE({ ...common, ...experts, tasks: [binary('val_buy'), binary('buy')] }),
      refusal('ARGUMENT', { field: 'MMoE.tasks[0].name' }),
    ],
    ['a name that is none', () => binary(Object.create(null)), refusal('ARGUMENT', { field: 'task.name' })],
    [
      'a list that is a typed array',
      () => new MMoE({ ...common, ...experts, expertHiddenUnits: Int32Array.of(4) as never }),
      refusal('ARGUMENT', { field: 'MMoE.expertHiddenUnits', says: 'Int32Array(1)' }),
    ],
    [
      'a name that no object can have',
      () => binary('__proto__', { label: 'buy' }),
      refusal('ARGUMENT', { field: 'task "__proto__".name', says: "'__proto__'" }),
    ],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(message)
  })
})

it('loadModel tells wrong options from wrong files', async () => {
  using net = model()
  await net.build(Dataset.fromColumns(columns({ rows: 50 })))
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  await net.save(path)
  const wrong = (field: string) => ({ code: 'ERR_MULTIGATE_ARGUMENT', field })
  await expect(loadModel(path, { threads: 0 })).rejects.toMatchObject(wrong('threads'))
  await expect(loadModel(path, { thread: 1 } as never)).rejects.toMatchObject(wrong('loadModel.thread'))
  await expect(loadModel(Symbol(path) as never)).rejects.toMatchObject(wrong('path'))
  await expect(net.save(Symbol(path) as never)).rejects.toMatchObject(wrong('path'))
  await expect(loadModel(path, { device: 'gpu' as never })).rejects.toMatchObject({ code: 'ERR_MULTIGATE_DEVICE' })
})
