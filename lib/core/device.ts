// Which device 'auto' means. An instruction set belongs to the CPU: a caller who names one does not want a GPU.

import { readdirSync } from 'node:fs'

import type { DeviceName, NativeBinding } from '../native/binding.js'
import { checkOneOf, invalidArgument, wrongArgument } from './check.js'
import { MultigateError } from './errors.js'

export interface ChosenDevice {
  readonly device: DeviceName
  /** Why `'auto'` did not take the GPU. */
  readonly reason: string | undefined
}

/**
 * The device to compute on: the one that was named. `'auto'` takes the GPU if it can be used, else the CPU.
 * @throws ERR_MULTIGATE_ARGUMENT for an instruction set that this machine lacks, and for one together with a GPU.
 */
export function chooseDevice(native: NativeBinding, device: DeviceName | 'auto', isa: string | undefined): ChosenDevice {
  checkDeviceName(device)
  if (isa !== undefined) checkOneOf('isa', isa, native.isas())
  if (device !== 'auto') {
    if (isa === undefined || !isGpu(device)) return { device, reason: undefined }
    const problem = `expected none on device '${device}', found '${isa}', an instruction set of the CPU; leave isa out, or use device: 'cpu'`
    throw wrongArgument('isa', problem)
  }
  if (isa !== undefined) return { device: 'cpu', reason: `isa '${isa}' is the CPU's` }
  const gpu = native.devices().find(({ name }) => name === 'cuda')
  const reason = gpu?.available === true ? whyUnusable(native, 'cuda') : gpu?.reason
  return { device: gpu?.available === true && reason === undefined ? 'cuda' : 'cpu', reason }
}

const used = new WeakMap<NativeBinding, Set<DeviceName>>()

/**
 * Why a GPU that is there cannot be used, such as a process that has it to itself. Only using it tells, and takes memory of it: so call this for
 * a GPU that is about to be used.
 */
export function whyUnusable(native: NativeBinding, device: DeviceName): string | undefined {
  const known = used.get(native) ?? new Set()
  if (known.has(device)) return undefined
  try {
    native.createMemory(device, 1).dispose()
  } catch (error) {
    if (!(error instanceof MultigateError)) throw error
    return error.message
  }
  used.set(native, known.add(device))
  return undefined
}

/** @throws ERR_MULTIGATE_ARGUMENT unless `device` is a string. */
export function checkDeviceName(device: unknown): void {
  if (typeof device !== 'string') throw invalidArgument('device', "the name of a device, such as 'auto', 'cpu' or 'cuda'", device)
}

/** Whether this machine has an NVIDIA GPU, usable or not. Linux lists each GPU by its number. */
export function seesGpu(folder = '/dev'): boolean {
  try {
    return readdirSync(folder).some((name) => /^nvidia\d+$/.test(name))
  } catch {
    return false
  }
}

export function isGpu(device: DeviceName): boolean {
  return device.startsWith('cuda')
}
