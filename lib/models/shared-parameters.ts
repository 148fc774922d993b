// Which dense parameters the losses of several tasks depend on, found in the backward ops of each task: those whose gradient some rows may
// make other than 0.

import type { Op, OpFields, OptionalView, View } from '../core/op-fields.js'

/**
 * Ranges of the flat store that the backward passes of at least two tasks have a gradient for, in the order of the store.
 * @param trains whether the tensor that begins at or before this element is trained.
 */
export function sharedParameters(passes: readonly (readonly Op[])[], trains: (offset: number) => boolean): View[] {
  const uses = new Map<number, { view: View; tasks: number }>()
  for (const ops of passes) {
    const own = new Map(ops.flatMap(parametersOf).map((view) => [view.offset, view]))
    for (const [offset, view] of own) uses.set(offset, { view, tasks: (uses.get(offset)?.tasks ?? 0) + 1 })
  }
  const shared = [...uses.values()].filter(({ view, tasks }) => tasks > 1 && trains(view.offset)).map(({ view }) => view)
  return merged(shared.sort((one, other) => one.offset - other.offset))
}

/** The parameters that a backward op has a gradient for: of a mixture, the gates whose outputs have one, and the experts that they see. */
function parametersOf(op: Op): View[] {
  if (op.op === 'dense_backward') return present([op.kernel, op.bias])
  return op.op === 'mixture_backward' ? parametersOfMixture(op) : []
}

function parametersOfMixture(op: OpFields['mixture_backward']): View[] {
  const { doutputs, gateOffset, gateExpert, gateKernel, gateBias, expertStream, expertKernel, expertBias, streams, units } = op
  const gates = gateKernel.flatMap((_, gate) => (doutputs[gate] == null ? [] : [gate]))
  const experts = new Set(gates.flatMap((gate) => gateExpert.slice(gateOffset[gate], gateOffset[gate + 1])))
  const ofExperts = [...experts].flatMap((expert) => {
    const stream = expertStream[expert] as number
    const kernel = expertKernel[stream]
    const before = expertStream.slice(0, expert).filter((other) => other === stream).length
    return present([kernel && slice(kernel, before, (streams[stream] as View).width * units), slice(expertBias, expert, units)])
  })
  return [...present(gates.flatMap((gate) => [gateKernel[gate], gateBias[gate]])), ...ofExperts]
}

function slice(view: View, number: number, width: number): View {
  return { buffer: view.buffer, offset: view.offset + number * width, width }
}

function present(views: readonly (OptionalView | undefined)[]): View[] {
  return views.filter((view) => view != null)
}

/** Ranges that touch become one. */
function merged(views: readonly View[]): View[] {
  const result: View[] = []
  for (const view of views) {
    const last = result.at(-1)
    if (last !== undefined && last.offset + last.width === view.offset)
      result.splice(-1, 1, { ...last, width: last.width + view.width })
    else result.push(view)
  }
  return result
}
