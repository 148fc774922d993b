// Where a model computes: backend, instruction set, threads. A model chooses once, when it is made. A device asked for by name is
// that device or an error.

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
  /** Where the model computes. `'auto'`: the GPU if usable, else the CPU. `'reference'`: slow float64. Default `'auto'`. */
  readonly device?: DeviceName | 'auto' | undefined
  /** Most threads to use. Results do not depend on it. Default: every processor that this process may use, within its container's quota. */
  readonly threads?: number | undefined
  /** A CPU instruction set from `devices()`. Default: the best of this machine. */
  readonly isa?: string | undefined
  /** Number format of the factors of matrix products; all else is float32. `'tf32'` needs a GPU. Default `'float32'`. */
  readonly precision?: Precision | undefined
}

/** The schema of these options. `resolveCompute` checks their values against the machine. */
export const computeSchema = z.strictObject({
  device: z.string().optional(),
  threads: z.number().optional(),
  isa: z.string().optional(),
  precision: z.string().optional(),
})

export interface Compute extends PlanTarget {
  readonly threads: number
  /** Why `'auto'` did not take the GPU. Undefined if there is none, or it was taken. */
  readonly reason: string | undefined
  readonly element: Float32ArrayConstructor | Float64ArrayConstructor
}

/**
 * Finds the device.
 * @throws ERR_MULTIGATE_DEVICE with the reason if the requested device cannot be used; ERR_MULTIGATE_UNSUPPORTED if it lacks this
 *   precision.
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

/** @throws ERR_MULTIGATE_ARGUMENT if the device has no memory of its own to keep the rows in. */
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
    `device: expected one of 'auto', ${names.join(', ')}, found '${name}'${info ? `, which cannot be used: ${info.reason}` : ''}`,
  )
}
