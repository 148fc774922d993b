// Where imported weights came from, as a text table.

import { z } from 'zod'

import { parseOptions } from '../core/check.js'
import { list } from '../core/schemas.js'
import type { ImportedWeights } from '../import/import-weights.js'
import { table } from './text.js'

const text = z.string()

const schema = z.looseObject({
  from: text,
  weights: list(z.array(z.looseObject({ name: text, tensors: list(z.array(text)), changes: list(z.array(text)) }))),
  unused: list(z.array(text)),
})

/**
 * One line per layer and table, then the tensors that the model does not need.
 * @throws ERR_MULTIGATE_ARGUMENT naming what differs from the form of `model.importWeights`.
 */
export function importTable(imported: ImportedWeights): string {
  parseOptions('imported', schema, imported)
  const rows = imported.weights.map(({ name, tensors, changes }) => [name, tensors.join(', '), changes.join(', ')])
  const unused = imported.unused.map((name) => `unused: ${name}`)
  return [table(['weights', `from ${imported.from}`, 'changes'], rows), ...unused].join('\n')
}
