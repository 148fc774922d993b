// `multigate doctor`: what this machine offers, and whether the native part loads. Exit code 1 where it does not.

import { Command } from 'commander'

import { MultigateError } from '../../core/errors.js'
import { loadNative } from '../../native/loader.js'
import { exitCodes } from '../exit.js'

export function doctor(done: (code: number) => void): Command {
  return new Command('doctor')
    .description('show what this machine offers: native addon, instruction sets, devices')
    .option('--json', 'print one JSON object')
    .action(({ json = false }: { json?: boolean }) => {
      const found = examine()
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${lines(found).join('\n')}\n`)
      done(found.native.loaded ? exitCodes.ok : exitCodes.failed)
    })
}

interface Findings {
  readonly node: string
  readonly platform: string
  readonly native: { readonly loaded: true; readonly abiVersion: number } | { readonly loaded: false; readonly reason: string }
  readonly processors: number | undefined
  readonly isas: readonly string[]
  readonly devices: readonly { readonly name: string; readonly available: boolean; readonly reason: string }[]
}

function examine(): Findings {
  const here = { node: process.version, platform: `${process.platform}-${process.arch}` }
  try {
    const native = loadNative()
    return {
      ...here,
      native: { loaded: true, abiVersion: native.abiVersion },
      processors: native.processors(),
      isas: native.isas(),
      devices: native.devices(),
    }
  } catch (error) {
    if (!(error instanceof MultigateError)) throw error
    return { ...here, native: { loaded: false, reason: error.message }, processors: undefined, isas: [], devices: [] }
  }
}

function lines({ node, platform, native, processors, isas, devices }: Findings): string[] {
  const first = [`node          ${node}`, `platform      ${platform}`]
  if (!native.loaded) return [...first, 'native addon  NOT LOADED', '', native.reason]
  return [
    ...first,
    `native addon  loaded, ABI ${native.abiVersion}`,
    `processors    ${processors}`,
    `CPU ISAs      ${isas.join(', ')} (best first)`,
    ...devices.map(
      ({ name, available, reason }) => `device        ${name}: ${available ? 'available' : `not available (${reason})`}`,
    ),
  ]
}
