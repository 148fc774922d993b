// Vocabularies in model files: as tensors, and as JSON in older files.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

import { binary, Dataset, loadModel, MMoE, sparse } from '../../lib/index.js'
import { readSafetensors, writeSafetensors } from '../../lib/io/safetensors.js'
import { refusal } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-'))
const path = join(folder, 'model.safetensors')
const train = Dataset.fromColumns({
  user: ['é', '\ufeffa', '', '👍', 'é', 'b'],
  item: [5, 0.1, -3, 5, 7, 7],
  click: [0, 1, 0, 1, 1, 0],
})

async function saved() {
  const model = new MMoE({
    features: [sparse('user', { dim: 2 }), sparse('item', { dim: 2 })],
    tasks: [binary('click')],
    numExperts: 1,
    expertHiddenUnits: [2],
  })
  await model.fit(train, { epochs: 2 })
  await model.save(path)
  return model
}

async function rewritten(change: (file: Awaited<ReturnType<typeof readSafetensors>>) => void): Promise<string> {
  const file = await readSafetensors(path)
  const metadata = { ...file.metadata }
  const changed = { ...file, metadata }
  change(changed)
  const other = join(folder, 'other.safetensors')
  await writeSafetensors(other, {
    metadata,
    tensors: [...changed.tensors].map(([name, { shape, data }]) => ({ name, shape, data })),
  })
  return other
}

it('come back, byte for byte, and give the same scores', async () => {
  using model = await saved()
  using again = await loadModel(path)
  expect(await again.predict(train)).toEqual(await model.predict(train))
  const { tensors, metadata } = await readSafetensors(path)
  const dataOf = (name: string): unknown => tensors.get(`vocabulary.${name}`)?.data
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(dataOf('user.bytes') as Uint8Array)
  expect(text).toBe('éb👍\ufeffa')
  expect(dataOf('user.offsets')).toEqual(BigInt64Array.of(0n, 2n, 2n, 3n, 7n, 11n))
  expect(dataOf('item.values')).toEqual(Float64Array.of(5, 7, -3, 0.1))
  expect(metadata['multigate.model']).not.toContain('👍')
})

it('are read from files of before, whose rule they keep', async () => {
  using model = await saved()
  const old = await rewritten(({ metadata, tensors }) => {
    const json = JSON.parse(metadata['multigate.model'] ?? '') as { encoders: { type?: string; values?: unknown }[] }
    for (const [encoder, values] of [
      [json.encoders[0], ['é', '', '\ufeffa', '👍', 'b'].sort()],
      [json.encoders[1], [5, 7, -3, 0.1]],
    ] as const) {
      if (encoder === undefined) throw new Error('an encoder is missing')
      delete encoder.type
      encoder.values = encoder === json.encoders[0] ? ['é', '', 'b', '\ufeffa', '👍'] : values
    }
    Object.assign(metadata, { 'multigate.format': '1', 'multigate.model': JSON.stringify(json) })
    for (const name of [...tensors.keys()]) if (name.startsWith('vocabulary.')) (tensors as Map<string, unknown>).delete(name)
  })
  using again = await loadModel(old)
  expect((await again.predict({ user: ['b'], item: [7] })).click).toHaveLength(1)
  // Text that spells no number is unknown to them, not an error.
  expect(await again.predict({ user: ['b'], item: ['x'] })).toEqual(await again.predict({ user: ['b'], item: [8] }))
  await expect(model.predict({ user: ['b'], item: ['x'] })).rejects.toThrow(
    refusal('DATA', { column: 'item', row: 0, value: 'x' }),
  )
})

it.each<[string, string, (data: never) => unknown, string]>([
  ['bytes that are no UTF-8', 'vocabulary.user.bytes', (data: Uint8Array) => data.fill(0xff), 'UTF-8'],
  ['offsets that fall', 'vocabulary.user.offsets', (data: BigInt64Array) => data.fill(9n, 1, 2), '9'],
  ['a value twice', 'vocabulary.item.values', (data: Float64Array) => data.fill(5), '4'],
  ['a value that is none', 'vocabulary.item.values', (data: Float64Array) => data.fill(NaN), 'NaN'],
])('refuse %s', async (_, name, change, says) => {
  using _model = await saved()
  const wrong = await rewritten(({ tensors }) => void change(tensors.get(name)?.data as never))
  await expect(loadModel(wrong)).rejects.toThrow(refusal('FORMAT', { says: [name, says] }))
})

it('the model says how to read a file for it', async () => {
  using model = await saved()
  expect(model.csvOptions({ labels: true })).toEqual({ columns: ['user', 'item', 'click'], types: { user: 'string' } })
})
