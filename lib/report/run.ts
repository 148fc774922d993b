// What a report shows: one run as plain data.

import type { Evaluation } from '../runtime/evaluate.js'
import type { GateWeights } from '../runtime/gates.js'
import type { FitPlan } from '../training/callbacks.js'
import type { History } from '../training/history.js'

export interface ReportedRun {
  readonly plan: FitPlan
  readonly history: History
  /** Measurements by part of the data: `validation`, `test`. */
  readonly results: Readonly<Record<string, Evaluation>>
  /** Mean weights of gates, where the kept epoch has no statistics of gates. */
  readonly gates: readonly GateWeights[]
  /** Options as they were written. */
  readonly configuration?: unknown
}

/** Where and when it ran. */
export interface Surroundings {
  readonly date: string
  readonly version: string
  readonly node: string
  readonly machine: string
  /** The commit of the folder, if it is one of git. */
  readonly commit: string | undefined
}
