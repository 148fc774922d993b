// `multigate delta` writes what has changed between two model files; `multigate apply` makes the newer file from the older one and that.

import { stat } from 'node:fs/promises'
import { Command } from 'commander'

import { bytesText } from '../../core/memory.js'
import { checkWritable } from '../../io/atomic.js'
import { loadModel } from '../../model/load.js'
import { exitCodes } from '../exit.js'
import { print } from '../terminal.js'

export function delta(done: (code: number) => void): Command {
  return new Command('delta')
    .description('write what has changed from one saved model to another')
    .argument('<base>', 'the model that servers have')
    .argument('<new>', 'the model that they shall have')
    .argument('<out>', 'where to write the delta')
    .action(async (base: string, next: string, out: string) => {
      await checkWritable(out)
      using model = await loadModel(next, { device: 'cpu' })
      await model.saveDelta(out, { since: base })
      const [bytes, all] = await Promise.all([out, next].map(async (path) => (await stat(path)).size))
      print(`saved to ${out}, ${bytesText(bytes ?? 0)} in place of ${bytesText(all ?? 0)}`)
      done(exitCodes.ok)
    })
}

export function apply(done: (code: number) => void): Command {
  return new Command('apply')
    .description('apply deltas to a saved model')
    .argument('<base>', 'a saved model')
    .argument('<deltas...>', 'files that `multigate delta` or saveDelta wrote, in their order')
    .requiredOption('--save <file>', 'where to write the new model')
    .action(async (base: string, deltas: string[], { save }: { save: string }) => {
      await checkWritable(save)
      using model = await loadModel(base, { device: 'cpu' })
      for (const path of deltas) await model.applyDelta(path)
      await model.save(save)
      print(`saved to ${save}`)
      done(exitCodes.ok)
    })
}
