// What a reader of a report should look at first, in words: each with its number and what to do about it.

import { visible } from '../core/visible.js'
import type { Evaluation, TaskEvaluation } from '../runtime/evaluate.js'
import { manyUnknown } from '../runtime/unknown.js'
import type { EpochRecord } from '../training/history.js'
import { opposedPairs } from '../training/task-balance.js'
import type { ReportedRun } from './run.js'

export interface Finding {
  /** What it is about, such as a task. */
  readonly about: string
  readonly text: string
}

/** A validation loss that is this much above the training loss says that a task overfits. */
const overfit = 0.15
/** A loss that rises this much after its best epoch. */
const risen = 0.02
/** A weight from which a gate counts as one that uses a single expert. */
const collapsed = 0.95

/** Everything to look at, the gravest first. */
export function findingsOf(run: ReportedRun): Finding[] {
  const kept = keptEpoch(run)
  const parts = Object.entries(run.results)
  return [
    ...parts.flatMap(([part, evaluation]) => worseThanConstant(part, evaluation)),
    ...(kept === undefined ? [] : overfitting(kept, run.history.epochs)),
    ...run.history.epochs.flatMap(({ warning }) =>
      warning === undefined ? [] : [{ about: 'overfitting', text: `${warning}.` }],
    ),
    ...unknown('training rows', run.history),
    ...parts.flatMap(([part, evaluation]) => unknown(`${part} rows`, evaluation)),
    ...gateFindings(run, kept),
    ...opposedPairs(kept?.balance).map(({ task, other, cosine }) => ({
      about: `${task} and ${other}`,
      text: `their gradients oppose each other: mean cosine ${cosine.toFixed(2)}. Give each more experts or towers of its own, or balance them by pcgrad or cagrad.`,
    })),
  ].map(({ about, text }) => ({ about: visible(about), text: visible(text) }))
}

/** The epoch that the weights come from. */
export function keptEpoch({ history: { epochs, weightsEpoch } }: ReportedRun): EpochRecord | undefined {
  return epochs.find(({ epoch }) => epoch === weightsEpoch)
}

/**
 * The log loss as a share of that of the base rate as a constant prediction: above 1, the model is worse than it. Undefined if the labels are
 * not yes and no, or all equal.
 */
export function againstConstant(result: TaskEvaluation): number | undefined {
  if (result.ne !== undefined) return result.ne
  const { logloss, positives, rows } = result
  if (logloss === undefined || positives === undefined || !(positives > 0 && positives < rows)) return undefined
  const share = positives / rows
  return logloss / -(share * Math.log(share) + (1 - share) * Math.log1p(-share))
}

function worseThanConstant(part: string, { tasks }: Evaluation): Finding[] {
  return Object.entries(tasks).flatMap(([task, result]) => {
    const ratio = againstConstant(result)
    if (ratio === undefined || ratio <= 1) return []
    const auc = result.auc === undefined ? '' : ` (AUC ${result.auc.toFixed(4)})`
    return [
      {
        about: task,
        text: `log loss on ${part} rows is ${percent(ratio - 1)} above that of the base rate alone${auc}: do not trust its probabilities. Train fewer epochs, raise dropout or l2, or check that the part is like the training rows.`,
      },
    ]
  })
}

function overfitting(kept: EpochRecord, epochs: readonly EpochRecord[]): Finding[] {
  return Object.entries(kept.validation?.tasks ?? {}).flatMap(([task, { loss, rows }]) => {
    const training = kept.tasks[task]?.loss
    if (training === undefined || rows === 0 || !(training > 0)) return []
    const losses = epochs.flatMap(({ epoch, validation }) => {
      const own = validation?.tasks[task]?.loss
      return own === undefined ? [] : [{ epoch, loss: own }]
    })
    const best = losses.reduce((low, one) => (one.loss < low.loss ? one : low), { epoch: kept.epoch, loss })
    const rise = loss / best.loss - 1
    if (loss / training - 1 < overfit || best.epoch >= kept.epoch || !(rise > risen)) return []
    return [
      {
        about: task,
        text: `it overfits: in the epoch kept, validation loss is ${percent(loss / training - 1)} above training loss, and ${percent(rise)} above its lowest, in epoch ${best.epoch}. Raise dropout or l2, or stop earlier.`,
      },
    ]
  })
}

function unknown(where: string, { unknownShares }: Pick<Evaluation, 'unknownShares'>): Finding[] {
  return Object.entries(unknownShares).flatMap(([feature, share]) => {
    if (share < manyUnknown) return []
    return [
      {
        about: feature,
        text: `${percent(share)} of its values in ${where} are unknown to the vocabulary and count as one value. Check how they are written, lower minCount, hash them, or let the vocabulary grow.`,
      },
    ]
  })
}

const collapseAdvice = 'Try gateTemperature, gateDropout or fewer experts.'

function gateFindings({ gates }: ReportedRun, kept: EpochRecord | undefined): Finding[] {
  if (kept?.gates !== undefined)
    return kept.gates.warnings.map((text) => ({ about: 'gates', text: `${text}. ${collapseAdvice}` }))
  return gates.flatMap(({ gate, level, experts }) => {
    const only = experts.find(({ weight }) => weight >= collapsed)
    if (only === undefined || experts.length === 1) return []
    const text = `gate ${gate} of level ${level + 1} has collapsed: it gives ${only.name} ${percent(only.weight)} of its weight. ${collapseAdvice}`
    return [{ about: 'gates', text }]
  })
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`
}
