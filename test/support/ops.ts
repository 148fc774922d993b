import type { Op, OpName } from '../../lib/core/op-fields.js'

/** The ops of one name, with their fields. */
export function opsNamed<Name extends OpName>(ops: readonly Op[], name: Name): Extract<Op, { op: Name }>[] {
  return ops.filter((op): op is Extract<Op, { op: Name }> => op.op === name)
}

/** The first op of a name. */
export function opNamed<Name extends OpName>(ops: readonly Op[], name: Name): Extract<Op, { op: Name }> {
  const [found] = opsNamed(ops, name)
  if (found === undefined) throw new Error(`no ${name}`)
  return found
}
