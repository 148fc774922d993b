// A dataset remembers how its file was read.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'

const folder = mkdtempSync(join(tmpdir(), 'multigate-reading-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'a.csv')
writeFileSync(path, 'a;b\n1; x\n2;-\n3;z\n')

it('a dataset and its parts remember how a CSV file was read, without which columns', async () => {
  const options = { delimiter: ';', trim: true, nullValues: ['-'], columns: ['b', 'a'], types: { a: 'string' } } as const
  const data = await Dataset.fromCsv(path, options)
  const expected = { delimiter: ';', trim: true, nullValues: ['-'] }
  const { train } = data.split({ rowMod: 3, test: [2] })
  for (const part of [data, data.slice(1), data.select([0]), train]) expect(part.reading).toEqual(expected)
  for await (const part of Dataset.streamCsv(path, { ...options, chunkRows: 2 })) expect(part.reading).toEqual(expected)
  expect(Object.isFrozen(data.reading)).toBe(true)
  expect((await Dataset.fromCsv(path)).reading).toEqual({})
  expect(Dataset.fromColumns({ a: [1] }).reading).toBeUndefined()
})
