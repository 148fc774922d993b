// `multigate doctor`: shows what this machine offers, and whether the native part loads. Exit code 1 if it does not.

import { availableParallelism, cpus, totalmem } from 'node:os'

import { Command } from 'commander'

import { groupLimits, threadsWithin } from '../../core/cgroups.js'
import { isGpu, whyUnusable } from '../../core/device.js'
import { MultigateError } from '../../core/errors.js'
import { availableBytes, bytesText } from '../../core/memory.js'
import { loadDuckDB } from '../../data/duckdb.js'
import type { DeviceInfo, NativeBinding } from '../../native/binding.js'
import { loadNative } from '../../native/loader.js'
import { exitCodes } from '../exit.js'
import { print } from '../terminal.js'

export function doctor(done: (code: number) => void): Command {
  return new Command('doctor')
    .description('show what this machine offers: native addon, processors, memory, instruction sets, devices, DuckDB')
    .option('--json', 'print one JSON object')
    .action(async ({ json = false }: { json?: boolean }) => {
      const found = { ...examine(), duckdb: await examineDuckDB() }
      print(json ? JSON.stringify(found) : lines(found).join('\n'))
      done(found.native.loaded ? exitCodes.ok : exitCodes.failed)
    })
}

interface Findings {
  readonly node: string
  readonly platform: string
  readonly native: { readonly loaded: true; readonly abiVersion: number } | { readonly loaded: false; readonly reason: string }
  readonly processors: Processors
  readonly memory: Memory
  readonly isas: readonly string[]
  readonly devices: readonly DeviceInfo[]
  /** DuckDB reads files and runs queries; a model works without it. */
  readonly duckdb: { readonly loaded: true; readonly version: string } | { readonly loaded: false; readonly reason: string }
}

interface Processors {
  readonly ofMachine: number
  /** Processors that this process may run on. */
  readonly usable: number
  /** The container's limit, in processors' worth of time; null without a limit. */
  readonly quota: number | null
  /** Default number of threads of a model. */
  readonly threads: number
}

/** Memory in bytes. */
interface Memory {
  readonly ofMachine: number
  /** The container's limit; null without a limit. */
  readonly limit: number | null
  readonly available: number
}

function examine(): Omit<Findings, 'duckdb'> {
  const here = {
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    memory: { ofMachine: totalmem(), limit: finite(groupLimits().memory), available: availableBytes() },
  }
  try {
    const native = loadNative()
    return {
      ...here,
      native: { loaded: true, abiVersion: native.abiVersion },
      processors: processorsOf(native.processors()),
      isas: native.isas(),
      devices: examineDevices(native),
    }
  } catch (error) {
    if (!(error instanceof MultigateError)) throw error
    return {
      ...here,
      native: { loaded: false, reason: error.message },
      processors: processorsOf(availableParallelism()),
      isas: [],
      devices: [],
    }
  }
}

/** A GPU tells how much of its memory is free, and whether it works, only in use. */
function examineDevices(native: NativeBinding): DeviceInfo[] {
  const gpus = native.devices().filter(({ name, available }) => isGpu(name) && available)
  const reasons = new Map(gpus.map(({ name }) => [name, whyUnusable(native, name)]))
  return native.devices().map((device) => {
    const reason = reasons.get(device.name)
    return reason === undefined ? device : { ...device, available: false, reason }
  })
}

async function examineDuckDB(): Promise<Findings['duckdb']> {
  try {
    return { loaded: true, version: (await loadDuckDB('reading files')).version() }
  } catch (error) {
    if (!(error instanceof MultigateError)) throw error
    return { loaded: false, reason: error.message }
  }
}

function processorsOf(usable: number): Processors {
  const quota = finite(groupLimits().processors)
  return { ofMachine: cpus().length, usable, quota, threads: threadsWithin(usable) }
}

function finite(limit: number): number | null {
  return limit === Infinity ? null : limit
}

function lines({ node, platform, native, processors, memory, isas, devices, duckdb }: Findings): string[] {
  const first = [
    `node          ${node}`,
    `platform      ${platform}`,
    `processors    ${processorsText(processors)}`,
    `memory        ${memoryText(memory)}`,
    `DuckDB        ${duckdb.loaded ? duckdb.version : `not loaded: ${duckdb.reason}`}`,
  ]
  if (!native.loaded) return [...first, 'native addon  NOT LOADED', '', native.reason]
  return [
    ...first,
    `native addon  loaded, ABI ${native.abiVersion}`,
    `CPU ISAs      ${isas.join(', ')} (best first)`,
    ...devices.map((device) => `device        ${device.name}: ${stateOf(device)}`),
  ]
}

function processorsText({ ofMachine, usable, quota, threads }: Processors): string {
  const share = quota === null ? 'no quota' : `a quota of ${quota}`
  return `${ofMachine}, of which this process may use ${usable}, ${share}: ${threads} ${threads === 1 ? 'thread' : 'threads'}`
}

function memoryText({ ofMachine, limit, available }: Memory): string {
  const container = limit === null ? '' : `, of which this container may use ${bytesText(limit)}`
  return `${bytesText(ofMachine)}${container}; ${bytesText(available)} available`
}

function stateOf({ available, reason, processor, capability, memoryBytes = 0, freeBytes = 0 }: DeviceInfo): string {
  if (!available) return `not available (${reason})`
  if (processor === undefined) return 'available'
  return `available, ${processor}, compute capability ${capability}, ${gibibytes(freeBytes)} of ${gibibytes(memoryBytes)} GiB free`
}

function gibibytes(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1)
}
