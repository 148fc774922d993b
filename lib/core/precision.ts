// Which precisions matrix products can have, and where.

import type { DeviceName, Precision } from '../native/binding.js'
import { checkFailed, checkOneOf } from './check.js'
import { isGpu } from './device.js'

export const precisions = ['float32', 'tf32', 'bfloat16'] as const satisfies readonly Precision[]

/**
 * @throws ERR_MULTIGATE_ARGUMENT for one that is unknown, ERR_MULTIGATE_UNSUPPORTED for one that this device has not.
 */
export function checkPrecision(precision: Precision, device: DeviceName): Precision {
  checkOneOf('precision', precision, precisions)
  if (precision !== 'tf32' || isGpu(device)) return precision
  throw checkFailed(
    'ERR_MULTIGATE_UNSUPPORTED',
    `precision: 'tf32' is of GPUs alone, and this is device '${device}'; expected 'float32' or 'bfloat16', or device: 'cuda'`,
  )
}
