// The workloads that GPU machines time are what is lowered today.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { deviceWorkloads } from '../../lib/bench/programs.js'

test('bench/gpu/programs.json is what lowering gives; `node bench/gpu/programs.mjs` writes it anew', async () => {
  const written: unknown = JSON.parse(readFileSync(resolve(import.meta.dirname, '../../bench/gpu/programs.json'), 'utf8'))
  expect(written).toEqual(JSON.parse(JSON.stringify(await deviceWorkloads())))
})
