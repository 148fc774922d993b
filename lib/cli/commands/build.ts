// `multigate build`: compiles the native addon, as `npm install` does. Package managers that skip install scripts do not build it.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'

import { exitCodes } from '../exit.js'

const script = fileURLToPath(new URL('../../../scripts/install.mjs', import.meta.url))

export function build(done: (code: number) => void): Command {
  return new Command('build')
    .description('compile the native addon')
    .option('--cuda', 'compile the CUDA plug-in too, with nvcc; takes several minutes')
    .option('--clean', 'rebuild everything, not only what has changed')
    .action(async (options: { cuda?: true; clean?: true }) => {
      const given = (['cuda', 'clean'] as const).filter((name) => options[name]).map((name) => `--${name}`)
      done((await runNode([script, ...given])) ? exitCodes.ok : exitCodes.failed)
    })
}

function runNode(args: readonly string[]): Promise<boolean> {
  return new Promise((resolve, reject) => {
    spawn(process.execPath, args, { stdio: 'inherit' })
      .on('error', reject)
      .on('close', (code) => {
        resolve(code === 0)
      })
  })
}
