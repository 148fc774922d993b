// The golden cases that are part of the repository cover what their README says, and are copies of those of the whole set.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

import { optimizerNames } from '../../lib/optimizers/optimizer.js'
import { committedGolden, type GoldenCase, goldenFolder, goldenIndex } from '../support/golden.js'

const cases = goldenIndex(undefined, committedGolden)
const configs = cases.map(({ config }) => (config ?? {}) as Readonly<Record<string, unknown>>)

function all(of: readonly unknown[]): unknown[] {
  return [...new Set(of.filter((value) => value !== undefined))].sort()
}

it('cover every kind, activation, fusion and optimizer', () => {
  const kinds = ['cgc', 'embedding', 'esmm_loss', 'loss', 'metrics', 'mmoe', 'multiclass_loss', 'ple', 'trajectory']
  expect(all(cases.map(({ kind }) => kind))).toEqual(kinds)
  expect(all(configs.map(({ activation }) => activation))).toEqual(['gelu', 'linear', 'relu', 'sigmoid', 'swish', 'tanh'])
  expect(all(configs.map(({ fusion }) => fusion))).toEqual(['concat+sum+product'])
  const named = cases.map(({ optimizer }) => (optimizer as { readonly name: string } | undefined)?.name)
  // The golden values are of whole models; row-wise Adagrad is for tables alone, and has values of its own in test/optimizers.
  expect(all(named)).toEqual(optimizerNames.filter((name) => name !== 'rowwiseAdagrad').sort())
})

it('are every file there is, in less than 300 KiB', () => {
  const files = readdirSync(committedGolden)
  expect(files.filter((file) => file.endsWith('.safetensors'))).toEqual(cases.map(({ file }) => file).sort())
  expect(files.reduce((sum, file) => sum + statSync(join(committedGolden, file)).size, 0)).toBeLessThan(300 * 1024)
})

it.skipIf(goldenFolder === committedGolden)('are copies', () => {
  const theirs = new Map(goldenIndex().map((entry) => [entry.id, entry]))
  const own = cases.filter(({ id }) => !theirs.has(id)).map(({ id }) => id)
  expect(own).toEqual(['mmoe_sigmoid', 'mmoe_linear'])
  for (const entry of cases) {
    if (own.includes(entry.id)) continue
    expect(entry).toEqual(theirs.get(entry.id) as GoldenCase)
    expect(readFileSync(join(committedGolden, entry.file)).equals(readFileSync(join(goldenFolder, entry.file)))).toBe(true)
  }
})
