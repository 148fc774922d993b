// What gates read instead of what the experts read: chosen features side by side, without the bottom.

import { isDeepStrictEqual } from 'node:util'

import { z } from 'zod'
import { invalidArgument } from '../core/check.js'
import { frozen } from '../core/schemas.js'
import { type Topology, topology } from '../core/topology.js'
import { fuse } from '../layers/fusion.js'
import type { Fields } from '../layers/inputs.js'
import type { Signal, Tape } from '../layers/tape.js'

/** Names of features. */
export const featureList = frozen(z.array(z.string()).min(1))

/** One list for all gates, or one per task. */
export type GateFeatures = readonly string[] | Readonly<Record<string, readonly string[]>>

/** What a gate of the first level reads; undefined: what the experts read. */
export function featuresOfGate(gateFeatures: GateFeatures, gate: string): readonly string[] | undefined {
  return isOneList(gateFeatures) ? gateFeatures : new Map(Object.entries(gateFeatures)).get(gate)
}

/** The lists of features that gates read. Gates with the same list share a stream. */
export class GateInputs {
  readonly #lists: readonly (readonly string[])[]
  readonly #widths: ReadonlyMap<string, number>
  readonly #gateFeatures: GateFeatures

  constructor(gateFeatures: GateFeatures = {}, featureWidths: ReadonlyMap<string, number>) {
    const lists = isOneList(gateFeatures) ? [gateFeatures] : Object.values(gateFeatures)
    this.#lists = lists.filter((list, index) => lists.findIndex((other) => isDeepStrictEqual(list, other)) === index)
    this.#widths = featureWidths
    this.#gateFeatures = gateFeatures
  }

  /** How many streams a level has for them. */
  get streams(): number {
    return this.#lists.length
  }

  /** Makes the gates of a level read streams of their own, after those that it has. */
  connect(level: Topology, gateNames: readonly string[]): Topology {
    if (this.streams === 0) return level
    const gates = level.gates.map((gate, index) => {
      const list = featuresOfGate(this.#gateFeatures, gateNames[index] ?? '')
      const number = this.#lists.findIndex((other) => isDeepStrictEqual(list, other))
      return number < 0 ? gate : { ...gate, stream: level.streams.length + number }
    })
    const widths = this.#lists.map((list) => list.reduce((sum, name) => sum + (this.#widths.get(name) ?? NaN), 0))
    return topology.level({ ...level, streams: [...level.streams, ...widths], gates })
  }

  /** Emits these streams. */
  forward(tape: Tape, { fields }: Fields): Signal[] {
    return this.#lists.map((list) =>
      fuse(
        tape,
        list.map((name) => fieldOf(fields, name)),
        ['concat'],
      ),
    )
  }
}

function fieldOf(fields: ReadonlyMap<string, Signal>, name: string): Signal {
  const field = fields.get(name)
  if (field === undefined) throw new Error(`no feature ${name}`)
  return field
}

function isOneList(gateFeatures: GateFeatures): gateFeatures is readonly string[] {
  return Array.isArray(gateFeatures)
}

/** @throws ERR_MULTIGATE_ARGUMENT naming what is no feature or no task, and a feature that is listed twice. */
export function checkGateFeatures(
  model: string,
  gateFeatures: GateFeatures | undefined,
  { features, tasks }: Readonly<Record<'features' | 'tasks', readonly { readonly name: string }[]>>,
): void {
  if (gateFeatures === undefined) return
  const field = `${model}.gateFeatures`
  if (isOneList(gateFeatures)) {
    checkList(field, gateFeatures, features)
    return
  }
  for (const [task, list] of Object.entries(gateFeatures)) {
    if (!tasks.some(({ name }) => name === task)) throw invalidArgument(`${field}.${task}`, `a task (${namesOf(tasks)})`, task)
    checkList(`${field}.${task}`, list, features)
  }
}

function checkList(field: string, list: readonly string[], features: readonly { readonly name: string }[]): void {
  list.forEach((feature, index) => {
    const known = features.some(({ name }) => name === feature)
    if (!known) throw invalidArgument(`${field}[${index}]`, `a feature (${namesOf(features)})`, feature)
    if (list.indexOf(feature) < index) throw invalidArgument(`${field}[${index}]`, 'each feature once', feature)
  })
}

function namesOf(items: readonly { readonly name: string }[]): string {
  return items.map(({ name }) => name).join(', ')
}
