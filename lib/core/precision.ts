// Which precisions matrix products can have, and on which devices.

import type { DeviceName, Precision } from '../native/binding.js'
import { checkFailed, checkOneOf } from './check.js'
import { isGpu } from './device.js'

export const precisions = ['float32', 'tf32', 'bfloat16'] as const satisfies readonly Precision[]

/**
 * @throws ERR_MULTIGATE_ARGUMENT if the precision is unknown, ERR_MULTIGATE_UNSUPPORTED if this device lacks it.
 */
export function checkPrecision(precision: Precision, device: DeviceName): Precision {
  checkOneOf('precision', precision, precisions)
  if (precision !== 'tf32' || isGpu(device)) return precision
  throw checkFailed(
    'ERR_MULTIGATE_UNSUPPORTED',
    `precision: expected 'float32' or 'bfloat16' on device '${device}', found 'tf32'; only GPUs have it: use device: 'cuda'`,
  )
}
