// Checks of options against tasks, which neither can make alone.

import { invalidArgument, wrongArgument } from '../core/check.js'
import { mostExperts } from '../core/limits.js'
import { sharedGate } from '../layers/mixture.js'

interface SpecificExperts {
  readonly numSharedExperts: number
  readonly numSpecificExperts: number | readonly number[]
}

/**
 * Requires one count per task, an expert for every task's gate, and no task with the name of the shared gate.
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
    throw invalidArgument(name, 'a name that differs from the shared gate and experts', sharedGate)
  }
  const field = `${model}.numSpecificExperts`
  const counts = typeof numSpecificExperts === 'number' ? tasks.map(() => numSpecificExperts) : numSpecificExperts
  if (counts.length !== tasks.length) {
    throw wrongArgument(field, `expected one number per task (${tasks.length}), found ${counts.length}`)
  }
  const experts = counts.reduce((sum, count) => sum + count, numSharedExperts)
  if (experts > mostExperts) throw invalidArgument(field, `at most ${mostExperts} experts, the shared ones included`, experts)
  const none = counts.indexOf(0)
  if (numSharedExperts > 0 || none < 0) return
  const task = tasks[none]?.name ?? ''
  throw wrongArgument(
    field,
    `expected an expert for the gate of task '${task}', found 0; give it 1 or more, or set numSharedExperts`,
  )
}
