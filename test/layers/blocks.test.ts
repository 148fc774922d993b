// Every block of a model's bottom: a file of a model with it loads again.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, it } from 'vitest'

import { sparse } from '../../lib/features/spec/sparse.js'
import { blockNames } from '../../lib/layers/blocks/registry.js'
import { SharedBottom } from '../../lib/model/classes.js'
import { loadModel } from '../../lib/model/load.js'
import { binary } from '../../lib/tasks/binary.js'
import { data } from '../support/small-data.js'

it.each(blockNames)('saves and loads a model with many layers of %s', async (bottom) => {
  const rows = data({ rows: 50 })
  const tasks = [binary('click')]
  using model = new SharedBottom({ features: [sparse('user', { dim: 2 })], tasks, bottom, bottomHiddenUnits: Array(30).fill(2) })
  await model.build(rows)
  const path = join(mkdtempSync(join(tmpdir(), 'multigate-')), 'model.safetensors')
  await model.save(path)
  using loaded = await loadModel(path)
  expect(await loaded.predict(rows)).toEqual(await model.predict(rows))
})
