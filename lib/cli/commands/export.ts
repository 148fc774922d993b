// `multigate export`: writes a saved model in another format.

import { Command } from 'commander'

import { checkWritable } from '../../io/atomic.js'
import { loadModel } from '../../model/load.js'
import { exitCodes } from '../exit.js'
import { print } from '../terminal.js'

interface Flags {
  readonly onnx: string
  readonly encoded?: boolean
}

export function exportModel(done: (code: number) => void): Command {
  return new Command('export')
    .description('write a saved model as an ONNX file')
    .argument('<model>', 'a saved model, .safetensors')
    .requiredOption('--onnx <file>', 'where to write it')
    .option('--encoded', 'take ids and transformed numbers as inputs, and leave out the vocabularies')
    .action(async (path: string, { onnx, encoded = false }: Flags) => {
      await checkWritable(onnx)
      using model = await loadModel(path, { device: 'cpu' })
      const { data } = await model.saveOnnx(onnx, { encoded })
      print(`saved to ${onnx}${data === undefined ? '' : `, with the weights in ${data}`}`)
      done(exitCodes.ok)
    })
}
