import { describe, expect, it } from 'vitest'

import { Layout } from '../../lib/core/layout.js'
import { ProgramBuilder } from '../../lib/core/program.js'
import { binaryLoss } from '../../lib/layers/binary-head.js'
import { Signal, Tape } from '../../lib/layers/tape.js'
import { loadNative } from '../../lib/native/loader.js'
import { relativeError } from '../support/golden.js'
import { type GoldenCase, goldenCases } from '../support/golden-cases.js'
import { places, type TestPlace } from '../support/places.js'

const reductions = { valid: 'mean_valid', batch: 'sum_over_batch_size', weighted: 'weighted_mean' } as const
const cases = goldenCases('loss').filter(({ entry }) => (entry.types as string[]).every((type) => type === 'binary'))

it.runIf(cases.length > 0)('covers every binary case', () => {
  expect(cases).toHaveLength(5)
})

/** The loss of each task and the gradient of the total by logits. */
function losses(
  place: TestPlace,
  golden: GoldenCase,
  lossReduction: keyof typeof reductions,
): { tasks: number[]; gradient: number[] } {
  const [rows = 0, tasks = 0] = golden.shape('in/logits')
  const column = (name: string, task: number): Float32Array => golden.f32(name).filter((_, index) => index % tasks === task)
  const program = new ProgramBuilder(new Layout(), { training: true })
  for (let task = 0; task < tasks; task += 1) {
    const logit = new Signal(program.rowInput(`logit:${task}`, 1), program.rowOutput(`${task}`, 1))
    const weight = golden.f32('in/task_weight')[task] ?? NaN
    binaryLoss(new Tape(program), logit, { name: `${task}`, weight, rowWeights: true, lossReduction })
  }
  const { spec, rowInputs, rowOutputs, scalarOutputs } = program.build()
  const inputs = rowInputs.map((name) => {
    const [kind, task] = name.split(':')
    return kind === 'weight' ? golden.f32('in/sample_weight') : column(kind === 'label' ? 'in/labels' : 'in/logits', Number(task))
  })
  const outputs = rowOutputs.map(() => (place.device === 'reference' ? new Float64Array(rows) : new Float32Array(rows)))
  const plan = loadNative().compile(place.device, spec, place.isa === undefined ? {} : { isa: place.isa })
  const scalars = plan.run({ rows, inputs, outputs, scalars: new Float64Array(spec.scalarInputs), threads: 2 })
  plan.dispose()
  return {
    tasks: rowOutputs.map((task) => scalars[scalarOutputs[`loss:${task}`] ?? -1] ?? NaN),
    gradient: Array.from({ length: rows * tasks }, (_, index) => outputs[index % tasks]?.[Math.floor(index / tasks)] ?? NaN),
  }
}

describe.each(cases.length > 0 ? places : [])('the binary loss on $name', (place) => {
  it.each(cases)('$id', (golden) => {
    for (const reduction of ['valid', 'batch', 'weighted'] as const) {
      const name = reductions[reduction]
      const { tasks, gradient } = losses(place, golden, reduction)
      expect(relativeError(tasks, golden.f64(`out/${name}.task_loss`)), `${name} loss`).toBeLessThan(place.tolerance())
      expect(relativeError(gradient, golden.f64(`g/${name}.logits`)), `${name} gradient`).toBeLessThan(place.tolerance())
    }
  })
})
