// Models are saved to and loaded from paths and URLs, and cannot be cloned.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { loadModel } from '../../lib/model/load.js'
import { checkpoint } from '../../lib/training/checkpoint.js'
import { refusal } from '../support/refusal.js'
import { data, model } from '../support/small-data.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate ä#-'))
afterAll(() => rmSync(folder, { recursive: true }))

it.each([
  ['URL objects', (name: string) => pathToFileURL(join(folder, name))],
  ['URLs as text', (name: string) => pathToFileURL(join(folder, name)).href],
])('file: URLs name files: %s', async (_, urlOf) => {
  using net = model()
  const train = data({ rows: 200 })
  await net.fit(train, { callbacks: [checkpoint({ path: urlOf('epoch-{epoch}.safetensors') })] })
  await net.save(urlOf('model.safetensors'))
  using loaded = await loadModel(urlOf('model.safetensors'))
  expect(await loaded.predict(train)).toEqual(await net.predict(train))
  using resumed = model()
  const { epochs } = await resumed.fit(train, { resume: urlOf('epoch-1.safetensors'), epochs: 2 })
  expect(epochs.map(({ epoch }) => epoch)).toEqual([1, 2])
})

it.each([3, '', new URL('https://example.org/model'), 'file://host/%', null])(
  'what names no file is refused: %s',
  async (wrong) => {
    using net = model()
    const train = data({ rows: 200 })
    await net.build(train)
    const expected = refusal('ARGUMENT', { says: 'URL' })
    await expect(net.save(wrong as string)).rejects.toThrow(expected)
    await expect(loadModel(wrong as string)).rejects.toThrow(expected)
    await expect(model().fit(train, { resume: wrong as string })).rejects.toThrow(expected)
    expect(() => checkpoint({ path: wrong as string })).toThrow(expected)
  },
)

it('a model cannot be cloned: it says so, and gives no shell', async () => {
  using net = model()
  await net.build(data({ rows: 200 }))
  for (const value of [net, { net }]) expect(() => structuredClone(value)).toThrow(/aModelCannotBeCloned/)
})
