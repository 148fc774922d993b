// Weights of models that DeepCTR, DeepCTR-Torch, torch-rechub and the Keras recipe have made, with the predictions of those libraries.
// fixtures/generate.py writes the files.

import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import {
  binary,
  Dataset,
  dense,
  ESMM,
  type ImportOptions,
  importTable,
  MMoE,
  type Model,
  PLE,
  regression,
  SharedBottom,
  sequence,
  sparse,
} from '../../lib/index.js'

const fixtures = join(import.meta.dirname, 'fixtures')
const expected = JSON.parse(readFileSync(join(fixtures, 'expected.json'), 'utf8'))
const labels = expected.rows.userid.map((_: number, row: number) => row % 2)
const data = Dataset.fromColumns({ ...expected.rows, read: labels, like: labels })

const features = [
  sparse('userid', { vocabulary: 11, dim: 4 }),
  sparse('feedid', { vocabulary: 7, dim: 4 }),
  sequence('tags', { vocabulary: 6, dim: 4, maxLength: 3, combiner: 'mean' }),
  dense('seconds', { transform: 'none' }),
]
const tasks = [binary('read'), binary('like')]
const towers = { towerHiddenUnits: [6] }
const gated = { expertHiddenUnits: [8, 5], gateHiddenUnits: [3] }
const common = { features, tasks, seed: 1, ...towers }
const mixedTasks = { ...common, tasks: [binary('read'), regression('like')] }

const deepctr = {
  mmoe: () => new MMoE({ ...mixedTasks, numExperts: 3, ...gated }),
  mmoe_bn: () => new MMoE({ ...common, numExperts: 2, expertHiddenUnits: [5] }),
  ple: () => new PLE({ ...common, numLevels: 2, numSharedExperts: 2, numSpecificExperts: 2, ...gated }),
  sharedbottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [8, 5] }),
  esmm: () => new ESMM({ ...common, towerHiddenUnits: [6, 4] }),
}
const rechub = {
  mmoe: () => new MMoE({ ...common, numExperts: 3, expertHiddenUnits: [8, 5], gateBias: true }),
  ple: () => new PLE({ ...common, numSharedExperts: 1, numSpecificExperts: 2, expertHiddenUnits: [8, 5], gateBias: true }),
  sharedbottom: () => new SharedBottom({ ...common, bottomHiddenUnits: [8, 5] }),
  esmm: () => new ESMM({ ...common, features: features.slice(0, 2) }),
}
const recipe = { ...common, bottomHiddenUnits: [9, 8], gateBias: true }

const models: Record<string, () => Model> = {
  ...Object.fromEntries(
    Object.entries(deepctr).flatMap(([name, make]) => [
      [`deepctr_${name}`, make],
      [`deepctr_torch_${name}`, make],
    ]),
  ),
  deepctr_mmoe_h5: deepctr.mmoe,
  ...Object.fromEntries(Object.entries(rechub).map(([name, make]) => [`torch_rechub_${name}`, make])),
  keras_mmoe: () => new MMoE({ ...recipe, numExperts: 3, expertHiddenUnits: [7, 5] }),
  keras_mmoe_weights: () => new MMoE({ ...recipe, numExperts: 3, expertHiddenUnits: [7, 5] }),
  keras_ple: () => new PLE({ ...recipe, numSharedExperts: 1, numSpecificExperts: 2, expertHiddenUnits: [5] }),
}

const namesOf: Record<string, ImportOptions> = {
  // Columns of a gate are put in order also if the caller says where the gate is.
  deepctr_torch_ple: { names: { 'level.0.gate.read.1': 'specific_gate_dnn_final_layer.0.0' } },
  // This file does not say how layers are connected.
  keras_mmoe_weights: {
    names: {
      'embedding.userid': 'embedding',
      'embedding.feedid': 'embedding_1',
      'embedding.tags': 'embedding_2',
      'bottom.0': 'dense',
      'bottom.1': 'dense_1',
      'tower.read.0': 'dense_2',
      'tower.like.0': 'dense_3',
    },
  },
}

describe('imported weights predict what the other library predicts', () => {
  test.each(Object.entries(models))('%s', async (name, make) => {
    const { file, outputs } = expected[name]
    using model = make()
    await model.build(data)
    const path = join(await mkdtemp(join(tmpdir(), 'multigate-import-test-')), file)
    writeFileSync(path, gunzipSync(readFileSync(join(fixtures, `${file}.gz`))))
    const imported = await model.importWeights(path, namesOf[name])
    expect(importTable(imported).split('\n')).toHaveLength(imported.weights.length + 1)
    const scores = await model.predict(data)
    for (const [task, values] of Object.entries<number[]>(outputs)) {
      values.forEach((value, row) => expect(scores[task as never]?.[row]).toBeCloseTo(value, 5))
    }
  })
})
