// Checks of options against tasks: what neither shows alone.

import { invalidArgument, wrongArgument } from '../core/check.js'
import { mostExperts } from '../core/limits.js'
import { sharedGate } from '../layers/mixture.js'

interface SpecificExperts {
  readonly numSharedExperts: number
  readonly numSpecificExperts: number | readonly number[]
}

/**
 * One count per task, an expert for every task's gate to see, and no task with the name of what all share.
 * @throws ERR_MULTIGATE_ARGUMENT naming the option.
 */
export function checkSpecificExperts(
  model: string,
  tasks: readonly { readonly name: string }[],
  { numSharedExperts, numSpecificExperts }: SpecificExperts,
): void {
  const shared = tasks.findIndex(({ name }) => name === sharedGate)
  if (shared >= 0) {
    const name = `${model}.tasks[${shared}].name`
    throw invalidArgument(name, 'another name than that of the shared gate and experts', sharedGate)
  }
  const field = `${model}.numSpecificExperts`
  const counts = typeof numSpecificExperts === 'number' ? tasks.map(() => numSpecificExperts) : numSpecificExperts
  if (counts.length !== tasks.length) {
    throw wrongArgument(field, `expected one number per task (${tasks.length}), found ${counts.length}`)
  }
  const experts = counts.reduce((sum, count) => sum + count, numSharedExperts)
  if (experts > mostExperts) throw invalidArgument(field, `${mostExperts} experts at most, shared and all tasks' own`, experts)
  const none = counts.indexOf(0)
  if (numSharedExperts > 0 || none < 0) return
  const task = tasks[none]?.name ?? ''
  throw wrongArgument(field, `task '${task}' has no expert to see: expected 1 or more, or numSharedExperts > 0`)
}
