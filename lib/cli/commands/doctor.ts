// `multigate doctor`: what this machine offers, and whether the native part loads. Exit code 1 where it does not.

import { Command } from 'commander'

import { MultigateError } from '../../core/errors.js'
import type { DeviceInfo } from '../../native/binding.js'
import { loadNative } from '../../native/loader.js'
import { exitCodes } from '../exit.js'
import { print } from '../terminal.js'

export function doctor(done: (code: number) => void): Command {
  return new Command('doctor')
    .description('show what this machine offers: native addon, instruction sets, devices')
    .option('--json', 'print one JSON object')
    .action(({ json = false }: { json?: boolean }) => {
      const found = examine()
      print(json ? JSON.stringify(found) : lines(found).join('\n'))
      done(found.native.loaded ? exitCodes.ok : exitCodes.failed)
    })
}

interface Findings {
  readonly node: string
  readonly platform: string
  readonly native: { readonly loaded: true; readonly abiVersion: number } | { readonly loaded: false; readonly reason: string }
  readonly processors: number | undefined
  readonly isas: readonly string[]
  readonly devices: readonly DeviceInfo[]
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
    ...devices.map((device) => `device        ${device.name}: ${stateOf(device)}`),
  ]
}

function stateOf({ available, reason, processor, capability, memoryBytes = 0, freeBytes = 0 }: DeviceInfo): string {
  if (!available) return `not available (${reason})`
  if (processor === undefined) return 'available'
  return `available, ${processor}, compute capability ${capability}, ${gibibytes(freeBytes)} of ${gibibytes(memoryBytes)} GiB free`
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}
