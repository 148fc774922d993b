// Compiles a program into a plan for a device, an instruction set and a precision.

import type { DeviceName, NativeBinding, NativePlan, Precision, ProgramSpec } from './binding.js'

export interface PlanTarget {
  readonly native: NativeBinding
  readonly device: DeviceName
  /** Default: the best of this machine. */
  readonly isa: string | undefined
  readonly precision: Precision
}

/** Compiles a program. Warns once per process if this processor only emulates the precision: results are right, but not faster. */
export function compilePlan({ native, device, isa, precision }: PlanTarget, program: ProgramSpec): NativePlan {
  const plan = native.compile(device, program, { ...(isa !== undefined && { isa }), precision })
  if (precision !== 'float32' && device !== 'reference') warnOfEmulation(plan, precision)
  return plan
}

let warned = false

function warnOfEmulation(plan: NativePlan, precision: Precision): void {
  const { emulated, isa } = plan.info(1)
  if (!emulated || warned) return
  warned = true
  process.emitWarning(
    `${precision} is emulated here: ${isa} has no matrix instructions for it, so operands are rounded and products are no faster than float32`,
    { code: 'MULTIGATE_EMULATED_PRECISION' },
  )
}
