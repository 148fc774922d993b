// Sizes that no machine has: an error that names the option or the array, before anything is allocated.

import { totalmem } from 'node:os'

import { expect, it } from 'vitest'

import { Dataset } from '../../lib/data/dataset.js'
import { dense } from '../../lib/features/spec/dense.js'
import { sequence } from '../../lib/features/spec/sequence.js'
import { sparse } from '../../lib/features/spec/sparse.js'
import { CGC, MMoE, PLE } from '../../lib/model/classes.js'
import { loadNative } from '../../lib/native/loader.js'
import { createColumns } from '../../lib/runtime/memory-budget.js'
import { binary } from '../../lib/tasks/binary.js'
import { multiclass } from '../../lib/tasks/multiclass.js'
import { refusal } from '../support/refusal.js'

const column = (rows: number): number[] => Array.from({ length: rows }, (_, row) => row % 2)
const train = Dataset.fromColumns({ u: column(20), y: column(20) })
const tasks = [binary('y')]
const base = { features: [sparse('u', { vocabulary: 2, dim: 4 })], tasks, numExperts: 2, expertHiddenUnits: [4] }
const specific = { features: base.features, tasks, expertHiddenUnits: [4], numSharedExperts: 1, numSpecificExperts: 1 }

it.each<[() => unknown, Error]>([
  [() => sparse('u', { dim: 1e9 }), refusal('ARGUMENT', { field: 'feature "u".dim', says: ['16777216', '1000000000'] })],
  [
    () => sparse('u', { dim: 4, vocabulary: 1e12 }),
    refusal('ARGUMENT', { field: 'feature "u".vocabulary', says: ['2147483648', '1000000000000'] }),
  ],
  [
    () => sparse('u', { dim: 4, hash: 5e9 }),
    refusal('ARGUMENT', { field: 'feature "u".hash', says: ['2147483648', '5000000000'] }),
  ],
  [
    () => sequence('u', { dim: 4, maxLength: 1e9, combiner: 'sum' }),
    refusal('ARGUMENT', { field: 'feature "u".maxLength', says: '16777216' }),
  ],
  [() => dense('u', { width: 1e9 }), refusal('ARGUMENT', { field: 'feature "u".width', says: '16777216' })],
  [() => multiclass('y', { classes: 1e9 }), refusal('ARGUMENT', { field: 'task "y".classes', says: '16777216' })],
  [() => new MMoE({ ...base, numExperts: 1e9 }), refusal('ARGUMENT', { field: 'MMoE.numExperts', says: ['4096', '1000000000'] })],
  [
    () => new MMoE({ ...base, expertHiddenUnits: [4, 1e9] }),
    refusal('ARGUMENT', { field: 'MMoE.expertHiddenUnits[1]', says: '16777216' }),
  ],
  [
    () => new MMoE({ ...base, towerHiddenUnits: [1e15] }),
    refusal('ARGUMENT', { field: 'MMoE.towerHiddenUnits[0]', says: '16777216' }),
  ],
  [() => new PLE({ ...specific, numLevels: 1e9 }), refusal('ARGUMENT', { field: 'PLE.numLevels', says: '1024' })],
  [
    () => new CGC({ ...specific, numSharedExperts: 4096 }),
    refusal('ARGUMENT', { field: 'CGC.numSpecificExperts', says: ['4096', '4097'] }),
  ],
])('%s', (make, message) => {
  expect(make).toThrow(message)
})

it('names the largest array of weights that do not fit', async () => {
  using table = new MMoE({ ...base, features: [sparse('u', { vocabulary: 2 ** 31, dim: 2 ** 20 })] })
  const build = table.build(train)
  await expect(build).rejects.toThrow(
    refusal('OUT_OF_MEMORY', { says: ['"embedding.u" [2147483648, 1048576]', '8,388,608 GiB', /[\d.,]+ [GM]iB/] }),
  )
  expect(table.built).toBe(false)
  using kernel = new MMoE({ ...base, expertHiddenUnits: [2 ** 22, 2 ** 22] })
  await expect(kernel.fit(train)).rejects.toThrow(
    refusal('OUT_OF_MEMORY', { says: ['"expert.kernel" [2, 4194304, 4194304]', '131,072 GiB'] }),
  )
})

it('names the largest array of a layer that is too wide', async () => {
  using net = new MMoE({ ...base, numExperts: 1000, expertHiddenUnits: [100_000] })
  const build = net.build(train)
  await expect(build).rejects.toThrow(refusal('ARGUMENT', { says: ['100000000', '16777216', 'expert.kernel [1000, 4, 100000]'] }))
})

it('says where a batch does not fit, and trains with a smaller one', async () => {
  // A row keeps a gradient of 4 MiB.
  const rows = Math.ceil(totalmem() / 2 ** 22)
  const long = Dataset.fromColumns({ u: column(rows), y: column(rows) })
  using net = new MMoE({
    ...base,
    features: [sparse('u', { vocabulary: 2, dim: 2 ** 20 })],
    numExperts: 1,
    expertHiddenUnits: [1],
  })
  await net.build(train)
  const fit = net.fit(long, { batchSize: rows })
  await expect(fit).rejects.toThrow(refusal('OUT_OF_MEMORY', { says: [`${rows} rows`, /[\d.,]+ GiB/, 'batchSize'] }))
  expect((await net.fit(train, { batchSize: 10 })).epochs).toHaveLength(1)
})

it('says what a data set takes before it is encoded, however large', () => {
  const refused = (width: number, columns: number, rows: number, says: string[]): void => {
    const specs = Array.from({ length: columns }, () => ({ type: 'i32' as const, width, limit: 1 }))
    expect(() => createColumns(loadNative(), specs, rows)).toThrow(refusal('OUT_OF_MEMORY', { says }))
  }
  refused(2 ** 24, 1, 30_000, ['30000', '67108864', '1,875 GiB'])
  refused(2 ** 24, 60_000, 2 ** 31 - 1, ['maxLength', 'width'])
})
