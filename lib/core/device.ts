// Which device 'auto' stands for. An instruction set is the processor's: whoever names one does not mean a GPU.

import type { DeviceName, NativeBinding } from '../native/binding.js'
import { checkFailed } from './check.js'

export interface ChosenDevice {
  readonly device: DeviceName
  /** Why `'auto'` did not take the GPU. */
  readonly reason: string | undefined
}

/**
 * The device to compute on: the one that was named, or for `'auto'` the GPU where it can be used, else the CPU.
 * @throws ERR_MULTIGATE_ARGUMENT for an instruction set with a GPU.
 */
export function chooseDevice(native: NativeBinding, device: DeviceName | 'auto', isa: string | undefined): ChosenDevice {
  if (device !== 'auto') {
    if (isa === undefined || !isGpu(device)) return { device, reason: undefined }
    throw checkFailed(
      'ERR_MULTIGATE_ARGUMENT',
      `isa: '${isa}' is an instruction set of the CPU, and this is device '${device}'; expected none, or device: 'cpu'`,
    )
  }
  const gpu = native.devices().find(({ name }) => name === 'cuda')
  if (isa === undefined && gpu?.available === true) return { device: 'cuda', reason: undefined }
  return { device: 'cpu', reason: isa === undefined ? gpu?.reason : `isa '${isa}' is the CPU's` }
}

export function isGpu(device: DeviceName): boolean {
  return device.startsWith('cuda')
}
