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

const column = (rows: number): number[] => Array.from({ length: rows }, (_, row) => row % 2)
const train = Dataset.fromColumns({ u: column(20), y: column(20) })
const tasks = [binary('y')]
const base = { features: [sparse('u', { vocabulary: 2, dim: 4 })], tasks, numExperts: 2, expertHiddenUnits: [4] }
const specific = { features: base.features, tasks, expertHiddenUnits: [4], numSharedExperts: 1, numSpecificExperts: 1 }

it.each<[() => unknown, string]>([
  [() => sparse('u', { dim: 1e9 }), 'feature "u".dim: expected a number <= 16777216, found 1000000000'],
  [
    () => sparse('u', { dim: 4, vocabulary: 1e12 }),
    'feature "u".vocabulary: expected a number <= 2147483648, found 1000000000000',
  ],
  [() => sparse('u', { dim: 4, hash: 5e9 }), 'feature "u".hash: expected a number <= 2147483648, found 5000000000'],
  [() => sequence('u', { dim: 4, maxLength: 1e9, combiner: 'sum' }), 'feature "u".maxLength: expected a number <= 16777216'],
  [() => dense('u', { width: 1e9 }), 'feature "u".width: expected a number <= 16777216'],
  [() => multiclass('y', { classes: 1e9 }), 'task "y".classes: expected a number <= 16777216'],
  [() => new MMoE({ ...base, numExperts: 1e9 }), 'MMoE.numExperts: expected a number <= 4096, found 1000000000'],
  [() => new MMoE({ ...base, expertHiddenUnits: [4, 1e9] }), 'MMoE.expertHiddenUnits[1]: expected a number <= 16777216'],
  [() => new MMoE({ ...base, towerHiddenUnits: [1e15] }), 'MMoE.towerHiddenUnits[0]: expected a number <= 16777216'],
  [() => new PLE({ ...specific, numLevels: 1e9 }), 'PLE.numLevels: expected a number <= 1024'],
  [
    () => new CGC({ ...specific, numSharedExperts: 4096 }),
    "CGC.numSpecificExperts: expected 4096 experts at most, shared and all tasks' own, found 4097",
  ],
])('%s', (make, message) => {
  expect(make).toThrow(expect.objectContaining({ code: 'ERR_MULTIGATE_ARGUMENT', message: expect.stringContaining(message) }))
})

it('names the largest array of weights that do not fit', async () => {
  using table = new MMoE({ ...base, features: [sparse('u', { vocabulary: 2 ** 31, dim: 2 ** 20 })] })
  const build = table.build(train)
  await expect(build).rejects.toMatchObject({ code: 'ERR_MULTIGATE_OUT_OF_MEMORY' })
  await expect(build).rejects.toThrow(
    /^"embedding.u" \[2147483648, 1048576\] takes 8,388,608 GiB, all weights 8,388,608 GiB; this machine has [\d.,]+ GiB, [\d.,]+ [GM]iB of it available: lower/,
  )
  expect(table.built).toBe(false)
  using kernel = new MMoE({ ...base, expertHiddenUnits: [2 ** 22, 2 ** 22] })
  await expect(kernel.fit(train)).rejects.toThrow('"expert.kernel" [2, 4194304, 4194304] takes 131,072 GiB')
})

it('names the largest array of a layer that is too wide', async () => {
  using net = new MMoE({ ...base, numExperts: 1000, expertHiddenUnits: [100_000] })
  const build = net.build(train)
  await expect(build).rejects.toMatchObject({ code: 'ERR_MULTIGATE_ARGUMENT' })
  await expect(build).rejects.toThrow('100000000 numbers wide, expected 16777216 at most')
  await expect(build).rejects.toThrow('the largest tensor is expert.kernel [1000, 4, 100000]')
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
  await expect(fit).rejects.toMatchObject({ code: 'ERR_MULTIGATE_OUT_OF_MEMORY' })
  await expect(fit).rejects.toThrow(
    new RegExp(`^a run over ${rows} rows takes [\\d.,]+ GiB beside [\\d.]+ MiB of weights; this machine has .* lower batchSize`),
  )
  expect((await net.fit(train, { batchSize: 10 })).epochs).toHaveLength(1)
})

it('says what a data set takes before it is encoded, however large', () => {
  const refused = (width: number, columns: number, rows: number, text: string): void => {
    const specs = Array.from({ length: columns }, () => ({ type: 'i32' as const, width, limit: 1 }))
    expect(() => createColumns(loadNative(), specs, rows)).toThrow(
      expect.objectContaining({ code: 'ERR_MULTIGATE_OUT_OF_MEMORY', message: expect.stringContaining(text) }),
    )
  }
  refused(2 ** 24, 1, 30_000, '30000 encoded rows of 67108864 bytes take 1,875 GiB; this ')
  refused(2 ** 24, 60_000, 2 ** 31 - 1, 'of it available: lower maxLength or width, or take fewer rows at once')
})
