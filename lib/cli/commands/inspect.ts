// `multigate inspect`: shows a saved model's options, features, tasks and weights.

import { Command } from 'commander'
import { count } from '../../core/format.js'
import { bytesText } from '../../core/memory.js'
import type { GateDescription, ModelDescription } from '../../model/describe.js'
import { loadModel } from '../../model/load.js'
import { table } from '../../report/text.js'
import { exitCodes } from '../exit.js'
import { print } from '../terminal.js'

export function inspect(done: (code: number) => void): Command {
  return new Command('inspect')
    .description('show the options, features, tasks and weights of a saved model')
    .argument('<model>', 'a saved model, .safetensors')
    .option('--json', 'print one JSON object')
    .action(async (path: string, { json = false }: { json?: boolean }) => {
      using model = await loadModel(path, { device: 'cpu' })
      const found = model.describe()
      print(json ? JSON.stringify(found) : text(found))
      done(exitCodes.ok)
    })
}

/** Whether some gate of a level reads features of its own. */
function readsOwn(gates: readonly GateDescription[]): boolean {
  return gates.some(({ features }) => features !== undefined)
}

function text({ model, options, features, tasks, levels, weights, parameters, bytes }: ModelDescription): string {
  return [
    `${model} ${JSON.stringify(options)}`,
    '',
    table(
      ['feature', 'kind', 'table rows', 'width'],
      features.map(({ name, kind, rows, width }) => [name, kind, rows === undefined ? '-' : count(rows), count(width)]),
    ),
    '',
    table(
      ['task', 'kind', 'weight'],
      tasks.map(({ name, kind, weight }) => [name, kind, String(weight)]),
    ),
    '',
    table(
      ['weights', 'shape', 'numbers'],
      weights.map(({ name, shape }) => [name, shape.join(' x '), count(shape.reduce((product, size) => product * size, 1))]),
    ),
    '',
    ...levels.flatMap((gates, level) => [
      table(
        [levels.length > 1 ? `gate of level ${level + 1}` : 'gate', 'experts', ...(readsOwn(gates) ? ['reads'] : [])],
        gates.map(({ name, experts, features: own }) => [
          name,
          experts.join(' '),
          ...(readsOwn(gates) ? [own?.join(', ') ?? 'as the experts'] : []),
        ]),
      ),
      '',
    ]),
    `${count(parameters)} parameters, ${bytesText(bytes)}`,
  ].join('\n')
}
