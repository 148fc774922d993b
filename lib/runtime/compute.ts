// Where a model computes: which backend, which instruction set, how many threads. Chosen once, when a model is built;
// there is no switch later, and a device that was asked for by name is that device or an error.

import { z } from 'zod'

import { threadsWithin } from '../core/cgroups.js'
import { checkFailed, checkInteger, invalidArgument } from '../core/check.js'
import { checkDeviceName, chooseDevice } from '../core/device.js'
import { mostThreads } from '../core/limits.js'
import { checkPrecision } from '../core/precision.js'
import type { DataPlacement, DeviceInfo, DeviceName, Precision } from '../native/binding.js'
import type { PlanTarget } from '../native/compile.js'
import { loadNative } from '../native/loader.js'

export interface ComputeOptions {
  /** Where the model computes. `'auto'`: the GPU where it can be used, else the CPU. `'reference'`: the slow float64 specification. Default `'auto'`. */
  readonly device?: DeviceName | 'auto' | undefined
  /** Threads at most. Results do not depend on it. Default: every processor that this process may use, within the quota of its container. */
  readonly threads?: number | undefined
  /** One of the CPU's instruction sets, as `devices()` lists them. Default: the best of this machine. */
  readonly isa?: string | undefined
  /** The numbers that matrix products multiply. Weights, sums and all else are float32. `'tf32'` is for GPUs alone. Default `'float32'`. */
  readonly precision?: Precision | undefined
}

/** Their schema; what the values mean is `resolveCompute`'s. */
export const computeSchema = z.strictObject({
  device: z.string().optional(),
  threads: z.number().optional(),
  isa: z.string().optional(),
  precision: z.string().optional(),
})

export interface Compute extends PlanTarget {
  readonly threads: number
  /** Why `'auto'` did not take the GPU. */
  readonly reason: string | undefined
  readonly element: Float32ArrayConstructor | Float64ArrayConstructor
}

/**
 * Finds the device.
 * @throws ERR_MULTIGATE_DEVICE with the reason where the one asked for cannot be used, ERR_MULTIGATE_UNSUPPORTED where it has not
 *   this precision.
 */
export function resolveCompute({ device = 'auto', threads, isa, precision = 'float32' }: ComputeOptions): Compute {
  if (threads !== undefined) checkInteger('threads', threads, { min: 1, max: mostThreads })
  checkDeviceName(device)
  const native = loadNative()
  const chosen = chooseDevice(native, device === 'auto' ? device : usable(native.devices(), device), isa)
  return {
    native,
    ...chosen,
    isa,
    precision: checkPrecision(precision, chosen.device),
    threads: threads ?? threadsWithin(native.processors()),
    element: chosen.device === 'reference' ? Float64Array : Float32Array,
  }
}

/** @throws ERR_MULTIGATE_ARGUMENT where the data set cannot be in the device's own memory: it has none. */
export function checkDataPlacement(data: DataPlacement, device: DeviceName): void {
  if (data !== 'device' || device.startsWith('cuda')) return
  throw invalidArgument(
    'fit.dataPlacement',
    "'auto' or 'host'",
    data,
    `device '${device}' reads rows where they are; only a GPU has memory of its own`,
  )
}

function usable(devices: readonly DeviceInfo[], name: DeviceName): DeviceName {
  const info = devices.find((device) => device.name === name)
  if (info?.available === true) return name
  const names = devices.filter(({ available }) => available).map((device) => `'${device.name}'`)
  throw checkFailed(
    'ERR_MULTIGATE_DEVICE',
    `device: '${name}' cannot be used${info ? ` (${info.reason})` : ''}; usable here: 'auto', ${names.join(', ')}`,
  )
}
